"""Where the page is served on this computer: the sockets, a note of it for the next start, the browser.

In:  host and port. Out: listening sockets; or, where the port is taken by a jiyao of this person, its address.

The note (`desk-PORT.json` in jiyao's folder, readable by its owner only) holds the key that opens the page; it goes
when the page ends. What a killed process leaves is of no use: each start has a new key.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import ipaddress
import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from jiyao.errors import UsageError

IN_CONTAINER = "JIYAO_CONTAINER"  # set in our image: there, every address is inside the container
TAKEN = "shell.port_taken"  # key of the error
_BACKLOG = 128
_IN_USE = (errno.EADDRINUSE, errno.EACCES)  # Windows says EACCES for a port that it reserved
_PATIENCE_S = 20.0  # the first start may still be importing
# in a process of its own, with -I: no module may come from the folder where somebody stands
_BROWSER = "import sys, webbrowser; webbrowser.open(sys.stdin.read())"


@dataclass(frozen=True)
class Note:
    """What a second start must know of the first."""

    pid: int
    port: int
    key: str

    @property
    def address(self) -> str:
        """It opens the page, and gives the browser its cookie."""
        return f"http://localhost:{self.port}/open?key={self.key}"


def listen(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on `port` (0: any free one) of this computer alone: both of localhost's addresses, so that
    nobody else can answer under that name. Connections wait in them until somebody serves.

    Raises UsageError for an address that others could reach, and where the port is taken.
    """
    others = not _is_loopback(host)
    if others and os.environ.get(IN_CONTAINER) != "1":
        raise UsageError("shell.only_here", host=host)
    first = _bound(socket.AF_INET, host if others else "127.0.0.1", port)
    port = first.getsockname()[1]
    if others or not socket.has_ipv6:
        return [first]
    try:
        return [first, _bound(socket.AF_INET6, "::1", port)]
    except UsageError:
        first.close()
        raise
    except OSError:  # IPv6 is switched off
        return [first]


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((host, port))
        opened.listen(_BACKLOG)
        opened.setblocking(False)
    except OSError as cause:
        opened.close()
        if cause.errno in _IN_USE:
            raise UsageError("shell.port_taken", port=port, other=port + 1) from cause
        raise
    return opened


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# the note


def note_file(home: Path, port: int) -> Path:
    return home / f"desk-{port}.json"


def leave_note(home: Path, note: Note) -> Path | None:
    """Write it, for its owner's eyes only, over what a killed process left; its file. None: it cannot be written, and
    a second start will only find the port taken."""
    file = note_file(home, note.port)
    try:
        home.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        # made anew with its mode: never a moment in which others can read it
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            json.dump(asdict(note), opened)
    except OSError:
        return None
    return file


def take_note_away(file: Path, note: Note) -> None:
    """Unless another start has written its own there."""
    with contextlib.suppress(OSError, ValueError):
        if json.loads(file.read_text(encoding="utf-8")) == asdict(note):
            file.unlink()


def running(home: Path, port: int) -> Note | None:
    """This person's jiyao that serves `port` already, if it answers."""
    try:
        raw = json.loads(note_file(home, port).read_text(encoding="utf-8"))
        note = Note(int(raw["pid"]), int(raw["port"]), str(raw["key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return note if note.port == port and _answers(port) else None


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)  # no proxy stands in between
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/api/health")
            response = connection.getresponse()
            return response.status == 200 and json.loads(response.read(1000)).get("ok") is True
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            return False


# the browser


def open_browser(address: str) -> bool:
    """Show `address` in the person's browser; False where there is no screen to show it on.

    The address goes through a pipe: what other users see of our processes does not hold the key. (The browser may put
    it into its own command line; nothing else could open a page in every browser.)
    """
    if not _has_screen():
        return False
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _BROWSER],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C here must not end a browser that was started by this
    )
    assert process.stdin is not None
    with contextlib.suppress(OSError), process.stdin as pipe:
        pipe.write(address.encode())
    threading.Thread(target=process.wait, name="browser", daemon=True).start()
    return True


def _has_screen() -> bool:
    """Elsewhere `webbrowser` would take a text browser, into the terminal that we write to."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"))
