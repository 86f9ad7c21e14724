"""Word times from a forced aligner, where an engine could only estimate them.

In:  what the guards let through, clip by clip, and an Aligner or None.
Out: the same, text untouched; the words' times measured where the aligner can be believed, else estimated as before.
From: Qwen3-ForcedAligner (MODEL.md): its items have no punctuation, stand on a grid of 80 ms, and are often empty,
     equal or out of order. They are mapped to the words by their letters, what runs back is dropped, the rest moved as
     little as gives order and a shortest duration (isotonic regression, pool adjacent violators: Barlow et al. 1972).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import pairwise

from jiyao.audio import Note
from jiyao.errors import JiyaoError
from jiyao.recognition import Aligner, Clip, Recognition, Word

MIN_MS = 40  # no spoken syllable is shorter
_GRID_MS = 80  # the aligner's step: an item it calls empty may last that long, where nothing else is said
MARGIN_MS = 200  # a word may stand so far outside what the VAD calls speech: its edges are soft
_TRUSTED_SHARE = 0.6  # of the letters; with fewer the aligner heard something else
_PATIENCE = 3  # failures on end after which it is not asked again: each may have cost seconds

_Place = tuple[float, float]  # start, end in ms from the clip's start


class Alignment:
    """One recording's word times. `note` says afterwards what went wrong, if something did."""

    def __init__(self, aligner: Aligner | None) -> None:
        self._aligner = aligner
        self._failed_on_end = 0
        self._clips_failed = 0
        self._reason = ""

    @property
    def note(self) -> Note | None:
        if not self._clips_failed:
            return None
        return Note("alignment.failed", {"count": self._clips_failed, "reason": self._reason}, warning=True)

    def timed(
        self, clips: Sequence[Clip], results: Iterable[tuple[int, Recognition]]
    ) -> Iterator[tuple[int, Recognition]]:
        """`results` one by one, each as soon as it is there. Whatever the aligner does, every text goes on."""
        for index, heard in results:
            if self._aligner is None or heard.timing == "measured" or not heard.words:
                yield index, heard
                continue
            try:
                better = self._measured(self._aligner, clips[index], heard)
            except KeyboardInterrupt:
                yield index, heard
                raise
            yield index, better

    def _measured(self, aligner: Aligner, clip: Clip, heard: Recognition) -> Recognition:
        if self._failed_on_end < _PATIENCE:
            try:
                [items] = aligner.align([clip], [heard.text], [heard.language])
                better = with_times(heard, items, clip)
            except Exception as cause:  # a fault of our own must not take the text either
                self._failed_on_end += 1
                known = cause.parameters.get("reason", cause.key) if isinstance(cause, JiyaoError) else None
                self._reason = str(known or type(cause).__name__)
            else:
                self._failed_on_end = 0
                return better
        self._clips_failed += 1
        return heard


def with_times(heard: Recognition, items: Sequence[Word], clip: Clip) -> Recognition:
    """`heard` with the times of the aligner's raw `items`; as it was where they cannot be believed.

    The words run forward, last `MIN_MS` or more where there is room, and stand inside the clip, at most `MARGIN_MS`
    outside speech.
    """
    regions = _regions(clip)
    anchors, matched = _anchors(heard.words, items)
    trusted = _trusted(anchors, regions)
    letters = sum(c.isalnum() for word in heard.words for c in word.text)
    if sum(matched[index] for index in trusted) < max(1, _TRUSTED_SHARE * letters):
        return heard
    places = _filled(heard.words, {index: anchors[index] for index in trusted}, regions)
    repaired = _repaired(places, regions)
    if repaired is None:
        return heard
    words = (replace(word, start_ms=a, end_ms=b) for word, (a, b) in zip(heard.words, repaired, strict=True))
    return replace(heard, words=tuple(words), timing="measured")


def _regions(clip: Clip) -> list[tuple[int, int]]:
    """Where words may stand: speech with its margin, in ms from the clip's start."""
    regions: list[tuple[int, int]] = []
    for start, end in clip.speech_ms():
        start, end = max(0, start - MARGIN_MS), min(clip.duration_ms, end + MARGIN_MS)
        if regions and start <= regions[-1][1]:
            regions[-1] = (regions[-1][0], end)
        else:
            regions.append((start, end))
    return regions


# from items to words


def _anchors(words: Sequence[Word], items: Sequence[Word]) -> tuple[dict[int, _Place], list[int]]:
    """Where the aligner puts each word, and how many of each word's letters it has."""
    letters = [(c.lower(), index) for index, word in enumerate(words) for c in word.text if c.isalnum()]
    heard: list[tuple[str, _Place]] = []
    for item in items:
        spoken = [c.lower() for c in item.text if c.isalnum()]
        step = (item.end_ms - item.start_ms) / max(1, len(spoken))
        heard += [(c, (item.start_ms + i * step, item.start_ms + (i + 1) * step)) for i, c in enumerate(spoken)]
    anchors: dict[int, _Place] = {}
    matched = [0] * len(words)
    for here, there in _side_by_side([c for c, _ in letters], [c for c, _ in heard]):
        index, (start, end) = letters[here][1], heard[there][1]
        matched[index] += letters[here][0] == heard[there][0]
        anchors[index] = (anchors.get(index, (start, end))[0], end)
    return anchors, matched


def _side_by_side(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Places of the same letter in both, in order. Stretches that differ but are of equal length go one to one."""
    if ours == theirs:
        yield from ((i, i) for i in range(len(ours)))
        return
    for _, a, a_end, b, b_end in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if a_end - a == b_end - b:
            yield from zip(range(a, a_end), range(b, b_end), strict=True)


def _trusted(anchors: dict[int, _Place], regions: Sequence[tuple[int, int]]) -> list[int]:
    """The words whose place can be right: not turned round, beside speech, in order, and not one of a heap."""
    inside = [
        index
        for index, (start, end) in sorted(anchors.items())
        if start <= end and any(start <= last and end >= first for first, last in regions)
    ]
    kept = [inside[i] for i in _longest_forward([anchors[index][0] for index in inside])]
    heap = {b for a, b in pairwise(kept) if anchors[b] == anchors[a] and anchors[b][0] == anchors[b][1]}
    return [index for index in kept if index not in heap]


def _longest_forward(values: Sequence[float]) -> list[int]:
    """Places of a longest subsequence that never falls (patience sorting)."""
    tails: list[float] = []
    last: list[int] = []  # last[n]: place of the smallest value that ends a run of n + 1
    before: list[int] = []
    for place, value in enumerate(values):
        length = bisect_right(tails, value)
        before.append(last[length - 1] if length else -1)
        tails[length:] = [value] if length == len(tails) else [value, *tails[length + 1 :]]
        last[length:] = [place] if length == len(last) else [place, *last[length + 1 :]]
    found: list[int] = []
    place = last[-1] if last else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return found[::-1]


# from places to times


def _filled(
    words: Sequence[Word], trusted: dict[int, _Place], regions: Sequence[tuple[int, int]]
) -> list[tuple[float, float]]:
    """A place for every word: between two trusted ones the estimates, stretched to the gap. Starts never fall."""
    places: list[_Place] = []
    known = sorted(trusted)
    for before, after in pairwise([-1, *known, len(words)]):
        unknown = words[before + 1 : after]
        if unknown:
            first_ms, estimate_ms = unknown[0].start_ms, unknown[-1].end_ms - unknown[0].start_ms
            right = trusted[after][0] if after < len(words) else float(regions[-1][1])
            left = min(trusted[before][1], right) if before >= 0 else float(regions[0][0])
            if before < 0:
                left = min(max(left, right - estimate_ms), right)
            elif after == len(words):
                right = max(min(right, left + estimate_ms), left)
            scale = (right - left) / max(1, estimate_ms)
            places += [(left + (w.start_ms - first_ms) * scale, left + (w.end_ms - first_ms) * scale) for w in unknown]
        if after < len(words):
            places.append(trusted[after])
    ends = [*(start for start, _ in places[1:]), float("inf")]
    return [(start, max(start, min(end, limit))) for (start, end), limit in zip(places, ends, strict=True)]


def _repaired(places: Sequence[_Place], regions: Sequence[tuple[int, int]]) -> list[tuple[int, int]] | None:
    """Whole ms: in order, inside the regions, none shorter than `MIN_MS` where there is room; None if there is none."""
    rows: list[list[_Place]] = [[] for _ in regions]
    reached = 0
    for place in places:
        reached = max(reached, max(range(len(regions)), key=lambda i: _nearness(place, regions[i])))
        rows[reached].append(place)
    times: list[tuple[int, int]] = []
    for row, (low, high) in zip(rows, regions, strict=True):
        if not row:
            continue
        shortest = min(MIN_MS, (high - low) // len(row))
        if shortest == 0:
            return None
        starts = _spaced([start for start, _ in row], shortest, low, high)
        for (_, end), start, limit in zip(row, starts, [*starts[1:], high], strict=True):
            times.append((start, min(max(round(end), start + _GRID_MS), limit)))
    return times


def _nearness(place: _Place, region: tuple[int, int]) -> float:
    """How much of the place lies in the region; below zero: how far off it is."""
    return min(place[1], region[1]) - max(place[0], region[0])


def _spaced(starts: Sequence[float], gap: int, low: int, high: int) -> list[int]:
    """Starts `gap` or more apart, the last `gap` before `high`, moved as little as can be (least squares)."""
    blocks: list[tuple[float, int]] = []  # mean, how many
    for index, start in enumerate(starts):
        mean, count = start - index * gap, 1
        while blocks and blocks[-1][0] > mean:
            other, others = blocks.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        blocks.append((mean, count))
    level = [mean for mean, count in blocks for _ in range(count)]
    most = high - len(starts) * gap
    return [round(min(max(mean, low), most)) + index * gap for index, mean in enumerate(level)]
