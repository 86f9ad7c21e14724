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
from jiyao.transcript import Correction, Rule, Segment, places

_Times = list[tuple[float, float]]  # ms of each character


def retimed(segment: Segment, text: str) -> Segment:
    """The segment with another text."""
    old = _times(segment)
    new: list[tuple[float, float] | None] = [None] * len(text)
    corrections: list[Correction] = []
    for block in SequenceMatcher(None, segment.text, text, autojunk=False).get_matching_blocks():
        for step in range(block.size):
            new[block.b + step] = old[block.a + step]
        corrections += _between(segment, block.a, block.a + block.size, block.b - block.a)
    times = _filled(new, segment.start_ms, segment.end_ms)
    words = _words(text, times, segment) if segment.words else ()
    return replace(segment, text=text, words=words, corrections=tuple(corrections))


def corrected(segment: Segment, start: int, before: str, after: str, rule: Rule, score: float | None = None) -> Segment:
    """`after` in the place of `before`, which stands at the character `start`; set as `text` sets it, and on record.

    What was corrected in this very place before is taken up: the record keeps what was heard. Raises ValueError where
    `before` is not there.
    """
    changed, place = _replaced(segment, start, before, after)
    earlier = next((one for one in segment.corrections if (one.start, one.after) == (start, before)), None)
    after = changed.text[place : place + len(after)]  # a mark in it may be wider beside Han
    record = Correction(place, earlier.before if earlier else before, after, rule, score)
    corrections = sorted((*changed.corrections, record), key=lambda one: one.start)
    return replace(changed, corrections=tuple(corrections))


def reverted(segment: Segment, correction: Correction) -> Segment:
    """Without one of its corrections. Raises ValueError for one that is not there."""
    if correction not in segment.corrections:
        raise ValueError("no such correction")
    return _replaced(segment, correction.start, correction.after, correction.before)[0]


def _replaced(segment: Segment, start: int, before: str, after: str) -> tuple[Segment, int]:
    """The segment with `after`, in the time of `before`, and where it begins; no record is left of that place."""
    end = start + len(before)
    if not before or start < 0 or segment.text[start:end] != before:
        raise ValueError("not there")
    left, right = segment.text[:start].rstrip(), segment.text[end:].lstrip()
    head = _set(segment.text[:start], after)
    text = _set(head, segment.text[end:])
    place, behind = len(head) - len(after), len(text) - len(right)
    old = _times(segment)
    times: list[tuple[float, float] | None] = [None] * len(text)
    times[: len(left)] = old[: len(left)]
    times[behind:] = old[len(old) - len(right) :] if right else []
    from_ms, to_ms = old[start][0], old[end - 1][1]
    step = (to_ms - from_ms) / max(1, len(after))
    times[place : place + len(after)] = [(from_ms + step * i, from_ms + step * (i + 1)) for i in range(len(after))]
    words = _words(text, _filled(times, segment.start_ms, segment.end_ms), segment) if segment.words else ()
    corrections = (
        *_between(segment, 0, start, 0),
        *_between(segment, end, len(segment.text), behind - (len(segment.text) - len(right))),
    )
    return replace(segment, text=text, words=words, corrections=corrections), place


def _set(left: str, right: str) -> str:
    """Both in one text: where Han is on one side of the seam, spaced as `text` does it; else as they stand."""
    before, after = left.rstrip(), right.lstrip()
    if before and after and not is_han(before[-1]) and not is_han(after[0]):
        return left + right
    return lay_out((before, after))[0]


def _between(segment: Segment, start: int, end: int, moved: int) -> list[Correction]:
    """The corrections that lie in these characters, moved by so many."""
    inside = (one for one in segment.corrections if start <= one.start and one.end <= end)
    return [replace(one, start=one.start + moved) for one in inside]


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
    first = replace(segment, text=left, end_ms=cut_from, corrections=tuple(_between(segment, 0, len(left), 0)))
    corrections = _between(segment, start, len(segment.text), -start)
    second = replace(segment, text=right, start_ms=cut_to, corrections=tuple(corrections))
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
    corrections = (*first.corrections, *_between(second, 0, len(second.text), start))
    return replace(
        first,
        end_ms=max(first.end_ms, second.end_ms),
        text=text,
        confidence=min(known) if known else None,
        flags=tuple(dict.fromkeys((*first.flags, *second.flags))),
        timing="measured" if first.timing == second.timing == "measured" else "estimated",
        words=words,
        corrections=tuple(one for one in corrections if text[one.start : one.end] == one.after),
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
    wide_mark = not text[place - 1].isalnum() and not text[place - 1].isascii()
    return text[place].isalnum() and (wide_mark or any(is_han(character) for character in text[last[0] : last[1]]))
