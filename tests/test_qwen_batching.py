"""Which clips go together: every clip once, memory kept, the first text soon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiyao.engines.qwen.batching import bucket, pack, round_up, shrinking

durations = st.lists(st.floats(0.1, 30.0), max_size=60)


@given(durations, st.floats(1.0, 500.0), st.integers(1, 16), st.none() | st.integers(1, 4), st.floats(0.0, 10.0))
def test_every_clip_once_and_no_batch_over_its_limits(
    durations_s: list[float], budget_s: float, max_clips: int, first: int | None, overhead_s: float
) -> None:
    batches = pack(durations_s, budget_s=budget_s, max_clips=max_clips, first_clips=first, overhead_s=overhead_s)
    assert sorted(index for batch in batches for index in batch) == list(range(len(durations_s)))
    for batch in batches:
        assert 1 <= len(batch) <= max_clips
        cost_s = len(batch) * (max(durations_s[index] for index in batch) + overhead_s)
        assert cost_s <= budget_s or len(batch) == 1


def test_the_first_text_is_the_recordings_first_and_batches_grow() -> None:
    batches = pack([10.0] * 60, budget_s=1e6, max_clips=32, first_clips=2)
    assert batches[0] == [0, 1]
    assert batches[1] == list(range(2, 18))
    assert [len(batch) for batch in batches] == [2, 16, 32, 10]


def test_clips_of_like_length_go_together() -> None:
    batches = pack([1.0, 28.0, 2.0, 27.0, 1.5, 29.0], budget_s=1e6, max_clips=3)
    assert [set(batch) for batch in batches] == [{0, 2, 4}, {1, 3, 5}]


def test_a_clip_over_the_budget_stands_alone() -> None:
    assert pack([30.0, 30.0], budget_s=10.0, max_clips=8) == [[0], [1]]


def test_the_overhead_of_many_short_clips_counts() -> None:
    assert [len(b) for b in pack([1.0] * 8, budget_s=8.0, max_clips=8, overhead_s=1.0)] == [4, 4]


def test_no_clips_no_batches() -> None:
    assert pack([], budget_s=1.0, max_clips=1, first_clips=1) == []


def test_a_batch_without_room_is_a_mistake() -> None:
    with pytest.raises(ValueError):
        pack([1.0], budget_s=1.0, max_clips=0)


class TestShrinking:
    @given(st.lists(st.integers(1, 9), max_size=8), st.integers(1, 9))
    def test_every_clip_once_in_batches_that_fit(self, sizes: list[int], room: int) -> None:
        clips = iter(range(sum(sizes)))
        batches = [[next(clips) for _ in range(size)] for size in sizes]
        done = list(shrinking(batches, lambda batch: batch if len(batch) <= room else None))
        assert [index for batch, _ in done for index in batch] == list(range(sum(sizes)))
        assert all(batch == result for batch, result in done)

    def test_later_batches_do_not_fail_again(self) -> None:
        tried: list[int] = []

        def attempt(batch: list[int]) -> list[int] | None:
            tried.append(len(batch))
            return batch if len(batch) <= 4 else None

        list(shrinking([list(range(8)), list(range(8, 16))], attempt))
        assert tried == [8, 4, 4, 4, 4]

    def test_a_single_clip_that_fails_ends_it_and_keeps_what_was(self) -> None:
        results = shrinking([[0], [1]], lambda batch: batch if batch == [0] else None)
        assert next(results) == ([0], [0])
        with pytest.raises(MemoryError):
            next(results)


def test_buckets() -> None:
    assert [bucket(n, (1, 2, 4, 8)) for n in (1, 3, 8, 9, 17)] == [1, 4, 8, 16, 24]
    assert [round_up(n, 128) for n in (0, 1, 128, 129)] == [0, 128, 128, 256]
