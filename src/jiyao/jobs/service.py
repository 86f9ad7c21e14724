"""Jobs: what doors ask for, handed to the board, the runner and the crew. Any thread may call.

In:  files, wishes, a person's changes. Out: views, events, bytes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from jiyao import seal
from jiyao.editing import Line
from jiyao.errors import AudioError, UsageError
from jiyao.jobs.board import Board
from jiyao.jobs.crew import Crew, OpenWorker
from jiyao.jobs.events import (
    Announced,
    Feed,
    Listener,
    Wiped,
)
from jiyao.jobs.incoming import Growing, Incoming
from jiyao.jobs.job import Job, JobView, Take
from jiyao.jobs.keeping import Keeper
from jiyao.jobs.runner import Runner
from jiyao.jobs.scrubbing import scrub
from jiyao.jobs.texts import Texts
from jiyao.jobs.voices import OpenDiarizing, Voices
from jiyao.memory import Entry, Ledger
from jiyao.pipeline import Options, Sound
from jiyao.recognition import EngineInfo
from jiyao.seal import Attempts, Enforcement, resident_bytes, trim
from jiyao.settings import EngineChoice, Settings
from jiyao.timeline import Samples, Span, to_samples
from jiyao.transcript import Transcript
from jiyao.vault import Vault
from jiyao.worker.diarizing import Diarizing
from jiyao.worker.parent import Worker


class Jobs(Texts):
    """All jobs of this process; any thread may call anything. Use it in a `with`, or `close` it.

    With a `vault`, every finished clip is kept before its event is sent, and a recording that is there already, by the
    hash of its bytes, goes on where it stopped. The vault stays the caller's. `worker`: started already with
    these settings, to begin with; it is the jobs' own from now on. `open_worker`, `open_diarizing`: for tests.
    """

    def __init__(
        self,
        settings: Settings,
        vault: Vault | None = None,
        *,
        worker: Worker | None = None,
        open_worker: OpenWorker = Worker,
        open_diarizing: OpenDiarizing = Diarizing,
    ) -> None:
        self._settings = settings
        self._feed = Feed()
        super().__init__(Board(self._feed), lambda: self._runner.vault)
        limit_mb = settings.memory_limit_mb
        self._ledger = Ledger(limit_mb * 1_000_000 if limit_mb else None)
        self._crew = Crew(self._board, settings, open_worker, worker)
        idle_s = settings.idle_release_min * 60 or None
        self._voices = Voices(self._board, settings.home, self._keep_edit, open_diarizing)
        self._runner = Runner(self._board, self._crew, self._voices, self._ledger, vault, idle_s)

    def __enter__(self) -> Jobs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what runs, end the worker, wipe every buffer; listeners end. Twice is fine."""
        self._runner.close()
        self._voices.close()
        with self._board.changed:
            for job in list(self._board.jobs.values()):
                self._free(job)
        self._feed.close()

    # in

    def submit(
        self, file: Path | bytes | BinaryIO, name: str, options: Options, engine: EngineChoice | None = None
    ) -> str:
        """Read a recording into memory and queue it; the job's id. `file`: a path, bytes, or a seekable binary file.

        Raises AudioError for a file that cannot be opened or holds nothing; MemoryLimitError, before it is read, where
        it would not fit.
        """
        if isinstance(file, bytes):
            incoming = self.receive(name, len(file), options)
            incoming.write(file)
            return self.accept(incoming, options, engine)
        try:
            if isinstance(file, Path):
                with file.open("rb") as opened:
                    return self.submit(opened, name, options, engine)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            incoming = self.receive(name, size, options)
            try:
                incoming.read(file)
            except BaseException:
                incoming.abort()
                raise
        except FileNotFoundError as cause:
            raise AudioError("audio.missing") from cause
        except OSError as cause:
            raise AudioError("audio.unreadable", reason=cause.strerror) from cause
        return self.accept(incoming, options, engine)

    def receive(self, name: str, size_bytes: int, options: Options) -> Incoming:
        """Room for a recording that comes in pieces: `write` them, then `accept` it, or `abort`.

        Raises MemoryLimitError where it would not fit.
        """
        return Incoming(self._ledger, secrets.token_hex(8), name, size_bytes, options.max_duration_s)

    def record(self, name: str, options: Options) -> Incoming:
        """Room for a recording that is being made: `write` s16le PCM, mono, 16 kHz, as it comes, then `accept` it, or
        `abort`. It grows; a WAV header is put before it. Raises MemoryLimitError, from `write` too: what was written
        until then stays.
        """
        return Growing(self._ledger, secrets.token_hex(8), name, options.max_duration_s)

    def accept(self, incoming: Incoming, options: Options, engine: EngineChoice | None = None) -> str:
        """Queue what was received; the job's id. Raises AudioError where nothing was."""
        recording, sha256 = incoming.finish()
        take = Take(0, options, engine or self._settings.engine)
        self._board.add(Job(incoming.job_id, incoming.name, sha256, [take], recording, waiting=[take]))
        return incoming.job_id

    # to be seen

    def list(self) -> list[JobView]:
        """All jobs as they came."""
        with self._board.changed:
            return [self._board.view(job) for job in self._board.jobs.values()]

    def get(self, job_id: str) -> JobView:
        """A job as it is now. Raises UsageError for one that is not there; so do all that take an id."""
        with self._board.changed:
            return self._board.view(self._board.find(job_id))

    snapshot = get

    @property
    def seq(self) -> int:
        """Of the newest event: what comes after it is new."""
        with self._board.changed:
            return self._feed.seq

    def events(self, after: int = 0, job_id: str | None = None) -> Listener:
        """Listen from behind `after` (a snapshot's `seq`, or the last event's that was seen)."""
        return Listener(self._feed, after, job_id)

    def transcript(self, job_id: str) -> Transcript:
        """All that is recognised so far."""
        return self._board.transcript(self._board.find(job_id))

    def fault(self, job_id: str) -> BaseException | None:
        """Why a job failed without an `error`: a fault of ours."""
        return self._board.find(job_id).fault

    def lines(self, job_id: str) -> tuple[Line, ...]:
        """The text as it is shown and may be edited, in the order of time."""
        with self._board.changed:
            return self._board.find(job_id).manuscript.lines

    def pcm_bytes(self, job_id: str, start: int, stop: int, sound: Sound = "pcm") -> bytes:
        """Bytes of the recording as int16, little-endian, mono, 16 kHz. Raises UsageError before it is decoded, and
        where there is no such sound of it."""
        with self._board.changed:
            job = self._board.find(job_id)
            pcm = job.denoised if sound == "denoised" else job.pcm
            if pcm is None:
                raise UsageError("jobs.no_audio", name=job.name)
            with pcm.view as view:
                return bytes(view[start:stop])

    def samples(self, job_id: str, span: Span) -> Samples:
        """float32 [len(span)] of the recording, a copy, for the player. Raises UsageError before it is decoded."""
        with self._board.changed:
            job = self._board.find(job_id)
            if job.pcm is None:
                raise UsageError("jobs.no_audio", name=job.name)
            return to_samples(job.pcm.array[span.start : span.end])

    def memory(self) -> tuple[Entry, ...]:
        """Every buffer that is held, by job and kind."""
        return self._ledger.entries()

    @property
    def engine(self) -> EngineInfo | None:
        """What is loaded now, at work or waiting."""
        with self._board.changed:
            return self._crew.engine

    @property
    def loading(self) -> bool:
        """Whether an engine is being loaded."""
        return self._crew.loading

    def warm(self, engine: EngineChoice | None = None, *, anew: bool = False) -> None:
        """Load the engine now, so that the first recording need not wait for it; where one waits already, only if
        `anew` (a better one is there now). Nothing while a job runs."""
        self._runner.warm(engine or self._settings.engine, anew)

    def sealed(self) -> tuple[Enforcement | None, Attempts]:
        """What binds the worker (None: there is none now), and what the seal refused so far, this process included."""
        with self._board.changed:
            return self._crew.enforcement, seal.attempts() + self._crew.attempts

    # to be done

    def cancel(self, job_id: str) -> None:
        """Stop a job wherever it is; what was recognised stays. One that is over stays as it is."""
        with self._board.changed:
            job = self._board.find(job_id)
            self._voices.drop(job)
            if not self._board.withdraw(job):
                self._runner.stop_running(job)

    def tell_apart(self, job_id: str, count: int | None = None) -> None:
        """Find who speaks, anew; `count`: how many, where a person knows. The names that there are go to who speaks
        there then. Raises UsageError before the recording is decoded, or where it is not in memory any more."""
        with self._board.changed:
            job = self._board.find(job_id)
            if job.pcm is None:
                raise UsageError("jobs.no_audio", name=job.name)
            self._voices.ask(job, count)

    def resume(self, job_id: str) -> None:
        """Go on with a cancelled or failed job: the clips that it has are not recognised again."""
        with self._board.changed:
            self._board.resume(self._board.find(job_id))

    def retry(
        self,
        job_id: str,
        *,
        part: int | None = None,
        clips: Sequence[int] | None = None,
        options: Options | None = None,
        engine: EngineChoice | None = None,
    ) -> int:
        """Recognise a part, some clips, or (neither given) everything again; the new version's number.

        `options`: language, terms and so on, of the last version where None; how the recording is cut stays as it was.
        """
        with self._board.changed:
            job = self._board.find(job_id)
            if not job.clips or job.pcm is None:
                raise UsageError("jobs.no_audio", name=job.name)
            if part is not None and not 0 <= part < len(job.parts):
                raise UsageError("jobs.no_part", part=part)
            wanted = range(len(job.clips)) if clips is None else sorted(set(clips))
            if part is not None:
                inside = job.parts[part].clips
                wanted = [clip for clip in wanted if 0 <= clip < len(job.clips) and job.clips[clip] in inside]
            if not wanted or not 0 <= wanted[0] <= wanted[-1] < len(job.clips):
                raise UsageError("jobs.no_part", part="" if part is None else part)
            return self._board.retry(job, options, engine, wanted)

    def show(self, job_id: str, clip: int, version: int) -> None:
        """Let a clip show what an earlier version heard. Raises UsageError where that heard nothing there."""
        with self._board.changed:
            job = self._board.find(job_id)
            text, patch = self._board.show(job, clip, version)
            take = next(take for take in job.takes if take.version == version)
            keeper = Keeper(self._runner.vault, self._board, job, take)
            keeper.keep_again(clip, text.heard)
            keeper.keep_edit(patch)

    def keep(self, vault: Vault | None) -> None:
        """Keep texts in this vault, or no longer, for what begins from now on; what is there already stays as it is."""
        with self._board.changed:
            self._runner.vault = vault

    def announce(self, topic: str, body: Mapping[str, object]) -> None:
        """Let everybody who listens know, in order with the rest."""
        with self._board.changed:
            self._feed.add("", Announced(topic, body))

    def reorder(self, order: Sequence[str]) -> None:
        """These waiting jobs first, in this order."""
        self._board.reorder(order)

    def wait(self, job_id: str, timeout_s: float | None = None, *, speakers: bool = False) -> JobView:
        """The job once it is over (with its `speakers`: and they are found), or as it is after `timeout_s`."""
        with self._board.changed:
            job = self._board.find(job_id)

            def over() -> bool:
                return self._board.is_over(job) and not (speakers and job.telling_apart is not None)

            self._board.changed.wait_for(over, timeout_s)
            return self._board.view(job)

    def remove(self, job_id: str) -> int:
        """Cancel a job, zero and free its audio, forget its text; how many bytes of buffers that were."""
        with self._board.changed:
            job = self._board.find(job_id)
            self.cancel(job_id)  # its voices, too
            self._board.changed.wait_for(lambda: self._board.is_over(job))
            self._voices.drop(job)
            return self._free(job)

    def wipe(self, job_id: str | None = None) -> Wiped:
        """Remove one job, or all, and the worker's memory with it; what is in the vault stays there."""
        before = self._resident_bytes()
        with self._board.changed:
            jobs = [self._board.find(job_id)] if job_id is not None else list(self._board.jobs.values())
            for job in jobs:
                self._board.withdraw(job)
            freed = sum(self.remove(job.id) for job in jobs)
        count = len(jobs)
        del jobs
        ended = self._runner.let_go()
        scrub()
        trim()
        wiped = Wiped(count, freed, before, self._resident_bytes(), ended)
        if job_id is None:
            with self._board.changed:
                self._feed.add("", wiped)
        return wiped

    def _resident_bytes(self) -> int:
        """Of this process and the worker."""
        with self._board.changed:
            pid = self._crew.pid
        return resident_bytes() + (resident_bytes(pid) if pid is not None else 0)

    def _free(self, job: Job) -> int:
        """Held."""
        freed = 0
        for buffer in (job.recording, job.pcm, job.denoised):
            if buffer is not None:
                freed += buffer.wipe()
        job.recording = job.pcm = job.denoised = None
        self._ledger.release(job.id)
        self._board.remove(job)
        return freed
