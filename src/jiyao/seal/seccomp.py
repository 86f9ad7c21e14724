"""Linux: a filter over system calls → no network, no programs, no way round, for all threads and for good.

Refused, with EPERM: every socket but local streams, and those can neither connect nor accept (libcuda needs one to
bind); starting programs; io_uring, which would bypass the filter; reaching into other processes; attributes of files
(content could hide there, and Landlock does not see them); typing into the terminal. Everything else is allowed.
The filter knows system calls by number, so the processor must be one whose numbers stand here.
From: docs.kernel.org/userspace-api/seccomp_filter.html, linux/filter.h; PyPI's `pyseccomp` needs libseccomp, which
not every system has, and is unchanged since 2021.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

from jiyao.seal.policy import Kind, Layer

_SET_FILTER = 1
_ALL_THREADS = 1 << 0
_NO_SLOWDOWN = 1 << 2  # else Linux before 5.16 switches off speculation for the process, and models crawl
_NO_NEW_PRIVILEGES = 38  # prctl

_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06  # BPF: ld abs, jeq, jge, and, ret
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data; arguments are 8 bytes each
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_X32 = 0x40000000  # numbers of the other ABI of x86_64, a second door to the same calls

_AF_UNIX, _STREAM, _SEQPACKET, _TYPE_MASK = 1, 1, 5, 0xF
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # type into the terminal, paste into the console

# machine -> (its mark in the filter, its number of seccomp, and the calls by name)
_MACHINES: dict[str, tuple[int, int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        317,
        {
            "socket": 41, "socketpair": 53, "ioctl": 16, "connect": 42, "accept": 43, "accept4": 288,
            "execve": 59, "execveat": 322, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311,
            "open_by_handle_at": 304, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190,
        },
    ),
    "aarch64": (
        0xC00000B7,
        277,
        {
            "socket": 198, "socketpair": 199, "ioctl": 29, "connect": 203, "accept": 202, "accept4": 242,
            "execve": 221, "execveat": 281, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271,
            "open_by_handle_at": 265, "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7,
        },
    ),
}  # fmt: skip
# newer calls have the same number everywhere
_COMMON = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "pidfd_getfd": 438, "setxattrat": 463,
}  # fmt: skip
_LOOKED_INTO = ("socket", "socketpair", "ioctl")  # refused by their arguments

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, value


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def close() -> Layer:
    """Put the filter over every thread of this process. Sets no_new_privs, which `landlock` needs too."""
    if not sys.platform.startswith("linux"):
        return Layer("seccomp", False, reason="system")
    machine = os.uname().machine
    if machine not in _MACHINES or struct.calcsize("P") != 8:
        return Layer("seccomp", False, machine, reason="processor")
    program = instructions(machine)
    code = b"".join(struct.pack("=HBBI", *one) for one in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = _Program(len(program), ctypes.cast(buffer, ctypes.c_void_p))
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    number = _MACHINES[machine][1]
    flags = ctypes.c_long(_ALL_THREADS | _NO_SLOWDOWN)
    answer = library.syscall(ctypes.c_long(number), ctypes.c_long(_SET_FILTER), flags, ctypes.byref(filter_))
    if answer:  # above 0: the thread that could not be bound, as it has a filter of its own
        why = f"thread {answer}" if answer > 0 else errno.errorcode.get(ctypes.get_errno(), "unknown")
        return Layer("seccomp", False, why, reason="refused")
    if not _bites(library):  # as under emulators that take every filter
        return Layer("seccomp", False, machine, reason="refused")
    covers: tuple[Kind, ...] = ("network", "program")
    return Layer("seccomp", True, machine, covers)


def no_new_privileges() -> bool:
    """Programs started from here gain no rights; both kernel layers ask for it. False where there is no such thing."""
    if not sys.platform.startswith("linux"):
        return False
    on, unused = ctypes.c_ulong(1), ctypes.c_ulong(0)
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVILEGES, on, unused, unused, unused) == 0)


def instructions(machine: str) -> list[Instruction]:
    """The filter for `machine`, in the kernel's classic BPF."""
    mark, _, calls = _MACHINES[machine]
    program: list[Instruction] = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, mark), (_RETURN, 0, 0, _REFUSE)]
    program += [(_LOAD, 0, 0, _NUMBER)]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _REFUSE)]
    for name, number in {**calls, **_COMMON}.items():
        if name not in _LOOKED_INTO:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    for name in ("socket", "socketpair"):
        program += _only_if(calls[name], _local_stream())
    program += _only_if(calls["ioctl"], _no_typing())
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _only_if(number: int, decided: list[Instruction]) -> list[Instruction]:
    return [(_EQUAL, 0, len(decided), number), *decided]


def _local_stream() -> list[Instruction]:
    """AF_UNIX and a connected type: a datagram socket could send to any name without connecting."""
    return [
        (_LOAD, 0, 0, _ARGUMENTS),
        (_EQUAL, 0, 4, _AF_UNIX),
        (_LOAD, 0, 0, _ARGUMENTS + 8),
        (_AND, 0, 0, _TYPE_MASK),
        (_EQUAL, 2, 0, _STREAM),
        (_EQUAL, 1, 0, _SEQPACKET),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _no_typing() -> list[Instruction]:
    return [
        (_LOAD, 0, 0, _ARGUMENTS + 8),
        (_EQUAL, 1, 0, _TIOCSTI),
        (_EQUAL, 0, 1, _TIOCLINUX),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _bites(library: ctypes.CDLL) -> bool:
    """Ask for an internet socket below Python: the proof that the filter works."""
    handle = library.socket(2, 1, 0)
    if handle >= 0:
        os.close(handle)
        return False
    return ctypes.get_errno() == errno.EPERM
