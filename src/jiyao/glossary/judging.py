"""Is this stretch a term misheard? What its sound, its tones and the words round about say together.

In:  a text, a stretch of it, a term, how alike they sound. Out: a score and a rule. The numbers are set by hand on made
meetings and on ordinary Chinese and English (bench/terms.py, LOG.md); none of them is trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from jiyao.glossary import variants, words
from jiyao.glossary.likeness import folded, weight
from jiyao.glossary.sounds import Tongue, Unit, units
from jiyao.text import is_han
from jiyao.transcript import Rule

_SHARE, _SHARE_STRICT = 0.34, 0.5  # of a term's trigrams that must be found before it is measured
_MAX_SOUNDS = 4  # ways to say a term
_SHORT = 6  # phones; so few are found anywhere
_SAME = 0.93  # what abbreviations and short names must reach: API is no KPI
_SOUND_ALONE, _READS_WELL = 0.9, 0.97  # where no word is gained; where good words stand there: 智能客户 is no 智能客服
_ORDINARY = 0.82  # for English words between Chinese ones
_TONES = 0.12  # what it costs when no tone is right
_TWO = 0.04  # two syllables are soon found somewhere
_GAIN, _NO_GAIN, _NO_WORD = 0.06, -0.06, 0.08
_PARTICLES = "的了吗呢吧啊嘛呀"  # never a part of a foreign name


@dataclass(frozen=True)
class Term:
    """One way to say a term. `needed`: trigrams that must be found; `opening`, `syllables`: folded; `is_spelled`: said
    letter by letter; `n_words`: of the dictionary, that it is made of."""

    text: str
    phones: str
    weight: float
    needed: int
    opening: str
    syllables: tuple[str, ...]
    tones: tuple[str, ...]
    is_han: bool
    is_spelled: bool
    n_words: int

    @property
    def n_units(self) -> int:
        return len(self.syllables)


def sayings(term: str, tongue: Tongue) -> Iterator[Term]:
    said = units(term, tongue)
    latin = "".join(words.english_words(term))
    spelled = bool(latin) and (latin.isupper() or len(latin) <= 2)
    is_chinese = all(map(is_han, term))
    n_words = len(words.cuts(term)) - 1 if is_chinese else 1
    ways = dict.fromkeys("".join(way) for way in product(*(unit.phones for unit in said)))
    for phones in list(ways)[:_MAX_SOUNDS]:
        if len(phones) < 3:
            continue
        strict = is_chinese or spelled or len(phones) <= _SHORT
        yield Term(
            text=term,
            phones=phones,
            weight=weight(phones),
            needed=max(1, math.ceil((_SHARE_STRICT if strict else _SHARE) * (len(phones) - 2))),
            opening=opening(phones),
            syllables=tuple(folded(unit.phones[0]) for unit in said),
            tones=tuple(unit.tone for unit in said),
            is_han=is_chinese,
            is_spelled=spelled,
            n_words=n_words,
        )


def opening(phones: str) -> str:
    """The kind of sound it begins with; a vowel may be heard as any other."""
    first = folded(phones[0])
    return "a" if first in "iu" else first


def least(term: Term) -> float:
    """The least likeness worth a look: short terms leave no room for doubt; a misspelled name shows that it is one."""
    length = len(term.phones)
    if not term.is_han:
        return _ORDINARY if length < _SHORT else 0.7
    return 0.9 if length < _SHORT else 0.82 if length <= 8 else 0.78


def judged(text: str, heard: Sequence[Unit], term: Term, likeness: float, tongue: Tongue) -> tuple[float, Rule]:
    """(score 0…1, rule); 0 where the stretch is good as it stands."""
    start, end = heard[0].start, heard[-1].end
    if term.is_han and all(unit.is_han for unit in heard):
        return _chinese(text, start, end, heard, term, likeness), tongue
    if any(unit.is_han for unit in heard):
        return _transliterated(text, start, end, heard, term, likeness), "transliteration"
    return _latin(text, start, end, term, likeness), "spelling"


def _chinese(text: str, start: int, end: int, heard: Sequence[Unit], term: Term, likeness: float) -> float:
    gain = words.gain(text, start, end, term.n_words if term.n_units > 2 else 1)
    cut = variants.inside_longer(text, start, end)
    # 运为 in 需要运为先 cuts 为先 in two and is right all the same; 是中 in 实在是中国人 does and is not
    if gain < 0 or (cut and gain == 0) or (len(heard) == 2 and (gain < 1 or cut)):
        return 0.0
    if gain == 0 and likeness < (_READS_WELL if _all_words(text[start:end]) else _SOUND_ALONE):
        return 0.0
    wrong = sum(unit.tone != tone for unit, tone in zip(heard, term.tones, strict=True)) / len(heard)
    short = _TWO if len(heard) == 2 else 0.0
    return likeness - _TONES * wrong - short + (_NO_GAIN if gain == 0 else 0.0)


def _transliterated(text: str, start: int, end: int, heard: Sequence[Unit], term: Term, likeness: float) -> float:
    """Chinese characters, alone or with letters and numbers, for a name in letters; or letters for a Chinese name."""
    before = text[start:end]
    has_latin = bool(words.english_words(before))
    if (term.is_spelled or len(term.phones) <= _SHORT) and likeness < _SAME:
        return 0.0
    if before[0] in _PARTICLES or before[-1] in _PARTICLES or variants.inside_longer(text, start, end):
        return 0.0
    if any(map(str.isdigit, before)) and not has_latin and not any(map(str.isdigit, term.text)):
        return 0.0  # 3天
    gain = words.gain(text, start, end)
    if gain < (1 if has_latin else 2):
        return 0.0
    return min(1.0, likeness + _GAIN if gain > 1 else likeness)


def _latin(text: str, start: int, end: int, term: Term, likeness: float) -> float:
    before = text[start:end]
    if variants.inside_longer(text, start, end) or term.is_han:
        return 0.0
    english = [word for word in words.english_words(before) if words.is_english(word)]
    if english and (not words.among_han(text, start, end) or words.in_english(text, start, end)):
        return 0.0
    if (term.is_spelled or before.isupper()) and likeness < _SAME:
        return 0.0
    if len(english) < len(words.english_words(before)) or any(map(str.isdigit, before)):
        return min(1.0, likeness + _NO_WORD)
    return likeness if likeness >= (_SAME if len(term.phones) <= _SHORT else _ORDINARY) else 0.0


def _all_words(text: str) -> bool:
    """Is it made of words of two characters and more?"""
    return all(right - left > 1 for left, right in pairwise(words.cuts(text)))
