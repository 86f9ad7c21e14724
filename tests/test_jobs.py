"""Jobs: what breaks costs nothing that was recognised. Real workers, a real recording; the scripted engine breaks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from jiyao import glossary
from jiyao.audio import decode
from jiyao.engines.scripted import Fault, Script
from jiyao.errors import AudioError, EngineError, JiyaoError, UsageError
from jiyao.jobs import (
    ENDED,
    Advanced,
    ClipHeard,
    ClipSkipped,
    EngineReady,
    Event,
    Jobs,
    JobView,
    Missed,
    Noticed,
    Queued,
    Removed,
    StateChanged,
    TakenOver,
    WorkerRestarted,
)
from jiyao.jobs.events import Feed, Listener
from jiyao.jobs.faults import Ladder
from jiyao.jobs.pace import Pace
from jiyao.pipeline import Options
from jiyao.segmentation import Cutting
from jiyao.settings import Settings
from jiyao.timeline import SAMPLE_RATE, Span
from jiyao.transcript import Segment, Transcript
from jiyao.vault import Passphrase, Vault
from jiyao.worker.parent import Limits, Worker
from tests.conftest import SAMPLE

# many short clips, in three parts, out of one minute
CUTTING = Cutting(min_clip_s=1.0, max_clip_s=4.0, max_gap_s=0.3, min_part_s=15.0, max_part_s=25.0)
OPTIONS = Options(cutting=CUTTING)
KEY = Passphrase("correct horse", log2_n=10)
ROOT = Path(__file__).parent.parent
ON_THE_PATH = {**os.environ, "PYTHONPATH": str(ROOT)}  # start.py keeps the folder where we stand off the path


def scripted(settings: Settings, engine: str | None) -> Worker:
    """The scripted engine wherever the best one is asked for."""
    return Worker(settings, engine or ("scripted" if settings.engine == "auto" else None))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def jobs(settings: Settings) -> Iterator[Jobs]:
    with Jobs(settings, open_worker=scripted) as running:
        yield running


def break_down(settings: Settings, *faults: Fault) -> None:
    Script(faults=faults).write(settings.home)


def until(running: Jobs, job: str, reached: Callable[[JobView], bool]) -> JobView:
    """Wait for an event after which the job is so."""
    view = running.get(job)
    listener = running.events(view.seq, job)
    while not reached(view):
        assert listener.take(60), "nothing happened"
        view = running.get(job)
    return view


def heard_enough(count: int) -> Callable[[JobView], bool]:
    return lambda view: sum(bool(clip.versions) for clip in view.clips) >= count or view.state in ENDED


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Transcript:
    """What the scripted engine hears in the sample when nothing breaks."""
    with Jobs(Settings(home=tmp_path_factory.mktemp("calm")), open_worker=scripted) as running:
        job = running.submit(SAMPLE, SAMPLE.name, OPTIONS)
        view = running.wait(job)
        assert view.state == "done", view.error
        assert len(view.clips) >= 12
        assert len(view.parts) >= 2
        return running.transcript(job)


class Log:
    """A listener with a thread of its own; builds what a page would show from a snapshot and the events after it."""

    def __init__(self, running: Jobs, job: str) -> None:
        self.events: list[Event] = []
        view = running.snapshot(job)
        self.shown = {clip.index: clip.segments for clip in view.clips if clip.segments}
        self.state = view.state
        self._listener = running.events(view.seq, job)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for event in self._listener:
            self.events.append(event)
            if isinstance(event.change, ClipHeard):
                self.shown[event.change.clip] = event.change.segments
            elif isinstance(event.change, StateChanged):
                self.state = event.change.state
                if event.change.state in ENDED:
                    break

    def finish(self) -> Log:
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()
        return self

    def heard(self) -> list[int]:
        return [event.change.clip for event in self.events if isinstance(event.change, ClipHeard)]


class TestFeed:
    def test_numbers_have_no_gap_and_every_job_has_its_own(self) -> None:
        feed = Feed()
        with feed.changed:
            for job in "abab":
                feed.add(job, Queued(()))
        events = Listener(feed, 0).take(0)
        assert [event.seq for event in events] == [1, 2, 3, 4]
        assert [event.job_seq for event in events] == [1, 1, 2, 2]
        assert [event.seq for event in Listener(feed, 2, "b").take(0)] == [4]

    def test_a_listener_that_stays_away_too_long_is_told_so_and_the_log_stays_bounded(self) -> None:
        feed = Feed(longest=10)
        with feed.changed:
            for _ in range(1000):
                feed.add("a", Queued(()))
        with pytest.raises(Missed):
            Listener(feed, 5).take(0)
        with pytest.raises(Missed):
            Listener(feed, 1001).take(0)  # from another start of the program
        assert len(Listener(feed, 990).take(0)) == 10

    def test_listening_waits_and_ends_when_closed(self) -> None:
        feed = Feed()
        got: list[list[Event]] = []
        listeners = [Listener(feed, 0), Listener(feed, 0)]
        threads = [threading.Thread(target=lambda one=one: got.append(list(one))) for one in listeners]
        for thread in threads:
            thread.start()
        with feed.changed:
            feed.add("a", Queued(()))
        listeners[0].close()
        threads[0].join(timeout=10)
        feed.close()
        threads[1].join(timeout=10)
        assert not any(thread.is_alive() for thread in threads)
        assert max(map(len, got)) == 1

    def test_what_is_forgotten_is_gone_from_the_log(self) -> None:
        feed = Feed()
        with feed.changed:
            feed.add("a", Noticed(note=None))  # type: ignore[arg-type]
            feed.add("b", Queued(()))
            feed.forget("a")
        assert [event.change for event in Listener(feed, 0).take(0)] == [Removed(), Queued(())]


class TestLadder:
    """`lost` as a story: which clips break, what is tried, what becomes of them."""

    @staticmethod
    def play(clips: int, breaks: Callable[[list[int]], bool], memory: bool = False, engines: int = 1) -> list[str]:
        ladder, todo, left_engines = Ladder(), list(range(clips)), engines - 1
        story: list[str] = []

        def switch() -> bool:
            nonlocal left_engines
            left_engines -= 1
            return left_engines >= 0

        while todo and len(story) < 200:
            group = todo[: ladder.size]
            if not breaks(group):
                story.append(f"heard {len(group)}")
                for clip in group:
                    ladder.heard(clip)
                    todo.remove(clip)
                continue
            verdict = ladder.lost(memory, group, group, len(todo) - len(group), switch)
            story.append(verdict)
            if verdict == "skip":
                todo.remove(group[0])
            elif verdict == "switch":
                ladder = Ladder()
            elif verdict == "fail":
                break
        return story

    def test_once_is_chance(self) -> None:
        times = iter([True])
        assert self.play(8, lambda _: next(times, False)) == ["again", "heard 8"]

    def test_the_clip_that_breaks_it_is_found_and_skipped_and_the_rest_is_heard(self) -> None:
        story = self.play(8, lambda group: 5 in group)
        assert story.count("skip") == 1
        assert sum(int(step.split()[1]) for step in story if step.startswith("heard")) == 7
        assert story[-1] == "heard 2"  # at full size again

    def test_memory_halves_at_once_and_stays_small(self) -> None:
        assert self.play(8, lambda group: len(group) > 2, memory=True) == [
            *("smaller", "smaller"),
            *["heard 2"] * 4,
        ]

    def test_memory_too_small_for_one_takes_the_next_engine(self) -> None:
        story = self.play(2, lambda _: True, memory=True, engines=2)
        assert story[:2] == ["smaller", "switch"]
        assert story[-1] == "fail"
        assert "switch" not in story[2:]

    def test_an_engine_that_breaks_over_everything_is_not_asked_for_every_clip(self) -> None:
        story = self.play(500, lambda _: True)
        assert story[-1] == "fail"
        assert story.count("skip") == 2
        assert len(story) < 40

    def test_the_only_clip_breaks_it(self) -> None:
        assert self.play(1, lambda _: True) == ["again", "again", "fail"]


class TestPace:
    def test_unknown_until_measured_then_by_the_clock_of_recognising(self) -> None:
        clock = [0.0]
        pace = Pace(100_000, 20_000, lambda: clock[0])
        assert pace.progress() == Advanced(20_000, 100_000)
        pace.begin()
        clock[0] = 10.0
        pace.settled(40_000)
        assert pace.progress() == Advanced(60_000, 100_000, 4.0, 10_000)
        pace.pause()
        clock[0] = 500.0  # the worker is started again
        pace.settled(10_000, heard=False)
        assert pace.progress() == Advanced(70_000, 100_000, 4.0, 7_500)
        pace.changed_engine()
        assert pace.progress().speed is None


class TestRunning:
    def test_a_recording_goes_through_its_states_and_ends_as_text(self, jobs: Jobs, undisturbed: Transcript) -> None:
        job = jobs.submit(SAMPLE.read_bytes(), SAMPLE.name, OPTIONS)
        log = Log(jobs, job).finish()
        states = [event.change.state for event in log.events if isinstance(event.change, StateChanged)]
        assert states[-4:] == ["loading", "recognizing", "finishing", "done"]
        assert jobs.transcript(job) == undisturbed
        assert sorted(log.heard()) == list(range(len(jobs.get(job).clips)))
        assert any(isinstance(event.change, EngineReady) for event in log.events)

    def test_progress_grows_to_the_end_and_eta_is_unknown_at_first(self, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        log = Log(jobs, job).finish()
        begun = next(place for place, event in enumerate(log.events) if event.change == StateChanged("recognizing"))
        steps = [event.change for event in log.events[begun:] if isinstance(event.change, Advanced)]
        assert [step.done_ms for step in steps] == sorted(step.done_ms for step in steps)
        assert (steps[0].speed, steps[0].left_ms) == (None, None)
        assert steps[-1].done_ms == steps[-1].total_ms == 58_800

    def test_partial_text_is_in_the_order_of_time_at_every_moment(self, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        seen = 0
        for event in jobs.events(0, job):
            if isinstance(event.change, ClipHeard):
                starts = [segment.start_ms for segment in jobs.get(job).segments]
                assert starts == sorted(starts)
                seen += 1
            if event.change == StateChanged("done"):
                break
        assert seen == len(jobs.get(job).clips)

    def test_the_worker_is_kept_from_job_to_job_and_released_when_idle(self, settings: Settings) -> None:
        made: list[Worker] = []

        def counting(chosen: Settings, engine: str | None) -> Worker:
            made.append(scripted(chosen, engine))
            return made[-1]

        with Jobs(replace(settings, idle_release_min=0.01), open_worker=counting) as running:
            first, second = (running.submit(SAMPLE, f"{n}.flac", OPTIONS) for n in range(2))
            running.wait(second)
            assert running.get(first).state == "done"
            assert len(made) == 1
            assert made[0].pid is not None
            psutil.Process(made[0].pid).wait(timeout=60)
            running.wait(running.submit(SAMPLE, "3.flac", OPTIONS))
            assert len(made) == 2

    def test_queue_order_cancel_of_a_waiting_job_and_removal(self, settings: Settings, jobs: Jobs) -> None:
        break_down(settings, Fault("slow"))
        a, b, c, d = (jobs.submit(SAMPLE, f"{name}.flac", OPTIONS) for name in "abcd")
        until(jobs, a, lambda view: view.state == "recognizing")
        assert [jobs.get(job).place for job in (a, b, c, d)] == [None, 0, 1, 2]
        jobs.reorder([d, c])
        assert [jobs.get(job).place for job in (b, c, d)] == [2, 1, 0]
        jobs.cancel(b)
        jobs.remove(c)
        assert [(view.name, view.state) for view in jobs.list()] == [
            ("a.flac", "recognizing"),
            ("b.flac", "cancelled"),
            ("d.flac", "queued"),
        ]
        with pytest.raises(UsageError):
            jobs.get(c)

    def test_what_cannot_be_read_fails_alone(self, jobs: Jobs, tmp_path: Path) -> None:
        with pytest.raises(AudioError):
            jobs.submit(tmp_path / "absent.wav", "absent.wav", OPTIONS)
        with pytest.raises(AudioError):
            jobs.submit(b"", "empty.wav", OPTIONS)
        bad = jobs.submit(b"this is no music " * 50, "text.mp3", OPTIONS)
        good = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        view = jobs.wait(bad)
        assert (view.state, type(view.error)) == ("failed", AudioError)
        assert jobs.wait(good).state == "done"

    def test_a_file_that_would_not_fit_is_refused_before_it_is_read(self, settings: Settings) -> None:
        with Jobs(replace(settings, memory_limit_mb=1), open_worker=scripted) as running:
            with SAMPLE.open("rb") as file:
                with pytest.raises(AudioError, match="MB"):
                    running.submit(file, SAMPLE.name, OPTIONS)
                assert file.tell() == 0
            assert running.memory() == ()

    def test_pieces_and_bytes_that_were_not_announced(self, jobs: Jobs, undisturbed: Transcript) -> None:
        content = SAMPLE.read_bytes()
        incoming = jobs.receive(SAMPLE.name, len(content), OPTIONS)
        for start in range(0, len(content), 10_001):
            incoming.write(content[start : start + 10_001])
        job = jobs.accept(incoming, OPTIONS)
        jobs.wait(job)
        assert jobs.transcript(job) == undisturbed
        short = jobs.receive("short", 4, OPTIONS)
        with pytest.raises(AudioError):
            short.write(b"12345")
        assert {entry.job for entry in jobs.memory()} == {job}


class TestBreakingDown:
    @pytest.mark.parametrize("reason", ["exit", "kill", "fail", "raise"])
    def test_again_and_again_costs_nothing_that_was_heard(
        self, settings: Settings, jobs: Jobs, undisturbed: Transcript, reason: str
    ) -> None:
        """Every process breaks over its fifth clip; the next one goes on with that clip."""
        break_down(settings, Fault(reason, nth=5))  # type: ignore[arg-type]
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        log = Log(jobs, job).finish()
        assert log.state == "done"
        assert any(isinstance(event.change, WorkerRestarted) for event in log.events)
        assert sorted(log.heard()) == sorted(set(log.heard()))
        assert jobs.transcript(job) == undisturbed

    def test_a_clip_that_always_breaks_it_is_skipped_and_said(
        self, settings: Settings, jobs: Jobs, undisturbed: Transcript
    ) -> None:
        break_down(settings, Fault("exit", at_ms=9_000))
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        log = Log(jobs, job).finish()
        view = jobs.get(job)
        [skipped] = [clip for clip in view.clips if clip.skipped]
        assert skipped.span.start_ms <= 9_000 < skipped.span.end_ms
        assert [event.change.clip for event in log.events if isinstance(event.change, ClipSkipped)] == [skipped.index]
        transcript = jobs.transcript(job)
        outside = [s for s in undisturbed.segments if not skipped.span.start_ms <= s.start_ms < skipped.span.end_ms]
        assert list(transcript.segments) == outside
        assert any("00:00:0" in note and "no text" in note for note in transcript.source.notes)

    def test_out_of_memory_in_large_batches_goes_on_in_smaller_ones_and_says_so(
        self, settings: Settings, jobs: Jobs, undisturbed: Transcript
    ) -> None:
        break_down(settings, Fault("memory", batch_over=2))
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        assert jobs.wait(job).state == "done"
        transcript = jobs.transcript(job)
        assert transcript.segments == undisturbed.segments
        assert any("Not enough memory" in note for note in transcript.source.notes)

    def test_an_engine_that_always_breaks_fails_the_job_and_the_next_one_runs(
        self, settings: Settings, jobs: Jobs
    ) -> None:
        break_down(settings, Fault("exit"))
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        view = jobs.wait(job)
        assert view.state == "failed"
        assert isinstance(view.error, JiyaoError)
        break_down(settings)
        jobs.resume(job)
        assert jobs.wait(job).state == "done"

    def test_a_failed_job_keeps_its_text_and_goes_on_from_there(
        self, settings: Settings, jobs: Jobs, undisturbed: Transcript
    ) -> None:
        break_down(settings, *(Fault("exit", at_ms=at_ms) for at_ms in range(30_000, 59_000, 250)))
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        view = jobs.wait(job)
        assert view.state == "failed"
        heard = {clip.index for clip in view.clips if clip.versions}
        assert {view.clips[index].span.start_ms < 30_000 for index in heard} == {True}
        assert jobs.transcript(job).segments == undisturbed.segments[: len(view.segments)]
        break_down(settings)
        log = Log(jobs, job)
        jobs.resume(job)
        log.finish()
        assert sorted(log.heard()) == [clip.index for clip in view.clips if clip.index not in heard]
        assert jobs.transcript(job).segments == undisturbed.segments

    def test_a_worker_that_hangs_is_ended_and_the_job_goes_on(
        self, settings: Settings, undisturbed: Transcript
    ) -> None:
        break_down(settings, Fault("hang", nth=8))

        def impatient(chosen: Settings, engine: str | None) -> Worker:
            return Worker(chosen, engine or "scripted", limits=Limits(silent_s=5, still_s=1, factor=0.01))

        with Jobs(settings, open_worker=impatient) as running:
            job = running.submit(SAMPLE, SAMPLE.name, OPTIONS)
            log = Log(running, job).finish()
            assert WorkerRestarted("hung") in [event.change for event in log.events]
            assert running.transcript(job).segments == undisturbed.segments

    def test_an_engine_that_dies_while_loading_fails_the_job(self, settings: Settings, jobs: Jobs) -> None:
        break_down(settings, Fault("kill", when="load"))
        view = jobs.wait(jobs.submit(SAMPLE, SAMPLE.name, OPTIONS))
        assert view.state == "failed"
        assert isinstance(view.error, EngineError)
        assert jobs.list() and not workers()

    def test_a_file_that_breaks_its_reader_every_time_fails_alone(self, settings: Settings) -> None:
        class Breaking(Worker):
            """Its child is killed as soon as it is to read."""

            def listen(self, *arguments: Any, **more: Any) -> Any:
                assert self.pid is not None
                psutil.Process(self.pid).kill()
                return super().listen(*arguments, **more)

        with Jobs(settings, open_worker=lambda chosen, engine: Breaking(chosen, engine or "scripted")) as running:
            job = running.submit(SAMPLE, SAMPLE.name, OPTIONS)
            log = Log(running, job).finish()
            error = running.get(job).error
            assert isinstance(error, AudioError)
            assert error.key == "audio.lost"
            assert [event.change for event in log.events].count(WorkerRestarted("died")) == 3
            assert running.fault(job) is None

    def test_where_one_engine_breaks_the_next_one_goes_on(
        self, starter_home: Path, tmp_path: Path, undisturbed: Transcript
    ) -> None:
        """The scripted engine has too little memory; the real starter takes over, and the transcript says so."""
        link = tmp_path / "home"
        link.mkdir()
        for entry in starter_home.iterdir():
            (link / entry.name).symlink_to(entry)
        chosen = Settings(home=link)
        break_down(chosen, Fault("memory", at_ms=40_000))
        with Jobs(chosen, open_worker=scripted) as running:
            job = running.submit(SAMPLE, SAMPLE.name, Options(cutting=replace(CUTTING, max_clip_s=12.0)))
            view = running.wait(job)
            assert view.state == "done", view.error
            transcript = running.transcript(job)
        assert view.engine is not None
        assert view.engine.name == "whisper-base"
        assert any("scripted" in note and "whisper-base" in note for note in transcript.source.notes)


class TestKilling:
    @pytest.mark.parametrize("seed", range(4))
    def test_killed_at_random_moments_the_text_is_the_same(
        self, settings: Settings, jobs: Jobs, undisturbed: Transcript, seed: int
    ) -> None:
        """20 kills in all, from outside, at any moment: loading, reading, recognising."""
        chance = random.Random(seed)
        break_down(settings, Fault("slow", seconds=0.05))
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        log = Log(jobs, job)
        killed = kill_now_and_then(jobs, job, chance, 5)
        log.finish()
        assert log.state == "done"
        assert len(killed) >= 5
        assert sorted(log.heard()) == list(range(len(jobs.get(job).clips)))  # none lost, none twice
        assert jobs.transcript(job).segments == undisturbed.segments

    @pytest.mark.parametrize("seed", range(10))
    def test_the_real_starter_killed_twice(
        self, starter_home: Path, starters_segments: tuple[Segment, ...], seed: int
    ) -> None:
        """20 kills in all. More in one run might meet one clip three times, which is then skipped."""
        with Jobs(Settings(home=starter_home, engine="whisper-base")) as running:
            job = running.submit(SAMPLE, SAMPLE.name, STARTERS)
            log = Log(running, job)
            done = kill_now_and_then(running, job, random.Random(seed), 2)
            log.finish()
            assert log.state == "done"
            assert len(done) == 2
            assert sorted(log.heard()) == list(range(len(running.get(job).clips)))
            assert running.transcript(job).segments == starters_segments

    @pytest.mark.parametrize("seed", range(6))
    def test_cancelled_at_a_random_moment_the_next_job_runs(
        self, settings: Settings, jobs: Jobs, undisturbed: Transcript, seed: int
    ) -> None:
        chance = random.Random(seed)
        break_down(settings, Fault("slow", seconds=0.05))
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        wait_a_little(jobs, job, chance, 40)
        jobs.cancel(job)
        view = jobs.wait(job)
        assert view.state in ("cancelled", "done")
        heard = [clip for clip in view.clips if clip.versions]
        assert bool(jobs.transcript(job).segments) == bool(heard)
        break_down(settings)
        following = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        assert jobs.wait(following).state == "done"
        assert jobs.transcript(following) == undisturbed
        jobs.resume(job)
        assert jobs.wait(job).state == "done"
        assert jobs.transcript(job) == undisturbed


STARTERS = Options(cutting=replace(CUTTING, max_clip_s=12.0))


@pytest.fixture(scope="module")
def starters_segments(starter_home: Path) -> tuple[Segment, ...]:
    """What the real starter says when nothing disturbs it."""
    with Jobs(Settings(home=starter_home, engine="whisper-base")) as running:
        job = running.submit(SAMPLE, SAMPLE.name, STARTERS)
        assert running.wait(job).state == "done"
        segments = running.transcript(job).segments
    assert segments
    return segments


def workers() -> list[psutil.Process]:
    """The worker of this process, if there is one."""
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def wait_a_little(running: Jobs, job: str, chance: random.Random, most_events: int) -> None:
    """Until some event between now and the end, and then some milliseconds more."""
    view = running.get(job)
    listener = running.events(view.seq, job)
    for _ in range(chance.randrange(most_events)):
        if running.get(job).state in ENDED or not listener.take(60, at_most=1):
            return
    threading.Event().wait(chance.random() * 0.2)


def kill_now_and_then(running: Jobs, job: str, chance: random.Random, times: int) -> list[int]:
    """SIGKILL the worker so often, a clip or more apart: three on one clip would be that clip's fault."""
    killed: list[int] = []
    while len(killed) < times and running.get(job).state not in ENDED:
        wait_a_little(running, job, chance, 6)
        for worker in workers():
            worker.kill()
            killed.append(worker.pid)
        clips = sum(bool(clip.versions) for clip in running.get(job).clips)
        until(running, job, heard_enough(clips + 1))
    return killed


class TestListening:
    def test_snapshot_and_events_agree_under_load_and_nobody_is_held_up(
        self, settings: Settings, jobs: Jobs, undisturbed: Transcript
    ) -> None:
        """Listeners join at any moment, one never reads: all that read end with the same text."""
        break_down(settings, Fault("slow", seconds=0.01))
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        idle = jobs.events(0)
        logs = [Log(jobs, job)]
        listener = jobs.events(0, job)
        while jobs.get(job).state not in ENDED:
            listener.take(10, at_most=1)
            if len(logs) < 24:
                logs.append(Log(jobs, job))
        final = {clip.index: clip.segments for clip in jobs.get(job).clips if clip.segments}
        for log in logs:
            if log.state not in ENDED:
                log.finish()
            assert log.shown == final
            seqs = [event.seq for event in log.events]
            assert seqs == sorted(set(seqs))
            numbers = [event.job_seq for event in log.events]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
            assert len(log.heard()) == len(set(log.heard()))
        assert idle.take(0)[0].seq == 1
        assert jobs.transcript(job) == undisturbed

    def test_resuming_from_any_event_gives_the_rest(self, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        jobs.wait(job)
        everything = jobs.events(0, job).take(0)
        for place in (1, len(everything) // 2, len(everything) - 1):
            assert jobs.events(everything[place - 1].seq, job).take(0) == everything[place:]


class TestAgain:
    def test_a_part_is_heard_again_with_other_options_clip_by_clip(self, settings: Settings, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        before = jobs.wait(job)
        seq = jobs.seq
        version = jobs.retry(job, part=1, options=replace(OPTIONS, language="en"))
        view = until(jobs, job, lambda view: view.state == "done" and view.seq > seq and view.clips[-1].index >= 0)
        view = jobs.wait(job)
        assert version == 1
        for old, new in zip(before.clips, view.clips, strict=True):
            if new.part == 1:
                assert new.versions == (0, 1)
                assert {segment.language for segment in new.segments} == {"en"}
            else:
                assert (new.versions, new.segments) == ((0,), old.segments)
        again = [e.change for e in jobs.events(seq, job).take(0) if isinstance(e.change, ClipHeard)]
        assert {change.version for change in again} == {1}
        clip = next(clip.index for clip in view.clips if clip.part == 1)
        jobs.show(job, clip, 0)
        assert jobs.get(job).clips[clip].segments == before.clips[clip].segments

    def test_what_breaks_the_second_time_keeps_its_old_text(self, settings: Settings, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        before = jobs.wait(job)
        break_down(settings, Fault("exit"))
        [worker] = workers()
        worker.kill()  # the next one reads what is to go wrong
        jobs.retry(job, clips=[2, 3])
        view = until(jobs, job, lambda view: view.error is not None)
        assert view.state == "done"
        assert view.segments == before.segments
        assert not any("no text" in note for note in jobs.transcript(job).source.notes)

    def test_another_engine_for_a_part_is_said_in_the_text(self, starter_home: Path) -> None:
        with Jobs(Settings(home=starter_home), open_worker=scripted) as running:
            job = running.submit(SAMPLE, SAMPLE.name, OPTIONS)
            running.wait(job)
            running.retry(job, clips=[3], engine="whisper-base")
            until(running, job, lambda view: view.state == "done" and view.clips[3].versions == (0, 1))
            transcript = running.transcript(job)
        assert transcript.engine.name == "scripted"  # most of it
        assert any("scripted" in note and "whisper-base" in note for note in transcript.source.notes)

    def test_terms_are_applied_and_unknown_parts_refused(self, jobs: Jobs) -> None:
        job = jobs.submit(SAMPLE, SAMPLE.name, OPTIONS)
        with pytest.raises(UsageError):
            jobs.retry(job, part=0)  # nothing is read yet
        jobs.wait(job)
        terms = glossary.parse("OKR→目标")
        jobs.retry(job, options=replace(OPTIONS, glossary=terms))
        until(jobs, job, lambda view: view.state == "done" and all(len(c.versions) == 2 for c in view.clips))
        assert jobs.transcript(job).corrections
        with pytest.raises(UsageError):
            jobs.retry(job, part=99)
        with pytest.raises(UsageError):
            jobs.retry(job, clips=[10_000])


class TestWiping:
    def test_one_job_leaves_nothing_in_the_log_and_no_buffer(self, jobs: Jobs) -> None:
        job, other = (jobs.submit(SAMPLE, name, OPTIONS) for name in ("a.flac", "b.flac"))
        jobs.wait(other)
        receipt = jobs.wipe(job)
        assert receipt.jobs == 1
        assert receipt.buffer_bytes == 58_800 * 16 * 2
        assert 0 < receipt.resident_after
        assert {entry.job for entry in jobs.memory()} == {other}
        assert {event.change for event in jobs.events(0, job).take(0)} == {Removed()}
        assert jobs.get(other).segments

    def test_all_at_once_ends_the_worker_too(self, settings: Settings, jobs: Jobs) -> None:
        break_down(settings, Fault("slow", seconds=0.05))
        first = jobs.submit(SAMPLE, "a.flac", OPTIONS)
        jobs.submit(SAMPLE, "b.flac", OPTIONS)
        until(jobs, first, heard_enough(2))
        [worker] = workers()
        receipt = jobs.wipe()
        assert (receipt.jobs, receipt.worker_ended) == (2, True)
        worker.wait(timeout=10)
        assert jobs.list() == []
        assert jobs.memory() == ()
        job = jobs.submit(SAMPLE, "c.flac", OPTIONS)
        assert jobs.wait(job).state == "done"

    @pytest.mark.skipif(sys.platform != "linux", reason="reads another process's memory through /proc")
    def test_neither_text_nor_sound_is_left_in_memory(self, settings: Settings) -> None:
        """Another process wipes; its whole memory is searched before and after."""
        marker = "论讨会开去车行自色紫着骑蛙青"[::-1]  # turned round: the child imports this file
        Script(lines=(f"{marker}。",)).write(settings.home)
        with SAMPLE.open("rb") as file:
            sound = decode(file).samples(SOUND)
        process = subprocess.Popen(
            [sys.executable, "-c", WIPES, str(settings.home), str(SAMPLE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=ON_THE_PATH,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        sought = {
            "as text": marker.encode("utf-16-le"),
            "as bytes": marker.encode(),
            "as PCM": (sound * 32768).astype(np.int16).tobytes(),
        }
        with process:
            assert process.stdout.readline() == b"done\n"
            before = found_in_memory(process.pid, sought)
            process.stdin.write(b"wipe\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"wiped\n"
            after = found_in_memory(process.pid, sought)
        assert before["as text"]
        assert before["as PCM"]
        assert after == {"as text": 0, "as bytes": 0, "as PCM": 0}

    @pytest.mark.skipif(sys.platform != "linux", reason="reads its own memory through /proc")
    def test_the_texts_of_a_long_meeting_are_overwritten(self) -> None:
        """Thousands of strings of all sizes, more than the allocator reuses by itself."""
        done = subprocess.run(
            [sys.executable, "-c", FORGETS], stdout=subprocess.PIPE, cwd=ROOT, env=ON_THE_PATH, check=True
        )
        before, after = map(int, done.stdout.split())
        assert before == 300_000
        assert after < 100


# Runs in a child: makes texts, forgets them, and counts what of them is left in memory
FORGETS = """
import os, random
from jiyao.jobs.scrubbing import scrub
from tests.test_jobs import found_in_memory
def marker():
    return "论讨会开去车行自色紫着骑蛙青"[::-1]
chance = random.Random(1)
texts, kept = [], []
for number in range(300_000):
    texts.append(marker() + "字" * chance.randrange(200) + str(number))
    if number % 500 == 0:
        kept.append("字" * 150 + str(number))  # no arena is empty as a whole, or the system would have it back
pattern = {"text": marker().encode("utf-16-le")}
before = len(texts)  # not sought: what reads all memory makes copies of it
del texts
scrub()
print(before, found_in_memory(os.getpid(), pattern)["text"])
"""


def found_in_memory(pid: int, sought: dict[str, bytes]) -> dict[str, int]:
    """How often each pattern stands in the writable memory of a process."""
    found = dict.fromkeys(sought, 0)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(edge, 16) for edge in place.split("-"))
            memory.seek(start)
            try:
                content = memory.read(end - start)
            except OSError:  # the kernel's own pages
                continue
            for name, pattern in sought.items():
                found[name] += content.count(pattern)
    return found


class TestKeeping:
    def test_finished_clips_are_kept_before_they_are_told(self, settings: Settings, tmp_path: Path) -> None:
        with Vault.open(tmp_path / "vault", KEY) as vault, Jobs(settings, vault, open_worker=scripted) as running:
            job = running.submit(SAMPLE, SAMPLE.name, OPTIONS)
            sha256 = running.get(job).sha256
            told = 0
            for event in running.events(0, job):
                if isinstance(event.change, ClipHeard):
                    told += 1
                    assert len(vault.clips(sha256).results) >= told
                if event.change == StateChanged("done"):
                    break
            assert vault.transcript(sha256).segments == running.transcript(job).segments

    def test_what_is_heard_again_replaces_what_is_kept(self, settings: Settings, tmp_path: Path) -> None:
        with Vault.open(tmp_path / "vault", KEY) as vault, Jobs(settings, vault, open_worker=scripted) as running:
            job = running.submit(SAMPLE, SAMPLE.name, OPTIONS)
            running.wait(job)
            running.retry(job, part=0, options=replace(OPTIONS, language="en"))
            until(running, job, lambda view: view.state == "done" and len(view.clips[0].versions) == 2)
            running.wait(job)
            assert vault.transcript(running.get(job).sha256).segments == running.transcript(job).segments
            running.show(job, 0, 0)
            assert vault.transcript(running.get(job).sha256).segments == running.transcript(job).segments

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
    def test_the_parent_killed_the_second_run_recognises_only_what_was_missing(
        self, settings: Settings, tmp_path: Path, undisturbed: Transcript
    ) -> None:
        break_down(settings, Fault("slow", seconds=0.2))
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(settings.home), str(tmp_path / "vault"), str(SAMPLE)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=ON_THE_PATH,
        )
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(4)]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert told == [b"heard"] * 4
        break_down(settings)
        with Vault.open(tmp_path / "vault", KEY) as vault, Jobs(settings, vault, open_worker=scripted) as running:
            sha256 = vault.recordings()[0].source.sha256
            kept = len(vault.clips(sha256).results)
            job = running.submit(SAMPLE, SAMPLE.name, OPTIONS)
            log = Log(running, job).finish()
            view = running.get(job)
            assert view.sha256 == sha256
            assert 4 <= kept < len(view.clips)
            first = next(e for e in log.events if e.change == StateChanged("recognizing"))
            assert TakenOver(kept) in [event.change for event in log.events]
            again = [e.change.clip for e in log.events if isinstance(e.change, ClipHeard) and e.seq > first.seq]
            assert len(again) == len(view.clips) - kept  # recognised in this run
            assert running.transcript(job) == undisturbed


# Runs in a child that is killed: a transcription with keeping on
CHILD = """
import sys
from pathlib import Path
from jiyao.jobs import ClipHeard, Jobs
from jiyao.settings import Settings
from jiyao.vault import Vault
from tests.test_jobs import KEY, OPTIONS, scripted
if __name__ == "__main__":
    home, folder, sample = map(Path, sys.argv[1:])
    with Vault.open(folder, KEY) as vault, Jobs(Settings(home=home), vault, open_worker=scripted) as running:
        job = running.submit(sample, sample.name, OPTIONS)
        for event in running.events(0, job):
            if isinstance(event.change, ClipHeard):
                print("heard", flush=True)
"""


SOUND = Span(20 * SAMPLE_RATE, 20 * SAMPLE_RATE + 64)

# Runs in a child whose memory is searched: done, then wiped when told to
WIPES = """
import sys
from dataclasses import replace
from pathlib import Path
from jiyao.glossary import parse
from jiyao.jobs import Jobs
from jiyao.settings import Settings
from tests.test_jobs import OPTIONS, SOUND, scripted
if __name__ == "__main__":
    with Jobs(Settings(home=Path(sys.argv[1])), open_worker=scripted) as running:
        terms = parse("自行车\\nLlama-3-8B\\n开会")  # looking for terms leaves nothing behind either
        job = running.submit(Path(sys.argv[2]), "a.flac", replace(OPTIONS, glossary=terms))
        running.wait(job)
        running.samples(job, SOUND)
        print("done", flush=True)
        sys.stdin.readline()
        running.wipe()
        print("wiped", flush=True)
        sys.stdin.readline()
"""
