"""The layer that every system has: Policy → an audit hook that refuses in Python, and counts.

A hook cannot be taken away again, and child processes do not inherit it. It sees what Python code does through
Python's own functions; native code, and Python that calls native code through ctypes, passes below it: the kernel's
layers (`landlock`, `seccomp`) are for that. From: PEP 578 and the audit events table of docs.python.org.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jiyao.seal.policy import KINDS, Attempt, Attempts, Kind, Policy, Refused, shortened

_KEPT = 50  # latest attempts
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_READING = frozenset({None, "r", "rb", "rt", "rU"})
_UNIX = getattr(socket, "AF_UNIX", None)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty") if os.name == "posix" else ()
_PIPES = "\\\\.\\pipe\\"  # Windows: how processes talk; asking for its real path would open it
_HELLO = "jiyao.seal.hello"

Arguments = tuple[Any, ...]
Check = Callable[[Arguments], None]


class Tally:
    """Counts refusals of this process; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a destructor may be refused while another refusal is being counted
        self._counts: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self._latest: deque[Attempt] = deque(maxlen=_KEPT)

    def note(self, kind: Kind, where: str) -> None:
        with self._lock:
            self._counts[kind] += 1
            self._latest.append(Attempt(kind, where, time.time()))

    def snapshot(self) -> Attempts:
        with self._lock:
            return Attempts(latest=tuple(self._latest), **self._counts)


class Guard:
    """The hook of one process: `install` once, `allow` folders at any time, read `tally`."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.tally = Tally()
        self._folders: tuple[str, ...] = ()
        self.allow(policy.writable)
        self._devices = frozenset(map(_real, (*_DEVICES, os.devnull)))
        self._open_ended = ("/dev/pts/", *(["/dev/shm/"] if policy.shared_memory else []))
        own = (sys.executable, getattr(sys, "_base_executable", ""))
        self._programs = frozenset(_program(name) for name in (*own, *policy.programs) if name)
        self._answered = False

    def allow(self, folders: Iterable[Path]) -> None:
        """Add folders to those that may be written."""
        self._folders = tuple(dict.fromkeys((*self._folders, *map(_real, folders))))

    def install(self) -> bool:
        """Put the hook in. False where another hook forbade it: then nothing is enforced here."""
        checks = self._checks()

        def hook(event: str, arguments: Arguments) -> None:
            check = checks.get(event)
            if check is not None:
                check(arguments)

        sys.addaudithook(hook)
        sys.audit(_HELLO)
        return self._answered

    def _checks(self) -> dict[str, Check]:
        checks: dict[str, Check] = {_HELLO: self._hello, "open": self._open}
        whole, entry = self._writes_to, self._changes
        for name in ("chmod", "chown", "truncate", "utime", "setxattr", "removexattr", "chflags"):
            checks[f"os.{name}"] = lambda given: whole(given[0])
        for name in ("mkdir", "remove", "rmdir"):
            checks[f"os.{name}"] = lambda given: entry(given[0], given[-1])
        checks["os.symlink"] = lambda given: entry(given[1], given[-1])
        for name in ("rename", "link"):
            checks[f"os.{name}"] = self._two_entries
        checks["sqlite3.connect"] = self._sqlite
        checks["_winapi.CreateFile"] = self._windows_file
        checks["_winapi.CreateJunction"] = lambda given: entry(given[1])
        for name in ("winreg.CreateKey", "winreg.SetValue", "winreg.DeleteKey", "winreg.DeleteValue", "syslog.syslog"):
            checks[name] = self._always("write", name)
        for name in ("connect", "sendto", "sendmsg", "bind"):
            checks[f"socket.{name}"] = self._address
        for name in ("getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo"):
            checks[f"socket.{name}"] = self._lookup
        for name in ("subprocess.Popen", "os.posix_spawn", "os.exec", "_winapi.CreateProcess"):
            checks[name] = lambda given: self._program(given[0], given[1])
        checks["os.spawn"] = lambda given: self._program(given[1], given[2])
        checks["os.startfile"] = checks["os.startfile/2"] = lambda given: self._page(given[0])
        checks["os.system"] = self._always("program", "os.system")
        if self.policy.role == "worker":
            checks["socket.__new__"] = self._socket
            for name in ("os.fork", "os.forkpty"):
                checks[name] = self._always("program", name)
        return checks

    def _hello(self, _: Arguments) -> None:
        self._answered = True

    def _refuse(self, kind: Kind, where: str) -> None:
        shown = shortened(where)
        self.tally.note(kind, shown)
        raise Refused(kind, shown)

    def _always(self, kind: Kind, where: str) -> Check:
        return lambda _: self._refuse(kind, where)

    # files

    def _open(self, given: Arguments) -> None:
        path, mode, flags = given
        # flags decide; only C's own fopen leaves them 0 and says it by the mode
        if flags & _WRITING or (mode not in _READING and isinstance(mode, str) and not set(mode).isdisjoint("wax+")):
            self._writes_to(path)

    def _writes_to(self, path: object) -> None:
        """`path` itself, through links; an open file (a number) was judged when it was opened."""
        name = _text(path)
        if name is not None and not name.lower().startswith(_PIPES) and not self._may_write(_real(name)):
            self._refuse("write", name)

    def _changes(self, path: object, folder: object = -1) -> None:
        """The entry `path` in its folder, not what a link there points to; `folder`: an open one (dir_fd), -1: none."""
        name = _text(path)
        if name is None:
            return
        if isinstance(folder, int) and folder >= 0 and not os.path.isabs(name):
            name = os.path.join(_folder_behind(folder), name)
        head, tail = os.path.split(name.rstrip("/\\") or name)
        if not self._may_write(os.path.normcase(os.path.join(_real(head or "."), tail))):
            self._refuse("write", name)

    def _two_entries(self, given: Arguments) -> None:
        source, target, source_folder, target_folder = given
        self._changes(source, source_folder)
        self._changes(target, target_folder)

    def _may_write(self, real: str) -> bool:
        for folder in self._folders:
            if real == folder or real.startswith(folder if folder.endswith(os.sep) else folder + os.sep):
                return True
        own = f"/proc/{os.getpid()}/"
        return real in self._devices or real.startswith((*self._open_ended, own))

    def _sqlite(self, given: Arguments) -> None:
        name = _text(given[0])
        if name is None or name in ("", ":memory:"):
            return
        if name.startswith("file:"):
            address = urlsplit(name)
            if "mode=memory" in address.query or "mode=ro" in address.query or address.path == ":memory:":
                return
            name = address.path
        self._writes_to(name)

    def _windows_file(self, given: Arguments) -> None:
        if given[1] & 0x40000000:  # GENERIC_WRITE
            self._writes_to(given[0])

    # network

    def _socket(self, given: Arguments) -> None:
        family = given[1]
        if family not in (-1, _UNIX):  # -1: wraps a socket that is open already
            self._refuse("network", f"a socket of family {int(family)}")

    def _address(self, given: Arguments) -> None:
        handle, address = given[0], given[1]
        if address is None:  # sendmsg on a connected socket
            return
        if handle.family == _UNIX:
            if self.policy.role == "worker":
                self._refuse("network", f"a local socket {_text(address)}")
            return
        named = isinstance(address, tuple) and len(address) >= 2 and isinstance(address[0], str)
        if not (named and self.policy.loopback and is_loopback(address[0])):
            self._refuse("network", f"{address[0]}:{address[1]}" if named else "an address that is not of the internet")

    def _lookup(self, given: Arguments) -> None:
        wanted = given[0][0] if isinstance(given[0], tuple) else given[0]
        port = given[1] if len(given) > 1 else None
        host = wanted.decode("ascii", "replace") if isinstance(wanted, (bytes, bytearray)) else wanted
        if not (host in (None, "") or (self.policy.loopback and is_loopback(str(host)))):
            self._refuse("network", str(host) if port is None else f"{host}:{port}")

    # programs

    def _program(self, name: object, arguments: object) -> None:
        if name is None:  # Windows: the command line says it
            name = arguments if isinstance(arguments, str) else next(iter(arguments), "")  # type: ignore[call-overload]
            name = name[1:].partition('"')[0] if isinstance(name, str) and name.startswith('"') else name
        text = _text(name) or ""
        if self.policy.role == "worker" or _program(text) not in self._programs:
            self._refuse("program", text)

    def _page(self, path: object) -> None:
        """Windows opens the browser this way; our own page only."""
        address = urlsplit(_text(path) or "")
        own = address.scheme == "http" and is_loopback(address.hostname or "") and self.policy.loopback
        if not own:
            self._refuse("program", f"open {address.scheme or 'a file'}")


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1 (also as ::ffff:127.0.0.1), or the name localhost. 0.0.0.0 is not: it listens to everybody."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _text(path: object) -> str | None:
    """A path as text; None for an open file's number, and for what is no path (the call itself will say so)."""
    if isinstance(path, (str, bytes, os.PathLike)):
        return os.fsdecode(path)
    return None


def _real(path: str | Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _folder_behind(descriptor: int) -> str:
    """The folder that an open descriptor stands for, where the system tells; else a place that is never writable."""
    if sys.platform == "darwin":
        import fcntl

        return fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0").decode()
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return f"/unknown folder {descriptor}"


def _program(name: str) -> str:
    return os.path.normcase(os.path.abspath(shutil.which(name) or name))
