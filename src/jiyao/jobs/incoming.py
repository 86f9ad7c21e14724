"""A recording on its way into memory: admitted first, then written once, where it will be read from.

In:  its name and size, then bytes in any pieces. Out: shared memory and the SHA-256 of what is in it.
"""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from jiyao.errors import AudioError
from jiyao.memory import Ledger, SharedBytes

_CHUNK = 1 << 20


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
