"""The jobs there are: what each holds, in what order they wait, what became of them. All of it under one lock.

In:  what the runner and the doors report. Out: events, snapshots, transcripts. A job holds its recording until it is
removed: the player and "recognise again" need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from jiyao.audio import Note
from jiyao.editing import Change, Line, Patch, Propose
from jiyao.errors import JiyaoError, UsageError
from jiyao.glossary import NEAR_CLIPS, Glossary, Proposal, mentions, propose
from jiyao.jobs import views
from jiyao.jobs.events import (
    ENDED,
    Advanced,
    ClipHeard,
    ClipSkipped,
    EngineLoading,
    EngineReady,
    EngineTrouble,
    Feed,
    LinesChanged,
    Listened,
    Noticed,
    Queued,
    Removed,
    State,
    StateChanged,
    TakenOver,
    TellingApart,
    WorkerRestarted,
)
from jiyao.jobs.job import NOBODY, Job, JobView, Take, Text
from jiyao.memory import SharedPcm
from jiyao.messages import say
from jiyao.pipeline import LEFT_OUT, Options, segments
from jiyao.recognition import EngineInfo
from jiyao.segmentation import Part
from jiyao.settings import EngineChoice
from jiyao.speakers import Turns
from jiyao.transcript import Heard, Segment, Transcript, segments_of

_LEFT_OUT = "speakers.left_out"
_LINES_AT_ONCE = 100  # looked at between two holds of the lock: a tenth of a second
_T = TypeVar("_T")
_COUNTED = "count"  # notes of one key that carry it are added up


class Board:
    """All jobs. Every method takes the lock itself; `feed.changed` is that lock."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.changed = feed.changed
        self.jobs: dict[str, Job] = {}  # in the order they came
        self.queue: list[Job] = []
        self.running: Job | None = None
        self._terms: Glossary | None = None  # that texts are looked at by last

    def find(self, job_id: str) -> Job:
        """Raises UsageError for a job that is not there (any more)."""
        with self.changed:
            try:
                return self.jobs[job_id]
            except KeyError:
                raise UsageError("jobs.unknown", job=job_id) from None

    # what doors ask for

    def add(self, job: Job) -> None:
        with self.changed:
            self.jobs[job.id] = job
            job.manuscript.use(self._proposer(job, job.takes[0].options.glossary))
            self._enqueue(job)

    def retry(self, job: Job, options: Options | None, engine: EngineChoice | None, clips: Sequence[int]) -> int:
        """Queue another take of `clips`; its version."""
        with self.changed:
            last = job.takes[-1]
            take = Take(len(job.takes), options or last.options, engine or last.engine, tuple(clips))
            job.takes.append(take)
            job.waiting.append(take)
            if job is not self.running and job not in self.queue:
                self._enqueue(job)
            return take.version

    def resume(self, job: Job) -> None:
        """Queue what a cancelled or failed job still lacks; nothing where its text is whole."""
        with self.changed:
            if job.whole or job is self.running or job in self.queue:
                return
            job.waiting = [job.takes[0]]
            self._enqueue(job)

    def _enqueue(self, job: Job) -> None:
        self.queue.append(job)
        self.move(job, "queued")
        self._tell_queue()

    def reorder(self, order: Sequence[str]) -> None:
        """These waiting jobs first, in this order; the others after them as they stood. Unknown names are left out."""
        with self.changed:
            wanted = [job for name in dict.fromkeys(order) for job in self.queue if job.id == name]
            self.queue = wanted + [job for job in self.queue if job not in wanted]
            self._tell_queue()

    def withdraw(self, job: Job) -> bool:
        """Take a waiting job out of the queue; whether it was there."""
        with self.changed:
            if job not in self.queue:
                return False
            self.queue.remove(job)
            job.waiting.clear()
            self.move(job, "done" if job.whole else "cancelled")
            self._tell_queue()
            return True

    def remove(self, job: Job) -> None:
        """Forget a job that does not run, its events too."""
        with self.changed:
            self.jobs.pop(job.id, None)
            self.feed.forget(job.id)
            self.feed.add(job.id, Removed())
            job.texts.clear()
            job.manuscript.clear()
            job.takes.clear()
            job.notes.clear()
            job.error = job.fault = None

    def show(self, job: Job, clip: int, version: int) -> tuple[Text, Patch]:
        """Show what an earlier take heard in a clip. Raises UsageError where it heard nothing."""
        with self.changed:
            texts = job.texts.get(clip, [])
            for text in texts:
                if text.version == version:
                    texts.remove(text)
                    texts.append(text)
                    return text, self._shown(job, clip, text)
            raise UsageError("jobs.no_version", clip=clip, version=version)

    # what the runner reports

    def next(self) -> Job | None:
        """Take the first waiting job out of the queue: it runs now. Held."""
        if not self.queue:
            return None
        self.running = self.queue.pop(0)
        self.running.stopping = False
        self.running.error = self.running.fault = None
        self._tell_queue()
        return self.running

    def next_take(self, job: Job) -> Take | None:
        """The running job's next take, the one before being finished; None: there is none, and the job is done."""
        with self.changed:
            if job.current is not None:
                job.waiting.remove(job.current)
                job.whole = True
            job.current = job.waiting[0] if job.waiting else None
            if job.current is None:
                self.end("done")
            return job.current

    def end(self, state: State, error: JiyaoError | None = None, fault: BaseException | None = None) -> None:
        """The running job runs no more."""
        with self.changed:
            job, self.running = self.running, None
            if job is None:
                return
            job.error, job.fault, job.current = error, fault, None
            job.waiting.clear()
            self.move(job, "done" if job.whole else state, error)

    def move(self, job: Job, state: State, error: JiyaoError | None = None) -> None:
        with self.changed:
            job.state = state
            self.feed.add(job.id, StateChanged(state, error))

    def advance(self, job: Job, progress: Advanced) -> None:
        with self.changed:
            job.progress = progress
            self.feed.add(job.id, progress)

    def listened(self, job: Job, pcm: SharedPcm, denoised: SharedPcm | None, parts: tuple[Part, ...]) -> None:
        with self.changed:
            job.pcm, job.denoised, job.n_samples, job.parts = pcm, denoised, pcm.n_samples, parts
            job.clips = tuple(span for part in parts for span in part.clips)
            self.feed.add(job.id, Listened())

    def hear(self, job: Job, clip: int, take: Take, heard: Heard) -> Patch:
        """One clip's text; a take never hears a clip twice."""
        plain = partial(segments_of, heard, take.options.script)
        shown = tuple(self._by_terms(job, partial(segments, heard, take.options), plain))
        with self.changed:
            text = Text(take.version, heard, shown, job.engine or NOBODY)
            texts = job.texts.setdefault(clip, [])
            if any(known.version == take.version for known in texts):
                return Patch()
            texts.append(text)
            job.skipped.discard(clip)
            return self._shown(job, clip, text)

    def _shown(self, job: Job, clip: int, text: Text) -> Patch:
        self.feed.add(job.id, ClipHeard(clip, job.clips[clip], text.segments, text.version))
        patch = job.manuscript.hear(clip, text.segments, text.version)
        self.changed_lines(job, patch)
        return patch

    def neighbours(self, job: Job, clip: int) -> list[int]:
        """The clips whose text tells which terms are likely in this one, the nearest first."""
        with self.changed:
            return job.manuscript.neighbours(clip, NEAR_CLIPS)

    def spoken_of(self, job: Job, clips: Sequence[int], terms: Glossary) -> list[str]:
        """The terms in the lines of these clips."""
        with self.changed:
            lines = [line for line in job.manuscript.lines if line.clip in clips]
        lines.sort(key=lambda line: clips.index(line.clip))
        texts = [(line.segment.text, line.proposals) for line in lines]
        return self._by_terms(job, lambda: [term for one in texts for term in mentions(terms, *one)], list)

    def restore(self, job: Job, states: Mapping[int, Sequence[Line]]) -> None:
        """Edits that were kept, by clip, over what was heard there."""
        with self.changed:
            if states:
                self.changed_lines(job, job.manuscript.restore(states))

    # what a person writes

    def edit(self, job: Job, changes: Sequence[Change]) -> Patch:
        """Raises `editing.Conflict`; ValueError for a cut that leaves nothing on one side. Held."""
        patch = job.manuscript.change(changes)
        self.changed_lines(job, patch)
        return patch

    def _proposer(self, job: Job, terms: Glossary) -> Propose:
        """What finds places for these terms in this text."""
        script = job.takes[0].options.script

        def found(segment: Segment, declined: Iterable[tuple[str, str]]) -> tuple[Proposal, ...]:
            return self._by_terms(job, lambda: propose(terms.in_script(script), segment, declined), tuple)

        return found

    def _by_terms(self, job: Job, look: Callable[[], _T], without: Callable[[], _T]) -> _T:
        """What terms make of a text. They better it, no more: whatever is wrong with them, the text is there, and that
        they are left out is said."""
        try:
            return look()
        except Exception:
            self.notice(job, LEFT_OUT)
            return without()

    def use_terms(self, terms: Glossary) -> None:
        """Propose by these terms from now on, in every text that is there: a long one takes seconds, so the lock is
        only held between stretches of it. Given up when other terms come meanwhile."""
        with self.changed:
            self._terms = terms
            there = [(job, self._proposer(job, terms)) for job in self.jobs.values()]
            texts = [(job, look, job.manuscript.use(look)) for job, look in there]
        for job, look, lines in texts:
            for start in range(0, len(lines), _LINES_AT_ONCE):
                if self._terms is not terms:
                    return
                some = lines[start : start + _LINES_AT_ONCE]
                looked_at = [(line, look(line.segment, line.declined)) for line in some]
                with self.changed:
                    if self._terms is terms and job.id in self.jobs:
                        self.changed_lines(job, job.manuscript.told(looked_at))

    def changed_lines(self, job: Job, patch: Patch) -> None:
        """Held."""
        if patch.removed or patch.put:
            made = job.manuscript
            self.feed.add(job.id, LinesChanged(patch.removed, patch.put, made.can_undo, made.can_redo))

    def tell_apart(self, job: Job, turns: Turns) -> Patch:
        """Who speaks, for all lines and those to come. Held."""
        language = job.takes[0].options.notes_language
        job.notes = [note for note in job.notes if note.key != _LEFT_OUT]  # of an attempt before this one
        patch = job.manuscript.tell_apart(turns, lambda voice: say("speakers.numbered", language, number=voice + 1))
        self.changed_lines(job, patch)
        return patch

    def telling_apart(self, job: Job, share: float | None) -> None:
        with self.changed:
            if job.telling_apart != share:
                job.telling_apart = share
                self.feed.add(job.id, TellingApart(share))

    def taken_over(self, job: Job, clips: int) -> None:
        with self.changed:
            self.feed.add(job.id, TakenOver(clips))

    def skip(self, job: Job, clip: int) -> None:
        with self.changed:
            job.skipped.add(clip)
            self.feed.add(job.id, ClipSkipped(clip, job.clips[clip]))

    def unskip(self, job: Job, clips: Iterable[int]) -> None:
        with self.changed:
            job.skipped.difference_update(clips)

    def notice(self, job: Job, note: Note) -> None:
        """A remark, once; counts of the same remark are added up."""
        with self.changed:
            for place, known in enumerate(job.notes):
                if known.key != note.key:
                    continue
                if known == note and _COUNTED not in note.parameters:
                    return
                if _COUNTED in note.parameters:
                    count = int(str(known.parameters[_COUNTED])) + int(str(note.parameters[_COUNTED]))
                    note = replace(note, parameters={**note.parameters, _COUNTED: count})
                    del job.notes[place]
                    break
            job.notes.append(note)
            self.feed.add(job.id, Noticed(note))

    def runs_on(self, job: Job, engine: EngineInfo, rejected: tuple[tuple[str, str], ...]) -> None:
        with self.changed:
            engine_before, job.engine = job.engine, engine
            # how much memory it takes differs from start to start
            if engine_before is None or replace(engine_before, memory_bytes=None) != replace(engine, memory_bytes=None):
                self.feed.add(job.id, EngineReady(engine, rejected))

    def loading(self, on: bool) -> None:
        with self.changed:
            self.feed.add("", EngineLoading(on))

    def loaded(self, engine: EngineInfo, rejected: tuple[tuple[str, str], ...]) -> None:
        with self.changed:
            self.feed.add("", EngineReady(engine, rejected))

    def trouble(self, job: Job, error: JiyaoError) -> None:
        with self.changed:
            self.feed.add(job.id, EngineTrouble(error))

    def restarted(self, job: Job, reason: str) -> None:
        with self.changed:
            self.feed.add(job.id, WorkerRestarted(reason))

    # what can be seen

    def view(self, job: Job) -> JobView:
        with self.changed:
            return views.view(job, self.feed.seq, self.queue.index(job) if job in self.queue else None)

    def transcript(self, job: Job) -> Transcript:
        """All that there is so far, as a person corrected it; it says which stretches are missing for good."""
        with self.changed:
            return views.transcript(job)

    def is_over(self, job: Job) -> bool:
        with self.changed:
            return job.state in ENDED and job is not self.running and job not in self.queue

    def _tell_queue(self) -> None:
        self.feed.add("", Queued(tuple(job.id for job in self.queue)))
