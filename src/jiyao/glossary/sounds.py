"""Texts as units of speech sounds: what stands on the page as one Chinese character, number or Latin word.

One small alphabet for all scripts, so that 浪漫三八比 can be held against Llama-3-8B. Chinese by pypinyin (ToJyutping
where Cantonese is spoken), tones left out; numbers as Chinese reads them; Latin words by rough rules of English
spelling, or letter by letter as Mandarin speakers say them. A phone is one character: the initials of pinyin with z c s
for zh ch sh too, y w as glides, the vowels a e i o u v (ü), and N for -ng.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal
from unicodedata import normalize

from jiyao.glossary.words import HAN
from jiyao.text import is_han

Tongue = Literal["pinyin", "jyutping"]

_PIECE = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*|[0-9]|\S")
_HAN_RUN = re.compile(f"([{HAN}]+)")
_CAMEL = re.compile(r"[A-Z]{2,}(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_SPELLED_LETTERS = 4  # capitals up to this many are said letter by letter, SQL; longer ones are said as a word, ROADMAP
_DIGITS = dict(zip("0123456789", "liN yi er san si wu liou qi ba jiou".split(), strict=True))
_LETTERS = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        "ei bi si di yi efu ji eiqi ai jei kei eil em en ou pi kiu er es ti yu wei dabiu eks wai zi".split(),
        strict=True,
    )
)

_INITIALS = {"zh": "z", "ch": "c", "sh": "s"}
_FINALS = {
    "ao": "au", "iao": "yau", "iu": "you", "ui": "wei", "un": "wen", "ong": "uN", "iong": "yuN", "ue": "ve", "ia": "ya",
    "ie": "ye", "ian": "yen", "iang": "yaN", "ua": "wa", "uo": "wo", "uai": "wai", "uan": "wan", "uang": "waN",
    "ang": "aN", "eng": "eN", "ing": "iN", "van": "ven",
}  # fmt: skip
_WHOLE = {
    "yi": "i", "wu": "u", "yu": "v", "yue": "ve", "yuan": "ven", "yun": "vn", "yin": "in", "ying": "iN", "ye": "ye",
    "yan": "yen", "yong": "yuN", "er": "er", "yo": "yo", "you": "you", "yao": "yau", "yang": "yaN", "wang": "waN",
    "weng": "weN", "n": "en", "m": "m", "ng": "eN", "hm": "hm", "hng": "heN",
}  # fmt: skip
_JYUTPING = (("ng", "N"), ("gw", "gw"), ("kw", "kw"), ("aa", "a"), ("oe", "e"), ("eo", "e"), ("yu", "v"), ("j", "y"))

# English spelling, the longest first; what is not here says its own letter
_SPELLINGS = [
    ("tion", "xen"), ("sion", "xen"), ("ture", "cer"), ("ough", "ou"), ("augh", "au"), ("eigh", "ei"), ("tch", "q"),
    ("igh", "ai"), ("sch", "sk"), ("ing", "iN"), ("ch", "q"), ("sh", "x"), ("th", "s"), ("ph", "f"), ("gh", "g"),
    ("ck", "k"), ("qu", "kw"), ("wh", "w"), ("wr", "r"), ("kn", "n"), ("ng", "N"), ("ee", "i"), ("ea", "i"),
    ("ie", "i"), ("oo", "u"), ("ou", "au"), ("ow", "au"), ("oa", "ou"), ("ai", "ei"), ("ay", "ei"), ("ey", "i"),
    ("ew", "yu"), ("au", "o"), ("aw", "o"), ("oy", "oi"), ("er", "er"), ("ir", "er"), ("ur", "er"), ("or", "or"),
    ("ar", "ar"), ("al", "ol"), ("ce", "se"), ("ci", "si"), ("cy", "si"), ("ge", "je"), ("gi", "ji"), ("gy", "ji"),
    ("x", "ks"), ("c", "k"), ("q", "k"), ("v", "w"), ("y", "i"), ("j", "j"),
]  # fmt: skip
_SPELLING = re.compile("|".join(spelling for spelling, _ in _SPELLINGS) + "|[a-z]")
_SAID = dict(_SPELLINGS)
_MAGIC_E = re.compile(r"([aiou])([bdfgklmnpstvz])e$")
_LONG = {"a": "ei", "i": "ai", "o": "ou", "u": "iu"}
_VOWELS = "aeiouy"


@dataclass(frozen=True)
class Unit:
    """Characters `start` to `end` of a text and the ways to say them, the likeliest first; never empty.

    `tone`: of a Chinese character, as its language numbers them; empty for the rest.
    """

    start: int
    end: int
    phones: tuple[str, ...]
    tone: str = ""

    @property
    def is_han(self) -> bool:
        return bool(self.tone)


def units(text: str, tongue: Tongue = "pinyin") -> list[Unit]:
    """What can be heard of a text, in its order; signs are silent. A capital word of a few letters has two sounds."""
    found: list[Unit] = []
    syllables = _syllables(text, tongue)
    for match in _PIECE.finditer(text):
        piece, start = match.group(), match.start()
        if is_han(piece[0]):
            phones, tone = syllables[start]
            said: Sequence[str] = [phones] if phones else []
        else:
            said, tone = [_DIGITS[piece]] if piece in _DIGITS else _latin(normalize("NFKC", piece)), ""
        if said:
            found.append(Unit(start, match.end(), tuple(said), tone))
    return found


def _syllables(text: str, tongue: Tongue) -> list[tuple[str, str]]:
    """(phones, tone) of each character; empty for what is not Han, or unknown."""
    if not any(map(is_han, text)):
        return [("", "")] * len(text)
    if tongue == "jyutping":
        from ToJyutping import get_jyutping_list  # 0.6 s for its dictionary: only where Cantonese is spoken

        return [_of_jyutping(said or "") for _, said in get_jyutping_list(text)]
    from pypinyin import Style, lazy_pinyin

    said: list[str] = []
    for piece in _HAN_RUN.split(text):  # every second one is Han, one syllable a character
        known = lazy_pinyin(piece, style=Style.TONE3, neutral_tone_with_five=True) if _HAN_RUN.match(piece) else ""
        said += known or " " * len(piece)
    return [_of_pinyin(syllable) for syllable in said] if len(said) == len(text) else [("", "")] * len(text)


@cache
def _of_pinyin(syllable: str) -> tuple[str, str]:
    """zhong1 → zuN, 1"""
    plain, tone = syllable[:-1].replace("ü", "v").lower(), syllable[-1:]
    if not tone.isdigit() or not plain.isascii() or not plain.isalpha():
        return "", ""
    if plain in _WHOLE:
        return _WHOLE[plain], tone
    if plain[0] in "yw":
        return plain[0] + _FINALS.get(plain[1:], plain[1:]), tone
    length = 2 if plain[:2] in _INITIALS else 1 if plain[0] not in "aeo" else 0
    initial, final = plain[:length], plain[length:]
    if initial in ("j", "q", "x") and final.startswith("u"):
        final = "v" + final[1:]
    return _INITIALS.get(initial, initial) + _FINALS.get(final, final), tone


@cache
def _of_jyutping(syllable: str) -> tuple[str, str]:
    """gwong2 → gwoN, 2"""
    plain, tone = syllable[:-1], syllable[-1:]
    if not tone.isdigit():
        return "", ""
    for spelling, said in _JYUTPING:
        plain = plain.replace(spelling, said)
    return plain, tone


def _latin(word: str) -> tuple[str, ...]:
    """How a Latin word may be said; the parts of MySQL each in its own way. Not cached: what was said must go."""
    parts = _CAMEL.findall(word) or [word]
    if len(parts) > 1:
        return ("".join(_latin(part)[0] for part in parts),)
    plain = re.sub(r"[^a-z]", "", word.lower())
    if not plain:
        return ()
    spelled = "".join(_LETTERS[letter] for letter in plain)
    if not any(letter in _VOWELS for letter in plain) or len(plain) == 1:
        return (spelled,)
    said = _word(plain)
    if word.isupper():
        return (spelled, said) if len(plain) <= _SPELLED_LETTERS else (said, spelled)
    return (said,)


def _word(word: str) -> str:
    """By rough rules of spelling; Chinese speakers' habits for what Chinese lacks (v w, th s)."""
    word = re.sub(r"([b-df-hj-np-tv-z])\1", r"\1", word)
    word = _MAGIC_E.sub(lambda found: f"{found[1].upper()}{found[2]}", word)
    if len(word) > 3 and word.endswith("e") and word[-2] not in _VOWELS:
        word = word[:-1]
    if word.endswith("y") and sum(letter in _VOWELS for letter in word) == 1:
        return "".join(_pieces(word[:-1])) + "ai"
    return "".join(_pieces(word))


def _pieces(word: str) -> Iterator[str]:
    reached = 0
    while reached < len(word):
        if word[reached].isupper():
            yield _LONG[word[reached].lower()]
            reached += 1
            continue
        match = _SPELLING.match(word, reached)
        piece = match.group() if match else word[reached]
        yield _SAID.get(piece, piece)
        reached += len(piece)
