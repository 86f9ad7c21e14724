"""What a person wrote, as JSON: for each clip that a change touched, its lines as they stand since then.

States, not changes: the last one of a clip counts, however often it was heard again in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from jiyao.editing import Line, Manuscript
from jiyao.glossary import Glossary, correct
from jiyao.text import Script
from jiyao.timeline import Span
from jiyao.transcript import Segment, segment_from_document, segments_of
from jiyao.vault.cipher import Json
from jiyao.vault.records import ClipResult, Making


def edit_of(states: Mapping[Span, Sequence[Line] | None]) -> Json:
    """None: the clip stands as it was heard."""
    return {
        "clips": [
            {"start": span.start, "end": span.end, "lines": None if lines is None else [_told(line) for line in lines]}
            for span, lines in states.items()
        ]
    }


def edited(edits: Iterable[Json]) -> dict[Span, tuple[Line, ...]]:
    """The lines of every clip that does not stand as it was heard. An edit that cannot be read is left out."""
    found: dict[Span, tuple[Line, ...]] = {}
    for edit in edits:
        try:
            for clip in edit["clips"]:
                span = Span(clip["start"], clip["end"])
                found.pop(span, None)
                if clip["lines"] is not None:
                    found[span] = tuple(_line(raw) for raw in clip["lines"])
        except (KeyError, TypeError, ValueError):
            continue
    return found


def segments_after(edits: Iterable[Json], shown: Mapping[Span, Sequence[Segment]]) -> tuple[Segment, ...]:
    """The text of all clips as it stands after the edits. `shown`: as it stood before them."""
    made = Manuscript()
    kept = edited(edits)
    states = {}
    for clip, span in enumerate(sorted(shown)):
        made.hear(clip, shown[span], 0)
        if span in kept:
            states[clip] = kept[span]
    made.restore(states)
    return tuple(line.segment for line in made.lines)


def as_shown(
    results: Iterable[ClipResult], makings: Mapping[int, Making], script: Script
) -> tuple[dict[Span, list[Segment]], bool]:
    """What clips were shown as before any edit, the terms of those days put right; whether they could be."""
    shown: dict[Span, list[Segment]] = {}
    complete = True
    for result in results:
        segments = shown[result.heard.span] = segments_of(result.heard, script)
        making = makings.get(result.version)
        try:
            terms = (making.glossary if making else Glossary()).in_script(script)
            shown[result.heard.span] = [correct(terms, segment) for segment in segments]
        except Exception:  # whatever it is: what is kept can be had all the same
            complete = False
    return shown, complete


def _told(line: Line) -> Json:
    told = asdict(replace(line, proposals=()))  # those come from the terms of the day
    del told["proposals"]
    return told


def _line(raw: Mapping[str, Json]) -> Line:
    segment = segment_from_document(raw["segment"])
    declined = tuple((str(before), str(after)) for before, after in raw.get("declined", ()))
    return Line(
        raw["id"],
        0,
        tuple(raw["clips"]),
        segment,
        bool(raw["edited"]),
        bool(raw["checked"]),
        bool(raw.get("assigned")),
        declined,
    )
