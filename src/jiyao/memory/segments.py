"""Segments of shared memory, which a parent and its child see at once.

The parent makes every segment and hands it to its child; audio never goes through the pipe.
Linux: memfd, which has no name: nothing stands in /dev/shm, whoever is killed, and Docker's 64 MB there do not count.
Elsewhere: multiprocessing's named SharedMemory. Windows frees it with its last user; on macOS the name lives until
`wipe`, and multiprocessing's resource tracker removes it where the parent was killed.
Both are memory, but the system may move them to its swap space, as all memory (`seal.swap_bytes` tells whether it has
any).
"""

from __future__ import annotations

import contextlib
import io
import itertools
import mmap
import os
import socket
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, BinaryIO

import numpy as np

from jiyao.timeline import Pcm

if sys.platform == "linux":
    import fcntl

ANONYMOUS = sys.platform == "linux" and hasattr(os, "memfd_create")  # some builds of Python know no memfd
SAMPLE_BYTES = 2

_AT_ONCE = 16 << 20  # read or zeroed in one go; a multiple of every page size
_serials = itertools.count(1)


@dataclass(frozen=True)
class Handle:
    """What a child needs to attach a segment of `size` bytes. `name` None: its descriptor follows on the pipe."""

    serial: int
    size: int
    name: str | None


class Segment:
    """`size` bytes of shared memory, zeros at first; pages count only once they are written. Made by the parent.

    A view of it must be dropped before `resize` and `wipe`. Making it, resizing it and the first look at it raise
    MemoryError where the system has no room.
    """

    def __init__(self, size: int) -> None:
        self.serial = next(_serials)
        self.size = size
        self._backing: _Anonymous | _Named = _Anonymous(size) if ANONYMOUS else _Named(size)

    @property
    def view(self) -> memoryview:
        """All bytes, writable. ValueError after `wipe`."""
        return self._backing.view(self.size)

    def handle(self) -> Handle:
        return Handle(self.serial, self.size, self._backing.name)

    def resize(self, size: int) -> None:
        """Keep what fits, zeros behind it."""
        self._backing.resize(self.size, size)
        self.size = size

    def freeze(self) -> None:
        """Its size is final: a child that goes mad cannot take pages away under its parent's feet (Linux)."""
        self._backing.freeze()

    def send(self, connection: Connection) -> None:
        """Let the child at the other end of `connection` attach; after the message that carries `handle()`."""
        self._backing.send(connection)

    def wipe(self) -> int:
        """Zero and free it, here and for a child that still sees it; how many bytes. Twice is fine."""
        freed, self.size = self.size, 0
        self._backing.wipe(freed)
        return freed


class Attached:
    """A child's view of a segment whose `handle` it was just sent; a context.

    Arrays over `view` should be dropped before its end; where one is not, the mapping goes with it.
    """

    def __init__(self, connection: Connection, handle: Handle, *, writable: bool = False) -> None:
        self._map: mmap.mmap | SharedMemory
        if handle.name is not None:
            self._map = SharedMemory(handle.name)
            self.view = _buffer(self._map)[: handle.size]
            return
        with _line(connection) as line:
            _, [descriptor], _, _ = socket.recv_fds(line, 1, 1)
        try:
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(descriptor, max(1, handle.size), access=access)
        except OSError as cause:
            raise MemoryError from cause
        finally:
            os.close(descriptor)
        self.view = memoryview(self._map)[: handle.size]

    def close(self) -> None:
        with contextlib.suppress(BufferError):
            self.view.release()
            self._map.close()

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Anonymous:
    """memfd: freed by the kernel when the last process that holds it ends, however it ends."""

    name = None

    def __init__(self, size: int) -> None:
        self._map: mmap.mmap | None = None
        self._descriptor = -1
        try:
            self._descriptor = os.memfd_create("jiyao", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(self._descriptor, max(1, size))
        except OSError as cause:
            raise MemoryError from cause

    def view(self, size: int) -> memoryview:
        if self._descriptor < 0:
            raise ValueError("wiped")
        if self._map is None:
            try:
                self._map = mmap.mmap(self._descriptor, max(1, size))
            except OSError as cause:
                raise MemoryError from cause
        return memoryview(self._map)[:size]

    def resize(self, old: int, new: int) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None
        try:
            os.ftruncate(self._descriptor, max(1, new))
        except OSError as cause:
            raise MemoryError from cause

    def freeze(self) -> None:
        fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)

    def send(self, connection: Connection) -> None:
        with _line(connection) as line:
            socket.send_fds(line, [b"\0"], [self._descriptor])

    def wipe(self, size: int) -> None:
        if self._descriptor < 0:
            return
        with self.view(size) as view:
            assert self._map is not None
            for start in range(0, size, _AT_ONCE):
                stretch = view[start : start + _AT_ONCE]
                np.frombuffer(stretch, np.uint8)[:] = 0
                # the pages go back now, whoever else looks at them: others see zeros
                self._map.madvise(mmap.MADV_REMOVE, start, len(stretch))
        with contextlib.suppress(BufferError):  # somebody still looks; the address space goes when they stop
            self._map.close()
        self.__del__()

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _Named:
    """multiprocessing's own, for systems without memfd."""

    def __init__(self, size: int) -> None:
        self._open = False
        self._memory = _created(size)
        self._open = True

    @property
    def name(self) -> str:
        return self._memory.name

    def view(self, size: int) -> memoryview:
        if not self._open:
            raise ValueError("wiped")
        return _buffer(self._memory)[:size]

    def resize(self, old: int, new: int) -> None:
        if new <= self._memory.size:
            return  # pages that nobody writes take no room
        larger = _created(new)
        _buffer(larger)[:old] = _buffer(self._memory)[:old]
        self.wipe(old)
        self._memory, self._open = larger, True

    def freeze(self) -> None:
        pass  # neither system lets a mapped segment shrink

    def send(self, connection: Connection) -> None:
        pass  # the name is enough

    def wipe(self, size: int) -> None:
        if not self._open:
            return
        self._open = False
        np.frombuffer(_buffer(self._memory), np.uint8, size)[:] = 0
        with contextlib.suppress(BufferError):
            self._memory.close()
        self._memory.unlink()

    def __del__(self) -> None:
        self.wipe(0)


def _created(size: int) -> SharedMemory:
    try:
        return SharedMemory(create=True, size=max(1, size))
    except OSError as cause:
        raise MemoryError from cause


def _buffer(memory: SharedMemory) -> memoryview:
    assert memory.buf is not None  # None after close
    return memory.buf


def _line(connection: Connection) -> socket.socket:
    """The socket under a duplex pipe of multiprocessing (POSIX)."""
    line = socket.socket(fileno=os.dup(connection.fileno()))
    line.setblocking(True)  # a default timeout of the program would have changed the pipe itself
    return line


# what is kept in segments


class SharedPcm(Segment):
    """A recording's PCM: int16 [n_samples], mono, 16 kHz."""

    def __init__(self, n_samples: int) -> None:
        super().__init__(n_samples * SAMPLE_BYTES)

    @property
    def n_samples(self) -> int:
        return self.size // SAMPLE_BYTES

    @property
    def array(self) -> Pcm:
        """A view, not a copy; drop it before `wipe`."""
        return pcm_in(self.view)


class SharedBytes(Segment):
    """A recording as it came, compressed."""

    @classmethod
    def read_from(cls, file: BinaryIO, size: int) -> SharedBytes:
        """The next `size` bytes of `file`, fewer if it ends before. Raises what reading raises, and keeps nothing."""
        made = cls(size)
        filled = 0
        try:
            with made.view as view:
                while filled < size and (count := _fill(file, view[filled : filled + _AT_ONCE])):
                    filled += count
            made.resize(filled)
        except BaseException:
            made.wipe()
            raise
        made.freeze()
        return made


def _fill(file: BinaryIO, room: memoryview) -> int:
    if isinstance(file, (io.RawIOBase, io.BufferedIOBase)):
        return file.readinto(room) or 0
    read = file.read(len(room))
    room[: len(read)] = read
    return len(read)


def pcm_in(view: memoryview) -> Pcm:
    """The bytes of a segment as int16 [n]; no copy."""
    pcm: Pcm = np.frombuffer(view, np.int16)
    return pcm


class ViewFile(io.RawIOBase):
    """Bytes in memory as a seekable binary file, without the copy that BytesIO makes."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._view[self._place : self._place + len(buffer)]
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: len(self._view)}[whence]
        if start + offset < 0:
            raise ValueError(f"before the start: {start + offset}")
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        return self._place
