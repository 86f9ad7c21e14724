"""All lines of one recording, the steps that can be undone, and what was heard where."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from jiyao.editing.changes import Change, Conflict, Correct, Line, Patch, Propose, Rename
from jiyao.editing.work import Work
from jiyao.glossary import Proposal, found
from jiyao.speakers import Likeness, Names, Turns
from jiyao.transcript import Segment

_LONGEST_HISTORY = 1_000  # changes that can be undone


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
        self._turns = Turns()
        self._names: dict[int, str] = {}  # voice -> what it is called
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

    @property
    def told_apart(self) -> bool:
        return bool(self._turns)

    @property
    def likenesses(self) -> dict[str, Likeness]:
        """How those sound who speak here, by what they are called now."""
        found: dict[str, Likeness] = {}
        for voice, name in self._names.items():
            if self._turns.likenesses.get(voice):
                found.setdefault(name, self._turns.likenesses[voice])
        return found

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

    def tell_apart(self, turns: Turns, name: Names) -> Patch:
        """Who speaks, for all lines, and for those that are still to come; `name`: of a voice that has none yet.

        Lines that stand as they were heard come apart where the voice changes; those that a person changed do not, and
        a speaker that a person named for a line stays. Names that voices have already go to who speaks there now.
        """
        before = self.lines
        untouched = [clip for clip in self._heard if self._is_untouched(clip)]
        self._names = turns.named((line.segment for line in before), name)
        self._turns = turns
        gone = [line for line in before if line.clip in untouched]
        fresh = [line for clip in untouched for line in self._as_heard(clip)]
        for line in before:
            voice = None if line.clip in untouched or line.assigned else turns.voice_of(line.segment)
            if voice is not None and self._names[voice] != line.segment.speaker:
                gone.append(line)
                fresh.append(replace(line, segment=replace(line.segment, speaker=self._names[voice])))
        # with nothing to take back yet, this is not the first thing that can be
        return self._apply(tuple(gone), fresh, keep=self.can_undo or self.can_redo)

    def change(self, changes: Sequence[Change]) -> Patch:
        """All of them as one step, or none. Raises Conflict; ValueError for a split that leaves nothing on one side."""
        work = Work(dict(self._lines), self._new_id)
        stale = [one.line for one in changes if not isinstance(one, Rename) and self._is_stale(one.line, one.version)]
        conflicts = [self._lines.get(line) for line in stale]
        if conflicts:
            raise Conflict(conflicts)
        for one in changes:
            work.do(one)
        for one in changes:
            if isinstance(one, Rename):
                self._names = {voice: one.name if name == one.speaker else name for voice, name in self._names.items()}
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
        return self._stepped(step.after, step.before)

    def redo(self) -> Patch | None:
        """Do the step that was taken back last once more; None: there is none."""
        if not self._redo:
            return None
        step = self._redo.pop()
        self._undo.append(step)
        return self._stepped(step.before, step.after)

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
        if self._turns:
            segments = tuple(piece for one in segments for piece in self._turns.spoken(one, self._names.__getitem__))
        return [Line(f"{clip}.{version}.{index}", 0, (clip,), segment) for index, segment in enumerate(segments)]

    def _is_untouched(self, clip: int) -> bool:
        """Nobody changed anything in this clip but a speaker's name, everywhere."""
        lines = [line for line in self.lines if clip in line.clips]
        if any(line.clips != (clip,) or line.checked or line.declined or line.assigned for line in lines):
            return False
        return [line.segment for line in lines] == [line.segment for line in self._as_heard(clip)]

    def _stepped(self, out: tuple[Line, ...], into: tuple[Line, ...]) -> Patch:
        """Names go back and forth with the lines."""
        patch = self._swap(out, into)
        if self._turns:
            self._names |= self._turns.called(line.segment for line in self._lines.values())
        return patch

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
