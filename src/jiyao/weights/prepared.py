"""Things made once on this computer from fetched weights: another layout, another number format.

    <home>/models/.prepared/<model>/<kind>/…, manifest.json     complete, made from exactly the weights that are here
    <home>/models/.prepared/<model>/.<kind>.making/             what an interruption left; never accepted, made anew

`prepared` is to these what `locate` is to weights: cheap, no network, never a folder that is half-done, was changed,
or was made from other weights or by an older recipe. The model's own lock keeps others away while one is made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jiyao.errors import WeightsError
from jiyao.weights import store
from jiyao.weights.catalogue import Model, find_model
from jiyao.weights.store import MANIFEST, FileCheck, Record, Verdict, locate
from jiyao.weights.transfer import hash_file

Make = Callable[[Path, Path], None]

_MANIFEST_VERSION = 1


@dataclass(frozen=True)
class _Manifest:
    """`source`: path -> SHA-256 of the weights it was made from; `files`: what was made."""

    recipe: int
    source: Mapping[str, str]
    files: Mapping[str, Record]


def prepared(name: str, kind: str, version: int, home: Path, models: Mapping[str, Model] | None = None) -> Path | None:
    """The folder that recipe `version` of `kind` made of the weights that are here now, or None.

    Cheap: sizes and times of its files and of the weights. Raises WeightsError only for an unknown name.
    """
    model = find_model(name, models)
    folder = store.prepared_folder(name, home) / kind
    manifest = _read(folder)
    if manifest is None or manifest.recipe != version:
        return None
    try:
        if manifest.source != _hashes(model, locate(name, home, models)):
            return None
        for path, record in manifest.files.items():
            found = (folder / path).stat()
            if not record.fits(found):
                return None
    except (WeightsError, OSError):
        return None
    return folder


def prepare(
    name: str, kind: str, version: int, home: Path, make: Make, models: Mapping[str, Model] | None = None
) -> Path:
    """What `prepared` gives, made first if need be: `make` gets the folder of the weights and an empty one to fill.

    Safe to call from several processes at once: one makes it, the others wait. Whatever ends `make` early leaves
    nothing that is accepted. Raises what `make` raises; WeightsError as `locate` does, and `weights.disk_full` or
    `weights.storage` for an OSError.
    """
    model = find_model(name, models)
    with store.storage_errors(name, home), store.lock_of(name, home):
        present = prepared(name, kind, version, home, models)
        if present is not None:
            return present
        source = locate(name, home, models)
        final = store.prepared_folder(name, home) / kind
        making = final.with_name(f".{kind}.making")
        store.delete(making)
        making.mkdir(parents=True)
        try:
            make(source, making)
            _write(making, _Manifest(version, _hashes(model, source), _records(making)))
        except BaseException:
            with suppress(OSError):
                store.delete(making)
            raise
        store.delete(final)
        os.replace(making, final)
    return final


def verify(name: str, home: Path, models: Mapping[str, Model] | None = None) -> list[FileCheck]:
    """Hash every file of the model anew, and of what was made from it: seconds per gigabyte. Changes nothing.

    Raises WeightsError for an unknown name, OSError if a file cannot be read.
    """
    checks = store.verify(name, home, models)
    root = store.prepared_folder(name, home)
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        manifest = _read(folder)
        if folder.name[:1] == "." or manifest is None:
            continue
        for path, record in manifest.files.items():
            checks.append(_check(f"{folder.name}/{path}", folder / path, record))
    return checks


def _check(label: str, path: Path, record: Record) -> FileCheck:
    if not path.is_file():
        return FileCheck(label, "missing", record.sha256, None)
    actual = hash_file(path)
    verdict: Verdict = "ok" if actual == record.sha256 else "wrong-hash"
    if path.stat().st_size != record.size_bytes:
        verdict = "wrong-size"
    return FileCheck(label, verdict, record.sha256, actual)


def _hashes(model: Model, folder: Path) -> dict[str, str]:
    """Of the weights, as their own manifest has them. Raises WeightsError if there is none."""
    records = store.read_manifest(model, folder)
    if records is None:  # inside a package: nobody prepares those
        raise WeightsError("weights.missing", name=model.name, folder=folder)
    return {path: record.sha256 for path, record in records.items()}


def _records(folder: Path) -> dict[str, Record]:
    return {path: Record(found.st_size, sha256, found.st_mtime_ns) for path, found, sha256 in _files(folder)}


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb+") as file:  # on the disk before the manifest says so
                os.fsync(file.fileno())
            yield path.relative_to(folder).as_posix(), path.stat(), hash_file(path)


def _read(folder: Path) -> _Manifest | None:
    try:
        document: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if document.pop("version") != _MANIFEST_VERSION:
            return None
        files = {path: Record(**raw) for path, raw in document.pop("files").items()}
        return _Manifest(**document, files=files) if files else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(folder: Path, manifest: _Manifest) -> None:
    with (folder / MANIFEST).open("w", encoding="utf-8") as output:
        json.dump({"version": _MANIFEST_VERSION, **asdict(manifest)}, output, indent=1)
        output.flush()
        os.fsync(output.fileno())
