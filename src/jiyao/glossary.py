"""The user's terms: hints before recognition, exact corrections after. Every change is recorded.

A terms file has one entry a line: `原文→规范写法` (also `->`, `=>`, or `原文 = 规范写法`), or a plain word, which is
a term without an alias; `#` at the start or after a space begins a comment. Corrections are exact: same characters,
same case; an alias in letters never matches inside a longer word (a rule for "work" leaves "network" alone).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from jiyao.errors import UsageError
from jiyao.recognition import Hints, Recognition, Word
from jiyao.text import lay_out, tidy

_ARROWS = (re.compile(r"→|⇒|->|=>"), re.compile(r"＝|="))  # an arrow counts before an equals sign: `a=b → c`
_COMMENT = re.compile(r"(^|\s)#.*")  # not in `C#`
# Letters that are written with spaces between words: Latin with accents, Greek, Cyrillic. `\w` would count Han too.
_LETTER = r"[0-9A-Za-z_\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u052f]"


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
        rules = dict(self.rules)
        text = tidy(heard.text)
        found = tuple(_correction(0, match.group(), rules) for match in pattern.finditer(text))
        if not found:
            return heard, ()
        corrected = tidy(pattern.sub(lambda match: rules[match.group()], text))
        return replace(heard, text=corrected), found

    def _correct_words(
        self, heard: Recognition, pattern: re.Pattern[str]
    ) -> tuple[Recognition, tuple[Correction, ...]]:
        """The words under a match become one word with their time; what of them the match left out stays around it."""
        rules = dict(self.rules)
        text, places = lay_out(word.text for word in heard.words)
        words: list[Word] = []
        found: list[Correction] = []
        done = 0  # words[:done] of the old ones are taken over
        for matches, first, last in _under(pattern.finditer(text), places):
            words.extend(heard.words[done:first])
            merged, reached = "", places[first][0]
            for match in matches:
                start_ms = next(
                    word.start_ms for word, place in zip(heard.words, places, strict=True) if place[1] > match.start()
                )
                found.append(_correction(start_ms, match.group(), rules))
                merged += text[reached : match.start()] + rules[match.group()]
                reached = match.end()
            merged += text[reached : places[last][1]]
            confidences = [c for word in heard.words[first : last + 1] if (c := word.confidence) is not None]
            lowest = min(confidences) if confidences else None
            words.append(Word(tidy(merged), heard.words[first].start_ms, heard.words[last].end_ms, lowest))
            done = last + 1
        if not found:
            return heard, ()
        words.extend(heard.words[done:])
        return replace(heard, words=tuple(words), text=lay_out(word.text for word in words)[0]), tuple(found)


def _under(
    matches: Iterable[re.Match[str]], places: Sequence[tuple[int, int]]
) -> Iterator[tuple[list[re.Match[str]], int, int]]:
    """Matches with the first and last word under them; those that share a word come together."""
    group: list[re.Match[str]] = []
    first = last = 0
    for match in matches:
        under = [i for i, (start, end) in enumerate(places) if start < match.end() and end > match.start()]
        if group and under[0] > last:
            yield group, first, last
            group = []
        if not group:
            first = under[0]
        group.append(match)
        last = under[-1]
    if group:
        yield group, first, last


def _correction(start_ms: int, before: str, rules: Mapping[str, str]) -> Correction:
    return Correction(start_ms, before, rules[before], f"{before}→{rules[before]}")


def parse(text: str) -> Glossary:
    """A terms file. Raises UsageError naming the line when an arrow has nothing on one side."""
    rules: dict[str, str] = {}
    terms: dict[str, None] = {}
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        line = _COMMENT.sub("", raw).strip()
        if not line:
            continue
        alias, arrow, term = (part.strip() for part in _split(line))
        if arrow and not (alias and term):
            raise UsageError("terms.bad_line", number=number, line=line)
        terms[term if arrow else alias] = None
        if arrow and tidy(alias) != term:  # the rest is written alike in every transcript anyhow
            rules[tidy(alias)] = term
    return Glossary(tuple(rules.items()), tuple(terms))


def _split(line: str) -> tuple[str, str, str]:
    match = next(filter(None, (arrow.search(line) for arrow in _ARROWS)), None)
    return (line[: match.start()], match.group(), line[match.end() :]) if match else (line, "", "")


def _pattern(aliases: Iterable[str]) -> re.Pattern[str] | None:
    # longest first: regex alternation takes the first that fits
    ordered = sorted(aliases, key=len, reverse=True)
    if not ordered:
        return None
    return re.compile("|".join(_bounded(alias) for alias in ordered))


def _bounded(alias: str) -> str:
    """The alias, not inside a longer word; Han stands beside anything."""
    before = f"(?<!{_LETTER})" if re.match(_LETTER, alias[0]) else ""
    after = f"(?!{_LETTER})" if re.match(_LETTER, alias[-1]) else ""
    return before + re.escape(alias) + after
