"""`jiyao web` as a person starts it: a process of its own, in a folder of its own, with homes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PATIENCE_S = 120  # computers that test are busy

# what a foreign folder could hold: options that would open or break the page; and a file that cannot be read at all
FOREIGN_CONFIG = """
[server]
address = "0.0.0.0"
port = 9999
baseUrlPath = "elsewhere"
enableXsrfProtection = false
[browser]
gatherUsageStats = true
[client]
toolbarMode = "developer"
showErrorDetails = "full"
"""
BROKEN_CONFIG = "[server\naddress ="


@dataclass
class Place:
    """Where it runs: `home` is jiyao's, `user` the person's, `folder` where they stand."""

    home: Path
    user: Path
    folder: Path

    @staticmethod
    def made(root: Path) -> Place:
        place = Place(root / "jiyao", root / "user", root / "会议 folder")
        for folder, text in ((place.user, FOREIGN_CONFIG), (place.folder, BROKEN_CONFIG)):
            (folder / ".streamlit").mkdir(parents=True)
            (folder / ".streamlit" / "config.toml").write_text(text, encoding="utf-8")
        (place.folder / ".streamlit" / "secrets.toml").write_text("JIYAO_TEST_SECRET = 'leaked'\n")
        return place

    def notes(self) -> list[Path]:
        return sorted(self.home.glob("desk-*.json"))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "jiyao", "web", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        theirs = {"HOME": str(self.user), "USERPROFILE": str(self.user), "JIYAO_HOME": str(self.home)}
        return {**os.environ, **theirs, "JIYAO_UI": "en", "PYTHONUTF8": "1", "PYTHONSAFEPATH": "1", **more}


class Started:
    """A running page. `note`: what its file says; `client()`: a browser that came through /open."""

    def __init__(self, place: Place, process: subprocess.Popen[str], note: dict[str, Any]) -> None:
        self.place, self.process, self.note = place, process, note
        self.port = int(note["port"])
        self.host = f"localhost:{self.port}"
        self.url = f"http://{self.host}"
        self.address = f"{self.url}/open?key={note['key']}"
        self.cookie = f"jiyao_{self.port}={note['key']}"

    def client(self, **headers: str) -> httpx.Client:
        given = {"Origin": self.url, "Cookie": self.cookie, **headers}
        return httpx.Client(base_url=self.url, headers=given, timeout=PATIENCE_S, trust_env=False)

    def end(self, signal_number: int) -> tuple[int, str]:
        """Exit code, and all it said on stderr."""
        os.kill(int(self.note["pid"]), signal_number)
        _, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, err


@contextmanager
def started(place: Place, *arguments: str, before: Sequence[str] = (), **environment: str) -> Iterator[Started]:
    """`before`: a command that runs it, strace for one."""
    process = subprocess.Popen(
        [*before, *place.command("--port", "0", *arguments)],
        cwd=place.folder,
        env=place.environment(**environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        note = _awaited(place, process)
        yield Started(place, process, note)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()


def _awaited(place: Place, process: subprocess.Popen[str]) -> dict[str, Any]:
    """Its note, once it answers."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            note: dict[str, Any] = json.loads(place.notes()[0].read_text(encoding="utf-8"))
            url = f"http://127.0.0.1:{note['port']}/api/health"
            if httpx.get(url, timeout=PATIENCE_S, trust_env=False).json() == {"ok": True}:
                return note
        except (IndexError, ValueError, httpx.HTTPError):
            time.sleep(0.1)
    process.kill()
    raise AssertionError(f"it did not start: {process.communicate()[1]}")
