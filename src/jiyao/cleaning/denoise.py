"""Noise taken out of a voice: int16 PCM block by block → int16 PCM, as long, sample for sample at the same place.

In:  int16 PCM, mono, 16 kHz, in blocks of any size.
Out: the same number of samples; while blocks arrive, what comes back lags by less than a window. The result does not.
From: GTCRN (MIT, Rong et al. 2024, "GTCRN: a speech enhancement model requiring ultralow computational resources"),
     its streaming ONNX file: one frame of a 512-point STFT at a time, its memory handed on to the next. It looks
     at nothing that comes later, and the windows of analysis and synthesis add up to one: no delay to make up for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jiyao.errors import EngineError
from jiyao.timeline import SAMPLE_RATE, Pcm, Samples, to_samples

_WINDOW, _HOP = 512, 256  # samples
_BINS = _WINDOW // 2 + 1
_BLOCK = 10 * SAMPLE_RATE  # samples whose spectra are held at once: 5 MB
# what the network remembers, by the names of its inputs; each comes back as `<name>_out`
_MEMORY = {"conv_cache": (2, 1, 16, 16, 33), "tra_cache": (2, 3, 1, 1, 16), "inter_cache": (2, 1, 33, 16)}
# the square root of a periodic Hann window: applied twice and overlapped by half, it adds up to one
_HANN = np.sin(np.pi * np.arange(_WINDOW) / _WINDOW).astype(np.float32)

Spectra = npt.NDArray[np.complex64]  # [frames, 257]
Report = Callable[[int], None]  # samples done so far


class Denoiser:
    """GTCRN over a recording that arrives in blocks of any size. One per recording; not shared by threads.

    Raises EngineError: `cleaning.unloadable` where the model does not load, `cleaning.failed` where it breaks off.
    """

    def __init__(self, model: Path, threads: int = 1) -> None:
        try:
            self._session = _session(model, threads)
        except Exception as cause:  # onnxruntime's errors have no class of their own
            raise EngineError("cleaning.unloadable", reason=type(cause).__name__) from cause
        self._memory = {name: np.zeros(shape, np.float32) for name, shape in _MEMORY.items()}
        self._outputs = ["enh", *(f"{name}_out" for name in _MEMORY)]
        # half a window of silence before the first sample, so that every sample lies in two windows
        self._rest: Samples = np.zeros(_HOP, np.float32)
        self._overlap: Samples = np.zeros(_HOP, np.float32)
        self._owed = 0  # samples that came in and are not given back yet
        self._before = _HOP  # samples of that silence not dropped yet

    def feed(self, block: Pcm) -> Pcm:
        """The next samples, int16 [n]; gives back those that are ready, the oldest first, int16 [0…n+511]."""
        ready = [self._next(to_samples(block[start : start + _BLOCK])) for start in range(0, len(block), _BLOCK)]
        return np.concatenate(ready) if ready else np.zeros(0, np.int16)

    def finish(self) -> Pcm:
        """The last samples, int16 [0…511]: with them as many came out as went in."""
        owed = self._owed
        last = self._next(np.zeros(2 * _WINDOW, np.float32))[:owed]
        self._owed = 0
        return last

    def _next(self, samples: Samples) -> Pcm:
        joined = np.concatenate((self._rest, samples))
        frames = (len(joined) - _HOP) // _HOP
        self._rest = joined[frames * _HOP :]
        self._owed += len(samples)
        if not frames:
            return np.zeros(0, np.int16)
        windows = np.lib.stride_tricks.sliding_window_view(joined, _WINDOW)[::_HOP][:frames]
        spectra = np.fft.rfft(windows * _HANN).astype(np.complex64)
        heard = np.fft.irfft(self._enhanced(spectra)).astype(np.float32) * _HANN
        out = heard[:, :_HOP].copy()
        out[0] += self._overlap
        out[1:] += heard[:-1, _HOP:]
        self._overlap = heard[-1, _HOP:].copy()
        ready = out.reshape(-1)[self._before :]
        self._before = 0
        self._owed -= len(ready)
        return _to_pcm(ready)

    def _enhanced(self, spectra: Spectra) -> Spectra:
        # real and imaginary part as a last axis, [frames, 257, 2], is how complex64 lies in memory
        mixed = spectra.view(np.float32).reshape(len(spectra), 1, _BINS, 1, 2)
        clean = np.empty((len(spectra), _BINS, 2), np.float32)
        for index in range(len(spectra)):
            found = self._run({"mix": mixed[index], **self._memory})
            clean[index] = found[0][0, :, 0]
            self._memory = dict(zip(_MEMORY, found[1:], strict=True))
        return clean.view(np.complex64)[..., 0]

    def _run(self, given: dict[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
        try:
            found: list[npt.NDArray[np.float32]] = self._session.run(self._outputs, given)
        except Exception as cause:  # onnxruntime's
            raise EngineError("cleaning.failed", reason=type(cause).__name__) from cause
        return found


def denoise(pcm: Pcm, model: Path, report: Report = lambda _: None, threads: int = 1) -> None:
    """Take the noise out of a whole recording, in place, int16 [n]. Some 20 MB beside it, however long it is.

    `report` is told the samples done, after every ten seconds. Raises EngineError `cleaning.unloadable`.
    """
    denoiser = Denoiser(model, threads)
    written = 0
    for start in range(0, len(pcm), _BLOCK):
        block = denoiser.feed(pcm[start : start + _BLOCK])
        pcm[written : written + len(block)] = block  # never past what was read
        written += len(block)
        report(written)
    pcm[written:] = denoiser.finish()
    report(len(pcm))


def _to_pcm(samples: Samples) -> Pcm:
    scaled = np.nan_to_num(samples * np.float32(32768))
    pcm: Pcm = np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)
    return pcm


def _session(model: Path, threads: int) -> Any:
    # the locked version has no uploader; should another one be installed, it reads these when it is imported
    os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows builds of any version trace usage to the system's event log
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
