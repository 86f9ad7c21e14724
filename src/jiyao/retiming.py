"""Words keep their times when a text is changed, cut in two or joined.

In:  a Segment and what became of its text. Out: a Segment whose words, new ones too, have times and confidence where
they can be had. A character that stayed keeps its place in time (longest matching blocks: Ratcliff and Obershelp,
Python's difflib); new ones share the room between those that stayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from jiyao.recognition import Word
from jiyao.text import is_han, lay_out
from jiyao.transcript import Segment

_Times = list[tuple[float, float]]  # ms of each character


def places(segment: Segment) -> list[tuple[int, int]]:
    """Where each word stands in the text, as (from, to) in characters; words that are not there are empty."""
    found = []
    reached = 0
    for word in segment.words:
        start = segment.text.find(word.text, reached)
        if start < 0:
            found.append((reached, reached))
            continue
        reached = start + len(word.text)
        found.append((start, reached))
    return found


def retimed(segment: Segment, text: str) -> Segment:
    """The segment with another text."""
    old = _times(segment)
    new: list[tuple[float, float] | None] = [None] * len(text)
    for block in SequenceMatcher(None, segment.text, text, autojunk=False).get_matching_blocks():
        for step in range(block.size):
            new[block.b + step] = old[block.a + step]
    times = _filled(new, segment.start_ms, segment.end_ms)
    return replace(segment, text=text, words=_words(text, times, segment) if segment.words else ())


def parted(segment: Segment, offset: int) -> tuple[Segment, Segment]:
    """Before and after the character `offset`. Raises ValueError where one side has no text."""
    left, right = segment.text[:offset].rstrip(), segment.text[offset:].lstrip()
    if not left or not right or offset < 0:
        raise ValueError("nothing on one side")
    times = _times(segment)
    start = len(segment.text) - len(right)
    cut_from, cut_to = round(times[len(left) - 1][1]), round(times[start][0])
    cut_to = min(max(cut_to, segment.start_ms), segment.end_ms)
    cut_from = min(max(cut_from, segment.start_ms), cut_to)
    first = replace(segment, text=left, end_ms=cut_from)
    second = replace(segment, text=right, start_ms=cut_to)
    if not segment.words:
        return first, second
    return (
        replace(first, words=_words(left, times[: len(left)], segment)),
        replace(second, words=_words(right, times[start:], segment)),
    )


def joined(first: Segment, second: Segment) -> Segment:
    """One segment of two, the first one's in all that both have."""
    known = [one for one in (first.confidence, second.confidence) if one is not None]
    text, (_, (start, _)) = lay_out((first.text, second.text))
    words = (*_all_words(first, text, 0), *_all_words(second, text, start)) if first.words or second.words else ()
    return replace(
        first,
        end_ms=max(first.end_ms, second.end_ms),
        text=text,
        confidence=min(known) if known else None,
        flags=tuple(dict.fromkeys((*first.flags, *second.flags))),
        timing="measured" if first.timing == second.timing == "measured" else "estimated",
        words=words,
    )


def _all_words(segment: Segment, text: str, start: int) -> tuple[Word, ...]:
    """Its words as they read in `text`, where the segment begins at `start`: marks at the seam may be wider there."""
    words = segment.words or _words(segment.text, _times(segment), segment)
    found = places(replace(segment, words=words))
    return tuple(
        replace(word, text=text[start + left : start + right])
        for word, (left, right) in zip(words, found, strict=True)
        if right > left
    )


def _times(segment: Segment) -> _Times:
    """Of each character: its share of its word; of the segment, where there are no words."""
    known: list[tuple[float, float] | None] = [None] * len(segment.text)
    for word, (start, end) in zip(segment.words, places(segment), strict=True):
        for place in range(start, end):
            step = (word.end_ms - word.start_ms) / (end - start)
            known[place] = (word.start_ms + step * (place - start), word.start_ms + step * (place - start + 1))
    return _filled(known, segment.start_ms, segment.end_ms)


def _filled(known: Sequence[tuple[float, float] | None], start_ms: float, end_ms: float) -> _Times:
    """Characters without a time share what lies between their neighbours."""
    times: _Times = []
    place = 0
    while place < len(known):
        one = known[place]
        if one is not None:
            times.append(one)
            place += 1
            continue
        end = place
        while end < len(known) and known[end] is None:
            end += 1
        before = times[-1][1] if times else start_ms
        following = known[end] if end < len(known) else None
        after = max(before, following[0] if following else end_ms)
        step = (after - before) / (end - place)
        times += [(before + step * index, before + step * (index + 1)) for index in range(end - place)]
        place = end
    return times


def _words(text: str, times: Sequence[tuple[float, float]], segment: Segment) -> tuple[Word, ...]:
    """`text` cut into words, with the confidence of those that are as they were."""
    sure = {(word.text, word.start_ms, word.end_ms): word.confidence for word in segment.words}
    words: list[Word] = []
    earliest = 0
    for start, end in _cut(text):
        from_ms = max(earliest, round(times[start][0]))
        to_ms = max(from_ms, round(times[end - 1][1]))
        earliest = to_ms
        words.append(Word(text[start:end], from_ms, to_ms, sure.get((text[start:end], from_ms, to_ms))))
    return tuple(words)


def _cut(text: str) -> list[tuple[int, int]]:
    """(from, to) of each word: a Han character or a run of letters, with the marks behind it."""
    found: list[tuple[int, int]] = []
    for place, character in enumerate(text):
        if character.isspace():
            continue
        last = found[-1] if found else None
        touches = last is not None and last[1] == place
        if touches and last is not None and not _starts_word(text, last, place):
            found[-1] = (last[0], place + 1)
        else:
            found.append((place, place + 1))
    return found


def _starts_word(text: str, last: tuple[int, int], place: int) -> bool:
    if is_han(text[place]):
        return True
    return text[place].isalnum() and any(is_han(character) for character in text[last[0] : last[1]])
