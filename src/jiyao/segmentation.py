"""Where is speech, and where may it be cut: Samples → Parts of clip Spans.

In:  int16 PCM, mono, 16 kHz, block by block for the detector, whole for the cuts.
Out: Parts that tile the recording (3-5 min, the unit of progress and retry), each with the Spans of its clips
     (speech only, at most `max_clip_s`) and of the speech in them. No speech sample is lost or in two clips; long
     silences are in no clip, and since every Span counts samples from the recording's start, they stay in the clock.
From: silero VAD v6 (MIT, snakers4/silero-vad), its ONNX file through onnxruntime: no torch. Hysteresis and its numbers
     follow silero's own get_speech_timestamps. Clips of 15-28 s: shared findings of the Qwen3-ASR ports (MODEL.md).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jiyao.inference import session
from jiyao.timeline import SAMPLE_RATE, Pcm, Samples, Span, to_samples

FRAME = 512  # samples, 32 ms: what silero hears at once
_CONTEXT = 64  # samples of the frame before, put in front of each frame
_STATE = (1, 1, 128)  # LSTM state
_SCRAP = SAMPLE_RATE  # so much speech at least is left behind a cut: a syllable alone cannot be understood
_FRAMES_PER_RUN = 512  # fastest here of 64…10,000 and a tenth of the memory of the largest

Probabilities = npt.NDArray[np.float32]  # float32 [frames], 0…1


@dataclass(frozen=True)
class Cutting:
    """How to cut. Seconds, but for the two probabilities."""

    speech_above: float = 0.5  # silero's default
    silence_below: float = 0.35  # speech once begun ends only under this
    min_speech_s: float = 0.1  # shorter is a click; 嗯 lasts longer
    min_silence_s: float = 0.25  # shorter is a plosive or a breath inside a sentence
    pad_s: float = 0.25  # around speech: VADs bite off soft onsets (n, m, h)
    max_gap_s: float = 2.0  # a longer silence inside a clip invites hallucination
    min_clip_s: float = 15.0  # from here on a clip may end at its longest pause
    max_clip_s: float = 28.0  # models take 30 s
    min_part_s: float = 180.0
    max_part_s: float = 300.0


@dataclass(frozen=True)
class Part:
    """A few minutes of the recording, [span.start, span.end), the spans of the clips in it, and the speech in those."""

    span: Span
    clips: tuple[Span, ...]
    speech: tuple[Span, ...] = ()


class SpeechDetector:
    """Silero VAD over a recording that arrives in blocks of any size. One per recording; not shared by threads."""

    def __init__(self, model: Path) -> None:
        # one thread: decoding runs beside it, and a second gains nothing on 32 ms frames
        self._session = session(model)
        self._h = np.zeros(_STATE, np.float32)
        self._c = np.zeros(_STATE, np.float32)
        self._context: Pcm = np.zeros(_CONTEXT, np.int16)
        self._rest: Pcm = np.zeros(0, np.int16)
        self._probabilities: list[Probabilities] = []

    def feed(self, block: Pcm) -> None:
        """The next samples of the recording, int16 [n]."""
        joined = np.concatenate((self._rest, block)) if len(self._rest) else block
        whole = len(joined) // FRAME * FRAME
        for start in range(0, whole, FRAME * _FRAMES_PER_RUN):
            self._run(joined[start : min(start + FRAME * _FRAMES_PER_RUN, whole)])
        self._rest = joined[whole:].copy()

    def finish(self) -> Probabilities:
        """Speech probability of every 32 ms of what was fed; the last frame is filled up with silence."""
        if len(self._rest):
            self._run(np.pad(self._rest, (0, FRAME - len(self._rest))))
            self._rest = self._rest[:0]
        return np.concatenate(self._probabilities) if self._probabilities else np.zeros(0, np.float32)

    def _run(self, pcm: Pcm) -> None:
        frames = to_samples(pcm).reshape(-1, FRAME)
        contexts = np.empty((len(frames), _CONTEXT), np.float32)
        contexts[0] = to_samples(self._context)
        contexts[1:] = frames[:-1, -_CONTEXT:]
        self._context = pcm[-_CONTEXT:].copy()
        heard, self._h, self._c = self._session.run(
            None, {"input": np.concatenate((contexts, frames), axis=1), "h": self._h, "c": self._c}
        )
        self._probabilities.append(heard.reshape(-1))


def speech_spans(probabilities: Probabilities, n_samples: int, cutting: Cutting) -> list[Span]:
    """Frame probabilities to padded, disjoint spans of speech in [0, n_samples), in order."""
    above = probabilities >= cutting.speech_above
    below = probabilities < cutting.silence_below
    min_silence = max(1, round(cutting.min_silence_s * SAMPLE_RATE / FRAME))
    min_speech = cutting.min_speech_s * SAMPLE_RATE / FRAME
    raw: list[tuple[int, int]] = []
    start: int | None = None
    quiet = 0  # frames below the lower threshold since the last that was not
    for index in range(len(probabilities)):
        if above[index]:
            start = index if start is None else start
            quiet = 0
        elif start is not None and (below[index] or quiet):
            quiet += 1
            if quiet >= min_silence:
                raw.append((start, index + 1 - quiet))
                start, quiet = None, 0
    if start is not None:
        raw.append((start, len(probabilities) - quiet))
    voiced = [(a * FRAME, min(b * FRAME, n_samples)) for a, b in raw if b - a >= min_speech]
    return _padded(voiced, n_samples, round(cutting.pad_s * SAMPLE_RATE))


def _padded(voiced: Sequence[tuple[int, int]], n_samples: int, pad: int) -> list[Span]:
    """Each span grown by `pad` on both sides, but never past the middle of the silence to its neighbour."""
    spans = []
    for index, (start, end) in enumerate(voiced):
        floor = (voiced[index - 1][1] + start) // 2 if index else 0
        ceiling = (end + voiced[index + 1][0]) // 2 if index + 1 < len(voiced) else n_samples
        spans.append(Span(max(floor, start - pad), min(ceiling, end + pad)))
    return spans


def cut(pcm: Pcm, speech: Sequence[Span], cutting: Cutting) -> list[Part]:
    """Spans of speech to Parts of clips. The parts tile [0, len(pcm)); the clips cover all speech, none of it twice."""
    return [
        replace(part, speech=inside(speech, part.span))
        for part in _parts(_clips(pcm, speech, cutting), len(pcm), cutting)
    ]


def inside(spans: Sequence[Span], window: Span) -> tuple[Span, ...]:
    """What of `spans` (disjoint, in order) lies in `window`; those at its edges are cut to it, empty ones left out."""
    first = bisect_right(spans, window.start, key=lambda span: span.end)
    last = bisect_left(spans, window.end, key=lambda span: span.start)
    cut_to = (Span(max(s.start, window.start), min(s.end, window.end)) for s in spans[first:last])
    return tuple(span for span in cut_to if len(span))


def _clips(pcm: Pcm, speech: Sequence[Span], cutting: Cutting) -> list[Span]:
    """Neighbouring spans joined to clips; at the limit a clip ends at its longest pause, or at its quietest point."""
    shortest, longest = round(cutting.min_clip_s * SAMPLE_RATE), round(cutting.max_clip_s * SAMPLE_RATE)
    clips: list[Span] = []
    waiting = list(reversed(speech))  # a stack: what is cut off goes back on top
    group: list[Span] = []
    while waiting:
        span = waiting.pop()
        if group and span.start - group[-1].end > cutting.max_gap_s * SAMPLE_RATE:
            clips.append(Span(group[0].start, group[-1].end))
            group = []
        group.append(span)
        begin = group[0].start
        if span.end - begin <= longest:
            continue
        # too long now: end at the longest pause after `shortest`, if there is one
        pauses = [i for i in range(1, len(group)) if group[i].start - begin >= shortest]
        if pauses:
            best = max(pauses, key=lambda i: group[i].start - group[i - 1].end)
            clips.append(Span(begin, group[best - 1].end))
            waiting.extend(reversed(group[best:]))
        else:
            stretch = to_samples(pcm[begin : span.end])
            point = begin + quietest_point(stretch, shortest, min(longest, len(stretch) - _SCRAP))
            clips.append(Span(begin, point))
            waiting.append(Span(point, span.end))
        group = []
    if group:
        clips.append(Span(group[0].start, group[-1].end))
    return clips


def quietest_point(samples: Samples, start: int, end: int) -> int:
    """The middle of the 100 ms with the least energy in samples[start:end], counted from the first sample."""
    window = SAMPLE_RATE // 10
    if end - start <= window:
        return (start + end) // 2
    power = np.cumsum(np.square(samples[start:end], dtype=np.float64))
    energies = power[window:] - power[:-window]
    return start + int(np.argmin(energies)) + window // 2


def _parts(clips: Sequence[Span], n_samples: int, cutting: Cutting) -> list[Part]:
    """Clips grouped to parts; each part but the last ends in the longest pause between its 3rd and 5th minute."""
    edges = [0, *(edge for clip in clips for edge in (clip.start, clip.end)), n_samples]
    pauses = list(zip(edges[::2], edges[1::2], strict=True))
    parts: list[Part] = []
    begin = 0
    while begin < n_samples:
        end = _part_end(pauses, begin, n_samples, cutting)
        parts.append(Part(Span(begin, end), tuple(clip for clip in clips if begin <= clip.start and clip.end <= end)))
        begin = end
    return parts


def _part_end(pauses: Sequence[tuple[int, int]], begin: int, n_samples: int, cutting: Cutting) -> int:
    shortest, longest = round(cutting.min_part_s * SAMPLE_RATE), round(cutting.max_part_s * SAMPLE_RATE)
    first, last = begin + shortest, begin + longest
    if n_samples <= last:
        return n_samples
    # best, what remains can be two parts or more, or just one; else the recording's last part is a short one
    two_more = first, min(last, n_samples - 2 * shortest)
    one_more = max(first, n_samples - longest), min(last, n_samples - shortest)
    for windows in ((two_more, one_more), ((first, last),)):
        within = [(max(start, lo), min(end, hi)) for lo, hi in windows for start, end in pauses]
        if reachable := [(start, end) for start, end in within if start <= end]:
            start, end = max(reachable, key=lambda pause: pause[1] - pause[0])
            return (start + end) // 2
    return next(start for start, _ in pauses if start >= last)  # a clip longer than that window is wide
