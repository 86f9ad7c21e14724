"""A decoded recording, what was noticed while reading it, and the buffer it grows in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from jiyao.timeline import Pcm, Samples, Span, to_ms, to_samples

_CHUNK = 16 << 20  # samples; 32 MB, from where on malloc gives pages back at once


@dataclass(frozen=True)
class Note:
    """Something noticed while reading: a key of messages.toml with its parameters. `warning`: something is missing."""

    key: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    warning: bool = False


@dataclass(frozen=True)
class Recording:
    """A decoded recording: `pcm` int16 [n], mono, 16 kHz; what was noticed on the way."""

    pcm: Pcm
    notes: tuple[Note, ...] = ()

    @property
    def duration_ms(self) -> int:
        return to_ms(len(self.pcm))

    def samples(self, span: Span) -> Samples:
        """float32 [len(span)] of this stretch, a fresh copy."""
        return to_samples(self.pcm[span.start : span.end])


class PcmBuffer:
    """int16 PCM that grows: one allocation if its length was announced, else chunks, joined one by one."""

    def __init__(self, expected_samples: int = 0) -> None:
        self._chunks: list[Pcm] = [np.empty(expected_samples, np.int16)]
        self._filled = 0  # of the last chunk; all before it are full

    def append(self, block: Pcm) -> None:
        while len(block):
            if self._filled == len(self._chunks[-1]):
                self._chunks.append(np.empty(_CHUNK, np.int16))
                self._filled = 0
            room = self._chunks[-1][self._filled : self._filled + len(block)]
            room[:] = block[: len(room)]
            block = block[len(room) :]
            self._filled += len(room)

    def pcm(self) -> Pcm:
        """What was filled; without a copy when the announced length was right."""
        if len(self._chunks) > 1:
            self._chunks[-1] = self._chunks[-1][: self._filled]
            chunks, whole = self._chunks, np.empty(sum(map(len, self._chunks)), np.int16)
            self._chunks, self._filled = [whole], 0
            while chunks:
                self.append(chunks.pop(0))  # freed as soon as it is copied
        return self._chunks[0][: self._filled]
