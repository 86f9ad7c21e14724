"""The value everything above works on: a Transcript, its assembly from clips, and its JSON form (version 1).

`assemble` is the only place where a clip's offset is added to a time. A segment is one sentence, or what stands
between two pauses: short enough to click on and hear, long enough to read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Literal, TypeVar, get_args

from jiyao.errors import UsageError
from jiyao.recognition import EngineInfo, Flag, Recognition, Timing, Word
from jiyao.text import Script, convert, convert_words, ends_sentence, lay_out, tidy
from jiyao.timeline import Span

JSON_VERSION = 1

Rule = Literal["alias", "variant", "pinyin", "jyutping", "spelling", "transliteration", "typed"]
"""Why a term was put in: alias: the user's own rule · variant: the term's own letters, written otherwise · pinyin,
jyutping, spelling, transliteration: it sounds like that · typed: a person corrected the same elsewhere."""

_PAUSE_MS = 800  # a silence inside a clip that a reader would take for the end of a thought
_MAX_SEGMENT_MS = 15_000  # speech without punctuation or pause is cut at its widest gap beyond this


@dataclass(frozen=True)
class Source:
    """The recording: file name, length, SHA-256 of its bytes, and what was noticed while reading it."""

    name: str
    duration_ms: int
    sha256: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Correction:
    """A change that was made to a segment's text: at the character `start` there stands `after`, where `before` stood.

    `score` 0…1: of the proposal that a person accepted; None: no proposal was needed.
    """

    start: int
    before: str
    after: str
    rule: Rule
    score: float | None = None

    @property
    def end(self) -> int:
        return self.start + len(self.after)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One sentence or so. Times in ms from the recording's start; `words` may be empty; `confidence` 0…1 or None.

    `timing`: estimated times hold between two pauses only; in older files, which do not say, they are measured.
    The fields stand in the order of the JSON form.
    """

    start_ms: int
    end_ms: int
    speaker: str | None = None
    language: str | None = None
    text: str
    confidence: float | None = None
    flags: tuple[Flag, ...] = ()
    timing: Timing = "measured"
    words: tuple[Word, ...] = ()
    corrections: tuple[Correction, ...] = ()  # from the text's start to its end


@dataclass(frozen=True)
class Transcript:
    source: Source
    engine: EngineInfo
    segments: tuple[Segment, ...] = ()
    minutes: None = None

    @property
    def corrections(self) -> tuple[Correction, ...]:
        """All of them, in the order of time."""
        return tuple(correction for segment in self.segments for correction in segment.corrections)


@dataclass(frozen=True)
class Heard:
    """A clip's place in the recording, and what was recognised there."""

    span: Span
    recognition: Recognition


def assemble(
    source: Source,
    engine: EngineInfo,
    heard: Iterable[Heard],
    script: Script = "simplified",
    correct: Callable[[Segment], Segment] = lambda segment: segment,
) -> Transcript:
    """Clips in any order to one Transcript in the order of time. `correct`: a glossary's."""
    ordered = sorted(heard, key=lambda item: item.span)
    segments = (correct(segment) for item in ordered for segment in segments_of(item, script))
    return Transcript(source=source, engine=engine, segments=tuple(segments))


def segments_of(heard: Heard, script: Script = "simplified") -> list[Segment]:
    """One clip's recognition as segments, times from the recording's start. No text, no segment."""
    recognition, span = heard.recognition, heard.span
    common: dict[str, Any] = {"language": recognition.language, "flags": recognition.flags}
    han = recognition.language in ("zh", "yue", None)
    wanted: Script = script if han else "original"
    if not recognition.words:
        text = convert(tidy(recognition.text), wanted)
        if not text:
            return []
        return [
            Segment(
                start_ms=span.start_ms,
                end_ms=span.end_ms,
                text=text,
                confidence=recognition.confidence,
                **common,
            )
        ]
    segments = []
    for group in _sentences(_placed(recognition.words, span), recognition.timing):
        words = _typeset(group, wanted)
        if not words:
            continue
        confidences = [word.confidence for word in words if word.confidence is not None]
        segments.append(
            Segment(
                start_ms=words[0].start_ms,
                end_ms=words[-1].end_ms,
                text=lay_out(word.text for word in words)[0],
                confidence=round(sum(confidences) / len(confidences), 3) if confidences else None,
                timing=recognition.timing,
                words=words,
                **common,
            )
        )
    return segments


def _placed(words: Sequence[Word], span: Span) -> list[Word]:
    """Words on the recording's clock: inside their clip, in order, none ending before it starts."""
    placed: list[Word] = []
    earliest = span.start_ms
    for word in words:
        start = min(max(word.start_ms + span.start_ms, earliest), span.end_ms)
        end = min(max(word.end_ms + span.start_ms, start), span.end_ms)
        placed.append(replace(word, start_ms=start, end_ms=end))
        earliest = end
    return placed


def _sentences(words: list[Word], timing: Timing) -> Iterable[list[Word]]:
    start = 0
    for index, (word, following) in enumerate(pairwise(words), start=1):
        # which word an estimated pause follows is a guess: without a mark there it may well part 我 from 们
        paused = following.start_ms - word.end_ms >= _PAUSE_MS and (
            timing == "measured" or not word.text[-1:].isalnum()
        )
        if ends_sentence(word.text) or paused:
            yield from _short_enough(words[start:index])
            start = index
    yield from _short_enough(words[start:])


def _short_enough(words: list[Word]) -> Iterable[list[Word]]:
    if len(words) < 2 or words[-1].end_ms - words[0].start_ms <= _MAX_SEGMENT_MS:
        if words:
            yield words
        return
    # a comma first, else the widest gap; of equals, the one nearest the middle
    middle = (words[0].start_ms + words[-1].end_ms) / 2
    cut = max(
        range(1, len(words)),
        key=lambda i: (
            words[i - 1].text.endswith(("，", ",", "、", "：")),
            words[i].start_ms - words[i - 1].end_ms,
            -abs(words[i].start_ms - middle),
        ),
    )
    yield from _short_enough(words[:cut])
    yield from _short_enough(words[cut:])


def _typeset(words: Sequence[Word], script: Script) -> tuple[Word, ...]:
    """Words as they read in their sentence (script, punctuation width), empty ones dropped."""
    texts = convert_words([word.text for word in words], script)
    text, places = lay_out(texts)
    return tuple(
        replace(word, text=text[start:end]) for word, (start, end) in zip(words, places, strict=True) if end > start
    )


def places(segment: Segment) -> list[tuple[int, int]]:
    """Where each word stands in the text, as (from, to) in characters; words that are not there are empty."""
    found = []
    reached = 0
    for word in segment.words:
        start = segment.text.find(word.text, reached)
        if start < 0:
            found.append((reached, reached))
            continue
        reached = start + len(word.text)
        found.append((start, reached))
    return found


def span_ms(segment: Segment, start: int, end: int) -> tuple[int, int]:
    """When the characters `start` to `end` are said; the whole segment where it has no words there."""
    placed = zip(segment.words, places(segment), strict=True)
    under = [word for word, (left, right) in placed if left < end and start < right]
    return (under[0].start_ms, under[-1].end_ms) if under else (segment.start_ms, segment.end_ms)


def to_json(transcript: Transcript) -> str:
    """JSON version 1 (DESIGN section 7; `source.notes` and `timing` are ours: what is cut off or estimated says so)."""
    engine = transcript.engine
    document: dict[str, Any] = {
        "version": JSON_VERSION,
        "source": asdict(transcript.source),
        "engine": {
            "name": engine.name,
            "model": engine.model,
            "revision": engine.revision,
            "device": engine.device,
        },
        "segments": [asdict(replace(segment, corrections=())) for segment in transcript.segments],
        "corrections": list(_corrections(transcript.segments)),
        "minutes": transcript.minutes,
    }
    for segment in document["segments"]:
        del segment["corrections"]  # they have a list of their own, for those who look for nothing else
    return json.dumps(document, ensure_ascii=False, indent=1)


def _corrections(segments: Sequence[Segment]) -> Iterable[dict[str, Any]]:
    for index, segment in enumerate(segments):
        for one in segment.corrections:
            start_ms, _ = span_ms(segment, one.start, one.end)
            yield {"segment": index, "start_ms": start_ms, **asdict(one)}


def from_json(text: str) -> Transcript:
    """The inverse of `to_json`. Raises UsageError on anything that is not version 1."""
    try:
        document = json.loads(text)
        if document["version"] != JSON_VERSION:
            raise UsageError("transcript.version", version=document["version"])
        return _from_document(document)
    except (KeyError, TypeError, ValueError, RecursionError) as cause:
        raise UsageError("transcript.malformed") from cause


def _from_document(document: dict[str, Any]) -> Transcript:
    source = document["source"]
    engine = document["engine"]
    if not isinstance(source["name"], str) or type(source["duration_ms"]) is not int:
        raise ValueError(f"not a source: {source}")
    corrections: dict[int, list[Any]] = {}
    for raw in document["corrections"]:
        corrections.setdefault(raw["segment"], []).append({k: raw[k] for k in raw if k not in ("segment", "start_ms")})
    return Transcript(
        source=Source(**{**source, "notes": tuple(source.get("notes", ()))}),
        engine=EngineInfo(**engine, dtype=""),
        segments=tuple(
            segment_from_document({**raw, "corrections": corrections.get(index, ())})
            for index, raw in enumerate(document["segments"])
        ),
    )


def segment_from_document(raw: Mapping[str, Any]) -> Segment:
    """A segment as `asdict` told it, and JSON brought it back. Raises ValueError, TypeError or KeyError."""
    flags = tuple(raw["flags"])
    if not set(flags) <= set(get_args(Flag)):
        raise ValueError(f"unknown flag in {flags}")
    words = tuple(_checked(Word(**word)) for word in raw["words"])
    corrections = tuple(Correction(**correction) for correction in raw.get("corrections", ()))
    segment = _checked(Segment(**{**raw, "flags": flags, "words": words, "corrections": corrections}))
    for one in corrections:
        if one.rule not in get_args(Rule) or one.start < 0 or segment.text[one.start : one.end] != one.after:
            raise ValueError(f"not a correction of this text: {one}")
    return segment


_Timed = TypeVar("_Timed", Word, Segment)


def _checked(item: _Timed) -> _Timed:
    """A segment or word as read, if its text, times (ms) and confidence are what the rest of the program counts on."""
    times = (item.start_ms, item.end_ms)
    if not isinstance(item.text, str) or not all(type(ms) is int for ms in times) or not 0 <= times[0] <= times[1]:
        raise ValueError(f"not a text with times: {item}")
    if item.confidence is not None and not 0 <= item.confidence <= 1:
        raise ValueError(f"not a confidence: {item.confidence}")
    if isinstance(item, Segment):
        if not all(isinstance(name, str | None) for name in (item.speaker, item.language)):
            raise ValueError(f"not a name: {item.speaker}, {item.language}")
        if item.timing not in get_args(Timing):
            raise ValueError(f"not a timing: {item.timing}")
    return item
