"""A Transcript as a file: txt, md, srt, vtt, json, docx, csv. The only room that knows formats; one table of them.

Every format is written in memory, UTF-8, the same bytes for the same transcript (no clock anywhere). `json` and `csv`
are data: they hold everything, whatever the options say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from jiyao.errors import UsageError
from jiyao.exports.options import ExportOptions
from jiyao.exports.reading import write_md, write_txt
from jiyao.exports.sheet import write_csv
from jiyao.exports.subtitles import write_srt, write_vtt
from jiyao.exports.word import write_docx
from jiyao.transcript import Transcript, to_json

__all__ = ["FORMATS", "ExportOptions", "Format", "export"]


@dataclass(frozen=True)
class Format:
    """One way to write a transcript; `suffix` with its dot, `media_type` as HTTP wants it."""

    name: str
    suffix: str
    media_type: str
    write: Callable[[Transcript, ExportOptions], bytes]


def _write_json(transcript: Transcript, options: ExportOptions) -> bytes:
    # "replace": a file name that is not valid text must not lose the meeting
    return (to_json(transcript) + "\n").encode("utf-8", "replace")


_DOCX_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        format.name: format
        for format in (
            Format("txt", ".txt", "text/plain; charset=utf-8", write_txt),
            Format("md", ".md", "text/markdown; charset=utf-8", write_md),
            Format("srt", ".srt", "application/x-subrip; charset=utf-8", write_srt),
            Format("vtt", ".vtt", "text/vtt; charset=utf-8", write_vtt),
            Format("json", ".json", "application/json", _write_json),
            Format("docx", ".docx", _DOCX_TYPE, write_docx),
            Format("csv", ".csv", "text/csv; charset=utf-8", write_csv),
        )
    }
)


def export(transcript: Transcript, name: str, options: ExportOptions | None = None) -> bytes:
    """The transcript as the bytes of one file. Raises UsageError when no format has that name."""
    if name not in FORMATS:
        raise UsageError("exports.unknown_format", name=name, known=", ".join(FORMATS))
    return FORMATS[name].write(transcript, options or ExportOptions())
