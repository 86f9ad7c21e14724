"""Prepare and start jiyao with nothing but Python 3.10 or newer.

    python3 start.py                  the web page
    python3 start.py ARGUMENTS        the jiyao command with these arguments
    python3 start.py setup            only prepare
    python3 start.py test [ARGUMENTS] format, lint, types and tests; with arguments: pytest with them

Everything goes into .venv beside this file; the locked, hashed requirements come from the package index that pip is set up
for on this computer. Standard library only; works on Windows, macOS and Linux, in folders with spaces and 中文.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
WINDOWS = os.name == "nt"
PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
REQUIREMENTS = {"base": ROOT / "requirements" / "base.txt", "test": ROOT / "requirements" / "test.txt"}
CHECKS = (["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"], ["pytest"])


def main() -> int:
    if sys.version_info < (3, 10):  # noqa: UP036: this file must tell the owner of an older Python what to do
        return fail("jiyao needs Python 3.10 or newer.", "Install one from python.org, then run this again.")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that cannot print 中文 must not stop us
    arguments = sys.argv[1:]
    kind = "test" if arguments[:1] == ["test"] else "base"
    with only_one():
        code = prepare(kind)
    if code or arguments == ["setup"]:
        return code
    if kind == "test":
        return run_tests(arguments[1:])
    return run([str(PYTHON), "-m", "jiyao", *(arguments or ["web"])])


def prepare(kind: str) -> int:
    """Make .venv what the requirements say, unless a stamp shows that it is already."""
    requirements = REQUIREMENTS[kind]
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamp = VENV / f"{kind}.stamp"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return 0
    say("Preparing jiyao in .venv: a few minutes, once.  正在准备运行环境：只需一次，几分钟。")
    base = VENV / "base.stamp"
    if not (PYTHON.exists() and base.exists()):
        # never finished, or its Python is gone: begin anew
        try:
            venv.create(VENV, clear=True, with_pip=True, symlinks=not WINDOWS)
        except (OSError, subprocess.CalledProcessError) as error:
            return fail(
                f"The environment .venv could not be made ({error}).",
                "On Debian or Ubuntu: sudo apt install python3-venv. Else check that this folder can be written.",
            )
    stamp.unlink(missing_ok=True)
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--require-hashes"]
    # pip talks to stderr: standard output belongs to jiyao
    if subprocess.run([*command, "-r", str(requirements)], stdout=sys.stderr.fileno(), check=False).returncode:
        return fail(
            "The requirements could not be installed (pip says why above).",
            "Check the network, or name a reachable mirror: pip config set global.index-url …",
        )
    link_source()
    for done in {"base", kind}:  # the test requirements hold the base ones
        digest = hashlib.sha256(REQUIREMENTS[done].read_bytes() + sys.version.encode()).hexdigest()
        (VENV / f"{done}.stamp").write_text(digest)
    return 0


def link_source() -> None:
    """Let .venv import src/ as it stands. A relative, ASCII path: .pth files are read in the locale's encoding."""
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run(
        [str(PYTHON), "-X", "utf8", "-c", query], capture_output=True, check=True, encoding="utf-8"
    ).stdout.strip()
    (Path(found) / "jiyao.pth").write_text(os.path.relpath(ROOT / "src", found) + "\n", encoding="ascii")


def run_tests(arguments: list[str]) -> int:
    os.chdir(ROOT)
    for check in [["pytest", *arguments]] if arguments else CHECKS:
        say(f"== {' '.join(check)}")
        code = run([str(PYTHON), "-m", *check])
        if code:
            return code
    return 0


def run(command: list[str]) -> int:
    """Run to the end and return its exit code; Ctrl-C is the child's to handle."""
    environment = {**os.environ, "PYTHONUTF8": "1"}
    with subprocess.Popen(command, env=environment) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Two double clicks must not build one .venv twice: the second waits for the first."""
    VENV.mkdir(exist_ok=True)
    # beside, not inside: making the environment anew empties the folder
    with open(ROOT / ".venv.lock", "w") as lock:
        if WINDOWS:
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def fail(what: str, remedy: str) -> int:
    say(f"{what}\n{remedy}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
