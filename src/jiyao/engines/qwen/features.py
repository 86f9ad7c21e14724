"""Log-mel features of Qwen3-ASR, in numpy: what the CPU engine hears.

In:  samples float32 [n], 16 kHz. Out: float32 [128, n // 160], 100 frames a second.
From: Whisper's front end (Radford et al. 2022, section 2.2) with 128 slaney mels; the original package pads what is
      shorter than half a second with zeros. Equal to transformers' Qwen3ASRFeatureExtractor over one clip, which a test
      compares (over a batch that one also hears the padding).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from jiyao.timeline import SAMPLE_RATE, Samples

Floats = npt.NDArray[np.float32]

MELS = 128
HOP = 160  # samples: 10 ms
_WINDOW = 400  # samples: 25 ms
_MIN_SAMPLES = SAMPLE_RATE // 2  # the model gives nothing for less
_FLOOR = 1e-10  # power under which the logarithm would run away
_RANGE = 8.0  # decades kept below the loudest value: 80 dB


def padded(samples: Samples) -> Samples:
    """At least half a second, zeros at the end."""
    return np.pad(samples, (0, max(0, _MIN_SAMPLES - len(samples))))


def log_mel(samples: Samples) -> Floats:
    """Features float32 [128, frames] of one clip; 0.5 s at least (see `padded`)."""
    sound = np.pad(padded(samples), _WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW)[::HOP][:-1]
    power = np.square(np.abs(np.fft.rfft(frames * _hann()))).astype(np.float32)
    decades = np.log10(np.maximum(power @ _filters(), _FLOOR))
    return np.ascontiguousarray(((np.maximum(decades, decades.max() - _RANGE) + 4.0) / 4.0).T)


@cache
def _hann() -> Floats:
    # periodic, as for spectra: numpy's own window is symmetric
    return np.hanning(_WINDOW + 1)[:-1].astype(np.float32)


@cache
def _filters() -> Floats:
    """Triangles [201, 128] on Slaney's mel scale (linear below 1 kHz, logarithmic above), each of area one."""
    hertz = _hertz(np.linspace(0.0, _mel(SAMPLE_RATE / 2), MELS + 2))
    bins = np.linspace(0.0, SAMPLE_RATE / 2, _WINDOW // 2 + 1)
    rising = (bins[:, None] - hertz[None, :-2]) / np.diff(hertz)[None, :-1]
    falling = (hertz[None, 2:] - bins[:, None]) / np.diff(hertz)[None, 1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (hertz[2:] - hertz[:-2]))).astype(np.float32)


_LINEAR_HZ = 200.0 / 3  # hertz a mel below 1 kHz
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27.0  # above it: 27 mels for a factor of 6.4


def _mel(hertz: float) -> float:
    return float(_KNEE_MEL + np.log(hertz / _KNEE_HZ) / _LOG_STEP) if hertz > _KNEE_HZ else hertz / _LINEAR_HZ


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mels, _KNEE_MEL) - _KNEE_MEL))
    return np.where(mels > _KNEE_MEL, above, mels * _LINEAR_HZ)
