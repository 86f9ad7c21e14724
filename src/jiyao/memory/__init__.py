"""Recordings in memory: buffers that parent and child share, and the account of them.

In:  sizes; a file to read. Out: SharedBytes, SharedPcm; MemoryLimitError before it is too late.

    segments   the buffers: made by the parent, attached by a child, wiped
    ledger     who holds what, and whether one more would fit
"""

from jiyao.memory.ledger import RESERVE_BYTES, Entry, Kind, Ledger, available_bytes, pcm_bytes
from jiyao.memory.segments import (
    ANONYMOUS,
    SAMPLE_BYTES,
    Attached,
    Handle,
    Segment,
    SharedBytes,
    SharedPcm,
    ViewFile,
    pcm_in,
)

__all__ = [
    "ANONYMOUS",
    "RESERVE_BYTES",
    "SAMPLE_BYTES",
    "Attached",
    "Entry",
    "Handle",
    "Kind",
    "Ledger",
    "Segment",
    "SharedBytes",
    "SharedPcm",
    "ViewFile",
    "available_bytes",
    "pcm_bytes",
    "pcm_in",
]
