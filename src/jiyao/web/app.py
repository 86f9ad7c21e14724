"""The server: the desk, Streamlit round it, the guard before both, in the order that the seal wants.

In:  Settings, where to listen. Out: a served page; when it ends, nothing is left in memory, nor a note on the disk.

First everything is imported and made, and the browser is asked for: its page waits in the socket. Then this process is
sealed, and only then somebody can send it a recording.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Literal

import uvicorn
from anyio import to_thread
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from jiyao import api, seal
from jiyao.api.answers import unexpected
from jiyao.api.desk import Desk
from jiyao.errors import UsageError
from jiyao.messages import say
from jiyao.settings import Settings
from jiyao.web import launch, logs
from jiyao.web.launch import Note

Shell = Literal["streamlit", "plain"]

FOLDER = Path(__file__).parent
PAGE = FOLDER / "page.py"
STATIC = FOLDER / "static"
_OURS = ("/api/", "/desk")
_INTERRUPTED, _FAULT = 130, 70
_FAREWELL_S = 5  # for what is still being sent when the page ends


def serve(
    settings: Settings,
    *,
    port: int = 8501,
    host: str = "127.0.0.1",
    open_browser: bool = True,
    shell: Shell = "streamlit",
) -> int:
    """Serve the page until Ctrl-C (130), SIGTERM or the end of its window (0).

    Where this person's jiyao serves there already, show it (0). `port` 0: any free one. Raises UsageError where the
    port is somebody else's.
    """
    try:
        sockets = launch.listen(host, port)
    except UsageError as error:
        first = launch.running(settings.home, port) if error.key == launch.TAKEN else None
        if first is None:
            raise
        opened = open_browser and launch.open_browser(first.address)
        _tell(settings, "shell.runs_already" if opened else "shell.runs_already_open_it", address=first.address)
        return 0
    note = Note(os.getpid(), sockets[0].getsockname()[1], secrets.token_urlsafe(24))
    with contextlib.ExitStack() as ends:
        ends.callback(_close, sockets)
        ends.enter_context(_ended_by_signals())
        logs.keep_quiet(settings.ui_language)
        file = launch.leave_note(settings.home, note)
        if file is not None:
            ends.callback(launch.take_note_away, file, note)
        desk = ends.enter_context(Desk(settings))
        if shell == "streamlit":
            app = _streamlit(desk, note)
        else:
            app = api.create_app(desk, key=note.key, port=note.port, static=STATIC)
        server = _Server(_config(app), desk)
        if open_browser:
            launch.open_browser(note.address)
        desk.guard()
        if file is not None:
            seal.allow(file)
        _tell(settings, "shell.serves", address=note.address)
        code = 0
        try:
            server.run(sockets=sockets)  # it passes on the signal that ended it
        except KeyboardInterrupt:
            code = _INTERRUPTED
        except SystemExit as end:
            if end.code:  # it could not begin; `logs` has said why
                return _FAULT
    _tell(settings, "shell.ended")
    return code


def _streamlit(desk: Desk, note: Note) -> ASGIApp:
    from jiyao.web import look, running, sidebar  # noqa: F401  (the script's: read before somebody waits for it)

    look.set_options(note.port)
    import streamlit as st

    running.use(desk)
    guard = Middleware(api.Guard, key=note.key, port=note.port)
    ours = Middleware(_Ours, routes=[*api.routes(desk), *api.static_routes(STATIC)])
    return st.App(PAGE, middleware=[guard, ours], on_script_error=_script_failed)


def _script_failed(fault: Exception) -> bool:
    """Streamlit would show or print it whole. True: it is dealt with."""
    import streamlit as st

    from jiyao.web import sidebar

    logs.report(fault)
    st.error(unexpected(fault).message(sidebar.language()))
    return True


class _Ours:
    """Paths of ours go to our routes directly: through Streamlit's own layers every answer would be compressed, at the
    cost of the event loop's time, on its way across one computer."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._router = Router(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and scope["path"].startswith(_OURS)
        await (self._router if is_ours else self._app)(scope, receive, send)


class _Server(uvicorn.Server):
    """Says goodbye before the desk is cleared: a page that is open then keeps its text, and offers to copy it."""

    def __init__(self, config: uvicorn.Config, desk: Desk) -> None:
        super().__init__(config)
        self._desk = desk

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        _close(sockets or [])
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await to_thread.run_sync(self._desk.close)
        await super().shutdown(sockets)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="websockets-sansio",
        ws_max_size=200 << 20,  # as Streamlit's own messages may be
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_FAREWELL_S,
        lifespan="on",
    )


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM ends this process as Ctrl-C does, with everything put away; so does a closed window (`cli`)."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _close(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _tell(settings: Settings, key: str, **parameters: object) -> None:
    sys.stderr.write(say(key, settings.ui_language, **parameters) + "\n")
    sys.stderr.flush()
