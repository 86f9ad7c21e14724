"""Pure text in two scripts: joining, spacing between 中文 and English, sentence ends, 简/繁.

The only module that decides whether a space stands between two words, or which width a comma has.
Spacing follows common Chinese typesetting practice (W3C CLREQ 3.2.2): a space between Han characters and a Latin word,
none beside bare numbers (`3月12号`, `82%`), none beside full-width punctuation.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import cache
from typing import Any, Literal
from unicodedata import east_asian_width

Script = Literal["simplified", "traditional", "original"]

# Han (with extension A and compatibility forms), kana, bopomofo, and the iteration mark
_HAN = "\u3005-\u3007\u3040-\u30ff\u3105-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_FULL_WIDTH = "\u3001-\u3004\u3008-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65“”‘’…—·"
_PIECES = re.compile(f"[{_HAN}{_FULL_WIDTH}]+|[^{_HAN}{_FULL_WIDTH}\\s]+")
_IS_HAN = re.compile(f"[{_HAN}]")
_IS_FULL_WIDTH = re.compile(f"[{_FULL_WIDTH}]")
_LATIN_TOKEN_AT_END = re.compile(r"[^\W_][\w.+#/&'’%-]*$", re.ASCII)
_LATIN_TOKEN_AT_START = re.compile(r"^[^\W_][\w.+#/&'’%-]*", re.ASCII)
_HALF_TO_FULL = str.maketrans(",;:?!", "，；：？！")
_HALF_BESIDE_HAN = re.compile(f"(?<=[{_HAN}，；：？！。])[,;:?!]+|[,;:?!]+(?=[{_HAN}])")
_MARKS_AT_START = re.compile(f"(?<=[{_HAN}])[,.;:?!，。；：？！、…]+|[,.;:?!，。；：？！、…]+(?![A-Za-z0-9])")
_HALF_AT_END = re.compile("[,;:?!]+$")
_PERIOD_AFTER_HAN = re.compile(f"(?<=[{_HAN}])\\.(?=\\s|$|[{_HAN}{_FULL_WIDTH},;:?!])")
# a letter seven times on end, a short pattern five times, a longer one four times: 对对对对 and 哈哈哈哈哈哈 are speech
_LOOP = re.compile(r"(\w)\1{6}|(\w{2,4}?)\2{4}|(\w{5,40}?)\3{3}")
_LOOP_BYTES, _LOOP_RATIO = 200, 3.2  # longer text that packs better than this says the same over and over; speech: 1-2
_WORD = re.compile(r"[^\W_]+")
_OPENING = "([{<“‘$#@"
_CLOSING = ")]}>”’,.;:?!%…"
_SENTENCE_END = re.compile(r"[。！？!?；;…]+[”’\"')\]）】」』]*$|[^\d.]\.[”’\"')\]）]*$")


def is_han(character: str) -> bool:
    """Is this a Han character, or kana (written without spaces all the same)?"""
    return _IS_HAN.match(character) is not None


def lay_out(pieces: Iterable[str]) -> tuple[str, list[tuple[int, int]]]:
    """Join words of any script and say where each landed: (text, [(start, end) in characters]).

    Spaces go between Latin words and between Han and Latin words, nowhere else; half-width punctuation beside Han
    becomes full-width. `text[start:end]` is the piece as it now reads, of the same length as the stripped piece.
    """
    text = ""
    places: list[tuple[int, int]] = []
    for raw in pieces:
        piece = _widened(text[-1:], " ".join(raw.split()))
        if piece and is_han(piece[0]) and text[-1:] in tuple(",;:?!"):
            text = _HALF_AT_END.sub(lambda marks: marks.group().translate(_HALF_TO_FULL), text)
        gap = " " if text and piece and _wants_space(text, piece) else ""
        start = len(text) + len(gap)
        text += gap + piece
        places.append((start, len(text)))
    return text, places


def _widened(before: str, piece: str) -> str:
    """`piece` with its half-width punctuation beside Han made full-width; `before` is the character it follows."""
    # before any space is set: none belongs beside the full-width mark
    both = _PERIOD_AFTER_HAN.sub("。", before + piece)
    return _HALF_BESIDE_HAN.sub(lambda marks: marks.group().translate(_HALF_TO_FULL), both)[len(before) :]


def join(pieces: Iterable[str]) -> str:
    """Words of any script as one text; see `lay_out`."""
    return lay_out(pieces)[0]


def tidy(text: str) -> str:
    """The same text with spacing and punctuation as `join` sets them. tidy(tidy(x)) == tidy(x)."""
    return join(_PIECES.findall(text))


def _wants_space(left: str, right: str) -> bool:
    before, after = left[-1], right[0]
    if _IS_FULL_WIDTH.match(before) or _IS_FULL_WIDTH.match(after):
        return False
    if is_han(before) and is_han(after):
        return False
    if is_han(before):
        token = _LATIN_TOKEN_AT_START.match(right)
        return token is not None and any(c.isalpha() for c in token.group())
    if is_han(after):
        # only the tail counts: the whole text so far may be long
        token = _LATIN_TOKEN_AT_END.search(left[-64:])
        return token is not None and any(c.isalpha() for c in token.group())
    return before not in _OPENING and after not in _CLOSING


def punctuate_like(words: Sequence[str], model: str) -> list[str]:
    """`words` with the punctuation that `model`, another reading of the same speech, has at the same places.

    Letters and digits of both are aligned by difflib, misheard stretches of equal length one to one. A mark is taken
    over only where the letters on both its sides are neighbours in `words` too; a word that has a mark keeps it.
    """
    letters = [(c, i) for i, word in enumerate(words) for c in word if c.isalnum()]
    spoken = [i for i, c in enumerate(model) if c.isalnum()]
    matcher = SequenceMatcher(None, [model[i] for i in spoken], [c for c, _ in letters], autojunk=False)
    place = {len(spoken): len(letters)}  # the ends belong together
    for _, a, a_end, b, b_end in matcher.get_opcodes():
        if a_end - a == b_end - b:
            place.update(zip(range(a, a_end), range(b, b_end), strict=True))
    punctuated = list(words)
    for heard, here in place.items():
        if heard == len(spoken) or place.get(heard + 1) != here + 1:
            continue
        mark = _MARKS_AT_START.match(model, spoken[heard] + 1)
        word = letters[here][1]
        ends_word = here + 1 == len(letters) or letters[here + 1][1] != word
        if mark and ends_word and punctuated[word][-1].isalnum():
            punctuated[word] += mark.group()
    return punctuated


def ends_sentence(text: str) -> bool:
    """Does a sentence end here? `3.` and `U.S.` style stops inside numbers do not count."""
    return _SENTENCE_END.search(text.rstrip()) is not None


def is_loop(text: str) -> bool:
    """Does the text run in circles?"""
    letters = "".join(_WORD.findall(text.lower()))
    if any(not match.group().isdigit() for match in _LOOP.finditer(letters)):  # digits repeat by nature: 10000000
        return True
    packed = letters.encode()
    return len(packed) >= _LOOP_BYTES and len(packed) / len(zlib.compress(packed)) > _LOOP_RATIO


def width(text: str) -> float:
    """Width in full-width characters: Han, Hangul, emoji and full-width marks count 1, everything else one half."""
    return sum(1.0 if east_asian_width(c) in "WF" or _IS_FULL_WIDTH.match(c) else 0.5 for c in text)


def convert(text: str, script: Script) -> str:
    """Han characters into one script, character forms only: words stay what was said (OpenCC tw2s / s2t).

    s2t, not s2twp, which replaces words by regional ones (软件 → 軟體); tw2s, not t2s, which leaves the 著 of 看著.
    """
    if script == "original" or not _IS_HAN.search(text):
        return text
    converted = str(_converter("tw2s" if script == "simplified" else "s2t").convert(text))
    if len(converted) != len(text):
        return converted
    # no form from beyond the basic plane: OpenCC makes Cantonese 嗰 into 𠮶, which nobody writes and many fonts lack
    return "".join(old if new > "\uffff" else new for old, new in zip(text, converted, strict=True))


def convert_words(words: Sequence[str], script: Script) -> list[str]:
    """`convert` over words that belong together: phrases decide the form (头发/头髮), places stay."""
    text = "".join(words)
    converted = convert(text, script)
    if len(converted) != len(text):
        return [convert(word, script) for word in words]
    result: list[str] = []
    start = 0
    for word in words:
        result.append(converted[start : start + len(word)])
        start += len(word)
    return result


@cache
def _converter(name: str) -> Any:
    import opencc  # 20 ms to load its dictionaries: only when Chinese text is at hand

    return opencc.OpenCC(name)
