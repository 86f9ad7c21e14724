"""The account of large buffers: who holds what, and whether one more recording would fit."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from jiyao.errors import MemoryLimitError
from jiyao.memory.segments import SAMPLE_BYTES
from jiyao.timeline import SAMPLE_RATE

Kind = Literal["recording", "pcm", "denoised"]

RESERVE_BYTES = 300_000_000  # for the rest of the program while a recording is worked on

_MEGABYTE = 1_000_000
_LOW_BYTES_PER_S = 8_000  # 64 kbit/s, as phones record speech; PCM is four times that
_CONTAINER = (  # control groups 2 and 1: limit, use, statistics, as a container sees its own
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    tuple(f"/sys/fs/cgroup/memory/memory.{name}" for name in ("limit_in_bytes", "usage_in_bytes", "stat")),
)


@dataclass(frozen=True)
class Entry:
    """One buffer: whose, what, how large."""

    job: str
    kind: Kind
    size_bytes: int


class Ledger:
    """Every large buffer of this process, and whether one more would fit. Safe from any thread.

    `limit_bytes`: for all of them together, besides what the computer has; None: no limit of our own.
    """

    def __init__(self, limit_bytes: int | None = None, available: Callable[[], int] | None = None) -> None:
        self._limit = limit_bytes
        self._available = available or available_bytes
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, Kind], int] = {}

    def note(self, job: str, kind: Kind, size_bytes: int) -> None:
        """This job's buffer of this kind is so large now; 0: it is gone."""
        with self._lock:
            self._entries[job, kind] = size_bytes
            if not size_bytes:
                del self._entries[job, kind]

    def release(self, job: str, kind: Kind | None = None) -> None:
        """The job's buffer of this kind is freed; None: all of its buffers."""
        with self._lock:
            for entry in [e for e in self._entries if e[0] == job and kind in (None, e[1])]:
                del self._entries[entry]

    def entries(self) -> tuple[Entry, ...]:
        with self._lock:
            return tuple(Entry(job, kind, size) for (job, kind), size in self._entries.items())

    @property
    def total_bytes(self) -> int:
        with self._lock:
            return sum(self._entries.values())

    def admit(self, size_bytes: int, max_duration_s: float, duration_s: float | None = None) -> None:
        """Would a recording of `size_bytes` fit, as it is and decoded? To be asked before it is read.

        `duration_s`: where the door knows it; else guessed from the size, for only the worker may open the file. What
        the header says is asked again (`admit_pcm`) before it is decoded. Raises MemoryLimitError.
        """
        likely_s = size_bytes / _LOW_BYTES_PER_S if duration_s is None else duration_s
        self._check(size_bytes, pcm_bytes(min(likely_s, max_duration_s)))

    def admit_pcm(self, more_bytes: int) -> None:
        """Would so much more PCM fit? Raises MemoryLimitError."""
        self._check(0, more_bytes)

    def _check(self, recording: int, pcm: int) -> None:
        free = self._available()
        if self._limit is not None:
            free = min(free, self._limit - self.total_bytes + RESERVE_BYTES)
        if recording + pcm + RESERVE_BYTES > free:
            raise MemoryLimitError(
                "memory.too_small",
                recording_mb=_megabytes(recording),
                pcm_mb=_megabytes(pcm),
                reserve_mb=_megabytes(RESERVE_BYTES),
                needed_mb=_megabytes(recording + pcm + RESERVE_BYTES),
                free_mb=max(0, free) // _MEGABYTE,
                held_mb=_megabytes(self.total_bytes),
            )


def pcm_bytes(duration_s: float) -> int:
    """So much memory a recording takes once it is decoded."""
    return math.ceil(duration_s * SAMPLE_RATE) * SAMPLE_BYTES


def available_bytes() -> int:
    """RAM that can be had now without swapping: the computer's, or what the container may still take if less."""
    free = int(psutil.virtual_memory().available)
    for limit, used, statistics in _CONTAINER:
        try:
            most = int(Path(limit).read_text())  # "max": no limit
            taken = int(Path(used).read_text())
            # files that were read: counted there, but given up at once
            cached = re.search(r"^(?:total_)?inactive_file (\d+)$", Path(statistics).read_text(), re.MULTILINE)
        except (OSError, ValueError):
            continue
        free = min(free, most - taken + (int(cached[1]) if cached else 0))
    return max(0, free)


def _megabytes(count: int) -> int:
    return -(-count // _MEGABYTE)
