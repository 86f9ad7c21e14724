"""The child's first steps: tied to its parent's life, sealed, and only then anything heavy is imported.

This module and what it imports start no thread: Landlock would not bind one that runs already.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

from jiyao import seal

if sys.platform == "linux":
    import fcntl


def main(connection: Connection) -> None:
    """Hear what `connection` asks for, until it ends. Does not return."""

    def serve(enforcement: seal.Enforcement) -> None:
        from jiyao.worker.child import Service

        Service(connection, enforcement).run()

    _sealed(serve)


def read(connection: Connection) -> None:
    """Read one document. Does not return."""

    def serve(_: seal.Enforcement) -> None:
        from jiyao.worker.reader import serve

        serve(connection)

    _sealed(serve)


def diarize(connection: Connection) -> None:
    """Tell the voices of one recording apart. Does not return."""

    def serve(_: seal.Enforcement) -> None:
        from jiyao.worker.diarizer import serve

        serve(connection)

    _sealed(serve)


def _sealed(serve: Callable[[seal.Enforcement], None]) -> None:
    """Close this process for good, serve, and end it."""
    try:
        # Ctrl+C reaches the whole group: the parent decides what it means. Blocked since before the child was born
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.dup2(2, 1)  # libraries that print must not print into a transcript on standard output
        ended_by_kernel = _end_with_parent()
        enforcement = seal.close(seal.Policy("worker"))
        if not ended_by_kernel:
            threading.Thread(target=_watch_parent, name="parent", daemon=True).start()
        serve(enforcement)
    except BaseException:
        os._exit(70)  # a fault of ours; a traceback could show what it worked on
    # no farewell of libraries: some hang in it
    os._exit(0)


def _end_with_parent() -> bool:
    """Let the kernel kill this process when its parent ends, however. False where it cannot (a thread must do).

    The parent holds the other end of a pipe; when it ends, the kernel sends the owner of this end the signal that it
    was told. PR_SET_PDEATHSIG would send it as soon as the one thread ends that started us; a thread of ours would
    wait for Python's lock, which a library may hold.
    """
    parent = parent_process()
    if sys.platform != "linux" or parent is None:
        return False
    end = int(parent.sentinel)
    fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(end, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)
    if wait([end], timeout=0):  # it ended before we were ready
        os._exit(0)
    return True


def _watch_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(0)
