"""Who speaks at once: the windows' answers laid over each other, cut into stretches of one voice without a pause.

In:  int16 PCM [n]. Out: Stretches, in the order of time. Which of them are the same person is for `clustering`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, permutations

import numpy as np

from jiyao.speakers.networks import FIRST, FRAME, FRAMES, VOICES, WINDOW, Active, Segmentation
from jiyao.timeline import SAMPLE_RATE, Pcm, Span, to_samples

_STEP = WINDOW // 2  # so that every moment is heard in the middle half of a window
_AT_ONCE = 8  # windows
_SHORTEST = 6  # frames, 0.1 s: less is no word
_ORDERS = tuple(list(order) for order in permutations(range(VOICES)))


@dataclass(frozen=True)
class Stretch:
    """One voice without a pause. `alone`: bool [frames], where nobody else speaks; `track`: 0…2, the same for
    neighbours of one voice as far as ten seconds tell."""

    span: Span
    track: int
    alone: Active

    @property
    def alone_s(self) -> float:
        return float(self.alone.sum()) * FRAME / SAMPLE_RATE


def stretches(pcm: Pcm, network: Segmentation, report: Callable[[float], None] = lambda _: None) -> list[Stretch]:
    """`report` is told which share of it is done, 0…1. A tenth of a gigabyte for four hours."""
    active = _tracks(pcm, network, report)
    together = active.sum(axis=1)
    found = []
    for track in range(VOICES):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], active[:, track].view(np.int8), [0]))))
        for first, last in edges.reshape(-1, 2):
            span = Span(min(_sample(first), len(pcm)), min(_sample(last), len(pcm)))
            if last - first >= _SHORTEST and len(span):
                found.append(Stretch(span, track, together[first:last] == 1))
    return sorted(found, key=lambda one: (one.span, one.track))


def _sample(frame: int) -> int:
    """Where a frame begins; the first begins with the recording."""
    return int(frame) * FRAME + FIRST if frame else 0


def _tracks(pcm: Pcm, network: Segmentation, report: Callable[[float], None]) -> Active:
    """bool [frames of the recording, 3]: each moment from the window that has it nearest to its middle, the voices
    of every window named as those of the one before."""
    starts = _starts(len(pcm))
    frames = -(-len(pcm) // FRAME)
    tracks = np.zeros((frames, VOICES), np.bool_)
    places = [round(start / FRAME) for start in starts]
    edges = [0, *((left + right + FRAMES) // 2 for left, right in pairwise(places)), frames]
    before: Active | None = None
    for at in range(0, len(starts), _AT_ONCE):
        windows = network.active(np.stack([_window(pcm, start) for start in starts[at : at + _AT_ONCE]]))
        for index, window in enumerate(windows, start=at):
            if before is not None:
                window = _renamed(window, before, places[index] - places[index - 1])
            begin, end = edges[index], min(edges[index + 1], places[index] + FRAMES, frames)
            tracks[begin:end] = window[begin - places[index] : end - places[index]]
            before = window
        report((at + len(windows)) / len(starts))
    return tracks


def _starts(n_samples: int) -> list[int]:
    """The last window ends with the recording: silence put behind it is heard as another voice."""
    last = max(0, n_samples - WINDOW)
    return sorted({*range(0, last, _STEP), last})


def _window(pcm: Pcm, start: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    samples = to_samples(pcm[start : start + WINDOW])
    return np.pad(samples, (0, WINDOW - len(samples)))


def _renamed(window: Active, before: Active, shift: int) -> Active:
    """The window's voices in the order in which they agree most with those before, where the two overlap."""
    ours, theirs = window[: FRAMES - shift], before[shift:]
    best = max(_ORDERS, key=lambda order: int((ours[:, order] & theirs).sum()) - int((ours[:, order] ^ theirs).sum()))
    return window[:, best]
