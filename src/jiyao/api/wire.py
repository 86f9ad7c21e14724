"""What goes over the wire, as plain values for JSON; and offsets into texts, which JavaScript counts in UTF-16 units.

In:  views, lines, events of the jobs. Out: dicts. Sentences come in the asked language.
"""

from __future__ import annotations

from typing import Any

from jiyao.audio import Note
from jiyao.editing import Line
from jiyao.errors import JiyaoError, UsageError
from jiyao.glossary import Proposal
from jiyao.jobs import Advanced, ClipView, JobView, Wiped
from jiyao.messages import Language, say, table
from jiyao.recognition import EngineInfo
from jiyao.timeline import Span
from jiyao.transcript import Correction, places

Json = dict[str, Any]

_FIRST_PAIR = 0x10000  # characters from here on are two units


def units(text: str, offset: int) -> int:
    """Where the character `offset` of a text begins, in UTF-16 units."""
    return offset + sum(ord(character) >= _FIRST_PAIR for character in text[:offset])


def characters(text: str, offset: int) -> int:
    """The character that begins at `offset` units, or that is cut by it; the text's length beyond its end."""
    if text.isascii():
        return min(max(0, offset), len(text))
    reached = 0
    for place, character in enumerate(text):
        reached += 2 if ord(character) >= _FIRST_PAIR else 1
        if reached > offset:
            return place
    return len(text)


def error(about: JiyaoError, language: Language) -> Json:
    """What happened and what to do; a page offers other ways out than a command line."""
    here = f"web.remedy_{about.key.replace('.', '_')}"
    if here in table():
        remedy = say(f"web.remedy_{about.key.replace('.', '_')}", language, **about.parameters)
    else:
        remedy = about.remedy(language)
    return {"key": about.key, "message": about.message(language), "remedy": remedy}


def note(noticed: Note, language: Language) -> Json:
    return {"message": say(noticed.key, language, **noticed.parameters), "warning": noticed.warning}


def progress(at: Advanced) -> Json:
    return {
        "done_ms": at.done_ms,
        "total_ms": at.total_ms,
        "speed": at.speed,
        "left_ms": at.left_ms,
        "cleaning": at.cleaning,
    }


def clip(view: ClipView) -> Json:
    return {
        "index": view.index,
        "start_ms": view.span.start_ms,
        "end_ms": view.span.end_ms,
        "part": view.part,
        "versions": list(view.versions),
        "shown": view.shown,
        "skipped": view.skipped,
    }


def part(span: Span) -> Json:
    return {"start_ms": span.start_ms, "end_ms": span.end_ms}


def engine_title(name: str, language: Language) -> str:
    key = f"web.engine_{name.replace('-', '_')}"
    return say(f"web.engine_{name.replace('-', '_')}", language) if key in table() else name


def engine(info: EngineInfo | None, language: Language) -> Json | None:
    if info is None or not info.name:
        return None
    return {
        "name": info.name,
        "title": engine_title(info.name, language),
        "model": info.model,
        "device": info.device,
        "memory_bytes": info.memory_bytes,
        "on_cpu": device_kind(info) == "cpu",
    }


def device_kind(info: EngineInfo | None) -> str:
    """cpu, cuda or mps; engines write more about a device behind that."""
    device = info.device.lower() if info is not None else ""
    return next((kind for kind in ("cuda", "mps") if device.startswith(kind)), "cpu")


def line(one: Line) -> Json:
    """`words`: [from, to, start_ms, end_ms], from and to in UTF-16 units of the text."""
    segment = one.segment
    found = places(segment)
    if len(segment.text.encode("utf-16-le", "surrogatepass")) != 2 * len(segment.text):
        found = [(units(segment.text, start), units(segment.text, end)) for start, end in found]
    words = [
        [start, end, word.start_ms, word.end_ms]
        for word, (start, end) in zip(segment.words, found, strict=True)
        if end > start
    ]
    return {
        "id": one.id,
        "version": one.version,
        "clip": one.clip,
        "start_ms": segment.start_ms,
        "end_ms": segment.end_ms,
        "speaker": segment.speaker,
        "language": segment.language,
        "text": segment.text,
        "confidence": segment.confidence,
        "flags": list(segment.flags),
        "timing": segment.timing,
        "edited": one.edited,
        "checked": one.checked,
        "words": words,
        "proposals": [_placed(segment.text, proposal) for proposal in one.proposals],
        "corrections": [_placed(segment.text, correction) for correction in segment.corrections],
    }


def _placed(text: str, change: Proposal | Correction) -> Json:
    return {
        "start": units(text, change.start),
        "end": units(text, change.end),
        "before": change.before,
        "after": change.after,
        "score": change.score,
        "rule": change.rule,
    }


def failed(state: str, about: JiyaoError | None, language: Language) -> Json | None:
    """Why a job failed; a fault of ours has no sentence of its own."""
    if about is None and state == "failed":
        about = UsageError("web.job_fault")
    return None if about is None else error(about, language)


def job(view: JobView, language: Language) -> Json:
    return {
        "id": view.id,
        "name": view.name,
        "state": view.state,
        "error": failed(view.state, view.error, language),
        "progress": progress(view.progress),
        "duration_ms": view.duration_ms,
        "place": view.place,
        "engine": engine(view.engine, language),
        "notes": [note(one, language) for one in view.notes],
        "has_audio": view.has_audio,
        "has_denoised": view.has_denoised,
        "telling_apart": view.telling_apart,
    }


def detail(view: JobView, lines: tuple[Line, ...] | None, language: Language) -> Json:
    """A whole job; `lines` None: without its text."""
    told = {
        "seq": view.seq,
        **job(view, language),
        "parts": [part(span) for span in view.parts],
        "clips": [clip(one) for one in view.clips],
        "can_undo": view.can_undo,
        "can_redo": view.can_redo,
    }
    return told if lines is None else {**told, "lines": [line(one) for one in lines]}


def wiped(done: Wiped) -> Json:
    return {
        "jobs": done.jobs,
        "buffer_bytes": done.buffer_bytes,
        "resident_before": done.resident_before,
        "resident_after": done.resident_after,
        "worker_ended": done.worker_ended,
    }
