"""How a child is started, from any thread: a fresh process that knows nothing of this one but one end of a pipe."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

_starting = threading.Lock()


def started(serve: Callable[[Connection], None], name: str) -> tuple[SpawnProcess, Connection]:
    """A process that runs `serve` (of `worker.entry`) with its end of a pipe, and our end. Raises OSError."""
    if sys.platform != "win32":
        resource_tracker.ensure_running()  # takes a while, and unblocks interrupts
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), name=name, daemon=True)
    with _starting, _no_main_module(), _no_interrupts():
        process.start()
    theirs.close()  # or its end would not be noticed
    return process, ours


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Spawn imports the parent's main module in the child, whatever it is: a command line, a page of Streamlit's."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ctrl+C reaches children too, and would end one that does not ignore it yet: they inherit that it is blocked."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
