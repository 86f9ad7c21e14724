"""Latin terms in texts of either language: abbreviations, names of products, tokens with digits (Llama-3-8B, top-k).

Running English prose is told from English words between Chinese ones by its many small words: in prose only what looks
unlike an ordinary word counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jiyao.glossary import words
from jiyao.text import is_han

_TOKEN = re.compile(
    r"[A-Za-z0-9]+(?:(?:[-+&]|(?<=\b[OD])['’](?=[A-Z])|(?<=\d)\.(?=\d)|(?<=[A-Z])/(?=[A-Z])|\.(?=(?:js|NET|ai|io)\b))[A-Za-z0-9]+)*(?:\+\+|#|\+)?"
)
_SKIPPED = re.compile(
    r"https?://\S+|(?<![\w-])[\w-]*\.(?!js\b|NET\b|ai\b|io\b)[a-z]{2,5}\b|www\.\S+|\S+@\S+\.\w+|[\w./\\-]*\w+_\w+[\w./\\-]*|[\w-]+(?:[/\\][\w.-]+){2,}"
)
_NO_TERM = re.compile(
    r"[IVX]+|Q[1-4]|[HWTP]\d{1,2}|FY\d+|v?\d+(?:\.\d+)*[a-z]?|\d{4}Q[1-4]|[A-Z]"
    r"|\d+(?:\.\d+)?(?:[KMGTP]i?B?|[kmgtBbwWxXshVA%]|ms|min|fps|px|nm|um|mm|cm|km|kg|Hz|kHz|MHz|GHz|kW|kWh|bit|[KMGk]bps|QPS"
    r"|st|nd|rd|th|d|D|pt|pp|epochs?|days?)|(?=[0-9a-f]*\d)[0-9a-f]{7,}"
)
_ORDINARY_CAPITALS = frozenset(
    "OK AM PM TODO TBD NA VS ETC PS NO YES FYI ASAP PDF PPT PPTX DOC DOCX XLSX CSV TXT KB MB GB TB MS HZ KHZ".split()
)
_CALENDAR = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december english chinese".split()
)
_STRETCH = re.compile(r"[\x20-\x7e\u00c0-\u024f’‘“”–—]+")  # what is not Chinese
_SENTENCE_START = re.compile(r"(?:^|(?<!\bMr)(?<!\bMs)(?<!\bMrs)(?<!\bDr)(?<!\bProf)\.|[!?:;•*|\t\"“(\[])\s*$")
_PROSE_WORDS, _PROSE_SHARE = 6, 0.4
_MOST_WORDS = 4
_HAN_TAIL = re.compile(r"(?<![A-Za-z0-9])([A-Z])([股端轮线类])")


def tokens(line: str) -> Iterator[tuple[str, float]]:
    """(term, how telling) for every place in the line, 0…1; the same text may come as a token and in a phrase."""
    clean = _SKIPPED.sub("\n", line)
    for match in _HAN_TAIL.finditer(clean):
        yield match.group(), 0.4
    has_han = any(map(is_han, clean))
    for stretch in _STRETCH.finditer(clean):
        text = stretch.group()
        yield from _in_prose(text) if _is_prose(text) else _among_chinese(text, has_han)


def is_ordinary(word: str) -> bool:
    """A word of the dictionary in small letters, or several with hyphens between them: long-term."""
    parts = word.split("-")
    return word.islower() and all(words.is_english(part) or part in ("a", "i") for part in parts)


def _is_prose(text: str) -> bool:
    found = words.english_words(text)
    return len(found) >= _PROSE_WORDS and sum(map(is_ordinary, found)) >= _PROSE_SHARE * len(found)


def _in_prose(text: str) -> Iterator[tuple[str, float]]:
    capitals: list[str] = []  # a name of several words, so far
    last = -1
    for match in _TOKEN.finditer(text):
        token = match.group()
        follows = match.start() == last + 1 and text[last : last + 1] == " "
        if capitals and not (follows and token[0].isupper()):
            yield from _name(capitals)
            capitals = []
        if _is_special(token):
            yield token, 0.8
        elif token[0].isupper() and (capitals or not _SENTENCE_START.search(text[: match.start()])):
            capitals.append(token)
        elif token.isalpha() and not words.is_english(token) and len(token) > 3:
            yield token, 0.3
        last = match.end()
    yield from _name(capitals)


def _name(capitals: list[str]) -> Iterator[tuple[str, float]]:
    if not capitals or any(word.lower() in _CALENDAR or word.upper() in _ORDINARY_CAPITALS for word in capitals):
        return
    if len(capitals) > 1 or not words.is_english(capitals[0]):
        yield " ".join(capitals[:_MOST_WORDS]), 0.6
    elif len(capitals[0]) > 2:
        yield capitals[0], 0.2


def _among_chinese(text: str, has_han: bool) -> Iterator[tuple[str, float]]:
    for chunk in _chunks(text):
        if len(chunk) > 1:
            yield from _phrase(chunk, has_han)
        for token in chunk:
            if _is_special(token):
                yield token, 0.8
            elif (
                not token.isalpha()
                or len(token) < 3
                or token.lower() in _CALENDAR
                or token.upper() in _ORDINARY_CAPITALS
            ):
                continue
            elif not words.is_english(token) and not is_ordinary(token):
                yield token, 0.6
            elif has_han and token[0].isupper() and len(chunk) == 1:
                yield token, 0.4


def _chunks(text: str) -> Iterator[list[str]]:
    """Tokens with single spaces between them."""
    chunk: list[str] = []
    last = -1
    for match in _TOKEN.finditer(text):
        if chunk and not (match.start() == last + 1 and text[last] == " "):
            yield chunk
            chunk = []
        chunk.append(match.group())
        last = match.end()
    if chunk:
        yield chunk


def _phrase(chunk: list[str], has_han: bool) -> Iterator[tuple[str, float]]:
    """Several words that are one term: a product with its number, a name, a phrase between Chinese words."""
    if len(chunk) > _MOST_WORDS or not chunk[0][0].isalpha() or any(word.lower() in _CALENDAR for word in chunk):
        return
    whole = " ".join(chunk)
    is_numbered = any(word[0].isdigit() for word in chunk)
    if is_numbered and chunk[0].isupper():  # RTF 0.12: a figure
        return
    if is_numbered and all(map(_is_marked, chunk)):
        yield whole, 0.7
    elif has_han and all(map(_is_marked, chunk)):
        yield whole, 0.5
    elif has_han:
        yield whole, 0.1


def _is_marked(word: str) -> bool:
    return word[0].isupper() or word[0].isdigit()


def _is_special(token: str) -> bool:
    """Unlike an ordinary word whatever stands round it: ASR, BGE-M3, GraphQL, top-k, C++."""
    letters = [character for character in token if character.isalpha()]
    if not letters or len(token) < 2 or _NO_TERM.fullmatch(token) or token.upper() in _ORDINARY_CAPITALS:
        return False
    if len(letters) < len(token):
        return not is_ordinary(token) and not is_ordinary(token.lower())
    inner = any(character.isupper() for character in token[1:])
    plural = token[-1] == "s" and token[:-1].isupper()
    return inner or plural
