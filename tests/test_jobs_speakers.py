"""Speakers beside recognition: a real child, real models; whatever breaks there, the text is whole."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from jiyao.editing import Rename, SetSpeaker
from jiyao.errors import EngineError, UsageError, WeightsError
from jiyao.jobs import Jobs, Noticed, TellingApart
from jiyao.settings import Settings
from jiyao.speakers import MODELS
from jiyao.transcript import Transcript
from jiyao.vault import Vault
from jiyao.worker import diarizing
from jiyao.worker.diarizing import Diarizing
from tests.conftest import SAMPLE
from tests.test_jobs import KEY, OPTIONS, scripted

TOLD_APART = replace(OPTIONS, speakers="auto")


@pytest.fixture
def settings(voices_home: Path) -> Settings:
    return Settings(home=voices_home)


@pytest.fixture
def jobs(settings: Settings) -> Iterator[Jobs]:
    with Jobs(settings, open_worker=scripted) as running:
        yield running


def words(transcript: Transcript) -> str:
    return "".join(segment.text for segment in transcript.segments)


def speakers(running: Jobs, job: str) -> list[str | None]:
    """In the order of first words."""
    return list(dict.fromkeys(segment.speaker for segment in running.transcript(job).segments))


class Watched:
    """Diarizing whose child something is done to as soon as it reports."""

    def __init__(self, do: Callable[[int], None], patience_s: float = 120.0) -> None:
        self.do, self.patience_s = do, patience_s
        self.begun = threading.Event()

    def __call__(self, home: Path) -> Diarizing:
        watched = self

        class Child(Diarizing):
            def run(self, pcm: Any, count: int | None = None, report: Any = None) -> Any:
                def first(share: float) -> None:
                    report(share)
                    if not watched.begun.is_set():
                        assert self.pid is not None
                        watched.do(self.pid)
                        watched.begun.set()

                return super().run(pcm, count, first)

        return Child(home, self.patience_s)


def test_lines_get_their_speakers_and_lose_no_word(jobs: Jobs) -> None:
    plain = jobs.submit(SAMPLE, "plain", OPTIONS)
    job = jobs.submit(SAMPLE, "told apart", TOLD_APART)
    shares = [
        event.change.share
        for event in _until_told(jobs, job)
        if isinstance(event.change, TellingApart) and event.change.share is not None
    ]
    view = jobs.wait(job, speakers=True)
    assert view.state == "done" and not view.notes and view.telling_apart is None
    assert shares == sorted(shares) and shares[0] == 0
    assert speakers(jobs, job) == ["Speaker 1", "Speaker 2", "Speaker 3", "Speaker 4"]
    assert words(jobs.transcript(job)).replace(" ", "") == words(jobs.transcript(plain)).replace(" ", "")
    assert speakers(jobs, plain) == [None]


def _until_told(jobs: Jobs, job: str) -> list[Any]:
    found: list[Any] = []
    listener = jobs.events(0, job)
    while not any(isinstance(one.change, TellingApart) and one.change.share is None for one in found[1:]):
        new = listener.take(60)
        assert new, "nothing happened"
        found += new
    return found


@pytest.mark.parametrize("lacking", MODELS)
def test_without_a_model_there_is_the_text_and_the_reason(settings: Settings, tmp_path: Path, lacking: str) -> None:
    (tmp_path / "models").mkdir()
    for folder in (settings.home / "models").iterdir():
        if folder.name != lacking:
            (tmp_path / "models" / folder.name).symlink_to(folder)
    with Jobs(Settings(home=tmp_path), open_worker=scripted) as jobs:
        job = jobs.submit(SAMPLE, "x", TOLD_APART)
        view = jobs.wait(job, speakers=True)
        assert view.state == "done" and words(jobs.transcript(job)) and speakers(jobs, job) == [None]
        (note,) = view.notes
        assert note.key == "speakers.left_out" and note.warning and lacking in str(note.parameters["reason"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("deed", "patience_s"), [(signal.SIGKILL, 120.0), (signal.SIGSTOP, 20.0)])
def test_a_child_that_dies_or_hangs_costs_no_text(settings: Settings, deed: signal.Signals, patience_s: float) -> None:
    watched = Watched(lambda pid: os.kill(pid, deed), patience_s)
    with Jobs(settings, open_worker=scripted, open_diarizing=watched) as jobs:
        job = jobs.submit(SAMPLE, "x", TOLD_APART)
        view = jobs.wait(job, speakers=True)
        assert watched.begun.is_set() and view.state == "done" and words(jobs.transcript(job))
        assert [note.key for note in view.notes] == ["speakers.left_out"]
        jobs.tell_apart(job)  # the next one has more luck, and the remark is not true any more
        assert not jobs.wait(job, speakers=True).notes
        assert len(speakers(jobs, job)) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_child_is_sealed_by_the_kernel(settings: Settings) -> None:
    found: list[str] = []
    watched = Watched(lambda pid: found.append(Path(f"/proc/{pid}/status").read_text()))
    with Jobs(settings, open_worker=scripted, open_diarizing=watched) as jobs:
        jobs.wait(jobs.submit(SAMPLE, "x", TOLD_APART), speakers=True)
    assert "Seccomp:\t2" in found[0] and "NoNewPrivs:\t1" in found[0]


@pytest.mark.parametrize("how", ["remove", "wipe", "cancel", "close"])
def test_whoever_takes_the_job_away_ends_the_child(settings: Settings, how: str) -> None:
    pids: list[int] = []

    def hold(pid: int) -> None:
        pids.append(pid)
        psutil.Process(pid).suspend()

    watched = Watched(hold)
    with Jobs(settings, open_worker=scripted, open_diarizing=watched) as jobs:
        job = jobs.submit(SAMPLE, "x", TOLD_APART)
        assert watched.begun.wait(60)
        (pid,) = pids
        if how == "remove":
            jobs.remove(job)
        elif how == "wipe":
            jobs.wipe()
        elif how == "cancel":
            jobs.cancel(job)
            view = jobs.wait(job, speakers=True)
            assert view.telling_apart is None and not any(note.key.startswith("speakers") for note in view.notes)
        else:
            jobs.close()
        assert not psutil.pid_exists(pid) or how == "cancel"
        if how != "cancel":
            assert jobs.memory() == ()
    assert not psutil.pid_exists(pid)


def test_how_many_there_are_can_be_said_afterwards(jobs: Jobs) -> None:
    job = jobs.submit(SAMPLE, "x", TOLD_APART)
    jobs.wait(job, speakers=True)
    jobs.edit(job, [Rename("Speaker 1", "李经理|主持")])
    line = jobs.lines(job)[-1]
    jobs.edit(job, [SetSpeaker(line.id, line.version, "旁听")])
    jobs.tell_apart(job, 2)
    assert jobs.get(job).telling_apart is not None
    view = jobs.wait(job, speakers=True)
    assert view.telling_apart is None
    named = speakers(jobs, job)
    assert len(named) == 3 and named[0] == "李经理|主持" and named[-1] == "旁听"
    with pytest.raises(UsageError):
        jobs.tell_apart("nobody")


def test_asked_again_meanwhile_only_the_last_wish_counts(jobs: Jobs) -> None:
    job = jobs.submit(SAMPLE, "x", OPTIONS)
    jobs.wait(job)
    for count in (5, 3, 2):
        jobs.tell_apart(job, count)
    jobs.wait(job, speakers=True)
    assert len(speakers(jobs, job)) == 2


def test_speakers_are_kept_with_the_text_and_come_back(settings: Settings, tmp_path: Path) -> None:
    with Vault.open(tmp_path, KEY) as vault:
        with Jobs(settings, vault, open_worker=scripted) as jobs:
            job = jobs.submit(SAMPLE, "x", TOLD_APART)
            jobs.wait(job, speakers=True)
            jobs.edit(job, [Rename("Speaker 2", "张工")])
            before = [(one.speaker, one.text) for one in jobs.transcript(job).segments]
            sha256 = jobs.get(job).sha256
        kept = vault.transcript(sha256)
        assert kept is not None and [(one.speaker, one.text) for one in kept.segments] == before
        with Jobs(settings, vault, open_worker=scripted) as jobs:
            job = jobs.submit(SAMPLE, "x", TOLD_APART)
            jobs.wait(job, speakers=True)
            assert [(one.speaker, one.text) for one in jobs.transcript(job).segments] == before


class TestAnswers:
    """What a child that fell to an attacker might say."""

    @pytest.mark.parametrize(
        "answer",
        [
            None,
            7,
            {"turns": []},
            *(
                {"turns": [row], "likenesses": []}
                for row in ([0, 5], [0, 5, 10**9], [5, 0, 1], [0, 10**9, 0], [0.5, 1, 0], ["0", 1, 0])
            ),
            *(
                {"turns": [], "likenesses": [row]}
                for row in ([0], [0, ["x"]], [0, [0.5] * 2000], [10**9, [0.5]], ["0", [0.5]])
            ),
            {"key": "worker.fault", "parameters": {}},
            {"key": 1, "parameters": {}},
        ],
    )
    def test_nonsense_is_a_lost_child(self, answer: object) -> None:
        with pytest.raises(EngineError, match="lost|ended"):
            diarizing._understood(answer, 1_000)

    def test_its_own_errors_are_told(self) -> None:
        with pytest.raises(WeightsError):
            diarizing._understood({"key": "weights.missing", "parameters": {"name": "x", "folder": "y"}}, 1_000)


def test_notes_are_said_once(settings: Settings) -> None:
    watched = Watched(lambda pid: psutil.Process(pid).kill())
    with Jobs(settings, open_worker=scripted, open_diarizing=watched) as jobs:
        job = jobs.submit(SAMPLE, "x", TOLD_APART)
        jobs.wait(job, speakers=True)
        noted = [event for event in jobs.events(0, job).take(1) if isinstance(event.change, Noticed)]
        assert len(noted) == 1
