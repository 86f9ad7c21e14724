"""start.py for real: a copy in a folder with spaces and 中文 makes real environments and starts a stand-in for jiyao.

Nothing is fetched: the requirements are empty, or one wheel made here.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace

import psutil
import pytest

ROOT = Path(__file__).parent.parent
WINDOWS = os.name == "nt"
POSIX_ONLY = pytest.mark.skipif(WINDOWS, reason="signals and shell scripts of POSIX")
EMPTY = "# nothing is needed here\n"

STAND_IN = """
import json, os, signal, sys, time

if sys.argv[1:] == ["wait"]:
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(130)
if sys.argv[1:] == ["die"]:
    os.kill(os.getpid(), signal.SIGKILL)
try:
    import toy
except ImportError:
    toy = None
print(json.dumps({"argv": sys.argv[1:], "toy": toy is not None, "here": os.getcwd(), "utf8": sys.flags.utf8_mode}))
sys.exit(7)
"""


@dataclass(frozen=True)
class Place:
    """A copy of the project's outside: start.py, requirements, a stand-in for the package."""

    root: Path
    first: tuple[subprocess.CompletedProcess[str], ...]  # how the very first starts went: two at once

    def require(self, base: str, test: str | None = None) -> None:
        (self.root / "requirements" / "base.txt").write_text(base, encoding="utf-8")
        for name in ("test", "gpu"):
            (self.root / "requirements" / f"{name}.txt").write_text(base if test is None else test, encoding="utf-8")
        (self.root / "requirements" / "test-torch.txt").write_text(EMPTY, encoding="utf-8")

    def module(self) -> ModuleType:
        """The copied start.py as a module, to ask where things are."""
        spec = spec_from_file_location("start_under_test", self.root / "start.py")
        assert spec and spec.loader
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @property
    def stamps(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in (self.root / ".venv").glob("*.stamp")}


def launch(root: Path, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    away = ("PYTHONPATH", "PYTHONSAFEPATH", "PYTHONUTF8", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in away}
    environment |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(
        [sys.executable, str(root / "start.py"), *arguments],
        cwd=cwd or root.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=not WINDOWS,
    )


def start(root: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    with launch(root, *arguments, cwd=cwd) as process:
        out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """What the stand-in saw. Fails unless it was all that stands on standard output, and its exit code came through."""
    assert done.returncode == 7, done.stderr
    seen: dict[str, object] = json.loads(done.stdout)
    return seen


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("start") / "会议 纪要 (1)"
    (root / "src" / "jiyao").mkdir(parents=True)
    (root / "requirements").mkdir()
    shutil.copy(ROOT / "start.py", root)
    (root / "src" / "jiyao" / "__init__.py").touch()
    (root / "src" / "jiyao" / "__main__.py").write_text(STAND_IN, encoding="utf-8")
    Place(root, ()).require(EMPTY)
    both = [launch(root, "one"), launch(root, "two")]
    outputs = [process.communicate(timeout=300) for process in both]
    return Place(
        root,
        tuple(
            subprocess.CompletedProcess(process.args, process.returncode, *output)
            for process, output in zip(both, outputs, strict=True)
        ),
    )


@pytest.fixture
def wheel(tmp_path: Path) -> Callable[[], str]:
    """Makes a package `toy`; the requirement line for it, with its hash."""

    def make() -> str:
        path = tmp_path / "toy-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("toy.py", "")
            archive.writestr("toy-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
            archive.writestr("toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr("toy-1.0.dist-info/RECORD", "")
        return f"toy @ {path.as_uri()} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"

    return make


# preparing


def test_two_first_starts_at_once_both_succeed_and_one_prepares(place: Place) -> None:
    assert [answer(done)["argv"] for done in place.first] == [["one"], ["two"]]
    assert sorted("Preparing" in done.stderr for done in place.first) == [False, True]


def test_a_second_start_prepares_nothing_and_is_silent(place: Place) -> None:
    start(place.root)
    done = start(place.root, "again")
    assert answer(done)["argv"] == ["again"] and done.stderr == ""


def test_arguments_come_through_whole_and_nothing_means_the_web_page(place: Place) -> None:
    nasty = ["transcribe", "会议 1.m4a", "-o", "-", "--terms=a b", "", '"', "*", "test", "setup"]
    assert answer(start(place.root, *nasty))["argv"] == nasty
    seen = answer(start(place.root))
    assert seen["argv"] == ["web"] and seen["utf8"] == 1


def test_it_works_from_any_folder_and_stays_there(place: Place, tmp_path: Path) -> None:
    assert answer(start(place.root, "x", cwd=tmp_path))["here"] == str(tmp_path.resolve())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no PYTHONSAFEPATH")
def test_files_in_the_callers_folder_are_not_taken_for_modules(place: Place, tmp_path: Path) -> None:
    for name in ("json.py", "jiyao.py", "pip.py"):
        (tmp_path / name).write_text("raise SystemExit('wrong module')")
    (place.root / ".venv" / "base.stamp").write_text("not ready: pip runs too")
    assert answer(start(place.root, "x", cwd=tmp_path))["argv"] == ["x"]


def test_setup_prepares_and_starts_nothing(place: Place) -> None:
    done = start(place.root, "setup")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_stamps_hold_the_requirements_and_the_python(place: Place) -> None:
    start(place.root)
    stamps, module = place.stamps, place.module()
    wanted = hashlib.sha256(EMPTY.encode() + sys.version.encode()).hexdigest()
    assert stamps["base.stamp"] == wanted == module.digest("base") and module.is_ready("base")
    changed = place.root / ".venv" / "base.stamp"
    changed.write_text("of another Python")
    assert not module.is_ready("base")
    done = start(place.root, "x")
    assert answer(done) and "Preparing" in done.stderr and place.stamps == stamps


def test_changed_requirements_are_installed(place: Place, wheel: Callable[[], str]) -> None:
    made = (place.root / ".venv" / "pyvenv.cfg").stat().st_mtime_ns
    place.require(wheel())
    done = start(place.root, "x")
    assert answer(done)["toy"] is True and "Preparing" in done.stderr
    assert answer(start(place.root))["toy"] is True
    assert (place.root / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == made, "the environment was kept"
    place.require(EMPTY)
    assert answer(start(place.root))


def test_the_test_requirements_count_as_base_ones(place: Place) -> None:
    place.require(EMPTY, EMPTY + "# and for tests\n")
    assert "Preparing" in start(place.root, "test", "--version").stderr
    assert set(place.stamps) == {"base.stamp", "test.stamp"}
    done = start(place.root, "x")
    assert answer(done) and done.stderr == ""
    assert start(place.root, "test", "--version").returncode != 0, "no pytest in there: its exit code comes through"


def test_setup_for_a_gpu(place: Place, wheel: Callable[[], str]) -> None:
    place.require(EMPTY, wheel())
    assert start(place.root, "setup", "gpu").returncode == 0
    assert "gpu.stamp" in place.stamps
    done = start(place.root, "x")
    assert answer(done)["toy"] is True and done.stderr == ""
    assert answer(start(place.root, "setup", "elsewhere"))["argv"] == ["setup", "elsewhere"]


def test_what_the_lock_leaves_out_stays_out(place: Place, tmp_path: Path) -> None:
    """A package that asks for another one: only what the lock names is installed."""
    path = tmp_path / "needy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("needy.py", "")
        metadata = "Metadata-Version: 2.1\nName: needy\nVersion: 1.0\nRequires-Dist: telemetry-client\n"
        archive.writestr("needy-1.0.dist-info/METADATA", metadata)
        archive.writestr("needy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("needy-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    place.require(f"needy @ {path.as_uri()} --hash=sha256:{digest}\n")
    assert answer(start(place.root, "x"))


def test_a_requirement_with_another_hash_is_refused_and_heals(place: Place, wheel: Callable[[], str]) -> None:
    good = wheel()
    place.require(re.sub("sha256:.*", f"sha256:{'0' * 64}", good))
    done = start(place.root, "x")
    assert done.returncode == 1 and done.stdout == "" and "requirements could not be installed" in done.stderr
    assert "base.stamp" not in place.stamps
    place.require(good)
    assert answer(start(place.root))["toy"] is True
    place.require(EMPTY)


def broken_stamp(module: ModuleType) -> None:
    (module.VENV / "base.stamp").unlink()
    shutil.rmtree(module.PYTHON.parent)


def broken_link(module: ModuleType) -> None:
    module.PYTHON.unlink()
    module.PYTHON.symlink_to(module.ROOT / "no such python")


def updated_python(module: ModuleType) -> None:
    # what an update of the system's Python leaves: the link leads to a Python that knows none of the packages
    module.PYTHON.unlink()
    module.PYTHON.write_text('#!/bin/sh\necho "No module named pip" >&2\nexit 1\n')
    module.PYTHON.chmod(0o755)
    (module.VENV / "base.stamp").write_text("of the Python before")


@pytest.mark.parametrize("harm", [broken_stamp, *([] if WINDOWS else [broken_link, updated_python])])
def test_a_half_made_or_broken_environment_heals(place: Place, harm: Callable[[ModuleType], None]) -> None:
    start(place.root)
    left_over = place.root / ".venv" / "left over"
    left_over.touch()
    harm(place.module())
    done = start(place.root, "x")
    assert answer(done)["argv"] == ["x"] and "Preparing" in done.stderr
    assert not left_over.exists(), "made anew"


@POSIX_ONLY
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "start.py", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "base.txt").write_text(EMPTY)
    tmp_path.chmod(0o500)
    try:
        done = start(tmp_path, cwd=ROOT)
    finally:
        tmp_path.chmod(0o700)
    assert done.returncode == 1 and "can be written" in done.stderr and "Traceback" not in done.stderr


def test_a_name_in_the_way_is_said_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "start.py", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "base.txt").write_text(EMPTY)
    (tmp_path / ".venv.lock").mkdir()
    done = start(tmp_path)
    assert done.returncode == 1 and "could not be made" in done.stderr and "Traceback" not in done.stderr


# ending


@POSIX_ONLY
def test_ctrl_c_is_the_commands_to_handle(place: Place) -> None:
    with launch(place.root, "wait") as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err


@POSIX_ONLY
def test_ended_by_its_number_it_leaves_nothing_running(place: Place) -> None:
    """As a service or a shell ends it: the page, with recordings in its memory, must not stay behind."""
    with launch(place.root, "wait") as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        try:
            process.terminate()
            _, alive = psutil.wait_procs(family, timeout=20)
            assert alive == []
        finally:
            for one in family:
                if one.is_running():
                    one.kill()


@POSIX_ONLY
def test_a_killed_command_looks_killed(place: Place) -> None:
    assert start(place.root, "die").returncode == -signal.SIGKILL


@POSIX_ONLY
def test_start_command_finds_its_own_folder_and_passes_the_code_on(place: Place, tmp_path: Path) -> None:
    shutil.copy(ROOT / "start.command", place.root)
    start(place.root)
    away = ("PYTHONPATH", "PYTHONSAFEPATH")
    done = subprocess.run(
        [str(place.root / "start.command"), "a b", "会议"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name not in away},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    # its python3 is the computer's, which need not be this one: then it prepares first, on standard error
    assert answer(done)["argv"] == ["a b", "会议"]


@POSIX_ONLY
def test_ctrl_c_while_waiting_for_another_setup_ends_quietly(place: Place) -> None:
    import fcntl

    start(place.root)
    stamp = place.root / ".venv" / "base.stamp"
    right = stamp.read_text()
    with open(place.root / ".venv.lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        stamp.write_text("not ready")
        with launch(place.root, "x") as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1.5)
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=60)
        stamp.write_text(right)
    assert (process.returncode, out) == (130, "") and "Traceback" not in err


# Python versions


def test_an_older_python_is_told_what_to_do(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = place.module()
    older = SimpleNamespace(version_info=(3, 9, 18), stdout=sys.stdout, stderr=sys.stderr, argv=["start.py"])
    monkeypatch.setattr(module, "sys", older)
    assert module.main() == 1
    seen = capsys.readouterr()
    assert seen.out == "" and "3.10" in seen.err and "Install" in seen.err


def test_an_older_python_can_read_the_file_and_it_needs_nothing_installed() -> None:
    tree = ast.parse((ROOT / "start.py").read_text(encoding="utf-8"), feature_version=(3, 7))
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert {name.partition(".")[0] for name in imported} <= set(sys.stdlib_module_names)


def test_windows_waits_for_the_first_however_long_it_takes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # msvcrt gives up after ten seconds with EDEADLOCK; an installation takes minutes
    module, tries = place.module(), []

    def locking(descriptor: int, mode: int, count: int) -> None:
        tries.append((mode, count))
        if len(tries) < 4:
            raise OSError(module.errno.EDEADLK, "Resource deadlock avoided")

    monkeypatch.setattr(module, "WINDOWS", True)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_LOCK=1, locking=locking))
    with module.only_one():
        assert tries == [(1, 1)] * 4


# what stands in the requirements


def requirements(name: str) -> dict[tuple[str, str], tuple[str, frozenset[str]]]:
    """(package, marker) -> (version, hashes). Fails on a line that is anything else."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return parse_requirements(text)


def parse_requirements(text: str) -> dict[tuple[str, str], tuple[str, frozenset[str]]]:
    found: dict[tuple[str, str], tuple[str, frozenset[str]]] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"([\w.-]+)==([\w.+!]+)\s*(?:;\s*([^\n]+?))?((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line)
        assert match, f"not a pinned, hashed requirement: {line}"
        key = (match[1], " ".join((match[3] or "").split()))
        assert key not in found, f"twice: {key}"
        found[key] = (match[2], frozenset(match[4].split()))
    return found


@pytest.mark.parametrize("name", ["base", "gpu", "test"])
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    assert len(requirements(name)) > 20


@pytest.mark.parametrize("name", ["base", "gpu", "test"])
def test_no_requirement_reports_usage(name: str) -> None:
    """OpenVINO asks for a Google Analytics client: the locks leave it out, and pip may not add what they lack."""
    assert not [package for package, _ in requirements(name) if "telemetry" in package]


@pytest.mark.parametrize("name", ["gpu", "test"])
def test_the_base_requirements_are_part_of_the_others(name: str) -> None:
    base, test = requirements("base"), requirements(name)
    # a package may be wanted by more in the tests: then its marker differs, never its version
    versions = {(package, version) for (package, _), (version, _) in test.items()}
    assert [(p, v) for (p, _), (v, _) in base.items() if (p, v) not in versions] == []
    assert all(test[key] == value for key, value in base.items() if key in test)


@pytest.mark.parametrize(
    "line",
    [
        "numpy==2.0\n",
        "numpy>=2.0 --hash=sha256:" + "0" * 64 + "\n",
        "--index-url https://example.org/simple\n",
        "numpy @ https://example.org/numpy.whl --hash=sha256:" + "0" * 64 + "\n",
        ("numpy==2.0 --hash=sha256:" + "0" * 64 + "\n") * 2,
    ],
)
def test_a_loose_requirement_would_be_found(line: str) -> None:
    with pytest.raises(AssertionError):
        parse_requirements(line)
