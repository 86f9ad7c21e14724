"""What the voice network hears: log-mel bands of 10 ms frames.

From: SpeechBrain's Fbank with its defaults (Apache-2.0): 25 ms Hamming windows, triangles in mel that are as wide to
      the right as to the left, decibels cut off 80 below the loudest, the mean taken out.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from jiyao.timeline import SAMPLE_RATE, Samples

HOP = SAMPLE_RATE // 100  # samples from frame to frame
BANDS = 80

_WINDOW = 400  # samples
_LEAST_POWER = 1e-10
_RANGE_DB = 80.0

Features = npt.NDArray[np.float32]  # float32 [frames, 80], decibels


def bands(samples: Samples) -> Features:
    """float32 [1 + n // 160, 80]; frame i is centred on sample 160 · i, beyond the ends there is silence."""
    padded = np.pad(samples, _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::HOP]
    spectrum = np.fft.rfft(frames * _hamming(), axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    decibels: Features = 10.0 * np.log10(np.maximum(power @ _triangles(), _LEAST_POWER))
    return decibels


def levelled(features: Features) -> Features:
    """As the network was trained: nothing more than 80 dB below the loudest, the mean of every band 0."""
    cut = np.maximum(features, features.max() - _RANGE_DB)
    level: Features = (cut - cut.mean(axis=0)).astype(np.float32)
    return level


@cache
def _hamming() -> npt.NDArray[np.float32]:
    turns = np.arange(_WINDOW) / _WINDOW  # periodic, as torch's
    return (0.54 - 0.46 * np.cos(2 * np.pi * turns)).astype(np.float32)


@cache
def _triangles() -> npt.NDArray[np.float32]:
    """float32 [201, 80]."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    width, centre = np.diff(hertz)[:-1], hertz[1:-1]
    slope = (np.linspace(0, SAMPLE_RATE / 2, _WINDOW // 2 + 1)[:, None] - centre) / width
    return np.maximum(0, np.minimum(slope + 1, 1 - slope)).astype(np.float32)
