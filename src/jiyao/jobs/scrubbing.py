"""Text that was let go still stands in freed memory until something else is written there: write zeros there now.

Python's strings cannot be zeroed in place. Its allocator keeps freed blocks by size (multiples of 16 up to 512 bytes,
`Objects/obmalloc.c`) and hands them out again before it asks for more; the system's malloc does alike with larger ones,
and has a heap for each thread. So blocks of every size are taken, filled with zeros, and given back.
"""

from __future__ import annotations

import ctypes
import gc
import sys

from jiyao.seal import resident_bytes

_SMALL = range(48, 513, 16)
# glibc keeps freed blocks to 1 KB in bins of 16; what is larger than the last of these goes back to the system at once
_LARGE = (*range(528, 1073, 16), *(int(1072 * 1.3**step) for step in range(1, 19)))
_POOLS_BLOCK = 48  # small, for what is left over at the end of a pool (of 16 KB) stays as it is
_POOLS_BYTES = 512 << 20
_SMALL_BYTES = 16 << 20  # of each size; a meeting of 4 hours leaves less
_LARGE_BYTES = 2 << 20
_SPLINTERS = range(24, 529, 16)  # what malloc has between its larger blocks; Python itself never asks for these
_SPLINTERS_BYTES = 256 << 10
_HEAD = b"".__sizeof__()  # what a bytes object takes besides its content


def scrub() -> None:
    """Overwrite what was freed: small blocks of all threads, larger ones of this thread. About a second."""
    gc.collect()
    # one pass over all the pools that stand empty: sizes one after the other would take the same few again and again
    most = min(resident_bytes(), _POOLS_BYTES) // _POOLS_BLOCK
    pools = [bytes(_POOLS_BLOCK - _HEAD) for _ in range(most)]
    del pools
    for size in _SMALL:
        small = [bytes(size - _HEAD) for _ in range(_SMALL_BYTES // size)]
        del small
    for size in _LARGE:
        large = [bytearray(size - 1) for _ in range(_LARGE_BYTES // size)]  # unlike bytes not by calloc: see tcache
        del large
    if sys.platform != "win32":
        _fill_splinters()


def _fill_splinters() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = (ctypes.c_size_t,)
    library.free.argtypes = (ctypes.c_void_p,)
    for size in _SPLINTERS:
        taken = [library.malloc(size) for _ in range(_SPLINTERS_BYTES // size)]
        for address in filter(None, taken):
            ctypes.memset(address, 0, size)
            library.free(address)
