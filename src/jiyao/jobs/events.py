"""What happens to jobs, numbered, and those who listen.

In:  changes, from the runner and from whoever asks for something. Out: Events in order, to any number of listeners.
All listeners read one log, each at its own place: a slow or dead one holds nobody up and costs no memory, and what a
wipe takes away is gone for all of them. One condition guards the log and whatever it tells about, so that a snapshot
and the events after its `seq` never miss or repeat anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from jiyao.audio import Note
from jiyao.editing import Line
from jiyao.errors import JiyaoError
from jiyao.recognition import EngineInfo
from jiyao.timeline import Span
from jiyao.transcript import Segment

State = Literal["queued", "loading", "recognizing", "finishing", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")

_LONGEST = 20_000  # events kept: a meeting of 4 hours makes about 3,000


@dataclass(frozen=True)
class StateChanged:
    """`error` where the state is `failed`: what a person can read; None there means a fault of ours.

    A job whose whole text was there is `done` again when a later take fails; `error` then says why that did.
    """

    state: State
    error: JiyaoError | None = None


@dataclass(frozen=True)
class Advanced:
    """Where the work stands, ms of the recording. `speed`: audio by time, measured, and `left_ms` by it; else None.

    While loading, `total_ms` is what the header promises, or None; what was loaded may be cleaned then, from its
    beginning.
    """

    done_ms: int
    total_ms: int | None
    speed: float | None = None
    left_ms: int | None = None
    cleaning: bool = False


@dataclass(frozen=True)
class ClipHeard:
    """The text of one clip, ms from the recording's start. A later one for the same `clip` takes its place."""

    clip: int
    span: Span
    segments: tuple[Segment, ...]
    version: int


@dataclass(frozen=True)
class ClipSkipped:
    """This clip broke the worker off again and again: its stretch has no text (an older text of it stays)."""

    clip: int
    span: Span


@dataclass(frozen=True)
class TellingApart:
    """Who speaks is being found, beside the text: the share done, 0…1. None: no longer; lines that changed by it come
    as LinesChanged before."""

    share: float | None


@dataclass(frozen=True)
class TakenOver:
    """So many clips were kept by an earlier run and are not recognised again; their texts follow."""

    clips: int


@dataclass(frozen=True)
class Noticed:
    """A remark that will stand in the transcript too."""

    note: Note


@dataclass(frozen=True)
class EngineReady:
    """The engine that runs from now on (of no job: that is loaded and waits), and why each better one does not: (name,
    key of a message)."""

    engine: EngineInfo
    rejected: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class EngineLoading:
    """An engine is being loaded, or no longer: seconds, up to a minute from a slow disk."""

    on: bool


@dataclass(frozen=True)
class EngineTrouble:
    """An engine, or the aligner beside it, that did not load; the next best runs instead."""

    error: JiyaoError


@dataclass(frozen=True)
class WorkerRestarted:
    """The worker was lost and another is started: `reason` as in WorkerLost, or `failed`: the engine itself did."""

    reason: str


@dataclass(frozen=True)
class Queued:
    """The jobs that wait, in their new order."""

    waiting: tuple[str, ...]


@dataclass(frozen=True)
class Removed:
    """The job is gone, its audio and text wiped; earlier events of it read `Removed` too."""


@dataclass(frozen=True)
class Listened:
    """The recording is read: its length, parts and clips are known, and it can be heard."""


@dataclass(frozen=True)
class LinesChanged:
    """The text as it is shown: ids of lines that are gone, lines that are new or different. Whatever was the cause."""

    removed: tuple[str, ...]
    put: tuple[Line, ...]
    can_undo: bool
    can_redo: bool


@dataclass(frozen=True)
class Announced:
    """What a door wants everybody who listens to know, in order with the rest."""

    topic: str
    body: Mapping[str, object]


@dataclass(frozen=True)
class Wiped:
    """What a wipe did: jobs and buffers that are gone, resident memory of this process and its
    worker before and after.

    `worker_ended`: its memory is the system's again; not where it works for another job.
    """

    jobs: int
    buffer_bytes: int
    resident_before: int
    resident_after: int
    worker_ended: bool


Change = (
    StateChanged
    | Advanced
    | ClipHeard
    | ClipSkipped
    | TakenOver
    | TellingApart
    | Noticed
    | EngineLoading
    | EngineReady
    | EngineTrouble
    | WorkerRestarted
    | Queued
    | Removed
    | Listened
    | LinesChanged
    | Announced
    | Wiped
)


@dataclass(frozen=True)
class Event:
    """`seq` counts all events from 1 without a gap, `job_seq` those of one job. `job` is empty for the queue itself."""

    seq: int
    job: str
    job_seq: int
    change: Change


class Missed(Exception):
    """What was asked for is no longer in the log: take a snapshot, then listen from its `seq`."""


class Feed:
    """The log. Methods that say so are called with `changed` held."""

    def __init__(self, longest: int = _LONGEST) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.closed = False
        self._longest = longest
        self._events: list[Event] = []
        self._dropped = 0  # events before self._events[0]
        self._counts: dict[str, int] = {}

    @property
    def seq(self) -> int:
        """Of the newest event; 0: none yet. Held."""
        return self._dropped + len(self._events)

    def job_seq(self, job: str) -> int:
        return self._counts.get(job, 0)

    def add(self, job: str, change: Change) -> None:
        """Held."""
        self._counts[job] = self._counts.get(job, 0) + 1
        self._events.append(Event(self.seq + 1, job, self._counts[job], change))
        if len(self._events) > 2 * self._longest:  # now and then, not each time: a list moves all that stays
            self._drop(len(self._events) - self._longest)
        self.changed.notify_all()

    def forget(self, job: str) -> None:
        """Take the content of a job's events out of the log; the numbers stay. Held."""
        self._events = [
            Event(event.seq, job, event.job_seq, Removed()) if event.job == job else event for event in self._events
        ]

    def close(self) -> None:
        """Listeners get what there is, then end."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def after(self, seq: int, job: str | None, at_most: int) -> tuple[list[Event], int]:
        """Events with a higher number, of one job or all, and how far that read. Raises Missed. Held."""
        if seq < self._dropped or seq > self.seq:
            raise Missed
        found: list[Event] = []
        place = seq - self._dropped
        while place < len(self._events) and len(found) < at_most:
            event = self._events[place]
            if job is None or event.job == job:
                found.append(event)
            place += 1
        return found, self._dropped + place

    def _drop(self, count: int) -> None:
        del self._events[:count]
        self._dropped += count


class Listener:
    """A place in the log. One thread reads it; any thread may close it."""

    def __init__(self, feed: Feed, after: int, job: str | None = None) -> None:
        self._feed = feed
        self._job = job
        self._closed = False
        self.seq = after

    def take(self, timeout_s: float | None = None, at_most: int = 500) -> list[Event]:
        """The next events, one or more; waits for them, `timeout_s` at most. [] then, or when nothing will come.

        Raises Missed where the log no longer reaches back so far.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        with self._feed.changed:
            while not self._closed:
                found, self.seq = self._feed.after(self.seq, self._job, at_most)
                left = None if until is None else until - time.monotonic()
                if found or self._feed.closed or (left is not None and left <= 0):
                    return found
                self._feed.changed.wait(left)
        return []

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more."""
        with self._feed.changed:
            return self._closed or (self._feed.closed and self.seq == self._feed.seq)

    def __iter__(self) -> Iterator[Event]:
        """Every event until the listener, or all jobs, are closed."""
        while events := self.take():
            yield from events

    def close(self) -> None:
        with self._feed.changed:
            self._closed = True
            self._feed.changed.notify_all()
