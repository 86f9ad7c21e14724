"""Documents made by the libraries that offices use: their texts are our own, their containers are real."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence


def pptx(slides: Sequence[tuple[str, Sequence[str]]], notes: str = "", table: Sequence[Sequence[str]] = ()) -> bytes:
    """(title, lines) for each slide; `notes` and `table` on the first one."""
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    for number, (title, lines) in enumerate(slides):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = "\n".join(lines)
        if number == 0 and notes:
            slide.notes_slide.notes_text_frame.text = notes
        if number == 0 and table:
            grid = slide.shapes.add_table(len(table), len(table[0]), Inches(1), Inches(4), Inches(6), Inches(1)).table
            for row, cells in enumerate(table):
                for column, cell in enumerate(cells):
                    grid.cell(row, column).text = cell
    return _saved(deck.save)


def docx(paragraphs: Sequence[str], table: Sequence[Sequence[str]] = (), header: str = "") -> bytes:
    from docx import Document

    document = Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if table:
        grid = document.add_table(len(table), len(table[0]))
        for row, cells in enumerate(table):
            for column, cell in enumerate(cells):
                grid.cell(row, column).text = cell
    if header:
        document.sections[0].header.paragraphs[0].text = header
    return _saved(document.save)


def xlsx(sheets: Sequence[Sequence[Sequence[object]]]) -> bytes:
    """With its texts in a table that cells point into, as Excel writes them."""
    import xlsxwriter

    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        for rows in sheets:
            sheet = book.add_worksheet()
            for number, cells in enumerate(rows):
                sheet.write_row(number, 0, cells)
    return buffer.getvalue()


def pdf(pages: Sequence[Sequence[str]], *, password: str = "") -> bytes:
    """Lines of any script: a font without outlines, whose codes are UTF-16 and said to be so (ISO 32000-1, 9.10.3)."""
    used = sorted({character for lines in pages for line in lines for character in line})
    codes = [character.encode("utf-16-be").hex().encode() for character in used]
    blocks = [codes[start : start + 100] for start in range(0, len(codes), 100)]
    to_unicode = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Same def\n"
        b"1 begincodespacerange <0000> <ffff> endcodespacerange\n"
        + b"".join(
            b"%d beginbfchar\n%s\nendbfchar\n" % (len(block), b"\n".join(b"<%s> <%s>" % (c, c) for c in block))
            for block in blocks
        )
        + b"endcmap end end"
    )
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>"
        % (b" ".join(b"%d 0 R" % (6 + 2 * n) for n in range(len(pages))), len(pages)),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /None /Encoding /Identity-H"
        b" /DescendantFonts [4 0 R] /ToUnicode 5 0 R >>",
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /None /DW 1000"
        b" /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>",
        _stream(to_unicode),
    ]
    for number, lines in enumerate(pages):
        shown = b" ".join(b"<%s> Tj T*" % line.encode("utf-16-be").hex().encode() for line in lines)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R"
            b" /Resources << /Font << /F 3 0 R >> >> >>" % (7 + 2 * number)
        )
        objects.append(_stream(b"BT /F 12 Tf 14 TL 72 770 Td %s ET" % shown))
    made = bytearray(b"%PDF-1.7\n")
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % place for place in places)
    made += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return _encrypted(bytes(made), password) if password else bytes(made)


def zipped(parts: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def changed(original: bytes, /, **parts: bytes) -> bytes:
    """The same archive with some parts replaced, by the end of their names."""
    with zipfile.ZipFile(io.BytesIO(original)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    for end, content in parts.items():
        [name] = [name for name in found if name.endswith(f"/{end}.xml")]
        found[name] = content
    return zipped(found)


def _stream(content: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content)


def _encrypted(document: bytes, password: str) -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(PdfReader(io.BytesIO(document)))
    writer.encrypt(password, algorithm="AES-256")
    return _saved(writer.write)


def _saved(save: object) -> bytes:
    buffer = io.BytesIO()
    assert callable(save)
    save(buffer)
    return buffer.getvalue()
