"""Lines while one step is made of several changes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace

from jiyao.editing.changes import (
    Change,
    Conflict,
    Correct,
    Decline,
    Line,
    Rename,
    Revert,
    SetSpeaker,
    SetText,
    Settle,
    Split,
)
from jiyao.retiming import corrected, joined, parted, retimed, reverted
from jiyao.transcript import Rule


class Work:
    """Lines while one step is made of several changes."""

    def __init__(self, lines: dict[str, Line], new_id: Callable[[], str]) -> None:
        self.lines = lines
        self._new_id = new_id

    def do(self, change: Change) -> None:
        if isinstance(change, Rename):
            for one in list(self.lines.values()):
                if one.segment.speaker == change.speaker:
                    self._put(replace(one, segment=replace(one.segment, speaker=change.name)))
            return
        line = self.lines.get(change.line)
        if line is None:  # an earlier change of the same step took it
            raise Conflict([None])
        segment = line.segment
        if isinstance(change, SetSpeaker):
            self._put(replace(line, assigned=True, segment=replace(segment, speaker=change.speaker)))
        elif isinstance(change, Settle):
            self._put(replace(line, checked=True, segment=replace(segment, flags=())))
        elif isinstance(change, SetText):
            self._set_text(line, change.text)
        elif isinstance(change, Correct):
            self._correct(line, change)
        elif isinstance(change, Decline):
            declined = tuple(dict.fromkeys((*line.declined, (change.before, change.after))))
            self._put(replace(line, declined=declined))
        elif isinstance(change, Revert):
            self._revert(line, change.start)
        elif isinstance(change, Split):
            self._split(line, change.offset)
        else:
            self._merge(line)

    def _set_text(self, line: Line, text: str) -> None:
        text = " ".join(text.split())
        if not text:
            del self.lines[line.id]
        elif text != line.segment.text:
            segment = replace(retimed(line.segment, text), flags=())
            self._put(replace(line, segment=segment, edited=True, checked=True))

    def _correct(self, line: Line, change: Correct) -> None:
        asked = (change.start, change.before, change.after)
        proposal = next((one for one in line.proposals if (one.start, one.before, one.after) == asked), None)
        rule: Rule = proposal.rule if proposal else "typed"
        try:
            segment = corrected(line.segment, *asked, rule, proposal.score if proposal else None)
        except ValueError:
            raise Conflict([line]) from None
        self._put(replace(line, segment=segment))

    def _revert(self, line: Line, start: int) -> None:
        """What was taken back is not proposed again."""
        correction = next((one for one in line.segment.corrections if one.start == start), None)
        if correction is None:
            raise Conflict([line])
        declined = tuple(dict.fromkeys((*line.declined, (correction.before, correction.after))))
        self._put(replace(line, segment=reverted(line.segment, correction), declined=declined))

    def _split(self, line: Line, offset: int) -> None:
        first, second = parted(line.segment, offset)
        self._put(replace(line, segment=first))
        self._put(replace(line, id=self._new_id(), segment=second))

    def _merge(self, line: Line) -> None:
        ordered = sorted(self.lines.values(), key=lambda one: one.place)
        place = bisect_right([one.place for one in ordered], line.place)
        if place == len(ordered):
            return
        following = ordered[place]
        del self.lines[following.id]
        clips = tuple(dict.fromkeys((*line.clips, *following.clips)))
        edited, checked = line.edited or following.edited, line.checked and following.checked
        assigned = line.assigned or following.assigned
        segment = joined(line.segment, following.segment)
        self._put(replace(line, clips=clips, segment=segment, edited=edited, checked=checked, assigned=assigned))

    def _put(self, line: Line) -> None:
        self.lines[line.id] = line
