"""Memory hygiene: no dumps, buffers zeroed, freed memory handed back, and figures to show.

In: buffers, process ids. Out: a Layer for the dumps; bytes. From: psutil for sizes; prctl(2), setrlimit(2),
malloc_trim(3), SetErrorMode and WerSetFlags of Windows through ctypes.
Swap: memory is not locked (systems allow a few MB of that), so where swap is in use parts of a meeting may reach it;
the receipt says so.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import mmap
import sys
from multiprocessing.shared_memory import SharedMemory
from typing import TYPE_CHECKING, Any

import psutil

from jiyao.seal.policy import Layer

if TYPE_CHECKING:
    import numpy.typing as npt

_SET_DUMPABLE, _GET_DUMPABLE = 4, 3  # prctl
_NO_ERROR_BOXES = 0x0001 | 0x0002 | 0x8000  # SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SEM_NOOPENFILEERRORBOX
_NO_HEAP_IN_REPORTS = 1  # WER_FAULT_REPORTING_FLAG_NOHEAP


def no_core_dumps() -> Layer:
    """Keep this process's memory out of crash dumps and debuggers; children made by fork inherit it."""
    faulthandler.disable()
    if sys.platform == "win32":
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.SetErrorMode(_NO_ERROR_BOXES)
        reports = getattr(kernel, "WerSetFlags", None)
        took = reports is not None and reports(_NO_HEAP_IN_REPORTS) == 0
        # a LocalDumps policy of the administrator's cannot be undone from here
        return Layer("no_core_dumps", took, "SetErrorMode, WerSetFlags", reason="" if took else "refused")
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done = resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
    if not sys.platform.startswith("linux"):
        return Layer("no_core_dumps", done, "RLIMIT_CORE", reason="" if done else "refused")
    # the limit does not bind collectors that are fed through a pipe (systemd-coredump); this does
    library = ctypes.CDLL(None, use_errno=True)
    none = ctypes.c_ulong(0)
    library.prctl(_SET_DUMPABLE, none, none, none, none)
    done = done and library.prctl(_GET_DUMPABLE, none, none, none, none) == 0
    return Layer("no_core_dumps", done, "RLIMIT_CORE, PR_SET_DUMPABLE", reason="" if done else "refused")


def wipe(buffer: npt.NDArray[Any] | bytearray | memoryview | mmap.mmap | SharedMemory) -> int:
    """Zero `buffer` in place, arrays of any layout; how many bytes that were. Copies elsewhere are the caller's.

    Raises ValueError where it is read-only, TypeError for an array of Python objects.
    """
    import numpy as np  # here: it starts threads, and the seal must be on before

    if isinstance(buffer, np.ndarray):
        if buffer.dtype.hasobject:
            raise TypeError("an array of objects holds addresses, not the content")
        buffer[...] = np.zeros((), buffer.dtype)
        return buffer.nbytes
    inside = buffer.buf if isinstance(buffer, SharedMemory) else buffer
    if inside is None:
        raise ValueError("this shared memory is closed")
    raw = np.frombuffer(inside, np.uint8)
    raw[...] = 0
    return raw.nbytes


def trim() -> int:
    """Collect garbage and hand freed memory back to the system; by how many bytes this process shrank (0: by none)."""
    before = resident_bytes()
    gc.collect()
    if sys.platform == "win32":
        ctypes.CDLL("ucrtbase")._heapmin()
    else:
        library = ctypes.CDLL(None)
        # glibc has the first, macOS the second, musl neither and frees at once
        if hasattr(library, "malloc_trim"):
            library.malloc_trim(ctypes.c_size_t(0))
        elif hasattr(library, "malloc_zone_pressure_relief"):
            library.malloc_zone_pressure_relief(None, ctypes.c_size_t(0))
    return max(0, before - resident_bytes())


def resident_bytes(pid: int | None = None) -> int:
    """RAM that a process holds now (RSS), shared pages included; None: this one. 0 where it has ended."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def swap_bytes() -> tuple[int, int]:
    """(size, in use) of this computer's swap space; of all programs, not of this one."""
    swap = psutil.swap_memory()
    return int(swap.total), int(swap.used)
