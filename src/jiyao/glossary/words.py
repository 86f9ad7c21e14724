"""What is an ordinary word. Chinese: jieba's dictionary and its most probable cut (rjieba); English: pyspellchecker's.

Both load at the first question only.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jiyao.text import is_han

# Letters written with spaces between words: Latin with accents, Greek, Cyrillic, and digits. `\w` would count Han too.
LETTER = r"[0-9A-Za-z_\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u052f]"
HAN = r"\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_IS_LETTER = re.compile(LETTER)
_AROUND = 8  # characters on each side that show how words are cut
_NEAR = 12  # characters on each side
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z'’]*")


def is_letter(character: str) -> bool:
    """Does this belong to a word that is written with spaces round it?"""
    return _IS_LETTER.match(character) is not None


def cuts(text: str) -> list[int]:
    """Where the words of a text begin and end, in characters, both ends included: the most probable cut by jieba's
    dictionary; its guesses at unknown words are left out."""
    places = [0]
    for word in _jieba().cut(text, False):
        places.append(places[-1] + len(word))
    return places


def is_han_word(text: str) -> bool:
    """Is this one word of the dictionary?"""
    return bool(_jieba().has_word(text))


def gain(text: str, start: int, end: int, own: int = 1) -> int:
    """How many words fewer a text has where these characters are `own` words: 被/现/流/了 gains one by 现流, 出现/流程
    loses one."""
    left, right = max(0, start - _AROUND), min(len(text), end + _AROUND)
    now = len(cuts(text[left:right]))
    then = len(cuts(text[left:start])) + len(cuts(text[end:right])) - 1 + own
    return now - then


def is_english(word: str) -> bool:
    """Is this an ordinary English word? Names and abbreviations count if a dictionary of 80,000 words has them."""
    return len(word) > 1 and word.lower() in _english()


def in_english(text: str, start: int, end: int) -> bool:
    """Do English words stand before or behind these characters, in the same phrase?"""
    before = text[:start].rstrip(" ")[-1:]
    after = text[end:].lstrip(" ")[:1]
    return any(side and is_letter(side) and not side.isdigit() and not is_han(side) for side in (before, after))


def among_han(text: str, start: int, end: int) -> bool:
    """Is Han near these characters: is the sentence Chinese, whatever stands in it?"""
    return any(map(is_han, text[max(0, start - _NEAR) : end + _NEAR]))


def english_words(text: str) -> list[str]:
    return _LATIN_WORD.findall(text)


@cache
def _jieba() -> Any:
    import rjieba  # 90 ms for its dictionary

    return rjieba


@cache
def _english() -> frozenset[str]:
    from spellchecker import SpellChecker  # 90 ms for its dictionary

    return frozenset(SpellChecker(language="en", distance=1).word_frequency.words())
