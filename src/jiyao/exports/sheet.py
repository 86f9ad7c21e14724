"""A table for Excel and for programs: CSV, one row a segment."""

from __future__ import annotations

import csv
import io

from jiyao.exports.options import ExportOptions, one_line
from jiyao.timeline import clock_ms
from jiyao.transcript import Transcript

_COLUMNS = ("start", "end", "speaker", "language", "text", "confidence", "flags", "timing")
# spreadsheets run a cell that begins so as a formula (OWASP "CSV injection"; the full-width forms count in East Asia)
_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")


def write_csv(transcript: Transcript, options: ExportOptions) -> bytes:
    """UTF-8 with BOM (else Excel in China reads GBK), CRLF (RFC 4180); times `hh:mm:ss.mmm`, flags apart by spaces.

    A text cell that a spreadsheet would run as a formula gets a leading apostrophe: `=1+1` is written `'=1+1`.
    """
    sheet = io.StringIO(newline="")
    writer = csv.writer(sheet, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for segment in transcript.segments:
        writer.writerow(
            (
                clock_ms(segment.start_ms),
                clock_ms(segment.end_ms),
                _cell(segment.speaker),
                _cell(segment.language),
                _cell(segment.text),
                "" if segment.confidence is None else f"{segment.confidence:.3f}",
                " ".join(segment.flags),
                segment.timing,
            )
        )
    return sheet.getvalue().encode("utf-8-sig")


def _cell(text: str | None) -> str:
    clean = one_line(text)
    return f"'{clean}" if clean.startswith(_FORMULA_STARTS) else clean
