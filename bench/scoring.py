"""Character error rate, as bench/accuracy.py and the tests count it."""

from __future__ import annotations

import unicodedata

from jiyao.text import convert


def characters(text: str) -> list[str]:
    """What counts: letters and digits, full width folded (NFKC), lower case, Simplified. Punctuation does not."""
    folded = convert(unicodedata.normalize("NFKC", text).lower(), "simplified")
    return [character for character in folded if unicodedata.category(character)[0] in "LN"]


def edit_distance(reference: list[str], heard: list[str]) -> int:
    """Levenshtein distance: insertions, deletions and substitutions each count one."""
    row = list(range(len(heard) + 1))
    for i, expected in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, actual in enumerate(heard, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (expected != actual))
    return row[-1]


def character_error_rate(reference: str, heard: str) -> float:
    expected = characters(reference)
    return edit_distance(expected, characters(heard)) / max(1, len(expected))
