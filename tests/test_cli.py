"""The command line as a person runs it: real child processes, real recordings, the real starter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from bench.scoring import character_error_rate

from jiyao import weights
from tests.conftest import SAMPLE, reference_text

pytestmark = pytest.mark.usefixtures("starter_home")


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "jiyao", *map(str, arguments)],
        capture_output=True,
        timeout=300,
        check=False,
        env={**os.environ, "LANGUAGE": "en", **environment},
    )


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


class TestExitCodes:
    def test_usage(self, tmp_path: Path) -> None:
        for arguments in (
            ["-f", "pdf"],
            ["--engine", "nothing"],
            ["--speakers", "auto"],
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
        process = subprocess.Popen(
            [sys.executable, "-m", "jiyao", "transcribe", str(SAMPLE), "-o", str(tmp_path), "-f", "txt"],
            stderr=subprocess.PIPE,
            env={**os.environ, "LANGUAGE": "en", "JIYAO_PROGRESS_EVERY_S": "0"},
        )
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

    def test_web_points_to_transcribe(self) -> None:
        result = run("web")
        assert result.returncode == 2
        assert "transcribe" in said(result)
