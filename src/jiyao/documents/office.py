"""PPTX, DOCX, XLSX → text: zip archives of XML (ECMA-376), read with Python's own zipfile and expat.

python-pptx, python-docx and openpyxl unpack whole archives, pictures included, into trees, and bound nothing; the first
brings Pillow and XlsxWriter besides. All that is wanted here is the text of some parts, in pieces, within limits:
[Content_Types].xml says which parts; no element tree is built; a document type declaration, which the standard forbids
and entity bombs need, ends it.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from xml.parsers import expat

from jiyao.documents.collecting import Text
from jiyao.errors import DocumentError

MAX_UNPACKED_BYTES = 128 << 20  # of XML, all parts together

_PIECE = 64 << 10
_TYPES = "[Content_Types].xml"
_BODY = re.compile(
    r"wordprocessingml\.(document|template)\.main\+xml|ms-word\.(document|template)\.macroEnabled\w*\.main\+xml"
    r"|presentationml\.slide\+xml"
)
_BESIDE = re.compile(
    r"wordprocessingml\.(footnotes|endnotes|comments|header|footer)\+xml"
    r"|presentationml\.(notesSlide|comments)\+xml|drawingml\.diagramData\+xml"
)
_SHEET = re.compile(r"spreadsheetml\.worksheet\+xml")
_STRINGS = re.compile(r"spreadsheetml\.sharedStrings\+xml")
# the same again for older programs; text that was moved away; how characters are pronounced
_LEFT_OUT = frozenset({"Fallback", "moveFrom", "rt", "rPh"})
# where a cell's text stands, by the cell's type: shared, a formula's, its own
_CELLS = frozenset({("v", "s"), ("v", "str"), ("t", "inlineStr")})
_BREAKS = {"p": "\n", "br": "\n", "cr": "\n", "tab": "\t"}

Start = Callable[[str, dict[str, str]], None]
End = Callable[[str], None]
Characters = Callable[[str], None]


def read(data: bytes, text: Text) -> None:
    """Add the text of the document: slides or body first, notes, comments, headers after it.

    Raises DocumentError: encrypted, damaged, too much inside, no document of Office. Raises Full.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _read(_Package(archive, text), text)
    except (zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, OSError, ValueError, LookupError) as cause:
        raise DocumentError("documents.damaged") from cause
    except NotImplementedError as cause:  # of a later zip than 6.3, or in many volumes
        raise DocumentError("documents.unknown") from cause


def _read(package: _Package, text: Text) -> None:
    if _TYPES not in package:
        raise DocumentError("documents.unknown")
    sheets = package.parts(_SHEET)
    others = [*package.parts(_BODY), *package.parts(_BESIDE)]
    if not (sheets or others):
        raise DocumentError("documents.unknown")
    for name in others:
        _paragraphs(package, name, text)
        text.add("\n")
    if sheets:
        strings = [string for name in package.parts(_STRINGS) for string in _shared_strings(package, name)]
        for name in sheets:
            _rows(package, name, strings, text)
            text.add("\n")


class _Package:
    """The parts of an archive, by their types."""

    def __init__(self, archive: zipfile.ZipFile, text: Text) -> None:
        self._archive = archive
        self._text = text
        self._left = MAX_UNPACKED_BYTES
        self._names = {name.lower(): name for name in archive.namelist()}  # ECMA-376 part 2: case does not count
        self._types: dict[str, str] | None = None

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names

    def parts(self, kind: re.Pattern[str]) -> list[str]:
        """Names of the parts of this type, slide 2 before slide 10."""
        if self._types is None:
            self._types = {}
            self.parse(_TYPES, start=self._typed)
        found = [name for name, type_ in self._types.items() if kind.search(type_) and name in self]
        return sorted(found, key=lambda name: [int(part) if part.isdecimal() else part for part in _split(name)])

    def _typed(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Override" and self._types is not None:
            self._types[attributes["PartName"].lstrip("/").lower()] = attributes["ContentType"]

    def parse(
        self, name: str, start: Start | None = None, end: End | None = None, characters: Characters | None = None
    ) -> None:
        """Read one part; tags without their namespaces."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse
        if start:
            parser.StartElementHandler = lambda tag, attributes: start(tag.rpartition(" ")[2], attributes)
        if end:
            parser.EndElementHandler = lambda tag: end(tag.rpartition(" ")[2])
        if characters:
            parser.CharacterDataHandler = characters
        for piece in self._pieces(name):
            parser.Parse(piece, False)
        parser.Parse(b"", True)

    def _pieces(self, name: str) -> Iterator[bytes]:
        info = self._archive.getinfo(self._names[name.lower()])
        if info.flag_bits & 1:
            raise DocumentError("documents.encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without bounds
            raise DocumentError("documents.unknown")
        with self._archive.open(info) as part:
            while piece := part.read(_PIECE):
                self._left -= len(piece)
                if self._left < 0:
                    raise DocumentError("documents.too_much_inside", megabytes=MAX_UNPACKED_BYTES >> 20)
                self._text.check_time()
                yield piece


def _split(name: str) -> list[str]:
    """Digits and the rest in turn, so that two names compare part by part."""
    return re.split(r"(\d+)", name)


def _refuse(*_: object) -> None:
    raise DocumentError("documents.damaged")


class _Place:
    """Where the parser is: `in_text` in an element whose characters are wanted, not in a part that is left out."""

    def __init__(self) -> None:
        self.in_text = False
        self._depth = 0

    def begins(self, tag: str, is_text: bool) -> None:
        self._depth += tag in _LEFT_OUT
        self.in_text = is_text and not self._depth

    def ends(self, tag: str) -> bool:
        """Does this element count?"""
        self.in_text = False
        counts = not self._depth
        self._depth -= tag in _LEFT_OUT
        return counts


def _paragraphs(package: _Package, name: str, text: Text) -> None:
    """Of documents and slides: both name their paragraphs `p` and their texts `t`."""
    place = _Place()

    def start(tag: str, _: dict[str, str]) -> None:
        place.begins(tag, tag == "t")

    def end(tag: str) -> None:
        if place.ends(tag) and tag in _BREAKS:
            text.add(_BREAKS[tag])

    def characters(piece: str) -> None:
        if place.in_text:
            text.add(piece)

    package.parse(name, start, end, characters)


def _shared_strings(package: _Package, name: str) -> list[str]:
    strings: list[str] = []
    current: list[str] = []
    place = _Place()

    def start(tag: str, _: dict[str, str]) -> None:
        place.begins(tag, tag == "t")

    def end(tag: str) -> None:
        place.ends(tag)
        if tag == "si":
            strings.append("".join(current))
            current.clear()

    package.parse(name, start, end, lambda piece: current.append(piece) if place.in_text else None)
    return strings


def _rows(package: _Package, name: str, strings: list[str], text: Text) -> None:
    """A line for each row: its texts with tabs between them. Numbers and dates are no words, and left out."""
    kind, value = "", ""
    place = _Place()

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal kind, value
        if tag == "c":
            kind, value = attributes.get("t", "n"), ""
        place.begins(tag, (tag, kind) in _CELLS)

    def end(tag: str) -> None:
        place.ends(tag)
        if tag == "c" and value:
            text.add((strings[int(value)] if kind == "s" else value) + "\t")
        elif tag == "row":
            text.add("\n")

    def characters(piece: str) -> None:
        nonlocal value
        if place.in_text:
            value += piece

    package.parse(name, start, end, characters)
