"""Frames of one rate, format and channel layout → blocks of 16 kHz mono int16."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from jiyao.timeline import SAMPLE_RATE, Pcm

_BLOCK_S = 5  # decoded per block, which is held beside the PCM; longer ones are no faster and miss the CPU's cache
_BLOCK_VALUES = 1 << 20  # of all channels together: many channels or high rates make shorter blocks
_CANCELS = 0.025  # two channels whose mean keeps less than this share of their energy: one of them is upside down


class Mixer:
    """Frames of one rate, format and layout → blocks of 16 kHz mono int16."""

    def __init__(self, first: av.AudioFrame) -> None:
        self._shape = _shape(first)
        channels = len(first.layout.channels)
        # FFmpeg mixes layouts of 3 to 8 channels that it knows by name; stereo and microphone arrays are averaged here
        self._by_hand = channels == 2 or channels > 8 or "channels" in first.layout.name
        self._fifo = av.AudioFifo()
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        self._block = min(_BLOCK_S * first.sample_rate, _BLOCK_VALUES // channels)

    def takes(self, frame: av.AudioFrame) -> bool:
        return _shape(frame) == self._shape

    def feed(self, frame: av.AudioFrame) -> Iterator[Pcm]:
        frame.pts = None  # the fifo must not stop at broken time stamps; the decoder has read them
        self._fifo.write(frame)
        if self._fifo.samples >= self._block:
            yield from self._convert(self._fifo.read(0))

    def drain(self) -> Iterator[Pcm]:
        rest = self._fifo.read(0, partial=True)
        if rest is not None:
            yield from self._convert(rest)
        yield from self._convert(None)

    def _convert(self, frame: av.AudioFrame | None) -> Iterator[Pcm]:
        if frame is not None:
            frame.pts = None
            if self._by_hand:
                frame = _averaged(frame)
        for converted in self._resampler.resample(frame):
            yield converted.to_ndarray().reshape(-1).astype(np.int16, copy=False)


def _shape(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def _averaged(frame: av.AudioFrame) -> av.AudioFrame:
    """The mean of all channels; of two that cancel each other, as a balanced microphone in a stereo socket records
    them, half their difference."""
    values: npt.NDArray[Any] = frame.to_ndarray()
    rows = values if frame.format.is_planar else values.reshape(-1, len(frame.layout.channels)).T
    zero = 128 if values.dtype == np.uint8 else 0
    full = float(np.iinfo(values.dtype).max + 1 - zero) if values.dtype.kind in "iu" else 1.0
    with np.errstate(all="ignore"):  # a damaged file of floats may hold anything
        if len(rows) == 2:  # by far the most frequent; sums are ten times faster than `mean` where samples interleave
            mixed = np.add(rows[0], rows[1], dtype=np.float32) / 2 - zero
            sides = rows[:, ::8].astype(np.float32) - zero
            if np.sum(np.square(mixed[::8])) < _CANCELS * np.sum(np.square(sides)):
                mixed = np.subtract(rows[0], rows[1], dtype=np.float32) / 2
        else:
            mixed = rows.mean(axis=0, dtype=np.float32) - zero
        mixed /= full
    averaged = av.AudioFrame.from_ndarray(mixed.reshape(1, -1), format="fltp", layout="mono")
    averaged.sample_rate = frame.sample_rate
    return averaged
