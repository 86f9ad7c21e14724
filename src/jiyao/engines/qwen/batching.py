"""Which clips are decoded together: the first few soon, then as many as memory holds, of like length.

In:  the clips' durations in seconds. Out: batches of indices, each index once.
From: what a step costs. A step of a small model costs nearly the same for one clip as for thirty, so batches are
      large; a batch lasts as long as its longest clip, so its clips are of like length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

_GROWTH = 8  # each of the first batches is so many times the one before: text soon, then soon at full speed


def pack(
    durations_s: Sequence[float],
    *,
    budget_s: float,
    max_clips: int,
    first_clips: int | None = None,
    overhead_s: float = 0.0,
) -> list[list[int]]:
    """Batches of at most `max_clips` clips and `budget_s` seconds, each clip counted as the longest of its batch.

    `overhead_s`: what a clip costs beside its sound (prompt, least answer). `first_clips`: the first batch takes the
    first so many clips of the recording, the next ones, eight times larger each, those that follow, so that text
    appears at once and in order; from full size on, and at once without it, the rest is sorted by length. A clip
    beyond the budget stands alone. Batches come in the order of their earliest clips.
    """
    if max_clips < 1:
        raise ValueError(f"a batch of {max_clips} clips")
    batches: list[list[int]] = []
    rest = list(range(len(durations_s)))
    size = max_clips if first_clips is None else max(1, first_clips)
    while rest and size < max_clips:
        batch = _fill(rest[:size], durations_s, budget_s, overhead_s)
        batches.append(batch)
        rest = rest[len(batch) :]
        size *= _GROWTH
    later: list[list[int]] = []
    rest.sort(key=lambda index: -durations_s[index])
    while rest:
        batch = _fill(rest[:max_clips], durations_s, budget_s, overhead_s)
        later.append(batch)
        rest = rest[len(batch) :]
    return batches + sorted(later, key=min)


def shrinking(batches: Sequence[list[int]], attempt: Callable[[list[int]], T | None]) -> Iterator[tuple[list[int], T]]:
    """Each batch with what `attempt` makes of it. Where that is None (memory ran out), the batch is halved, and so are
    all later ones that are larger than its halves. Raises MemoryError when a single clip fails."""
    waiting = list(batches)
    while waiting:
        batch = waiting.pop(0)
        result = attempt(batch)
        if result is not None:
            yield batch, result
            continue
        if len(batch) == 1:
            raise MemoryError
        limit = (len(batch) + 1) // 2
        waiting = [piece for other in (batch, *waiting) for piece in _cut(other, limit)]


def _cut(batch: list[int], limit: int) -> list[list[int]]:
    if len(batch) <= limit:
        return [batch]
    middle = (len(batch) + 1) // 2
    return _cut(batch[:middle], limit) + _cut(batch[middle:], limit)


def bucket(count: int, sizes: Sequence[int]) -> int:
    """The smallest of `sizes` (rising) that holds `count`; the next multiple of the largest beyond them."""
    return next((size for size in sizes if size >= count), round_up(count, sizes[-1]))


def round_up(count: int, step: int) -> int:
    return -(-count // step) * step


def _fill(candidates: Sequence[int], durations_s: Sequence[float], budget_s: float, overhead_s: float) -> list[int]:
    """The longest run of `candidates` from the first on that the budget holds; one at least."""
    longest_s = 0.0
    for count, index in enumerate(candidates, 1):
        longest_s = max(longest_s, durations_s[index])
        if count > 1 and count * (longest_s + overhead_s) > budget_s:
            return list(candidates[: count - 1])
    return list(candidates)
