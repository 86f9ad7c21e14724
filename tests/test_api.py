"""The desk over HTTP: a real server on a socket, real jobs, real audio; the scripted engine says what is heard."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from jiyao import exports
from jiyao.api import Desk, fetcher, setup
from jiyao.api.answers import language_in
from jiyao.api.sound import Stretch, stretch_of
from jiyao.api.wire import characters, units
from jiyao.audio import decode
from jiyao.engines.scripted import Fault, Script
from jiyao.exports import ExportOptions
from jiyao.jobs import Listener
from jiyao.messages import say
from jiyao.settings import Settings
from jiyao.timeline import SAMPLE_RATE, Pcm
from tests.api_server import OPTIONS, Page, Served, over, scripted, serving
from tests.conftest import ROOT, SAMPLE
from tests.recordings import wav

FOUND: dict[str, Any] = {
    "offers": [
        {
            "name": name,
            "title": name,
            "size_bytes": size,
            "state": "absent",
            "engines": [engine],
            "speed": speed,
            "licence": "x",
        }
        for name, engine, size, speed in (
            ("qwen3-asr-0.6b", "qwen-cpu", 1_576_363_223, 0.06),
            ("whisper-base", "whisper-base", 147_882_941, 0.21),
        )
    ],
    "choice": {
        "name": "qwen-cpu",
        "missing_model": "qwen3-asr-0.6b",
        "rejected": [["qwen-torch", "engine.reason_no_gpu"]],
        "fallbacks": ["whisper-base"],
    },
}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What there is on this computer, without the seconds that looking takes."""
    found: dict[str, Any] = json.loads(json.dumps(FOUND))
    monkeypatch.setattr(fetcher, "found", lambda _: found)
    monkeypatch.setattr(setup, "find_spec", lambda _: None)
    return found


def a_desk(home: Path, **more: Any) -> Desk:
    return Desk(Settings(home=home, ui="zh", speakers="off", **more), options=OPTIONS, open_worker=scripted)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with a_desk(tmp_path) as desk, serving(desk) as running:
        yield running


@pytest.fixture
def job(client: httpx.Client) -> str:
    """The sample, recognised."""
    return done(client, SAMPLE.read_bytes(), SAMPLE.name)


def upload(client: httpx.Client, content: bytes, name: str = "会议.wav", **more: str) -> httpx.Response:
    return client.put("/api/uploads", params={"name": name, **more}, content=content)


def done(client: httpx.Client, content: bytes, name: str = "会议.wav", **more: str) -> str:
    answer = upload(client, content, name, **more)
    assert answer.status_code == 201, answer.text
    job: str = answer.json()["job"]
    assert over(client, job)["state"] == "done"
    return job


def noise(seconds: float) -> Pcm:
    made: Pcm = np.random.default_rng(1).integers(-9000, 9000, round(seconds * SAMPLE_RATE)).astype(np.int16)
    return made


def eventually(reached: Callable[[], object], patience_s: float = 10.0) -> None:
    until = time.monotonic() + patience_s
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.01)


def refused(answer: httpx.Response, status: int, key: str) -> None:
    assert (answer.status_code, answer.json()["error"]["key"]) == (status, key), answer.text
    assert answer.json()["error"]["message"] and answer.json()["error"]["remedy"]
    assert answer.headers["cache-control"] == "no-store"


class TestState:
    def test_a_page_begins_with_everything(self, client: httpx.Client, job: str) -> None:
        state = client.get("/api/state").json()
        assert state["seq"] > 0 and state["app"]["version"] and len(state["app"]["process"]) == 16
        assert state["host"]["memory_bytes"] > state["host"]["memory_free_bytes"] > 0
        assert state["host"]["gpu"] is None and state["host"]["device"] == "cpu"
        assert state["engine"]["name"] == "scripted" and state["engine"]["on_cpu"] is True
        assert state["sealed"]["outcome"] in ("kernel", "python") and state["sealed"]["refused"] == 0
        assert state["memory_used_bytes"] > 1_000_000
        assert [(one["id"], one["name"], one["state"]) for one in state["jobs"]] == [(job, SAMPLE.name, "done")]
        assert state["formats"] == list(exports.FORMATS) and state["recordings"] == []
        assert state["keep"] == {"on": False, "available": True, "exists": False, "open": False}

    def test_health_needs_no_key_and_says_nothing_else(self, served: Served) -> None:
        answer = httpx.get(f"{served.url}/api/health")
        assert answer.status_code == 200 and answer.json() == {"ok": True}
        assert httpx.get(f"{served.url}/api/state").status_code == 403

    def test_sentences_of_the_page_in_both_languages(self, client: httpx.Client) -> None:
        told = client.get("/api/messages").json()
        assert set(told) == {"zh", "en"} and set(told["zh"]) == set(told["en"])
        assert {key.partition(".")[0] for key in told["zh"]} <= {"desk", "lines", "player", "termsdesk", "voices"}

    def test_setup_says_what_each_choice_means(self, client: httpx.Client, known: dict[str, Any]) -> None:
        told = client.get("/api/state").json()["setup"]
        assert told["needed"] is True and told["checking"] is False
        assert [(one["name"], one["recommended"]) for one in told["models"]] == [
            ("qwen3-asr-0.6b", True),
            ("whisper-base", False),
        ]
        assert "1.6 GB" in told["models"][0]["says"] and told["models"][0]["speed"] == 16.7
        assert told["rejected"][0]["reason"] == say("engine.reason_no_gpu", "zh")
        english = client.get("/api/state?lang=en").json()["setup"]
        assert english["models"][0]["says"] != told["models"][0]["says"]

    def test_settings_are_for_jobs_that_come(self, client: httpx.Client, served: Served) -> None:
        told = client.put("/api/settings", json={"language": "yue", "script": "traditional", "terms": "OKR\n鸿蒙→鸿濛"})
        assert told.status_code == 200
        assert told.json() == {
            "engine": "auto",
            "language": "yue",
            "script": "traditional",
            "speakers": "off",
            "denoise": "off",
            "loudness": "off",
            "terms": "OKR\n鸿蒙→鸿濛",
            "terms_count": 2,
            "terms_error": None,
        }
        options = served.desk.options(None, "zh")
        assert (options.language, options.script, len(options.glossary.terms)) == ("yue", "traditional", 2)
        assert served.desk.options("en", "zh").language == "en"
        assert served.desk.options("auto", "zh").language is None

    def test_terms_with_a_mistake_are_shown_and_the_last_good_ones_stay(self, client: httpx.Client) -> None:
        client.put("/api/settings", json={"terms": "OKR"})
        told = client.put("/api/settings", json={"terms": "OKR\n→没有左边"}).json()
        assert told["terms"].endswith("→没有左边") and told["terms_count"] == 1
        assert "第 2 行" in told["terms_error"]["message"]
        assert client.put("/api/settings", json={"terms": "OKR\nKPI"}).json()["terms_error"] is None

    @pytest.mark.parametrize("wrong", [{"engine": "gpt"}, {"script": "latin"}, {"language": "../x"}, {"engine": 1}])
    def test_wrong_settings_set_nothing(self, client: httpx.Client, wrong: dict[str, object]) -> None:
        before = client.get("/api/settings").json()
        answer = client.put("/api/settings", json={"terms": "neu", **wrong})
        assert answer.status_code == 400 and answer.json()["error"]["remedy"]
        assert client.get("/api/settings").json() == before

    def test_the_seal_is_proved(self, client: httpx.Client) -> None:
        told = client.get("/api/seal?lang=en").json()
        assert told["outcome"] in ("kernel", "python") and len(told["rows"]) > 5
        assert json.loads(told["json"])["outcome"] == told["outcome"]
        assert set(told["live"]) == {"network", "write", "program"}
        assert client.get("/api/state").json()["sealed"]["outcome"] == told["outcome"]


class TestErrors:
    def test_other_paths_and_methods(self, client: httpx.Client) -> None:
        refused(client.get("/api/nowhere"), 404, "web.not_found")
        refused(client.get("/api/jobs/none"), 404, "jobs.unknown")
        refused(client.post("/api/state"), 405, "web.no_method")
        assert client.post("/api/state").headers["allow"] == "GET"
        refused(client.post("/api/queue", content=b"{"), 400, "web.bad_json")
        refused(client.post("/api/queue", content=b"[]"), 400, "web.bad_json")
        refused(client.post("/api/queue", json={"order": "x"}), 400, "web.bad_field")
        refused(client.post("/api/jobs/none/undo"), 404, "jobs.unknown")

    def test_they_are_told_in_the_asked_language(self, client: httpx.Client) -> None:
        for more, language in (
            ({"params": {"lang": "en"}}, "en"),
            ({"headers": {"X-Jiyao-Language": "en"}}, "en"),
            ({"headers": {"X-Jiyao-Language": "", "Accept-Language": "de, en;q=0.5, zh;q=0.9"}}, "zh"),
            ({"headers": {"X-Jiyao-Language": "", "Accept-Language": "en-GB,zh;q=0.9"}}, "en"),
        ):
            told = client.get("/api/jobs/none", **more).json()["error"]  # type: ignore[arg-type]
            assert told["message"] == say("jobs.unknown", language, job="none")  # type: ignore[arg-type]

    def test_a_weight_that_is_nonsense(self) -> None:
        assert language_in({}, {"accept-language": "en;q=x,zh;q=0.1"}) == "zh"

    def test_a_fault_of_ours_tells_nothing_of_the_meeting(
        self, client: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def broken(*_: object) -> None:
            raise ValueError("what was said in secret")

        monkeypatch.setattr(served.desk, "state", broken)
        answer = client.get("/api/state")
        refused(answer, 500, "web.unexpected")
        assert "ValueError" in answer.text
        told = capfd.readouterr()
        assert "secret" not in answer.text + told.out + told.err and "Traceback" not in answer.text + told.err

    def test_remedies_are_for_a_page_not_for_a_command_line(self, client: httpx.Client, tmp_path: Path) -> None:
        client.put("/api/settings", json={"engine": "whisper-base"})
        job = upload(client, wav(noise(1))).json()["job"]
        failed = over(client, job)
        assert failed["state"] == "failed" and failed["has_audio"] is False
        assert "whisper-base" in failed["error"]["message"]
        assert "jiyao models" not in failed["error"]["remedy"]


class TestUploads:
    def test_a_file_is_heard(self, client: httpx.Client, job: str) -> None:
        found = client.get(f"/api/jobs/{job}").json()
        assert found["duration_ms"] == 58_800 and found["has_audio"] is True
        assert len(found["parts"]) >= 2 and len(found["clips"]) >= 12
        assert all(clip["versions"] == [0] and clip["shown"] == 0 for clip in found["clips"])
        assert [line["start_ms"] for line in found["lines"]] == sorted(line["start_ms"] for line in found["lines"])
        line = found["lines"][0]
        assert "".join(line["text"][start:end] for start, end, _, _ in line["words"]) == line["text"].replace(" ", "")
        assert all(line["start_ms"] <= start <= end <= line["end_ms"] for _, _, start, end in line["words"])

    def test_the_language_of_one_file(self, client: httpx.Client) -> None:
        job = done(client, SAMPLE.read_bytes(), language="yue")
        assert {line["language"] for line in client.get(f"/api/jobs/{job}").json()["lines"]} == {"yue"}
        refused(upload(client, b"x", language="Cantonese!"), 400, "web.bad_value")

    def test_the_length_must_be_known(self, client: httpx.Client, served: Served) -> None:
        refused(client.put("/api/uploads?name=x", content=iter([b"abc"])), 411, "web.no_length")
        refused(client.put("/api/uploads?name=x", content=b""), 400, "audio.empty")
        refused(client.put("/api/uploads", content=b"abc"), 400, "web.bad_field")
        assert served.desk.jobs.memory() == ()

    def test_no_audio_fails_as_a_job(self, client: httpx.Client) -> None:
        failed = over(client, upload(client, b"this is no recording at all").json()["job"])
        assert failed["state"] == "failed" and failed["error"]["key"] == "audio.not_audio"

    def test_what_does_not_fit_is_refused_before_it_is_sent(self, tmp_path: Path) -> None:
        with a_desk(tmp_path, memory_limit_mb=20) as desk, serving(desk) as served:
            with begun_upload(served, 500_000_000) as line:
                told = answered(line)
                assert told.startswith("HTTP/1.1 413") and "memory.too_small" in told
            with served.client() as client:
                refused(upload(client, bytes(30_000_000)), 413, "memory.too_small")
                assert client.get("/api/state").json()["memory_used_bytes"] == 0

    def test_one_that_breaks_off_is_freed(self, served: Served, client: httpx.Client) -> None:
        with begun_upload(served, 50_000_000) as line:
            line.sendall(bytes(20_000_000))
            eventually(lambda: client.get("/api/state").json()["memory_used_bytes"] == 50_000_000)
        eventually(lambda: served.desk.jobs.memory() == ())
        assert served.desk.jobs.list() == []
        done(client, SAMPLE.read_bytes())

    def test_one_that_is_wiped_while_it_comes(self, served: Served, client: httpx.Client) -> None:
        with begun_upload(served, 50_000_000) as line:
            line.sendall(bytes(1_000_000))
            eventually(lambda: served.desk.jobs.memory())
            client.post("/api/wipe", json={})
            assert served.desk.jobs.memory() == ()
            line.sendall(bytes(100_000))
            told = answered(line)
            assert told.startswith("HTTP/1.1 409") and "web.wiped_meanwhile" in told
        assert served.desk.jobs.list() == []

    def test_others_are_served_while_one_comes(self, served: Served, client: httpx.Client) -> None:
        slowest, stop = 0.0, threading.Event()

        def send() -> None:
            with served.client() as other:
                while not stop.is_set():
                    upload(other, bytes(30_000_000))

        sender = threading.Thread(target=send)
        sender.start()
        for _ in range(30):
            began = time.monotonic()
            client.get("/api/health")
            slowest = max(slowest, time.monotonic() - began)
        stop.set()
        sender.join()
        assert slowest < 1.0  # far more than it takes: two slow cores do all of it

    def test_nothing_is_opened_for_writing(self) -> None:
        """A process in which the server, the client and the hook that watches all run; the worker is sealed anyway."""
        script = """
import os, sys, tempfile
from pathlib import Path
import numpy as np
from tests.api_server import OPTIONS, over, scripted, serving
from tests.recordings import wav
from jiyao.api import Desk, setup
from jiyao.settings import Settings

def main():
    setup.find_spec = lambda _: None
    setup.fetcher.found = lambda _: {}
    pcm = np.random.default_rng(1).integers(-9000, 9000, 2_500_000).astype(np.int16)
    body, home = wav(pcm), Path(tempfile.mkdtemp())
    assert len(body) > 5_000_000
    writing, seen = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, []
    def hook(event, given):
        if event == "open" and isinstance(given[0], (str, bytes)) and given[2] & writing:
            seen.append(given[0])
        elif event in ("tempfile.mkstemp", "tempfile.mkdtemp", "os.mkdir", "os.rename"):
            seen.append(event)
    with Desk(Settings(home=home), options=OPTIONS, open_worker=scripted) as desk, serving(desk) as served:
        with served.client() as client:
            sys.addaudithook(hook)
            job = client.put("/api/uploads?name=x.wav", content=body).json()["job"]
            print(over(client, job)["state"], client.get(f"/api/jobs/{job}/audio.wav").content == body, seen)
            client.post("/api/wipe", json={})
    print(seen, list(home.iterdir()))

if __name__ == "__main__":
    main()
"""
        told = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert told.stdout.splitlines() == ["done True []", "[] []"], told.stderr


class TestSealed:
    def test_a_sealed_desk_does_all_it_should_and_tries_nothing_else(self, tmp_path: Path) -> None:
        """A process of its own: a seal cannot be taken away again."""
        script = """
import socket, sys
from pathlib import Path
from tests.api_server import OPTIONS, over, scripted, serving
from tests.conftest import SAMPLE
from jiyao import seal
from jiyao.api import Desk, setup
from jiyao.settings import Settings

def main():
    setup.find_spec = lambda _: None
    setup.fetcher.found = lambda _: {}
    setup._APART = "print('{\\"fed\\": []}')"
    with Desk(Settings(home=Path(sys.argv[1])), options=OPTIONS, open_worker=scripted) as desk, serving(desk) as served:
        desk.guard()
        with served.client() as client:
            needed = client.post("/api/keep", json={"on": True}).json()
            if not needed["on"]:
                client.post("/api/keep", json={"on": True, "passphrase": "correct horse"}).raise_for_status()
            assert client.post("/api/setup/fetch", json={"model": "whisper-base"}).status_code == 202
            while desk.setup.busy: pass
            job = client.put("/api/uploads?name=x.flac", content=SAMPLE.read_bytes()).json()["job"]
            assert over(client, job)["state"] == "done" and over(client, job)["notes"] == []
            for name in client.get("/api/state").json()["formats"]:
                client.get(f"/api/jobs/{job}/export/{name}").raise_for_status()
            assert len(client.get("/api/kept").json()) == 1
            told = client.get("/api/seal").json()
            assert told["live"] == {"network": 0, "write": 0, "program": 0}, seal.attempts()
            client.post("/api/wipe", json={})
            print(client.get("/api/state").json()["sealed"], told["outcome"])
            outside = Path(sys.argv[1]) / "x"
            for wrong in (outside.mkdir, lambda: socket.create_connection(("192.0.2.1", 9))):
                try: wrong()
                except seal.Refused: pass
            print(client.get("/api/state").json()["sealed"]["refused"])

if __name__ == "__main__":
    main()
"""
        told = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        first, *rest = told.stdout.splitlines() or [told.stderr]
        outcome = "kernel" if "'kernel'" in first else "python"
        assert first == f"{{'outcome': '{outcome}', 'refused': 0}} {outcome}", told.stderr
        assert rest == ["2"]


def begun_upload(served: Served, size: int) -> socket.socket:
    """A connection that has announced an upload, and sent none of it."""
    line = socket.create_connection(("127.0.0.1", served.port), timeout=10)
    head = f"PUT /api/uploads?name=x.wav HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nOrigin: {served.url}\r\n"
    line.sendall(f"{head}Cookie: {served.cookie}\r\nContent-Length: {size}\r\n\r\n".encode())
    return line


def answered(line: socket.socket) -> str:
    """Head and JSON of an answer; the connection may stay open."""
    told = b""
    while not told.endswith(b"}}"):
        piece = line.recv(65536)
        assert piece, told
        told += piece
    return told.decode()


class TestRecordings:
    def test_it_outlives_the_page_and_repeats_are_left_out(self, served: Served, client: httpx.Client) -> None:
        pcm = noise(4).tobytes()
        begun = client.post("/api/recordings", json={"name": "录音"})
        assert begun.status_code == 201
        recording = begun.json()["id"]
        assert begun.json() == {"id": recording, "name": "录音", "bytes": 0, "duration_ms": 0}

        def chunk(start: int, stop: int) -> httpx.Response:
            return client.post(f"/api/recordings/{recording}", params={"offset": start}, content=pcm[start:stop])

        assert chunk(0, 32_000).json()["bytes"] == 32_000
        assert chunk(0, 32_000).json()["bytes"] == 32_000  # the answer got lost, the page sends it again
        assert chunk(16_000, 64_000).json() == {**begun.json(), "bytes": 64_000, "duration_ms": 2000}
        refused(chunk(70_000, 80_000), 409, "web.gap")
        with served.client() as other:  # the tab crashed: another one finds and finishes it
            assert other.get("/api/state").json()["recordings"][0]["bytes"] == 64_000
            assert chunk(64_000, len(pcm)).json()["duration_ms"] == 4000
            finished = other.post(f"/api/recordings/{recording}/finish", json={})
        assert finished.status_code == 201
        assert over(client, finished.json()["job"])["duration_ms"] == 4000
        heard = client.get(f"/api/jobs/{finished.json()['job']}/audio.wav").content
        assert heard[44:] == pcm
        assert client.get("/api/state").json()["recordings"] == []
        refused(chunk(0, 10), 404, "web.no_recording")

    def test_it_is_thrown_away(self, served: Served, client: httpx.Client) -> None:
        recording = client.post("/api/recordings", json={"name": "x"}).json()["id"]
        client.post(f"/api/recordings/{recording}?offset=0", content=bytes(1000))
        assert client.delete(f"/api/recordings/{recording}").json() == {"freed_bytes": 1000}
        assert served.desk.jobs.memory() == ()
        empty = client.post("/api/recordings", json={"name": "x"}).json()["id"]
        refused(client.post(f"/api/recordings/{empty}/finish", json={}), 400, "audio.empty")
        assert served.desk.jobs.memory() == ()

    def test_all_pages_know(self, client: httpx.Client) -> None:
        with Page(client) as page:
            recording = client.post("/api/recordings", json={"name": "x"}).json()["id"]
            assert page.until("recording")[-1][2]["id"] == recording
            client.delete(f"/api/recordings/{recording}")
            assert page.until("recording")[-1][2]["gone"] is True


class TestSound:
    def test_a_wav_that_stands_nowhere(self, client: httpx.Client, job: str) -> None:
        whole = client.get(f"/api/jobs/{job}/audio.wav")
        assert whole.status_code == 200 and whole.headers["content-type"] == "audio/wav"
        assert whole.headers["accept-ranges"] == "bytes" and whole.headers["cache-control"] == "no-store"
        with wave.open(io.BytesIO(whole.content)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2)
            frames = file.readframes(file.getnframes())
        assert frames == decode(io.BytesIO(SAMPLE.read_bytes())).pcm.tobytes()
        head = client.head(f"/api/jobs/{job}/audio.wav")
        assert head.status_code == 200 and head.content == b""
        assert head.headers["content-length"] == str(len(whole.content))

    def test_ranges_are_exact(self, client: httpx.Client, job: str) -> None:
        address = f"/api/jobs/{job}/audio.wav"
        whole = client.get(address).content
        total = len(whole)
        for asked, start, stop in (
            ("0-", 0, total),
            ("0-0", 0, 1),
            ("0-43", 0, 44),
            ("43-45", 43, 46),
            ("44-1000000", 44, 1_000_001),
            ("300001-800002", 300_001, 800_003),
            (f"{total - 1}-", total - 1, total),
            ("-10", total - 10, total),
            (f"-{total + 5}", 0, total),
            (f"1000000-{total + 99}", 1_000_000, total),
        ):
            answer = client.get(address, headers={"Range": f"bytes={asked}"})
            assert answer.status_code == 206, asked
            assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{total}"
            assert answer.content == whole[start:stop], asked
        for beyond in (f"{total}-", f"{total + 5}-{total + 9}", "-0"):
            answer = client.get(address, headers={"Range": f"bytes={beyond}"})
            assert answer.status_code == 416 and answer.headers["content-range"] == f"bytes */{total}"
        for nonsense in ("bytes=5-3", "bytes=0-1,4-5", "lines=0-4", "bytes=-", "bytes=x-y", "bytes=²-"):
            answer = client.get(address, headers=[(b"Range", nonsense.encode())])
            assert answer.status_code == 200 and answer.content == whole, nonsense
        other = client.get(address, headers={"Range": "bytes=0-9", "If-Range": '"something else"'})
        assert other.status_code == 200
        tag = other.headers["etag"]
        assert client.get(address, headers={"Range": "bytes=0-9", "If-Range": tag}).status_code == 206

    def test_before_it_is_decoded_there_is_none(self, client: httpx.Client, tmp_path: Path) -> None:
        job = over(client, upload(client, b"no sound").json()["job"])["id"]
        refused(client.get(f"/api/jobs/{job}/audio.wav"), 404, "jobs.no_audio")
        refused(client.get(f"/api/jobs/{job}/peaks?count=10"), 404, "jobs.no_audio")
        refused(client.get("/api/jobs/none/audio.wav"), 404, "jobs.unknown")

    @pytest.mark.parametrize("count", [1, 7, 1000, 1999])
    def test_peaks_are_the_loudest_of_each_stretch(self, client: httpx.Client, count: int) -> None:
        pcm = noise(3.7)
        pcm[20_000] = -32768
        pcm[40_000:41_000] = 0
        job = done(client, wav(pcm))
        found = client.get(f"/api/jobs/{job}/peaks?count={count}").content
        edges = np.linspace(0, len(pcm), count + 1).astype(int)
        loud = [np.abs(pcm[a:b].astype(int)).max() for a, b in zip(edges, edges[1:], strict=False)]
        assert list(found) == [round(255 * (value / 32768) ** 0.5) for value in loud]
        assert client.get(f"/api/jobs/{job}/peaks?count={count}").content == found
        refused(client.get(f"/api/jobs/{job}/peaks?count=0"), 400, "web.bad_field")

    def test_more_buckets_than_samples(self, client: httpx.Client) -> None:
        job = done(client, wav(noise(0.05)))
        assert len(client.get(f"/api/jobs/{job}/peaks?count=5000").content) == 5000

    def test_a_long_recording_is_looked_at_in_blocks(self, client: httpx.Client) -> None:
        pcm = noise(150)
        job = done(client, wav(pcm))
        found = client.get(f"/api/jobs/{job}/peaks?count=3").content
        assert list(found) == [round(255 * (int(np.abs(part).max()) / 32768) ** 0.5) for part in np.split(pcm, 3)]

    def test_ranges_by_themselves(self) -> None:
        assert stretch_of(None, 10) == Stretch(0, 10, 10, False)
        assert stretch_of("bytes=2-3", 10) == Stretch(2, 4, 10, True)
        assert stretch_of(f"bytes={'9' * 18}-", 10) is None
        assert stretch_of(f"bytes={'9' * 5000}-", 10) == Stretch(0, 10, 10, False)


class TestEvents:
    def test_they_come_in_order_and_go_on_where_a_page_was(self, client: httpx.Client) -> None:
        with Page(client) as page:
            job = upload(client, SAMPLE.read_bytes()).json()["job"]
            seen = page.until("state", job=job, state="done")
        numbers = [number for number, _, _ in seen if number is not None]
        assert numbers == sorted(set(numbers))
        kinds = [kind for _, kind, _ in seen]
        assert kinds.index("job") < kinds.index("listened") < kinds.index("clip") < kinds.index("lines")
        told = next(data["job"] for _, kind, data in seen if kind == "job")
        assert told["id"] == job and told["name"] == "会议.wav"
        length = next(data["job"] for _, kind, data in seen if kind == "listened")
        assert length["duration_ms"] == 58_800 and length["parts"] and length["clips"] and "lines" not in length
        put = [line for _, kind, data in seen if kind == "lines" for line in data["put"]]
        snapshot = client.get(f"/api/jobs/{job}").json()
        assert sorted(put, key=lambda line: (line["start_ms"], line["id"])) == snapshot["lines"]
        middle = numbers[len(numbers) // 2]
        with Page(client, 0, **{"Last-Event-ID": str(middle)}) as page:
            rest = page.until("state", job=job, state="done")
        assert min(event[0] for event in rest if event[0] is not None) > middle
        lines = [event for event in rest if event[1] == "lines"]
        assert lines == [event for event in seen if event[1] == "lines" and (event[0] or 0) > middle]
        with Page(client, snapshot["seq"]) as page:
            client.put("/api/settings", json={"language": "zh"})
            assert page.next()[1] == "settings"

    def test_one_that_is_too_old_begins_anew(self, client: httpx.Client, served: Served) -> None:
        with Page(client, 10**9) as page:  # of another start
            number, kind, _ = page.next()
            assert kind == "reset" and number == served.desk.jobs.seq
            client.put("/api/settings", json={"language": "zh"})
            assert page.next()[1] == "settings"
        for _ in range(40_100):
            served.desk.jobs.announce("nothing", {})
        with Page(client, 3) as page:
            assert page.next()[1] == "reset"

    def test_what_comes_together_comes_in_one_piece_and_at_once(self, client: httpx.Client, served: Served) -> None:
        with client.stream("GET", f"/api/events?after={served.desk.jobs.seq}") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            pieces = answer.iter_raw()
            assert next(pieces).startswith(b":")
            lags = []
            for _ in range(10):
                time.sleep(0.02)
                began = time.monotonic()
                served.desk.jobs.announce("recording", {"id": "x"})
                assert b"event: recording" in next(pieces)
                lags.append(time.monotonic() - began)
            assert sorted(lags)[5] < 0.1
            with served.desk.jobs._board.changed:
                for _ in range(50):
                    served.desk.jobs.announce("recording", {"id": "x"})
            assert next(pieces).count(b"event: recording") == 50

    def test_a_page_that_leaves_leaves_nothing_behind(
        self, client: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listeners: list[Listener] = []
        listen = served.desk.jobs.events

        def noted(after: int) -> Listener:
            listeners.append(listen(after))
            return listeners[-1]

        monkeypatch.setattr(served.desk.jobs, "events", noted)
        with Page(client, served.desk.jobs.seq):
            eventually(lambda: listeners)
        eventually(lambda: listeners[0].ended)

    def test_a_wipe_and_a_removal_reach_every_page(self, served: Served, client: httpx.Client, job: str) -> None:
        other = done(client, wav(noise(1)))
        with Page(client, served.desk.jobs.seq) as page:
            assert client.delete(f"/api/jobs/{other}").json()["jobs"] == 1
            assert page.until("removed")[-1][2]["job"] == other
            told = client.post("/api/wipe", json={}).json()
            assert told["jobs"] == 1 and told["buffer_bytes"] > 1_800_000
            seen = page.until("wiped")
            assert seen[-1][2] == {"job": "", **told}
            assert [data["job"] for _, kind, data in seen if kind == "removed"] == [job]
        with Page(client) as page:  # who comes later learns nothing of what was said
            kinds = [kind for _, kind, _ in page.until("wiped")]
        assert kinds.count("removed") == 2 and "lines" not in kinds and "clip" not in kinds

    def test_a_wrong_number_is_refused(self, client: httpx.Client) -> None:
        for wrong in ("x", "-1", "", "9" * 30):
            refused(client.get("/api/events", params={"after": wrong}), 400, "web.bad_field")

    def test_the_desk_that_closes_ends_its_streams(self, served: Served, client: httpx.Client) -> None:
        with Page(client, served.desk.jobs.seq) as page:
            threading.Timer(0.2, served.desk.jobs.close).start()
            with pytest.raises(AssertionError, match="the stream ended"):
                page.until("never")


class TestEdits:
    def edit(self, client: httpx.Client, job: str, *changes: dict[str, object]) -> httpx.Response:
        return client.post(f"/api/jobs/{job}/edits", json={"changes": changes})

    def lines(self, client: httpx.Client, job: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.get(f"/api/jobs/{job}").json()["lines"]
        return found

    def test_two_at_once_and_the_later_one_is_told(self, served: Served, client: httpx.Client, job: str) -> None:
        line = self.lines(client, job)[0]
        change = {"kind": "text", "line": line["id"], "version": line["version"], "text": "我改过了。"}
        with served.client() as other:
            assert self.edit(client, job, change).json()["seq"] == served.desk.jobs.seq
            late = self.edit(other, job, {**change, "text": "我也改了。"})
            refused(late, 409, "web.conflict")
            assert [one["text"] for one in late.json()["conflict"]] == ["我改过了。"]
            assert late.json()["conflict"][0]["edited"] is True
            gone = self.edit(other, job, {**change, "line": "no such line"})
            assert gone.status_code == 409 and gone.json()["conflict"] == [None]
        assert self.lines(client, job)[0]["text"] == "我改过了。"

    def test_undo_is_one_for_all(self, served: Served, client: httpx.Client, job: str) -> None:
        before = self.lines(client, job)
        one, two = before[0], before[1]
        with served.client() as other, Page(other, served.desk.jobs.seq) as page:
            self.edit(client, job, {"kind": "text", "line": one["id"], "version": one["version"], "text": "一"})
            seen = page.until("lines")[-1][2]
            assert [line["text"] for line in seen["put"]] == ["一"] and seen["can_undo"] and not seen["can_redo"]
            self.edit(other, job, {"kind": "text", "line": two["id"], "version": two["version"], "text": "二"})
            assert client.post(f"/api/jobs/{job}/undo").json() == {"done": True}
            assert other.post(f"/api/jobs/{job}/undo").json() == {"done": True}
            assert [line["text"] for line in self.lines(client, job)] == [line["text"] for line in before]
            assert client.post(f"/api/jobs/{job}/undo").json() == {"done": False}
            assert client.post(f"/api/jobs/{job}/redo").json() == {"done": True}
            assert self.lines(other, job)[0]["text"] == "一"
            found = client.get(f"/api/jobs/{job}").json()
            assert found["can_undo"] and found["can_redo"]

    def test_every_kind_of_change_in_one_step(self, client: httpx.Client, job: str) -> None:
        before = self.lines(client, job)
        a, b, c, d = ({"line": line["id"], "version": line["version"]} for line in before[:4])
        told = self.edit(
            client,
            job,
            {"kind": "speaker", **a, "speaker": "甲"},
            {"kind": "rename", "speaker": "甲", "name": "张总"},
            {"kind": "merge", **b},
            {"kind": "settle", **d},
        )
        assert told.status_code == 200, told.text
        after = self.lines(client, job)
        assert after[0]["speaker"] == "张总" and len(after) == len(before) - 1
        assert c["line"] not in {line["id"] for line in after}
        client.post(f"/api/jobs/{job}/undo")
        assert [line["id"] for line in self.lines(client, job)] == [line["id"] for line in before]

    def test_offsets_are_counted_as_javascript_does(self, client: httpx.Client, job: str) -> None:
        line = self.lines(client, job)[0]
        text = "好😀的，𠮷野家👍很好。"
        self.edit(client, job, {"kind": "text", "line": line["id"], "version": line["version"], "text": text})
        line = self.lines(client, job)[0]
        wide = text.encode("utf-16-le")
        for start, end, _, _ in line["words"]:
            assert wide[2 * start : 2 * end].decode("utf-16-le")  # no pair is torn
        assert max(end for _, end, _, _ in line["words"]) == len(wide) // 2
        cut = {"kind": "split", "line": line["id"], "version": line["version"], "offset": 5}
        assert self.edit(client, job, cut).status_code == 200
        assert [one["text"] for one in self.lines(client, job)[:2]] == ["好😀的，", "𠮷野家👍很好。"]

    @pytest.mark.parametrize(
        ("change", "key"),
        [
            ({"kind": "split", "offset": 0}, "web.cannot_split"),
            ({"kind": "split", "offset": 999}, "web.cannot_split"),
            ({"kind": "burn"}, "web.bad_field"),
            ({"kind": "text", "text": 7}, "web.bad_field"),
            ({"kind": "text", "text": "x", "version": True}, "web.bad_field"),
            ({}, "web.bad_field"),
        ],
    )
    def test_what_makes_no_sense(self, client: httpx.Client, job: str, change: dict[str, object], key: str) -> None:
        line = self.lines(client, job)[0]
        refused(self.edit(client, job, {"line": line["id"], "version": line["version"], **change}), 400, key)

    def test_units_and_characters(self) -> None:
        text = "a😀b𠮷c"
        for place in range(len(text) + 1):
            assert characters(text, units(text, place)) == place
            assert units(text, place) == len(text[:place].encode("utf-16-le")) // 2
        assert characters(text, 2) == 1 and characters(text, 99) == len(text) and characters("abc", -1) == 0


class TestJobs:
    def test_again_in_another_language_and_back(self, served: Served, client: httpx.Client, job: str) -> None:
        with Page(client, served.desk.jobs.seq) as page:
            assert client.post(f"/api/jobs/{job}/retry", json={"part": 0, "language": "en"}).json() == {"version": 1}
            page.until("state", job=job, state="done")
        found = over(client, job)
        parts = {clip["index"]: clip["part"] for clip in found["clips"]}
        assert {parts[line["clip"]] == 0: line["language"] for line in found["lines"]} == {True: "en", False: "zh"}
        assert found["clips"][0]["versions"] == [0, 1] and found["clips"][0]["shown"] == 1
        assert client.post(f"/api/jobs/{job}/show", json={"clip": 0, "version": 0}).status_code == 200
        found = client.get(f"/api/jobs/{job}").json()
        assert found["clips"][0]["shown"] == 0 and found["clips"][0]["versions"] == [0, 1]
        assert found["lines"][0]["language"] == "zh"
        refused(client.post(f"/api/jobs/{job}/show", json={"clip": 0, "version": 7}), 400, "jobs.no_version")
        refused(client.post(f"/api/jobs/{job}/retry", json={"part": 99}), 400, "jobs.no_part")
        refused(client.post(f"/api/jobs/{job}/retry", json={"engine": "x"}), 400, "web.bad_field")

    def test_a_queue_is_put_in_order_cancelled_and_resumed(self, client: httpx.Client, tmp_path: Path) -> None:
        Script(faults=(Fault("slow", seconds=0.3),)).write(tmp_path)
        first, second, third = (upload(client, SAMPLE.read_bytes(), f"{name}.flac").json()["job"] for name in "abc")
        assert client.post("/api/queue", json={"order": [third, second]}).status_code == 200
        places = {one["id"]: one["place"] for one in client.get("/api/state").json()["jobs"]}
        assert (places[third], places[second]) == (0, 1)
        for one in (second, third, first):
            assert client.post(f"/api/jobs/{one}/cancel").status_code == 200
        assert over(client, first)["state"] == "cancelled"
        client.post(f"/api/jobs/{second}/resume")
        eventually(lambda: client.get(f"/api/jobs/{second}").json()["state"] != "cancelled")
        assert client.delete(f"/api/jobs/{second}").status_code == 200
        refused(client.get(f"/api/jobs/{second}"), 404, "jobs.unknown")

    def test_files_are_what_the_exporter_makes(self, served: Served, client: httpx.Client, job: str) -> None:
        transcript = served.desk.jobs.transcript(job)
        for name in exports.FORMATS:
            answer = client.get(f"/api/jobs/{job}/export/{name}?times=0&merge=0&lang=en")
            options = ExportOptions(times=False, merge=False, language="en")
            assert answer.content == exports.export(transcript, name, options)
            assert answer.headers["content-type"] == exports.FORMATS[name].media_type
            assert answer.headers["content-disposition"].startswith('attachment; filename="review.')
        text = client.get(f"/api/jobs/{job}/text?times=1").text
        assert text == exports.export(transcript, "txt", ExportOptions()).decode()
        refused(client.get(f"/api/jobs/{job}/export/exe"), 400, "exports.unknown_format")

    def test_a_file_keeps_the_recordings_name(self, client: httpx.Client) -> None:
        job = done(client, wav(noise(1)), 'C:\\录音\\周会 3/4 "终".wav')
        told = client.get(f"/api/jobs/{job}/export/txt").headers["content-disposition"]
        assert told.endswith("filename*=UTF-8''4%20%22%E7%BB%88%22.txt")
        assert '"4 ___.txt"' in told

    def test_corrections_are_in_the_file(self, client: httpx.Client, job: str) -> None:
        line = client.get(f"/api/jobs/{job}").json()["lines"][0]
        change = {"kind": "text", "line": line["id"], "version": line["version"], "text": "改过的第一句。"}
        client.post(f"/api/jobs/{job}/edits", json={"changes": [change]})
        assert "改过的第一句。" in client.get(f"/api/jobs/{job}/export/txt").text

    def test_after_a_wipe_nothing_is_left(self, served: Served, client: httpx.Client, job: str) -> None:
        client.get(f"/api/jobs/{job}/peaks?count=100")
        client.post("/api/recordings", json={"name": "x"})
        told = client.post("/api/wipe", json={}).json()
        assert set(told) == {"jobs", "buffer_bytes", "resident_before", "resident_after", "worker_ended"}
        assert told["jobs"] == 1 and told["worker_ended"] is True
        state = client.get("/api/state").json()
        assert state["jobs"] == state["recordings"] == [] and state["memory_used_bytes"] == 0
        refused(client.get(f"/api/jobs/{job}/audio.wav"), 404, "jobs.unknown")
        refused(client.get(f"/api/jobs/{job}/peaks?count=100"), 404, "jobs.unknown")


class TestSetup:
    def child(self, monkeypatch: pytest.MonkeyPatch, *lines: object, then: str = "") -> None:
        """Another process in the place of the one that fetches: it says these lines."""
        said = "".join(f"print({json.dumps(line)!r}, flush=True)\n" for line in lines)
        monkeypatch.setattr(setup, "_APART", f"import sys, time\n{said}{then}")

    def step(self, file: str, done: int, total: int | None, note: str = "") -> dict[str, object]:
        step = {"source": "ModelScope", "file": file, "done_bytes": done, "total_bytes": total, "note": note}
        return {"step": step}

    def test_not_while_there_is_audio_and_no_audio_meanwhile(
        self, client: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.child(monkeypatch, then="time.sleep(60)")
        recording = client.post("/api/recordings", json={"name": "x"}).json()["id"]
        refused(client.post("/api/setup/fetch", json={"model": "whisper-base"}), 409, "web.held")
        client.delete(f"/api/recordings/{recording}")
        job = done(client, wav(noise(1)))
        refused(client.post("/api/setup/fetch", json={"model": "whisper-base"}), 409, "web.held")
        client.delete(f"/api/jobs/{job}")
        told = client.post("/api/setup/fetch", json={"model": "whisper-base"})
        assert told.status_code == 202 and told.json()["fetch"]["model"] == "whisper-base"
        refused(client.post("/api/setup/fetch", json={"model": "whisper-base"}), 409, "web.fetching")
        refused(upload(client, wav(noise(1))), 409, "web.fetching")
        refused(client.post("/api/recordings", json={"name": "x"}), 409, "web.fetching")
        assert client.post("/api/setup/cancel").status_code == 202
        eventually(lambda: not served.desk.setup.busy)
        assert client.get("/api/state").json()["setup"]["error"] is None
        assert upload(client, wav(noise(1))).status_code == 201

    def test_progress_is_of_the_whole_model_and_what_is_ready_is_seen(
        self, client: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch, known: dict[str, Any]
    ) -> None:
        total = 1_576_363_223
        self.child(
            monkeypatch,
            self.step("config.json", 0, 2398, "checking what is already there"),
            self.step("model.safetensors", 1000, 1_564_928_088),
            then="time.sleep(1)\n"
            'print(\'{"preparing": "qwen3-asr-0.6b"}\', flush=True)\ntime.sleep(0.5)\nprint(\'{"fed": ["qwen-cpu"]}\')',
        )
        with Page(client, served.desk.jobs.seq) as page:
            client.post("/api/setup/fetch", json={"model": "qwen3-asr-0.6b"})
            at = page.until("setup")
            while at[-1][2]["fetch"]["file"] != "model.safetensors":
                at = page.until("setup")
            assert at[-1][2]["fetch"] == {
                "model": "qwen3-asr-0.6b",
                "file": "model.safetensors",
                "done_bytes": 1000 + 2398,
                "total_bytes": total,
                "source": "ModelScope",
                "note": "",
                "preparing": False,
            }
            while not at[-1][2]["fetch"]["preparing"]:
                at = page.until("setup")
            known["choice"]["missing_model"] = None  # it is here now
            known["offers"][0]["state"] = "present"
            while at[-1][2]["fetch"] is not None:
                at = page.until("setup")
            assert at[-1][2]["needed"] is False and at[-1][2]["models"][0]["state"] == "present"
            assert at[-1][2]["error"] is None

    def test_what_cannot_be_had_says_why_and_leaves_the_other_choices(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for hub in ("JIYAO_MODELSCOPE_ENDPOINT", "HF_ENDPOINT", "JIYAO_HF_MIRROR_ENDPOINT"):
            monkeypatch.setenv(hub, "http://127.0.0.1:9")
        with a_desk(tmp_path) as desk, serving(desk) as served, served.client() as client:
            assert client.post("/api/setup/fetch", json={"model": "qwen3-asr-0.6b"}).status_code == 202
            eventually(lambda: not desk.setup.busy, 60)
            told = client.get("/api/state").json()["setup"]
            assert told["error"]["key"] == "weights.unreachable" and "jiyao models" not in told["error"]["remedy"]
            assert [one["name"] for one in told["models"]] == ["qwen3-asr-0.6b", "whisper-base"]
            refused(client.post("/api/setup/fetch", json={"model": "none"}), 500, "weights.unknown")

    def test_one_that_dies_says_so(self, client: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self.child(monkeypatch, then="sys.exit(3)")
        client.post("/api/setup/fetch", json={"model": "whisper-base"})
        eventually(lambda: not served.desk.setup.busy)
        assert client.get("/api/state").json()["setup"]["error"]["key"] == "web.fetch_broke"

    def test_the_child_that_looks_finds_what_there_is(self, tmp_path: Path) -> None:
        told = subprocess.run(
            [sys.executable, "-c", setup._APART, "state", "zh", str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        found = json.loads(told.stdout.splitlines()[-1])
        assert found["choice"]["missing_model"] in [offer["name"] for offer in found["offers"]]
        assert set(found["offers"][0]) == set(FOUND["offers"][0])
        assert all(say(reason, "zh") for _, reason in found["choice"]["rejected"])

    def test_its_environment_is_that_of_the_start(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "no")
        with a_desk(tmp_path) as desk:
            monkeypatch.setenv("HF_HUB_OFFLINE", "1")
            assert desk.setup._environ["HF_HUB_OFFLINE"] == "no"


class TestKeep:
    @pytest.fixture(autouse=True)
    def no_key_store(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from jiyao.errors import VaultError
        from jiyao.vault import keys

        def none(*_: object) -> None:
            raise VaultError("vault.no_keyring")

        monkeypatch.setattr(keys, "_ask_store", none)

    def test_on_with_a_passphrase_and_found_again(self, client: httpx.Client, served: Served) -> None:
        assert client.get("/api/kept").json() == []
        assert client.post("/api/keep", json={"on": True}).json() == {
            "on": False,
            "needs_passphrase": True,
            "new": True,
        }
        refused(client.post("/api/keep", json={"on": True, "passphrase": ""}), 400, "vault.empty_passphrase")
        client.put("/api/settings", json={"terms": "OKR"})
        assert client.post("/api/keep", json={"on": True, "passphrase": "correct horse"}).json() == {"on": True}
        assert client.get("/api/state").json()["keep"]["on"] is True
        job = done(client, SAMPLE.read_bytes(), SAMPLE.name)
        [kept] = client.get("/api/kept").json()
        assert kept["name"] == SAMPLE.name and kept["duration_ms"] == 58_800 and kept["clips"] >= 12
        line = client.get(f"/api/jobs/{job}").json()["lines"][0]
        change = {"kind": "text", "line": line["id"], "version": line["version"], "text": "改过。"}
        client.post(f"/api/jobs/{job}/edits", json={"changes": [change]})
        client.post("/api/wipe", json={})
        answer = client.get(f"/api/kept/{kept['id']}/export/txt")
        assert answer.status_code == 200 and "改过。" in answer.text
        assert client.post("/api/keep", json={"on": False}).json() == {"on": False}
        done(client, wav(noise(1)), "not kept")
        assert len(client.get("/api/kept").json()) == 1
        assert "1" in client.delete(f"/api/kept/{kept['id']}").json()["message"]
        assert client.get("/api/kept").json() == []
        refused(client.get(f"/api/kept/{kept['id']}/export/txt"), 404, "vault.unknown_recording")

    def test_the_next_start_asks_for_it(self, tmp_path: Path) -> None:
        with a_desk(tmp_path) as desk:
            desk.set_keep(True, "correct horse")
            desk._set_terms("鸿蒙→鸿濛\nOKR")
        with a_desk(tmp_path) as desk, serving(desk) as served, served.client() as client:
            assert client.post("/api/keep", json={"on": True}).json() == {
                "on": False,
                "needs_passphrase": True,
                "new": False,
            }
            refused(client.get("/api/kept"), 400, "vault.needs_passphrase")
            refused(client.post("/api/keep", json={"on": True, "passphrase": "x"}), 400, "vault.wrong_passphrase")
            assert client.post("/api/keep", json={"on": True, "passphrase": "correct horse"}).json() == {"on": True}
            assert client.get("/api/settings").json()["terms"] == "鸿蒙→鸿濛\nOKR"
