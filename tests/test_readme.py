"""What the papers promise: commands that exist, the same in both languages; and no address or path that must not be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.main import get_command

from jiyao import cli, exports, opening
from jiyao.errors import JiyaoError

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh-CN.md")
TEST_COMMAND = "python3 start.py test"
POSIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="file modes and shells of POSIX")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands_in(readme: str) -> list[list[str]]:
    """The shell blocks of a README, line by line, comments left out."""
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    lines = ([re.sub(r"(^|\s+)#.*", "", line).strip() for line in block.splitlines()] for block in blocks)
    return [[line for line in block if line] for block in lines]


def files_named(command: str) -> list[str]:
    """The words of a command that are files of the project: they have an extension; results do not count."""
    return [word for word in command.split() if re.fullmatch(r"[\w./-]+\.\w+", word)]


def exit_codes_in(readme: str) -> set[int]:
    return {int(code) for code in re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)}


def kept_files() -> list[Path]:
    """Every file that is or would be under version control; without git, everything but what tools make."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        names = listed.stdout.decode().split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    made = {".venv", ".git", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "dist"}
    return [p for p in ROOT.rglob("*") if p.is_file() and not made & set(p.relative_to(ROOT).parts)]


# put together from parts, so that this file is clean itself
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("pypi", "tuna"),
        ("pypi", "doubanio"),
        ("mirrors", "aliyun"),
        ("mirrors", "tuna"),
        ("mirrors", "ustc"),
        ("mirrors", "cloud", "tencent"),
        ("registry", "npmjs"),
        ("registry", "npmmirror"),
        ("registry", "yarnpkg"),
        ("conda", "anaconda"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("static", "crates", "io"),
        ("proxy", "golang"),
    )
)
MACHINE_PATHS = tuple("/".join(("", *parts)) for parts in (("work", ""), ("tmp", "w"), ("root", ""), ("opt", "pypi")))


def strays(files: Iterable[Path], words: Iterable[str]) -> list[str]:
    """`file: word` wherever one of `words` stands in a file, binary ones included."""
    # a path counts where it begins: not inside a relative one
    wanted = [
        (word, re.compile((rb"(?<![\w./-])" if word[0] == "/" else b"") + re.escape(word.encode()))) for word in words
    ]
    return [f"{path.name}: {word}" for path in files for word, pattern in wanted if pattern.search(path.read_bytes())]


# the READMEs


def test_both_readmes_have_the_same_commands() -> None:
    english, chinese = (commands_in(read(name)) for name in READMES)
    assert english == chinese and len(english) >= 3
    assert english[0] == ["python3 start.py", "python3 start.py transcribe samples/review.flac"]


@pytest.mark.parametrize("name", READMES)
def test_every_file_in_a_command_exists(name: str) -> None:
    for block in commands_in(read(name)):
        for command in block:
            assert command.startswith("python3 start.py")
            assert [word for word in files_named(command) if not (ROOT / word).is_file()] == [], command


@pytest.mark.parametrize("name", READMES)
def test_every_command_is_one_that_jiyao_takes(name: str) -> None:
    """Parsed by the real command line, without running anything."""
    for block in commands_in(read(name)):
        for command in block:
            arguments = command.split()[2:]
            if not arguments or arguments[0] in ("test", "setup"):  # start.py's own
                continue
            here = get_command(cli.app)
            while getattr(here, "commands", None):
                here = here.commands[arguments.pop(0)]  # type: ignore[attr-defined]
            if "--help" not in arguments:
                context = here.make_context("jiyao", arguments)
                assert set(context.params.get("formats", "txt").split(",")) <= set(exports.FORMATS)


@pytest.mark.parametrize("name", READMES)
def test_every_link_leads_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", read(name))
    assert targets and [t for t in targets if "://" not in t and not (ROOT / t).is_file()] == []


@pytest.mark.parametrize("name", READMES)
def test_exit_codes_are_those_of_the_program(name: str) -> None:
    known = {0, JiyaoError.exit_code, opening.INTERRUPTED, cli._UNEXPECTED}
    known |= {kind.exit_code for kind in JiyaoError.__subclasses__()}
    assert exit_codes_in(read(name)) == known


@pytest.mark.parametrize("name", READMES)
def test_every_written_format_is_named(name: str) -> None:
    [line] = [line for line in read(name).splitlines() if "`srt`" in line]
    assert re.findall(r"`(\w+)`", line) == list(exports.FORMATS)


def test_figures_are_marked_alike_in_both() -> None:
    tables = [re.findall(r"<!-- figures.*?<!-- /figures -->", read(name), re.DOTALL) for name in READMES]
    assert [len(table) for table in tables] == [1, 1]
    numbers = [re.findall(r"\d[\d.,]*", "".join(table)) for table in tables]
    assert numbers[0] == numbers[1]


# make, CI, double click


def test_make_help_names_every_target() -> None:
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    targets = re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE)
    assert targets == ["help", "setup", "check", "test", "format", "bench"]
    told = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    assert [line.split(maxsplit=1)[0] for line in told.splitlines()] == targets
    assert all(len(line.split(maxsplit=1)) == 2 for line in told.splitlines()), "each says what it does"
    assert f"\t$(PYTHON) {TEST_COMMAND.removeprefix('python3 ')}\n" in read("Makefile").partition("check:")[2]


def test_ci_runs_the_readmes_test_command() -> None:
    assert all([TEST_COMMAND] in commands_in(read(name)) for name in READMES)
    lines = [line.strip() for line in read(".ci/run").splitlines()]
    assert "set -euo pipefail" in lines and lines[-1] == TEST_COMMAND


@POSIX_ONLY
@pytest.mark.parametrize("name", ["start.command", ".ci/run"])
def test_scripts_can_be_run(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / name)], check=True)


def test_start_bat_is_what_cmd_can_read() -> None:
    raw = (ROOT / "start.bat").read_bytes()
    text = raw.decode("ascii")
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert 'pushd "%~dp0"' in text and "chcp 65001" in text and "start.py %*" in text and "pause" in text
    labels, wanted = set(re.findall(r"^:(\w+)", text, re.MULTILINE)), set(re.findall(r"goto (\w+)", text))
    assert wanted == labels


# what must not stand anywhere


def test_no_registry_is_named_anywhere() -> None:
    assert strays(kept_files(), REGISTRIES) == []


def test_no_path_of_a_developers_machine_anywhere() -> None:
    assert strays(kept_files(), MACHINE_PATHS) == []


def test_strays_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"see https://{REGISTRIES[0]}/simple and {MACHINE_PATHS[0]}main")
    (tmp_path / "b.txt").write_text(f"home{MACHINE_PATHS[0]} and shared{MACHINE_PATHS[2]}x are no such paths")
    assert strays(sorted(tmp_path.iterdir()), [REGISTRIES[0], *MACHINE_PATHS]) == [
        f"a.txt: {REGISTRIES[0]}",
        f"a.txt: {MACHINE_PATHS[0]}",
    ]


def test_other_slips_would_be_found() -> None:
    assert commands_in("```sh\na b # c\n\n# d\n```\n```\nx\n```\n") == [["a b"]]
    assert files_named("python3 start.py transcribe samples/x.flac -f srt,docx -o results") == [
        "start.py",
        "samples/x.flac",
    ]
    assert exit_codes_in("| 0 | done |\n| Code |\n| 12 | x |\n") == {0, 12}
