"""A terms file, one entry a line: `原文→规范写法` (also `->`, `=>`, or `原文 = 规范写法`), or a plain word.

A plain word is a term without an alias; `#` at the start or after a space begins a comment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from jiyao.errors import UsageError
from jiyao.text import Script, convert, tidy

_ARROWS = (re.compile(r"→|⇒|->|=>"), re.compile(r"＝|="))  # an arrow counts before an equals sign: `a=b → c`
_COMMENT = re.compile(r"(^|\s)#.*")  # not in `C#`


@dataclass(frozen=True)
class Glossary:
    """`rules`: alias → the right form; `terms`: all right forms, in the user's order, without repeats."""

    rules: tuple[tuple[str, str], ...] = ()
    terms: tuple[str, ...] = ()

    def in_script(self, script: Script) -> Glossary:
        """For texts in this script: written as they are. The terms keep their places."""
        return self if script == "original" else _in_script(self, script)

    def written(self) -> str:
        """As a person would write it into a file."""
        ruled = {term for _, term in self.rules}
        lines = [f"{alias}→{term}" for alias, term in self.rules]
        return "\n".join([*lines, *(term for term in self.terms if term not in ruled)])


@lru_cache(maxsize=4)  # every segment asks
def _in_script(glossary: Glossary, script: Script) -> Glossary:
    rules = ((convert(alias, script), convert(term, script)) for alias, term in glossary.rules)
    return Glossary(tuple(rules), tuple(convert(term, script) for term in glossary.terms))


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
