"""Texts: bytes → characters. UTF-8 and UTF-16 as their marks say, UTF-8 without one, else GB18030 (which GBK and
GB2312, Excel's habit in China, are parts of)."""

from __future__ import annotations

import re

from jiyao.errors import DocumentError

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
# no text has these: control characters but tab, line and page breaks, escape; halves of pairs; what was never assigned
_NEVER = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def decoded(data: bytes) -> str:
    """Line ends become `\\n`. Raises DocumentError where this is no text in any of these encodings."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _checked(data[len(mark) :], encoding)
    try:
        return _checked(data, "utf-8")
    except DocumentError:
        return _checked(data, "gb18030")


def _checked(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise DocumentError("documents.unknown") from None
    if _NEVER.search(text):
        raise DocumentError("documents.unknown")
    return text.replace("\r\n", "\n").replace("\r", "\n")
