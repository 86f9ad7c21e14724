"""Which terms help a clip: few, the most relevant first; too many do harm (MODEL.md).

In:  a Glossary, and the terms that neighbouring clips speak of. Out: Hints.
"""

from __future__ import annotations

from collections.abc import Iterable

from jiyao.glossary import variants
from jiyao.glossary.entries import Glossary
from jiyao.glossary.proposing import Proposal
from jiyao.recognition import Hints

NEAR_CLIPS = 8  # whose text tells which terms are spoken of here: two or three minutes
MAX_TERMS = 60
MAX_CHARACTERS = 600


def fits(glossary: Glossary) -> bool:
    """Whether all terms go into the hints: then their order is all that neighbours change."""
    return len(glossary.terms) <= MAX_TERMS and sum(map(len, glossary.terms)) <= MAX_CHARACTERS


def mentions(glossary: Glossary, text: str, proposals: Iterable[Proposal]) -> list[str]:
    """The terms that a text speaks of: those that stand there, then those that something there sounds like."""
    return [*variants.standing(glossary, text), *(proposal.after for proposal in proposals)]


def hints_for(glossary: Glossary, language: str | None, near: Iterable[str] = ()) -> Hints:
    """For one clip. `near`: terms that the neighbouring clips speak of, the nearest first; all others follow as the
    user has them, up to `MAX_TERMS` and `MAX_CHARACTERS`."""
    known = frozenset(glossary.terms)
    chosen: list[str] = []
    characters = 0
    for term in dict.fromkeys((*(term for term in near if term in known), *glossary.terms)):
        if len(chosen) == MAX_TERMS:
            break
        if characters + len(term) <= MAX_CHARACTERS:
            chosen.append(term)
            characters += len(term)
    return Hints(terms=tuple(chosen), language=language)
