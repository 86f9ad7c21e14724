"""Texts → candidates for terms: names, Latin and mixed tokens, compounds; a person ticks those that are.

    people     names in Chinese          foreign    Latin and mixed tokens
    compounds  Chinese compounds         corpus     what the dictionary knows of words

The same texts give the same candidates in the same order.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from jiyao.glossary import compounds, foreign, people
from jiyao.glossary.corpus import tagged
from jiyao.text import is_han

Kind = Literal["name", "latin", "mixed", "compound"]

MAX_CANDIDATES = 200

_LONGEST_LINE = 2_000  # characters
_WORDS_FOR_A_REPEAT = 8_000  # of a text; a longer one must say a compound once more for each so many
_MOST_LEAST = 5
_AROUND = 14  # characters of an example on each side
_ROLE, _TITLE, _REPEATED, _FOREIGN_NAME = 3.4, 3.0, 2.4, 2.8
_LATIN, _LATIN_RANGE, _COMPOUND, _BITS = 1.4, 2.0, 1.2, 0.08
_WEAK = 0.35  # a Latin word this little telling must be repeated
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code - 0xFEE0).isalnum()}
_MARKS = re.compile(r"[-_\s.·•]+")


@dataclass(frozen=True)
class Candidate:
    """`count`: how often the texts have it; `example`: a short stretch with it."""

    term: str
    count: int
    kind: Kind
    example: str


@dataclass
class _Found:
    kind: Kind
    score: float
    count: int = 0


def harvest(texts: Iterable[str]) -> list[Candidate]:
    """At most 200, best first; forms that differ in case, hyphens or spaces alone are one. A second for each 100,000
    characters."""
    text = "\n".join(texts).translate(_HALF_WIDTH)
    lines = [line[:_LONGEST_LINE].strip() for line in text.splitlines() if line.strip()]
    text = "\n".join(lines)
    found: dict[str, _Found] = {}
    _people(lines, text, found)
    _foreign(lines, found)
    _compounds(lines, found)
    best = sorted(found.items(), key=lambda one: (-_value(one[1]), text.find(one[0]), one[0]))
    candidates = (
        Candidate(term, one.count, one.kind, _example(text, term))
        for term, one in best
        if not _is_part(term, one, found)
    )
    return list(islice(candidates, MAX_CANDIDATES))


def _value(one: _Found) -> float:
    return one.score + 0.5 * math.log2(one.count)


def _people(lines: list[str], text: str, found: dict[str, _Found]) -> None:
    scored: dict[str, float] = {}
    for score, names in (
        (_ROLE, people.by_role(text)),
        (_TITLE, (name for line in lines for name in people.by_title(line))),
        (_TITLE, (name for line in lines for name in people.by_familiarity(line))),
        (_FOREIGN_NAME, (name for line in lines for name in people.foreign(line))),
        (_REPEATED, people.repeated([tagged(line, guess=True) for line in lines], least=2)),
    ):
        for name in names:
            scored[name] = max(score, scored.get(name, 0.0))
    for name, score in scored.items():
        found[name] = _Found("name", score, text.count(name))


def _foreign(lines: list[str], found: dict[str, _Found]) -> None:
    """Forms of one term are counted together, under the one that is used most."""
    forms: dict[str, Counter[str]] = {}
    telling: dict[str, float] = {}
    for line in lines:
        for term, much in foreign.tokens(line):
            folded = _MARKS.sub("", term).lower()
            forms.setdefault(folded, Counter())[term] += 1
            telling[folded] = max(much, telling.get(folded, 0.0))
    for folded, counter in forms.items():
        term, count = counter.most_common(1)[0][0], counter.total()
        if count > 1 or telling[folded] > _WEAK:
            kind: Kind = (
                "latin" if all(c.isalpha() or c == " " for c in term) and not any(map(is_han, term)) else "mixed"
            )
            found[term] = _Found(kind, _LATIN + _LATIN_RANGE * telling[folded], count)


def _compounds(lines: list[str], found: dict[str, _Found]) -> None:
    cut = [tagged(line) for line in lines]
    least = min(_MOST_LEAST, 2 + sum(map(len, cut)) // _WORDS_FOR_A_REPEAT)
    named = [name for name, one in found.items() if one.kind == "name"]
    for term, count, bits in compounds.compounds(cut, least):
        if term not in found and not any(name in term or term in name for name in named):
            found[term] = _Found("compound", _COMPOUND + _BITS * min(bits, 20), count)


def _is_part(term: str, one: _Found, found: dict[str, _Found]) -> bool:
    """Does it stand in a longer candidate alone? A surname with its title in a full name, Kafka in Apache Kafka."""
    return any(term != other and term in other and other_one.count >= one.count for other, other_one in found.items())


def _example(text: str, term: str) -> str:
    """The first place; what stands round it on its line."""
    at = max(text.find(term), 0)
    begin, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
    end = len(text) if end < 0 else end
    start, stop = max(begin, at - _AROUND), min(end, at + len(term) + _AROUND)
    shown = " ".join(text[start:stop].split())
    return ("…" if start > begin else "") + shown + ("…" if stop < end else "")
