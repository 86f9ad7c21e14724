"""A real child: what it answers, and that whatever happens to it is noticed and costs no text."""

from __future__ import annotations

import io
import os
import pickle
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from jiyao import engines, pipeline
from jiyao.audio import Note, decode
from jiyao.engines.scripted import Fault, Script
from jiyao.errors import AudioError, EngineError, JiyaoError, MemoryLimitError, UsageError, WeightsError
from jiyao.glossary import Glossary, hints_for
from jiyao.memory import SharedBytes, SharedPcm, segments
from jiyao.pipeline import Options, Progress
from jiyao.recognition import Engine, Hints, Recognition, Word
from jiyao.segmentation import Cutting, inside
from jiyao.settings import Settings
from jiyao.timeline import SAMPLE_RATE, Span
from jiyao.transcript import Heard, Source, Transcript
from jiyao.worker import child, messages
from jiyao.worker.messages import Listened, WorkerLost, packed, unpacked
from jiyao.worker.parent import Limits, Worker
from tests.conftest import SAMPLE
from tests.recordings import made, tone, wav
from tests.test_memory import named_segments

SHORT = Options(cutting=Cutting(min_clip_s=1, max_clip_s=3))  # many clips of the sample
LOST = 30  # seconds until a test gives up waiting for what takes none
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc and signals as Linux has them")

Start = Callable[..., Worker]
Parent = Callable[..., tuple["subprocess.Popen[str]", int]]


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = named_segments()
    yield
    assert named_segments() == before


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A started worker with the scripted engine, told to fail in these ways; stopped at the end of the test."""
    workers: list[Worker] = []

    def started(*faults: Fault, limits: Limits = Limits(), run: bool = True) -> Worker:
        Script(faults=faults).write(tmp_path)
        workers.append(Worker(Settings(home=tmp_path), "scripted", limits=limits))
        if run:
            workers[-1].start()
        return workers[-1]

    yield started
    for worker in workers:
        worker.stop()
        assert not worker.alive


def bytes_of(content: bytes) -> SharedBytes:
    return SharedBytes.read_from(io.BytesIO(content), len(content))


@pytest.fixture
def sample() -> Iterator[SharedBytes]:
    shared = bytes_of(SAMPLE.read_bytes())
    yield shared
    shared.wipe()


@pytest.fixture
def listened(start: Start, sample: SharedBytes) -> Iterator[tuple[SharedPcm, Listened]]:
    """The sample in many short clips."""
    pcm, _, heard = start().listen(sample, SHORT)
    assert len(clips_of(heard)) > 12
    yield pcm, heard
    pcm.wipe()


def clips_of(listened: Listened) -> list[tuple[Span, tuple[Span, ...]]]:
    return [(span, inside(part.speech, span)) for part in listened.parts for span in part.clips]


def recognized(worker: Worker, recording: SharedBytes, options: Options) -> Transcript:
    """The whole way through a worker, as jobs go it."""
    pcm, _, listened = worker.listen(recording, options)
    hints = hints_for(options.glossary, options.language)
    heard: list[Heard] = []
    for part in listened.parts:
        clips = [(span, inside(part.speech, span)) for span in part.clips]
        results = worker.recognize(pcm, clips, hints)
        heard += [Heard(clips[index][0], recognition) for index, recognition in results]
    source = Source(SAMPLE.name, listened.n_samples * 1000 // SAMPLE_RATE, "")
    assert worker.info is not None
    pcm.wipe()
    return pipeline.finished(source, listened.notes, worker.info, heard, options)


def alone(engine: Engine, vad_model: Path, options: Options) -> Transcript:
    with SAMPLE.open("rb") as file:
        transcript = pipeline.transcribe(file, SAMPLE.name, engine, vad_model, options)
    return replace(transcript, source=replace(transcript.source, sha256=""))


class TestAnswers:
    def test_a_worker_hears_what_the_engine_hears(
        self, starter: Engine, starter_home: Path, vad_model: Path, sample: SharedBytes
    ) -> None:
        worker = Worker(Settings(home=starter_home), "whisper-base")
        assert worker.start() == starter.describe()
        try:
            assert recognized(worker, sample, Options()) == alone(starter, vad_model, Options())
        finally:
            worker.stop()

    def test_with_terms_and_short_parts_too(self, start: Start, vad_model: Path, sample: SharedBytes) -> None:
        options = Options(
            glossary=Glossary((("开始", "开会"),), ("开会",)),
            script="traditional",
            cutting=Cutting(min_clip_s=1, max_clip_s=3, min_part_s=10, max_part_s=20),
        )
        expected = alone(engines.open_engine("scripted", Settings()), vad_model, options)
        assert expected.corrections
        assert recognized(start(), sample, options) == expected

    def test_batches_keep_the_numbers_of_clips(self, start: Start, listened: tuple[SharedPcm, Listened]) -> None:
        pcm, heard = listened
        clips, worker = clips_of(heard), start(Fault("memory", batch_over=4))
        whole = dict(start().recognize(pcm, clips, Hints()))
        assert dict(worker.recognize(pcm, clips, Hints(), max_batch=4)) == whole
        assert list(whole) == list(range(len(clips)))
        with pytest.raises(WorkerLost) as caught:
            list(worker.recognize(pcm, clips, Hints()))
        assert caught.value.reason == "memory"

    def test_no_clips(self, start: Start, listened: tuple[SharedPcm, Listened]) -> None:
        assert list(start().recognize(listened[0], [], Hints())) == []

    def test_progress_comes_while_decoding(self, start: Start) -> None:
        recording = bytes_of(made("ipod", "aac", seconds=400, rate=16_000, layout="mono"))
        steps: list[Progress] = []
        pcm, _, listened = start().listen(recording, Options(), steps.append)
        done = [step.done_ms for step in steps]
        assert done == sorted(done) and done[-1] <= listened.n_samples // 16
        assert {step.stage for step in steps} == {"loading"} and steps[0].total_ms == pytest.approx(400_000, rel=0.01)
        pcm.wipe()
        recording.wipe()

    @pytest.mark.parametrize("kind", ["anonymous", "named"])
    def test_a_length_that_no_header_tells(self, start: Start, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        """The room for it grows while it is decoded, several times."""
        if kind == "named" or segments.ANONYMOUS:
            monkeypatch.setattr(segments, "ANONYMOUS", kind == "anonymous")
        tones = np.tile((tone(1, SAMPLE_RATE, hz=300)[0] * 32767).astype(np.int16), 1000)
        content = wav(tones).replace(b"data" + struct.pack("<I", tones.nbytes), b"data" + bytes(4))
        recording, asked = bytes_of(content), list[int]()
        pcm, _, listened = start().listen(recording, Options(), admit=asked.append)
        assert len(asked) == 3 and sum(asked) >= pcm.size
        assert np.array_equal(pcm.array, tones)
        assert listened.n_samples == pcm.n_samples
        pcm.wipe()
        recording.wipe()

    def test_notes_travel(self, start: Start) -> None:
        content = wav(np.zeros((80_000, 2), np.int16), 8_000)
        recording = bytes_of(content[: len(content) // 2])
        pcm, _, listened = start().listen(recording, Options())
        assert listened.notes == decode(content[: len(content) // 2]).notes != ()
        assert any(note.key == "audio.cut_off" for note in listened.notes)
        pcm.wipe()
        recording.wipe()


class TestErrors:
    """Typed ones arrive as themselves, and the worker lives on."""

    def test_what_is_no_recording(self, start: Start, sample: SharedBytes) -> None:
        worker, text = start(), bytes_of(b"these are the minutes of a meeting" * 100)
        with pytest.raises(AudioError) as caught:
            worker.listen(text, Options())
        assert caught.value.key == "audio.not_audio"
        text.wipe()
        assert recognized(worker, sample, Options()).segments

    def test_too_long(self, start: Start, sample: SharedBytes) -> None:
        with pytest.raises(AudioError) as caught:
            start().listen(sample, Options(max_duration_s=10))
        assert caught.value.key == "audio.too_long" and "0.0027" in str(caught.value)

    def test_no_room(self, start: Start, sample: SharedBytes) -> None:
        def refuse(more: int) -> None:
            raise MemoryLimitError(
                "memory.too_small", recording_mb=1, pcm_mb=more, reserve_mb=1, needed_mb=1, free_mb=0, held_mb=0
            )

        worker = start()
        with pytest.raises(MemoryLimitError):
            worker.listen(sample, Options(), admit=refuse)
        assert recognized(worker, sample, Options()).segments

    def test_an_engine_that_fails(self, start: Start, listened: tuple[SharedPcm, Listened]) -> None:
        pcm, heard = listened
        worker, clips, got = start(Fault("fail", nth=3)), clips_of(heard), []
        with pytest.raises(EngineError) as caught:
            for result in worker.recognize(pcm, clips, Hints()):
                got.append(result)
        assert caught.value.key == "engine.failed" and len(got) == 2
        assert len(list(worker.recognize(pcm, clips, Hints()))) == len(clips)

    def test_no_content_in_what_an_unexpected_error_says(
        self, start: Start, listened: tuple[SharedPcm, Listened], capfd: pytest.CaptureFixture[str]
    ) -> None:
        pcm, heard = listened
        worker = start(Fault("raise", nth=1))
        with pytest.raises(EngineError) as caught:
            list(worker.recognize(pcm, clips_of(heard), Hints(terms=("机密",))))
        assert caught.value.parameters["kind"] == "ValueError"
        assert re.fullmatch(r"scripted\.py:\d+ _happen", str(caught.value.parameters["place"]))
        shown = str(caught.value) + repr(caught.value.parameters) + "".join(capfd.readouterr())
        assert "开始" not in shown and "机密" not in shown
        assert len(list(worker.recognize(pcm, clips_of(heard), Hints()))) == len(clips_of(heard))

    def test_no_weights(self, tmp_path: Path) -> None:
        worker = Worker(Settings(home=tmp_path), "whisper-base")
        with pytest.raises(WeightsError) as caught:
            worker.start()
        assert caught.value.key == "weights.missing" and str(tmp_path) in str(caught.value)
        assert not worker.alive

    def test_a_language_that_the_engine_does_not_know(self, starter_home: Path) -> None:
        """Told before anything is decoded: this recording is none."""
        worker, nothing = Worker(Settings(home=starter_home), "whisper-base"), bytes_of(b"nothing")
        worker.start()
        with pytest.raises(UsageError) as caught:
            worker.listen(nothing, Options(language="xx"))
        assert caught.value.key == "engine.language"
        worker.stop()
        nothing.wipe()

    def test_every_error_of_ours_survives_the_pipe(self) -> None:
        for name, kind in messages._KINDS.items():
            error = kind("audio.too_long", limit_h=2.5, path=Path("a"), count=3)
            arrived = unpacked(packed(messages.failed(7, error)))
            assert isinstance(arrived, messages.Failed)
            assert type(arrived.error()) is kind and arrived.kind == name
            assert arrived.error().parameters == {"limit_h": 2.5, "path": "a", "count": 3}

    def test_the_next_engine_where_one_does_not_load(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As a door would choose; in this process, for a child has no stand-ins."""
        rejected: list[dict[str, str]] = []

        def choose(settings: Settings, failed: dict[str, str], only_ready: bool) -> engines.Choice:
            assert only_ready
            rejected.append(dict(failed))
            return engines.Choice("whisper-base" if failed else "qwen-cpu", None, tuple(failed.items()))

        def open_engine(name: str, settings: Settings) -> Engine:
            if name == "qwen-cpu":
                raise EngineError("engine.load", name=name, reason="broken")
            return open_real("scripted", settings)

        open_real = engines.open_engine
        monkeypatch.setattr(engines, "choose", choose)
        monkeypatch.setattr(engines, "open_engine", open_engine)
        troubles: list[messages.Failed] = []
        name, passed_over, engine = child._opened(Settings(), None, 1, troubles)
        assert name == "whisper-base" and engine.describe().name == "scripted"
        assert passed_over == (("qwen-cpu", "engine.reason_did_not_load"),)
        assert [trouble.error().parameters["reason"] for trouble in troubles] == ["broken"]
        with pytest.raises(EngineError):
            child._opened(Settings(), "qwen-cpu", 1, troubles)


class TestLost:
    @pytest.mark.parametrize(
        ("fault", "reason", "frozen"),
        [
            (Fault("exit"), "died", False),
            (Fault("memory"), "memory", False),
            pytest.param(Fault("kill"), "died", False, marks=on_linux),
            (Fault("hang"), "hung", False),
            pytest.param(Fault("freeze"), "hung", True, marks=on_linux),
        ],
        ids=lambda value: value.do if isinstance(value, Fault) else None,
    )
    def test_how_a_child_is_lost(
        self, start: Start, listened: tuple[SharedPcm, Listened], fault: Fault, reason: str, frozen: bool
    ) -> None:
        pcm, heard = listened
        limits = Limits(silent_s=4, still_s=4, factor=0.001)
        worker, clips, got = start(replace(fault, nth=5), limits=limits), clips_of(heard), []
        with pytest.raises(WorkerLost) as caught:
            for result in worker.recognize(pcm, clips, Hints()):
                got.append(result)
        assert (caught.value.reason, caught.value.frozen) == (reason, frozen)
        assert caught.value.exit_code == (3 if fault.do == "exit" else -9)
        assert [index for index, _ in got] == [0, 1, 2, 3]
        assert not worker.alive and not is_there(worker.pid)
        with pytest.raises(RuntimeError):
            list(worker.recognize(pcm, clips, Hints()))
        # another one goes on with the same PCM
        assert [result for result in start().recognize(pcm, clips, Hints())][:4] == got

    @on_linux
    def test_killed_by_the_system_for_memory(
        self, start: Start, listened: tuple[SharedPcm, Listened], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The kernel's own count tells it from a kill by somebody else."""
        counts = iter([3, 4])
        monkeypatch.setattr("jiyao.worker.parent._oom_kills", lambda: next(counts))
        worker = start(Fault("kill"))
        with pytest.raises(WorkerLost) as caught:
            list(worker.recognize(listened[0], clips_of(listened[1]), Hints()))
        assert caught.value.reason == "memory"

    def test_a_slow_engine_is_not_hung(self, start: Start, listened: tuple[SharedPcm, Listened]) -> None:
        """Each clip takes longer than the shortest patience; the speed of the first ones says that this is as it is."""
        pcm, heard = listened
        worker = start(Fault("slow", seconds=1.2), limits=Limits(still_s=0.5, silent_s=5, factor=5))
        assert len(list(worker.recognize(pcm, clips_of(heard)[:3], Hints()))) == 3

    @pytest.mark.parametrize("do", ["exit", "memory", "hang", "raise", "fail"])
    def test_while_loading(self, start: Start, do: Any) -> None:
        worker = start(Fault(do, when="load"), limits=Limits(load_s=3), run=False)
        with pytest.raises((WorkerLost, EngineError)) as caught:
            worker.start()
        expected = {"exit": "died", "memory": "memory", "hang": "hung"}
        assert getattr(caught.value, "reason", None) == expected.get(do)
        assert not worker.alive

    def test_while_decoding(self, start: Start, sample: SharedBytes) -> None:
        worker = start()

        def report(progress: Progress) -> None:
            assert worker.pid is not None
            psutil.Process(worker.pid).kill()

        with pytest.raises(WorkerLost) as caught:
            worker.listen(sample, Options(), report)
        assert caught.value.reason in ("died", "memory")

    def test_a_reply_runs_nothing_in_the_parent(self, tmp_path: Path) -> None:
        class Evil:
            def __reduce__(self) -> tuple[Any, tuple[str]]:
                return os.mkdir, (str(tmp_path / "planted"),)

        several: list[object] = [Evil(), messages.Done(1, (Evil(),)), os.mkdir, [], JiyaoError("x")]  # type: ignore[arg-type]
        for planted in several:
            with pytest.raises(pickle.UnpicklingError):
                unpacked(pickle.dumps(planted))
        assert not (tmp_path / "planted").exists()

    def test_every_reply_arrives(self, start: Start) -> None:
        worker = start()
        heard = Recognition("好。", "zh", (Word("好。", 0, 9, 0.5),), 0.5, ("loop",), "estimated")
        assert worker.info is not None and worker.enforcement is not None
        for reply in (
            messages.Loaded(1, worker.info, worker.info, (("a", "b"),), (), worker.enforcement),
            messages.Heard(1, 2, heard),
            messages.Done(1, (Note("alignment.failed", {"count": 1}),)),
            messages.Heartbeat(worker.attempts),
        ):
            assert unpacked(packed(reply)) == reply


class TestKill:
    def waits(self, work: Callable[[], object], kill: Callable[[], None]) -> BaseException:
        """What `work` raises when `kill` is called from another thread."""
        caught: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        kill()
        thread.join(LOST)
        assert not thread.is_alive()
        return caught[0]

    def lost(self, error: BaseException) -> None:
        assert isinstance(error, WorkerLost) and error.reason == "killed"

    def test_before_it_was_started(self, start: Start) -> None:
        worker = start(run=False)
        worker.kill()
        with pytest.raises(WorkerLost):
            worker.start()

    @pytest.mark.parametrize("after_s", [0.0, 0.002, 0.01, 0.05, 0.15, 0.5])
    def test_while_loading(self, start: Start, after_s: float) -> None:
        worker = start(Fault("hang", when="load"), run=False)

        def kill() -> None:
            time.sleep(after_s)
            worker.kill()

        self.lost(self.waits(worker.start, kill))
        assert not worker.alive

    def test_while_decoding(self, start: Start, sample: SharedBytes) -> None:
        worker, decoding, killed = start(), threading.Event(), threading.Event()

        def report(progress: Progress) -> None:
            decoding.set()
            killed.wait(LOST)

        def kill() -> None:
            assert decoding.wait(LOST)
            worker.kill()
            killed.set()

        self.lost(self.waits(lambda: worker.listen(sample, Options(), report), kill))

    @pytest.mark.parametrize("do", ["hang", pytest.param("freeze", marks=on_linux)])
    def test_while_recognising(self, start: Start, listened: tuple[SharedPcm, Listened], do: Any) -> None:
        pcm, heard = listened
        worker, began = start(Fault(do, nth=2)), threading.Event()

        def work() -> None:
            for _ in worker.recognize(pcm, clips_of(heard), Hints()):
                began.set()

        def kill() -> None:
            assert began.wait(LOST)
            worker.kill()

        self.lost(self.waits(work, kill))

    def test_twice_and_after_the_end(self, start: Start) -> None:
        worker = start()
        worker.stop()
        worker.kill()
        worker.stop()
        assert not worker.alive and worker.pid is not None

    def test_at_random_moments_no_clip_is_lost_or_doubled(
        self, start: Start, listened: tuple[SharedPcm, Listened]
    ) -> None:
        """Whoever goes on with the clips that are missing has, in the end, what an undisturbed run has."""
        pcm, heard = listened
        clips = clips_of(heard)
        expected = dict(start().recognize(pcm, clips, Hints()))
        chance, got = random.Random(4), {}
        lost = 0
        while missing := [index for index in range(len(clips)) if index not in got]:
            worker = start(Fault("slow", seconds=0.03))
            timer = threading.Timer(chance.uniform(0, 0.15), lambda w: os.kill(w.pid, signal.SIGTERM), [worker])
            timer.start()
            try:
                for place, recognition in worker.recognize(pcm, [clips[index] for index in missing], Hints()):
                    assert missing[place] not in got
                    got[missing[place]] = recognition
            except WorkerLost as error:
                assert error.reason == "died"
                lost += 1
            timer.cancel()
            timer.join()
        assert got == expected and lost > 2


def broken() -> None:
    raise ZeroDivisionError


class TestGivingUp:
    def test_an_iterator_that_is_closed(self, start: Start, listened: tuple[SharedPcm, Listened]) -> None:
        """The child stops soon, and what it still had to say does not end up in the next answer."""
        pcm, heard = listened
        worker, clips = start(Fault("slow", seconds=0.05)), clips_of(heard)
        results = worker.recognize(pcm, clips, Hints())
        first = next(results)
        results.close()  # type: ignore[attr-defined]
        assert list(worker.recognize(pcm, clips[2:4], Hints(language="en")))[0][1].language == "en"
        assert first[1].language == "zh"

    def test_a_listener_that_raises(self, start: Start, sample: SharedBytes) -> None:
        worker = start()
        with pytest.raises(ZeroDivisionError):
            worker.listen(sample, Options(), lambda progress: broken())
        assert recognized(worker, sample, Options()).segments

    def test_admission_that_breaks(self, start: Start, sample: SharedBytes) -> None:
        worker = start()
        with pytest.raises(ZeroDivisionError):
            worker.listen(sample, Options(), admit=lambda more: broken())
        assert recognized(worker, sample, Options()).segments


def is_there(pid: int | None) -> bool:
    """A process that is not just waiting to be noticed."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# A parent that says where its child is, and then waits in some way.
PARENT = """
import sys, threading, io
from pathlib import Path
from jiyao.engines.scripted import Script, Fault
from jiyao.memory import SharedBytes, segments
from jiyao.pipeline import Options
from jiyao.recognition import Hints
from jiyao.settings import Settings
from jiyao.worker.parent import Worker
from tests.test_worker import clips_of
print("main", __name__, flush=True)
home, recording = Path(sys.argv[1]), Path(sys.argv[2])
segments.ANONYMOUS = segments.ANONYMOUS and sys.argv[3] == "anonymous"
worker = Worker(Settings(home=home), "scripted")
def start():
    worker.start()
    print("pid", worker.pid, flush=True)
start()
content = recording.read_bytes()
pcm, _, listened = worker.listen(SharedBytes.read_from(io.BytesIO(content), len(content)), Options())
for _ in worker.recognize(pcm, clips_of(listened), Hints()):
    print("heard", flush=True)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    running: list[subprocess.Popen[str]] = []

    def started(fault: Fault, kind: str = "anonymous") -> tuple[subprocess.Popen[str], int]:
        Script(faults=(fault,)).write(tmp_path)
        (tmp_path / "parent.py").write_text(PARENT)
        command = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path), str(SAMPLE), kind]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "main __main__\n"
        return process, int(process.stdout.readline().split()[1])

    yield started
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class TestParent:
    def test_its_main_module_is_not_run_again_in_the_child(self, parent: Parent) -> None:
        """It has no guard, as pages of Streamlit's have none: spawn alone would start workers without end."""
        process, _ = parent(Fault("slow", seconds=0))
        assert process.stdout is not None
        assert set(process.stdout.read().split()) == {"heard"}
        assert process.wait(LOST) == 0

    @pytest.mark.parametrize(
        ("do", "kind"),
        [("hang", "anonymous"), ("hang", "named"), pytest.param("freeze", "anonymous", marks=on_linux)],
    )
    def test_the_child_dies_with_it(self, parent: Parent, do: Any, kind: str) -> None:
        """Killed, so that it cannot say goodbye. No orphan goes on holding audio, and nothing stays in /dev/shm.

        One that is frozen cannot notice anything: there the kernel ends it.
        """
        before = named_segments()
        process, pid = parent(Fault(do, nth=2), kind)
        assert process.stdout is not None
        assert process.stdout.readline() == "heard\n"
        assert is_there(pid)
        assert (named_segments() != before) == (kind == "named" and sys.platform == "linux")
        process.kill()
        process.wait()
        patience = time.monotonic() + LOST
        while (is_there(pid) or named_segments() != before) and time.monotonic() < patience:
            time.sleep(0.02)
        assert not is_there(pid)
        assert named_segments() == before

    @on_linux
    def test_ctrl_c_is_the_parents_to_decide(self, start: Start, sample: SharedBytes) -> None:
        worker = start()
        assert worker.pid is not None
        for _ in range(3):
            os.kill(worker.pid, signal.SIGINT)
        assert recognized(worker, sample, Options()).segments

    @on_linux
    def test_the_child_outlives_the_thread_that_started_it(self, start: Start, sample: SharedBytes) -> None:
        worker = start(run=False)
        thread = threading.Thread(target=worker.start)
        thread.start()
        thread.join()
        assert recognized(worker, sample, Options()).segments

    @on_linux
    def test_the_child_has_no_files_of_its_parent(self, start: Start, tmp_path: Path) -> None:
        with (tmp_path / "secret").open("wb") as file:
            os.set_inheritable(file.fileno(), True)
            worker = start()
            folder = Path(f"/proc/{worker.pid}/fd")
            try:
                links = {int(link.name): os.readlink(link) for link in folder.iterdir()}
            except PermissionError:
                pytest.skip("a sealed process shows its files to root only")
        assert str(tmp_path / "secret") not in links.values()
        kinds = sorted(link.partition(":")[0] for number, link in links.items() if number > 2)
        # ours; and multiprocessing's: the parent's life, the child's, the tracker of resources
        assert [kind for kind in kinds if not kind.startswith("/dev/")] == ["pipe", "pipe", "pipe", "socket"]

    def test_the_child_prints_nothing_into_our_output(
        self, start: Start, sample: SharedBytes, capfd: pytest.CaptureFixture[str]
    ) -> None:
        recognized(start(), sample, Options())
        assert "".join(capfd.readouterr()) == ""


class TestSeal:
    def test_attempts_are_refused_and_counted(self, start: Start, listened: tuple[SharedPcm, Listened]) -> None:
        pcm, heard = listened
        worker = start(Fault("connect", nth=1), Fault("write", nth=2))
        assert list(worker.recognize(pcm, [], Hints())) == []
        before = worker.attempts  # of libraries
        assert len(list(worker.recognize(pcm, clips_of(heard), Hints()))) == len(clips_of(heard))
        assert worker.attempts.network - before.network == worker.attempts.write - before.write == 1

    @on_linux
    def test_the_kernel_enforces_it(self, start: Start) -> None:
        worker = start()
        assert worker.enforcement is not None
        layers = {layer.name: layer for layer in worker.enforcement.layers}
        if not (layers["landlock"].on and layers["seccomp"].on):
            pytest.skip("this kernel lacks Landlock or seccomp")
        assert [worker.enforcement.strength(kind) for kind in ("network", "write", "program")] == ["kernel"] * 3


# The parent's own memory while a long recording is decoded: bytes of the recording, of PCM, RSS before, its peak.
PEAK = """
import sys
from pathlib import Path
from jiyao.memory import SharedBytes
from jiyao.pipeline import Options
from jiyao.settings import Settings
from jiyao.worker.parent import Worker
worker = Worker(Settings(home=Path(sys.argv[1])), "scripted")
worker.start()
def peak():  # not getrusage's: that begins with what the process was before it became Python
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
before = peak()
with open(sys.argv[2], "rb") as file:
    recording = SharedBytes.read_from(file, Path(sys.argv[2]).stat().st_size)
pcm, _, listened = worker.listen(recording, Options())
print(recording.size, pcm.size, before, peak())
recording.wipe(), pcm.wipe(), worker.stop()
"""


@on_linux
def test_a_long_recording_costs_the_parent_what_it_must(tmp_path: Path) -> None:
    """30 minutes. The PCM is the child's work: the parent has it, but has not even touched it."""
    content = made("flac", "flac", signal=np.tile(tone(60, SAMPLE_RATE), 30), rate=SAMPLE_RATE, layout="mono")
    (tmp_path / "long.flac").write_bytes(content)
    command = [sys.executable, "-c", PEAK, str(tmp_path), str(tmp_path / "long.flac")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": "src"})
    compressed, pcm, before, peak = map(int, done.stdout.split())
    assert compressed == len(content) and pcm == pytest.approx(1800 * 32_000, rel=0.001)
    assert peak < compressed + pcm + 300_000_000
    assert peak - before < compressed + 20_000_000
