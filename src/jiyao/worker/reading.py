"""A document's text, read by a child that is sealed like the worker and lives for this document alone.

In:  bytes. Out: a Document, or one error, whatever the child does: it may fail, crash, hang, or take all the memory.
What comes back is JSON with texts and numbers in it, and nothing that could run here.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, cast, get_args

from jiyao import seal
from jiyao.documents import MAX_BYTES, MAX_CHARACTERS, Document, Gap
from jiyao.errors import DocumentError
from jiyao.worker import entry
from jiyao.worker.spawning import started

MAX_RESIDENT_BYTES = 1 << 30

_TIMEOUT_S = 30.0  # the child itself stops reading earlier, and hands over what it has
_LONGEST_REPLY = 12 * MAX_CHARACTERS + (1 << 16)  # bytes: JSON writes a rare character as two escapes of six
_LOOK_EVERY_S = 0.05
_one_at_a_time = threading.Lock()


def read_document(
    data: bytes | bytearray, timeout_s: float = _TIMEOUT_S, most_bytes: int = MAX_RESIDENT_BYTES
) -> Document:
    """The text of a PPTX, DOCX, XLSX, PDF or text file. From any thread; one document at a time.

    `most_bytes`: RAM that the child may hold. Raises DocumentError.
    """
    if len(data) > MAX_BYTES:
        raise DocumentError("documents.too_large", megabytes=MAX_BYTES >> 20)
    with _one_at_a_time:
        process, connection = started(entry.read, "jiyao reader")
        watch = _Watch(process, timeout_s, most_bytes)
        try:
            answer = _asked(connection, data)
        finally:
            watch.end()
            connection.close()
    if watch.verdict is not None:
        raise watch.verdict
    return _understood(answer)


def _asked(connection: Connection, data: bytes | bytearray) -> Any:
    """What the child answers; None where it ends without, or answers nonsense."""
    with contextlib.suppress(EOFError, OSError, ValueError, RecursionError):
        connection.send_bytes(data)
        return json.loads(connection.recv_bytes(_LONGEST_REPLY))
    return None


def _understood(answer: Any) -> Document:
    """Raises DocumentError: the one that the child reports, or that it reports nothing that makes sense."""
    match answer:
        case {"text": str(text), "gaps": list(gaps)} if all(gap in get_args(Gap) for gap in gaps):
            return Document(text[:MAX_CHARACTERS], tuple(cast(list[Gap], gaps)))
        case {"key": str(key), "parameters": dict(parameters)} if key.startswith("documents."):
            raise DocumentError(key, **parameters)
    raise DocumentError("documents.crashed")


class _Watch:
    """Ends a child that takes too long or too much: then its pipe ends, and whoever waits there goes on."""

    def __init__(self, process: SpawnProcess, timeout_s: float, most_bytes: int) -> None:
        self.verdict: DocumentError | None = None  # why it was ended
        self._process = process
        self._deadline = time.monotonic() + timeout_s
        self._most_bytes = most_bytes
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="reading", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._process.kill()
        self._process.join()

    def _look(self) -> None:
        pid = self._process.pid
        while not self._over.wait(_LOOK_EVERY_S):
            if time.monotonic() > self._deadline:
                self.verdict = DocumentError("documents.too_slow")
            elif seal.resident_bytes(pid) > self._most_bytes:
                self.verdict = DocumentError("documents.too_hungry")
            if self.verdict is not None:
                self._process.kill()
                return
