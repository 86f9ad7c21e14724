"""Documents of every kind are read, by the real sealed child; whatever else is in a file is refused in plain words."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from jiyao import documents
from jiyao.documents import office
from jiyao.errors import DocumentError, JiyaoError
from jiyao.seal import resident_bytes
from jiyao.worker import entry, reading
from jiyao.worker.reading import read_document
from tests.conftest import ROOT, SAMPLE
from tests.documents import changed, docx, pdf, pptx, xlsx, zipped

LINES = ["负责人：周若彤", "嵌入模型采用 BGE-M3，<top-k> & “重排序”"]
MUTATIONS = 250  # for each kind


def deck() -> bytes:
    return pptx(
        [("星河项目", LINES), *((f"第 {n} 页", [f"要点 {n}"]) for n in range(2, 12))], "讲稿里的话", [["甲", "乙"]]
    )


def made() -> dict[str, bytes]:
    return {
        "pptx": deck(),
        "docx": docx(LINES, [["职务", "姓名"], ["工程师", "张工"]], header="页眉"),
        "xlsx": xlsx([[LINES, [3, 4.5, "混合检索"]], [["第二张表"]]]),
        "pdf": pdf([LINES, ["第二页"]]),
        "md": "\n".join(["# 标题", *LINES]).encode(),
    }


def refused(data: bytes, key: str) -> None:
    with pytest.raises(DocumentError) as caught:
        documents.read(data)
    assert caught.value.key == key
    assert all(caught.value.message(language) and caught.value.remedy(language) for language in ("zh", "en"))


# what is read


@pytest.mark.parametrize("kind", ["pptx", "docx", "xlsx", "pdf", "md"])
def test_every_kind_is_read_by_a_child(kind: str) -> None:
    document = read_document(made()[kind])
    assert document.gaps == ()
    assert all(line in document.text for line in LINES), document.text


def test_slides_come_in_their_order_with_notes_and_tables() -> None:
    text = documents.read(deck()).text
    assert [text.index(word) for word in ("星河项目", "甲", "第 2 页", "要点 10", "讲稿里的话")] == sorted(
        text.index(word) for word in ("星河项目", "甲", "第 2 页", "要点 10", "讲稿里的话")
    )


def test_tables_and_headers_of_word() -> None:
    assert documents.read(made()["docx"]).text.split() == [
        *" ".join(LINES).split(),
        "职务",
        "姓名",
        "工程师",
        "张工",
        "页眉",
    ]


def test_cells_are_texts_and_not_numbers() -> None:
    assert documents.read(made()["xlsx"]).text == "\t".join([*LINES, ""]) + "\n混合检索\t\n\n第二张表\t\n\n"


def test_cells_that_hold_their_own_text_and_results_of_formulas() -> None:
    sheet = (
        b'<worksheet xmlns="x"><sheetData><row><c t="inlineStr"><is><t>\xe7\x94\xb2</t></is></c>'
        b'<c t="str"><f>"a"&amp;"b"</f><v>ab</v></c><c t="b"><v>1</v></c></row></sheetData></worksheet>'
    )
    assert documents.read(changed(xlsx([[["x"]]]), sheet1=sheet)).text == "甲\tab\t\n\n"


def test_what_stands_twice_for_older_programs_is_read_once() -> None:
    body = (
        '<w:document xmlns:w="w" xmlns:mc="mc"><w:p><w:r><mc:AlternateContent><mc:Choice><w:t>甲</w:t></mc:Choice>'
        "<mc:Fallback><w:p><w:t>甲</w:t></w:p></mc:Fallback></mc:AlternateContent><w:tab/><w:t>乙</w:t></w:r>"
        "<w:del><w:delText>丙</w:delText></w:del><w:br/><w:t>丁</w:t></w:p></w:document>"
    )
    assert documents.read(changed(docx([]), document=body.encode())).text.strip() == "甲\t乙\n丁"


def test_lines_of_a_pdf_that_break_at_the_margin_are_put_together() -> None:
    long = "这一段文字在页边被断开，后面紧跟着的是一个完整的术语尽职"
    text = documents.read(pdf([["标题", long, "调查以及其他内容。", "康⽤⼯"]])).text
    assert "尽职调查以及" in text and "标题\n" in text
    assert "康用工" in text, "radicals that look like characters"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_texts_in_their_encodings(encoding: str) -> None:
    assert documents.read("原文→规范写法\r\n張工：你好".encode(encoding)).text == "原文→规范写法\n張工：你好"


# what is refused


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"", "documents.empty"),
        (b" \n\t", "documents.empty"),
        (docx([]), "documents.empty"),
        (pdf([[]]), "documents.only_pictures"),
        (SAMPLE.read_bytes(), "documents.unknown"),
        (b"text with a \x00 in it", "documents.unknown"),
        (zipped({"a.txt": b"x"}), "documents.unknown"),
        (zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<x/>"}), "documents.unknown"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "documents.old_format"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "documents.encrypted"),
        (pdf([LINES], password="geheim"), "documents.encrypted"),
        (b"%PDF-1.7\nnothing of a PDF", "documents.damaged"),
        (made()["docx"][:-400], "documents.damaged"),
        (bytes(documents.MAX_BYTES + 1), "documents.too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_said(data: bytes, key: str) -> None:
    refused(data, key)


def test_a_bomb_of_entities_is_refused_before_it_unfolds() -> None:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    body = f'<!DOCTYPE b [<!ENTITY e0 "ha">{entities}]><document><t>&e9;</t></document>'
    began = time.monotonic()
    refused(changed(docx(LINES), document=body.encode()), "documents.damaged")
    assert time.monotonic() - began < 1


def test_a_zip_bomb_is_refused_while_it_unfolds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "MAX_UNPACKED_BYTES", 8 << 20)
    before = resident_bytes()
    refused(changed(docx(LINES), document=b"<document><p/>" + b" " * (64 << 20)), "documents.too_much_inside")
    assert resident_bytes() - before < 100 << 20


def test_methods_that_unpack_without_bounds_are_refused() -> None:
    types = b'<Types><Override PartName="/a.xml" ContentType="x.presentationml.slide+xml"/></Types>'
    assert documents.read(zipped({"[Content_Types].xml": types, "a.xml": b"<p><t>x</t></p>"})).text == "x\n\n"
    refused(zipped({"[Content_Types].xml": types, "a.xml": b"<p/>"}, zipfile.ZIP_BZIP2), "documents.unknown")


def test_a_huge_sheet_is_read_up_to_a_length() -> None:
    """A shared text costs a few bytes each time: the result is bounded all the same."""
    strings = f'<sst xmlns="x"><si><t>{"长" * 30_000}</t></si></sst>'.encode()
    cells = b'<worksheet xmlns="x"><row>' + b'<c t="s"><v>0</v></c>' * 100_000 + b"</row></worksheet>"
    document = documents.read(changed(xlsx([[["x"]]]), sheet1=cells, sharedStrings=strings))
    assert document.gaps == ("shortened",) and len(document.text) == documents.MAX_CHARACTERS


def test_time_is_bounded_too() -> None:
    many = pdf([[f"第 {n} 页"] for n in range(5000)])
    document = documents.read(many, patience_s=1.5)
    assert document.gaps == ("shortened",) and "第 0 页" in document.text and "第 4999 页" not in document.text


def test_pages_that_cannot_be_read_are_left_out() -> None:
    whole = pdf([LINES, ["第二页"]])
    document = documents.read(
        whole.replace(b"Td <%s" % "第二页".encode("utf-16-be").hex().encode(), b"Td " + b"(" * 13)
    )
    assert document.text.split("\n")[: len(LINES)] == LINES and document.gaps == ("pages",)


@pytest.mark.parametrize("kind", ["pptx", "docx", "xlsx", "pdf", "md"])
def test_mutated_documents_are_read_or_refused(kind: str) -> None:
    """Random bytes, in the file and in what it unpacks to; a failure names its seed."""
    original = made()[kind]
    for seed in range(MUTATIONS):
        chance = random.Random(f"{kind} {seed}")
        data = _mutated_inside(original, chance) if kind.endswith("x") and seed % 2 else _mutated(original, chance)
        try:
            documents.read(data, patience_s=2)
        except JiyaoError:
            pass
        except Exception as fault:
            raise AssertionError(f"{kind}, seed {seed}") from fault


def _mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 3, 20, 200))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 0.1 else changed)


def _mutated_inside(data: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name in chance.sample([name for name in parts if name.endswith(".xml") and parts[name]], 3):
        parts[name] = _mutated(parts[name], chance)
    return zipped(parts)


# the child


def failing(why: str, monkeypatch: pytest.MonkeyPatch, *, timeout_s: float = 20, most_bytes: int = 400 << 20) -> str:
    """The key of the error when the child does this instead of reading."""
    monkeypatch.setattr(entry, "read", globals()[why])
    with pytest.raises(DocumentError) as caught:
        read_document(b"x", timeout_s, most_bytes)
    return caught.value.key


def crashes(connection: object) -> None:
    os.abort()


def hangs(connection: object) -> None:
    time.sleep(60)


def hogs(connection: object) -> None:
    held = []
    while True:
        held.append(b"\xff" * (16 << 20))


def lies(connection: object) -> None:
    connection.recv_bytes()  # type: ignore[attr-defined]
    connection.send_bytes(b'{"text": 3, "gaps": []}')  # type: ignore[attr-defined]


def floods(connection: object) -> None:
    connection.recv_bytes()  # type: ignore[attr-defined]
    connection.send_bytes(bytes(reading._LONGEST_REPLY + 1))  # type: ignore[attr-defined]


@pytest.mark.parametrize("why", ["crashes", "lies", "floods"])
def test_a_child_that_fails_is_an_error(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert failing(why, monkeypatch) == "documents.crashed"


def test_a_child_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    assert failing("hangs", monkeypatch, timeout_s=1) == "documents.too_slow"
    assert time.monotonic() - began < 5


def test_a_child_that_takes_all_the_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failing("hogs", monkeypatch) == "documents.too_hungry"


def test_errors_cross_the_pipe_as_they_are() -> None:
    with pytest.raises(DocumentError) as caught:
        read_document(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    assert caught.value.key == "documents.old_format"
    with pytest.raises(DocumentError) as caught:
        read_document(bytearray(documents.MAX_BYTES + 1))
    assert "64" in caught.value.message("en")


SEALED = """
import os, sys
from pathlib import Path
from jiyao import seal
from jiyao.worker.reading import read_document
seal.guard(seal.Policy("parent", loopback=True))
for name in sys.argv[1:]:
    document = read_document(Path(name).read_bytes())
    assert "周若彤" in document.text, name
assert seal.attempts().total == 0, seal.attempts()
"""


def test_a_sealed_parent_reads_and_nothing_is_written(tmp_path: Path) -> None:
    """As under `jiyao web`; with an empty home and temp folder, in which nothing appears."""
    home, inputs = tmp_path / "home", tmp_path / "in"
    home.mkdir()
    inputs.mkdir()
    for kind, data in made().items():
        (inputs / f"a.{kind}").write_bytes(data)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-c", SEALED, *map(str, sorted(inputs.iterdir()))],
        env={**kept, "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        encoding="utf-8",
        cwd=home,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0 and done.stdout == done.stderr == "", done.stderr
    assert list(home.rglob("*")) == []


def test_the_child_is_sealed_before_it_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the reader would do if a document took it over: it may not write, nor talk."""
    monkeypatch.setattr(entry, "read", tries_everything)
    monkeypatch.setenv("JIYAO_TEST_PLACE", str(tmp_path / "stolen"))
    document = read_document(b"x")
    assert document.text == "PermissionError PermissionError" and list(tmp_path.iterdir()) == []


def tries_everything(connection: object) -> None:
    def serve(_: object) -> None:
        import json
        import socket

        tried: list[Callable[[], object]] = [
            lambda: Path(os.environ["JIYAO_TEST_PLACE"]).write_text("x"),
            lambda: socket.create_connection(("127.0.0.1", 9)),
        ]
        came = []
        for attempt in tried:
            try:
                attempt()
                came.append("worked")
            except OSError as error:
                came.append("PermissionError" if isinstance(error, PermissionError) else type(error).__name__)
        connection.recv_bytes()  # type: ignore[attr-defined]
        connection.send_bytes(json.dumps({"text": " ".join(came), "gaps": []}).encode())  # type: ignore[attr-defined]

    entry._sealed(serve)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux shows a process's children so")
def test_no_child_outlives_its_document() -> None:
    import psutil

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    read_document(made()["pptx"])
    names = [c.name() for c in psutil.Process().children(recursive=True) if c.pid not in before]
    # multiprocessing's own helper stays for the next one
    assert len(names) <= 1
