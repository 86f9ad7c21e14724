"""Who speaks, beside recognition: one recording after the other, each by a child of its own.

In:  jobs whose audio is in memory. Out: turns, to the board. Whatever fails here costs no text: it is said, and the
lines stay without speakers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from jiyao.audio import Note
from jiyao.editing import Patch
from jiyao.errors import JiyaoError
from jiyao.jobs.board import Board
from jiyao.jobs.job import Job
from jiyao.speakers import Turns
from jiyao.worker.diarizing import Diarizing

OpenDiarizing = Callable[[Path], Diarizing]
Keep = Callable[[Job, Patch], None]


class Voices:
    """`keep`: what became of a job's lines, to the vault; called with the board's lock held."""

    def __init__(self, board: Board, home: Path, keep: Keep, open_child: OpenDiarizing = Diarizing) -> None:
        self._board = board
        self._home = home
        self._keep = keep
        self._open_child = open_child
        self._waiting: list[tuple[Job, int | None]] = []
        self._running: tuple[Job, Diarizing] | None = None
        self._closing = False
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Held."""
        return self._running[1].pid if self._running is not None else None

    def ask(self, job: Job, count: int | None) -> None:
        """Tell the speakers of this recording apart; `count`: how many, None: as many as there are. Held."""
        self._withdraw(job)
        self._waiting.append((job, count))
        self._board.telling_apart(job, 0.0)
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="speakers", daemon=True)
            self._thread.start()
        self._board.changed.notify_all()

    def drop(self, job: Job) -> None:
        """Not wanted any more; when this returns, no child sees its audio. Held."""
        self._withdraw(job)
        self._board.changed.wait_for(lambda: self._running is None or self._running[0] is not job)

    def close(self) -> None:
        with self._board.changed:
            self._closing = True
            self._waiting.clear()
            if self._running is not None:
                self._running[1].kill()
            self._board.changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _withdraw(self, job: Job) -> None:
        self._waiting = [one for one in self._waiting if one[0] is not job]
        if self._running is not None and self._running[0] is job:
            self._running[1].kill()
        self._board.telling_apart(job, None)

    def _loop(self) -> None:
        while True:
            with self._board.changed:
                self._board.changed.wait_for(lambda: self._waiting or self._closing)
                if self._closing:
                    return
                job, count = self._waiting.pop(0)
                child = self._open_child(self._home)
                self._running = job, child
            try:
                self._run(job, child, count)
            finally:
                with self._board.changed:
                    self._running = None
                    self._board.changed.notify_all()

    def _run(self, job: Job, child: Diarizing, count: int | None) -> None:
        def report(share: float) -> None:
            with self._board.changed:
                if self._wanted(job, child):
                    self._board.telling_apart(job, share)

        note = None
        turns = Turns()
        try:
            assert job.pcm is not None
            turns = child.run(job.pcm, count, report)
        except JiyaoError as error:
            reason = error.message(job.takes[0].options.notes_language) if job.takes else ""
            note = Note("speakers.left_out", {"reason": reason}, warning=True)
        except Exception as fault:  # ours: the text is not lost to it
            note = Note("speakers.left_out", {"reason": type(fault).__name__}, warning=True)
        with self._board.changed:
            if not self._wanted(job, child):
                return
            if note is not None:
                self._board.notice(job, note)
            elif turns:
                self._keep(job, self._board.tell_apart(job, turns))
            self._board.telling_apart(job, None)

    def _wanted(self, job: Job, child: Diarizing) -> bool:
        """Nobody asked for something else meanwhile, or took the job away. Held."""
        asked_anew = any(one is job for one, _ in self._waiting)
        return not child.killed and not asked_anew and self._board.jobs.get(job.id) is job
