"""The two networks as onnxruntime sessions: who speaks at once, and whose voice it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from jiyao.inference import session
from jiyao.speakers.features import Features, levelled

WINDOW = 160_000  # samples, 10 s: what the segmentation network hears at once
FRAME = 270  # samples from one of its answers to the next
FRAMES = 589  # answers for a window
FIRST = 360  # samples before what its first answer is about: half of the 991 that one answer hears, less 135
VOICES = 3  # that it tells apart in one window

# its classes are sets of voices, at most two at once (Plaquet and Bredin 2023, "Powerset multi-class …")
_SETS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], np.bool_)

Active = npt.NDArray[np.bool_]
Embedding = npt.NDArray[np.float32]  # float32 [192], of length 1


class Segmentation:
    """pyannote segmentation 3.0 (MIT, Hervé Bredin), the ONNX file of `weights`."""

    def __init__(self, model: Path, threads: int) -> None:
        self._session = session(model, threads)
        self._input = self._session.get_inputs()[0].name

    def active(self, windows: npt.NDArray[np.float32]) -> Active:
        """float32 [n, 160000] → bool [n, 589, 3]: which of the window's own voices speak in each frame."""
        (scores,) = self._session.run(None, {self._input: windows[:, None, :]})
        found: Active = _SETS[scores.argmax(axis=-1)]
        return found


class VoicePrinter:
    """ECAPA-TDNN (`ecapa`): speech of one voice → a direction that is near for the same voice."""

    def __init__(self, model: Path, threads: int) -> None:
        self._session = session(model, threads)

    def embedding(self, features: Features) -> Embedding:
        """`features`: of at least 10 frames (100 ms); under a second it tells little."""
        (found,) = self._session.run(None, {"features": levelled(features)[None]})
        vector: Embedding = found[0] / max(float(np.linalg.norm(found[0])), 1e-9)
        return vector
