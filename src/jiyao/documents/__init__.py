"""Documents beside a recording: bytes of PPTX, DOCX, XLSX, PDF, MD, TXT, CSV → plain text.

What a file is, its content says: suffixes lie.

    office   PPTX, DOCX, XLSX     pdf     PDF
    plain    texts and their encodings

Everything is bounded: bytes, bytes unpacked, characters, seconds. Documents are foreign: the program reads them in a
sealed process that lives for one only (`worker.reading`); nothing here opens a file.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from jiyao.documents import office, pdf, plain
from jiyao.documents.collecting import Full, Text
from jiyao.errors import DocumentError

__all__ = ["MAX_BYTES", "MAX_CHARACTERS", "Document", "Gap", "read"]

MAX_BYTES = 64 << 20
MAX_CHARACTERS = 300_000  # of text; a book
_PATIENCE_S = 20.0

Gap = Literal["shortened", "pages"]

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # container of Office files before 2007, and of encrypted ones
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # [MS-OFFCRYPTO] 2.3.4.4


@dataclass(frozen=True)
class Document:
    """The text, a paragraph, row or slide's line in each line. `gaps`: what is not in it: `shortened`: what comes
    after too many characters or seconds; `pages`: pages that cannot be read."""

    text: str
    gaps: tuple[Gap, ...] = ()


def read(data: bytes, patience_s: float = _PATIENCE_S) -> Document:
    """The text of a document. `patience_s`: after so many seconds what was read by then must do.

    Raises DocumentError: too large, encrypted, an old format, none that is known, damaged, without any text.
    """
    if len(data) > MAX_BYTES:
        raise DocumentError("documents.too_large", megabytes=MAX_BYTES >> 20)
    text = Text(MAX_CHARACTERS, time.monotonic() + patience_s)
    gaps: list[Gap] = []
    is_pdf = pdf.is_pdf(data)
    try:
        if data.startswith(_OLE):
            raise DocumentError("documents.encrypted" if _ENCRYPTED in data else "documents.old_format")
        if data.startswith(b"PK\x03\x04"):
            office.read(data, text)
        elif is_pdf:
            gaps += ["pages"] if pdf.read(data, text) else []
        else:
            text.add(plain.decoded(data))
    except Full:
        gaps.append("shortened")
    read = text.whole()
    if not read.strip():
        raise DocumentError("documents.only_pictures" if is_pdf else "documents.empty")
    return Document(read, tuple(gaps))
