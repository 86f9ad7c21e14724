"""`jiyao terms`: real runs; what they print is a terms file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jiyao.glossary import parse
from tests.documents import docx, pdf, pptx

LINES = ["负责人：周若彤", "嵌入模型采用 BGE-M3", "灰度发布一次，灰度发布两次"]
FOUND = ("周若彤", "BGE-M3", "灰度发布")


def terms(*arguments: str | Path, language: str = "zh") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jiyao", "terms", *map(str, arguments)],
        env={**os.environ, "LANGUAGE": language},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture
def deck(tmp_path: Path) -> Path:
    (tmp_path / "汇报.pptx").write_bytes(pptx([("标题", LINES)]))
    return tmp_path / "汇报.pptx"


def test_candidates_are_printed_as_a_terms_file(deck: Path, tmp_path: Path) -> None:
    (tmp_path / "b.docx").write_bytes(docx(LINES))
    done = terms("extract", deck, tmp_path / "b.docx")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["周若彤  # 2, 人名", "BGE-M3  # 2, 混合", "灰度发布  # 4, 复合词"]
    assert parse(done.stdout).terms == FOUND
    assert "# 2, name" in terms("extract", deck, deck, language="en").stdout


def test_into_a_file_and_never_over_one(deck: Path, tmp_path: Path) -> None:
    out = tmp_path / "新" / "terms.txt"
    done = terms("extract", deck, "-o", out)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert parse(out.read_text(encoding="utf-8")).terms == FOUND
    assert sorted(path.name for path in out.parent.iterdir()) == ["terms.txt"]
    again = terms("extract", deck, "-o", out)
    assert again.returncode == 2 and "terms.txt" in again.stderr
    assert terms("extract", deck, "-o", out, "--force").returncode == 0


def test_documents_that_cannot_be_read_are_told_and_the_others_count(deck: Path, tmp_path: Path) -> None:
    scan, gone = tmp_path / "scan.pdf", tmp_path / "gone.docx"
    scan.write_bytes(pdf([[]]))
    done = terms("extract", scan, deck, gone)
    assert done.returncode == 1 and parse(done.stdout).terms == FOUND
    assert "scan.pdf: 这份 PDF 里没有文字" in done.stderr and "gone.docx" in done.stderr
    alone = terms("extract", scan)
    assert (alone.returncode, alone.stdout) == (2, "")


def test_where_nothing_is_found_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("今天天气很好。", encoding="utf-8")
    done = terms("extract", tmp_path / "a.txt")
    assert (done.returncode, done.stdout) == (0, "") and "没有找到" in done.stderr


def test_a_table_is_printed_as_terms(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_bytes("规范写法,原文\r\n张工,张公\r\nBGE-M3,\r\n".encode("gbk"))
    done = terms("import", table)
    assert (done.returncode, done.stdout, done.stderr) == (0, "张公→张工\nBGE-M3\n", "")


@pytest.mark.parametrize(("content", "said"), [(b"a\0b", "格式"), (b"a,b\nc=d,e", "第 2 行"), (None, "打不开")])
def test_a_table_that_is_none(tmp_path: Path, content: bytes | None, said: str) -> None:
    table = tmp_path / "a.csv"
    if content is not None:
        table.write_bytes(content)
    done = terms("import", table)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_both() -> None:
    done = terms("--help")
    assert "extract" in done.stdout and "import" in done.stdout
