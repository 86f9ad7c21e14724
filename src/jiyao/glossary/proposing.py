"""Where a term may have been meant: stretches of a text that sound like it and read badly as they stand.

In:  a Segment and a Glossary. Out: Proposals with a score, disjoint; nothing is changed. An index of phone trigrams
finds the places, a weighted edit distance measures the sound, and the words round about decide: a stretch that is good
Chinese or English as it stands (方法, 出现流程, work) is left alone, however alike it sounds.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from jiyao.glossary import variants, words
from jiyao.glossary.entries import Glossary
from jiyao.glossary.judging import Term, judged, least, opening, sayings
from jiyao.glossary.likeness import folded, likenesses, weight
from jiyao.glossary.sounds import Tongue, Unit, units
from jiyao.text import is_han
from jiyao.transcript import Rule, Segment

LOWEST = 0.75  # no proposal below this score

_DRIFT = 3  # phones more or fewer before a trigram
_LONGEST = 1.6  # times a term's weight a stretch may have
_UNSURE = 0.8  # of a term's own letters where they may be ordinary English words


@dataclass(frozen=True)
class Proposal:
    """At the character `start`, `after` may have been meant where `before` stands. `score` 0…1: how likely."""

    start: int
    before: str
    after: str
    rule: Rule
    score: float

    @property
    def end(self) -> int:
        return self.start + len(self.before)


def propose(glossary: Glossary, segment: Segment, declined: Iterable[tuple[str, str]] = ()) -> tuple[Proposal, ...]:
    """From the start to the end, disjoint. `declined`: (before, after) that a person does not want here."""
    if not glossary.terms:
        return ()
    text = segment.text
    found = [
        Proposal(match.start, match.before, match.after, match.rule, 1.0 if match.sure else _UNSURE)
        for match in variants.matches(glossary, text)
    ]
    tongue: Tongue = "jyutping" if segment.language == "yue" else "pinyin"
    found += _index(glossary.terms, tongue).search(text)
    unwanted = set(declined)
    done = [(one.start, one.end) for one in segment.corrections]
    chosen: list[Proposal] = []
    for one in sorted(found, key=lambda one: (-one.score, -len(one.after), one.start)):
        taken = (*done, *((other.start, other.end) for other in chosen))
        if (one.before, one.after) not in unwanted and not any(
            one.start < end and start < one.end for start, end in taken
        ):
            chosen.append(one)
    return tuple(sorted(chosen, key=lambda one: one.start))


@lru_cache(maxsize=4)
def _index(terms: tuple[str, ...], tongue: Tongue) -> _Index:
    return _Index(terms, tongue)


class _Index:
    """Terms by the trigrams of their folded phones."""

    def __init__(self, terms: Sequence[str], tongue: Tongue) -> None:
        self._tongue = tongue
        self._terms = [one for term in terms for one in sayings(term, tongue)]
        self._names = {variants.folded(term) for term in terms}
        self._written = sorted(terms, key=len, reverse=True)
        self._by_gram: dict[str, list[tuple[int, int]]] = defaultdict(list)  # -> (term, where in its phones)
        for place, term in enumerate(self._terms):
            flat = folded(term.phones)
            for at in range(len(flat) - 2):
                self._by_gram[flat[at : at + 3]].append((place, at))

    def search(self, text: str) -> Iterator[Proposal]:
        heard = units(text, self._tongue)
        sounds = [unit.phones[0] for unit in heard]
        yield from self._search(text, heard, sounds)
        if any(len(unit.phones) > 1 for unit in heard):
            yield from self._search(text, heard, [unit.phones[-1] for unit in heard])

    def _search(self, text: str, heard: Sequence[Unit], sounds: Sequence[str]) -> Iterator[Proposal]:
        best: dict[tuple[int, int], Proposal] = {}
        standing = self._standing(text)
        for place, starts in self._places(sounds).items():
            term = self._terms[place]
            for start in starts:
                for end, likeness in self._measured(term, sounds, start):
                    found = self._judged(text, heard[start:end], term, likeness, standing)
                    known = best.get((start, end))
                    if found and (known is None or found.score > known.score):
                        best[start, end] = found
        yield from best.values()

    def _standing(self, text: str) -> list[tuple[int, int]]:
        """Where terms stand already, in their own letters or nearly so."""
        lowered = text.lower()
        found: list[tuple[int, int]] = []
        for term in self._written:
            at = lowered.find(term.lower())
            while at >= 0:
                found.append((at, at + len(term)))
                at = lowered.find(term.lower(), at + 1)
        return found

    def _places(self, sounds: Sequence[str]) -> dict[int, list[int]]:
        """Term → units where it may begin: enough of its trigrams stand behind, at about the same distance."""
        flat = folded("".join(sounds))
        owners = [unit for unit, said in enumerate(sounds) for _ in said]
        begins: dict[int, list[int]] = defaultdict(list)  # term -> where it would begin, by each trigram that is there
        for at in range(len(flat) - 2):
            for place, offset in self._by_gram.get(flat[at : at + 3], ()):
                begins[place].append(at - offset)
        found: dict[int, list[int]] = {}
        for place, ats in begins.items():
            term = self._terms[place]
            if len(ats) < term.needed:
                continue
            ats.sort()
            starts: set[int] = set()
            for first, last in zip(ats, ats[term.needed - 1 :], strict=False):
                if last - first <= _DRIFT:
                    starts |= set(owners[max(0, first - 1) : max(0, last) + 2])
            if starts:
                found[place] = sorted(starts)
        return found

    def _measured(self, term: Term, sounds: Sequence[str], start: int) -> Iterator[tuple[int, float]]:
        """(end unit, likeness) of stretches from `start` that are worth a look."""
        if term.is_han:  # Chinese for Chinese has as many syllables
            stretch = sounds[start : start + term.n_units]
            same = sum(map(operator.eq, term.syllables, map(folded, stretch)))
            if len(stretch) == term.n_units and same >= max(2, term.n_units - 1):
                *_, likeness = likenesses(term.phones, stretch)
                if likeness >= least(term):
                    yield start + term.n_units, likeness
            return
        if opening(sounds[start]) != term.opening:
            return
        room = _LONGEST * term.weight + 1
        end, heard = start, 0.0
        while end < len(sounds) and heard <= room:
            heard += weight(sounds[end])
            end += 1
        for length, likeness in enumerate(likenesses(term.phones, sounds[start:end]), start=1):
            if likeness >= least(term):
                yield start + length, likeness

    def _judged(
        self, text: str, heard: Sequence[Unit], term: Term, likeness: float, standing: Sequence[tuple[int, int]]
    ) -> Proposal | None:
        start, end = heard[0].start, heard[-1].end
        before = text[start:end]
        if any(start < right and left < end for left, right in standing) or variants.folded(before) in self._names:
            return None
        if any(not (is_han(c) or words.is_letter(c) or c in " -_.'’") for c in before):
            return None
        score, rule = judged(text, heard, term, likeness, self._tongue)
        return Proposal(start, before, term.text, rule, round(score, 2)) if score >= LOWEST else None
