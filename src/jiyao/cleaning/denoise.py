"""Noise taken out of a voice: int16 PCM → int16 PCM, as long, sample for sample at the same place.

In:  int16 PCM, mono, 16 kHz, whole.
Out: pieces of it without noise, in order; several are made at once.
From: GTCRN (MIT, Rong et al. 2024, "GTCRN: a speech enhancement model requiring ultralow computational resources"),
     its streaming ONNX file: one frame of a 512-point STFT at a time, its memory handed on to the next. It looks
     at nothing that comes later, and the windows of analysis and synthesis add up to one: no delay to make up for.
     The file is for one frame; a Scan around it takes all of a piece, so that threads do not wait for Python between
     frames. It forgets within seconds, so a piece needs only to hear a little of what comes before it (LOG.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jiyao.errors import EngineError
from jiyao.inference import session
from jiyao.timeline import SAMPLE_RATE, Pcm, to_samples

_WINDOW, _HOP = 512, 256  # samples
_BINS = _WINDOW // 2 + 1
# samples, both multiples of _HOP
_PIECE = 60 * SAMPLE_RATE // _HOP * _HOP
_BEFORE = 4 * SAMPLE_RATE // _HOP * _HOP
_MOST_AT_ONCE = 4
# what the network remembers, by the names of its inputs; each comes back as `<name>_out`
_MEMORY = {"conv_cache": (2, 1, 16, 16, 33), "tra_cache": (2, 3, 1, 1, 16), "inter_cache": (2, 1, 33, 16)}
# the square root of a periodic Hann window: applied twice and overlapped by half, it adds up to one
_HANN = np.sin(np.pi * np.arange(_WINDOW) / _WINDOW).astype(np.float32)

Spectra = npt.NDArray[np.complex64]  # [frames, 257]


class Denoiser:
    """GTCRN over recordings, `threads` pieces at once, four at most: each takes 60 MB.

    Raises EngineError `cleaning.unloadable` where the model does not load.
    """

    def __init__(self, model: Path, threads: int = 1) -> None:
        self._threads = min(threads, _MOST_AT_ONCE)
        try:
            self._session = session(_over_frames(model))
        except Exception as cause:  # onnxruntime's errors have no class of their own
            raise EngineError("cleaning.unloadable", reason=type(cause).__name__) from cause

    def pieces(self, pcm: Pcm) -> Iterator[Pcm]:
        """All of int16 [n] without its noise: int16 [m ≤ 60 s] one after the other, as long together.

        Raises EngineError `cleaning.failed`.
        """
        waiting: deque[Future[Pcm]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="denoise") as at_once:
            try:
                for start in range(0, len(pcm), _PIECE):
                    waiting.append(at_once.submit(self._piece, pcm, start, min(start + _PIECE, len(pcm))))
                    if len(waiting) > self._threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for piece in waiting:
                    piece.cancel()

    def _piece(self, pcm: Pcm, start: int, end: int) -> Pcm:
        """[start, end) of the recording; `start` is a multiple of a hop."""
        first = max(0, start - _BEFORE)
        hops = -(-(end - first) // _HOP)
        # half a window on either side: every sample lies in two windows
        samples = np.zeros((hops + 2) * _HOP, np.float32)
        left = min(_HOP, first)
        known = to_samples(pcm[first - left : first + (hops + 1) * _HOP])
        samples[_HOP - left : _HOP - left + len(known)] = known
        windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
        spectra = np.fft.rfft(windows * _HANN).astype(np.complex64)
        heard = np.fft.irfft(self._enhanced(spectra)).astype(np.float32) * _HANN
        out = (heard[:-1, _HOP:] + heard[1:, :_HOP]).reshape(-1)
        return _to_pcm(out[start - first : end - first])

    def _enhanced(self, spectra: Spectra) -> Spectra:
        # real and imaginary part as a last axis, [frames, 257, 2], is how complex64 lies in memory
        mixed = spectra.view(np.float32).reshape(len(spectra), 1, _BINS, 1, 2)
        nothing = {f"first_{name}": np.zeros(shape, np.float32) for name, shape in _MEMORY.items()}
        try:
            [clean] = self._session.run(["clean"], {"mixed": mixed, **nothing})
        except Exception as cause:  # onnxruntime's
            raise EngineError("cleaning.failed", reason=type(cause).__name__) from cause
        found: Spectra = np.ascontiguousarray(clean).reshape(len(spectra), _BINS, 2).view(np.complex64)[..., 0]
        return found


def _to_pcm(samples: npt.NDArray[np.float32]) -> Pcm:
    scaled = np.nan_to_num(samples * np.float32(32768))
    pcm: Pcm = np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)
    return pcm


def _over_frames(model: Path) -> bytes:
    """The network for one frame as one for many: `mixed` [frames, 1, 257, 1, 2] and `first_…`, its memory → `clean`."""
    import onnx
    from onnx import helper

    def tensor(name: str, shape: Sequence[int | str]) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    def named(values: Any, *names: str) -> list[Any]:
        known = {value.name: value for value in values}
        return [known[name] for name in names]

    one = onnx.load_model_from_string(model.read_bytes())
    body = onnx.GraphProto()
    body.CopyFrom(one.graph)
    del body.input[:], body.output[:]
    # a Scan's body begins with what it remembers, and ends with what comes frame by frame
    body.input.extend(named(one.graph.input, *_MEMORY, "mix"))
    body.output.extend(named(one.graph.output, *(f"{name}_out" for name in _MEMORY), "enh"))
    first, last = [f"first_{name}" for name in _MEMORY], [f"last_{name}" for name in _MEMORY]
    scan = helper.make_node("Scan", [*first, "mixed"], [*last, "clean"], num_scan_inputs=1, body=body)
    frames = ("frames", 1, _BINS, 1, 2)
    given = [tensor("mixed", frames), *map(tensor, first, _MEMORY.values())]
    graph = helper.make_graph([scan], "GTCRN over frames", given, [tensor("clean", frames)])
    made = helper.make_model(graph, opset_imports=one.opset_import, ir_version=one.ir_version)
    data: bytes = made.SerializeToString()
    return data
