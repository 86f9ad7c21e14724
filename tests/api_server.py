"""A desk with the scripted engine behind a real server on a real socket, and a client that has its key."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from jiyao.api import Desk, create_app
from jiyao.jobs import ENDED
from jiyao.pipeline import Options
from jiyao.segmentation import Cutting
from jiyao.settings import Settings
from jiyao.worker.parent import Worker

KEY = "a-key-of-this-start"
# many short clips, in three parts, out of one minute
OPTIONS = Options(cutting=Cutting(min_clip_s=1.0, max_clip_s=4.0, max_gap_s=0.3, min_part_s=15.0, max_part_s=25.0))


def scripted(settings: Settings, engine: str | None) -> Worker:
    """The scripted engine wherever the best one is asked for."""
    return Worker(settings, engine or ("scripted" if settings.engine == "auto" else None))


class Served:
    """`url` of a running server; `client()`: another browser that was opened with the key."""

    def __init__(self, desk: Desk, server: uvicorn.Server, port: int) -> None:
        self.desk, self.server, self.port = desk, server, port
        self.url = f"http://127.0.0.1:{port}"
        self.cookie = f"jiyao_{port}={KEY}"

    def client(self, **headers: str) -> httpx.Client:
        given = {"Origin": self.url, "Cookie": self.cookie, "X-Jiyao-Language": "zh", **headers}
        return httpx.Client(base_url=self.url, headers=given, timeout=60)


@contextmanager
def serving(desk: Desk, app: ASGIApp | None = None) -> Iterator[Served]:
    config = uvicorn.Config(
        app or (lambda *_: None),
        port=0,
        access_log=False,
        log_level="error",
        ws="none",
        timeout_graceful_shutdown=1,
        lifespan="off",
    )
    listening = config.bind_socket()
    port = listening.getsockname()[1]
    if app is None:
        config.app = create_app(desk, key=KEY, port=port)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        for _ in range(500):
            if server.started:
                break
            time.sleep(0.01)
        yield Served(desk, server, port)
    finally:
        server.should_exit = True
        desk.close()
        thread.join(timeout=10)
        listening.close()


def over(client: httpx.Client, job: str, patience_s: float = 60) -> dict[str, Any]:
    """The job once it has ended."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        found: dict[str, Any] = client.get(f"/api/jobs/{job}").raise_for_status().json()
        if found["state"] in ENDED and found["place"] is None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not over: {found}")


class Page:
    """One stream of events, read one by one. `data` is what came, `id` its number or None."""

    def __init__(self, client: httpx.Client, after: int = 0, **headers: str) -> None:
        self._request = client.stream("GET", f"/api/events?after={after}", headers=headers)
        self.answer = self._request.__enter__()
        self._lines = self.answer.iter_lines()

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self._request.__exit__(None, None, None)

    def next(self) -> tuple[int | None, str, dict[str, Any]]:
        number, kind = None, ""
        for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "id":
                number = int(value)
            elif field == "event":
                kind = value
            elif field == "data":
                return number, kind, json.loads(value)
        raise AssertionError("the stream ended")

    def until(self, kind: str, **wanted: object) -> list[tuple[int | None, str, dict[str, Any]]]:
        """Everything up to an event of this kind with these values, it included."""
        seen = []
        while True:
            event = self.next()
            seen.append(event)
            if event[1] == kind and all(event[2].get(name) == value for name, value in wanted.items()):
                return seen
