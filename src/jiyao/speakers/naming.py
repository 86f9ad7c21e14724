"""Names that people give themselves: 我是张工, 我叫李雷, this is Diane. Shown with the words, never put in silently.

In:  segments with speakers. Out: for each such place the speaker who says it and the name. Only what is said outright
counts, and what the lists of `glossary.people` take for a name: 我是觉得, 我是总监 and I'm sorry are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from jiyao.glossary import people
from jiyao.transcript import Segment

_LEAD = re.compile(r"我(?:就|也)?(?:是|叫|名叫)|我的名字(?:是|叫)|(?:这里|这边)是|(?:我)?叫我")
_OF = re.compile(r"[^，。！？,.!?的]{1,8}的")  # 我是产品部的小陈
_END = re.compile(r"(?:[啊呀哈吧]?[，。！？、,.!?；;]|[啊呀哈吧]?$|\s)")
_ENGLISH = re.compile(r"\b(?:[Tt]his is|I'm|I am|[Mm]y name is|[Mm]y name's) ([A-Z][a-z]+(?: [A-Z][a-z]+)?)\b")
# what is written with a capital and is no name
_NO_NAMES = frozenset(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August "
    "September October November December Christmas Easter Chinese American British Canadian German French Japanese "
    "Korean Indian English God Ok Okay Yes No Sorry Sure Fine Good Great Here There What Why How That The It My "
    "Your Our".split()
)


@dataclass(frozen=True)
class Suggestion:
    """`segment`: its place among those given; `start`, `end`: the words in its text."""

    speaker: str
    name: str
    segment: int
    start: int
    end: int


def suggestions(segments: Iterable[Segment]) -> list[Suggestion]:
    """In the order of time, each name of a speaker once."""
    found: dict[tuple[str, str], Suggestion] = {}
    for place, segment in enumerate(segments):
        if segment.speaker is None:
            continue
        for name, start, end in introduced(segment.text):
            found.setdefault((segment.speaker, name), Suggestion(segment.speaker, name, place, start, end))
    return list(found.values())


def introduced(text: str) -> list[tuple[str, int, int]]:
    """(name, from, to) wherever the speaker of this text says what they are called."""
    found = []
    for lead in _LEAD.finditer(text):
        starts = [lead.end()]
        if of := _OF.match(text, lead.end()):
            starts.append(of.end())
        for start in starts:
            name = _named(text[start:], outright="叫" in lead.group())
            if name:
                found.append((name, lead.start(), start + len(name)))
                break
    for match in _ENGLISH.finditer(text):
        if not _NO_NAMES & set(match[1].split()):
            found.append((match[1], match.start(), match.end()))
    return found


def _named(text: str, outright: bool) -> str:
    """The name that the text begins with, where nothing but a mark follows it; "" for none. `outright`: after 我叫,
    where only a name can come."""
    said = people.called(text, outright)
    return next((name for name in said if _END.match(text, len(name))), "")
