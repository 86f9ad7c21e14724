"""Where the sound of several clips lies in the encoder: seconds for the convolutions, windows of 8 s for attention.

In:  log-mel features float32 [128, frames] of each clip.
Out: arrays for `graph.encoder`, and how many audio tokens each clip has.
From: transformers' Qwen3ASREncoder: each second is convolved by itself (100 frames → 13 tokens, the last second fewer),
      attention sees 800 frames and nothing of the windows beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jiyao.engines.qwen.checkpoint import AudioShape
from jiyao.engines.qwen.features import HOP, Floats, padded
from jiyao.timeline import Samples

MASKED = -65504.0  # added to a score: nothing is left of it, and bfloat16 and float16 can hold it
_Indices = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Windows:
    """`chunks` [C, 1, mels, 100]; `kept` [N]: rows of C · 13 that are tokens; `spread` [W, 104]: their places in
    windows; `mask` [W, 1, 1, 104]: what of a window is empty; `packed` [N]: the way back; `tokens`: N of each clip."""

    chunks: Floats
    kept: _Indices
    spread: _Indices
    mask: Floats
    packed: _Indices
    tokens: tuple[int, ...]

    def inputs(self) -> dict[str, npt.NDArray[Any]]:
        """By the names that `graph.encoder` gives its inputs."""
        named = ("chunks", "kept", "spread", "mask", "packed")
        return {name: getattr(self, name) for name in named}


def count_tokens(frames: int, audio: AudioShape) -> int:
    """Audio tokens of so many frames."""
    seconds, rest = divmod(frames, 2 * audio.n_window)
    return seconds * _convolved(2 * audio.n_window) + _convolved(rest)


def tokens_of(samples: Samples, audio: AudioShape) -> int:
    """Audio tokens of a clip."""
    return count_tokens(len(padded(samples)) // HOP, audio)


def arrange(features: Sequence[Floats], audio: AudioShape) -> Windows:
    """Lay clips out one after the other; no clip shares a second or a window with another."""
    second = 2 * audio.n_window
    a_second, a_window = _convolved(second), audio.n_window_infer // second * _convolved(second)
    chunks: list[Floats] = []
    kept: list[_Indices] = []
    spread: list[_Indices] = []
    packed: list[_Indices] = []
    tokens: list[int] = []
    for clip in features:
        n_chunks = -(-clip.shape[1] // second)
        n_tokens = count_tokens(clip.shape[1], audio)
        n_windows = -(-n_tokens // a_window)
        whole = np.pad(clip, ((0, 0), (0, n_chunks * second - clip.shape[1])))
        first_row, first_token = a_second * sum(map(len, chunks)), sum(tokens)
        first_slot = a_window * sum(map(len, spread))
        chunks.append(whole.reshape(audio.mels, n_chunks, second).transpose(1, 0, 2)[:, None])
        kept.append(np.arange(n_tokens, dtype=np.int32) + first_row)
        slots = np.arange(n_windows * a_window, dtype=np.int32)
        # empty places hold any token: they are masked as keys and dropped as queries
        spread.append((np.minimum(slots, n_tokens - 1) + first_token).reshape(n_windows, a_window))
        packed.append(slots[:n_tokens] + first_slot)
        tokens.append(n_tokens)
    used = np.zeros(a_window * sum(map(len, spread)), dtype=bool)
    used[np.concatenate(packed)] = True
    return Windows(
        chunks=np.ascontiguousarray(np.concatenate(chunks)),
        kept=np.concatenate(kept),
        spread=np.concatenate(spread),
        mask=np.where(used, 0.0, MASKED).astype(np.float32).reshape(-1, 1, 1, a_window),
        packed=np.concatenate(packed),
        tokens=tuple(tokens),
    )


def _convolved(frames: int) -> int:
    """What three convolutions of kernel 3, stride 2 and padding 1 leave."""
    for _ in range(3):
        frames = (frames + 1) // 2
    return frames
