"""Shared segments as parent and child see them, on both kinds of system; and the account of what would fit."""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiyao.audio import decode
from jiyao.errors import AudioError, MemoryLimitError
from jiyao.memory import (
    RESERVE_BYTES,
    Attached,
    Entry,
    Ledger,
    Segment,
    SharedBytes,
    SharedPcm,
    ViewFile,
    available_bytes,
    ledger,
    pcm_bytes,
    segments,
)
from tests.conftest import SAMPLE

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="memfd and /proc are Linux's")
MEGABYTE = 1_000_000


@pytest.fixture(params=["anonymous", "named"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both run here: what Linux has, and what the others have."""
    if request.param == "anonymous" and not segments.ANONYMOUS:
        pytest.skip("this system has no memfd")
    monkeypatch.setattr(segments, "ANONYMOUS", request.param == "anonymous")
    chosen: str = request.param
    return chosen


def named_segments() -> set[str]:
    folder = Path("/dev/shm")
    return set(os.listdir(folder)) if folder.is_dir() else set()


def attached(segment: Segment, *, writable: bool = False) -> Attached:
    """As a child would: through a pipe."""
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        segment.send(ours)
        return Attached(theirs, segment.handle(), writable=writable)


@pytest.mark.usefixtures("kind")
class TestSegments:
    def test_both_ends_see_the_same(self) -> None:
        segment = Segment(100_000)
        with attached(segment, writable=True) as child:
            assert len(child.view) == 100_000 and not any(child.view)
            child.view[99_990:] = b"0123456789"
            with segment.view as view:
                assert bytes(view[99_990:]) == b"0123456789"
        segment.wipe()

    def test_larger_and_smaller_keep_what_is_there(self) -> None:
        segment = Segment(1000)
        with segment.view as view:
            view[:] = b"a" * 1000
        segment.resize(5_000_000)
        with segment.view as view:
            assert bytes(view[:1000]) == b"a" * 1000 and not any(view[1000:])
            view[4_999_999] = 7
        segment.resize(10)
        with segment.view as view, attached(segment) as child:
            assert bytes(view) == bytes(child.view) == b"a" * 10
        segment.wipe()

    def test_wiping_leaves_zeros_even_where_a_child_still_looks(self) -> None:
        segment = Segment(3 << 20)
        with segment.view as view:
            view[:] = b"secret!!" * (3 << 17)
        with attached(segment) as child:
            assert bytes(child.view[:8]) == b"secret!!"
            assert segment.wipe() == 3 << 20
            assert not any(child.view)
        assert segment.wipe() == segment.size == 0
        with pytest.raises(ValueError):
            segment.view  # noqa: B018

    def test_a_name_is_gone_with_the_segment(self, kind: str) -> None:
        before = named_segments()
        segment = Segment(1000)
        if kind == "anonymous":
            assert segment.handle().name is None
            assert named_segments() == before
        elif sys.platform == "linux":
            assert len(named_segments()) == len(before) + 1
        segment.wipe()
        assert named_segments() == before

    def test_nothing_stays_of_one_that_is_forgotten(self) -> None:
        before = named_segments()
        segment = Segment(1000)
        segment.view.release()
        del segment
        assert named_segments() == before

    def test_empty_ones(self) -> None:
        segment = Segment(0)
        with segment.view as view, attached(segment) as child:
            assert len(view) == len(child.view) == 0
        segment.resize(3)
        with segment.view as view:
            view[:] = b"abc"
        assert segment.wipe() == 3

    def test_pcm_is_int16(self) -> None:
        pcm = SharedPcm(4)
        pcm.array[:] = [1, -2, 32767, -32768]
        with attached(pcm) as child:
            assert np.frombuffer(child.view, np.int16).tolist() == [1, -2, 32767, -32768]
        assert pcm.n_samples == 4 and pcm.size == 8
        pcm.wipe()

    def test_a_file_is_read_once_and_whole(self) -> None:
        content = os.urandom(40 << 20 | 5)
        shared = SharedBytes.read_from(io.BytesIO(content), len(content))
        with shared.view as view:
            assert view == content
        shared.wipe()
        short = SharedBytes.read_from(io.BytesIO(b"abc"), 1000)
        with short.view as view:
            assert bytes(view) == b"abc"
        short.wipe()

    def test_a_file_that_breaks_leaves_nothing(self) -> None:
        class Breaking(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def readinto(self, buffer: object) -> int:
                raise OSError("unplugged")

        before = named_segments()
        with pytest.raises(OSError, match="unplugged"):
            SharedBytes.read_from(Breaking(), 1000)  # type: ignore[arg-type]
        assert named_segments() == before

    def test_no_room_is_a_memory_error(self) -> None:
        with pytest.raises(MemoryError):
            Segment(1 << 62).view  # noqa: B018


@on_linux
class TestLinux:
    def test_pages_count_only_when_written_and_go_at_once(self) -> None:
        """A wipe frees the memory, not only when the last process lets go."""
        size = 64 << 20
        start = shared_rss()
        segment = Segment(size)
        child = attached(segment, writable=True)
        assert shared_rss() - start < size / 8
        np.frombuffer(child.view, np.uint8)[:] = 1
        assert shared_rss() - start > size * 7 / 8
        segment.wipe()
        assert shared_rss() - start < size / 8
        child.close()

    def test_wiping_does_not_need_the_memory_it_frees(self) -> None:
        """The parent has never touched the pages of its child; zeroing them must not bring all of them in at once."""
        size = 256 << 20
        script = (
            "import re\n"
            "from pathlib import Path\n"
            "from jiyao.memory import Segment\n"
            "def peak():\n"
            "    return int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) * 1024\n"
            f"segment = Segment({size})\n"
            "before = peak()\n"
            "segment.wipe()\n"
            "print(peak() - before)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
        assert int(done.stdout) < size / 4

    def test_a_frozen_segment_cannot_be_taken_away(self) -> None:
        """Else a child gone mad could shorten it, and the parent would die of a bus error when it looks."""
        segment = Segment(10_000)
        segment.freeze()
        descriptor = segment._backing._descriptor  # type: ignore[union-attr]
        for size in (0, 5000, 20_000):
            with pytest.raises(PermissionError):
                os.ftruncate(descriptor, size)
        segment.wipe()

    def test_a_view_for_reading_cannot_write(self) -> None:
        segment = Segment(10)
        with attached(segment) as child, pytest.raises(TypeError):
            child.view[0] = 1
        segment.wipe()


def shared_rss() -> int:
    found = re.search(r"RssShmem:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


@given(content=st.binary(max_size=60), steps=st.lists(st.tuples(st.integers(0, 3), st.integers(-70, 70)), max_size=12))
def test_a_view_reads_like_any_file(content: bytes, steps: list[tuple[int, int]]) -> None:
    ours, theirs = ViewFile(memoryview(content)), io.BytesIO(content)
    for what, number in steps:
        if what == 3:
            assert ours.read(number) == theirs.read(number)
            continue
        start = (0, theirs.tell(), len(content))[what]
        if start + number >= 0:
            assert ours.seek(number, what) == theirs.seek(start + number)
        else:
            with pytest.raises(ValueError):
                ours.seek(number, what)
        assert ours.tell() == theirs.tell()


def test_a_recording_decodes_from_shared_memory() -> None:
    with SAMPLE.open("rb") as file:
        shared = SharedBytes.read_from(file, SAMPLE.stat().st_size)
    with shared.view as view:
        heard = decode(ViewFile(view))  # type: ignore[arg-type]
    assert np.array_equal(heard.pcm, decode(SAMPLE.read_bytes()).pcm)
    shared.wipe()


class TestLedger:
    def test_who_holds_what(self) -> None:
        account = Ledger()
        account.note("a", "recording", 100)
        account.note("a", "pcm", 50)
        account.note("a", "pcm", 400)  # it grew
        account.note("b", "recording", 7)
        assert account.total_bytes == 507
        assert Entry("a", "pcm", 400) in account.entries()
        account.release("a", "recording")
        account.note("b", "recording", 0)
        assert account.entries() == (Entry("a", "pcm", 400),)
        account.release("a")
        account.release("nobody")
        assert account.total_bytes == 0 and account.entries() == ()

    @pytest.mark.parametrize(
        ("free", "size", "duration_s", "fits"),
        [
            (2000, 230, 4 * 3600, True),  # the 4-hour M4A: 230 + 461 + 300
            (992, 230, 4 * 3600, True),
            (990, 230, 4 * 3600, False),
            (1000, 1, 12 * 3600, False),  # a small file that unpacks to days
            (1000, 20, None, True),  # not known: as phones record
            (1000, 200, None, False),
            (2000, 1900, None, False),
        ],
    )
    def test_would_it_fit(self, free: int, size: int, duration_s: float | None, fits: bool) -> None:
        account = Ledger(available=lambda: free * MEGABYTE)
        if fits:
            account.admit(size * MEGABYTE, 12 * 3600, duration_s)
            return
        with pytest.raises(MemoryLimitError) as caught:
            account.admit(size * MEGABYTE, 12 * 3600, duration_s)
        assert isinstance(caught.value, AudioError)
        for sentence in (caught.value.message("zh"), caught.value.message("en")):
            assert str(free) in sentence and str(size) in sentence
        assert caught.value.remedy("zh") and caught.value.remedy("en")

    def test_no_recording_is_longer_than_allowed(self) -> None:
        """A guess from the size must not refuse what the limit of length keeps small anyhow."""
        account = Ledger(available=lambda: 3000 * MEGABYTE)
        account.admit(1000 * MEGABYTE, 12 * 3600)
        with pytest.raises(MemoryLimitError):
            account.admit(1000 * MEGABYTE, 48 * 3600)

    def test_a_limit_of_ones_own_counts_what_is_held(self) -> None:
        account = Ledger(500 * MEGABYTE, available=lambda: 10**12)
        account.admit_pcm(400 * MEGABYTE)
        account.note("a", "pcm", 200 * MEGABYTE)
        with pytest.raises(MemoryLimitError) as caught:
            account.admit_pcm(400 * MEGABYTE)
        assert "200" in caught.value.message("en")
        account.release("a")
        account.admit_pcm(400 * MEGABYTE)

    def test_an_hour_of_pcm(self) -> None:
        assert pcm_bytes(3600) == 115_200_000
        assert RESERVE_BYTES == 300 * MEGABYTE

    def test_what_this_computer_has(self) -> None:
        assert 0 < available_bytes() <= psutil.virtual_memory().total

    @pytest.mark.parametrize(("limit", "left"), [("5000000", 5_000_000 - 3_000_000 + 500_000), ("max", None)])
    def test_a_container_may_have_less(
        self, limit: str, left: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = tuple(str(tmp_path / name) for name in ("max", "current", "stat"))
        for name, content in zip(names, (limit, "3000000\n", "anon 1\ninactive_file 500000\n"), strict=True):
            Path(name).write_text(content)
        monkeypatch.setattr(ledger, "_CONTAINER", (names, ("/nowhere", "/nowhere", "/nowhere")))
        if left is None:
            assert available_bytes() > 10_000_000
        else:
            assert available_bytes() == left


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    before = named_segments()
    yield
    assert named_segments() == before
