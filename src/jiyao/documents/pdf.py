"""PDF → text, by pypdf: pure Python, so a broken file is an exception and no crash. Pictures stay silent: no OCR."""

from __future__ import annotations

import io
import re
import unicodedata
from itertools import pairwise

from jiyao.documents.collecting import Text
from jiyao.errors import DocumentError
from jiyao.text import is_han

_HEADER_WITHIN = 1024  # bytes; ISO 32000 wants it first, readers look this far
# radicals stand for the characters that look like them in fonts of some exporters
_RADICAL = re.compile("[\u2e80-\u2fdf]")
_FULL_LINE = 0.8  # of the longest line of the page: the paragraph goes on in the next one


def is_pdf(data: bytes) -> bool:
    return b"%PDF-" in data[:_HEADER_WITHIN]


def read(data: bytes, text: Text) -> int:
    """Add the text of all pages; how many could not be read. Raises DocumentError (encrypted, damaged), Full."""
    from pypdf import PdfReader

    skipped = 0
    # whatever is wrong in a file, pypdf meets it in its own way: any exception of its is one about the file
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError("documents.encrypted")
        count = len(reader.pages)
    except (DocumentError, MemoryError):
        raise
    except Exception as cause:
        raise DocumentError("documents.damaged") from cause
    for number in range(count):
        text.check_time()
        try:
            found = reader.pages[number].extract_text()
        except MemoryError:
            raise
        except Exception:
            skipped += 1
            continue
        text.add(_unwrapped(_RADICAL.sub(lambda one: unicodedata.normalize("NFKC", one.group()), found)) + "\n")
    if skipped and skipped == count:
        raise DocumentError("documents.damaged")
    return skipped


def _unwrapped(page: str) -> str:
    """Lines that were only broken at the margin put together again, where Chinese goes on: a term may stand there."""
    lines = [line.strip() for line in page.splitlines()]
    full = _FULL_LINE * max(map(len, lines), default=0)
    joined = ""
    for line, after in pairwise([*lines, ""]):
        goes_on = bool(line and after) and len(line) >= full and is_han(line[-1]) and is_han(after[0])
        joined += line if goes_on else line + "\n"
    return joined
