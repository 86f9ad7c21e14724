"""Prepare and start jiyao with nothing but Python 3.10 or newer.

    python3 start.py                  the web page
    python3 start.py ARGUMENTS        the jiyao command with these arguments
    python3 start.py setup            only prepare
    python3 start.py setup gpu        prepare for an NVIDIA GPU too: PyTorch, about 3 GB
    python3 start.py test [ARGUMENTS] format, lint, types and tests; with arguments: pytest with them

Everything goes into .venv beside this file; the locked, hashed requirements come from the package index that pip is set
up for on this computer. Standard library only; works on Windows, macOS and Linux, in folders with spaces and 中文.
"""

from __future__ import annotations

import contextlib
import errno
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
FOLDER = ROOT / "requirements"
# each kind holds the base. PyTorch for the tests is not hashed: which build of it there is depends on the computer
LOCKED = {kind: FOLDER / f"{kind}.txt" for kind in ("base", "gpu", "test")}
UNHASHED = {"test": FOLDER / "test-torch.txt"}
CHECKS = (
    ["ruff", "format", "--check", "."],
    ["ruff", "check", "."],
    ["mypy"],
    ["pytest", "-n", "2", "--dist", "loadfile"],
)
INTERRUPTED = 130


def main() -> int:
    # this file must be readable by an older Python, to tell its owner what to do
    if sys.version_info < (3, 10):  # noqa: UP036
        return fail("jiyao needs Python 3.10 or newer.", "Install one from python.org, then run this again.")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that cannot print 中文 must not stop us
    arguments = sys.argv[1:]
    preparing = arguments[:1] == ["setup"] and arguments[1:] in ([], ["gpu"])
    kind = "test" if arguments[:1] == ["test"] else "gpu" if preparing and arguments[1:] else "base"
    try:
        code = 0 if is_ready(kind) else prepare_alone(kind)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code or preparing:
        return code
    if kind == "test":
        return run_tests(arguments[1:])
    return become([str(PYTHON), "-m", "jiyao", *(arguments or ["web"])])


def prepare_alone(kind: str) -> int:
    try:
        with only_one():
            return 0 if is_ready(kind) else prepare(kind)
    except OSError as error:
        return fail(f"The environment .venv could not be made ({error}).", f"Check that {ROOT} can be written.")


def is_ready(kind: str) -> bool:
    """Does .venv hold what the requirements say, for this Python?"""
    stamp = VENV / f"{kind}.stamp"
    return PYTHON.exists() and stamp.exists() and stamp.read_text() == digest(kind)


def digest(kind: str) -> str:
    files = [LOCKED[kind], *([UNHASHED[kind]] if kind in UNHASHED else [])]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files) + sys.version.encode()).hexdigest()


def prepare(kind: str) -> int:
    """Make .venv what the requirements say; stamps tell that it was finished."""
    say("Preparing jiyao in .venv: a few minutes, once.  正在准备运行环境：只需一次，几分钟。")
    if not is_usable():
        try:
            venv.create(VENV, clear=True, with_pip=True, symlinks=not WINDOWS)
        except (OSError, subprocess.CalledProcessError) as error:
            return fail(
                f"The environment .venv could not be made ({error}).",
                "On Debian or Ubuntu: sudo apt install python3-venv. Else check that this folder can be written.",
            )
    (VENV / f"{kind}.stamp").unlink(missing_ok=True)
    # a lock names all there is; what it leaves out (a library's usage reports) must not come in as a dependency
    asked = [["--require-hashes", "--no-deps", "-r", str(LOCKED[kind])]]
    asked += [["-r", str(UNHASHED[kind])]] if kind in UNHASHED else []
    for arguments in asked:
        command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments]
        # pip talks to stderr: standard output belongs to jiyao. In our folder: `-m` looks first for modules there
        if subprocess.run(command, cwd=ROOT, stdout=sys.stderr.fileno(), check=False).returncode:
            return fail(
                "The requirements could not be installed (pip says why above).",
                "Check the network, or name a reachable mirror: pip config set global.index-url …",
            )
    link_source()
    for done in {"base", kind}:
        (VENV / f"{done}.stamp").write_text(digest(done))
    return 0


def is_usable() -> bool:
    """Was .venv once finished, and is it made of this very Python? An update of Python leaves it without packages."""
    if not (PYTHON.exists() and (VENV / "base.stamp").exists()):
        return False
    query = "import pip, sys; sys.stdout.buffer.write(sys.version.encode())"
    try:
        answer = subprocess.run([str(PYTHON), "-c", query], cwd=ROOT, capture_output=True, check=False)
    except OSError:  # it cannot even be run
        return False
    return answer.returncode == 0 and answer.stdout == sys.version.encode()


def link_source() -> None:
    """Let .venv import src/ as it stands. A relative, ASCII path: .pth files are read in the locale's encoding."""
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run(
        [str(PYTHON), "-X", "utf8", "-c", query], cwd=ROOT, capture_output=True, check=True, encoding="utf-8"
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


def become(command: list[str]) -> int:
    """Let the command take this process's place, so that whoever ends this process ends it; Windows cannot."""
    if not WINDOWS:
        os.execve(command[0], command, environment())
    return run(command)


def run(command: list[str]) -> int:
    """Run to the end and return its exit code; Ctrl-C is the child's to handle."""
    with subprocess.Popen(command, env=environment()) as process:
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                continue
            return code if code >= 0 else 128 - code  # killed by a signal: as shells count it


def environment() -> dict[str, str]:
    # PYTHONSAFEPATH: a file called av.py in the folder where somebody stands must not be taken for ours (Python 3.11)
    return {**os.environ, "PYTHONUTF8": "1", "PYTHONSAFEPATH": "1"}


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Two double clicks must not build one .venv twice: the second waits for the first."""
    # beside, not inside: making the environment anew empties the folder
    with open(ROOT / ".venv.lock", "w") as lock:
        if WINDOWS:
            import msvcrt

            while True:
                try:
                    msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined, unused-ignore]
                    break
                except OSError as error:
                    # it gives up after ten seconds; the first may need minutes
                    if error.errno not in (errno.EDEADLK, errno.EACCES):
                        raise
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
