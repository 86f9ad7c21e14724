"""The one thread that works through the queue: listen, recognise, go on after whatever breaks.

In:  the board. Out: what happened, to the board. It waits on conditions only; text that is there is never lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from jiyao.audio import Note
from jiyao.errors import AudioError, EngineError, JiyaoError
from jiyao.glossary import fits
from jiyao.jobs.board import Board
from jiyao.jobs.crew import Cancelled, Crew
from jiyao.jobs.events import Advanced
from jiyao.jobs.faults import Ladder
from jiyao.jobs.job import Job, Take
from jiyao.jobs.keeping import Keeper
from jiyao.jobs.pace import Pace
from jiyao.jobs.scrubbing import scrub
from jiyao.jobs.voices import Voices
from jiyao.memory import Ledger
from jiyao.pipeline import Progress
from jiyao.recognition import Hints
from jiyao.segmentation import inside
from jiyao.settings import EngineChoice
from jiyao.timeline import Span
from jiyao.transcript import Heard
from jiyao.vault import Vault
from jiyao.worker.messages import WorkerLost

_LISTENINGS = 3  # before a file counts as one that breaks whoever reads it
_REPORT_EVERY_S = 0.1  # while reading: a block takes a few ms


@dataclass
class _Take:
    """What one take is at, while it runs."""

    job: Job
    take: Take
    keeper: Keeper
    ladder: Ladder
    pace: Pace
    todo: list[int]


class Runner:
    def __init__(
        self, board: Board, crew: Crew, voices: Voices, ledger: Ledger, vault: Vault | None, idle_s: float | None
    ) -> None:
        self._board, self._crew, self._voices, self._ledger = board, crew, voices, ledger
        self.vault = vault  # of takes that begin from now on
        self._idle_s = idle_s
        self._closing = False
        self._let_go = False
        self._warm: EngineChoice | None = None
        self._thread = threading.Thread(target=self._loop, name="jobs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop now; what runs is cancelled."""
        with self._board.changed:
            self._closing = True
            self.stop_running()
            self._crew.kill()
            self._board.changed.notify_all()
        self._thread.join()

    def stop_running(self, job: Job | None = None) -> bool:
        """Cancel what runs, if it is `job` (None: whatever it is). Held."""
        running = self._board.running
        if running is None or (job is not None and running is not job):
            return False
        running.stopping = True
        self._crew.kill()
        return True

    def warm(self, engine: EngineChoice, anew: bool) -> None:
        """Load this engine as soon as nothing else is to be done; where a worker is there already: only if `anew`."""
        with self._board.changed:
            if (anew or not self._crew.has_worker) and not self._board.running:
                self._warm = engine
                self._board.changed.notify_all()

    def let_go(self) -> bool:
        """End an idle worker now, wait until it is gone; False where it works for another job."""
        with self._board.changed:
            self._let_go, self._warm = True, None
            self._board.changed.notify_all()
            self._board.changed.wait_for(lambda: self._board.running or self._closing or not self._let_go)
            self._let_go = False
            return not self._crew.has_worker

    # the thread

    def _loop(self) -> None:
        while not self._closing:
            job = self._next()
            engine, self._warm = self._warm, None
            if job is not None:
                self._run(job)
            elif engine is not None and not self._closing:
                self._crew.release()
                self._crew.warm(engine)
            elif not self._closing:
                self._crew.release()  # nothing to do for so long
                scrub()  # this thread's part of the heap
                with self._board.changed:
                    self._let_go = False
                    self._board.changed.notify_all()
        self._crew.release()

    def _next(self) -> Job | None:
        """The next job; None when the worker has been idle for too long, an engine is to be loaded, or on closing."""
        since = time.monotonic()
        with self._board.changed:
            while not self._closing:
                job = self._board.next()
                if job is not None:
                    return job
                if self._warm is not None or self._let_go or (self._crew.has_worker and self._is_past(since)):
                    return None
                left = self._idle_s - (time.monotonic() - since) if self._crew.has_worker and self._idle_s else None
                self._board.changed.wait(left)
        return None

    def _is_past(self, since: float) -> bool:
        return self._idle_s is not None and time.monotonic() - since >= self._idle_s

    def _run(self, job: Job) -> None:
        try:
            while (take := self._board.next_take(job)) is not None:
                self._take(job, take)
        except Cancelled:
            self._board.end("cancelled")
        except JiyaoError as error:
            self._board.end("failed", error)
        except Exception as fault:  # ours: the job fails, what it has stays, the next one goes on
            self._crew.release()
            self._board.end("failed", None, fault)

    def _take(self, job: Job, take: Take) -> None:
        self._board.move(job, "loading")
        engine = self._crew.ready(job, take)
        if job.pcm is None:
            self._listen(job, take)
        self._tell_apart(job, take)
        keeper = Keeper(self.vault, self._board, job, take)
        self._take_over(job, take, keeper.begin(engine, self._crew.worker.aligner))
        if take.version == 0:
            self._board.restore(job, keeper.edits())
        done = job.done_in(take)
        clips = job.clips_of(take)
        todo = [clip for clip in clips if clip not in done]
        self._board.unskip(job, todo)
        total_ms = job.duration_ms if take.clips is None else sum(map(job.share_ms, clips))
        pace = Pace(total_ms, sum(job.share_ms(clip) for clip in clips if clip in done))
        self._board.move(job, "recognizing")
        self._board.advance(job, pace.progress())
        self._recognize(_Take(job, take, keeper, Ladder(), pace, todo))
        self._board.move(job, "finishing")
        keeper.finish()
        self._board.advance(job, Advanced(total_ms, total_ms))

    def _take_over(self, job: Job, take: Take, known: Mapping[Span, Heard]) -> None:
        found = [(clip, known[span]) for clip, span in enumerate(job.clips) if span in known]
        if found:
            self._board.taken_over(job, len(found))
        for clip, heard in found:
            self._board.hear(job, clip, take, heard)

    # reading

    def _listen(self, job: Job, take: Take) -> None:
        assert job.recording is not None
        for attempt in range(1, _LISTENINGS + 1):
            self._crew.ready(job, take)
            try:
                pcm, denoised, listened = self._crew.worker.listen(
                    job.recording, take.options, _Reading(self._board, job), self._ledger.admit_pcm
                )
            except WorkerLost as lost:
                self._lost(job, lost.reason)
                if attempt == _LISTENINGS:
                    raise AudioError("audio.lost") from lost
            else:
                break
        self._ledger.note(job.id, "pcm", pcm.size)
        if denoised is not None:
            self._ledger.note(job.id, "denoised", denoised.size)
        self._board.listened(job, pcm, denoised, listened.parts)
        for note in listened.notes:
            self._board.notice(job, note)
        job.recording.wipe()  # from here on the PCM is all there is
        job.recording = None
        self._ledger.release(job.id, "recording")

    def _tell_apart(self, job: Job, take: Take) -> None:
        """Beside recognition, and not waited for: the text is there before."""
        wanted = take.options.speakers
        with self._board.changed:
            if wanted != "off" and take.version == 0 and not job.manuscript.told_apart:
                self._voices.ask(job, None if wanted == "auto" else wanted)

    # recognising

    def _recognize(self, work: _Take) -> None:
        while work.todo:
            group = self._group(work)
            try:
                self._hear(work, group)
            except (WorkerLost, EngineError) as lost:
                self._after_loss(work, group, lost)

    def _group(self, work: _Take) -> list[int]:
        """The next clips for one call: those left of a part, or fewer; all may have the same hints."""
        first = work.todo[0]
        end = next(part.span.end for part in work.job.parts if work.job.clips[first] in part.clips)
        group = [clip for clip in work.todo if work.job.clips[first].start <= work.job.clips[clip].start < end]
        group = group[: work.ladder.size]
        if fits(work.take.options.glossary):
            return group
        near = self._board.neighbours(work.job, first)
        return list(takewhile(lambda clip: self._board.neighbours(work.job, clip) == near, group))

    def _hints(self, work: _Take, clip: int) -> Hints:
        """The terms that are likely in this clip, by what is known of its neighbours."""
        options = work.take.options
        if not options.glossary.terms:
            return options.hints()
        near = self._board.neighbours(work.job, clip)
        return options.hints(self._board.spoken_of(work.job, near, options.written_glossary))

    def _hear(self, work: _Take, group: Sequence[int]) -> None:
        """One call of the worker; every result goes to the vault, then to the board."""
        job, take, pace = work.job, work.take, work.pace
        engine = self._crew.ready(job, take)
        worker, pcm = self._crew.worker, job.pcm
        assert pcm is not None
        hints = self._hints(work, group[0])
        clips = [(job.clips[clip], self._speech(job, clip)) for clip in group]
        pace.begin()
        try:
            for index, recognition in worker.recognize(pcm, clips, hints, max_batch=work.ladder.size):
                clip = group[index]
                heard = Heard(job.clips[clip], recognition)
                work.keeper.keep(clip, heard)
                patch = self._board.hear(job, clip, take, heard)
                if take.version > 0 or job.manuscript.told_apart:
                    work.keeper.keep_edit(patch)
                work.ladder.heard(clip)
                work.todo.remove(clip)
                pace.settled(job.share_ms(clip))
                self._board.advance(job, pace.progress())
        finally:
            pace.pause()
        for note in worker.notes:
            self._board.notice(job, note)
        if any(clip in work.todo for clip in group):
            raise EngineError("engine.failed", name=engine.name, reason="no result")

    def _speech(self, job: Job, clip: int) -> tuple[Span, ...]:
        span = job.clips[clip]
        return next((inside(part.speech, span) for part in job.parts if span in part.clips), ())

    def _after_loss(self, work: _Take, group: Sequence[int], lost: WorkerLost | EngineError) -> None:
        job, take, ladder = work.job, work.take, work.ladder
        memory = isinstance(lost, WorkerLost) and lost.reason == "memory"
        self._lost(job, lost.reason if isinstance(lost, WorkerLost) else "failed")
        left = [clip for clip in group if clip in work.todo]
        if not left:
            return
        verdict = ladder.lost(
            memory, group, left, len(work.todo) - len(left), lambda: self._crew.switch(job, take, memory)
        )
        if verdict == "smaller":
            key = "jobs.smaller_memory" if memory else "jobs.smaller_broken"
            self._board.notice(job, Note(key, {"size": ladder.size}))
        elif verdict == "skip":
            self._skip(work, left[0])
        elif verdict == "switch":
            self._switched(work)
        elif verdict == "fail":
            raise self._error(job, lost) from lost

    def _skip(self, work: _Take, clip: int) -> None:
        work.todo.remove(clip)
        work.pace.settled(work.job.share_ms(clip), heard=False)
        self._board.skip(work.job, clip)

    def _switched(self, work: _Take) -> None:
        """The next engine gets another try at what the last one skipped at the end."""
        again = [clip for clip in work.ladder.skipped_on_end if clip not in work.todo]
        work.todo = sorted((*again, *work.todo))
        work.pace.settled(-sum(map(work.job.share_ms, again)), heard=False)
        self._board.unskip(work.job, again)
        work.ladder = Ladder()
        work.pace.changed_engine()
        engine = self._crew.ready(work.job, work.take)
        work.keeper.begin(engine, self._crew.worker.aligner)

    def _lost(self, job: Job, reason: str) -> None:
        """Say so; the next `ready` starts another. Raises Cancelled where that was why."""
        self._crew.release()
        with self._board.changed:
            if job.stopping:
                raise Cancelled
        self._board.restarted(job, reason)

    def _error(self, job: Job, lost: WorkerLost | EngineError) -> JiyaoError:
        if isinstance(lost, EngineError):
            return lost
        name = job.engine.name if job.engine else ""
        return lost.error or EngineError("engine.lost", name=name)


class _Reading:
    """Reports of the reading, not more than a few a second."""

    def __init__(self, board: Board, job: Job) -> None:
        self._board, self._job = board, job
        self._spoke = 0.0

    def __call__(self, step: Progress) -> None:
        if time.monotonic() - self._spoke >= _REPORT_EVERY_S:
            self._spoke = time.monotonic()
            cleans = step.stage == "cleaning"
            self._board.advance(self._job, Advanced(step.done_ms, step.total_ms, cleaning=cleans))
