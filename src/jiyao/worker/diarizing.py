"""Who speaks when, found by a child that is sealed like the worker, beside it, and lives for this recording alone.

In:  PCM in shared memory. Out: Turns, or one error, whatever the child does. What comes back is JSON with numbers.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from jiyao.errors import EngineError, JiyaoError, WeightsError
from jiyao.memory import SharedPcm
from jiyao.speakers import MOST_VOICES, Turn, Turns
from jiyao.timeline import Span
from jiyao.worker import entry
from jiyao.worker.spawning import started

_SLICE_S = 0.25  # how long to wait before looking round
_PATIENCE_S = 120.0  # without a word: it reports several times a second
_ASLEEP_S = 2.0  # a wait that took longer: the computer slept
_LONGEST_REPLY = 64 << 20  # bytes; a turn takes 30
_KINDS = {"speakers": EngineError, "weights": WeightsError}


class Diarizing:
    """One recording's. `kill` may be called from any thread, at any time; `run` then raises the error for that."""

    def __init__(self, home: Path, patience_s: float = _PATIENCE_S) -> None:
        self._home = home
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._killed = False
        self._process: SpawnProcess | None = None

    @property
    def killed(self) -> bool:
        return self._killed

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def run(self, pcm: SharedPcm, count: int | None = None, report: Callable[[float], None] = lambda _: None) -> Turns:
        """`count`: of speakers, None: as many as there are; `report`: the share done, 0…1. The child is gone
        afterwards. Raises WeightsError where the networks are not here, else EngineError."""
        with self._lock:
            if self._killed:
                raise EngineError("speakers.lost")
            self._process, connection = started(entry.diarize, "jiyao speakers")
        try:
            with contextlib.suppress(OSError):  # it is gone: no answer will come
                connection.send((str(self._home), pcm.handle(), pcm.n_samples, count))
                pcm.send(connection)
            answer = self._answer(connection, report)
        finally:
            with self._lock:  # until it is waited for, its number is its own
                self._process.kill()
                self._process.join()
            connection.close()
        return _understood(answer, pcm.n_samples)

    def kill(self) -> None:
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def _answer(self, connection: Connection, report: Callable[[float], None]) -> Any:
        """What the child says last; None where it says nothing (any more), or nonsense."""
        still_s = 0.0
        while still_s < self._patience_s and not self._killed:
            began = time.monotonic()
            try:
                reply = json.loads(connection.recv_bytes(_LONGEST_REPLY)) if connection.poll(_SLICE_S) else None
            except (EOFError, OSError, ValueError, RecursionError):
                return None
            still_s += min(time.monotonic() - began, _ASLEEP_S)
            match reply:
                case {"share": float(share)} if 0 <= share <= 1:
                    still_s = 0.0
                    report(share)
                case None:
                    continue
                case _:
                    return reply
        return None


def _understood(answer: Any, n_samples: int) -> Turns:
    """Raises the error that the child reports, or that it reports nothing that makes sense."""
    match answer:
        case {"turns": list(rows), "likenesses": list(voices)} if (
            all(_is_turn(row, n_samples) for row in rows)
            and len(voices) <= MOST_VOICES
            and all(map(_is_likeness, voices))
        ):
            turns = [Turn(Span(start, end), voice) for start, end, voice in rows]
            return Turns(turns, {voice: tuple(values) for voice, values in voices})
        case {"key": str(key), "parameters": dict(parameters)} if key.partition(".")[0] in _KINDS:
            error: type[JiyaoError] = _KINDS[key.partition(".")[0]]
            raise error(key, **parameters)
    raise EngineError("speakers.lost")


def _is_turn(row: Any, n_samples: int) -> bool:
    match row:
        case [int(start), int(end), int(voice)]:
            return 0 <= start <= end <= n_samples and 0 <= voice < MOST_VOICES
    return False


def _is_likeness(row: Any) -> bool:
    match row:
        case [int(voice), list(values)]:
            return 0 <= voice < MOST_VOICES and len(values) <= 1024 and all(type(one) is float for one in values)
    return False
