"""Routes for audio that comes in: a file's bytes as they are, or a recording in chunks. Nothing is ever spooled."""

from __future__ import annotations

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from jiyao.api.answers import Door, answer, content_length, failure, fields_of, in_thread, language_of
from jiyao.api.desk import Desk
from jiyao.api.intake import Arrival, told
from jiyao.errors import AudioError, JiyaoError, UsageError

_MOST_CHUNK_BYTES = 64 << 20  # half an hour: what a page that was cut off for long has still to send
_LINGER_S = 2.0


class Early:
    """An answer before the request was read. A connection that is closed over unread bytes is reset, and the answer
    may get lost with it: what still comes is thrown away for a moment."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [*self._response.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self._response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self._response.body, "more_body": True})
        with anyio.move_on_after(_LINGER_S):
            more = True
            while more:
                message = await receive()
                more = message["type"] == "http.request" and message.get("more_body", False)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _dropped(arrival: Arrival) -> None:
    """Zeroing takes a while; it is done even where the request itself is given up."""
    with anyio.CancelScope(shield=True):
        await in_thread(arrival.abort)


def routes(desk: Desk) -> list[BaseRoute]:
    return [*_uploads(desk), *_recordings(desk)]


def _uploads(desk: Desk) -> list[BaseRoute]:
    async def upload(request: Request) -> ASGIApp:
        try:
            size = content_length(request)
            if not size:
                raise AudioError("audio.empty")
            options = desk.options(request.query_params.get("language"), language_of(request))
            arrival = await in_thread(desk.intake.receive, _name(request), size, options)
        except (JiyaoError, MemoryError) as refused:
            return Early(failure(refused, request))
        try:
            async for piece in request.stream():
                arrival.write(piece)
            return answer({"job": await in_thread(desk.accept, arrival, options)}, 201)
        except (JiyaoError, MemoryError) as refused:
            await _dropped(arrival)
            return Early(failure(refused, request))
        except BaseException:  # the connection, first of all
            await _dropped(arrival)
            raise

    return [Route("/api/uploads", Door(PUT=upload))]


def _recordings(desk: Desk) -> list[BaseRoute]:
    async def begin(request: Request) -> Response:
        name = (await fields_of(request)).text("name")
        options = desk.options(None, language_of(request))
        return answer(told(await in_thread(desk.intake.record, name, options)), 201)

    async def chunk(request: Request) -> ASGIApp:
        try:
            if content_length(request) > _MOST_CHUNK_BYTES:
                raise UsageError("web.too_large", megabytes=_MOST_CHUNK_BYTES >> 20)
            arrival = desk.intake.recording(request.path_params["recording"])
            place = _offset(request)
            async for piece in request.stream():
                arrival.write_at(place, piece)
                place += len(piece)
        except (JiyaoError, MemoryError) as refused:
            return Early(failure(refused, request))
        desk.intake.announce(arrival, now=False)
        return answer(told(arrival))

    async def finish(request: Request) -> Response:
        language = (await fields_of(request)).maybe_text("language")
        arrival = desk.intake.recording(request.path_params["recording"])
        options = desk.options(language, language_of(request))
        return answer({"job": await in_thread(desk.accept, arrival, options)}, 201)

    async def discard(request: Request) -> Response:
        arrival = desk.intake.recording(request.path_params["recording"])
        return answer({"freed_bytes": await in_thread(arrival.abort)})

    return [
        Route("/api/recordings", Door(POST=begin)),
        Route("/api/recordings/{recording}", Door(POST=chunk, DELETE=discard)),
        Route("/api/recordings/{recording}/finish", Door(POST=finish)),
    ]


def _name(request: Request) -> str:
    name = request.query_params.get("name", "")
    if not name.strip():
        raise UsageError("web.bad_field", name="name")
    return name


def _offset(request: Request) -> int:
    """Where a chunk belongs, in bytes from the recording's start."""
    raw = request.query_params.get("offset") or request.headers.get("x-jiyao-offset", "")
    if not (raw.isascii() and raw.isdigit() and len(raw) < 19):
        raise UsageError("web.bad_field", name="offset")
    return int(raw)
