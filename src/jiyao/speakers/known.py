"""Voices that are known from earlier recordings: who sounds like whom. To be offered with the samples, never put in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jiyao.speakers.turns import Likeness

_LEAST = 0.5  # two people are below 0.4 in 99 of 100 cases, one person in two recordings usually above


@dataclass(frozen=True)
class Resemblance:
    """`score` 0…1: cosine of the two directions."""

    name: str
    score: float


def resembles(likeness: Likeness, known: Mapping[str, Likeness]) -> list[Resemblance]:
    """Whom a voice sounds like, the most alike first."""
    found = [
        Resemblance(name, _cosine(likeness, other)) for name, other in known.items() if len(other) == len(likeness)
    ]
    return sorted((one for one in found if one.score >= _LEAST), key=lambda one: -one.score)


def _cosine(one: Likeness, other: Likeness) -> float:
    return sum(left * right for left, right in zip(one, other, strict=True))
