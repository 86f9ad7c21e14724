"""A recording on its way into memory: admitted first, then written once, where it will be read from.

In:  its name and size, then bytes in any pieces. Out: shared memory and the SHA-256 of what is in it.
"""

from __future__ import annotations

import hashlib
import struct
from typing import BinaryIO

from jiyao.errors import AudioError
from jiyao.memory import SAMPLE_BYTES, Ledger, SharedBytes
from jiyao.timeline import SAMPLE_RATE

WAV_HEADER_BYTES = 44

_CHUNK = 1 << 20
_FIRST_ROOM = 8 << 20  # four minutes


class Incoming:
    """Raises MemoryLimitError where a recording of this size, or what it may unpack to, does not fit."""

    def __init__(self, ledger: Ledger, job_id: str, name: str, size_bytes: int, max_duration_s: float) -> None:
        ledger.admit(size_bytes, max_duration_s)
        self.job_id, self.name, self.size_bytes = job_id, name, size_bytes
        self._ledger = ledger
        self._memory = SharedBytes(size_bytes)
        self._digest = hashlib.sha256()
        self._filled = 0
        ledger.note(job_id, "recording", size_bytes)

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """The next bytes. Raises AudioError where they are more than were announced; then it is over."""
        end = self._filled + len(piece)
        if end > self.size_bytes:
            self.abort()
            raise AudioError("audio.size", announced=self.size_bytes)
        with self._memory.view as view:
            view[self._filled : end] = piece
        self._digest.update(piece)
        self._filled = end

    def read(self, file: BinaryIO) -> None:
        """All that `file` still has, straight into place. A shorter file than announced is taken as it is."""
        readinto = getattr(file, "readinto", None)
        while self._filled < self.size_bytes:
            end = min(self._filled + _CHUNK, self.size_bytes)
            if readinto is None:
                piece = file.read(end - self._filled)
                self.write(piece)
                count = len(piece)
            else:
                with self._memory.view as view, view[self._filled : end] as room:
                    count = readinto(room)
                    self._digest.update(room[:count])
                self._filled += count
            if not count:
                break

    def finish(self) -> tuple[SharedBytes, str]:
        """The recording and the SHA-256 (hex) of its bytes. Raises AudioError where there are none."""
        if not self._filled:
            self.abort()
            raise AudioError("audio.empty")
        if self._filled < self.size_bytes:
            self._memory.resize(self._filled)
            self._ledger.note(self.job_id, "recording", self._filled)
        return self._memory, self._digest.hexdigest()

    def abort(self) -> None:
        """It will not come: zeroed and freed."""
        self._memory.wipe()
        self._ledger.release(self.job_id)


class Growing(Incoming):
    """A recording that is being made: s16le PCM, mono, 16 kHz, of a length that nobody knows yet; becomes a WAV.

    Its room doubles when it is full, and is admitted each time.
    """

    def __init__(self, ledger: Ledger, job_id: str, name: str, max_duration_s: float) -> None:
        super().__init__(ledger, job_id, name, _FIRST_ROOM, max_duration_s)
        self._max_duration_s = max_duration_s
        super().write(wav_header(0))

    @property
    def pcm_bytes(self) -> int:
        return self._filled - WAV_HEADER_BYTES

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """The next samples. Raises MemoryLimitError where there is no room for them; what was written stays."""
        needed = self._filled + len(piece)
        if needed > self.size_bytes:
            size = max(needed, 2 * self.size_bytes)
            self._ledger.admit(size - self.size_bytes, self._max_duration_s)
            self._memory.resize(size)
            self.size_bytes = size
            self._ledger.note(self.job_id, "recording", size)
        super().write(piece)

    def finish(self) -> tuple[SharedBytes, str]:
        """As a WAV whose header says how long it is."""
        if not self.pcm_bytes:
            self._filled = 0
            return super().finish()
        with self._memory.view as view:
            view[:WAV_HEADER_BYTES] = wav_header(self.pcm_bytes)
            self._digest = hashlib.sha256(view[: self._filled])
        return super().finish()


def wav_header(pcm_bytes: int) -> bytes:
    """44 bytes before so many bytes of PCM, int16, mono, 16 kHz (RIFF; sizes that do not fit in 32 bits: all ones)."""
    most = 0xFFFFFFFF
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        min(pcm_bytes + 36, most),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        SAMPLE_RATE,
        SAMPLE_RATE * SAMPLE_BYTES,
        SAMPLE_BYTES,
        8 * SAMPLE_BYTES,
        b"data",
        min(pcm_bytes, most),
    )
