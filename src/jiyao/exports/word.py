"""DOCX by python-docx: A4, a Chinese and a Latin font, no trace of who wrote it or when."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

from jiyao.exports.options import ExportOptions, label, one_line
from jiyao.exports.reading import head, paragraphs
from jiyao.timeline import clock
from jiyao.transcript import Transcript

if TYPE_CHECKING:
    from docx.document import Document

_EAST_ASIAN = "微软雅黑"  # on every Chinese Windows, and installed with Office for Mac
_FALLBACKS = "Microsoft YaHei,PingFang SC,Hiragino Sans GB,Noto Sans CJK SC,宋体,SimSun"  # elsewhere, best first
_LATIN = "Arial"  # everywhere, and its digits are all of one width: times stand in columns
_GREY = "808080"
_ZIP_DAY = (1980, 1, 1, 0, 0, 0)  # the first day a zip file can name


def write_docx(transcript: Transcript, options: ExportOptions) -> bytes:
    """Title, head lines, paragraphs with a small grey time and a bold speaker."""
    import docx  # 0.2 s with lxml: only when a DOCX is wanted
    from docx.shared import Pt, RGBColor

    document = docx.Document()
    _set_page(document)
    _set_fonts(document)
    _set_properties(document, one_line(transcript.source.name))
    grey = RGBColor.from_string(_GREY)
    document.add_heading(one_line(transcript.source.name), level=1)
    for line in head(transcript, options.language):
        run = document.add_paragraph(style="No Spacing").add_run(line)
        run.font.size, run.font.color.rgb = Pt(9), grey
    for number, paragraph in enumerate(paragraphs(transcript, options)):
        block = document.add_paragraph()
        if number == 0:
            block.paragraph_format.space_before = Pt(14)
        if options.times:
            run = block.add_run(clock(paragraph.start_ms) + "  ")
            run.font.size, run.font.color.rgb = Pt(8.5), grey
        if options.speakers and paragraph.speaker:
            block.add_run(label(paragraph.speaker, options.language)).bold = True
        block.add_run(paragraph.text)
    buffer = io.BytesIO()
    document.save(buffer)
    return _without_clock(buffer.getvalue())


def _set_page(document: Document) -> None:
    from docx.shared import Mm

    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(25)
    section.top_margin = section.bottom_margin = Mm(22)


def _set_fonts(document: Document) -> None:
    """One Latin and one East Asian font everywhere; theme fonts go: they would win over both (ECMA-376 17.3.2.26)."""
    from docx.oxml.ns import qn
    from docx.shared import Pt, RGBColor

    root: Any = document.styles.element
    for fonts in root.iter(qn("w:rFonts")):
        for attribute in list(fonts.attrib):
            del fonts.attrib[attribute]
        for attribute, font in (("ascii", _LATIN), ("hAnsi", _LATIN), ("cs", _LATIN), ("eastAsia", _EAST_ASIAN)):
            fonts.set(qn(f"w:{attribute}"), font)
    for language in root.iter(qn("w:lang")):
        language.set(qn("w:eastAsia"), "zh-CN")
    document.styles["Normal"].font.size = Pt(10.5)  # 五号, the usual body size of Chinese documents
    document.styles["Heading 1"].font.color.rgb = RGBColor(0, 0, 0)
    # Word looks a missing font up by its alternative names (ECMA-376 17.8.3.1)
    entry = f'<w:font w:name="{_EAST_ASIAN}"><w:altName w:val="{_FALLBACKS}"/><w:charset w:val="86"/></w:font>'
    for part in document.part.package.iter_parts():
        if part.partname == "/word/fontTable.xml":
            part._blob = part.blob.replace(b"</w:fonts>", entry.encode() + b"</w:fonts>")


def _set_properties(document: Document, title: str) -> None:
    """Author jiyao, no dates, no preview picture: the template's own would be wrong here."""
    properties = document.core_properties
    properties.author = properties.last_modified_by = "jiyao"
    properties.title, properties.comments, properties.revision = title[:255], "", 1
    element: Any = properties._element
    for child in list(element):
        if child.tag.endswith(("}created", "}modified")):
            element.remove(child)
    relations = document.part.package.rels
    for key in [key for key, relation in relations.items() if relation.reltype.endswith("/thumbnail")]:
        del relations[key]


def _without_clock(data: bytes) -> bytes:
    """The same zip with fixed dates: equal transcripts give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(zipfile.ZipInfo(entry.filename, _ZIP_DAY), old.read(entry), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
