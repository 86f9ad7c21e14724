"""For people to read: paragraphs, and the plain-text and Markdown files made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from jiyao.exports.options import ExportOptions, label, one_line, role_of
from jiyao.messages import Language, say
from jiyao.text import ends_sentence, join, width
from jiyao.timeline import clock
from jiyao.transcript import Segment, Transcript

_PAUSE_MS = 2_000  # a silence that a reader would take for a new paragraph
_LONG_WIDTH = (
    250.0  # full-width characters: a speech longer than this is cut at the next sentence end, to keep times near
)

# Anywhere: backslash, code, emphasis, links and HTML, entities, strike-through, TeX. Obsidian's `==` and `%%` in pairs
# only, `#` only where it opens a heading or a tag: C#, 82% and a=b stay readable in the source.
_MARKUP = re.compile(r"[\\`*_\[\]<>&~$^|]|(?<==)=|=(?==)|(?<=%)%|%(?=%)|(?<!\S)#|#(?=#)")
_AUTOLINK = re.compile(r"(?i)(?<=\bhttp)(?=:)|(?<=\bhttps)(?=:)|(?<=\bftp)(?=:)|(?<=\bwww)(?=\.)|(?<=\S)(?=@\S)")
_BLOCK_START = re.compile(r"^(?:(?=[-+=])|(\d+)(?=[.)](?:\s|$)))")


@dataclass(frozen=True)
class Paragraph:
    """What one speaker ("": unknown) says without a long pause, and when it starts (ms from the recording's start)."""

    start_ms: int
    speaker: str
    text: str


def paragraphs(transcript: Transcript, options: ExportOptions) -> list[Paragraph]:
    """The transcript as paragraphs; doubtful segments carry a mark. Segments without text are left out."""
    result: list[Paragraph] = []
    group: list[Segment] = []
    for segment in transcript.segments:
        if not one_line(segment.text):
            continue
        if group and not (options.merge and _continues(group, segment)):
            result.append(_paragraph(group, options.language))
            group = []
        group.append(segment)
    if group:
        result.append(_paragraph(group, options.language))
    return result


def _continues(group: list[Segment], segment: Segment) -> bool:
    last = group[-1]
    if segment.speaker != last.speaker or segment.start_ms - last.end_ms >= _PAUSE_MS:
        return False
    so_far = sum(width(s.text) for s in group)
    return so_far < _LONG_WIDTH or (so_far < 2 * _LONG_WIDTH and not ends_sentence(last.text))


def _paragraph(group: list[Segment], language: Language) -> Paragraph:
    texts = []
    for segment in group:
        text = one_line(segment.text)
        texts.append(join([text, say("exports.doubtful", language)]) if segment.flags else text)
    # some models write no punctuation at all: then a space is all that tells one sentence from the next
    punctuated = any(not one_line(segment.text)[-1].isalnum() for segment in group)
    return Paragraph(
        start_ms=group[0].start_ms,
        speaker=one_line(group[0].speaker),
        text=join(texts) if punctuated else " ".join(texts),
    )


def head(transcript: Transcript, language: Language) -> list[str]:
    """What a reader must know before the text: length, engine, what was cut off, what is estimated, what doubtful."""
    engine = transcript.engine
    parts = (one_line(part) for part in (engine.name, engine.model, engine.device))
    lines = [say("exports.length", language, length=clock(transcript.source.duration_ms))]
    lines.append(say("exports.engine", language, engine=" · ".join(part for part in parts if part)))
    lines += notes(transcript, language)
    shown = [segment for segment in transcript.segments if one_line(segment.text)]
    estimated = sum(segment.timing == "estimated" for segment in shown)
    if estimated:
        lines.append(say("exports.estimated", language, count=estimated, total=len(shown)))
    doubtful = sum(bool(segment.flags) for segment in shown)
    if doubtful:
        mark = say("exports.doubtful", language)
        lines.append(say("exports.doubtful_count", language, count=doubtful, mark=mark))
    return lines


def notes(transcript: Transcript, language: Language) -> list[str]:
    """What was noticed while reading the source (a cut-off file), one line each: it goes into every format that can."""
    return [say("exports.note", language, note=one_line(note)) for note in transcript.source.notes]


def write_txt(transcript: Transcript, options: ExportOptions) -> bytes:
    """`[hh:mm:ss] speaker：text` lines, UTF-8 without BOM (Notepad reads it since Windows 10 1903), LF.

    Merged paragraphs stand apart by an empty line; single sentences, one a line, do not.
    """
    lines = []
    for paragraph in paragraphs(transcript, options):
        time = f"[{clock(paragraph.start_ms)}] " if options.times else ""
        said_by = label(paragraph.speaker, options.language) if paragraph.speaker and options.speakers else ""
        lines.append(time + said_by + paragraph.text)
    return _file([*notes(transcript, options.language), *lines], "\n\n" if options.merge else "\n")


def write_md(transcript: Transcript, options: ExportOptions) -> bytes:
    """Markdown (CommonMark, safe in GitHub and Obsidian too): title, head, paragraphs with time and bold speaker."""
    bullets = "\n".join(f"- {escape_md(line)}" for line in head(transcript, options.language))
    blocks = [f"# {escape_md(one_line(transcript.source.name))}", bullets]
    for paragraph in paragraphs(transcript, options):
        time = f"`{clock(paragraph.start_ms)}` " if options.times else ""
        blocks.append(time + _bold_label(paragraph.speaker, options) + escape_md(paragraph.text))
    return _file(blocks, "\n\n")


def escape_md(text: str) -> str:
    """One line of text so that no Markdown renderer sees markup, HTML or a link in it."""
    text = _AUTOLINK.sub("\0", text)  # found before other backslashes get in between
    text = _MARKUP.sub(lambda mark: f"\\{mark.group()}", text)
    return _BLOCK_START.sub(r"\1\\", text).replace("\0", "\\")


def _bold_label(speaker: str, options: ExportOptions) -> str:
    """`**` between punctuation and a letter is not bold in CommonMark (`**甲：**乙`): the colon stays outside, and a
    label in brackets is followed by a space."""
    if not speaker or not options.speakers:
        return ""
    if role_of(speaker)[1]:
        return f"**{escape_md(label(speaker, options.language))}** "
    return say("exports.speaker", options.language, speaker=f"**{escape_md(speaker)}**")


def _file(blocks: Iterable[str], separator: str) -> bytes:
    text = separator.join(block for block in blocks if block)
    return f"{text}\n".encode() if text else b""
