"""Cleaning on the way: what is heard, cut, played and said with it and without, and that no text is lost to it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from jiyao import cleaning, pipeline
from jiyao.api import Desk
from jiyao.audio import Note, PcmBuffer, decode
from jiyao.cleaning import Denoiser, denoise
from jiyao.cleaning.denoise import Spectra
from jiyao.engines.scripted import Scripted
from jiyao.errors import MemoryLimitError
from jiyao.jobs import Advanced, Jobs
from jiyao.jobs.incoming import WAV_HEADER_BYTES
from jiyao.memory import SharedBytes
from jiyao.pipeline import Listened, Options, Progress, Room, Sound
from jiyao.settings import Settings
from jiyao.timeline import SAMPLE_RATE, Pcm
from jiyao.vault import Passphrase, Vault
from jiyao.weights.store import model_folder
from jiyao.worker.parent import Worker
from tests.api_server import OPTIONS, over, scripted, serving
from tests.conftest import SAMPLE
from tests.recordings import wav

DENOISED = replace(OPTIONS, denoise=True)
LOUDER = replace(OPTIONS, loudness=True)
MEGABYTES = dict(recording_mb=1, pcm_mb=1, reserve_mb=1, needed_mb=1, free_mb=0, held_mb=0)


@pytest.fixture(scope="module")
def sound() -> Pcm:
    """The first 24 seconds of the sample, by a fan."""
    pcm = decode(SAMPLE.read_bytes()).pcm[: 24 * SAMPLE_RATE]
    fan = np.random.default_rng(1).normal(0, 300, len(pcm))
    made: Pcm = np.clip(pcm + fan, -32768, 32767).astype(np.int16)
    return made


@pytest.fixture
def denoiser_home(denoiser_model: Path, tmp_path: Path) -> Path:
    """A home with the denoiser's model alone, which may be broken."""
    folder = model_folder(cleaning.DENOISER, tmp_path)
    folder.mkdir(parents=True)
    for file in denoiser_model.parent.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
        shutil.copystat(file, folder / file.name)  # by its time a file is known to be the one that was checked
    return tmp_path


def denoised_by(model: Path, pcm: Pcm) -> Pcm:
    return np.concatenate(list(Denoiser(model).pieces(pcm)))


def quieter(pcm: Pcm, by: float) -> Pcm:
    made: Pcm = np.rint(pcm / by).astype(np.int16)
    return made


def listened(pcm: Pcm, vad_model: Path, options: Options, denoiser: Path | None = None) -> Listened:
    return pipeline.listen(io.BytesIO(wav(pcm)), vad_model, options, denoiser=denoiser)


def spoken(found: Listened) -> int:
    """Samples that count as speech."""
    return sum(len(span) for part in found.parts for span in part.speech)


class TestTheWay:
    def test_nothing_is_touched_by_default(self, sound: Pcm, vad_model: Path) -> None:
        found = listened(quieter(sound, 60), vad_model, OPTIONS)
        assert np.array_equal(found.recording.pcm, quieter(sound, 60))
        assert found.denoised is None and found.recording.notes == ()

    def test_what_is_recognised_keeps_its_noise(self, sound: Pcm, vad_model: Path, denoiser_model: Path) -> None:
        plain, found = listened(sound, vad_model, OPTIONS), listened(sound, vad_model, DENOISED, denoiser_model)
        assert np.array_equal(found.recording.pcm, sound)
        assert found.recording.notes == ()
        whole = denoised_by(denoiser_model, sound)
        assert found.denoised is not None and np.array_equal(found.denoised, whole)
        assert not np.array_equal(whole, sound)
        assert spoken(found) >= spoken(plain)

    def test_speech_that_only_the_denoised_sound_shows_is_heard(
        self, sound: Pcm, vad_model: Path, denoiser_model: Path
    ) -> None:
        """A voice far away, beside something that hums."""
        at_s = np.arange(len(sound)) / SAMPLE_RATE
        hum = sum(1500 * np.sin(2 * np.pi * hz * at_s) for hz in (50, 100, 150, 200, 300))
        drowned = quieter(sound, 8) + np.rint(hum).astype(np.int16)
        plain, found = listened(drowned, vad_model, OPTIONS), listened(drowned, vad_model, DENOISED, denoiser_model)
        assert spoken(found) > spoken(plain) + 2 * SAMPLE_RATE

    def test_a_quiet_recording_is_made_louder_before_anybody_listens(self, sound: Pcm, vad_model: Path) -> None:
        quiet = quieter(sound, 60)
        plain, found = listened(quiet, vad_model, OPTIONS), listened(quiet, vad_model, LOUDER)
        [note] = found.recording.notes
        assert note == Note("cleaning.amplified", {"gain": note.parameters["gain"]})
        level = cleaning.measure(found.recording.pcm).steady_lufs
        assert level == pytest.approx(-23, abs=1), note
        assert len(found.recording.pcm) == len(quiet) and spoken(found) > spoken(plain)

    def test_a_loud_one_stays_as_it_is(self, sound: Pcm, vad_model: Path) -> None:
        found = listened(sound, vad_model, LOUDER)
        assert np.array_equal(found.recording.pcm, sound) and found.recording.notes == ()

    def test_both_denoising_last(self, sound: Pcm, vad_model: Path, denoiser_model: Path) -> None:
        """A quiet voice would be taken for noise."""
        found = listened(quieter(sound, 60), vad_model, replace(DENOISED, loudness=True), denoiser_model)
        amplified = denoised_by(denoiser_model, found.recording.pcm)
        assert found.denoised is not None and np.array_equal(found.denoised, amplified)
        assert [note.key for note in found.recording.notes] == ["cleaning.amplified"]

    def test_where_it_stands_is_told(
        self, sound: Pcm, vad_model: Path, denoiser_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(denoise, "_PIECE", 10 * SAMPLE_RATE)
        steps: list[Progress] = []
        pipeline.listen(io.BytesIO(wav(sound)), vad_model, DENOISED, steps.append, denoiser=denoiser_model)
        assert list(dict.fromkeys(step.stage for step in steps)) == ["loading", "cleaning"]
        cleans = [step for step in steps if step.stage == "cleaning"]
        assert [step.done_ms for step in cleans] == [10_000, 20_000, 24_000]
        assert {step.total_ms for step in cleans} == {24_000}

    def test_no_step_of_it_is_silent(self, sound: Pcm, vad_model: Path) -> None:
        """In hours of recording each takes longer than a worker may be still: measuring, amplifying, finding speech."""
        steps: list[Progress] = []
        pipeline.listen(io.BytesIO(wav(quieter(sound, 60))), vad_model, LOUDER, steps.append)
        done = [step.done_ms for step in steps if step.stage == "cleaning"]
        assert done.count(24_000) == 3 and done.count(10_000) == 2


@pytest.fixture(scope="module")
def plain(sound: Pcm, vad_model: Path) -> Listened:
    return listened(sound, vad_model, OPTIONS)


class TestNoTextIsLost:
    def same(self, found: Listened, plain: Listened, key: str) -> None:
        assert found.denoised is None and found.parts == plain.parts
        [note] = found.recording.notes
        assert note.key == key and note.warning

    def test_no_model(self, sound: Pcm, vad_model: Path, plain: Listened) -> None:
        self.same(listened(sound, vad_model, DENOISED), plain, "cleaning.left_out")

    def test_a_model_that_does_not_load(self, sound: Pcm, vad_model: Path, tmp_path: Path, plain: Listened) -> None:
        (tmp_path / "broken.onnx").write_bytes(b"no model")
        self.same(listened(sound, vad_model, DENOISED, tmp_path / "broken.onnx"), plain, "cleaning.left_out")

    def test_a_model_that_breaks_off(
        self,
        sound: Pcm,
        vad_model: Path,
        denoiser_model: Path,
        plain: Listened,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Half way; the room for it is given back by whoever made it."""
        enhanced, done = Denoiser._enhanced, list[int]()

        def breaking(denoiser: Denoiser, spectra: Spectra) -> Spectra:
            done.append(len(spectra))
            if len(done) == 2:
                monkeypatch.setitem(denoise._MEMORY, "conv_cache", (1,))  # a shape that the network does not take
            return enhanced(denoiser, spectra)

        monkeypatch.setattr(denoise, "_PIECE", 10 * SAMPLE_RATE)
        monkeypatch.setattr(Denoiser, "_enhanced", breaking)
        self.same(listened(sound, vad_model, DENOISED, denoiser_model), plain, "cleaning.left_out")
        assert len(done) >= 2

    def test_no_room(self, sound: Pcm, vad_model: Path, denoiser_model: Path, plain: Listened) -> None:
        def room(wanted: Sound, n_samples: int) -> Room:
            if wanted == "denoised":
                raise MemoryError
            return PcmBuffer(n_samples)

        found = pipeline.listen(io.BytesIO(wav(sound)), vad_model, DENOISED, room=room, denoiser=denoiser_model)
        self.same(found, plain, "cleaning.no_room")

    def test_the_transcript_says_so(self, sound: Pcm, vad_model: Path) -> None:
        options = replace(DENOISED, notes_language="zh")
        made = pipeline.transcribe(io.BytesIO(wav(sound)), "a.wav", Scripted(), vad_model, options)
        assert made.segments and made.source.notes == ("没有降噪；文字不受影响。降噪模型不在这台电脑上。",)


class TestTheWorker:
    @pytest.fixture
    def start(self) -> Iterator[Callable[[Path], Worker]]:
        workers: list[Worker] = []

        def started(home: Path) -> Worker:
            workers.append(Worker(Settings(home=home), "scripted"))
            workers[-1].start()
            return workers[-1]

        yield started
        for worker in workers:
            worker.stop()

    @pytest.fixture
    def recording(self, sound: Pcm) -> Iterator[SharedBytes]:
        content = wav(sound)
        shared = SharedBytes.read_from(io.BytesIO(content), len(content))
        yield shared
        shared.wipe()

    def test_both_sounds_come_in_shared_memory(
        self,
        start: Callable[[Path], Worker],
        denoiser_home: Path,
        denoiser_model: Path,
        recording: SharedBytes,
        sound: Pcm,
    ) -> None:
        asked: list[int] = []
        steps: list[Progress] = []
        pcm, denoised, heard = start(denoiser_home).listen(recording, DENOISED, steps.append, asked.append)
        assert denoised is not None and heard.denoised and heard.notes == ()
        assert np.array_equal(pcm.array, sound)
        whole = denoised_by(denoiser_model, sound)
        assert np.array_equal(denoised.array, whole)
        assert len(asked) == 2 and asked[1] == sound.nbytes
        assert {step.stage for step in steps} == {"loading", "cleaning"}
        assert pcm.wipe() == denoised.wipe() == sound.nbytes

    def test_no_room_for_the_second_costs_the_second_only(
        self, start: Callable[[Path], Worker], denoiser_home: Path, recording: SharedBytes, sound: Pcm
    ) -> None:
        asked: list[int] = []

        def admit(more: int) -> None:
            asked.append(more)
            if len(asked) == 2:
                raise MemoryLimitError("memory.too_small", **MEGABYTES)

        worker = start(denoiser_home)
        pcm, denoised, heard = worker.listen(recording, DENOISED, admit=admit)
        assert denoised is None and [note.key for note in heard.notes] == ["cleaning.no_room"]
        assert np.array_equal(pcm.array, sound)
        pcm.wipe()
        pcm, denoised, _ = worker.listen(recording, DENOISED)
        assert denoised is not None
        pcm.wipe(), denoised.wipe()

    def test_a_model_that_was_damaged(
        self, start: Callable[[Path], Worker], denoiser_home: Path, recording: SharedBytes
    ) -> None:
        file = model_folder(cleaning.DENOISER, denoiser_home) / "gtcrn_simple.onnx"
        file.write_bytes(file.read_bytes()[:1000])
        pcm, denoised, heard = start(denoiser_home).listen(recording, DENOISED)
        assert denoised is None and heard.parts and [note.key for note in heard.notes] == ["cleaning.left_out"]
        pcm.wipe()


class TestJobs:
    def test_it_is_counted_and_goes_with_its_job(self, denoiser_home: Path, sound: Pcm) -> None:
        with Jobs(Settings(home=denoiser_home), open_worker=scripted) as jobs:
            job = jobs.submit(wav(sound), "a.wav", DENOISED)
            listener = jobs.events(0, job)
            view = jobs.wait(job, 60)
            assert view.state == "done" and view.has_denoised
            sizes = {entry.kind: entry.size_bytes for entry in jobs.memory()}
            assert sizes == {"pcm": sound.nbytes, "denoised": sound.nbytes}
            assert jobs.pcm_bytes(job, 0, sound.nbytes) == sound.tobytes()
            assert jobs.pcm_bytes(job, 0, 1000, "denoised") != sound.tobytes()[:1000]
            steps = [event.change for event in listener.take(0) if isinstance(event.change, Advanced)]
            assert any(step.cleaning for step in steps) and not steps[-1].cleaning
            assert jobs.remove(job) == 2 * sound.nbytes and jobs.memory() == ()

    def test_louder_is_another_making(self, tmp_path: Path, sound: Pcm) -> None:
        """What was heard before it was made louder is not taken for what would be heard after."""
        key = Passphrase("correct horse", log2_n=10)
        texts = []
        with Vault.open(tmp_path / "vault", key) as vault:
            for options in (OPTIONS, LOUDER, OPTIONS, DENOISED):
                with Jobs(Settings(home=tmp_path), vault, open_worker=scripted) as jobs:
                    job = jobs.submit(wav(quieter(sound, 60)), "a.wav", options)
                    listener = jobs.events(0, job)
                    jobs.wait(job, 60)
                    taken = [type(event.change).__name__ for event in listener.take(0)].count("TakenOver")
                    texts.append(bool(taken))
        assert texts == [False, False, True, True]


class TestApi:
    @pytest.fixture
    def desk(self, denoiser_home: Path) -> Iterator[Desk]:
        with Desk(Settings(home=denoiser_home, ui="zh"), options=OPTIONS, open_worker=scripted) as desk:
            yield desk

    @pytest.fixture
    def client(self, desk: Desk) -> Iterator[httpx.Client]:
        with serving(desk) as served, served.client() as client:
            yield client

    def put(self, client: httpx.Client, content: bytes) -> str:
        answer = client.put("/api/uploads", params={"name": "会议.wav"}, content=content).raise_for_status()
        job = str(answer.json()["job"])
        assert over(client, job)["state"] == "done"
        return job

    def test_off_then_on(self, client: httpx.Client, desk: Desk, sound: Pcm) -> None:
        assert desk.setup._known.wait(60)
        state = client.get("/api/state").json()
        assert (state["settings"]["denoise"], state["settings"]["loudness"]) == ("off", "off")
        assert state["setup"]["denoiser"] == {"ready": True, "model": "gtcrn", "size_bytes": 535_190}
        plain = self.put(client, wav(sound))
        assert not client.get(f"/api/jobs/{plain}").json()["has_denoised"]
        missing = client.get(f"/api/jobs/{plain}/audio.wav?sound=denoised")
        assert missing.status_code == 404 and missing.json()["error"]["key"] == "jobs.no_audio"

        client.put("/api/settings", json={"denoise": "on", "loudness": "on"}).raise_for_status()
        job = self.put(client, wav(quieter(sound, 60)))
        told = client.get(f"/api/jobs/{job}").json()
        assert told["has_denoised"] and ["放大" in note["message"] for note in told["notes"]] == [True]
        original, denoised = (
            client.get(f"/api/jobs/{job}/audio.wav", params={"sound": name}) for name in ("pcm", "denoised")
        )
        assert len(original.content) == len(denoised.content) == WAV_HEADER_BYTES + sound.nbytes
        assert original.content != denoised.content and original.headers["etag"] != denoised.headers["etag"]
        part = client.get(f"/api/jobs/{job}/audio.wav?sound=denoised", headers={"Range": "bytes=100000-100009"})
        assert part.status_code == 206 and part.content == denoised.content[100_000:100_010]

    @pytest.mark.parametrize("wanted", [{"denoise": "yes"}, {"loudness": True}, {"loudness": ""}])
    def test_what_is_neither_on_nor_off(self, client: httpx.Client, wanted: dict[str, object]) -> None:
        assert client.put("/api/settings", json=wanted).status_code == 400

    def test_a_sound_that_there_is_not(self, client: httpx.Client, sound: Pcm) -> None:
        job = self.put(client, wav(sound))
        answer = client.get(f"/api/jobs/{job}/audio.wav?sound=louder")
        assert answer.status_code == 400 and answer.json()["error"]["key"] == "web.bad_field"


def test_without_its_model_the_switch_does_nothing(tmp_path: Path, sound: Pcm) -> None:
    """As settings.toml may have it: the job is not troubled with what the page shows as not there."""
    settings = Settings(home=tmp_path, ui="zh", denoise="on")
    with Desk(settings, options=OPTIONS, open_worker=scripted) as desk:
        assert not desk.options(None, "zh").denoise
