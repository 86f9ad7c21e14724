"""The real page in a process of its own, as a person starts it: `jiyao web --no-browser`, sealed, on a free port.

In:  a home with weights, or an empty one. Out: a `Server`: its link with the key, its API as the page sees it, its end.
"""

from __future__ import annotations

import contextlib
import fractions
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import av
import httpx

from jiyao.jobs import ENDED
from tests.conftest import ROOT, SAMPLE

_LINK = re.compile(r"http://localhost:(\d+)/open\?key=\S+")
_START_S = 90.0
_END_S = 20.0
_NOWHERE = "http://127.0.0.1:9"  # discard: nobody listens there, so every connection is refused at once
# whatever a download may ask: the hubs by the variables that `weights` reads, pip, and a proxy for all the rest
OFFLINE: Mapping[str, str] = {
    "JIYAO_MODELSCOPE_ENDPOINT": _NOWHERE,
    "HF_ENDPOINT": _NOWHERE,
    "JIYAO_HF_MIRROR_ENDPOINT": _NOWHERE,
    "PIP_INDEX_URL": f"{_NOWHERE}/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
    "PIP_CONFIG_FILE": os.devnull,
    **{name: _NOWHERE for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")},
    "NO_PROXY": "",
    "no_proxy": "",
}


class Server:
    """A served page. `url` without key, `link` with it; `said`: what it wrote to its terminal so far."""

    def __init__(self, process: subprocess.Popen[bytes], home: Path) -> None:
        self.process, self.home = process, home
        self.said: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        assert process.stderr is not None
        threading.Thread(target=self._read, args=(process.stderr,), daemon=True).start()
        self.link = self._link()
        self.port = int(self.link.split(":")[2].partition("/")[0])
        self.url = f"http://localhost:{self.port}"
        self.key = self.link.partition("key=")[2]

    def _read(self, stderr: IO[bytes]) -> None:
        for line in stderr:
            text = line.decode(errors="replace")
            self.said.append(text)
            self._lines.put(text)

    def _link(self) -> str:
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            with contextlib.suppress(queue.Empty):
                if found := _LINK.search(self._lines.get(timeout=0.2)):
                    return found[0]
            assert self.process.poll() is None, "".join(self.said)
        raise AssertionError(f"no link within {_START_S} s: {''.join(self.said)}")

    @property
    def desk(self) -> str:
        """The link that opens the desk alone."""
        return f"{self.link}&to=/desk/"

    def client(self) -> httpx.Client:
        """Another page of the same person."""
        headers = {"Origin": self.url, "Cookie": f"jiyao_{self.port}={self.key}", "X-Jiyao-Language": "zh"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)

    def get(self, path: str) -> Any:
        with self.client() as client:
            return client.get(path).raise_for_status().json()

    def post(self, path: str, body: object = None) -> Any:
        with self.client() as client:
            return client.post(path, json={} if body is None else body).raise_for_status().json()

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/state")["jobs"]
        return found

    def lines(self, job: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/api/jobs/{job}")["lines"]
        return found

    def upload(self, recording: Path, name: str | None = None) -> str:
        """The new job's id."""
        with self.client() as client:
            address = "/api/uploads"
            asked = {"name": name or recording.name, "language": "zh"}
            answered = client.put(address, params=asked, content=recording.read_bytes()).raise_for_status()
            return str(answered.json()["job"])

    def over(self, job: str, patience_s: float = 120) -> dict[str, Any]:
        """The job once it has ended."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            found: dict[str, Any] = self.get(f"/api/jobs/{job}")
            if found["state"] in ENDED and found["place"] is None:
                return found
            time.sleep(0.1)
        raise AssertionError(f"not over: {found['state']} {found['progress']}")

    def empty(self) -> None:
        """Nothing is left of an earlier test."""
        state = self.get("/api/state")
        if state["jobs"] or state["recordings"]:
            self.post("/api/wipe")

    def kill(self) -> None:
        """At once, with nothing put away."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """As a system ends it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def serving(
    home: Path,
    *,
    port: int = 0,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
) -> Iterator[Server]:
    """A server until the block ends. `before`: what the command is started with, such as strace."""
    command = [*before, sys.executable, "-m", "jiyao", "web", "--no-browser", "--port", str(port or free_port())]
    settings = {"JIYAO_HOME": str(home), "JIYAO_ENGINE": "whisper-base", "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **settings, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        server = Server(process, home)
        yield server
        if process.poll() is None:
            assert server.end() == 0, "".join(server.said)
            assert not list(home.glob(f"desk-{server.port}.json")), "the note of the key is taken away"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stderr is not None
        process.stderr.close()


def cut(start_s: float, stop_s: float, file: Path, *, rate: int = 16_000, layout: str = "mono") -> Path:
    """A stretch of the sample meeting as a WAV or MP3 of its own, by the file's suffix."""
    codec: Any = {".wav": "pcm_s16le", ".mp3": "libmp3lame"}[
        file.suffix
    ]  # Any: PyAV knows each codec's stream by a literal
    with av.open(str(SAMPLE)) as source, av.open(str(file), "w") as target:
        out: Any = target.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(format=out.format, layout=layout, rate=rate, frame_size=out.frame_size or None)
        placed = 0
        for frame in _frames(source, start_s, stop_s):
            for piece in resampler.resample(frame):
                piece.pts, piece.time_base = placed, fractions.Fraction(1, rate)
                placed += piece.samples
                target.mux(out.encode(piece))
        target.mux(out.encode(None))
    return file


def _frames(source: Any, start_s: float, stop_s: float) -> Iterator[Any]:
    """Whole frames whose beginning lies in the stretch; None at the end, to flush."""
    for frame in source.decode(audio=0):
        if frame.time >= stop_s:
            break
        if frame.time >= start_s:
            frame.pts = None
            yield frame
    yield None


def words(lines: Sequence[Mapping[str, Any]]) -> str:
    """What is said in these lines, for looking at."""
    return json.dumps([line["text"] for line in lines], ensure_ascii=False)
