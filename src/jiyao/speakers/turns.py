"""Turns to segments: who said which words. A segment in which the voice changes comes apart between two words.

In:  segments and Turns. Out: the segments, in more pieces, each with its speaker.
Word times may be estimates, a few syllables off: a change of voice inside a sentence must be worth more than that, and
costs nothing after a mark that ends a clause (the cheapest way through all words: Viterbi 1967). A short 嗯 of another
voice stays a turn of its own; a word is never cut. Where two voices are heard at once for longer than that, an engine
may have written down one of them only: the segment is flagged.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from jiyao.recognition import Word
from jiyao.retiming import parted
from jiyao.timeline import Span
from jiyao.transcript import Segment, places

Names = Callable[[int], str]
"""Voice → what it is called."""

_CHANGE_S = 0.35  # so much of words in another voice is put up with rather than a change in mid-clause
_MARKED_CHANGE_S = 0.05  # after a mark
_MARKS = tuple("。！？，、；：…!?,;:.")
_TOGETHER_MS = 500  # two voices at once for so long: more than a 嗯, or than one who begins before the other has ended
_NEAR_MS = 1_500  # words outside all turns are given to who speaks within this


@dataclass(frozen=True, order=True)
class Turn:
    """A stretch of one voice. Those of two voices may overlap. `voice`: 0, 1, 2 … in the order of first words."""

    span: Span
    voice: int


Likeness = tuple[float, ...]
"""How a voice sounds: a direction, of length 1 (192 values of the voice network); empty where nobody can tell."""


class Turns:
    """All turns of a recording, who has which words, and how the voices sound."""

    def __init__(self, turns: Iterable[Turn] = (), likenesses: Mapping[int, Likeness] | None = None) -> None:
        self.turns = tuple(sorted(turns))
        self.likenesses = dict(likenesses or {})
        self._turns = sorted((turn.span.start_ms, turn.span.end_ms, turn.voice) for turn in self.turns)
        self._longest_ms = max((end - start for start, end, _ in self._turns), default=0)
        self._voices = sorted({voice for _, _, voice in self._turns})
        self._together = list(_together(self._turns))  # disjoint, in order

    def __bool__(self) -> bool:
        return bool(self._turns)

    def spoken(self, segment: Segment, names: Names) -> list[Segment]:
        """The segment with its speaker, in pieces where there are several; as it is where nobody speaks near it."""
        return [self._flagged(piece) for piece in self._pieces(segment, names)]

    def _flagged(self, piece: Segment) -> Segment:
        first = bisect_left(self._together, piece.start_ms, key=lambda span: span[1])
        ms = 0
        for start, end in self._together[first:]:
            if start >= piece.end_ms:
                break
            ms += min(end, piece.end_ms) - max(start, piece.start_ms)
        if ms < _TOGETHER_MS or "overlap" in piece.flags:
            return piece
        return replace(piece, flags=(*piece.flags, "overlap"))

    def _pieces(self, segment: Segment, names: Names) -> list[Segment]:
        if not segment.words:
            voice = self.voice_of(segment)
            return [segment if voice is None else replace(segment, speaker=names(voice))]
        near = sorted(self._shares(segment.start_ms - _NEAR_MS, segment.end_ms + _NEAR_MS))
        if not near:
            return [segment]
        voices = self._way(segment.words, near)
        pieces: list[Segment] = []
        rest, cut_off, last = segment, 0, voices[0]
        for (start, _), voice in zip(places(segment), voices, strict=True):
            if voice == last or not segment.text[cut_off:start].strip():
                last = voice
                continue
            first, rest = parted(rest, start - cut_off)
            cut_off = len(segment.text) - len(rest.text)
            pieces.append(replace(first, speaker=names(last)))
            last = voice
        return [*pieces, replace(rest, speaker=names(last))]

    def voice_of(self, segment: Segment) -> int | None:
        """The voice that has most of it; None where nobody speaks near it."""
        start_ms, end_ms = segment.start_ms, segment.end_ms
        shares = self._shares(start_ms, end_ms) or self._shares(start_ms - _NEAR_MS, end_ms + _NEAR_MS)
        return max(shares, key=lambda voice: (shares[voice], -voice)) if shares else None

    def called(self, segments: Iterable[Segment]) -> dict[int, str]:
        """What the voices are called in these segments: by the name that each has most in common with."""
        return {voice: max(names, key=lambda name: names[name]) for voice, names in self._shared(segments).items()}

    def named(self, segments: Iterable[Segment], name: Names) -> dict[int, str]:
        """A name for every voice, no two alike: those in the segments to whom they fit best, `name(0)`, `name(1)` … for
        the others."""
        shared = self._shared(segments)
        fits = sorted(((ms, -voice, one) for voice, names in shared.items() for one, ms in names.items()), reverse=True)
        found: dict[int, str] = {}
        for _, voice, one in fits:
            if -voice not in found and one not in found.values():
                found[-voice] = one
        unused = (one for number in count() if (one := name(number)) not in found.values())
        return {voice: found[voice] if voice in found else next(unused) for voice in self._voices}

    def _shared(self, segments: Iterable[Segment]) -> dict[int, Counter[str]]:
        """voice → ms that it has in common with each name."""
        shared: dict[int, Counter[str]] = {}
        for segment in segments:
            if segment.speaker is not None:
                for voice, ms in self._shares(segment.start_ms, segment.end_ms).items():
                    shared.setdefault(voice, Counter())[segment.speaker] += ms
        return shared

    def _way(self, words: Sequence[Word], near: Sequence[int]) -> list[int]:
        """A voice for each word."""
        costs = dict.fromkeys(near, 0.0)  # s, of the cheapest way to here that ends with this voice
        ways: list[dict[int, int]] = []
        change = 0.0
        for word in words:
            cheapest = min(near, key=lambda voice: costs[voice])
            way = {voice: voice if costs[voice] <= costs[cheapest] + change else cheapest for voice in near}
            wrong = self._wrong_s(word, near)
            costs = {one: costs[way[one]] + (change if way[one] != one else 0.0) + wrong[one] for one in near}
            ways.append(way)
            change = _MARKED_CHANGE_S if word.text.endswith(_MARKS) else _CHANGE_S
        voice = min(near, key=lambda one: costs[one])
        found: list[int] = []
        for way in reversed(ways):
            found.append(voice)
            voice = way[voice]
        return found[::-1]

    def _wrong_s(self, word: Word, near: Sequence[int]) -> dict[int, float]:
        """For each voice: how much of the word others have and it has not."""
        shares = self._shares(word.start_ms, word.end_ms)
        most = max(shares.values(), default=0)
        return {voice: (most - shares.get(voice, 0)) / 1000 for voice in near}

    def _shares(self, start_ms: int, end_ms: int) -> dict[int, int]:
        """voice → ms of it between these two."""
        shares: dict[int, int] = {}
        for place in range(bisect_left(self._turns, (start_ms - self._longest_ms,)), len(self._turns)):
            begin, end, voice = self._turns[place]
            if begin >= end_ms:
                break
            ms = min(end, end_ms) - max(begin, start_ms)
            if ms > 0:
                shares[voice] = shares.get(voice, 0) + ms
        return shares


def _together(turns: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """Where at least two voices are heard. `turns`: (start_ms, end_ms, voice), in order."""
    edges = sorted((at, step, voice) for start, end, voice in turns for at, step in ((start, 1), (end, -1)))
    heard: Counter[int] = Counter()
    begun = 0
    for at, step, voice in edges:
        before = len(heard)
        heard[voice] += step
        if not heard[voice]:
            del heard[voice]
        if before < 2 <= len(heard):
            begun = at
        elif len(heard) < 2 <= before and at > begun:
            yield begun, at
