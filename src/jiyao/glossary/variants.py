"""Exact corrections: the user's aliases, and a term's own letters in other case, width, or with other joints.

In:  a Segment and a Glossary. Out: the Segment, every change on record. Nothing is ever changed inside a longer word,
and no ordinary English word in an English sentence is taken for a term that has the same letters (rag, RAG).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from unicodedata import normalize

from jiyao.glossary import words
from jiyao.glossary.entries import Glossary
from jiyao.glossary.words import HAN, LETTER, is_letter
from jiyao.retiming import corrected
from jiyao.text import is_han
from jiyao.transcript import Rule, Segment

# Han, letters, a number, signs that matter (C++, C#)
_ATOM = re.compile(rf"[{HAN}]+|[^\W\d_{HAN}]+|\d+(?:\.\d+)*|[^\w\s.·/_\-‐‑–—]+|\S")
_JOINT = r"[ \u00a0]{0,2}[-‐‑–—_.·/－＿．／]?[ \u00a0]{0,2}"
_JOINED = "-_./·&'’@\\"  # a letter behind one of these goes on with the word
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")  # MySQL may come as My SQL
_LONG_ENOUGH = 3  # letters of an ordinary word that may be taken for a term between Han characters: not go, it, us
_TELLING = 4  # so many letters and numbers in a row are no accident: Llama-3-8B


@dataclass(frozen=True)
class Match:
    """`before` at the character `start` is what the user calls `after`. `sure`: it may be put in without asking."""

    start: int
    before: str
    after: str
    rule: Rule
    sure: bool


def correct(glossary: Glossary, segment: Segment) -> Segment:
    """All sure matches applied, word times kept."""
    for match in reversed(matches(glossary, segment.text)):
        if match.sure:
            segment = corrected(segment, match.start, match.before, match.after, match.rule)
    return segment


def matches(glossary: Glossary, text: str) -> list[Match]:
    """From the start to the end, disjoint, the longest at each place; none where the term stands already."""
    table = _table(glossary)
    found: list[Match] = []
    reached = 0
    for place, character in enumerate(text):
        if place < reached or (place and is_letter(character) and is_letter(text[place - 1])):
            continue
        pattern = table.patterns.get(_first(character))
        match = pattern.match(text, place) if pattern else None
        if match is not None:
            reached = match.end()
            found += table.told(text, match)
    return found


def standing(glossary: Glossary, text: str) -> list[str]:
    """The terms that a text holds, in the user's order."""
    return [term for term in glossary.terms if term in text and any(_whole(text, term))]


def _whole(text: str, term: str) -> Iterator[bool]:
    at = text.find(term)
    while at >= 0:
        yield not inside_longer(text, at, at + len(term))
        at = text.find(term, at + 1)


class _Table:
    """All aliases and terms by the letter they begin with: one pattern each, the longest first."""

    def __init__(self, entries: Sequence[tuple[str, str, Rule]]) -> None:
        self._entries = {folded(entry[0]): entry for entry in reversed(entries)}
        by_first: dict[str, list[tuple[str, str, Rule]]] = {}
        for entry in sorted(entries, key=lambda entry: len(entry[0]), reverse=True):
            by_first.setdefault(_first(entry[0]), []).append(entry)
        self.patterns = {
            first: re.compile("|".join(_pattern(written, rule) for written, _, rule in some), re.IGNORECASE)
            for first, some in by_first.items()
        }

    def told(self, text: str, found: re.Match[str]) -> Iterator[Match]:
        before, start = found.group(), found.start()
        entry = self._entries.get(folded(before))
        if entry is None or before == entry[1]:
            return
        written, after, rule = entry
        if inside_longer(text, start, found.end()) and not (rule == "alias" and _reads_better(text, start, before)):
            return
        if before in after and text.find(after, max(0, start - len(after)), found.end() + len(after)) >= 0:
            return  # the alias as a part of the term itself
        sure = before == written or _is_safe(text, start, before, written)
        yield Match(start, before, after, rule, sure)


@lru_cache(maxsize=4)
def _table(glossary: Glossary) -> _Table:
    entries: list[tuple[str, str, Rule]] = [(alias, term, "alias") for alias, term in glossary.rules]
    ruled = {folded(alias) for alias, _ in glossary.rules}
    entries += [
        (term, term, "variant")
        for term in glossary.terms
        if any(is_letter(character) for character in term) and folded(term) not in ruled
    ]
    return _Table(entries)


def _first(text: str) -> str:
    """The letter by which an entry is found, whatever its case and width."""
    return normalize("NFKC", text[:1]).casefold()


def _atoms(text: str) -> list[str]:
    """Runs of letters, runs of digits, and signs: Llama-3-8B → llama 3 8 b; spaces and joints are left out."""
    plain = normalize("NFKC", text).casefold()
    return [atom for atom in _ATOM.findall(plain) if atom not in "-‐‑–—_.·/"]


def folded(text: str) -> tuple[str, ...]:
    """Equal for all variants of a term; numbers stay apart (3.5 is not 35), letters do not (Elastic Search)."""
    joined: list[str] = []
    for atom in _atoms(text):
        if joined and joined[-1].isalpha() and atom.isalpha():
            joined[-1] += atom
        else:
            joined.append(atom)
    return tuple(joined)


def _pattern(written: str, rule: Rule) -> str:
    """The text with any joints, in any width. An alias in Han stays as it is."""
    if rule == "alias" and not any(is_letter(character) for character in written):
        return re.escape(written)
    wide = [_wide(atom) for atom in _atoms(_CAMEL.sub(" ", written))]
    return _JOINT.join(wide) or re.escape(written)


def _wide(atom: str) -> str:
    return "".join(f"[{re.escape(c)}{chr(ord(c) + 0xFEE0)}]" if "!" <= c <= "~" else re.escape(c) for c in atom)


def inside_longer(text: str, start: int, end: int) -> bool:
    """Is this a part of a longer word, of any script?"""
    if is_letter(text[start]) and _goes_on(text[:start][::-1]):
        return True
    if is_letter(text[end - 1]) and _goes_on(text[end:]):
        return True
    if is_han(text[start]) or is_han(text[end - 1]):
        return _cuts_a_word(text, start, end)
    return False


def _reads_better(text: str, start: int, alias: str) -> bool:
    """Is it Han, and are there fewer words with it? 让张公开始 holds 张公, though a dictionary sees 公开 there."""
    return all(map(is_han, alias)) and words.gain(text, start, start + len(alias)) > 0


def _goes_on(text: str) -> bool:
    """Does a word that ends here go on with this text?"""
    return bool(re.match(LETTER, text)) or (text[:1] in tuple(_JOINED) and bool(re.match(LETTER, text[1:])))


def _cuts_a_word(text: str, start: int, end: int) -> bool:
    """Does the probable cut into words go through one of its ends, with Han on both sides? 文章工整 holds no 章工."""
    edges = [at for at in (start, end) if 0 < at < len(text) and is_han(text[at - 1]) and is_han(text[at])]
    if not edges:
        return False
    left, right = max(0, start - 8), min(len(text), end + 8)
    around = {left + at for at in words.cuts(text[left:right])}
    return any(at not in around for at in edges)


def _is_safe(text: str, start: int, before: str, after: str) -> bool:
    """Can letters that differ in case or joints from the term be nothing else?"""
    if normalize("NFKC", before) == after:
        return True
    atoms = _atoms(after)
    if len(atoms) >= _TELLING and any(atom.isdigit() for atom in atoms):
        return True
    spoken = [atom for atom in _spoken(before) if len(atom) > 1]
    if not all(words.is_english(atom) for atom in spoken):
        return True
    end = start + len(before)
    if words.in_english(text, start, end) or not words.among_han(text, start, end):
        return False
    return sum(len(atom) for atom in _atoms(before)) >= _LONG_ENOUGH


def _spoken(text: str) -> Iterator[str]:
    return (atom for atom in _ATOM.findall(normalize("NFKC", text)) if atom.isalpha())
