"""Worker: one child process and what may happen to it.

In:  settings; recordings in shared memory. Out: its parts, what is said in them; typed errors; WorkerLost.
A Worker is for one thread. `kill` alone may be called from any other, at any moment: whoever waits gets WorkerLost.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from jiyao import seal
from jiyao.audio import Note
from jiyao.errors import JiyaoError, MemoryLimitError
from jiyao.memory import SAMPLE_BYTES, Segment, SharedBytes, SharedPcm
from jiyao.pipeline import Options, Progress, Sound
from jiyao.recognition import EngineInfo, Hints, Recognition
from jiyao.settings import Settings
from jiyao.timeline import SAMPLE_RATE, Span
from jiyao.worker import entry
from jiyao.worker.messages import (
    LONGEST_REPLY,
    Clips,
    Done,
    Failed,
    GiveUp,
    Heard,
    Heartbeat,
    Listen,
    Listened,
    ListenProgress,
    Load,
    Loaded,
    NeedRoom,
    NoRoom,
    Reason,
    Recognize,
    Reply,
    Request,
    Room,
    Stop,
    WorkerLost,
    unpacked,
)
from jiyao.worker.spawning import started

_SLICE_S = 0.25  # how long to wait before looking round: at the clock, for a kill
_FAREWELL_S = 2.0  # to end by itself after Stop
_FIRST_SPEED = 1.0  # seconds of computing for a second of speech, until the first is measured
_ASLEEP_S = 2.0  # a wait that took longer: the computer slept, and its time does not count
_SPARE_S = 900.0  # beyond the longest duration: room is asked for in advance
_NO_MEMORY_CODES = (0xC0000017, 0xC000012D)  # Windows: STATUS_NO_MEMORY, STATUS_COMMITMENT_LIMIT


@dataclass(frozen=True)
class Limits:
    """Patience in seconds before a child counts as hung.

    `silent_s`: without any sign of life · `still_s`: alive, but nothing comes; while recognising, at least this and
    `factor` times what the clips asked for should take at the speed measured so far · `load_s`: loading an engine.
    """

    silent_s: float = 30.0
    still_s: float = 30.0
    factor: float = 5.0
    load_s: float = 900.0


class Worker:
    """A child process with one engine. `engine` None: what settings say. Used up after WorkerLost or `stop`."""

    def __init__(self, settings: Settings, engine: str | None = None, *, limits: Limits = Limits()) -> None:
        self.info: EngineInfo | None = None
        self.aligner: EngineInfo | None = None
        self.rejected: tuple[tuple[str, str], ...] = ()  # engines passed over, with the key of the reason
        self.troubles: tuple[JiyaoError, ...] = ()  # what did not load and is done without
        self.enforcement: seal.Enforcement | None = None
        self.attempts = seal.Attempts()
        self.notes: tuple[Note, ...] = ()  # of the last `recognize`, once its iterator is used up
        self._settings = settings
        self._wanted = engine
        self._limits = limits
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()  # over the process: a number may be another process's once ours was waited for
        self._killed = False
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._oom_kills: int | None = None
        self._heard_s = self._took_s = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def alive(self) -> bool:
        with self._lock:
            return self._process is not None and self._process.is_alive()

    def start(self) -> EngineInfo:
        """Start the child, seal it, load engine and aligner. May take minutes.

        Raises EngineError and WeightsError (then the child has ended), WorkerLost.
        """
        if self._process is not None:
            raise RuntimeError("a worker starts once")
        self._spawn()
        try:
            number = self._ask(lambda number: Load(number, self._settings, self._wanted))
            reply = self._next(number, self._limits.load_s, self._limits.load_s)
        except JiyaoError:
            self.stop()
            raise
        if not isinstance(reply, Loaded):
            raise self._lost("died")
        self.info, self.aligner, self.rejected = reply.info, reply.aligner, reply.rejected
        self.enforcement = reply.enforcement
        self.troubles = tuple(trouble.error() for trouble in reply.troubles)
        return reply.info

    def listen(
        self,
        recording: SharedBytes,
        options: Options,
        report: Callable[[Progress], None] = lambda _: None,
        admit: Callable[[int], None] = lambda _: None,
    ) -> tuple[SharedPcm, SharedPcm | None, Listened]:
        """Decode a recording, clean it as `options` want, and find its clips: its PCM, the same without noise where
        that was wanted and worked, and the rest. The caller owns the PCM.

        `admit` is asked before memory is taken for PCM, and told how many bytes more that is; it may raise
        MemoryLimitError: the denoised sound is done without then. Raises AudioError, UsageError for a language that
        the engine does not know (before anything is decoded), EngineError, WorkerLost; with any error the PCM is gone.
        """
        number = self._ask(lambda number: Listen(number, recording.handle(), options), recording)
        most = round(options.max_duration_s + _SPARE_S) * SAMPLE_RATE * 2
        rooms: dict[Sound, SharedPcm] = {"pcm": SharedPcm(0)}
        if options.denoise:
            rooms["denoised"] = SharedPcm(0)
        try:
            while not isinstance(reply := self._next(number, self._limits.still_s), Listened):
                if isinstance(reply, ListenProgress):
                    report(Progress("cleaning" if reply.cleaning else "loading", reply.done_ms, reply.total_ms))
                elif isinstance(reply, NeedRoom) and reply.n_samples <= most and reply.sound in rooms:
                    self._give_room(number, reply, rooms[reply.sound], admit)
                else:
                    raise self._lost("died")
            if "denoised" in rooms and not reply.denoised:
                rooms.pop("denoised").wipe()
            if any(reply.n_samples > room.n_samples for room in rooms.values()):
                raise self._lost("died")
            for room in rooms.values():
                room.resize(reply.n_samples * SAMPLE_BYTES)
                room.freeze()
        except BaseException:
            self._give_up(number)
            for room in rooms.values():
                room.wipe()
            raise
        return rooms["pcm"], rooms.get("denoised"), reply

    def recognize(
        self,
        pcm: SharedPcm,
        clips: Sequence[tuple[Span, tuple[Span, ...]]],
        hints: Hints,
        *,
        max_batch: int | None = None,
    ) -> Iterator[tuple[int, Recognition]]:
        """(index into `clips`, what is said there), each clip once, in any order, as soon as it is there.

        `clips`: spans of the recording and the speech in them; `max_batch`: so many at once, for a child that ran out
        of memory before. Closing the iterator gives the rest up. Raises EngineError, UsageError, WorkerLost; what was
        yielded before stays valid.
        """
        self.notes = ()
        asked: Clips = tuple((span, tuple(speech)) for span, speech in clips)
        waiting = {index: span.duration_s for index, (span, _) in enumerate(asked)}
        number = self._ask(lambda number: Recognize(number, pcm.handle(), asked, hints, max_batch), pcm)
        try:
            while True:
                began = time.monotonic()
                reply = self._next(number, self._patience_s(sum(waiting.values())))
                if isinstance(reply, Done) and not waiting:
                    self.notes = reply.notes
                    return
                if not isinstance(reply, Heard) or reply.index not in waiting:
                    raise self._lost("died")
                self._heard_s += waiting.pop(reply.index)
                self._took_s += time.monotonic() - began
                yield reply.index, reply.recognition
        except GeneratorExit:
            self._give_up(number)
            raise

    def stop(self) -> None:
        """Let the child end; after two seconds, make it. Any number of times."""
        if self._connection is not None and not self._connection.closed:
            with contextlib.suppress(OSError):
                self._connection.send(Stop())
            patience = time.monotonic() + _FAREWELL_S
            while self.alive and not self._killed and time.monotonic() < patience:
                time.sleep(0.02)
        self.kill()
        if self._process is not None:
            self._ended()

    def kill(self) -> None:
        """End the child at once. From any thread, at any time, also before `start`: then that raises WorkerLost."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    # the conversation

    def _spawn(self) -> None:
        self._oom_kills = _oom_kills()
        with self._lock:
            if self._killed:
                raise WorkerLost("killed")
            self._process, self._connection = started(entry.main, "jiyao worker")

    def _ask(self, request: Callable[[int], Request], segment: Segment | None = None) -> int:
        """Send a request, and the segment that belongs to it; its number."""
        number = next(self._numbers)
        self._send(request(number), segment)
        return number

    def _send(self, request: Request, segment: Segment | None = None) -> None:
        if self._connection is None or self._connection.closed:
            raise RuntimeError("this worker is not running")
        try:
            self._connection.send(request)
            if segment is not None:
                segment.send(self._connection)
        except OSError:
            raise self._ended() from None

    def _give_room(self, number: int, asked: NeedRoom, pcm: SharedPcm, admit: Callable[[int], None]) -> None:
        size = asked.n_samples * SAMPLE_BYTES
        try:
            if size > pcm.size:
                admit(size - pcm.size)
                pcm.resize(size)
        except (MemoryLimitError, MemoryError):
            if asked.sound == "pcm":
                raise
            self._send(NoRoom(number))
        else:
            self._send(Room(number, pcm.handle()), pcm)

    def _give_up(self, number: int) -> None:
        if self._connection is not None and not self._connection.closed:
            with contextlib.suppress(WorkerLost):
                self._send(GiveUp(number))

    def _next(self, number: int, still_s: float, silent_s: float | None = None) -> Reply:
        """The next reply to this request, heartbeats aside. Raises what it reports, or WorkerLost."""
        assert self._connection is not None
        most_silent_s = self._limits.silent_s if silent_s is None else silent_s
        still = silent = 0.0
        while True:
            began = time.monotonic()
            if self._killed:
                raise self._ended()
            try:
                reply = (
                    unpacked(self._connection.recv_bytes(LONGEST_REPLY)) if self._connection.poll(_SLICE_S) else None
                )
            except (EOFError, OSError):
                raise self._ended() from None
            except Exception:  # no reply of ours
                raise self._lost("died") from None
            passed = min(time.monotonic() - began, _ASLEEP_S)
            silent = silent + passed if reply is None else 0.0
            still += passed
            if isinstance(reply, Heartbeat):
                self.attempts = reply.attempts
            elif reply is not None:
                still = 0.0  # even for what was given up: it gets somewhere
                if reply.number == number:
                    return self._checked(reply)
            if still > still_s or silent > most_silent_s:
                raise self._lost("hung", frozen=silent > still / 2)

    def _checked(self, reply: Reply) -> Reply:
        if not isinstance(reply, Failed):
            return reply
        if reply.memory:
            raise self._lost("memory", reply.error())
        raise reply.error()

    def _patience_s(self, speech_s: float) -> float:
        speed = self._took_s / self._heard_s if self._heard_s else _FIRST_SPEED
        return max(self._limits.still_s, self._limits.factor * speed * speech_s)

    # the end

    def _lost(self, reason: Reason, error: JiyaoError | None = None, frozen: bool = False) -> WorkerLost:
        """End a child that cannot be trusted any more."""
        killed = self._killed
        self.kill()
        ended = self._ended()
        return ended if killed else WorkerLost(reason, ended.exit_code, error, frozen)

    def _ended(self) -> WorkerLost:
        """Of a child that has ended, or was just killed: how."""
        patience = time.monotonic() + _FAREWELL_S
        while self.alive and time.monotonic() < patience:  # not one long wait: that would hold the lock
            time.sleep(0.005)
        with self._lock:
            assert self._process is not None and self._connection is not None
            code = self._process.exitcode
            self._process.kill()  # its pipe is closed: whatever it still does is of no use
            self._connection.close()
        if self._killed:
            return WorkerLost("killed", code)
        out_of_memory = code is not None and (code in _NO_MEMORY_CODES or (code == -9 and self._system_killed()))
        return WorkerLost("memory" if out_of_memory else "died", code)

    def _system_killed(self) -> bool:
        """Did the kernel kill for memory since the child was started? Where nobody counts, that is not known."""
        now = _oom_kills()
        return now is not None and self._oom_kills is not None and now > self._oom_kills


def _oom_kills() -> int | None:
    """How often Linux ended a process for lack of memory since it was started, control groups included."""
    try:
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None
