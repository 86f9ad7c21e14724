"""What Qwen3-ASR is told and what it answers: tokenizer, prompt, hints, languages, token budget.

In:  a model folder's tokenizer of either layout; Hints; token ids that the model wrote.
Out: prompt ids exactly as in training; text, language code and the text of each token.
From: the chat template and output format published with Qwen3-ASR (QwenLM/Qwen3-ASR, Apache-2.0), the ids that
      antirez/qwen-asr lists in MODEL.md; the files' layout from transformers' Qwen2Tokenizer. Read again, not copied.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiyao.errors import EngineError, UsageError
from jiyao.recognition import Hints
from jiyao.text import join

if TYPE_CHECKING:
    from tokenizers import Tokenizer

AUDIO_PAD_ID = 151676  # <|audio_pad|>: one for each vector of the audio encoder
ASR_TEXT_ID = 151704  # <asr_text>: ends the language tag
EOS_IDS = (151643, 151645)  # <|endoftext|>, <|im_end|>
HINT_BYTES = 768
"""Most UTF-8 bytes of hints in a prompt. A token has at least one byte, so this bounds the tokens for certain; at some
3 bytes a token it means about 256 of them, or 80 Chinese terms: fewer than the sound of a clip has (30 s: 390). More
terms make every clip dearer and the text worse (QwenLM/Qwen3-ASR #62, #106)."""

LANGUAGES: Mapping[str, str] = {
    "zh": "Chinese",
    "en": "English",
    "yue": "Cantonese",
    "ar": "Arabic",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "pt": "Portuguese",
    "id": "Indonesian",
    "it": "Italian",
    "ko": "Korean",
    "ru": "Russian",
    "th": "Thai",
    "vi": "Vietnamese",
    "ja": "Japanese",
    "tr": "Turkish",
    "hi": "Hindi",
    "ms": "Malay",
    "nl": "Dutch",
    "sv": "Swedish",
    "da": "Danish",
    "fi": "Finnish",
    "pl": "Polish",
    "cs": "Czech",
    "fil": "Filipino",
    "fa": "Persian",
    "el": "Greek",
    "ro": "Romanian",
    "hu": "Hungarian",
    "mk": "Macedonian",
}
"""ISO 639 code → the name the model was trained with."""

_CODES = {name.lower(): code for code, name in LANGUAGES.items()}
_IM_START, _IM_END, _AUDIO_START, _AUDIO_END = 151644, 151645, 151669, 151670
_SYSTEM, _USER, _ASSISTANT = (8948, 198), (872, 198), (77091, 198)  # each with its line break
_KNOWN = {  # what must hold of a tokenizer before its ids are trusted
    "<|endoftext|>": EOS_IDS[0],
    "<|im_start|>": _IM_START,
    "<|im_end|>": _IM_END,
    "<|audio_start|>": _AUDIO_START,
    "<|audio_end|>": _AUDIO_END,
    "<|audio_pad|>": AUDIO_PAD_ID,
    "<asr_text>": ASR_TEXT_ID,
}
# how Qwen2 and its successors cut text before byte-pair encoding; tokenizer.json says it, the original layout does not
_CUTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CONTROL = re.compile(
    r"<\|[^<>|]*\|>"
    r"|<(?:asr_text|timestamp|non_speech|blank\d*|tts_\w*|/?tool_call|/?tool_response|/?think)>"
)
_TAG = "<asr_text>"
_HEADER = re.compile(r"\s*language[\s:]*([^\W\d_]{1,20})\s*$", re.IGNORECASE)
_BROKEN_NAME = 24  # characters before the first tag that are taken for one; longer is text
_TOKENS_BEFORE, _TOKENS_PER_S, _MOST_TOKENS = 32, 12, 512


def check_language(code: str | None) -> None:
    """Raises UsageError when `code` is none of the 30 languages; None (the model listens itself) is always right."""
    if code is not None and code not in LANGUAGES:
        raise UsageError("engine.language", language=code, known=", ".join(sorted(LANGUAGES)))


def token_budget(duration_s: float) -> int:
    """How many tokens a clip of `duration_s` seconds may be answered with; who needs more runs in circles.

    Speech takes 3.6 tokens a second, the fastest known real output 8.1 (a tongue-twister), rare scripts more; 32 are
    for the language tag and for clips of a word or two. 512 is the model's own default, reached at 40 s: clips are
    shorter.
    """
    return min(_MOST_TOKENS, _TOKENS_BEFORE + math.ceil(_TOKENS_PER_S * max(0.0, duration_s)))


def system_text(hints: Hints) -> str:
    """The text of the system turn: bare terms in the user's order, then the context, parted by spaces; "" if none.

    One line, at most `HINT_BYTES` bytes of UTF-8: a term that no longer fits is left out whole, the context is cut.
    Nothing in it can be read as a control token, however nested.
    """
    kept: dict[str, None] = {}
    room = HINT_BYTES
    for term in hints.terms:
        cleaned = _plain(term)
        size = len(cleaned.encode()) + bool(kept)
        if cleaned and cleaned not in kept and size <= room:
            kept[cleaned] = None
            room -= size
    context = _plain(hints.context).encode()[: max(0, room - bool(kept))].decode(errors="ignore").strip()
    # cut or put together, the pieces may form something new
    return _plain(" ".join((*kept, context)))


def parse(raw: str, forced: str | None = None) -> tuple[str | None, str]:
    """`language Chinese<asr_text>…` → (ISO code, text); `language None<asr_text>` → (None, "").

    `raw` is what `QwenTokenizer.decode` gives. With `forced` (the tag stood in the prompt) that code is returned
    unless the text is empty. A name that is not known gives None and costs no text; later tags are dropped, the texts
    between them joined.
    """
    *heads, last = raw.split(_TAG)
    if not heads:
        # forced, or given up before the tag
        header = _HEADER.fullmatch(last)
        text = "" if header and forced is None and _is_name(header.group(1)) else last.strip()
        return (forced, text) if text else (None, "")
    header = _HEADER.search(heads[0])
    code = forced or _CODES.get((header.group(1) if header else heads[0]).strip().lower())
    texts = [head[: _header_start(head, number == 0)].strip() for number, head in enumerate(heads)]
    text = join((*texts, last)) if any(texts) else last.strip()
    return (code, text) if text else (None, "")


def _header_start(head: str, opens: bool) -> int:
    """Where in `head`, which a tag follows, the language's header begins; of the first, a broken name is one too."""
    header = _HEADER.search(head)
    if header:
        return header.start()
    return 0 if opens and len(head) <= _BROKEN_NAME else len(head)


class QwenTokenizer:
    """The tokenizer of one Qwen3-ASR folder, on the `tokenizers` library alone. Safe to share between threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Raises ValueError when the ids are not those of Qwen3-ASR."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self._added = frozenset(tokenizer.get_added_tokens_decoder())
        for text, number in _KNOWN.items():
            if tokenizer.token_to_id(text) != number or number not in self._added:
                raise ValueError(f"{text} is not token {number}")
        for text, ids in (("system\n", _SYSTEM), ("user\n", _USER), ("assistant\n", _ASSISTANT)):
            if tuple(self._encode(text)) != ids:
                raise ValueError(f"{text.strip()} is not {ids}")

    @classmethod
    def from_folder(cls, folder: Path) -> QwenTokenizer:
        """tokenizer.json, or the original layout's vocab.json, merges.txt and tokenizer_config.json.

        Raises EngineError when they are missing, broken or of another model.
        """
        try:
            return cls(_read(folder))
        except Exception as cause:  # `tokenizers` raises bare Exception for a broken file
            raise EngineError("engine.tokenizer", folder=folder, reason=cause) from cause

    def prompt_ids(self, hints: Hints, n_audio_tokens: int) -> list[int]:
        """The whole prompt of one clip, ready for the first forward pass; `n_audio_tokens` as the encoder gives.

        The system turn always stands there, empty or not: without it the model writes unrelated sentences.
        Raises UsageError for a language the model does not know.
        """
        check_language(hints.language)
        # the text is appended to its line break before encoding, as the template does; controls were stripped before,
        # what this tokenizer adds beyond the known ones goes here
        system = [i for i in self._encode("system\n" + system_text(hints)) if i not in self._added]
        ids = [_IM_START, *system, _IM_END, _SYSTEM[1], _IM_START, *_USER, _AUDIO_START]
        ids += [AUDIO_PAD_ID] * n_audio_tokens
        ids += [_AUDIO_END, _IM_END, _SYSTEM[1], _IM_START, *_ASSISTANT]
        if hints.language is not None:
            ids += [*self._encode(f"language {LANGUAGES[hints.language]}"), ASR_TEXT_ID]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to text. Of all control tokens only `<asr_text>` stays, for `parse`; bytes that form no character go."""
        return "".join(self.pieces(ids))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text of each token, as many as `ids`; "" for control tokens. A character split over several stands in the
        token that completes it.

        `"".join(pieces(ids)) == decode(ids)`.
        """
        decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
        return [decoder.decode(self._bytes(number)) for number in ids]

    def text_places(self, ids: Sequence[int]) -> list[int]:
        """Indexes of the tokens that are text: no control tokens, no language tags; what `parse` keeps, token by token.

        So `pieces([ids[i] for i in text_places(ids)])` go with the probabilities at the same places.
        """
        dropped: set[int] = set()
        start = 0
        for tag in (place for place, number in enumerate(ids) if number == ASR_TEXT_ID):
            pieces = self.pieces(ids[start:tag])
            header, length = _header_start("".join(pieces), start == 0), 0
            for place, piece in enumerate(pieces, start):
                length += len(piece)
                if length > header:
                    dropped.add(place)
            start = tag + 1
        return [place for place, number in enumerate(ids) if place not in dropped and number not in self._added]

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _bytes(self, number: int) -> bytes:
        if number == ASR_TEXT_ID:
            return _TAG.encode()
        token = None if number in self._added else self._tokenizer.id_to_token(number)
        if token is None:  # the embedding has more rows than the vocabulary has tokens
            return b""
        return b"".join(bytes([_BYTES[c]]) if c in _BYTES else c.encode() for c in token)


def _plain(text: str) -> str:
    """One line in composed form, without control tokens: stripped until nothing changes, as the rest may form new."""
    # far more than fits: a hostile nesting stays cheap; lone surrogates have no bytes
    cleaned = text[: 8 * HINT_BYTES].encode(errors="ignore").decode()
    cleaned = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in cleaned)
    before = None
    while cleaned != before:
        before = cleaned
        cleaned = " ".join(_CONTROL.sub("", unicodedata.normalize("NFC", cleaned)).split())
    return cleaned


def _is_name(name: str) -> bool:
    return name.lower() in _CODES or name.lower() == "none"


def _read(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    whole = folder / "tokenizer.json"
    # read here: the library takes paths as UTF-8 only
    return Tokenizer.from_str(whole.read_text(encoding="utf-8")) if whole.exists() else _put_together(folder)


def _put_together(folder: Path) -> Tokenizer:
    """The original layout: Qwen2's byte-level BPE from vocabulary, merges and the added tokens with their flags."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    config: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    added = {int(number): token for number, token in config["added_tokens_decoder"].items()}
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    merges = [(left, right) for line in lines if not line.startswith("#version") for left, right in _pair(line)]
    # in the vocabulary too, so that each keeps the id it has in the file
    vocabulary.update((token["content"], number) for number, token in added.items())
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CUTS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    tokenizer.add_tokens(
        [
            AddedToken(token["content"], **{flag: bool(token.get(flag, False)) for flag in flags})
            for _, token in sorted(added.items())
        ]
    )
    return tokenizer


def _pair(line: str) -> list[tuple[str, str]]:
    left, space, right = line.rstrip("\r").partition(" ")
    return [(left, right)] if space else []


def _byte_letters() -> dict[str, int]:
    """How byte-level BPE writes bytes as letters (GPT-2): printable ones as they are, the others from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_letters()
