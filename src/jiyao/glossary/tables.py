"""Tables of terms, as spreadsheets save them: CSV → a terms text.

Two columns: heard, right; where a header says otherwise, in its order. One column: terms. Further columns are left out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from jiyao.errors import UsageError

_ALIAS = frozenset("原文 听成 误写 错词 别名 alias aliases heard wrong from before variant".split())
_TERM = frozenset(
    "规范写法 规范 正确 正词 术语 标准写法 词语 term terms right correct to after canonical name word".split()
)
_SEPARATORS = ",\t;，"
_MAKES_MORE = re.compile(r"→|⇒|->|=>|＝|=|(?:^|\s)#|[\r\n]")  # in a terms text these mean something


def terms_text(table: str) -> str:
    """One entry a line, `alias→term` or a term, in the table's order.

    Raises UsageError, naming the line, where a cell holds what a terms text cannot say, or an alias has no term.
    """
    separator = _separator(table)
    rows = csv.reader(table.splitlines(keepends=True), delimiter=separator)
    alias, term = 0, 1
    lines: list[str] = []
    try:
        for row in rows:
            cells = [cell.strip().lstrip("\ufeff") for cell in row]
            if rows.line_num == 1 and _is_header(cells):
                alias, term = _columns(cells)
            elif any(cells):
                lines.append(_entry(cells, alias, term, rows.line_num))
    except csv.Error as cause:
        raise UsageError("terms.bad_table", number=rows.line_num) from cause
    return "\n".join(lines)


def _separator(table: str) -> str:
    """The one that the first line has most of."""
    first = table.split("\n", 1)[0]
    return max(_SEPARATORS, key=first.count)


def _is_header(cells: Sequence[str]) -> bool:
    return any(cell.lower() in _ALIAS | _TERM for cell in cells[:2])


def _columns(header: Sequence[str]) -> tuple[int, int]:
    """(place of the aliases, place of the terms)."""
    names = [cell.lower() for cell in header[:2]]
    swapped = names[0] in _TERM and len(names) > 1 and names[1] not in _TERM
    return (1, 0) if swapped or names[-1] in _ALIAS else (0, 1)


def _entry(cells: Sequence[str], alias: int, term: int, number: int) -> str:
    heard = cells[alias] if alias < len(cells) else ""
    right = cells[term] if term < len(cells) else ""
    if any(_MAKES_MORE.search(cell) for cell in (heard, right)):
        raise UsageError("terms.bad_cell", number=number)
    if heard and right and heard != right:
        return f"{heard}→{right}"
    return right or heard
