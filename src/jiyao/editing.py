"""A transcript under correction: lines with versions, changes that can be undone, times that stay with their words.

In:  what was recognised, clip by clip, and a person's changes. Out: lines in the order of time, and for every change a
Patch: what went, what came. Two people at once never overwrite each other silently: a change names the version it was
made on. Undo is one for all who look at the same recording. What is heard again replaces its stretch as a change like
any other, and can be undone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from jiyao.glossary import Proposal, found
from jiyao.retiming import corrected, joined, parted, retimed, reverted
from jiyao.transcript import Rule, Segment

_LONGEST_HISTORY = 1_000  # changes that can be undone


@dataclass(frozen=True)
class Line:
    """One segment as it stands. `version` grows with every change; `clips`: where it was heard, the first one first.

    `edited`: a person wrote it. `checked`: a person looked at it: it is not doubtful any more. `proposals`: what the
    terms suggest for it now; `declined`: (before, after) that a person does not want here.
    """

    id: str
    version: int
    clips: tuple[int, ...]
    segment: Segment
    edited: bool = False
    checked: bool = False
    declined: tuple[tuple[str, str], ...] = ()
    proposals: tuple[Proposal, ...] = ()

    @property
    def clip(self) -> int:
        return self.clips[0]

    @property
    def place(self) -> tuple[int, str]:
        """Lines stand in this order."""
        return self.segment.start_ms, self.id


@dataclass(frozen=True)
class SetText:
    """Other words for a line; none at all takes it away."""

    line: str
    version: int
    text: str


@dataclass(frozen=True)
class Split:
    """Two lines of one, before the character `offset`."""

    line: str
    version: int
    offset: int


@dataclass(frozen=True)
class Merge:
    """One line of this and the next."""

    line: str
    version: int


@dataclass(frozen=True)
class SetSpeaker:
    """Who said this line; None: not known."""

    line: str
    version: int
    speaker: str | None


@dataclass(frozen=True)
class Rename:
    """Another name for a speaker, everywhere; a name that is there already makes one of the two."""

    speaker: str
    name: str


@dataclass(frozen=True)
class Settle:
    """A person has looked: this line is not doubtful."""

    line: str
    version: int


@dataclass(frozen=True)
class Correct:
    """A term in place of what stands at the character `start`, on record. On one line: from its end to its start."""

    line: str
    version: int
    start: int
    before: str
    after: str


@dataclass(frozen=True)
class Decline:
    """This is no term here: it is not proposed for this line again."""

    line: str
    version: int
    before: str
    after: str


@dataclass(frozen=True)
class Revert:
    """Take back the correction that begins at the character `start`."""

    line: str
    version: int
    start: int


Change = SetText | Split | Merge | SetSpeaker | Rename | Settle | Correct | Decline | Revert
Propose = Callable[[Segment, Iterable[tuple[str, str]]], tuple[Proposal, ...]]


class Conflict(Exception):
    """A change was made on a version that is gone; nothing was changed. `lines`: each as it stands, None: not there."""

    def __init__(self, lines: Sequence[Line | None]) -> None:
        super().__init__("changed meanwhile")
        self.lines = tuple(lines)


@dataclass(frozen=True)
class Patch:
    """What a change did: ids of lines that are gone, lines that are new or different, clips that hold other lines."""

    removed: tuple[str, ...] = ()
    put: tuple[Line, ...] = ()
    clips: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Step:
    before: tuple[Line, ...]
    after: tuple[Line, ...]


class Manuscript:
    """All lines of one recording. Not safe to share between threads. `propose`: of a glossary."""

    def __init__(self, propose: Propose = lambda segment, declined: ()) -> None:
        self._propose = propose
        self._lines: dict[str, Line] = {}
        self._heard: dict[int, tuple[int, tuple[Segment, ...]]] = {}  # clip -> version, segments
        self._undo: deque[_Step] = deque(maxlen=_LONGEST_HISTORY)
        self._redo: list[_Step] = []
        self._version = 0
        self._serial = 0

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(sorted(self._lines.values(), key=lambda line: line.place))

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        return bool(self._redo)

    def clear(self) -> None:
        """Nothing is left, nothing can be undone."""
        self.__init__(self._propose)  # type: ignore[misc]

    def use(self, propose: Propose) -> tuple[Line, ...]:
        """Other terms for lines from now on; the lines that are there, to be looked at by them: see `told`."""
        self._propose = propose
        return tuple(self._lines.values())

    def told(self, looked_at: Iterable[tuple[Line, tuple[Proposal, ...]]]) -> Patch:
        """What other terms propose for these lines, where they are as they were then. Versions stay."""
        fresh = [
            replace(line, proposals=proposals)
            for line, proposals in looked_at
            if self._lines.get(line.id) is line and proposals != line.proposals
        ]
        self._lines |= {line.id: line for line in fresh}
        return Patch(put=tuple(fresh))

    def neighbours(self, clip: int, most: int) -> list[int]:
        """The clips with text next to this one, the nearest first; which are heard already, not how far they are."""
        others = {line.clip for line in self._lines.values()} - {clip}
        return sorted(others, key=lambda other: (abs(other - clip), other))[:most]

    def proposed(self, least: float) -> list[Correct]:
        """What would put in every term that is proposed with at least this score."""
        return [
            Correct(line.id, line.version, one.start, one.before, one.after)
            for line in self.lines
            for one in reversed(line.proposals)
            if one.score >= least
        ]

    def places(self, before: str, after: str) -> list[Correct]:
        """What would put `after` wherever `before` stands as a word of its own."""
        return [
            Correct(line.id, line.version, start, before, after)
            for line in self.lines
            for start in reversed(found(line.segment.text, before))
        ]

    def hear(self, clip: int, segments: Sequence[Segment], version: int) -> Patch:
        """What was recognised in a clip takes the place of what stood there; lines merged over its edge come apart."""
        again = clip in self._heard
        self._heard[clip] = version, tuple(segments)
        gone = {line.id: line for line in self._lines.values() if clip in line.clips}
        clips = sorted({clip, *(one for line in gone.values() for one in line.clips)})
        gone |= {line.id: line for line in self._lines.values() if set(line.clips) & set(clips)}
        fresh = [line for one in clips if one in self._heard for line in self._as_heard(one)]
        return self._apply(tuple(gone.values()), fresh, keep=again or bool(gone))

    def change(self, changes: Sequence[Change]) -> Patch:
        """All of them as one step, or none. Raises Conflict; ValueError for a split that leaves nothing on one side."""
        work = _Work(dict(self._lines), self._new_id)
        stale = [one.line for one in changes if not isinstance(one, Rename) and self._is_stale(one.line, one.version)]
        conflicts = [self._lines.get(line) for line in stale]
        if conflicts:
            raise Conflict(conflicts)
        for one in changes:
            work.do(one)
        before = tuple(line for line in self._lines.values() if work.lines.get(line.id) is not line)
        after = [line for line in work.lines.values() if self._lines.get(line.id) is not line]
        if not before and not after:
            return Patch()
        return self._apply(before, after)

    def undo(self) -> Patch | None:
        """Take the last step back; None: there is none."""
        if not self._undo:
            return None
        step = self._undo.pop()
        self._redo.append(step)
        return self._swap(step.after, step.before)

    def redo(self) -> Patch | None:
        """Do the step that was taken back last once more; None: there is none."""
        if not self._redo:
            return None
        step = self._redo.pop()
        self._undo.append(step)
        return self._swap(step.before, step.after)

    def state(self, clip: int) -> tuple[Line, ...] | None:
        """The lines that begin in a clip; None: they stand as they were heard."""
        lines = tuple(line for line in self.lines if line.clip == clip)
        covered = any(clip in line.clips for line in self._lines.values() if line.clip != clip)
        heard = self._heard.get(clip, (0, ()))[1]
        touched = any(line.checked or line.declined for line in lines)
        if not covered and not touched and [line.segment for line in lines] == list(heard):
            return None
        return lines

    def restore(self, states: Mapping[int, Sequence[Line]]) -> Patch:
        """Lines as `state` once told them; clips that were not heard are left out. Not to be undone."""
        known = {clip: lines for clip, lines in states.items() if clip in self._heard}
        gone = tuple(line for line in self._lines.values() if set(line.clips) & set(known))
        fresh = [replace(line, id=self._new_id()) for lines in known.values() for line in lines]
        return self._apply(gone, fresh, keep=False)

    def _is_stale(self, line: str, version: int) -> bool:
        known = self._lines.get(line)
        return known is None or known.version != version

    def _as_heard(self, clip: int) -> list[Line]:
        version, segments = self._heard[clip]
        return [Line(f"{clip}.{version}.{index}", 0, (clip,), segment) for index, segment in enumerate(segments)]

    def _apply(self, before: tuple[Line, ...], after: Sequence[Line], keep: bool = True) -> Patch:
        if keep:
            self._undo.append(_Step(before, tuple(after)))
            self._redo.clear()
        return self._swap(before, tuple(after))

    def _swap(self, out: tuple[Line, ...], into: tuple[Line, ...]) -> Patch:
        """Lines come with a version that nobody has seen."""
        known = {line.id: line for one in out if (line := self._lines.pop(one.id, None))}
        self._version += 1
        put = tuple(replace(line, version=self._version, proposals=self._proposals(line, known)) for line in into)
        self._lines |= {line.id: line for line in put}
        stay = {line.id for line in put}
        clips = sorted({clip for line in (*out, *put) for clip in line.clips})
        return Patch(tuple(line.id for line in out if line.id not in stay), put, tuple(clips))

    def _proposals(self, line: Line, known: Mapping[str, Line]) -> tuple[Proposal, ...]:
        """Not looked for again where nothing that matters has changed."""
        old = known.get(line.id)
        if old is not None and (old.segment.text, old.declined) == (line.segment.text, line.declined):
            return old.proposals
        return self._propose(line.segment, line.declined)

    def _new_id(self) -> str:
        self._serial += 1
        return f"e{self._serial}"


class _Work:
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
            self._put(replace(line, segment=replace(segment, speaker=change.speaker)))
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
        segment = joined(line.segment, following.segment)
        self._put(replace(line, clips=clips, segment=segment, edited=edited, checked=checked))

    def _put(self, line: Line) -> None:
        self.lines[line.id] = line
