"""What to do when a worker is lost, or its engine fails, over some clips. Decides; does nothing.

once           the same again: it may have been chance (not for memory, which does not come by chance)
again          smaller batches, by halves, until the clip that breaks it is alone
third death    of a clip that was alone then: skipped, the rest goes on
three clips    skipped on end, or memory too small for one: it is the engine; the next one, else the job fails
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["again", "smaller", "skip", "switch", "fail"]

_DEATHS = 3  # of one clip
_ON_END = 3  # clips skipped without a result between them
_TOO_LITTLE = 2  # times that memory did not do for one clip: another process may have had it the first time


@dataclass
class Ladder:
    """Of one take on one engine. `lasting`: most clips at once that memory allows; None: no limit."""

    lasting: int | None = None
    skipped_on_end: list[int] = field(default_factory=list)
    _size: int | None = None
    _losses: int = 0
    _deaths: Counter[int] = field(default_factory=Counter)
    _troubled: set[int] = field(default_factory=set)
    _heard_any: bool = False

    @property
    def size(self) -> int | None:
        """Most clips for one call."""
        limits = [limit for limit in (self.lasting, self._size) if limit is not None]
        return min(limits) if limits else None

    def heard(self, clip: int) -> None:
        self._heard_any = True
        self._losses = 0
        self.skipped_on_end.clear()
        self._troubled.discard(clip)
        if not self._troubled:
            self._size = None

    def lost(
        self, memory: bool, group: Sequence[int], left: Sequence[int], others: int, can_switch: Callable[[], bool]
    ) -> Verdict:
        """After a loss. `group`: clips of the call; `left`: those of them without a result, at least one; `others`:
        clips still to come after them. `smaller` is `again` with a smaller `size` than before."""
        self._losses += 1
        self._deaths.update(left)
        self._troubled.update(left)
        if len(group) > 1:
            if not memory and self._losses == 1:
                return "again"
            self._size = max(1, min(self.size or len(group), len(group)) // 2)
            if memory:
                self.lasting = self._size
            return "smaller"
        [clip] = left
        if memory and self._deaths[clip] >= _TOO_LITTLE and can_switch():
            return "switch"
        if self._deaths[clip] < _DEATHS:
            return "again"
        self.skipped_on_end.append(clip)
        if len(self.skipped_on_end) >= _ON_END or not (self._heard_any or others):
            return "switch" if can_switch() else "fail"
        # it was this one: the others go on at full size
        self._losses, self._size = 0, None
        self._troubled.clear()
        return "skip"
