"""What the seal is told, and what it answers: Policy in; Refused, Attempts, Layer and Enforcement out.

From: design of Landlock (docs.kernel.org/userspace-api/landlock.html) and Python's audit events (PEP 578).
Sentences in exceptions are short English fragments for programmers; people read `proof`.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Role = Literal["parent", "worker"]
Kind = Literal["network", "write", "program"]
KINDS: tuple[Kind, ...] = ("network", "write", "program")
LayerName = Literal["audit_hook", "landlock", "seccomp", "no_core_dumps"]
Reason = Literal["absent", "system", "processor", "refused"]
Strength = Literal["kernel", "python", "none"]

_LONGEST_WHERE = 160  # characters; a name is enough to find who tried, a longer one could carry text


@dataclass(frozen=True)
class Policy:
    """What one process may still do after the seal is on. Frozen; the parent may add folders later (`seal.allow`).

    `writable`: folders below which files may be written (weights, vault, results that the user asked for). The kernel
    knows only those that exist when the worker closes.
    `loopback`: may talk to 127.0.0.0/8 and ::1, and listen there. For the parent only: a kernel filter cannot see
    addresses, so a worker has no network at all.
    `programs`: what the parent may start besides this Python itself (full paths, or names as on PATH); a worker starts
    nothing.
    `shared_memory`: may use /dev/shm, which is memory, not disk.
    """

    role: Role
    writable: tuple[Path, ...] = ()
    loopback: bool = False
    programs: tuple[str, ...] = ()
    shared_memory: bool = True

    def __post_init__(self) -> None:
        if self.role == "worker" and (self.loopback or self.programs):
            raise ValueError("a worker has neither network nor programs: no kernel could enforce less than all of it")


class Refused(PermissionError):
    """The seal refused: `kind` says what, `where` host:port, path or program; never any content."""

    def __init__(self, kind: Kind, where: str) -> None:
        super().__init__(errno.EPERM, f"refused by the seal: {kind}: {where}")
        self.kind = kind
        self.where = where

    def __reduce__(self) -> tuple[type[Refused], tuple[Kind, str]]:
        # OSError would rebuild itself from (errno, text)
        return Refused, (self.kind, self.where)


@dataclass(frozen=True)
class Attempt:
    """One refusal. `at`: seconds since 1970."""

    kind: Kind
    where: str
    at: float


@dataclass(frozen=True)
class Attempts:
    """How often the Python layer refused, by kind, and the latest ones, oldest first; small enough for a pipe."""

    network: int = 0
    write: int = 0
    program: int = 0
    latest: tuple[Attempt, ...] = ()

    @property
    def total(self) -> int:
        return self.network + self.write + self.program

    def __add__(self, other: Attempts) -> Attempts:
        """Of two processes together; the later half of both lists when they are long."""
        both = sorted((*self.latest, *other.latest), key=lambda attempt: attempt.at)
        keep = max(len(self.latest), len(other.latest))
        return Attempts(
            self.network + other.network,
            self.write + other.write,
            self.program + other.program,
            tuple(both[-keep:]) if keep else (),
        )


@dataclass(frozen=True)
class Layer:
    """One thing that enforces. `on`: the system itself confirmed it. `detail`: which version or means, where off an
    errno or the like; `reason`: why it is off, "" where it is on.
    """

    name: LayerName
    on: bool
    detail: str = ""
    covers: tuple[Kind, ...] = ()
    reason: Reason | Literal[""] = ""


@dataclass(frozen=True)
class Enforcement:
    """What really took in this process. `loose_threads`: threads that Landlock does not bind, as they ran before it."""

    role: Role
    layers: tuple[Layer, ...]
    loose_threads: int = 0

    def by(self, kind: Kind) -> tuple[LayerName, ...]:
        """The layers that refuse `kind`, in the order in which they are asked."""
        return tuple(layer.name for layer in self.layers if layer.on and kind in layer.covers)

    def strength(self, kind: Kind) -> Strength:
        """`kernel`: native code and its threads are bound too · `python`: Python code only · `none`."""
        names = self.by(kind)
        if kind == "write" and self.loose_threads:
            names = tuple(name for name in names if name != "landlock")
        return "kernel" if {"landlock", "seccomp"} & set(names) else "python" if names else "none"


def shortened(text: str) -> str:
    """`text` on one line and not too long, for `Attempt.where`."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text)
    return line if len(line) <= _LONGEST_WHERE else line[:_LONGEST_WHERE] + "…"
