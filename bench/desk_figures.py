"""What the parts of bench.desk share: rows of its table, waiting, memory and disk of a server and its worker.

In:  a Served. Out: Rows, Memory. Linux: read in /proc.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.desk_server import Served


@dataclass(frozen=True)
class Row:
    """`plain`: the same of the page with plain paragraphs, or what it is compared with."""

    what: str
    ours: str
    plain: str = ""
    aim: str = ""


def spread(values: Sequence[float], unit: str = "ms", digits: int = 0) -> str:
    return f"{statistics.median(values):.{digits}f} {unit} (max {max(values):.{digits}f}, n {len(values)})"


def wait(ready: Callable[[], bool], patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.05)


@dataclass(frozen=True)
class Memory:
    """MB of the server and its worker. `own`: private memory of either (USS without libraries); `shared`: segments of
    shared memory that either has touched, by proportional set size, so that a page that both map counts once. RSS would
    count it in both."""

    own: float
    shared: float

    @property
    def total(self) -> float:
        return self.own + self.shared

    def __str__(self) -> str:
        return f"{self.total:.0f} MB (own {self.own:.0f}, shared memory {self.shared:.0f})"


def family(served: Served) -> list[psutil.Process]:
    parent = psutil.Process(served.process.pid)
    return [parent, *parent.children(recursive=True)]


def memory(served: Served) -> Memory:
    own = shared = 0
    for process in family(served):
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except OSError:
            continue
        fields = {
            name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in text.splitlines()[1:])
        }
        own += fields["Pss_Anon"]
        shared += fields["Pss_Shmem"]
    return Memory(own * 1024 / 1e6, shared * 1024 / 1e6)


def bytes_written(served: Served) -> int:
    """Handed to the disk so far (memfd is none)."""
    return sum(process.io_counters().write_bytes for process in family(served))


@contextmanager
def sampled(served: Served) -> Iterator[list[tuple[float, Memory]]]:
    found: list[tuple[float, Memory]] = []
    with repeated(0.1, lambda: found.append((time.time(), memory(served)))):
        yield found


@contextmanager
def polled(served: Served) -> Iterator[list[tuple[float, float]]]:
    """ms that /api/state takes, asked all the time by another client."""
    found: list[tuple[float, float]] = []
    client = served.client()

    def ask() -> None:
        began = time.time()
        client.get("/api/state").raise_for_status()
        found.append((began, 1000 * (time.time() - began)))

    with repeated(0.1, ask):
        yield found


@contextmanager
def repeated(every_s: float, work: Callable[[], object]) -> Iterator[None]:
    over = threading.Event()

    def run() -> None:
        while not over.wait(every_s):
            work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def moment(served: Served, stamps: list[dict[str, Any]], kind: str, state: str | None = None) -> float:
    """When this was fed; waits for it."""

    def found() -> list[float]:
        return [one["at"] for one in stamps if one["kind"] == kind and state in (None, one.get("state"))]

    def there() -> bool:
        stamps.extend(served.ask("stamps"))
        return bool(found())

    wait(there, 600)
    return found()[0]
