"""What is kept, as typed values, and their JSON forms. No SQL, no keys.

A clip's result says which options made it. Several results may stand for one stretch: the older one is the text until
`Vault.replace` says that what newer options made is.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from jiyao.glossary import Glossary
from jiyao.messages import Language, say
from jiyao.recognition import EngineInfo, Recognition, Word
from jiyao.timeline import Span
from jiyao.transcript import Heard, Source
from jiyao.vault.cipher import Json

PartState = Literal["waiting", "done", "failed", "skipped"]


@dataclass(frozen=True)
class Making:
    """What made a text: the engine, the aligner if there was one, and every setting that changes what is heard."""

    engine: EngineInfo
    aligner: EngineInfo | None = None
    settings: Mapping[str, Json] = field(default_factory=dict)

    @property
    def glossary(self) -> Glossary:
        """The terms that were put right in what it made."""
        return glossary_from_json({"rules": (), "terms": (), **self.settings})

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what changes the text; device, dtype and memory do not count: a fallback goes on."""
        models = [(one.name, one.model, one.revision) if one else None for one in (self.engine, self.aligner)]
        canonical = json.dumps([models, self.settings], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def making_of(
    engine: EngineInfo,
    glossary: Glossary,
    language: str | None,
    cutting: Any,
    aligner: EngineInfo | None = None,
    loudness: bool = False,
) -> Making:
    """A Making from what a run is given; `cutting`: the dataclass of `segmentation`. The script is set later, on the
    whole text, and does not count; nor does denoising, which no engine hears."""
    options: dict[str, Any] = {"rules": glossary.rules, "terms": glossary.terms}
    options |= {"language": language, "cutting": asdict(cutting)}
    if loudness:  # else as it was before there was any
        options["loudness"] = True
    return Making(engine, aligner, options)


@dataclass(frozen=True)
class ClipResult:
    """What was heard in one clip. `index`: its number in the recording; `version`: from `Vault.begin`; `fingerprint`:
    of the Making."""

    index: int
    heard: Heard
    fingerprint: str
    version: int = 0

    @property
    def place(self) -> tuple[str, int, int, int]:
        """What tells it from all others of its recording."""
        return self.fingerprint, self.version, self.heard.span.start, self.heard.span.end


@dataclass(frozen=True)
class Clips:
    """All results of a recording in the order of time, and how many can no longer be read or are missing."""

    results: tuple[ClipResult, ...]
    damaged: int = 0

    def shown(self) -> list[ClipResult]:
        """One text for every stretch: the oldest version, until it is replaced, then what newer ones add elsewhere."""
        shown: list[ClipResult] = []
        for version in sorted({result.version for result in self.results}):
            taken = sorted((result.heard.span for result in shown), key=lambda span: span.start)
            shown += [
                result
                for result in self.results
                if result.version == version and not _covered(result.heard.span, taken)
            ]
        return sorted(shown, key=lambda result: result.heard.span)


@dataclass(frozen=True)
class PartProgress:
    """How far a part of the recording is, and which version of its text is shown."""

    span: Span
    state: PartState = "waiting"
    version: int = 0


@dataclass(frozen=True)
class Kept:
    """A recording in the vault. `created_s`: seconds since 1970; `clips`: results, of all versions; `damaged`: values
    that cannot be read any more. Where that is so for its name, `source.name` is empty."""

    source: Source
    created_s: int
    clips: int
    damaged: int = 0


@dataclass(frozen=True)
class Begun:
    """Where a run starts: the version to write under, and what these very options heard already."""

    version: int
    heard: dict[Span, Heard]


@dataclass(frozen=True)
class Deleted:
    """What a deletion did. `compacted`: gaps and journal are overwritten too (not where disk or lock forbade it)."""

    recordings: int
    compacted: bool

    def message(self, language: Language = "en") -> str:
        if self.compacted:
            return say("vault.deleted", language, count=self.recordings)
        return say("vault.deleted_roughly", language, count=self.recordings)


def _covered(span: Span, taken: list[Span]) -> bool:
    """Whether the middle of `span` lies in one of `taken`, or the middle of one of them in `span`. `taken`: sorted."""
    middle = span.start + len(span) // 2
    at = bisect_right(taken, middle, key=lambda other: other.start) if taken else 0
    near = taken[max(0, at - 1) : at + 1]
    return any(inside(span, other) or inside(other, span) for other in near)


def inside(span: Span, stretch: Span) -> bool:
    """By its middle: cuts of other options may reach over a border by a little."""
    return stretch.start <= span.start + len(span) // 2 < max(stretch.end, stretch.start + 1)


# JSON forms


def clip_to_json(result: ClipResult, sha256: str) -> Json:
    recognition = result.heard.recognition
    return {
        "sha256": sha256,  # the recording can be told by any of its clips
        "index": result.index,
        "fingerprint": result.fingerprint,
        "version": result.version,
        "span": _span_to_json(result.heard.span),
        "recognition": {**_shallow(recognition), "words": [list(_shallow(w).values()) for w in recognition.words]},
    }


def clip_from_json(raw: Json) -> ClipResult:
    said = raw["recognition"]
    recognition = Recognition(
        **{**said, "words": tuple(Word(*word) for word in said["words"]), "flags": tuple(said["flags"])}
    )
    heard = Heard(Span(*raw["span"]), recognition)
    return ClipResult(raw["index"], heard, raw["fingerprint"], raw["version"])


def making_to_json(making: Making) -> Json:
    return asdict(making)


def making_from_json(raw: Json) -> Making:
    aligner = raw["aligner"]
    return Making(EngineInfo(**raw["engine"]), EngineInfo(**aligner) if aligner else None, raw["settings"])


def source_from_json(raw: Json) -> Source:
    return Source(**{**raw, "notes": tuple(raw["notes"])})


def parts_to_json(parts: Iterable[PartProgress]) -> Json:
    return [{**_shallow(part), "span": _span_to_json(part.span)} for part in parts]


def parts_from_json(raw: Json) -> tuple[PartProgress, ...]:
    return tuple(PartProgress(**{**part, "span": Span(*part["span"])}) for part in raw)


def terms_text(raw: Json) -> str:
    """Of a set of terms; older vaults hold what was read in the text."""
    return str(raw["text"] if "text" in raw else glossary_from_json(raw["terms"]).written())


def glossary_from_json(raw: Json) -> Glossary:
    return Glossary(tuple((alias, term) for alias, term in raw["rules"]), tuple(raw["terms"]))


def _shallow(value: Any) -> dict[str, Any]:
    """A dataclass's fields; unlike `asdict` it does not copy thousands of words one by one."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _span_to_json(span: Span) -> list[int]:
    return [span.start, span.end]
