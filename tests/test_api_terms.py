"""Terms over HTTP: sets in a real vault, tables, candidates from documents read by the real sealed child."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from jiyao import documents
from jiyao.api import Desk
from jiyao.settings import Settings
from jiyao.vault import Passphrase, Vault
from tests.api_server import OPTIONS, Served, scripted, serving
from tests.documents import docx, pdf, pptx, xlsx

PHRASE = "八百标兵奔北坡"
TEXT = "# 项目一\n张公→张工\n\nBGE-M3  # 模型\n张工"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    with (
        Desk(Settings(home=tmp_path, ui="zh"), options=OPTIONS, open_worker=scripted) as desk,
        serving(desk) as running,
    ):
        yield running


@pytest.fixture
def keeping(client: httpx.Client) -> httpx.Client:
    assert client.post("/api/keep", json={"on": True, "passphrase": PHRASE}).json() == {"on": True}
    return client


def refused(answer: httpx.Response, status: int, key: str) -> None:
    assert (answer.status_code, answer.json()["error"]["key"]) == (status, key), answer.text
    assert answer.json()["error"]["message"] and answer.json()["error"]["remedy"]
    assert answer.headers["cache-control"] == "no-store"


def put(client: httpx.Client, name: str, terms: str) -> httpx.Response:
    return client.put(f"/api/terms/sets/{name}", json={"terms": terms})


def imported(client: httpx.Client, name: str, data: bytes) -> httpx.Response:
    return client.put("/api/terms/import", params={"name": name}, content=data)


def extracted(client: httpx.Client, data: bytes, name: str = "材料") -> httpx.Response:
    return client.put("/api/terms/extract", params={"name": name}, content=data)


class TestSets:
    def test_without_keeping_there_is_no_place_for_them(self, client: httpx.Client) -> None:
        assert client.get("/api/terms/sets").json() == {"available": False, "sets": []}
        refused(put(client, "甲", "a"), 400, "terms.not_kept")
        refused(client.get("/api/terms/sets/甲"), 400, "terms.not_kept")
        refused(client.delete("/api/terms/sets/甲"), 400, "terms.not_kept")

    def test_the_box_comes_back_as_it_was_written(self, keeping: httpx.Client, tmp_path: Path) -> None:
        keeping.put("/api/settings", json={"terms": TEXT})
        with (
            Desk(Settings(home=tmp_path, ui="zh"), options=OPTIONS, open_worker=scripted) as desk,
            serving(desk) as again,
            again.client() as client,
        ):
            assert client.get("/api/state").json()["settings"]["terms"] == ""
            assert client.post("/api/keep", json={"on": True, "passphrase": PHRASE}).json() == {"on": True}
            settings = client.get("/api/state").json()["settings"]
            assert (settings["terms"], settings["terms_count"]) == (TEXT, 2)

    def test_a_set_is_kept_as_it_was_written(self, keeping: httpx.Client) -> None:
        assert put(keeping, "项目 一/二", TEXT).json() == {"name": "项目 一/二", "count": 2}
        assert put(keeping, "a", "x").json()["count"] == 1
        assert keeping.get("/api/terms/sets").json() == {
            "available": True,
            "sets": [{"name": "a", "count": 1}, {"name": "项目 一/二", "count": 2}],
        }
        assert keeping.get("/api/terms/sets/项目 一/二").json() == {"name": "项目 一/二", "terms": TEXT}
        put(keeping, "a", "y\nz")
        assert keeping.get("/api/terms/sets/a").json()["terms"] == "y\nz"
        assert keeping.delete("/api/terms/sets/a").json() == {}
        refused(keeping.get("/api/terms/sets/a"), 404, "terms.unknown_set")
        refused(keeping.delete("/api/terms/sets/a"), 404, "terms.unknown_set")

    def test_sets_are_there_after_a_restart_and_encrypted(self, keeping: httpx.Client, tmp_path: Path) -> None:
        put(keeping, "MARKER-NAME", "MARKER-TERM")
        files = [path.read_bytes() for path in (tmp_path / "vault").iterdir()]
        assert files and not any(b"MARKER" in content for content in files)
        with Vault.open(tmp_path / "vault", Passphrase(PHRASE)) as vault:
            assert vault.terms()["MARKER-NAME"] == "MARKER-TERM"

    def test_the_box_is_no_set(self, keeping: httpx.Client) -> None:
        keeping.put("/api/settings", json={"terms": "OKR"}).raise_for_status()
        assert keeping.get("/api/terms/sets").json()["sets"] == []
        refused(keeping.get("/api/terms/sets/desk"), 404, "terms.unknown_set")
        refused(keeping.delete("/api/terms/sets/desk"), 404, "terms.unknown_set")
        refused(put(keeping, "desk", "a"), 400, "terms.bad_set_name")
        assert keeping.get("/api/settings").json()["terms"] == "OKR"

    @pytest.mark.parametrize("name", [" ", "%09", "长" * 61])
    def test_names_that_are_none(self, keeping: httpx.Client, name: str) -> None:
        refused(put(keeping, name, "a"), 400, "terms.bad_set_name")

    def test_a_text_with_a_mistake_is_refused_with_its_line(self, keeping: httpx.Client) -> None:
        answer = put(keeping, "甲", "a\n→b")
        refused(answer, 400, "terms.bad_line")
        assert "2" in answer.json()["error"]["message"]
        refused(put(keeping, "甲", "a" * 200_001), 400, "web.terms_too_long")
        refused(keeping.put("/api/terms/sets/甲", json={}), 400, "web.bad_field")
        assert keeping.get("/api/terms/sets").json()["sets"] == []

    def test_after_keeping_is_switched_off_they_rest(self, keeping: httpx.Client) -> None:
        put(keeping, "甲", "a")
        keeping.post("/api/keep", json={"on": False})
        assert keeping.get("/api/terms/sets").json() == {"available": False, "sets": []}
        keeping.post("/api/keep", json={"on": True})
        assert [one["name"] for one in keeping.get("/api/terms/sets").json()["sets"]] == ["甲"]


class TestImport:
    @pytest.mark.parametrize(
        ("table", "expected"),
        [
            ("张公,张工\nBGEM3,BGE-M3", "张公→张工\nBGEM3→BGE-M3"),
            ("原文,规范写法\n张公,张工", "张公→张工"),
            ("规范写法,原文\n张工,张公\n张工,章工", "张公→张工\n章工→张工"),
            ("term,alias\nKubernetes,K8s\nMilvus,", "K8s→Kubernetes\nMilvus"),
            ("alias;term\n张公;张工", "张公→张工"),
            ("术语\n张工\n\n李总", "张工\n李总"),
            ("张工\n李总", "张工\n李总"),
            ('"张 公","张 工",备注\n', "张 公→张 工"),
            ("张公\t张工", "张公→张工"),
            ("张工,张工", "张工"),
            ("", ""),
        ],
    )
    def test_tables(self, client: httpx.Client, table: str, expected: str) -> None:
        told = imported(client, "术语.CSV", table.encode()).json()
        assert told["terms"] == expected
        assert told["count"] == len({line.rpartition("→")[2] for line in expected.splitlines()})

    @pytest.mark.parametrize("encoding", ["gbk", "utf-8-sig", "utf-16", "utf-8"])
    def test_encodings_of_spreadsheets(self, client: httpx.Client, encoding: str) -> None:
        told = imported(client, "a.csv", "原文,规范写法\r\n张公,张工\r\n".encode(encoding)).json()
        assert told == {"terms": "张公→张工", "count": 1}

    def test_a_text_comes_back_as_it_is(self, client: httpx.Client) -> None:
        assert imported(client, "a.txt", TEXT.encode("gbk")).json() == {"terms": TEXT, "count": 2}

    def test_what_is_none_is_said(self, client: httpx.Client) -> None:
        refused(imported(client, "a.csv", xlsx([[["张公", "张工"]]])), 400, "documents.unknown")
        refused(imported(client, "a.csv", "a,b\nc→d,e".encode()), 400, "terms.bad_cell")
        refused(imported(client, "a.txt", "→a".encode()), 400, "terms.bad_line")
        refused(imported(client, "a.csv", b"abc\n" * 50_001), 400, "web.terms_too_long")
        refused(imported(client, "a.csv", b"a" * 800_001), 413, "documents.too_large")
        refused(client.put("/api/terms/import", content=iter([b"a"])), 411, "web.no_length")


LINES = ["负责人：周若彤", "嵌入模型采用 BGE-M3", "灰度发布一次，灰度发布两次"]


class TestExtract:
    @pytest.mark.parametrize(
        "data",
        [
            pptx([("标题", LINES)]),
            docx(LINES),
            xlsx([[[line] for line in LINES]]),
            pdf([LINES]),
            "\n".join(LINES).encode(),
        ],
        ids=["pptx", "docx", "xlsx", "pdf", "txt"],
    )
    def test_candidates_of_every_kind_of_document(self, client: httpx.Client, data: bytes) -> None:
        told = extracted(client, data).raise_for_status().json()
        assert told["notes"] == []
        assert [(one["term"], one["count"], one["kind"]) for one in told["candidates"]] == [
            ("周若彤", 1, "name"),
            ("BGE-M3", 1, "mixed"),
            ("灰度发布", 2, "compound"),
        ]
        assert all(one["term"] in one["example"] for one in told["candidates"])

    def test_a_long_document_is_read_in_part_and_that_is_said(self, client: httpx.Client) -> None:
        told = extracted(client, ("字" * 99 + "\n").encode() * (documents.MAX_CHARACTERS // 100 + 1)).json()
        assert len(told["notes"]) == 1 and told["candidates"] == []
        english = client.put("/api/terms/extract?lang=en", content=b"x\n" * documents.MAX_CHARACTERS).json()
        assert english["notes"] == ["The document is long: only its first part was read."]

    def test_what_cannot_be_read_is_said(self, client: httpx.Client) -> None:
        refused(extracted(client, b""), 400, "documents.empty")
        refused(extracted(client, pdf([[]])), 400, "documents.only_pictures")
        refused(extracted(client, pdf([LINES], password="x")), 400, "documents.encrypted")
        refused(extracted(client, b"\x89PNG\r\n\x1a\n\0\0"), 400, "documents.unknown")
        refused(client.put("/api/terms/extract", content=iter([b"a"])), 411, "web.no_length")
        refused(extracted(client, bytes(documents.MAX_BYTES + 1)), 413, "documents.too_large")

    def test_who_has_no_key_gets_nothing(self, served: Served) -> None:
        for path in ("import", "extract", "sets/a"):
            assert httpx.put(f"{served.url}/api/terms/{path}", content=b"x").status_code == 403
        assert httpx.get(f"{served.url}/api/terms/sets").status_code == 403
