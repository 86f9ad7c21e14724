"""What is edited and how: a line, what may be done to lines, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from jiyao.glossary import Proposal
from jiyao.transcript import Segment


@dataclass(frozen=True)
class Line:
    """One segment as it stands. `version` grows with every change; `clips`: where it was heard, the first one first.

    `edited`: a person wrote it. `checked`: a person looked at it: it is not doubtful any more. `assigned`: a person
    said who says it. `proposals`: what the terms suggest for it now; `declined`: (before, after) that a person does not
    want here.
    """

    id: str
    version: int
    clips: tuple[int, ...]
    segment: Segment
    edited: bool = False
    checked: bool = False
    assigned: bool = False
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
