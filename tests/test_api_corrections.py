"""Terms over the wire: proposals and corrections of lines, changes to them, what a typed correction teaches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jiyao.engines.scripted import Script
from tests.api_server import Page, Served, over, serving
from tests.conftest import SAMPLE
from tests.test_api import a_desk, known, refused

LINES = ("😀好，我们的接口又被现流了。", "麻烦张公看一下 bge m3。", "张公说好。")
TERMS = "限流\nBGE-M3\n"

__all__ = ["known"]  # what there is on this computer, for all tests here


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    Script(lines=LINES).write(tmp_path)
    with a_desk(tmp_path) as desk, serving(desk) as running:
        yield running


@pytest.fixture
def job(client: httpx.Client) -> str:
    """The sample, recognised with the terms."""
    client.put("/api/settings", json={"terms": TERMS}).raise_for_status()
    answer = client.put("/api/uploads", params={"name": SAMPLE.name}, content=SAMPLE.read_bytes())
    found: str = answer.json()["job"]
    assert over(client, found)["state"] == "done"
    return found


def lines(client: httpx.Client, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/api/jobs/{job}").json()["lines"]
    return found


def line_with(text: str, client: httpx.Client, job: str) -> dict[str, Any]:
    return next(line for line in lines(client, job) if text in line["text"])


def edit(client: httpx.Client, job: str, *changes: dict[str, object]) -> httpx.Response:
    return client.post(f"/api/jobs/{job}/edits", json={"changes": changes})


def of(line: dict[str, Any], kind: str, **more: object) -> dict[str, object]:
    return {"kind": kind, "line": line["id"], "version": line["version"], **more}


def in_units(text: str, start: int, end: int) -> str:
    return text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")


def test_a_line_tells_its_proposals_and_corrections_in_units(client: httpx.Client, job: str) -> None:
    first, second = line_with("又被", client, job), line_with("张公看", client, job)
    [proposal] = first["proposals"]
    assert in_units(first["text"], proposal["start"], proposal["end"]) == "现流" == proposal["before"]
    assert (proposal["after"], proposal["rule"]) == ("限流", "pinyin") and 0.75 <= proposal["score"] <= 1
    [correction] = second["corrections"]
    assert in_units(second["text"], correction["start"], correction["end"]) == "BGE-M3" == correction["after"]
    assert (correction["before"], correction["rule"], correction["score"]) == ("bge m3", "variant", None)


def test_accept_revert_decline_and_undo(client: httpx.Client, job: str) -> None:
    line = lines(client, job)[0]
    [one] = line["proposals"]
    accepted = of(line, "correct", start=one["start"], before=one["before"], after=one["after"])
    assert edit(client, job, accepted).json()["learned"] is None
    after = lines(client, job)[0]
    assert "限流" in after["text"] and after["proposals"] == [] and not after["edited"]
    [record] = after["corrections"]
    assert (record["before"], record["score"], record["rule"]) == ("现流", one["score"], "pinyin")
    assert edit(client, job, of(after, "revert", start=record["start"])).status_code == 200
    back = lines(client, job)[0]
    assert back["text"] == line["text"] and back["proposals"] == [] and back["corrections"] == []
    for _ in range(2):
        client.post(f"/api/jobs/{job}/undo")
    assert lines(client, job)[0]["proposals"] == line["proposals"]
    line = lines(client, job)[0]
    edit(client, job, of(line, "decline", before="现流", after="限流"))
    assert lines(client, job)[0]["proposals"] == []


def test_a_stale_or_wrong_place_is_a_conflict(client: httpx.Client, job: str) -> None:
    line = lines(client, job)[0]
    wrong = of(line, "correct", start=0, before="现流", after="限流")
    assert edit(client, job, wrong).status_code == 409
    assert edit(client, job, of(line, "revert", start=0)).status_code == 409
    stale = {**of(line, "decline", before="a", after="b"), "version": line["version"] - 1}
    assert edit(client, job, stale).status_code == 409
    refused(edit(client, job, of(line, "correct", start=0)), 400, "web.bad_field")


def test_other_terms_send_the_lines_again(served: Served, client: httpx.Client, job: str) -> None:
    with Page(client, served.desk.jobs.seq) as page:
        client.put("/api/settings", json={"terms": "张公→张工"}).raise_for_status()
        _, _, told = page.until("lines", job=job)[-1]
    assert told["put"] and all(one["after"] == "张工" for line in told["put"] for one in line["proposals"])
    texts = [line["text"] for line in lines(client, job)]
    assert any("张公" in text for text in texts), "what is there already is only proposed"


def test_a_typed_correction_teaches_and_goes_everywhere(client: httpx.Client, job: str) -> None:
    line = line_with("一下", client, job)
    answer = edit(client, job, of(line, "text", text=line["text"].replace("张公", "张工"))).json()
    places = answer["learned"]["places"]
    assert answer["learned"] == {"before": "张公", "after": "张工", "places": places} and places > 1
    told = client.post(f"/api/jobs/{job}/replace", json={"before": "张公", "after": "张工"}).json()
    assert told == {"done": places}
    found = lines(client, job)
    assert not any("张公" in line["text"] for line in found)
    assert {one["rule"] for line in found for one in line["corrections"] if one["after"] == "张工"} == {"typed"}
    client.post(f"/api/jobs/{job}/undo")
    assert sum("张公" in line["text"] for line in lines(client, job)) >= places / 2
    refused(client.post(f"/api/jobs/{job}/replace", json={"before": " ", "after": "x"}), 400, "web.bad_field")
    refused(client.post(f"/api/jobs/{job}/replace", json={"before": "x", "after": ""}), 400, "web.bad_field")


def test_what_was_saved_while_writing_counts_from_where_it_began(client: httpx.Client, job: str) -> None:
    line = line_with("一下", client, job)
    began = line["text"]
    half = began.replace("张公", "张")
    answer = edit(client, job, {**of(line, "text", text=half), "from": began}).json()
    assert answer["learned"] is None or answer["learned"]["after"] != "张工"
    line = line_with("一下", client, job)
    answer = edit(client, job, {**of(line, "text", text=began.replace("张公", "张工")), "from": began}).json()
    assert (answer["learned"]["before"], answer["learned"]["after"]) == ("张公", "张工")


def test_records_are_in_the_json(client: httpx.Client, job: str) -> None:
    document = client.get(f"/api/jobs/{job}/export/json").json()
    one = document["corrections"][0]
    segment = document["segments"][one["segment"]]
    assert segment["text"][one["start"] :].startswith("BGE-M3") and one["before"] == "bge m3"
    assert segment["start_ms"] <= one["start_ms"] <= segment["end_ms"]
