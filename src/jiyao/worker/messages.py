"""What travels over the pipe: frozen dataclasses, pickled. Requests go to the child, replies come back.

A reply carries the number of its request, so that what still comes for an abandoned one is told apart. The child
parses foreign media: should it fall to an attacker, its replies must not run code in the parent, so they are unpickled
with the types below and no others. Audio is in shared memory (`memory`), never here.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jiyao import errors, seal
from jiyao.audio import Note
from jiyao.errors import JiyaoError
from jiyao.memory import Handle
from jiyao.pipeline import Options, Sound
from jiyao.recognition import EngineInfo, Hints, Recognition, Word
from jiyao.segmentation import Part
from jiyao.settings import Settings
from jiyao.timeline import Span

LONGEST_REPLY = 64 << 20  # bytes; the parts of the longest recording are far below

Reason = Literal["killed", "died", "hung", "memory"]
Clips = tuple[tuple[Span, tuple[Span, ...]], ...]  # each clip's span and the speech in it


# requests


@dataclass(frozen=True)
class Load:
    """Open the engine `engine`, or None: the one that settings say."""

    number: int
    settings: Settings
    engine: str | None


@dataclass(frozen=True)
class Listen:
    """Decode and cut the recording in the segment that follows. Asks for room (`NeedRoom`) on the way."""

    number: int
    recording: Handle
    options: Options


@dataclass(frozen=True)
class Room:
    """The answer to NeedRoom: the segment that follows, with what is in it already."""

    number: int
    pcm: Handle


@dataclass(frozen=True)
class NoRoom:
    """The other answer, for a sound that may be done without."""

    number: int


@dataclass(frozen=True)
class GiveUp:
    """Nobody waits for this request any more, or there is no room for it."""

    number: int


@dataclass(frozen=True)
class Recognize:
    """Recognise these clips of the PCM in the segment that follows, at most `max_batch` at once (None: as it likes)."""

    number: int
    pcm: Handle
    clips: Clips
    hints: Hints
    max_batch: int | None


@dataclass(frozen=True)
class Stop:
    """Nothing more will be asked."""


Request = Load | Listen | Room | NoRoom | GiveUp | Recognize | Stop


# replies


@dataclass(frozen=True)
class Failed:
    """An error of ours, by the name of its class; what was unexpected comes as `worker.fault`, without its text.

    `memory`: the child ran out of it, and should not be trusted with more work.
    """

    number: int
    kind: str
    key: str
    parameters: Mapping[str, str | int | float]
    memory: bool = False

    def error(self) -> JiyaoError:
        return _KINDS.get(self.kind, JiyaoError)(self.key, **self.parameters)


@dataclass(frozen=True)
class Loaded:
    """`rejected`: engines passed over, and the key of the reason; `troubles`: what did not load and is done without."""

    number: int
    info: EngineInfo
    aligner: EngineInfo | None
    rejected: tuple[tuple[str, str], ...]
    troubles: tuple[Failed, ...]
    enforcement: seal.Enforcement


@dataclass(frozen=True)
class NeedRoom:
    """Room for so many samples of PCM, what is there already included."""

    number: int
    sound: Sound
    n_samples: int


@dataclass(frozen=True)
class ListenProgress:
    """As pipeline's Progress while loading, or while what was loaded is cleaned."""

    number: int
    cleaning: bool
    done_ms: int
    total_ms: int | None


@dataclass(frozen=True)
class Listened:
    """A decoded recording: its length in samples, what was noticed, and its parts with their clips.

    `denoised`: the room for the sound without noise is filled, too.
    """

    number: int
    n_samples: int
    denoised: bool
    notes: tuple[Note, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Heard:
    """The clip `index` of the request."""

    number: int
    index: int
    recognition: Recognition


@dataclass(frozen=True)
class Done:
    """All clips of the request are heard; `notes`: what went wrong beside them, in this request."""

    number: int
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Heartbeat:
    """Every second while a request is worked on: the process runs, though it may not get anywhere."""

    attempts: seal.Attempts


Reply = Failed | Loaded | NeedRoom | ListenProgress | Listened | Heard | Done | Heartbeat


class WorkerLost(Exception):
    """The child is gone, or was made to go; the Worker is used up. What it had answered stays valid.

    killed: by us · memory: not enough of it, the computer's or the device's · hung: alive, but nothing came (`frozen`:
    no heartbeat either) · died: anything else. `exit_code`: negative for a signal, None if not known.
    `error`: what it said about it, if it still could.
    """

    def __init__(
        self,
        reason: Reason,
        exit_code: int | None = None,
        error: JiyaoError | None = None,
        frozen: bool = False,
    ) -> None:
        super().__init__(reason, exit_code)
        self.reason = reason
        self.exit_code = exit_code
        self.error = error
        self.frozen = frozen


def failed(number: int, error: JiyaoError, memory: bool = False) -> Failed:
    """`error` as a reply; its parameters become plain values."""
    plain = {k: v if isinstance(v, (str, int, float)) else str(v) for k, v in error.parameters.items()}
    return Failed(number, type(error).__name__, error.key, plain, memory)


def packed(reply: Reply) -> bytes:
    return pickle.dumps(reply, protocol=5)


def unpacked(data: bytes) -> Reply:
    """Raises UnpicklingError for anything that is no reply."""
    reply = _Unpickler(io.BytesIO(data)).load()
    if not isinstance(reply, Reply):
        raise pickle.UnpicklingError("not a reply")
    return reply


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"a reply has no {module}.{name}") from None


def _kinds() -> Iterator[tuple[str, type[JiyaoError]]]:
    waiting: list[type[JiyaoError]] = [JiyaoError]
    for kind in waiting:
        yield kind.__name__, kind
        waiting.extend(kind.__subclasses__())


_KINDS = {name: kind for name, kind in _kinds() if kind.__module__ == errors.__name__}
_REPLIES = (Failed, Loaded, NeedRoom, ListenProgress, Listened, Heard, Done, Heartbeat)
_CONTENTS = (EngineInfo, Recognition, Word, Note, Part, Span, seal.Attempts, seal.Attempt, seal.Enforcement, seal.Layer)
_ALLOWED: dict[tuple[str, str], Any] = {(kind.__module__, kind.__name__): kind for kind in (*_REPLIES, *_CONTENTS)}
