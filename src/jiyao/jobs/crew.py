"""The one worker: which engine it runs, kept loaded from job to job, started again when it is lost.

In:  what a take wants. Out: a started Worker. The runner's thread uses it; `kill` may be called by anyone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from jiyao.audio import Note
from jiyao.errors import EngineError, JiyaoError
from jiyao.jobs.board import Board
from jiyao.jobs.choosing import choose
from jiyao.jobs.job import Job, Take
from jiyao.recognition import EngineInfo
from jiyao.seal import Attempts, Enforcement
from jiyao.settings import EngineChoice, Settings
from jiyao.timeline import clock
from jiyao.worker.messages import WorkerLost
from jiyao.worker.parent import Worker

OpenWorker = Callable[[Settings, "str | None"], Worker]

_STARTS = 3  # that end in a loss before the engine counts as one that does not load


class Cancelled(Exception):
    """Someone cancelled the running job."""


class Crew:
    """`open_worker(settings, engine)` makes a Worker that is not started; `engine` None: it chooses.

    `worker`: one that is started already, for `settings.engine`.
    """

    def __init__(self, board: Board, settings: Settings, open_worker: OpenWorker, worker: Worker | None = None) -> None:
        self._board = board
        self._settings = settings
        self._open_worker = open_worker
        self._worker = worker  # written under the lock
        self._wanted: EngineChoice | None = settings.engine if worker is not None else None  # what it was started for
        self._instead: str | None = None  # the engine that `auto` means since a better one failed
        self._rejected: tuple[tuple[str, str], ...] = ()
        self._failed: dict[str, str] = {}
        self._attempts = Attempts()  # of workers that are gone
        self.loading = False  # a worker is being started

    @property
    def enforcement(self) -> Enforcement | None:
        """Held."""
        return self._worker.enforcement if self._worker is not None else None

    @property
    def attempts(self) -> Attempts:
        """What the seal refused to any worker so far. Held."""
        return self._attempts + self._worker.attempts if self._worker is not None else self._attempts

    @property
    def pid(self) -> int | None:
        """Held."""
        return self._worker.pid if self._worker is not None else None

    @property
    def has_worker(self) -> bool:
        return self._worker is not None

    @property
    def worker(self) -> Worker:
        """The started one. Raises WorkerLost where there is none any more."""
        if self._worker is None:
            raise WorkerLost("killed")
        return self._worker

    @property
    def engine(self) -> EngineInfo | None:
        """What is loaded. Held."""
        return self._worker.info if self._worker is not None and self._worker.alive else None

    def warm(self, engine: EngineChoice) -> None:
        """Load it before it is needed; what goes wrong is told when it is needed and goes wrong again."""
        worker = self._open_worker(replace(self._settings, engine=engine), None)
        with self._board.changed:
            self._worker = worker
        try:
            with self._told():
                info = worker.start()
        except (WorkerLost, JiyaoError):
            self.release()
            return
        self._wanted = engine
        self._board.loaded(info, worker.rejected)

    @contextmanager
    def _told(self) -> Iterator[None]:
        self.loading = True
        self._board.loading(True)
        try:
            yield
        finally:
            self.loading = False
            self._board.loading(False)

    def kill(self) -> None:
        """Whoever waits for the worker gets WorkerLost. Held."""
        if self._worker is not None:
            self._worker.kill()

    def release(self) -> None:
        """End it: its memory and the graphics card are free then. It has nothing to save: no farewell."""
        with self._board.changed:
            self._attempts = self.attempts
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            worker.stop()

    def ready(self, job: Job, take: Take) -> EngineInfo:
        """A started worker for this take, the one that is there if it will do.

        Raises Cancelled, EngineError, WeightsError, and UsageError for an engine that is not there.
        """
        worker = self._worker
        if worker is None or not worker.alive or self._wanted != take.engine:
            self.release()
            worker = self._started(job, take)
        info = worker.info
        assert info is not None
        # a worker that chose by itself knows why; one that was told does not
        told = take.engine == "auto" and self._instead is not None
        self._board.runs_on(job, info, self._rejected if told else worker.rejected)
        return info

    def switch(self, job: Job, take: Take, memory: bool) -> bool:
        """From now on `auto` means the next engine; False where there is none, or the person named one."""
        before = job.engine.name if job.engine is not None else ""
        if not before or not self._given_up(take, before, memory):
            return False
        key = "jobs.switched_memory" if memory else "jobs.switched_broken"
        about = {"before": before, "after": self._instead, "at": clock(job.progress.done_ms)}
        self._board.notice(job, Note(key, about, warning=True))
        self.release()
        return True

    def _given_up(self, take: Take, name: str, memory: bool) -> bool:
        """Never take the engine `name` for `auto` again; whether there is another."""
        if take.engine != "auto":
            return False
        failed = {**self._failed, name: "engine.reason_memory" if memory else "engine.reason_broke_off"}
        try:
            choice = choose(self._settings_for(take), failed, only_ready=True)
        except EngineError:
            return False
        if choice.missing_model is not None:
            return False
        self._failed, self._instead, self._rejected = failed, choice.name, choice.rejected
        return True

    def _started(self, job: Job, take: Take) -> Worker:
        while True:
            name = self._instead if take.engine == "auto" else None
            losses: list[WorkerLost] = []
            while len(losses) < _STARTS:
                worker = self._open_worker(self._settings_for(take), name)
                self._publish(job, worker)
                try:
                    with self._told():
                        worker.start()
                except WorkerLost as lost:
                    losses.append(lost)
                    self._given_up_if_cancelled(job)
                    self._board.restarted(job, lost.reason)
                except JiyaoError:
                    self.release()
                    raise
                else:
                    self._wanted = take.engine
                    for trouble in worker.troubles:
                        self._board.trouble(job, trouble)
                    return worker
            broken = name or self._chosen(take)
            error = losses[-1].error or EngineError("engine.lost", name=broken)
            if not self._given_up(take, broken, losses[-1].reason == "memory"):
                raise error
            self._board.trouble(job, error)

    def _chosen(self, take: Take) -> str:
        """Which engine a worker takes that was told none: it did not live to say so."""
        return choose(self._settings_for(take), self._failed, only_ready=True).name

    def _publish(self, job: Job, worker: Worker) -> None:
        """From here on a cancellation kills this one; one that came before is found here."""
        with self._board.changed:
            self._worker = worker
            if job.stopping:
                self._worker = None
                raise Cancelled

    def _given_up_if_cancelled(self, job: Job) -> None:
        with self._board.changed:
            self._worker = None
            if job.stopping:
                raise Cancelled

    def _settings_for(self, take: Take) -> Settings:
        return replace(self._settings, engine=take.engine, language=take.options.language or "auto")
