"""The service: requests in, replies out, one after the other; the engine stays loaded between them.

No content leaves through errors: what is ours travels as its key, anything else as its type and place.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO, cast

from jiyao import cleaning, engines, pipeline, seal, weights
from jiyao.alignment import Alignment
from jiyao.audio import Note, Recording
from jiyao.errors import EngineError, JiyaoError, WeightsError
from jiyao.memory import SAMPLE_BYTES, Attached, Handle, ViewFile, pcm_in
from jiyao.pipeline import Progress, Sound
from jiyao.recognition import Aligner, Engine, Hints
from jiyao.settings import EngineChoice, Settings
from jiyao.timeline import SAMPLE_RATE, Pcm
from jiyao.worker.messages import (
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
    Recognize,
    Reply,
    Request,
    Room,
    Stop,
    failed,
    packed,
)

HEARTBEAT_S = 1.0

_VAD = "silero-vad-v6"
_REPORT_EVERY_S = 0.1
_FIRST_ROOM = 600 * SAMPLE_RATE  # samples, where the header does not say
_GROWTH = 1.5


class _Abandoned(Exception):
    """The parent wants no more of this request."""


class Service:
    """The child's side of one pipe."""

    def __init__(self, connection: Connection, enforcement: seal.Enforcement) -> None:
        self._connection = connection
        self._enforcement = enforcement
        self._sending = threading.Lock()
        self._busy = threading.Event()
        self._next: Request | None = None  # came where something else was expected
        self._engine: Engine | None = None
        self._aligner: Aligner | None = None
        self._vad_model = Path()
        self._settings = Settings()
        self._alignment = (0, Alignment(None))  # of which PCM
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def run(self) -> None:
        """Until Stop; ends the process when the parent is gone."""
        while True:
            request, self._next = self._next or self._receive(), None
            if isinstance(request, Stop):
                return
            if isinstance(request, (Room, NoRoom, GiveUp)):  # of a request that has ended
                continue
            self._busy.set()
            reply = self._answered(request)
            self._busy.clear()
            if reply is not None:
                self._send(Heartbeat(seal.attempts()))
                self._send(reply)

    def _answered(self, request: Load | Listen | Recognize) -> Reply | None:
        """The last reply to `request`, whatever happens in it; None: nobody waits for one."""
        try:
            if isinstance(request, Load):
                return self._load(request)
            if isinstance(request, Listen):
                return self._listen(request)
            return self._recognize(request)
        except _Abandoned:
            return None
        except JiyaoError as error:
            return failed(request.number, error, memory=error.key == "engine.out_of_memory")
        except Exception as fault:
            unexpected = EngineError("worker.fault", kind=type(fault).__name__, place=_place(fault))
            return failed(request.number, unexpected, memory=isinstance(fault, MemoryError))

    def _load(self, request: Load) -> Loaded:
        settings = request.settings
        self._vad_model = _file_of(_VAD, settings.home)
        self._settings = settings
        troubles: list[Failed] = []
        name, rejected, self._engine = _opened(settings, request.engine, request.number, troubles)
        try:
            self._aligner = engines.open_aligner(name, settings)
        except EngineError as error:  # times are worth less than the text
            troubles.append(failed(request.number, error))
        aligner = self._aligner.describe() if self._aligner is not None else None
        return Loaded(request.number, self._engine.describe(), aligner, rejected, tuple(troubles), self._enforcement)

    def _listen(self, request: Listen) -> Listened:
        reported = 0.0

        def report(progress: Progress) -> None:
            nonlocal reported
            self._check_wanted()
            if time.monotonic() - reported >= _REPORT_EVERY_S:
                reported = time.monotonic()
                cleans = progress.stage == "cleaning"
                self._send(ListenProgress(request.number, cleans, progress.done_ms, progress.total_ms))

        # attached first, whatever comes: the segment waits on the pipe
        with Attached(self._connection, request.recording) as compressed, contextlib.ExitStack() as rooms:

            def room(sound: Sound, n_samples: int) -> _SharedRoom:
                made = _SharedRoom(lambda n_samples: self._room(request.number, sound, n_samples))
                rooms.callback(made.close)
                return made.expecting(n_samples)

            assert self._engine is not None
            # no clips: only an unknown language is told, before hours of audio are read
            list(self._engine.recognize([], Hints(language=request.options.language)))
            file = cast(BinaryIO, ViewFile(compressed.view))
            denoiser = _denoiser(self._settings.home) if request.options.denoise else None
            found = pipeline.listen(
                file, self._vad_model, request.options, report, room, denoiser, self._settings.cores
            )
            n_samples, denoised = len(found.recording.pcm), found.denoised is not None
            answer = Listened(request.number, n_samples, denoised, found.recording.notes, tuple(found.parts))
            del found  # its views of the rooms
        return answer

    def _recognize(self, request: Recognize) -> Done:
        with Attached(self._connection, request.pcm) as segment:
            assert self._engine is not None
            recording = Recording(pcm_in(segment.view))
            alignment = self._alignment_of(request.pcm)
            before = _count(alignment.note)
            at_once = request.max_batch or max(1, len(request.clips))
            for start in range(0, len(request.clips), at_once):
                batch = request.clips[start : start + at_once]
                clips = [pipeline.cut_out(recording, span, speech) for span, speech in batch]
                for index, recognition in pipeline.hear(self._engine, alignment, clips, request.hints):
                    self._send(Heard(request.number, start + index, recognition))
                    self._check_wanted()
            del recording
        count = _count(alignment.note) - before
        if not count or alignment.note is None:
            return Done(request.number)
        note = replace(alignment.note, parameters={**alignment.note.parameters, "count": count})
        return Done(request.number, (note,))

    def _alignment_of(self, pcm: Handle) -> Alignment:
        """One for all requests about a recording: it stops asking an aligner that fails again and again."""
        if self._alignment[0] != pcm.serial:
            self._alignment = (pcm.serial, Alignment(self._aligner))
        return self._alignment[1]

    def _room(self, number: int, sound: Sound, n_samples: int) -> Attached:
        self._send(NeedRoom(number, sound, n_samples))
        answer = self._receive()
        if isinstance(answer, NoRoom):
            raise MemoryError
        if not isinstance(answer, Room):
            self._next = answer
            raise _Abandoned
        return Attached(self._connection, answer.pcm, writable=True)

    def _check_wanted(self) -> None:
        """Something new from the parent already? Then nobody waits for this."""
        if self._connection.poll(0):
            raise _Abandoned

    # the pipe; when it ends there is nobody to tell

    def _send(self, reply: Reply) -> None:
        data = packed(reply)
        try:
            with self._sending:
                self._connection.send_bytes(data)
        except OSError:
            os._exit(0)

    def _receive(self) -> Request:
        try:
            return cast(Request, self._connection.recv())
        except (EOFError, OSError):
            os._exit(0)

    def _beat(self) -> None:
        while self._busy.wait():
            self._send(Heartbeat(seal.attempts()))
            time.sleep(HEARTBEAT_S)


class _SharedRoom:
    """pipeline's Room in a segment, which the parent is asked to make larger when it is full."""

    def __init__(self, ask: Callable[[int], Attached]) -> None:
        self._ask = ask
        self._segment: Attached | None = None
        self._filled = 0  # samples
        self._size = 0

    def expecting(self, n_samples: int) -> _SharedRoom:
        self._grow(n_samples or _FIRST_ROOM)
        return self

    def append(self, block: Pcm) -> None:
        end = self._filled + len(block)
        if end > self._size:
            self._grow(max(end, int(self._size * _GROWTH)))
        assert self._segment is not None
        pcm_in(self._segment.view)[self._filled : end] = block
        self._filled = end

    def pcm(self) -> Pcm:
        assert self._segment is not None
        return pcm_in(self._segment.view)[: self._filled]

    def close(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _grow(self, n_samples: int) -> None:
        self.close()
        self._segment = self._ask(n_samples)
        self._size = len(self._segment.view) // SAMPLE_BYTES


def _file_of(model: str, home: Path) -> Path:
    """Of a model that is one file. Raises WeightsError."""
    return weights.locate(model, home) / weights.find_model(model).files[0].path


def _denoiser(home: Path) -> Path | None:
    try:
        return _file_of(cleaning.DENOISER, home)
    except WeightsError:  # it is said, and done without
        return None


def _opened(
    settings: Settings, wanted: str | None, number: int, troubles: list[Failed]
) -> tuple[str, tuple[tuple[str, str], ...], Engine]:
    """(name, those passed over, the engine). In `auto`, where one does not load: the next."""
    name = wanted or settings.engine
    if name != "auto" and not engines.ENGINES[name].models:
        return name, (), engines.open_engine(name, settings)
    settings = replace(settings, engine=cast(EngineChoice, name))
    broken: dict[str, str] = {}
    while True:
        choice = engines.choose(settings, broken, only_ready=True)
        if choice.missing_model:  # to be got by a process that may use the network
            raise WeightsError("weights.missing", name=choice.missing_model, folder=settings.home)
        try:
            engine = engines.open_engine(choice.name, settings)
        except EngineError as error:
            if name != "auto":
                raise
            troubles.append(failed(number, error))
            broken[choice.name] = "engine.reason_did_not_load"
        else:
            return choice.name, choice.rejected, engine


def _count(note: Note | None) -> int:
    return int(str(note.parameters["count"])) if note is not None else 0


def _place(fault: Exception) -> str:
    """Where it arose: the last line of ours. Never what was worked on there."""
    root = str(Path(__file__).parents[1])
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(fault.__traceback__)]
    ours = [(code, line) for code, line in frames if code.co_filename.startswith(root)] or frames
    code, line = ours[-1]
    return f"{Path(code.co_filename).name}:{line} {code.co_name}"
