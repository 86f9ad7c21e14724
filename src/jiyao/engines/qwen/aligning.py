"""What the forced aligner is asked and answers, whichever library runs it.

In:  a text and its language. Out: items, prompt ids, and items with the times that the model chose.
From: the layout that the model was trained with (Qwen3-ASR's own forced aligner, Apache-2.0): the sound, then each item
      followed by two <timestamp>, no chat turns round it (with them all times come out 92 ms late). At each <timestamp>
      the model classifies the time in steps of 80 ms: the item's start, then its end.
Traps: in training, Japanese and Korean items come from nagisa and soynlp; without these no items, not wrong ones.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jiyao.engines.qwen.prompt import AUDIO_PAD_ID
from jiyao.errors import EngineError
from jiyao.recognition import Word
from jiyao.timeline import seconds_to_ms

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODEL = "qwen3-forced-aligner-0.6b"

LANGUAGES = frozenset({"zh", "yue", "en", "fr", "de", "it", "pt", "ru", "es"})
"""ISO 639 codes it was trained on, without ja and ko (see the traps)."""

MOST_CLIPS = 16
BUDGET_S = 240.0  # of sound in a batch: some 13 tokens a second, and as many for the text; no cache is kept
TIMESTAMP_ID = 151705
_AUDIO_START, _AUDIO_END = 151669, 151670
_STEP_S = 0.08  # one class of time
_HAN = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)  # as in training: kana are not among them


class AlignerPrompt:
    """The tokenizer of one aligner folder."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def from_folder(cls, folder: Path) -> AlignerPrompt:
        """Raises EngineError when tokenizer.json is missing, broken or of another model."""
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
        except Exception as cause:  # `tokenizers` raises bare Exception for a broken file
            raise EngineError("engine.tokenizer", folder=folder, reason=cause) from cause
        if tokenizer.token_to_id("<timestamp>") != TIMESTAMP_ID:
            raise EngineError("engine.tokenizer", folder=folder, reason="<timestamp>")
        return cls(tokenizer)

    def ids(self, n_audio_tokens: int, items: Sequence[str]) -> list[int]:
        ids = [_AUDIO_START, *[AUDIO_PAD_ID] * n_audio_tokens, _AUDIO_END]
        for item in items:
            ids += [*self._tokenizer.encode(item, add_special_tokens=False).ids, TIMESTAMP_ID, TIMESTAMP_ID]
        return ids


def items_of(text: str, language: str | None) -> list[str]:
    """What to ask for; nothing where the model does not know the language."""
    return split(text) if language in LANGUAGES else []


def split(text: str) -> list[str]:
    """Items as in training: each Han character, else what stands between spaces; letters, digits and ' alone are kept.

    So `3.5` is `35`, and no control token can come out of it.
    """
    words: list[str] = [""]
    for character in text:
        if any(first <= ord(character) <= last for first, last in _HAN):
            words += [character, ""]
        elif character.isspace():
            words.append("")
        elif character == "'" or unicodedata.category(character)[0] in "LN":
            words[-1] += character
    return [word for word in words if word]


def timed(words: Sequence[str], classes: Sequence[int]) -> tuple[Word, ...]:
    """Items with their times; two classes each."""
    times_ms = [seconds_to_ms(number * _STEP_S) for number in classes]
    return tuple(
        Word(word, start_ms, end_ms)
        for word, start_ms, end_ms in zip(words, times_ms[::2], times_ms[1::2], strict=True)
    )
