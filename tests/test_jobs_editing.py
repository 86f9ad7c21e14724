"""Texts of jobs as a person writes them: told to all, kept, brought back; recordings that are being made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jiyao.editing import Conflict, Merge, SetText
from jiyao.errors import AudioError, UsageError
from jiyao.jobs import Announced, Change, EngineLoading, EngineReady, Jobs, LinesChanged, Listened, Removed, Wiped
from jiyao.settings import Settings
from jiyao.vault import Vault
from tests.conftest import SAMPLE
from tests.test_jobs import KEY, OPTIONS, scripted, until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def jobs(settings: Settings) -> Iterator[Jobs]:
    with Jobs(settings, open_worker=scripted) as running:
        yield running


def write(jobs: Jobs, job: str, index: int, text: str) -> None:
    line = jobs.lines(job)[index]
    jobs.edit(job, [SetText(line.id, line.version, text)])


class TestEditing:
    def test_lines_grow_with_the_text_and_events_after_a_snapshot_make_the_same(self, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        until(jobs, job, lambda view: len(view.segments) >= 2)
        seq = jobs.seq  # first: what comes between is in both, never in neither
        known = {line.id: line for line in jobs.lines(job)}
        jobs.wait(job)
        for event in jobs.events(seq, job).take(0):
            if isinstance(event.change, LinesChanged):
                for gone in event.change.removed:
                    known.pop(gone)
                known |= {line.id: line for line in event.change.put}
        assert known == {line.id: line for line in jobs.lines(job)}
        assert tuple(line.segment for line in jobs.lines(job)) == jobs.get(job).segments

    def test_it_can_be_heard_as_soon_as_it_is_read(self, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        with pytest.raises(UsageError):
            jobs.pcm_bytes(job, 0, 10)
        until(jobs, job, lambda view: view.has_audio)
        assert Listened() in [event.change for event in jobs.events(0, job).take(0)]
        view = jobs.wait(job)
        whole = jobs.pcm_bytes(job, 0, 1 << 40)
        assert len(whole) == 32 * view.duration_ms or abs(len(whole) - 32 * view.duration_ms) < 32
        assert jobs.pcm_bytes(job, 1000, 1010) == whole[1000:1010]

    def test_what_is_written_is_what_is_exported(self, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        jobs.wait(job)
        before = jobs.transcript(job)
        write(jobs, job, 0, "改过的第一句。")
        assert jobs.transcript(job).segments[0].text == "改过的第一句。"
        assert jobs.get(job).can_undo and jobs.undo(job) and not jobs.undo(job)
        assert jobs.transcript(job) == before
        assert jobs.redo(job) and jobs.transcript(job).segments[0].text == "改过的第一句。"

    def test_two_on_one_line_the_second_is_told(self, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        jobs.wait(job)
        line = jobs.lines(job)[0]
        jobs.edit(job, [SetText(line.id, line.version, "甲")])
        with pytest.raises(Conflict) as conflict:
            jobs.edit(job, [SetText(line.id, line.version, "乙")])
        assert conflict.value.lines == (jobs.lines(job)[0],)

    def test_a_part_heard_again_takes_over_what_was_written_and_undo_brings_it_back(self, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        jobs.wait(job)
        write(jobs, job, 0, "手写。")
        clip = jobs.lines(job)[0].clip
        jobs.retry(job, clips=[clip])
        until(jobs, job, lambda view: view.state == "done" and view.clips[clip].versions == (0, 1))
        assert jobs.lines(job)[0].segment.text != "手写。"
        assert jobs.get(job).clips[clip].shown == 1
        jobs.undo(job)
        assert jobs.lines(job)[0].segment.text == "手写。"

    def test_removed_jobs_leave_no_text_in_the_log(self, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        jobs.wait(job)
        write(jobs, job, 0, "机密")
        wiped = jobs.wipe()
        changes = [event.change for event in jobs.events(0).take(0)]
        assert changes[-1] == wiped and isinstance(wiped, Wiped)
        assert not any(isinstance(change, LinesChanged) for change in changes) and Removed() in changes

    def test_announcements_come_in_order_with_the_rest(self, jobs: Jobs) -> None:
        jobs.announce("settings", {"language": "zh"})
        assert [event.change for event in jobs.events(0).take(0)] == [Announced("settings", {"language": "zh"})]


class TestKeptEdits:
    def test_edits_are_back_when_the_same_recording_is_chosen_again(self, settings: Settings, tmp_path: Path) -> None:
        with Vault.open(tmp_path / "vault", KEY) as vault:
            with Jobs(settings, vault, open_worker=scripted) as running:
                job = running.submit(SAMPLE, SAMPLE.name, OPTIONS)
                running.wait(job)
                write(running, job, 0, "第一次改。")
                write(running, job, 0, "第二次改。")
                line = running.lines(job)[1]
                running.edit(job, [Merge(line.id, line.version)])
                write(running, job, 2, "撤回的。")
                running.undo(job)
                expected, sha256 = running.transcript(job), running.get(job).sha256
            assert vault.transcript(sha256).segments == expected.segments
            with Jobs(settings, vault, open_worker=scripted) as running:
                job = running.submit(SAMPLE, SAMPLE.name, OPTIONS)
                running.wait(job)
                assert running.transcript(job).segments == expected.segments

    def test_keeping_can_begin_later(self, settings: Settings, tmp_path: Path) -> None:
        with Vault.open(tmp_path / "vault", KEY) as vault, Jobs(settings, open_worker=scripted) as running:
            job = running.submit(SAMPLE, SAMPLE.name, OPTIONS)
            running.wait(job)
            running.keep(vault)
            write(running, job, 0, "不该留下")
            assert not vault.recordings()
            running.remove(job)
            job = running.submit(SAMPLE, SAMPLE.name, OPTIONS)
            running.wait(job)
            assert len(vault.recordings()) == 1


class TestRecording:
    def test_pcm_that_comes_in_pieces_is_a_recording_of_that_length(self, jobs: Jobs) -> None:
        growing = jobs.record("录音.wav", OPTIONS)
        sound = (np.sin(np.arange(16_000 * 3) / 8) * 8000).astype("<i2").tobytes()
        for start in range(0, len(sound), 7_001):
            growing.write(sound[start : start + 7_001])
        job = jobs.accept(growing, OPTIONS)
        view = jobs.wait(job)
        assert view.duration_ms == 3_000
        assert jobs.pcm_bytes(job, 0, 1 << 30) == sound
        assert not view.notes

    def test_it_grows_beyond_its_first_room_and_goes_without_a_trace(self, jobs: Jobs) -> None:
        growing = jobs.record("long.wav", OPTIONS)
        for _ in range(20):
            growing.write(bytes(1 << 20))
        assert sum(entry.size_bytes for entry in jobs.memory()) >= 20 << 20
        growing.abort()
        assert not jobs.memory()

    def test_nothing_recorded_is_said(self, jobs: Jobs) -> None:
        growing = jobs.record("leer.wav", OPTIONS)
        with pytest.raises(AudioError):
            jobs.accept(growing, OPTIONS)
        assert not jobs.memory()


class TestWarming:
    def test_an_engine_is_loaded_before_it_is_needed_and_used_then(self, jobs: Jobs) -> None:
        assert jobs.engine is None
        jobs.warm()
        listener = jobs.events(0)
        seen: list[Change] = []
        while not any(isinstance(change, EngineReady) for change in seen):
            seen += [event.change for event in listener.take(20)]
        assert [change.on for change in seen if isinstance(change, EngineLoading)] == [True, False]
        engine = jobs.engine
        assert engine is not None and not jobs.loading
        seq = jobs.seq
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        jobs.wait(job)
        assert not any(isinstance(event.change, EngineLoading) for event in jobs.events(seq).take(0))
        jobs.warm()
        jobs.wipe()
        assert jobs.engine is None
