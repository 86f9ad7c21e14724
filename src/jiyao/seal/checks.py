"""Planted attempts: in a fresh process, closed like the worker, try what must not work → Checks.

Each is tried from Python, which the audit hook must refuse, and from native code (the C library through ctypes), which
passes below the hook, so that the kernel must refuse it. What could fail for other reasons is tried before the seal
as well (`control`): a refusal proves something only where the same attempt worked before.
Nothing leaves while this runs: outside addresses (192.0.2.1, kept for documentation by RFC 5737) are tried in native
code only where the kernel's layer is on. Files are empty, and gone afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from jiyao.seal.enforcing import attempts, close
from jiyao.seal.policy import Enforcement, Kind, LayerName, Policy, Refused

What = Literal["connect", "connect_local", "datagram", "lookup", "write_home", "write_temp", "program"]
Way = Literal["python", "native"]
Verdict = Literal["refused", "allowed", "unproved", "untried"]

_OUTSIDE = "192.0.2.1"
_LOOPBACK = "127.0.0.1"
_KINDS: dict[What, Kind] = {
    "connect": "network",
    "connect_local": "network",
    "datagram": "network",
    "lookup": "network",
    "write_home": "write",
    "write_temp": "write",
    "program": "program",
}
_NOTHING = [sys.executable, "-I", "-S", "-c", ""]

Python = Callable[[], object]  # raises OSError where it fails
Native = Callable[[], int]  # an errno, 0 where it worked


@dataclass(frozen=True)
class Check:
    """One planted attempt. `by`: who refused, "" if nobody; `detail`: the errno's name, or why nothing was proved.

    `unproved`: it failed, but for a reason of its own, or did not work before the seal either (`control` False; None:
    not tried before).
    """

    what: What
    way: Way
    verdict: Verdict
    by: LayerName | Literal[""] = ""
    detail: str = ""
    control: bool | None = None


def main() -> None:
    """Of the child: policy as JSON on standard input, everything found as JSON on standard output."""
    given = json.load(sys.stdin)
    policy = Policy("worker", tuple(map(Path, given["writable"])), shared_memory=given["shared_memory"])
    enforcement, checks = run(policy)
    found = {
        "enforcement": asdict(enforcement),
        "checks": [asdict(check) for check in checks],
        "planted": asdict(attempts()),
    }
    sys.stdout.write(json.dumps(found))


def run(policy: Policy) -> tuple[Enforcement, list[Check]]:
    """Close this process for good and try everything. For a process that exists for nothing else."""
    name = f".jiyao-seal-check-{os.getpid()}"
    home, temporary = Path.home() / name, Path(tempfile.gettempdir()) / name
    native = _Native() if os.name == "posix" else None
    with socket.socket() as listener, socket.socket(type=socket.SOCK_DGRAM) as receiver:
        listener.bind((_LOOPBACK, 0))
        listener.listen()
        receiver.bind((_LOOPBACK, 0))
        port, udp_port = listener.getsockname()[1], receiver.getsockname()[1]
        controls = _controls(native, home, temporary, port) if native else {}
        while select.select([listener], [], [], 0)[0]:
            listener.accept()[0].close()
        enforcement = close(policy)
        ears: dict[What, socket.socket] = {"connect_local": listener, "datagram": receiver}
        # Python first: what native code got through to the ports would be laid at its door
        checks = [_heard(_from_python(what, attempt), ears) for what, attempt in _python(home, temporary, port).items()]
        if native:
            outside = _OUTSIDE if enforcement.strength("network") == "kernel" else None
            below = _natively(native, home, temporary, port, udp_port, outside)
            for what, attempt in below.items():
                checks.append(_heard(_from_native(what, attempt, enforcement, controls.get(what)), ears))
    for path in (home, temporary):
        _remove(native, path)
        _remove(native, path.with_suffix(".python"))
    tried = {(check.what, check.way) for check in checks}
    checks += [
        Check(what, "native", "untried") for what in _KINDS if (what, "native") not in tried and what != "lookup"
    ]
    return enforcement, checks


def _remove(native: _Native | None, path: Path) -> None:
    """What nobody refused stands there now; this process may not be allowed to take it away from Python any more."""
    if native:
        native.library.unlink(os.fsencode(path))
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _python(home: Path, temporary: Path, port: int) -> dict[What, Python]:
    def connect(host: str, port: int) -> None:
        socket.create_connection((host, port), timeout=2).close()

    def send() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.sendto(b"seal", (_OUTSIDE, 53))

    return {
        "connect": lambda: connect(_OUTSIDE, 443),
        "connect_local": lambda: connect(_LOOPBACK, port),
        "datagram": send,
        "lookup": lambda: socket.getaddrinfo("meeting.invalid", 443),  # RFC 2606: never a real name
        "write_home": lambda: home.with_suffix(".python").touch(exist_ok=False),
        "write_temp": lambda: temporary.with_suffix(".python").touch(exist_ok=False),
        "program": lambda: subprocess.run(_NOTHING, check=True),
    }


def _natively(
    native: _Native, home: Path, temporary: Path, port: int, udp_port: int, outside: str | None
) -> dict[What, Native]:
    attempts: dict[What, Native] = {
        "connect_local": lambda: native.connect(_LOOPBACK, port),
        "datagram": lambda: native.send(outside or _LOOPBACK, 53 if outside else udp_port),
        "write_home": lambda: native.create(home),
        "write_temp": lambda: native.create(temporary),
        "program": native.start,
    }
    return {"connect": lambda: native.connect(outside, 443), **attempts} if outside else attempts


def _controls(native: _Native, home: Path, temporary: Path, port: int) -> dict[What, bool]:
    worked: dict[What, bool] = {
        "connect_local": native.connect(_LOOPBACK, port) == 0,
        "program": native.start() == 0,
    }
    places: dict[What, Path] = {"write_home": home, "write_temp": temporary}
    for what, path in places.items():
        worked[what] = native.create(path) == 0
        path.unlink(missing_ok=True)
    return worked


def _from_python(what: What, attempt: Python) -> Check:
    try:
        attempt()
    except Refused:
        return Check(what, "python", "refused", "audit_hook", "EPERM")
    except OSError as error:
        return Check(what, "python", "unproved", "", errno.errorcode.get(error.errno or 0, type(error).__name__))
    return Check(what, "python", "allowed")


def _from_native(what: What, attempt: Native, enforcement: Enforcement, control: bool | None) -> Check:
    number = attempt()
    if number == 0:
        return Check(what, "native", "allowed", control=control)
    kind, name = _KINDS[what], errno.errorcode.get(number, str(number))
    # seccomp answers EPERM, Landlock EACCES
    by: LayerName = "seccomp" if number == errno.EPERM else "landlock"
    if control is False or by not in enforcement.by(kind) or number not in (errno.EPERM, errno.EACCES):
        return Check(what, "native", "unproved", "", name, control)
    return Check(what, "native", "refused", by, name, control)


def _heard(check: Check, ears: Mapping[What, socket.socket]) -> Check:
    """A refusal that still reached our own listening port was none, whatever was answered."""
    ear = ears.get(check.what)
    if check.verdict == "refused" and ear is not None and select.select([ear], [], [], 0)[0]:
        return Check(check.what, check.way, "allowed", control=check.control)
    return check


class _Native:
    """The C library, called below Python. Every method returns an errno, or 0."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(None, use_errno=True)

    def connect(self, host: str, port: int) -> int:
        where = _internet_address(host, port)
        return self._with_socket(1, lambda handle: self.library.connect(handle, where, len(where)))

    def send(self, host: str, port: int) -> int:
        where = _internet_address(host, port)
        return self._with_socket(2, lambda handle: self.library.sendto(handle, b"seal", 4, 0, where, len(where)))

    def create(self, path: Path) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        handle = self.library.open(os.fsencode(path), ctypes.c_int(flags), ctypes.c_int(0o600))
        if handle < 0:
            return ctypes.get_errno()
        os.close(handle)
        return 0

    def start(self) -> int:
        argv = (ctypes.c_char_p * (len(_NOTHING) + 1))(*map(os.fsencode, _NOTHING), None)
        environ = (ctypes.c_char_p * 1)(None)
        pid = ctypes.c_int()
        number = self.library.posix_spawn(ctypes.byref(pid), argv[0], None, None, argv, environ)
        if number == 0:
            os.waitpid(pid.value, 0)
        return int(number)

    def _with_socket(self, type_: int, use: Callable[[int], int]) -> int:
        handle = self.library.socket(socket.AF_INET, type_, 0)
        if handle < 0:
            return ctypes.get_errno()
        try:
            return 0 if use(handle) >= 0 else ctypes.get_errno()
        finally:
            os.close(handle)


def _internet_address(host: str, port: int) -> bytes:
    """struct sockaddr_in: BSD systems put its length before the family."""
    family = struct.pack("=H", socket.AF_INET) if sys.platform.startswith("linux") else bytes([16, socket.AF_INET])
    return family + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
