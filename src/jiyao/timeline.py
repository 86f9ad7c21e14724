"""The one clock: samples at 16 kHz while there is audio, whole milliseconds after.

Every other module counts in one of these two units and converts here, so rounding happens in one place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000  # samples per second; what silero VAD, Whisper and Qwen3-ASR are trained on
SAMPLES_PER_MS = SAMPLE_RATE // 1000

Samples = npt.NDArray[np.float32]  # float32 [n], mono, 16 kHz, -1...1: what models hear
Pcm = npt.NDArray[np.int16]  # int16 [n], mono, 16 kHz: how a recording rests in memory, at half the size

_PCM_STEP = np.float32(1 / 32768)  # a power of two: the conversion is exact


@dataclass(frozen=True, order=True)
class Span:
    """A half-open stretch [start, end) of a recording, in samples from its first one."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"not a span: {self.start}..{self.end}")

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def duration_s(self) -> float:
        return len(self) / SAMPLE_RATE

    @property
    def start_ms(self) -> int:
        return to_ms(self.start)

    @property
    def end_ms(self) -> int:
        return to_ms(self.end)


def to_ms(samples: int) -> int:
    """Samples to the nearest millisecond, halves up (integers only: no float ever rounds a time)."""
    return (samples + SAMPLES_PER_MS // 2) // SAMPLES_PER_MS


def seconds_to_ms(seconds: float) -> int:
    """Seconds, as libraries give them, to the nearest millisecond; never negative."""
    return max(0, int(seconds * 1000 + 0.5))


def to_samples(pcm: Pcm) -> Samples:
    """int16 PCM [n] to float32 [n] in -1...1."""
    samples: Samples = np.multiply(pcm, _PCM_STEP, dtype=np.float32)
    return samples


def clock(ms: int) -> str:
    """Milliseconds as `hh:mm:ss`, cut down, not rounded: a stamp must not point past its words."""
    seconds = ms // 1000
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def clock_ms(ms: int, separator: str = ".") -> str:
    """Milliseconds as `hh:mm:ss.mmm` (WebVTT) or, with separator `,`, `hh:mm:ss,mmm` (SubRip)."""
    return f"{clock(ms)}{separator}{ms % 1000:03d}"
