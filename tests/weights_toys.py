"""A toy model, and a real local server that serves it well or badly."""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BIG = random.Random(1).randbytes(3_000_000)
SMALL = b'{"toy": true}\n'
FILES: Mapping[str, bytes] = {"model.bin": BIG, "sub/config.json": SMALL}
ALL_HUBS = ("modelscope", "huggingface", "hf-mirror")
VARIABLES = dict(zip(ALL_HUBS, ("JIYAO_MODELSCOPE_ENDPOINT", "HF_ENDPOINT", "JIYAO_HF_MIRROR_ENDPOINT"), strict=True))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def toy(
    hubs: tuple[str, ...] = ("huggingface",),
    *,
    name: str = "toy",
    files: Mapping[str, bytes] = FILES,
    unpinned: tuple[str, ...] = (),
    more: str = "",
) -> str:
    """A catalogue of one model as TOML; `more` is further [[model.sources]] text."""
    lines = ["[[model]]", f'name = "{name}"', 'job = "asr"', 'title = "Toy"', 'licence = "MIT"']
    lines += ['repo = "acme/toy"', 'revision = "r1"', "files = ["]
    for path, data in files.items():
        pin = "" if path in unpinned else f', sha256 = "{sha256(data)}"'
        lines.append(f'    {{ path = "{path}", bytes = {len(data)}{pin} }},')
    lines += ["]"]
    for hub in hubs:
        lines += ["[[model.sources]]", f'kind = "{hub}"', 'repo = "acme/toy"', 'revision = "r1"']
    return "\n".join([*lines, more]) + "\n"


class Hub(ThreadingHTTPServer):
    """Serves `files`. How it answers for model.bin is the next of `plan`, then `mode` (which holds for all files):

    ok · drip (slowly) · cut, stall (after `piece_bytes`) · mute (a head, no bytes) · wrong · short · endless ·
    no-range (ignores Range) · deny-range (refuses it) · 404 · 503
    """

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = dict(files)
        self.mode = "ok"
        self.plan: list[str] = []
        self.piece_bytes = 1_000_000
        self.probes = 0
        self.requests: list[tuple[str, str]] = []  # (file, Range header)
        self.sent_bytes: dict[str, int] = {}
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that hang up are what these tests are about


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.server.probes += 1
        self.send_error(404)

    def do_GET(self) -> None:
        hub = self.server
        path = re.sub(r"^(/models)?/acme/toy/resolve/r1/|^/", "", self.path)
        asked = self.headers.get("Range", "")
        hub.requests.append((path, asked))
        mode = hub.plan.pop(0) if hub.plan and path == "model.bin" else hub.mode
        if mode in ("404", "503"):
            self.send_error(int(mode))
            return
        data = hub.files[path]
        if mode == "wrong":
            data = bytes(len(data))
        if mode == "short":
            data = data[:-1]
        start = int(asked[6:-1]) if asked else 0
        if asked and mode == "deny-range":
            self.send_error(416)
            return
        if asked and mode != "no-range":
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            start = 0
            self.send_response(200)
        if mode != "endless":
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self._body(path, data[start:], mode)

    def _body(self, path: str, data: bytes, mode: str) -> None:
        hub = self.server
        if mode in ("cut", "stall", "mute"):
            data = b"" if mode == "mute" else data[: hub.piece_bytes]
        step = 65_536
        for at in range(0, len(data), step):
            self._send(path, data[at : at + step])
            if mode == "drip":
                time.sleep(0.03)
        while mode == "endless" and not hub.closing.is_set():
            self._send(path, bytes(step))
        if mode in ("stall", "mute"):
            hub.closing.wait(30)

    def _send(self, path: str, data: bytes) -> None:
        self.wfile.write(data)
        self.server.sent_bytes[path] = self.server.sent_bytes.get(path, 0) + len(data)


@contextmanager
def serving(files: Mapping[str, bytes] = FILES) -> Iterator[Hub]:
    hub = Hub(files)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        hub.shutdown()
        hub.server_close()
        thread.join(5)


CHILD = """
import json, sys
from pathlib import Path
from jiyao.errors import WeightsError
from jiyao.weights import fetch, parse_catalogue
models = parse_catalogue(Path(sys.argv[1]).read_text(encoding="utf-8"))
def report(p):
    if p.note: print(json.dumps(["note", p.note]), flush=True)
    elif p.done_bytes: print(json.dumps(["bytes", p.done_bytes]), flush=True)
try:
    print(json.dumps(["folder", str(fetch("toy", Path(sys.argv[2]), report, models=models))]))
except WeightsError as error:
    print(json.dumps(["error", error.key, str(error)]))
    sys.exit(4)
"""
"""A process that fetches `toy`: python -c CHILD <catalogue> <home>; every line it prints is JSON."""


def said(output: str) -> list[list[Any]]:
    return [json.loads(line) for line in output.splitlines()]
