"""The desk over HTTP, for a page of this computer and nobody else: jobs, audio, text, events. No Streamlit here.

In:  requests that the guard let in. Out: JSON, bytes by ranges, server-sent events. Audio is a buffer in memory from
the first byte to the last: no upload is spooled, no answer may be cached.

    guard      who may come in at all; headers on every answer
    answers    languages, fields, errors as sentences
    wire       JSON forms, UTF-16 offsets
    intake     what is on its way into memory
    setup      models for this computer, and getting them through
    fetcher    the one process that may use the network
    keep       the vault, opened when a person wants it
    desk       all that together with the jobs: one for a process
    events     what happens, as it happens
    receiving, sound, work, terms, house     routes: audio in, audio out, jobs, terms and documents, the rest
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from jiyao.api import events, house, receiving, sound, terms, voices, work
from jiyao.api.desk import Desk
from jiyao.api.guard import Guard

__all__ = ["Desk", "Guard", "create_app", "routes", "static_routes"]


def routes(desk: Desk) -> list[BaseRoute]:
    """Everything below /api. Not to be served without a Guard."""
    return [
        *house.routes(desk),
        *events.routes(desk),
        *receiving.routes(desk),
        *sound.routes(desk.jobs, desk.peaks),
        *work.routes(desk),
        *terms.routes(desk),
        *voices.routes(desk),
        *house.nothing_else(),
    ]


def static_routes(static: Path) -> list[BaseRoute]:
    """The page itself, at /desk/."""
    return [Mount("/desk", StaticFiles(directory=static, html=True))]


async def _to_the_desk(request: Request) -> Response:
    return RedirectResponse("/desk/", 303)


def create_app(
    desk: Desk, *, key: str, port: int, extra_hosts: Iterable[str] = (), static: Path | None = None
) -> Starlette:
    """The whole app without Streamlit. `key`: this start's secret; `static`: the folder with index.html."""
    guard = Middleware(Guard, key=key, port=port, extra_hosts=tuple(extra_hosts))
    pages = [Route("/", _to_the_desk), *static_routes(static)] if static is not None else []
    return Starlette(routes=[*routes(desk), *pages], middleware=[guard])
