"""Who speaks when: int16 PCM → Turns. Offline, on the processor, without an account anywhere.

    features     log-mel bands
    networks     the two ONNX networks: who speaks at once, whose voice it is
    ecapa        the second one's graph, made from SpeechBrain's checkpoint; `checkpoint` reads that
    activity     the whole recording → stretches of one voice without a pause
    clustering   which of them are the same voice, and how many there are
    turns        turns → segments: who said which words
    naming       names that people give themselves in the text
    known        who sounds like somebody in an earlier recording

Chosen by measurement (LOG.md): stretches between pauses, each embedded once, do better than whole windows of the
segmentation network (pyannote's way, and sherpa-onnx's), which take two similar voices for one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from jiyao import weights
from jiyao.errors import EngineError, WeightsError
from jiyao.speakers import ecapa
from jiyao.speakers.activity import Stretch, stretches
from jiyao.speakers.clustering import MOST, MOST_VOICES, Vectors, centres_of, cut_at, voices_of
from jiyao.speakers.features import HOP, bands
from jiyao.speakers.networks import FRAME, Embedding, Segmentation, VoicePrinter
from jiyao.speakers.turns import Likeness, Names, Turn, Turns
from jiyao.timeline import SAMPLE_RATE, Pcm, to_samples

MODELS = ("pyannote-segmentation-3.0", "ecapa-tdnn")
"""Names in the catalogue of weights."""

_LONG_S = 1.5  # a voice is known by stretches from here on; shorter ones are given to the nearest voice
_LEAST_S = 0.3  # of one voice alone; with less, what is said together is heard too
_LEAST_FRAMES = 10  # the voice network's least
_HALVED_S = 3.0  # stretches from here on are compared with themselves
_MOST_HALVED = 100
_LONGEST_S = 20.0  # of a stretch is enough to know a voice by
_SHARES = 0.15, 0.55, 0.3  # of the work, in a short recording: finding who speaks, whose voice it is, how like itself


Report = Callable[[float], None]


class Diarizer:
    """Both networks, loaded. For one thread. Raises WeightsError where their files are not here, EngineError where
    they do not load."""

    def __init__(self, home: Path, threads: int = 1) -> None:
        segmentation, voices = files(home)
        try:
            self._segmentation = Segmentation(segmentation, threads)
            self._voices = VoicePrinter(voices, threads)
        except Exception as cause:  # onnxruntime's errors have no class of their own
            raise EngineError("speakers.unloadable", reason=type(cause).__name__) from cause

    def heard(self, pcm: Pcm, count: int | None = None, report: Report = lambda _: None) -> Turns:
        """Who speaks when. `count`: of voices, None: as many as there are; `report`: the share done, 0…1."""
        before, length, rest = _SHARES
        found = stretches(pcm, self._segmentation, lambda share: report(share * before))
        if not found:
            return Turns()
        vectors = self._embedded(pcm, found, lambda share: report(before + share * length))
        likeness = self._likeness(pcm, found, lambda share: report(before + length + share * rest))
        labels, centres = _labels(found, vectors, likeness, count)
        return _numbered(found, labels, centres)

    def _embedded(self, pcm: Pcm, found: Sequence[Stretch], report: Report) -> list[Embedding | None]:
        vectors = []
        for index, one in enumerate(found, start=1):
            heard = _features(pcm, one)
            vectors.append(self._voices.embedding(heard) if len(heard) >= _LEAST_FRAMES else None)
            report(index / len(found))
        return vectors

    def _likeness(self, pcm: Pcm, found: Sequence[Stretch], report: Report) -> list[float]:
        """How like itself a voice is here: the halves of long stretches, some of every hour."""
        long = [one for one in found if one.alone_s >= _HALVED_S]
        long = long[:: -(-len(long) // _MOST_HALVED) or 1]
        likeness = []
        for index, one in enumerate(long):
            report(index / len(long))
            heard = _features(pcm, one)
            half = len(heard) // 2
            likeness.append(float(self._voices.embedding(heard[:half]) @ self._voices.embedding(heard[half:])))
        report(1.0)
        return likeness


def files(home: Path) -> tuple[Path, Path]:
    """The two networks' files. Raises WeightsError where one is not here, or not prepared."""
    name, voices = MODELS
    segmentation = weights.locate(name, home) / weights.find_model(name).files[0].path
    folder = weights.prepared(voices, ecapa.KIND, ecapa.VERSION, home)
    if folder is None:
        raise WeightsError("weights.missing", name=voices, folder=home)
    return segmentation, folder / ecapa.GRAPH


def missing(home: Path) -> list[str]:
    """The models that are not here yet."""
    return [name for name in MODELS if not weights.is_present(name, home)]


def ready(home: Path) -> bool:
    """Whether a Diarizer would find its files."""
    try:
        files(home)
    except WeightsError:
        return False
    return True


def prepare(home: Path) -> None:
    """Make the voice network's graph from its checkpoint, once: a second. Raises WeightsError where that is not here,
    EngineError where it is another network."""
    try:
        weights.prepare(MODELS[1], ecapa.KIND, ecapa.VERSION, home, ecapa.build)
    except ValueError as cause:
        raise EngineError("speakers.unloadable", reason=str(cause)) from cause


def _features(pcm: Pcm, one: Stretch) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Of what the voice says alone, if that is enough."""
    heard = bands(to_samples(pcm[one.span.start : one.span.end][: round(_LONGEST_S * SAMPLE_RATE)]))
    if one.alone_s < _LEAST_S:
        return heard
    frames = np.minimum(np.arange(len(heard)) * HOP // FRAME, len(one.alone) - 1)
    return heard[one.alone[frames]]


def _labels(
    found: Sequence[Stretch], vectors: Sequence[Embedding | None], likeness: Sequence[float], count: int | None
) -> tuple[list[int], Vectors]:
    """A voice for every stretch; how each voice sounds, [voices, 192]."""
    seconds = np.array(
        [one.alone_s if vector is not None else -1.0 for one, vector in zip(found, vectors, strict=True)]
    )
    by_length = np.argsort(-seconds, kind="stable")
    known = sorted(place for place in by_length[:MOST] if seconds[place] >= _LONG_S) or [int(by_length[0])]
    if vectors[known[0]] is None:
        return [0] * len(found), np.zeros((1, 0), np.float32)
    stacked: Vectors = np.stack([vector for place in known if (vector := vectors[place]) is not None])
    labels = voices_of(stacked, seconds[known], cut_at(likeness), count)
    centres = centres_of(stacked, seconds[known], labels)
    sure = dict(zip(known, labels.tolist(), strict=True))
    given: list[int] = []
    for place, vector in enumerate(vectors):
        if place in sure:
            given.append(sure[place])
        elif vector is not None:
            given.append(int((centres @ vector).argmax()))
        else:
            given.append(sure[min(sure, key=lambda other: abs(found[other].span.start - found[place].span.start))])
    return given, centres


def _numbered(found: Sequence[Stretch], labels: Sequence[int], centres: Vectors) -> Turns:
    numbers: dict[int, int] = {}
    turns = [Turn(one.span, numbers.setdefault(label, len(numbers))) for one, label in zip(found, labels, strict=True)]
    return Turns(turns, {number: tuple(map(float, centres[label])) for label, number in numbers.items()})


__all__ = [
    "MODELS",
    "MOST_VOICES",
    "Diarizer",
    "Likeness",
    "Names",
    "Turn",
    "Turns",
    "files",
    "missing",
    "prepare",
    "ready",
]
