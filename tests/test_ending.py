"""How jiyao is ended without Ctrl-C: its window is closed, or somebody ends it by its number. A real terminal each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import SAMPLE
from tests.web_start import PATIENCE_S, Place

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and terminals of POSIX")

SAYS_ALL = {"JIYAO_UI": "en", "JIYAO_PROGRESS_EVERY_S": "0"}

# becomes the command, with the terminal for its own
_ON_IT = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Window:
    """A terminal and what runs in it."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self._terminal: int | None = terminal
        self.shown = b""

    def until(self, words: bytes) -> None:
        """Raises OSError where the command ends before it says so."""
        assert self._terminal is not None
        while words not in self.shown:
            self.shown += os.read(self._terminal, 4096)

    def close(self) -> None:
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def window(command: Sequence[str], cwd: Path, environment: dict[str, str]) -> Iterator[Window]:
    import pty

    terminal, inside = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", _ON_IT, *command], stdin=inside, stdout=inside, stderr=inside, cwd=cwd, env=environment
    ) as process:
        os.close(inside)
        opened = Window(process, terminal)
        try:
            yield opened
        finally:
            opened.close()
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("how", ["closed", "ended", "ended again and again"])
def test_what_was_recognised_is_kept(starter_home: Path, tmp_path: Path, how: str) -> None:
    command = [sys.executable, "-m", "jiyao", "transcribe", str(SAMPLE), "-o", str(tmp_path), "-f", "txt"]
    with window(command, tmp_path, {**os.environ, "JIYAO_UI": "en", "PYTHONSAFEPATH": "1"}) as opened:
        opened.until(b"x real time")  # the first clip's text is there
        family = opened.family()
        if how == "closed":
            opened.close()
        else:
            opened.process.send_signal(signal.SIGTERM)
        while how == "ended again and again" and opened.process.poll() is None:
            opened.process.send_signal(signal.SIGHUP)  # a shell's, then the kernel's when the shell is gone
            opened.process.send_signal(signal.SIGTERM)
            time.sleep(0.02)
        assert opened.process.wait(PATIENCE_S) == 130
    _, alive = psutil.wait_procs(family, timeout=10)
    assert family and alive == []
    assert not (tmp_path / "review.txt").exists()
    assert (tmp_path / "review.partial.txt").stat().st_size > 20


def test_a_terminal_that_takes_no_more_words_costs_no_text(starter_home: Path, tmp_path: Path) -> None:
    """Its window is gone, and somebody wanted it to go on: every word to the terminal is an error from then on."""
    command = [sys.executable, "-m", "jiyao", "transcribe", str(SAMPLE), "-o", str(tmp_path), "-f", "txt"]
    shell = ["/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command]
    with window(shell, tmp_path, {**os.environ, "JIYAO_UI": "en", "PYTHONSAFEPATH": "1"}) as opened:
        opened.until(b"x real time")
        opened.close()
        assert opened.process.wait(PATIENCE_S) != 0
    assert (tmp_path / "review.partial.txt").stat().st_size > 20


def test_the_page_goes_with_its_window(tmp_path: Path) -> None:
    place = Place.made(tmp_path)
    with window(place.command("--port", "0", "--no-browser"), place.folder, place.environment()) as opened:
        opened.until(b"/open?key=")
        assert len(place.notes()) == 1
        family = opened.family()
        opened.close()
        assert opened.process.wait(PATIENCE_S) == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert place.notes() == []  # all was put away, not only cut off


def test_nohup_means_what_it_says(starter_home: Path, tmp_path: Path) -> None:
    command = ["/usr/bin/env", "nohup", sys.executable, "-m", "jiyao", "transcribe", str(SAMPLE), "-o", str(tmp_path)]
    shell = ["/bin/sh", "-c", '"$@" 2>"$0"', str(tmp_path / "said"), *command]
    with window(shell, tmp_path, {**os.environ, **SAYS_ALL, "PYTHONSAFEPATH": "1"}) as opened:
        family = _awaited(opened, tmp_path / "said")
        opened.close()
        psutil.wait_procs(family, timeout=PATIENCE_S)
    assert (tmp_path / "review.txt").exists() and not (tmp_path / "review.partial.txt").exists()


def _awaited(opened: Window, said: Path) -> list[psutil.Process]:
    """Its processes, once it recognises."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if said.exists() and "x real time" in said.read_text(errors="replace"):
            return opened.family()
        time.sleep(0.1)
    pytest.fail("it did not begin")
