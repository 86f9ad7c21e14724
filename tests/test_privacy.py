"""What dependencies do behind one's back: files in the user's home, connections, uploaders inside binaries.

The seal that makes the system enforce this comes later; these tests watch what happens without it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SAMPLE

# hosts that collect usage for libraries we have or had; pieces, so that this file itself is not found
_COLLECTORS = re.compile(
    rb"events\.data\.microsoft\.com|posthog\.com|sentry\.io|segment\.io|google-analytics\.com|otel\.pyannote\.ai"
)
_BINARIES = (
    "onnxruntime",
    "ctranslate2",
    "av",
    "tokenizers",
    "opencc",
    "faster_whisper",
    "openvino",
    "sherpa_onnx",
    "cryptography",
    *("rjieba", "pypinyin", "ToJyutping", "spellchecker", "pypdf"),
)

_WATCHED = """
import sys
events = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        events.append(f"{event} {arguments[-1]!r}")
sys.addaudithook(watch)
from jiyao.cli import app
try:
    app(sys.argv[1:])
except SystemExit as ended:
    print("exit", ended.code, file=sys.stderr)
print("network", events, file=sys.stderr)
"""


@pytest.mark.parametrize("package", _BINARIES)
def test_no_library_carries_an_uploader(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    # wheels put bundled libraries beside the package
    places = [folder, *folder.parent.glob(f"{package}.libs")]
    files = [path for place in places for path in place.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert files
    guilty = [path.name for path in files if _COLLECTORS.search(path.read_bytes())]
    assert not guilty


def test_the_search_finds_an_uploader(tmp_path: Path) -> None:
    (tmp_path / "library.so").write_bytes(b"\x00https://mobile.events.data." + b"microsoft.com/OneCollector\x00")
    assert _COLLECTORS.search((tmp_path / "library.so").read_bytes())


@pytest.mark.skipif(os.name == "nt", reason="the home folder is named otherwise on Windows")
def test_a_transcription_leaves_nothing_but_its_result(starter_home: Path, tmp_path: Path) -> None:
    """A real run with an empty home, cache and temp folder: no file appears in them, no connection is tried."""
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    result = subprocess.run(
        [sys.executable, "-c", _WATCHED, "transcribe", str(SAMPLE), "-o", str(out), "-f", "txt", "--quiet"],
        env={**kept, "HOME": str(home), "TMPDIR": str(home), "JIYAO_HOME": str(starter_home)},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert b"exit 0" in result.stderr, result.stderr.decode()
    assert b"network []" in result.stderr
    assert [path for path in home.rglob("*")] == []
    assert [path.name for path in out.iterdir()] == ["review.txt"]
