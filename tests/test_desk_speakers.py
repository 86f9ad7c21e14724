"""Who said it, on the desk: a real browser, the real starter, real models, the sample with its four voices."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import axe, note_seeks, person, select_job, wait_done, wait_playing_after
from tests.conftest import SAMPLE
from tests.desk_server import Server, cut, serving


@pytest.fixture(scope="module")
def server(voices_home: Path) -> Iterator[Server]:
    with serving(voices_home, environment={"JIYAO_SPEAKERS": "auto"}) as one:
        yield one


@pytest.fixture(scope="module")
def told(server: Server) -> str:
    """A job whose speakers are told apart."""
    job = server.upload(SAMPLE)
    assert server.over(job)["state"] == "done"
    wait_told(server, job)
    return job


@pytest.fixture
def talk(server: Server, told: str) -> str:
    """The same as it was then."""
    while server.post(f"/api/jobs/{told}/undo")["done"]:
        pass
    return told


def wait_told(server: Server, job: str) -> None:
    until = time.monotonic() + 120
    while server.get(f"/api/jobs/{job}")["telling_apart"] is not None:
        assert time.monotonic() < until
        time.sleep(0.05)


def speakers(server: Server, job: str) -> list[str | None]:
    return list(dict.fromkeys(line["speaker"] for line in server.lines(job)))


def open_voices(page: Page, count: int) -> None:
    page.get_by_role("toolbar").get_by_role("button", name=f"说话人 {count}").click()
    expect(page.get_by_role("dialog", name="谁是谁")).to_be_visible()


def tell_apart(page: Page, name: str) -> None:
    with page.expect_response("**/speakers"):
        page.get_by_role("dialog").get_by_role("button", name=name).click()


def voice(page: Page, name: str) -> Locator:
    return page.locator(".jt-voice", has=page.get_by_role("textbox", name=f"{name}的名字"))


def test_speakers_come_by_themselves_and_are_shown_as_they_come(server: Server, browser: Browser) -> None:
    with person(browser, server) as someone:
        page = someone.open()
        job = server.upload(SAMPLE, "刚录的.flac")
        select_job(page, "刚录的.flac")
        expect(page.locator(".jy-voices")).to_contain_text("正在区分说话人")
        wait_done(page)
        wait_told(server, job)
        expect(page.locator(".jt-speaker").first).to_have_text("说话人 1")
        expect(page.locator(".jy-voices")).to_be_hidden()
        assert speakers(server, job) == ["说话人 1", "说话人 2", "说话人 3", "说话人 4"]
        assert not page.get_by_role("button", name="撤销").is_enabled(), "nobody did anything yet"
    with server.client() as client:
        client.delete(f"/api/jobs/{job}").raise_for_status()


def test_a_voice_is_heard_named_and_given_a_role_everywhere(server: Server, browser: Browser, talk: str) -> None:
    with person(browser, server) as someone, person(browser, server) as another:
        page, other = someone.open(), another.open()
        wait_done(page)
        wait_done(other)
        note_seeks(page)
        open_voices(page, 4)
        axe(page, "who is who")
        first = next(line for line in server.lines(talk) if line["speaker"] == "说话人 2")
        sample = voice(page, "说话人 2").locator(".jt-excerpt").first
        sample.click()
        wait_playing_after(page, first["start_ms"] / 1000)
        expect(sample).to_have_attribute("aria-label", "暂停播放")
        page.evaluate("() => { document.querySelector('jiyao-player').audio.playbackRate = 8; }")
        expect(sample).to_have_attribute("aria-label", "听 0:12 处的声音")
        stopped = page.evaluate("() => document.querySelector('jiyao-player').audio.currentTime")
        assert stopped == pytest.approx(min(first["end_ms"], first["start_ms"] + 10_000) / 1000, abs=0.05)
        voice(page, "说话人 2").get_by_role("textbox", name="说话人 2的名字").fill("张工")
        voice(page, "说话人 2").get_by_role("textbox", name="说话人 2的角色").fill("后端|【组】")
        page.keyboard.press("Enter")
        expect(voice(page, "张工")).to_be_visible()
        assert "张工|后端 组" in speakers(server, talk) and "说话人 2" not in speakers(server, talk)
        # the other tab is in step
        expect(other.locator(".jt-speaker", has_text="张工").first).to_contain_text("后端 组")
        page.keyboard.press("Escape")
        page.reload()
        expect(page.locator(".jt-speaker", has_text="张工").first).to_be_visible()
    with server.client() as client:
        assert "【张工|后端 组】" in client.get(f"/api/jobs/{talk}/export/txt").text


def test_a_name_that_somebody_says_of_themselves_is_offered_not_taken(
    server: Server, browser: Browser, talk: str
) -> None:
    line = next(one for one in server.lines(talk) if one["speaker"] == "说话人 4")
    change = {"kind": "text", "line": line["id"], "version": line["version"], "text": "我是小陈，" + line["text"]}
    server.post(f"/api/jobs/{talk}/edits", {"changes": [change]})
    with person(browser, server) as someone:
        page = someone.open()
        wait_done(page)
        open_voices(page, 4)
        offered = voice(page, "说话人 4").get_by_role("button", name="用“小陈”")
        expect(voice(page, "说话人 4")).to_contain_text("自己说的：“我是小陈”")
        assert "小陈" not in speakers(server, talk)
        offered.click()
        page.keyboard.press("Enter")
        expect(voice(page, "小陈")).to_be_visible()
        expect(page.get_by_role("button", name="用“小陈”")).to_have_count(0)
        assert "小陈" in speakers(server, talk)


def test_two_that_are_one_person_become_one_and_two_again(server: Server, browser: Browser, talk: str) -> None:
    with person(browser, server) as someone:
        page = someone.open()
        wait_done(page)
        open_voices(page, 4)
        voice(page, "说话人 3").get_by_role("combobox").select_option("说话人 1")
        expect(page.locator(".jt-voice")).to_have_count(3)
        assert len(speakers(server, talk)) == 3
        page.locator(".jy-toast").last.get_by_role("button", name="撤销").click()
        expect(page.locator(".jt-voice")).to_have_count(4)
        assert speakers(server, talk) == ["说话人 1", "说话人 2", "说话人 3", "说话人 4"]


def test_who_knows_how_many_there_are_says_so(server: Server, browser: Browser, talk: str) -> None:
    with person(browser, server) as someone:
        page = someone.open()
        wait_done(page)
        open_voices(page, 4)
        page.get_by_role("spinbutton", name="一共几个人").fill("2")
        tell_apart(page, "重新区分")
        wait_told(server, talk)
        expect(page.locator(".jt-voice")).to_have_count(2)
        assert len(speakers(server, talk)) == 2
        page.get_by_role("spinbutton", name="一共几个人").fill("4")
        tell_apart(page, "重新区分")
        wait_told(server, talk)
        expect(page.locator(".jt-voice")).to_have_count(4)


def test_off_means_off_until_it_is_asked_for(server: Server, browser: Browser) -> None:
    with person(browser, server) as someone:
        page = someone.open()
        page.get_by_role("button", name="设置", exact=True).click()
        page.get_by_role("switch", name="区分说话人").uncheck()
        expect(page.get_by_role("switch", name="区分说话人")).not_to_be_checked()
        assert server.get("/api/settings")["speakers"] == "off"
        job = server.upload(SAMPLE, "不分.flac")
        try:
            server.over(job)
            select_job(page, "不分.flac")
            wait_done(page)
            assert speakers(server, job) == [None]
            page.get_by_role("toolbar").get_by_role("button", name="区分说话人").click()
            expect(page.get_by_role("dialog", name="谁是谁")).to_contain_text("还没有区分说话人")
            tell_apart(page, "区分说话人")
            wait_told(server, job)
            expect(page.locator(".jt-voice")).to_have_count(4)
        finally:
            with server.client() as client:
                client.put("/api/settings", json={"speakers": "auto"}).raise_for_status()
                client.delete(f"/api/jobs/{job}").raise_for_status()


def test_without_the_models_the_panel_says_what_is_needed(starter_home: Path, tmp_path: Path, browser: Browser) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "whisper-base").symlink_to(starter_home / "models" / "whisper-base")
    with serving(tmp_path, environment={"JIYAO_SPEAKERS": "auto"}) as bare, person(browser, bare) as someone:
        page = someone.open()
        page.get_by_role("button", name="设置", exact=True).click()
        expect(page.get_by_role("switch", name="区分说话人")).to_be_disabled()
        expect(page.locator("#jy-speakers-help")).to_contain_text("需要先获取一次模型（89 MB）")
        expect(page.get_by_role("button", name="获取模型 区分说话人")).to_be_enabled()
        with bare.client() as client:
            job = bare.upload(SAMPLE)
            assert bare.over(job)["notes"] == [] and speakers(bare, job) == [None]
            refused = client.post(f"/api/jobs/{job}/speakers", json={"count": None})
            assert refused.status_code == 400 and refused.json()["error"]["key"] == "web.no_speakers"


def test_a_voice_is_known_again_only_where_somebody_asked_for_it(
    voices_home: Path, tmp_path: Path, browser: Browser
) -> None:
    """In a home of its own: keeping needs a vault, and a passphrase where the system has no key store."""
    (tmp_path / "models").symlink_to(voices_home / "models")
    with serving(tmp_path, environment={"JIYAO_SPEAKERS": "auto"}) as kept, person(browser, kept) as someone:
        page = someone.open()
        job = kept.upload(SAMPLE, "一.flac")
        kept.over(job)
        wait_told(kept, job)
        open_voices(page, 4)
        expect(page.get_by_role("button", name="以后认出这个声音")).to_have_count(0)  # nothing is kept
        with kept.client() as client:
            refused = client.put("/api/voices/张工", json={"job": job})
            assert refused.status_code == 400 and refused.json()["error"]["key"] == "voices.not_heard"
            client.post("/api/keep", json={"on": True, "passphrase": "correct horse"}).raise_for_status()
        page.keyboard.press("Escape")
        open_voices(page, 4)
        voice(page, "说话人 2").get_by_role("textbox", name="说话人 2的名字").fill("张工")
        page.keyboard.press("Enter")
        voice(page, "张工").get_by_role("button", name="以后认出这个声音").click()
        expect(page.get_by_role("button", name="忘掉“张工”的声音")).to_be_visible()
        page.keyboard.press("Escape")
        # another recording of the same people
        other = kept.upload(cut(12, 58, tmp_path / "二.wav"))
        kept.over(other)
        wait_told(kept, other)
        select_job(page, "二.wav")
        wait_done(page)
        open_voices(page, len(speakers(kept, other)))
        alike = page.locator(".jt-voice", has_text="声音像“张工”")
        expect(alike).to_have_count(1)
        assert "张工" not in speakers(kept, other)
        axe(page, "known voices")
        alike.get_by_role("button", name="用“张工”").click()
        page.keyboard.press("Enter")
        expect(voice(page, "张工")).to_be_visible()
        page.get_by_role("button", name="忘掉“张工”的声音").click()
        expect(page.get_by_role("button", name="忘掉“张工”的声音")).to_have_count(0)
        assert kept.get(f"/api/jobs/{other}/speakers")["known"] == []


class TestApi:
    @pytest.mark.parametrize("count", [0, 21, -1, "2", 2.5, True])
    def test_a_count_that_is_none_is_refused(self, server: Server, talk: str, count: object) -> None:
        with server.client() as client:
            refused = client.post(f"/api/jobs/{talk}/speakers", json={"count": count})
            assert refused.status_code == 400 and refused.json()["error"]["key"] == "web.bad_field"

    def test_another_job_and_another_setting_are_refused(self, server: Server) -> None:
        with server.client() as client:
            assert client.post("/api/jobs/nobody/speakers", json={"count": 2}).status_code == 404
            assert client.put("/api/settings", json={"speakers": "some"}).status_code == 400

    def test_strangers_are_kept_out(self, server: Server, talk: str) -> None:
        with httpx.Client(base_url=server.url, trust_env=False) as stranger:
            assert stranger.post(f"/api/jobs/{talk}/speakers", json={"count": 2}).status_code == 403
