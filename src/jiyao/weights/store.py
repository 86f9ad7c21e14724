"""Weights on this computer: a folder a model, and a manifest written before the folder appeared.

    <home>/models/<name>/…, manifest.json        complete, its bytes checked once
    <home>/models/.staging/<name>-<revision>/    what an interrupted fetch left; never located
    <home>/models/.prepared/<name>/<kind>/       made from it on this computer, see weights/prepared.py
    <home>/models/.locks/<name>.lock             one process at a time

`locate` compares sizes and modification times with the manifest: milliseconds for gigabytes. Only `verify` finds an
edit that also forged the time.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jiyao.errors import WeightsError
from jiyao.weights.catalogue import InstalledSource, Model, ModelFile, catalogue, find_model
from jiyao.weights.transfer import hash_file

Status = Literal["present", "partial", "absent", "installed"]
Verdict = Literal["ok", "missing", "wrong-size", "wrong-hash", "unpinned-unchanged", "unpinned-unrecorded"]

if TYPE_CHECKING:
    from filelock import FileLock

MANIFEST = "manifest.json"
_MANIFEST_VERSION = 1


@dataclass(frozen=True)
class FileCheck:
    """One file after a full rehash. `unpinned-unchanged`: nobody published its hash, but it is still what was first
    fetched; `unpinned-unrecorded`: the size is right, and there is nothing else to compare with."""

    path: str
    verdict: Verdict
    expected_sha256: str | None
    actual_sha256: str | None


@dataclass(frozen=True)
class Record:
    """What the manifest says of one file."""

    size_bytes: int
    sha256: str
    mtime_ns: int

    def fits(self, found: os.stat_result) -> bool:
        """Size and time of change; cut to the second is the same: image layers, tar and rsync keep no more of it."""
        whole_second = self.mtime_ns // 10**9 * 10**9
        return found.st_size == self.size_bytes and found.st_mtime_ns in (self.mtime_ns, whole_second)


def model_folder(name: str, home: Path) -> Path:
    return home / "models" / name


def staging_folder(model: Model, home: Path) -> Path:
    return home / "models" / ".staging" / f"{model.name}-{model.revision}"


def prepared_folder(name: str, home: Path) -> Path:
    return home / "models" / ".prepared" / name


def lock_of(name: str, home: Path) -> FileLock:
    """The lock of one model; its folder is made. Raises OSError."""
    from filelock import FileLock  # some versions write a temporary folder when imported: never under the seal

    locks = home / "models" / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{name}.lock")


def locate(name: str, home: Path, models: Mapping[str, Model] | None = None) -> Path:
    """The folder in which every file of the model stands at its path, complete and checked when it was installed.

    Cheap: sizes and times against the manifest (a file inside an installed package, 1–2 MB, is hashed).
    Raises WeightsError: `weights.missing` (nothing complete there), `weights.altered` (a file changed since),
    `weights.not_installed` (it belongs to a package that is absent or different), `weights.unknown`.
    """
    model = find_model(name, models)
    folder = model_folder(name, home)
    if model.installed is not None:
        return _locate_installed(model, model.installed)
    records = read_manifest(model, folder)
    if records is None:
        raise WeightsError("weights.missing", name=name, folder=folder)
    for file in model.files:
        record = records[file.path]
        try:
            found = (folder / file.path).stat()
        except OSError as cause:
            raise WeightsError("weights.altered", name=name, folder=folder, file=file.path) from cause
        if not record.fits(found):
            raise WeightsError("weights.altered", name=name, folder=folder, file=file.path)
    return folder


def is_present(name: str, home: Path, models: Mapping[str, Model] | None = None) -> bool:
    """Would `locate` find it? Raises WeightsError only for an unknown name."""
    find_model(name, models)
    try:
        locate(name, home, models)
    except WeightsError:
        return False
    return True


def status(name: str, home: Path, models: Mapping[str, Model] | None = None) -> Status:
    """`installed`: inside a package that jiyao depends on; `partial`: something is there, but not usable yet."""
    model = find_model(name, models)
    if is_present(name, home, models):
        return "present" if model.installed is None else "installed"
    leftovers = (model_folder(name, home), staging_folder(model, home))
    return "partial" if any(_size_of(folder) for folder in leftovers) else "absent"


def verify(name: str, home: Path, models: Mapping[str, Model] | None = None) -> list[FileCheck]:
    """Hash every file anew: seconds per gigabyte. Changes nothing. Raises WeightsError for an unknown name,
    OSError if a file cannot be read."""
    model = find_model(name, models)
    folder = model_folder(name, home)
    if model.installed is not None:
        folder = _package_folder(model.installed) or folder
    records = read_manifest(model, folder) or {}
    return [_check(file, folder / file.path, records.get(file.path)) for file in model.files]


def remove(name: str, home: Path, models: Mapping[str, Model] | None = None) -> int:
    """Delete the model, what was made from it and what unfinished fetches left; returns the bytes freed.

    Raises WeightsError: `weights.belongs_to_package` (not jiyao's to delete), `weights.busy` (being fetched now),
    `weights.storage` (the operating system refused).
    """
    model = find_model(name, models)
    if model.installed is not None:
        raise WeightsError("weights.belongs_to_package", name=name, package=model.installed.package)
    if not (home / "models").is_dir():
        return 0
    known = catalogue() if models is None else models
    freed = 0
    with storage_errors(name, home):
        try:
            with lock_of(name, home).acquire(timeout=1):
                made = prepared_folder(name, home)
                for folder in (model_folder(name, home), made, *_staging_folders(name, home, known)):
                    freed += _size_of(folder)
                    delete(folder)
        except TimeoutError as cause:
            raise WeightsError("weights.busy", name=name) from cause
    return freed


def read_manifest(model: Model, folder: Path) -> Mapping[str, Record] | None:
    """path -> Record, if the manifest exists and says of every file what the catalogue pins; else None."""
    try:
        document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if document["version"] != _MANIFEST_VERSION:
            return None
        records = {path: Record(**raw) for path, raw in document["files"].items()}
        revision = document["revision"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    for file in model.files:
        record = records.get(file.path)
        if record is None or record.size_bytes != file.size_bytes or file.sha256 not in (None, record.sha256):
            return None
        if file.sha256 is None and revision != model.revision:  # the revision is all that pins this one
            return None
    return records if model.files else None


def write_manifest(model: Model, folder: Path, hashes: Mapping[str, str]) -> None:
    """The last thing before a model appears: sizes, SHA-256 and times of its files. Raises OSError."""
    records = {}
    for file in model.files:
        found = (folder / file.path).stat()
        records[file.path] = {
            "size_bytes": found.st_size,
            "sha256": hashes[file.path],
            "mtime_ns": found.st_mtime_ns,
        }
    document = {"version": _MANIFEST_VERSION, "name": model.name, "revision": model.revision, "files": records}
    with (folder / MANIFEST).open("w", encoding="utf-8") as output:
        json.dump(document, output, indent=1)
        output.flush()
        os.fsync(output.fileno())


def delete(path: Path) -> None:
    """Remove a folder, a file or a link, if there is one. Raises OSError."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


@contextmanager
def storage_errors(name: str, home: Path) -> Iterator[None]:
    """Translate what the operating system says about our own folders."""
    try:
        yield
    except OSError as cause:
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WeightsError("weights.disk_full", name=name, folder=home / "models") from cause
        reason = cause.strerror or str(cause)
        raise WeightsError("weights.storage", name=name, folder=home / "models", reason=reason) from cause


def _check(file: ModelFile, path: Path, record: Record | None) -> FileCheck:
    if not path.is_file():
        return FileCheck(file.path, "missing", file.sha256, None)
    actual = hash_file(path)
    expected = file.sha256 or (record.sha256 if record else None)
    verdict: Verdict
    if path.stat().st_size != file.size_bytes:
        verdict = "wrong-size"
    elif expected is None:
        verdict = "unpinned-unrecorded"
    elif actual != expected:
        verdict = "wrong-hash"
    else:
        verdict = "ok" if file.sha256 else "unpinned-unchanged"
    return FileCheck(file.path, verdict, expected, actual)


def _package_folder(source: InstalledSource) -> Path | None:
    try:
        spec = importlib.util.find_spec(source.package)  # a top-level name: finding it imports nothing
    except ValueError:  # something without a spec sits in sys.modules under that name
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / source.folder


def _locate_installed(model: Model, source: InstalledSource) -> Path:
    folder = _package_folder(source)
    for file in model.files:
        if folder is None:
            break
        path = folder / file.path
        if not path.is_file() or hash_file(path) != file.sha256:
            raise WeightsError("weights.not_installed", name=model.name, package=source.package, file=file.path)
    if folder is None:
        raise WeightsError("weights.not_installed", name=model.name, package=source.package, file="")
    return folder


def _staging_folders(name: str, home: Path, known: Mapping[str, Model]) -> list[Path]:
    """Staging folders of any revision of `name`, but not those of a model whose longer name begins the same."""
    staging = home / "models" / ".staging"
    if not staging.is_dir():
        return []
    longer = tuple(f"{other}-" for other in known if other.startswith(f"{name}-"))
    return [f for f in staging.iterdir() if f.name.startswith(f"{name}-") and not f.name.startswith(longer)]


def _size_of(path: Path) -> int:
    """Bytes of the files under `path`, links not followed; 0 if there is nothing."""
    if path.is_symlink() or not path.is_dir():
        return 0
    return sum(entry.lstat().st_size for entry in path.rglob("*") if entry.is_file() and not entry.is_symlink())
