"""A whole run from outside: every system call of `jiyao transcribe`, and the memory of a process after a wipe."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, SAMPLE

_FAR = re.compile(r'(?:inet_addr\(|inet_pton\(AF_INET6, )"(?!127\.0\.0\.1"|::1")')
_WRITES = re.compile(r"\bopen(?:at)?\(.*(?:O_WRONLY|O_RDWR|O_CREAT)")
# nothing that is content: the terminal, shared memory of semaphores, Python's one look for a temporary folder, the
# kernel's view of this process, and what the kernel refused
_HARMLESS = re.compile(r'"/dev/(?:null|tty|shm/[^"]*)"|"/tmp/\w{8}"|"/proc/|= -1 E')


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_no_connection_and_no_file_but_the_result(starter_home: Path, tmp_path: Path) -> None:
    """Parent, worker and whatever they start, from the first to the last system call."""
    out, log = tmp_path / "out", tmp_path / "trace"
    out.mkdir()
    strace = ["strace", "-f", "-qq", "-s", "300", "-o", str(log), "-e", "trace=%network,openat,open,creat"]
    done = subprocess.run(
        [*strace, sys.executable, "-m", "jiyao", "transcribe", str(SAMPLE), "-o", str(out), "-f", "txt"],
        env={**os.environ, "JIYAO_HOME": str(starter_home), "JIYAO_ENGINE": "whisper-base"},
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (out / "review.txt").stat().st_size > 100
    lines = log.read_text(errors="replace").splitlines()
    assert any(SAMPLE.name in line for line in lines), "strace saw the run"
    assert [line for line in lines if " connect(" in line and "EPERM" not in line and _FAR.search(line)] == []
    sent = [line for line in lines if re.search(r" send(?:to|msg|mmsg)\(", line) and _FAR.search(line)]
    assert sent == []
    written = [line for line in lines if _WRITES.search(line) and not _HARMLESS.search(line)]
    assert any(str(out) in line for line in written), "strace saw the result"
    strangers = [line for line in written if str(out) not in line and "__pycache__" not in line]
    assert strangers == []


def test_a_far_address_would_be_found() -> None:
    assert _FAR.search(
        '9 connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.1")}, 16) = 0'
    )
    assert _FAR.search('9 connect(3, {sa_family=AF_INET6, inet_pton(AF_INET6, "2001:db8::1", &sin6_addr)}, 28) = 0')
    assert not _FAR.search('9 connect(3, {sa_family=AF_INET, sin_addr=inet_addr("127.0.0.1")}, 16) = 0')
    assert not _FAR.search('9 connect(3, {sa_family=AF_INET6, inet_pton(AF_INET6, "::1", &sin6_addr)}, 28) = 0')


# Runs in a process of its own: this one holds what other tests left
_WIPED = """
import json, sys, wave
from pathlib import Path
import numpy as np
from jiyao import seal
from jiyao.jobs import Jobs
from jiyao.settings import Settings
from tests.test_jobs import OPTIONS, scripted
if __name__ == "__main__":
    with wave.open(sys.argv[1], "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(16000)
        noise = np.random.default_rng(0)
        for second in range(3600):
            file.writeframes((noise.normal(0, 2000 if second % 9 else 0, 16000)).astype("<i2").tobytes())
    with Jobs(Settings(home=Path(sys.argv[2])), open_worker=scripted) as jobs:
        small = jobs.submit(Path(sys.argv[3]), "small", OPTIONS)
        jobs.wait(small)
        jobs.wipe(None)
        before = seal.resident_bytes()
        job = jobs.submit(Path(sys.argv[1]), "hour", OPTIONS)
        view = jobs.wait(job)
        during = seal.resident_bytes()
        wiped = jobs.wipe(job)
        print(json.dumps([view.state, before, during, seal.resident_bytes(), wiped.buffer_bytes]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is only given back at once on Linux")
def test_after_an_hour_is_wiped_the_memory_is_back(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WIPED, str(tmp_path / "hour.wav"), str(tmp_path / "home"), str(SAMPLE)],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # start.py keeps the folder where we stand off the path
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    state, before, during, after, buffers = json.loads(done.stdout.splitlines()[-1])
    assert state == "done"
    assert buffers >= 3600 * 16_000 * 2, "the sound was in memory until it was wiped"
    assert during > before
    assert after - before < 60_000_000
