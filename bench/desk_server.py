"""The desk as it is served, in a process of its own that also notes when what happened; for bench.desk, docs.pictures.

In:  which engine. Out: `Served`: its address and process, and the moment at which each event was fed.

Everything but the engine is the real thing: routes, guard, jobs, seal, uvicorn as `jiyao web` sets it up.

    real       the starter model (whisper-base), in its sealed worker
    scripted   the engine of the tests, in the real sealed worker: decoding and cutting are real, the text is not
    made       no worker: a meeting of so many lines, cut into clips by a rule, heard through the real jobs at once
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np

from jiyao import api, audio, settings
from jiyao.api.desk import Desk
from jiyao.engines.scripted import Fault, Script, Scripted
from jiyao.jobs import LinesChanged, StateChanged
from jiyao.memory import SharedBytes, SharedPcm
from jiyao.pipeline import Options, Progress
from jiyao.recognition import Clip, EngineInfo, Hints, Recognition
from jiyao.segmentation import Cutting, Part
from jiyao.settings import Settings
from jiyao.timeline import SAMPLE_RATE, Pcm, Span
from jiyao.web import app, launch
from jiyao.worker.messages import Listened
from jiyao.worker.parent import Worker

Engine = Literal["real", "scripted", "made"]

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "samples" / "review.flac"
_SENTENCES_A_CLIP = 4
_S_A_SENTENCE = 2.2
_SHORTEST = 12  # characters
_DOUBTED = 40  # every so many clips, one that should be listened to again
# short clips, as the tests have them: many events out of a short recording
SHORT = Options(cutting=Cutting(min_clip_s=1.0, max_clip_s=4.0, max_gap_s=0.3, min_part_s=15.0, max_part_s=25.0))


def sentences(count: int) -> list[str]:
    """Different ones, put together from clauses of the sample's own text; none so short that it joins its neighbour."""
    turns = json.loads(SAMPLE.with_name("review.reference.json").read_text(encoding="utf-8"))["turns"]
    clauses = [clause for turn in turns for clause in re.split("[，。？！]", turn["text"]) if clause]
    chance = random.Random(5)
    told: list[str] = []
    while len(told) < count:
        sentence = "，".join(chance.sample(clauses, chance.choice((1, 2, 2, 3)))) + "。"
        if len(sentence) > _SHORTEST:
            told.append(sentence)
    return told


class Made(Worker):
    """Says a made meeting of `count` sentences, whatever the file holds; its sound is the sample, over and over."""

    def __init__(self, chosen: Settings, engine: str | None, count: int, sound: Pcm) -> None:
        super().__init__(chosen, engine)
        self._count, self._sound = count // _SENTENCES_A_CLIP, sound
        said = sentences(count)
        lines = [" ".join(said[at :: self._count]) for at in range(self._count)]
        self._engine = Scripted(lines)
        self._clip = round(_SENTENCES_A_CLIP * _S_A_SENTENCE * SAMPLE_RATE) | 1  # odd: the script's lines take turns

    @property
    def alive(self) -> bool:
        return self.info is not None and not self._killed

    def start(self) -> EngineInfo:
        self.info = self._engine.describe()
        return self.info

    def listen(
        self,
        recording: SharedBytes,
        options: Options,
        report: Callable[[Progress], None] = lambda _: None,
        admit: Callable[[int], None] = lambda _: None,
    ) -> tuple[SharedPcm, SharedPcm | None, Listened]:
        n_samples = self._count * self._clip
        pcm = SharedPcm(n_samples)
        for start in range(0, n_samples, len(self._sound)):
            stretch = pcm.array[start : start + len(self._sound)]
            stretch[:] = self._sound[: len(stretch)]
            del stretch
        spans = [Span(at * self._clip, (at + 1) * self._clip) for at in range(self._count)]
        groups = [tuple(spans[at : at + 25]) for at in range(0, len(spans), 25)]
        parts = tuple(Part(Span(group[0].start, group[-1].end), group, group) for group in groups)
        return pcm, None, Listened(0, n_samples, False, (), parts)

    def recognize(
        self,
        pcm: SharedPcm,
        clips: Sequence[tuple[Span, tuple[Span, ...]]],
        hints: Hints,
        *,
        max_batch: int | None = None,
    ) -> Iterator[tuple[int, Recognition]]:
        silent = np.broadcast_to(np.float32(0), self._clip)
        for index, recognition in self._engine.recognize([Clip(silent, span) for span, _ in clips], hints):
            doubted = clips[index][0].start // self._clip % _DOUBTED == 5
            yield index, replace(recognition, flags=("unsure",)) if doubted else recognition


# the other process


def _serve(given: argparse.Namespace) -> None:
    engine: Engine = given.engine
    chosen = settings.load({"home": given.home, "engine": "whisper-base" if engine == "real" else "auto"}, {})
    sockets = launch.listen("127.0.0.1", 0)
    note = launch.Note(os.getpid(), sockets[0].getsockname()[1], given.key)
    with Desk(chosen, options=SHORT if given.short else Options(), open_worker=_opener(engine, given.lines)) as desk:
        stamps = _stamped(desk)
        if given.shell == "streamlit":
            served = app._streamlit(desk, note)
        else:
            served = api.create_app(desk, key=note.key, port=note.port, static=app.STATIC)
        server = app._Server(app._config(served), desk)
        desk.guard()
        _tell({"port": note.port})
        threading.Thread(target=_answer, args=(server, desk, stamps), daemon=True).start()
        server.run(sockets=sockets)


def _opener(engine: Engine, lines: int) -> Callable[[Settings, str | None], Worker]:
    if engine == "real":
        return Worker
    if engine == "scripted":
        return lambda chosen, name: Worker(chosen, "scripted")
    sound = audio.decode(SAMPLE.read_bytes()).pcm
    return lambda chosen, name: Made(chosen, name, lines, sound)


def _stamped(desk: Desk) -> list[dict[str, Any]]:
    """Every event, as it is fed: its time (s since 1970), job and kind; the state, or the ids of its lines."""
    feed, stamps = desk.jobs._feed, list[dict[str, Any]]()
    add = feed.add

    def noted(job: str, change: Any) -> None:
        more: dict[str, Any] = {}
        if isinstance(change, StateChanged):
            more = {"state": change.state}
        elif isinstance(change, LinesChanged):
            more = {"lines": [line.id for line in change.put]}
        stamps.append({"at": time.time(), "job": job, "kind": type(change).__name__, **more})
        add(job, change)

    feed.add = noted  # type: ignore[method-assign]
    return stamps


def _answer(server: app._Server, desk: Desk, stamps: list[dict[str, Any]]) -> None:
    """What the bench asks, a word a line; the end of its input ends this process."""
    for line in sys.stdin:
        word = line.strip()
        if word == "stamps":
            told, stamps[:] = list(stamps), []
            _tell(told)
        elif word == "submit":
            _tell(desk.jobs.submit(b"made", "第三季度产品评审会.m4a", desk.options(None, "zh")))
    server.should_exit = True


def _tell(content: object) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


# this process


@dataclass
class Served:
    """A desk that is served. `ask`: "stamps", those since the last time; "submit", the made meeting: its job."""

    process: subprocess.Popen[str]
    port: int
    key: str

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def open_url(self) -> str:
        """As `jiyao web` opens it, at the desk alone."""
        return f"{self.url}/open?key={self.key}&to=/desk/"

    def client(self) -> httpx.Client:
        headers = {"Origin": self.url, "Cookie": f"jiyao_{self.port}={self.key}", "X-Jiyao-Language": "zh"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def ask(self, word: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self._hear()

    def _hear(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended: {self.process.wait()}")
        return json.loads(line)


@contextlib.contextmanager
def serving(
    engine: Engine,
    *,
    lines: int = 0,
    slow_s: float = 0.0,
    short: bool = False,
    shell: str = "plain",
    models: bool = True,
) -> Iterator[Served]:
    """`slow_s`: so long for each clip of the scripted engine; `short`: short clips; `models`: are there any?"""
    with tempfile.TemporaryDirectory(prefix="jiyao-bench-") as folder:
        home = Path(folder)
        if models and (settings.default_home() / "models").is_dir():
            (home / "models").symlink_to(settings.default_home() / "models")
        faults = (Fault("slow", seconds=slow_s),) if slow_s else ()
        Script(tuple(sentences(37)), faults).write(home)
        command = [sys.executable, "-m", "bench.desk_server", str(home), engine, "bench-key", shell]
        command += [f"--lines={lines}", *(["--short"] if short else [])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", env=environment, cwd=ROOT
        )
        try:
            served = Served(process, 0, "bench-key")
            served.port = int(served._hear()["port"])
            yield served
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("home", "engine", "key", "shell"):
        parser.add_argument(name)
    parser.add_argument("--lines", type=int, default=0)
    parser.add_argument("--short", action="store_true")
    _serve(parser.parse_args())


if __name__ == "__main__":
    main()
