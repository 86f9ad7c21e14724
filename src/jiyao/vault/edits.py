"""What a person wrote, as JSON: for each clip that a change touched, its lines as they stand since then.

States, not changes: the last one of a clip counts, however often it was heard again in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from jiyao.editing import Line, Manuscript
from jiyao.text import Script
from jiyao.timeline import Span
from jiyao.transcript import Heard, Segment, segment_from_document, segments_of
from jiyao.vault.cipher import Json


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


def segments_after(edits: Iterable[Json], heard: Iterable[Heard], script: Script) -> tuple[Segment, ...]:
    """The text of all clips as it stands after the edits."""
    made = Manuscript()
    kept = edited(edits)
    states = {}
    for clip, item in enumerate(sorted(heard, key=lambda item: item.span)):
        made.hear(clip, segments_of(item, script), 0)
        if item.span in kept:
            states[clip] = kept[item.span]
    made.restore(states)
    return tuple(line.segment for line in made.lines)


def _told(line: Line) -> Json:
    return asdict(line)


def _line(raw: Mapping[str, Json]) -> Line:
    segment = segment_from_document(raw["segment"])
    return Line(raw["id"], 0, tuple(raw["clips"]), segment, bool(raw["edited"]), bool(raw["checked"]))
