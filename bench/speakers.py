"""Who spoke when: DER of every RTTM in a folder, the number of speakers free, and what it costs.

    PYTHONPATH=. .venv/bin/python -m bench.speakers FOLDER…          each NAME.rttm with a recording NAME.* beside it
                                                    --hours 2        the first of them again and again: speed, memory

DER by pyannote.metrics: collar 0.25 s in all, 0.125 s before and after each edge of the reference (md-eval's ±0.25 s
would be milder), overlap included.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jiyao import settings, speakers
from jiyao.audio import decode
from jiyao.speakers import Diarizer, Turn
from jiyao.timeline import SAMPLE_RATE, Pcm

COLLAR_S = 0.25


@dataclass(frozen=True)
class Score:
    """Seconds of the reference, and of what is wrong in it; `found`, `expected`: speakers."""

    total_s: float
    missed_s: float
    false_s: float
    confused_s: float
    found: int
    expected: int

    @property
    def der(self) -> float:
        return (self.missed_s + self.false_s + self.confused_s) / self.total_s


def read_rttm(path: Path) -> list[tuple[float, float, str]]:
    """(from, to, who), in seconds."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return [(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows if row and row[0] == "SPEAKER"]


def score(reference: list[tuple[float, float, str]], turns: Sequence[Turn], duration_s: float) -> Score:
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    expected, found = Annotation(), Annotation()
    for index, (begin, end, who) in enumerate(reference):
        expected[Segment(begin, end), index] = who
    for index, turn in enumerate(turns):
        found[Segment(turn.span.start / SAMPLE_RATE, turn.span.end / SAMPLE_RATE), index] = turn.voice
    metric = DiarizationErrorRate(collar=COLLAR_S)
    parts = metric(expected, found, uem=Timeline([Segment(0, duration_s)]), detailed=True)
    voices = len({turn.voice for turn in turns})
    return Score(
        parts["total"],
        parts["missed detection"],
        parts["false alarm"],
        parts["confusion"],
        voices,
        len(expected.labels()),
    )


def pairs(folder: Path) -> list[tuple[Path, Path]]:
    """(recording, its RTTM)."""
    found = []
    for rttm in sorted(folder.glob("*.rttm")):
        sounds = [path for path in sorted(folder.glob(f"{rttm.stem}.*")) if path.suffix not in (".rttm", ".json")]
        found += [(sound, rttm) for sound in sounds[:1]]
    return found


def pcm_of(path: Path) -> Pcm:
    with path.open("rb") as file:
        return decode(file).pcm


def long_run(diarizer: Diarizer, pcm: Pcm, hours: float) -> None:
    whole = np.tile(pcm, int(hours * 3600 * SAMPLE_RATE) // len(pcm) + 1)[: int(hours * 3600 * SAMPLE_RATE)]
    before, began, cpu = _peak_mb(), time.perf_counter(), time.process_time()
    turns = diarizer.heard(whole).turns
    took, used = time.perf_counter() - began, time.process_time() - cpu
    print(
        f"{hours} h: {took:.0f} s = {took / (hours * 3600):.2%} of real time, {used:.0f} s of processor; "
        f"{len({turn.voice for turn in turns})} voices; at most {_peak_mb() - before} MB beside the PCM and networks"
    )


def _peak_mb() -> int:
    """The most that this process ever held (POSIX; Linux counts in KB)."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--hours", type=float, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    home = settings.load().home
    speakers.prepare(home)
    diarizer = Diarizer(home, arguments.threads)
    files = [pair for folder in arguments.folders for pair in pairs(folder)]
    print(f"{'recording':28} {'DER':>7} {'missed':>7} {'false':>7} {'wrong':>7}  voices  of real time")
    for sound, rttm in files:
        pcm = pcm_of(sound)
        began = time.perf_counter()
        turns = diarizer.heard(pcm).turns
        took = time.perf_counter() - began
        duration_s = len(pcm) / SAMPLE_RATE
        one = score(read_rttm(rttm), turns, duration_s)
        parts = " ".join(f"{part / one.total_s:7.1%}" for part in (one.missed_s, one.false_s, one.confused_s))
        print(f"{sound.name:28} {one.der:7.1%} {parts}  {one.found}/{one.expected}     {took / duration_s:.2%}")
    if arguments.hours:
        long_run(diarizer, pcm_of(files[0][0]), arguments.hours)


if __name__ == "__main__":
    main()
