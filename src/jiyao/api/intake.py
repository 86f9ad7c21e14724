"""What is on its way into memory: files that a browser sends, recordings that it makes. One copy, never a file.

In:  bytes, in pieces, from handlers. Out: jobs. A recording outlives the page that makes it: what came is here, and can
be finished by another page. Anything here can be wiped at any moment, from any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from jiyao.api import wire
from jiyao.errors import UsageError
from jiyao.jobs import Incoming, Jobs
from jiyao.memory import SAMPLE_BYTES
from jiyao.pipeline import Options
from jiyao.timeline import SAMPLE_RATE

_AT_ONCE = 256 << 10  # copied and hashed in well under a millisecond: the event loop does it itself
_LONGEST_NAME = 255
_ANNOUNCE_EVERY_S = 5.0  # that a recording grows
_BYTES_PER_S = SAMPLE_RATE * SAMPLE_BYTES


class Arrival:
    """A recording on its way. Written by one request at a time, ended by whoever comes first."""

    def __init__(self, incoming: Incoming, ended: Callable[[Arrival], None], *, made_here: bool = False) -> None:
        self.made_here = made_here  # by the page's microphone: it grows
        self.announced = 0.0
        self._incoming = incoming
        self._ended = ended
        self._lock = threading.Lock()
        self._open = True
        self.bytes = 0

    @property
    def id(self) -> str:
        return self._incoming.job_id

    @property
    def name(self) -> str:
        return self._incoming.name

    def write(self, piece: bytes) -> None:
        """The next bytes. Raises AudioError for more than were announced, UsageError where it was wiped meanwhile."""
        self.write_at(self.bytes, piece)

    def write_at(self, offset: int, piece: bytes) -> None:
        """Bytes that belong at `offset`; what is there already is left out. Raises UsageError where some are missing
        before them, and as `write`; MemoryLimitError where there is no room."""
        with self._lock, memoryview(piece) as view:
            self._require_open()
            if offset > self.bytes:
                raise UsageError("web.gap", have=self.bytes, offset=offset)
            for start in range(self.bytes - offset, len(view), _AT_ONCE):
                with view[start : start + _AT_ONCE] as part:
                    self._incoming.write(part)
                    self.bytes += len(part)

    def take(self) -> Incoming:
        """All that came, for the queue: nobody writes it any more."""
        with self._lock:
            self._require_open()
            self._open = False
        self._ended(self)
        return self._incoming

    def abort(self) -> int:
        """It will not come: zeroed and freed; how many bytes that were. Any number of times."""
        with self._lock:
            if not self._open:
                return 0
            self._open = False
            self._incoming.abort()
        self._ended(self)
        return self.bytes

    def _require_open(self) -> None:
        if not self._open:
            raise UsageError("web.wiped_meanwhile")


class Intake:
    """All arrivals. `fetching`: whether a child is using the network now: then no audio may come in, and while there
    is any, none may begin to."""

    def __init__(self, jobs: Jobs, fetching: Callable[[], bool]) -> None:
        self._jobs = jobs
        self._fetching = fetching
        self._gate = threading.Lock()
        self._arrivals: dict[str, Arrival] = {}

    def receive(self, name: str, size_bytes: int, options: Options) -> Arrival:
        """Room for a file that is coming. Raises MemoryLimitError; UsageError while a model is being fetched."""
        with self._gate:
            self._require_quiet()
            return self._begun(Arrival(self._jobs.receive(_shortened(name), size_bytes, options), self._over))

    def record(self, name: str, options: Options) -> Arrival:
        """The same for a recording that is being made: s16le PCM, mono, 16 kHz."""
        with self._gate:
            self._require_quiet()
            incoming = self._jobs.record(_shortened(name), options)
            arrival = self._begun(Arrival(incoming, self._over, made_here=True))
        self.announce(arrival)
        return arrival

    def recording(self, name: str) -> Arrival:
        """Raises UsageError for one that is not being made (any more)."""
        arrival = self._arrivals.get(name)
        if arrival is None or not arrival.made_here:
            raise UsageError("web.no_recording")
        return arrival

    def recordings(self) -> list[wire.Json]:
        return [told(arrival) for arrival in list(self._arrivals.values()) if arrival.made_here]

    def announce(self, arrival: Arrival, *, now: bool = True) -> None:
        """Let all pages know of a recording; while it grows, not more than now and then."""
        if now or time.monotonic() - arrival.announced >= _ANNOUNCE_EVERY_S:
            arrival.announced = time.monotonic()
            self._jobs.announce("recording", told(arrival))

    def while_empty(self, work: Callable[[], None]) -> None:
        """Do this if there is no audio in memory. Raises UsageError where there is."""
        with self._gate:
            if self._arrivals or self._jobs.memory():
                raise UsageError("web.held")
            work()

    def drop_all(self) -> None:
        for arrival in list(self._arrivals.values()):
            arrival.abort()

    def _require_quiet(self) -> None:
        if self._fetching():
            raise UsageError("web.fetching")

    def _begun(self, arrival: Arrival) -> Arrival:
        self._arrivals[arrival.id] = arrival
        return arrival

    def _over(self, arrival: Arrival) -> None:
        self._arrivals.pop(arrival.id, None)
        if arrival.made_here:
            self._jobs.announce("recording", {**told(arrival), "gone": True})


def told(arrival: Arrival) -> wire.Json:
    """As the contract's Recording; an announced one with `gone` was finished or thrown away."""
    return {
        "id": arrival.id,
        "name": arrival.name,
        "bytes": arrival.bytes,
        "duration_ms": arrival.bytes * 1000 // _BYTES_PER_S,
    }


def _shortened(name: str) -> str:
    """The file's own name, without the folders that some browsers send."""
    return name.replace("\\", "/").rpartition("/")[2].strip()[-_LONGEST_NAME:]
