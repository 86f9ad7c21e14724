"""Put the seal on: Policy → Enforcement. Once for a process; nothing here can be taken back.

The worker calls `close` as its first act, before it loads an engine: reading is never refused, so libraries and weights
load as always, and every thread they start is born sealed. Called later it still binds everything but the writes
of threads that run already (`Enforcement.loose_threads`; Linux 7.0 binds those too).
The parent calls `guard`: it serves a page and writes results, so it has the Python layer only, and parses no media.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Literal

from jiyao.seal import landlock, memory, seccomp
from jiyao.seal.audit import Guard
from jiyao.seal.environment import forget_threads, pin
from jiyao.seal.policy import KINDS, Attempts, Enforcement, Layer, Policy, Reason

_guard: Guard | None = None


def guard(policy: Policy) -> Enforcement:
    """Seal the parent: audit hook and no dumps. Raises RuntimeError when this process is sealed already."""
    if policy.role != "parent":
        raise ValueError("a worker is sealed by close()")
    return Enforcement("parent", _python_layers(policy))


def close(policy: Policy) -> Enforcement:
    """Seal the worker: audit hook, no dumps, and on Linux the kernel's two layers. From the main thread, first of all.

    Raises RuntimeError when this process is sealed already. A layer that the system lacks is no error: the answer
    says what took.
    """
    if policy.role != "worker":
        raise ValueError("the parent is sealed by guard()")
    layers = _python_layers(policy)
    loose = _threads() - 1
    seccomp.no_new_privileges()
    files = landlock.close(policy.writable, policy.shared_memory)
    calls = seccomp.close()
    forget_threads()
    if not files.on or landlock.binds_running_threads(files):
        loose = 0
    return Enforcement("worker", (*layers, files, calls), loose)


def allow(*folders: Path) -> None:
    """Let the guarded parent write below `folders` too: results that the user asked for. RuntimeError elsewhere."""
    if _guard is None or _guard.policy.role != "parent":
        raise RuntimeError("only a guarded parent can be allowed more")
    _guard.allow(folders)


def attempts() -> Attempts:
    """What the Python layer refused in this process so far; none before the seal is on.

    The worker sends this with its heartbeat. What the kernel refuses to native code is refused, but not counted.
    """
    return _guard.tally.snapshot() if _guard else Attempts()


def _python_layers(policy: Policy) -> tuple[Layer, ...]:
    global _guard
    if _guard is not None:
        raise RuntimeError("this process is sealed already")
    pin()
    sys.dont_write_bytecode = True
    tempfile.gettempdir()  # finds its folder by writing there, once; torch asks for the name when it is imported
    dumps = memory.no_core_dumps()
    hook = Guard(policy)
    answered = hook.install()
    if answered:
        _guard = hook
    reason: Reason | Literal[""] = "" if answered else "refused"  # another hook may forbid it, and Python says nothing
    return Layer("audit_hook", answered, "PEP 578", KINDS, reason), dumps


def _threads() -> int:
    """Threads of this process, native ones included; 1 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1
