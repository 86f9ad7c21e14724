"""An engine that says what it is told, and fails where it is told: for tests and the demo. Needs no weights.

Deterministic. Its script is `scripted.json` in the home folder, where there is one; else a few lines, and no faults.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from jiyao.errors import EngineError
from jiyao.recognition import Clip, EngineInfo, Hints, Recognition, Word
from jiyao.settings import Settings
from jiyao.text import is_han
from jiyao.timeline import SAMPLES_PER_MS

_LINES = ("好，我们开始吧。", "今天主要过一下 Q3 的 OKR。", "我哋香港嗰边都准备好喇。", "Sounds good, let's go.")


_FILE = "scripted.json"


@dataclass(frozen=True)
class Fault:
    """One thing to go wrong before a clip is answered, or while `load`ing. All conditions given must hold.

    exit, kill: the process ends, by itself or as if the system had killed it · hang: it waits for ever · freeze: it is
    stopped, heartbeats too · memory, fail, raise: MemoryError, EngineError, an unexpected error whose text holds what
    was said · slow: only so many seconds later · connect, write: tries what a sealed process may not, and goes on.
    `at_ms`: the clip that holds this time · `nth`: so many clips of this process, from 1 · `batch_over`: more clips
    than this were asked for at once.
    """

    do: Literal["exit", "kill", "hang", "freeze", "memory", "fail", "raise", "slow", "connect", "write"]
    when: Literal["load", "clip"] = "clip"
    at_ms: int | None = None
    nth: int | None = None
    batch_over: int | None = None
    seconds: float = 0.1

    def applies(self, clip: Clip, nth: int, batch: int) -> bool:
        return (
            self.when == "clip"
            and (self.at_ms is None or clip.span.start_ms <= self.at_ms < clip.span.end_ms)
            and (self.nth is None or self.nth == nth)
            and (self.batch_over is None or batch > self.batch_over)
        )


@dataclass(frozen=True)
class Script:
    lines: tuple[str, ...] = _LINES
    faults: tuple[Fault, ...] = ()

    def write(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / _FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, home: Path) -> Script:
        try:
            given = json.loads((home / _FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        return cls(tuple(given["lines"]), tuple(Fault(**fault) for fault in given["faults"]))


class Scripted:
    """Says `lines` in turn, one for each clip by its place in the recording; words share the clip's time evenly."""

    def __init__(self, lines: Sequence[str] = _LINES, faults: Sequence[Fault] = ()) -> None:
        self._lines = tuple(lines)
        self._faults = tuple(faults)
        self._clips = 0

    def describe(self) -> EngineInfo:
        return EngineInfo("scripted", "scripted", "1", "cpu", "none")

    def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        for index, clip in enumerate(clips):
            self._clips += 1
            for fault in self._faults:
                if fault.applies(clip, self._clips, len(clips)):
                    _happen(fault, self._lines[0])
            line = self._lines[clip.span.start % len(self._lines)]
            yield index, Recognition(line, hints.language or "zh", _shared(line, len(clip.samples)), 0.99)


def open_engine(settings: Settings) -> Scripted:
    script = Script.read(settings.home)
    for fault in script.faults:
        if fault.when == "load":
            _happen(fault, script.lines[0])
    return Scripted(script.lines, script.faults)


def _happen(fault: Fault, said: str) -> None:
    if fault.do == "exit":
        os._exit(3)
    elif fault.do == "kill":
        os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    elif fault.do == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif fault.do in ("hang", "slow"):
        time.sleep(fault.seconds if fault.do == "slow" else 1e6)
    elif fault.do == "memory":
        raise MemoryError
    elif fault.do == "fail":
        raise EngineError("engine.failed", name="scripted", reason="as it was told")
    elif fault.do == "raise":
        raise ValueError(said)
    else:
        _try(fault)


def _try(fault: Fault) -> None:
    """What the seal is there for; whether it was refused, only the seal's counters know."""
    try:
        if fault.do == "connect":
            socket.create_connection(("127.0.0.1", 9), timeout=1).close()
        else:
            Path(tempfile.gettempdir(), "jiyao-scripted").write_bytes(b"")
    except OSError:
        pass


def _shared(line: str, n_samples: int) -> tuple[Word, ...]:
    pieces: list[str] = []
    for token in line.split():
        for place, character in enumerate(token):
            if not pieces or (character.isalnum() and (place == 0 or is_han(character) or is_han(token[place - 1]))):
                pieces.append(character)
            else:
                pieces[-1] += character
    step = n_samples / SAMPLES_PER_MS / max(1, len(pieces))
    return tuple(Word(p, round(i * step), round((i + 1) * step), 0.99) for i, p in enumerate(pieces))
