"""The user's terms: hints before recognition, exact corrections after. Every change is recorded.

A terms file has one entry a line: `原文→规范写法` (also `->`, `=>`, or `原文 = 规范写法`), or a plain word, which is
a term without an alias; `#` begins a comment. Corrections are exact: same characters, same case; a Latin alias never
matches inside a longer word (a rule for "work" leaves "network" alone).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from jiyao.errors import UsageError
from jiyao.recognition import Hints, Recognition, Word
from jiyao.text import lay_out, tidy

_ARROW = re.compile(r"→|⇒|->|=>|＝|=")


@dataclass(frozen=True)
class Correction:
    """A change that a rule made: what stood there, what stands there now, which rule, and where (ms)."""

    start_ms: int
    before: str
    after: str
    rule: str


@dataclass(frozen=True)
class Glossary:
    """`rules`: alias → the right form; `terms`: all right forms, in the user's order, without repeats."""

    rules: tuple[tuple[str, str], ...] = ()
    terms: tuple[str, ...] = ()

    def hints(self, language: str | None) -> Hints:
        return Hints(terms=self.terms, language=language)

    def correct(self, recognition: Recognition) -> tuple[Recognition, tuple[Correction, ...]]:
        """Apply the rules once, longest alias first; times in the corrections count from the clip's start."""
        pattern = _pattern(alias for alias, _ in self.rules)
        if pattern is None or not recognition.text:
            return recognition, ()
        if not recognition.words:
            return self._correct_text(recognition, pattern)
        return self._correct_words(recognition, pattern)

    def _correct_text(self, heard: Recognition, pattern: re.Pattern[str]) -> tuple[Recognition, tuple[Correction, ...]]:
        rules, found = dict(self.rules), []

        def change(match: re.Match[str]) -> str:
            found.append(Correction(0, match.group(), rules[match.group()], f"{match.group()}→{rules[match.group()]}"))
            return rules[match.group()]

        return replace(heard, text=pattern.sub(change, tidy(heard.text))), tuple(found)

    def _correct_words(
        self, heard: Recognition, pattern: re.Pattern[str]
    ) -> tuple[Recognition, tuple[Correction, ...]]:
        """The words under a match become one word with their time; what of them the match left out stays around it."""
        rules = dict(self.rules)
        text, places = lay_out(word.text for word in heard.words)
        words: list[Word] = []
        found: list[Correction] = []
        done = 0  # words[:done] of the old ones are taken over
        for match in pattern.finditer(text):
            under = [i for i, (start, end) in enumerate(places) if start < match.end() and end > match.start()]
            if not under or under[0] < done:  # two matches in one word: the second waits for a person
                continue
            first, last = under[0], under[-1]
            words.extend(heard.words[done:first])
            after = rules[match.group()]
            merged = text[places[first][0] : match.start()] + after + text[match.end() : places[last][1]]
            confidences = [c for w in heard.words[first : last + 1] if (c := w.confidence) is not None]
            start_ms = heard.words[first].start_ms
            words.append(Word(merged, start_ms, heard.words[last].end_ms, min(confidences) if confidences else None))
            found.append(Correction(start_ms, match.group(), after, f"{match.group()}→{after}"))
            done = last + 1
        words.extend(heard.words[done:])
        corrected = replace(heard, words=tuple(words), text=lay_out(w.text for w in words)[0])
        return corrected, tuple(found)


def parse(text: str) -> Glossary:
    """A terms file. Raises UsageError naming the line when an arrow has nothing on one side."""
    rules: dict[str, str] = {}
    terms: dict[str, None] = {}
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        alias, arrow, term = (part.strip() for part in _split(line))
        if arrow and not (alias and term):
            raise UsageError("terms.bad_line", number=number, line=line)
        terms[term if arrow else alias] = None
        if arrow and alias != term:
            rules[tidy(alias)] = term
    return Glossary(tuple(rules.items()), tuple(terms))


def _split(line: str) -> tuple[str, str, str]:
    match = _ARROW.search(line)
    return (line[: match.start()], match.group(), line[match.end() :]) if match else (line, "", "")


def _pattern(aliases: Iterable[str]) -> re.Pattern[str] | None:
    # longest first: regex alternation takes the first that fits
    ordered = sorted(aliases, key=len, reverse=True)
    if not ordered:
        return None
    return re.compile("|".join(_bounded(alias) for alias in ordered))


def _bounded(alias: str) -> str:
    """The alias, not inside a longer Latin word. `\\b` would count Han as word characters."""
    before = r"(?<![A-Za-z0-9_])" if re.match(r"[A-Za-z0-9_]", alias[0]) else ""
    after = r"(?![A-Za-z0-9_])" if re.match(r"[A-Za-z0-9_]", alias[-1]) else ""
    return before + re.escape(alias) + after
