"""What happens, as it happens: server-sent events, numbered, so that a page that was away goes on where it was.

In:  the feed of the jobs. Out: `text/event-stream` (HTML Living Standard 9.2). One feed event is at most one event
here, with the feed's number; what comes every few seconds has none. What came together goes out in one write.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from jiyao.api import wire
from jiyao.api.answers import Door, language_of
from jiyao.api.desk import Desk
from jiyao.errors import UsageError
from jiyao.jobs import (
    Advanced,
    Announced,
    ClipHeard,
    ClipSkipped,
    EngineLoading,
    EngineReady,
    EngineTrouble,
    Event,
    JobView,
    LinesChanged,
    Listened,
    Listener,
    Missed,
    Noticed,
    Queued,
    Removed,
    StateChanged,
    TakenOver,
    TellingApart,
    Wiped,
    WorkerRestarted,
)
from jiyao.messages import Language, say

_HOST_EVERY_S = 5.0  # also keeps the connection from looking dead
_STILL_EVERY = 3  # so many of them: a comment
_MOST_STREAMS = 64  # each keeps a thread waiting

Told = tuple[str, dict[str, Any]]  # type of an event, and its data


class Teller:
    """Events of the feed in one page's language. Used by one thread at a time."""

    def __init__(self, desk: Desk, language: Language) -> None:
        self._desk = desk
        self._language = language
        self._views: dict[str, JobView | None] = {}  # while one block is told
        self._removed: set[str] = set()
        self._kinds: dict[type, Callable[[str, Any], Told | None]] = {
            StateChanged: self._state,
            Advanced: lambda _, change: ("progress", wire.progress(change)),
            LinesChanged: self._lines,
            ClipHeard: lambda job, change: self._clip("clip", job, change.clip),
            ClipSkipped: lambda job, change: self._clip("skipped", job, change.clip),
            TellingApart: self._telling_apart,
            TakenOver: lambda _, change: ("taken_over", {"clips": change.clips}),
            Noticed: lambda job, _: ("notes", self._notes(job)),
            EngineLoading: lambda _, change: ("host", self._desk.host(None, language)),
            EngineReady: self._engine,
            EngineTrouble: lambda _, change: ("trouble", {"error": wire.error(change.error, language)}),
            WorkerRestarted: lambda _, change: ("restarted", {"reason": change.reason}),
            Queued: lambda _, change: ("queue", {"waiting": list(change.waiting)}),
            Removed: self._gone,
            Listened: self._listened,
            Announced: self._announced,
            Wiped: lambda _, change: ("wiped", wire.wiped(change)),
        }

    def tell(self, events: Iterable[Event]) -> bytes:
        """All of them as one piece of the stream; what a later one of them makes out of date is left out."""
        self._views.clear()
        block = list(events)
        latest = {_about(event): event.seq for event in block}
        out = []
        for event in block:
            about = _about(event)
            if about is not None and latest[about] != event.seq:
                continue
            told = self._first(event) if event.job_seq == 1 else None
            told = told or self._kinds.get(type(event.change), _nothing)(event.job, event.change)
            if told is not None:
                kind, data = told
                out.append(packed(kind, {"job": event.job, **data}, event.seq))
        return b"".join(out)

    def _view(self, job: str) -> JobView | None:
        """The job as it is now; None: it is gone."""
        if job not in self._views:
            try:
                self._views[job] = self._desk.jobs.get(job)
            except UsageError:
                self._views[job] = None
        return self._views[job]

    def _first(self, event: Event) -> Told | None:
        """A job that nobody has seen before."""
        view = self._view(event.job) if event.job else None
        return None if view is None else ("job", {"job": wire.job(view, self._language)})

    def _state(self, job: str, change: StateChanged) -> Told:
        return "state", {"state": change.state, "error": wire.failed(change.state, change.error, self._language)}

    def _lines(self, job: str, change: LinesChanged) -> Told:
        put = [wire.line(line) for line in change.put]
        switches = {"can_undo": change.can_undo, "can_redo": change.can_redo}
        return "lines", {"removed": list(change.removed), "put": put, **switches}

    def _clip(self, kind: str, job: str, clip: int) -> Told | None:
        view = self._view(job)
        return None if view is None else (kind, {"clip": wire.clip(view.clips[clip])})

    def _engine(self, job: str, change: EngineReady) -> Told:
        rejected = [
            {"name": name, "title": wire.engine_title(name, self._language), "reason": say(reason, self._language)}
            for name, reason in change.rejected
        ]
        return "engine", {"engine": wire.engine(change.engine, self._language), "rejected": rejected}

    def _telling_apart(self, job: str, change: TellingApart) -> Told:
        """In the end with all remarks: what an earlier attempt left behind is not true any more."""
        return "telling_apart", {"share": change.share, **(self._notes(job) if change.share is None else {})}

    def _notes(self, job: str) -> dict[str, Any]:
        """All of them: a page may have this one already, from a view of the job as it is now."""
        view = self._view(job)
        return {} if view is None else {"notes": [wire.note(note, self._language) for note in view.notes]}

    def _listened(self, job: str, change: Listened) -> Told | None:
        view = self._view(job)
        return None if view is None else ("listened", {"job": wire.detail(view, None, self._language)})

    def _gone(self, job: str, change: Removed) -> Told | None:
        """Once: what the job did before reads `Removed` too."""
        if job in self._removed:
            return None
        self._removed.add(job)
        return "removed", {}

    def _announced(self, job: str, change: Announced) -> Told:
        body = self._desk.topic(change.topic, self._language)
        return change.topic, dict(change.body) if body is None else body


def _nothing(job: str, change: object) -> None:
    """No page needs to know."""


def _about(event: Event) -> tuple[object, ...] | None:
    """Events of which only the last counts have the same of this; None: each counts."""
    change = event.change
    if isinstance(change, Advanced) and event.job_seq > 1:
        return ("progress", event.job)
    if isinstance(change, TellingApart):
        return ("telling_apart", event.job)
    if isinstance(change, EngineLoading):
        return ("host",)
    if isinstance(change, Announced) and change.topic != "recording":
        return ("announced", change.topic)
    return None


def packed(kind: str, data: dict[str, Any], seq: int | None) -> bytes:
    """One event of the stream. JSON has no line breaks of its own."""
    head = "" if seq is None else f"id: {seq}\n"
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{head}event: {kind}\ndata: {body}\n\n".encode("utf-8", "replace")


class Stream:
    """One page's connection. `next` waits, in a thread; `close` ends that from anywhere."""

    def __init__(self, desk: Desk, after: int, language: Language) -> None:
        self._desk = desk
        self._language = language
        self._teller = Teller(desk, language)
        self._listener: Listener = desk.jobs.events(after)
        self._turn = 0

    def next(self) -> bytes:
        """What to send now; nothing: it is over."""
        try:
            events = self._listener.take(_HOST_EVERY_S)
        except Missed:
            now = self._desk.jobs.seq
            self._listener = self._desk.jobs.events(now)
            return packed("reset", {}, now)
        if events:
            # there may be nothing to tell of them
            return self._teller.tell(events) or b":\n\n"
        if self._listener.ended:
            return b""
        self._turn += 1
        still = b": still here\n\n" if self._turn % _STILL_EVERY == 0 else b""
        return packed("host", {"job": "", **self._desk.host(None, self._language)}, None) + still

    def close(self) -> None:
        self._listener.close()


def routes(desk: Desk) -> list[BaseRoute]:
    limiters: list[anyio.CapacityLimiter] = []  # made in the event loop

    async def blocks(stream: Stream) -> AsyncIterator[bytes]:
        if not limiters:
            limiters.append(anyio.CapacityLimiter(_MOST_STREAMS))
        try:
            yield b": here\n\n"
            while block := await anyio.to_thread.run_sync(stream.next, abandon_on_cancel=True, limiter=limiters[0]):
                yield block
        finally:
            stream.close()

    async def listen(request: Request) -> Response:
        asked = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        if not (asked.isascii() and asked.isdigit() and len(asked) < 19):
            raise UsageError("web.bad_field", name="after")
        stream = Stream(desk, int(asked), language_of(request))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(blocks(stream), headers=headers, media_type="text/event-stream")

    return [Route("/api/events", Door(GET=listen))]
