"""What a person's correction teaches: which word became which, and where else the first one stands.

In:  a text before and after, or a text and a word. Out: the words, grown to whole ones; places.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from jiyao.glossary import variants, words
from jiyao.glossary.words import is_letter
from jiyao.text import is_han

_LONGEST = 24  # characters: more is another sentence, not another word
_SIGNS = "，。？！；：、,?!;:"
_FUNCTION = "的了着过在被把和与就都也很是我你他她它这那不要会能说问让给跟对从用做到去来有没"  # no part of what follows


@dataclass(frozen=True)
class Learned:
    """A person wrote `after` where `before` stood."""

    before: str
    after: str


def learned(old: str, new: str) -> Learned | None:
    """The one word or phrase that was replaced; None where it was something else: several places, only added, only
    taken away, only signs."""
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    changes = [code for code in codes if code[0] != "equal"]
    if not any(code[0] == "replace" for code in changes):
        return None
    ranges = [_grown(old, new, *code[1:]) for code in changes]
    if any(behind[0] > before[1] for before, behind in pairwise(ranges)):
        return None
    start, end = ranges[0][0], max(stop for _, stop in ranges)
    before, after = old[start:end].strip(), new[start : len(new) - (len(old) - end)].strip()
    if before == after or not all(_is_word(text) for text in (before, after)):
        return None
    return Learned(before, after)


def _is_word(text: str) -> bool:
    return len(text) <= _LONGEST and any(map(str.isalnum, text)) and not any(sign in text for sign in _SIGNS)


def found(text: str, before: str) -> list[int]:
    """Where this word stands in a text, in characters; not inside a longer one."""
    places: list[int] = []
    at = text.find(before)
    while at >= 0:
        if not variants.inside_longer(text, at, at + len(before)):
            places.append(at)
            at += len(before) - 1
        at = text.find(before, at + 1)
    return places


def _grown(old: str, new: str, start: int, end: int, new_start: int, new_end: int) -> tuple[int, int]:
    """A change in `old`, grown to whole words of both texts: 公 in 张公 alone would be changed in 公司 too."""
    begin, stop = start, end
    while start and (_one_word(old, start) or _one_word(new, new_start)):
        start, new_start = start - 1, new_start - 1
    while end < len(old) and (_one_word(old, end) or _one_word(new, new_end)):
        end, new_end = end + 1, new_end + 1
    if end - start > 1 or not old[start:end] or not is_han(old[start]):
        return start, end
    if begin and is_han(old[begin - 1]) and old[begin - 1] not in _FUNCTION:
        return begin - 1, stop
    return (begin, stop + 1) if stop < len(old) and is_han(old[stop]) else (begin, stop)


def _one_word(text: str, at: int) -> bool:
    """Does a word go on over this place?"""
    if not 0 < at < len(text):
        return False
    left, right = text[at - 1], text[at]
    if is_letter(left) and is_letter(right):
        return True
    if not (is_han(left) and is_han(right)):
        return False
    begin, stop = max(0, at - 8), min(len(text), at + 8)
    return at - begin not in words.cuts(text[begin:stop])
