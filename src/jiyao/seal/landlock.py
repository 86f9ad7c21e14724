"""Linux: folders → the kernel refuses writes elsewhere, programs, TCP, and signals to others, for good.

Binds the calling thread and every thread and process that it starts later; from ABI 8 on (Linux 7.0) threads that run
already, too. Reading stays free. Not covered by any ABI: chmod, chown, times; UDP (before ABI 10): `seccomp` has those
that matter. From: docs.kernel.org/userspace-api/landlock.html; three system calls, kept stable by the kernel (the
PyPI wrappers are a few months old or pre-releases: too young for this place).
"""

from __future__ import annotations

import ctypes
import errno
import glob
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from jiyao.seal.policy import Kind, Layer

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every processor
_VERSION = 1  # flag of create_ruleset: say the ABI instead
_PATH_BENEATH = 1
_ALL_THREADS = 1 << 3  # flag of restrict_self from ABI 8

_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_REMOVE_FILE, _MAKE_REG = 1 << 5, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
# write, remove folder, remove file, make: char device, folder, file, socket, fifo, block device, symbolic link
_WRITES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
_TCP = 1 << 0 | 1 << 1  # bind, connect
_SCOPES = 1 << 0 | 1 << 1  # abstract local sockets of others, signals to others

# graphics cards and NPUs are opened again while they work; there is no disk behind any of these
_GRAPHICS = ("/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/dri/*", "/dev/kfd", "/dev/accel/*")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", *_GRAPHICS)
_SHARED_MEMORY = "/dev/shm"


def abi() -> int:
    """The version that this kernel speaks; 0: none, or switched off at boot."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, _system_call(_CREATE_RULESET, None, 0, _VERSION))


def close(writable: Sequence[Path], shared_memory: bool) -> Layer:
    """Restrict this thread and all that come from it. Needs no_new_privs. The layer says what took."""
    if not sys.platform.startswith("linux"):
        return Layer("landlock", False, reason="system")
    version = abi()
    if not version:
        return Layer("landlock", False, reason="absent")
    writes = _WRITES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    # a newer field than the kernel knows is refused by it, so the structure ends where its ABI ends
    fields = [writes | _EXECUTE] + ([_TCP] if version >= 4 else []) + ([_SCOPES] if version >= 6 else [])
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    rules = _system_call(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return Layer("landlock", False, _why(), reason="refused")
    try:
        for folder in writable:
            _allow(rules, folder, writes)
        for device in _DEVICES:
            for path in glob.glob(device):
                _allow(rules, Path(path), _WRITE_FILE)
        if shared_memory:
            beneath = _WRITE_FILE | _MAKE_REG | _REMOVE_FILE | (writes & _TRUNCATE)
            _allow(rules, Path(_SHARED_MEMORY), beneath)
        if _system_call(_RESTRICT_SELF, rules, _ALL_THREADS if version >= 8 else 0) < 0:
            return Layer("landlock", False, _why(), reason="refused")
    finally:
        os.close(rules)
    covers: tuple[Kind, ...] = ("write", "program")
    return Layer("landlock", True, f"ABI {version}", covers)


def binds_running_threads(layer: Layer) -> bool:
    """Whether threads that ran before `close` are bound as well."""
    return layer.on and abi() >= 8


def _allow(rules: int, path: Path, access: int) -> None:
    """`access` below `path`; a place that does not exist, or that the kernel does not take, stays closed."""
    try:
        handle = os.open(path, getattr(os, "O_PATH", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return
    try:
        if not path.is_dir():
            access &= _WRITE_FILE | _TRUNCATE  # others make no sense for a file, and the kernel refuses them
        _system_call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", access, handle), 0)
    finally:
        os.close(handle)


def _system_call(number: int, *arguments: int | bytes | None) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    # whole registers: the C function takes any number of arguments and would leave upper halves undefined
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return int(library.syscall(ctypes.c_long(number), *given))


def _why() -> str:
    return errno.errorcode.get(ctypes.get_errno(), "unknown")
