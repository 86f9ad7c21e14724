"""How fast it goes, by the clock: speed and time left, unknown until measured."""

from __future__ import annotations

import time
from collections.abc import Callable

from jiyao.jobs.events import Advanced

_LEAST_S = 0.05  # less than this says nothing about the rest


class Pace:
    """Of one take on one engine. Only time spent recognising counts: loading an engine again is no slowness of it."""

    def __init__(self, total_ms: int, settled_ms: int, now: Callable[[], float] = time.monotonic) -> None:
        self._total_ms = total_ms
        self._settled_ms = settled_ms
        self._now = now
        self._measured_ms = 0
        self._spent_s = 0.0
        self._since: float | None = None

    def begin(self) -> None:
        self._since = self._now()

    def pause(self) -> None:
        self._count()
        self._since = None

    def settled(self, ms: int, *, heard: bool = True) -> None:
        """So much more of the recording is done; `heard` False: taken over or skipped, which says nothing of speed."""
        self._settled_ms = min(self._total_ms, self._settled_ms + ms)
        if heard:
            self._measured_ms += ms

    def changed_engine(self) -> None:
        self._measured_ms, self._spent_s = 0, 0.0

    def progress(self) -> Advanced:
        self._count()
        if not self._measured_ms or self._spent_s < _LEAST_S:
            return Advanced(self._settled_ms, self._total_ms)
        speed = self._measured_ms / 1000 / self._spent_s
        left_ms = round((self._total_ms - self._settled_ms) / speed)
        return Advanced(self._settled_ms, self._total_ms, speed, left_ms)

    def _count(self) -> None:
        if self._since is not None:
            now = self._now()
            self._spent_s, self._since = self._spent_s + now - self._since, now
