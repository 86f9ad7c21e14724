"""What is made once from fetched weights: made once, made anew when it must be, and never accepted half-done."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jiyao.errors import WeightsError
from jiyao.weights import fetch, parse_catalogue, prepare, prepared, remove, verify
from jiyao.weights.store import lock_of, prepared_folder
from tests.weights_toys import FILES, toy

TOY = parse_catalogue(toy())
KIND = "int8"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which the toy stands, put there by hand."""
    home = tmp_path / "home"
    _install(home)
    return home


def _install(home: Path, files: dict[str, bytes] | None = None) -> None:
    content = dict(FILES) if files is None else files
    for path, data in content.items():
        target = home / "models" / "toy" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    fetch("toy", home, models=parse_catalogue(toy(files=content)))


class Recipe:
    """Writes two files and counts how often it was asked."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, source: Path, target: Path) -> None:
        self.runs += 1
        (target / "deep").mkdir()
        (target / "deep" / "half.bin").write_bytes((source / "model.bin").read_bytes()[::2])
        (target / "note.txt").write_text(f"run {self.runs}")


def made(home: Path, recipe: Recipe, version: int = 1) -> Path:
    return prepare("toy", KIND, version, home, recipe, TOY)


def there(home: Path, version: int = 1) -> Path | None:
    return prepared("toy", KIND, version, home, TOY)


def left_over(home: Path) -> list[str]:
    root = prepared_folder("toy", home)
    return sorted(path.name for path in root.iterdir()) if root.is_dir() else []


def test_made_once_and_then_found(home: Path) -> None:
    recipe = Recipe()
    assert there(home) is None
    folder = made(home, recipe)
    assert folder == there(home) == home / "models" / ".prepared" / "toy" / KIND
    assert (folder / "deep" / "half.bin").read_bytes() == FILES["model.bin"][::2]
    assert made(home, recipe) == folder and recipe.runs == 1
    assert left_over(home) == [KIND]


def test_a_newer_recipe_makes_it_anew(home: Path) -> None:
    recipe = Recipe()
    made(home, recipe)
    assert there(home, version=2) is None
    folder = made(home, recipe, version=2)
    assert (folder / "note.txt").read_text() == "run 2"
    assert there(home, version=1) is None and there(home, version=2) == folder


def test_other_weights_make_it_anew(home: Path) -> None:
    recipe = Recipe()
    made(home, recipe)
    newer = {**FILES, "model.bin": FILES["model.bin"][::-1]}
    _install(home, newer)
    models = parse_catalogue(toy(files=newer))
    assert prepared("toy", KIND, 1, home, models) is None
    folder = prepare("toy", KIND, 1, home, recipe, models)
    assert (folder / "deep" / "half.bin").read_bytes() == newer["model.bin"][::2]


def _touched(folder: Path) -> None:
    os.utime(folder / "note.txt", ns=(1, 1))


def _shortened(folder: Path) -> None:
    (folder / "deep" / "half.bin").write_bytes(b"short")


def _lost(folder: Path) -> None:
    (folder / "note.txt").unlink()


def _no_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"version": 1, "files": {')


@pytest.mark.parametrize("damage", [_touched, _shortened, _lost, _no_manifest])
def test_whatever_changed_since_is_not_accepted(home: Path, damage: Callable[[Path], None]) -> None:
    recipe = Recipe()
    damage(made(home, recipe))
    assert there(home) is None
    assert made(home, recipe) == there(home)
    assert recipe.runs == 2


def test_it_goes_and_comes_with_its_weights(home: Path) -> None:
    recipe = Recipe()
    folder = made(home, recipe)
    shutil.rmtree(home / "models" / "toy")
    assert there(home) is None
    _install(home)
    assert made(home, recipe) == folder and recipe.runs == 1


@pytest.mark.parametrize(
    ("failure", "key"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "weights.disk_full"),
        (PermissionError(errno.EACCES, "Permission denied"), "weights.storage"),
        (RuntimeError("the compiler gave up"), None),
        (KeyboardInterrupt(), None),
    ],
)
def test_a_recipe_that_fails_leaves_nothing(home: Path, failure: BaseException, key: str | None) -> None:
    def failing(source: Path, target: Path) -> None:
        (target / "half").write_bytes(b"half")
        raise failure

    with pytest.raises(WeightsError if key else type(failure)) as raised:
        prepare("toy", KIND, 1, home, failing, TOY)
    assert key is None or (isinstance(raised.value, WeightsError) and raised.value.key == key)
    assert there(home) is None and left_over(home) == []


def test_a_failed_renewal_keeps_what_there_was(home: Path) -> None:
    folder = made(home, Recipe())

    def failing(source: Path, target: Path) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        prepare("toy", KIND, 2, home, failing, TOY)
    assert there(home, version=1) == folder


def test_nothing_made_is_nothing_to_accept(home: Path) -> None:
    prepare("toy", KIND, 1, home, lambda source, target: None, TOY)
    assert there(home) is None


def test_without_weights_there_is_nothing_to_make_it_from(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as missing:
        prepare("toy", KIND, 1, tmp_path, Recipe(), TOY)
    assert missing.value.key == "weights.missing"
    with pytest.raises(WeightsError) as unknown:
        prepared("toi", KIND, 1, tmp_path, TOY)
    assert unknown.value.key == "weights.unknown"


def test_verify_finds_an_edit_that_forged_its_time(home: Path) -> None:
    folder = made(home, Recipe())
    assert [check.verdict for check in verify("toy", home, TOY)] == ["ok"] * 4
    target = folder / "deep" / "half.bin"
    before = target.stat()
    data = bytearray(target.read_bytes())
    data[1000] ^= 1
    target.write_bytes(data)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert there(home) == folder
    wrong = [(check.path, check.verdict) for check in verify("toy", home, TOY) if check.verdict != "ok"]
    assert wrong == [(f"{KIND}/deep/half.bin", "wrong-hash")]


def test_remove_takes_it_along(home: Path) -> None:
    folder = made(home, Recipe())
    every = [path for root in (folder, home / "models" / "toy") for path in root.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in every)
    assert remove("toy", home, TOY) == size
    assert there(home) is None and not prepared_folder("toy", home).exists()


def test_remove_waits_for_nobody_who_is_making(home: Path) -> None:
    refused: list[str] = []

    def meanwhile(source: Path, target: Path) -> None:
        script = (
            "import sys; from pathlib import Path; from jiyao.weights import parse_catalogue, remove\n"
            "from jiyao.errors import WeightsError\n"
            "try: remove('toy', Path(sys.argv[1]), parse_catalogue(sys.argv[2]))\n"
            "except WeightsError as error: print(error.key)"
        )
        answer = subprocess.run(
            [sys.executable, "-c", script, str(home), toy()], capture_output=True, text=True, timeout=60, check=True
        )
        refused.append(answer.stdout.strip())
        (target / "x").write_bytes(b"x")

    assert prepare("toy", KIND, 1, home, meanwhile, TOY) == there(home)
    assert refused == ["weights.busy"]


_MAKER = """
import sys, time
from pathlib import Path
from jiyao.weights import parse_catalogue, prepare
def make(source, target):
    (target / "first").write_bytes(b"1" * 1000)
    with open(sys.argv[3], "a") as log: log.write("x")
    print("making", flush=True)
    time.sleep(float(sys.argv[4]))
    (target / "second").write_bytes(b"2")
print(prepare("toy", "int8", 1, Path(sys.argv[1]), make, parse_catalogue(sys.argv[2])))
"""


def _maker(home: Path, log: Path, pause_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _MAKER, str(home), toy(), str(log), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_make_it_once(home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with _maker(home, log, 0.5) as first, _maker(home, log, 0.5) as second:
        said = [process.communicate(timeout=60)[0].split() for process in (first, second)]
    assert [words[-1] for words in said] == [str(there(home))] * 2
    assert log.read_text() == "x"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_killed_recipe_is_never_accepted_and_made_anew(home: Path, tmp_path: Path) -> None:
    with _maker(home, tmp_path / "log", 600) as process:
        assert process.stdout is not None and process.stdout.readline() == "making\n"
        process.send_signal(signal.SIGKILL)
    assert left_over(home) == [f".{KIND}.making"]
    assert there(home) is None
    assert [check.path for check in verify("toy", home, TOY)] == list(FILES)
    with lock_of("toy", home).acquire(timeout=10):
        pass  # the lock died with its owner
    folder = made(home, Recipe())
    assert left_over(home) == [KIND] and not (folder / "first").exists()
