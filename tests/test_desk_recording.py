"""A meeting recorded in the page: Chromium's microphone is a file of real speech, the engine is the real starter."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.browser import ALONE, chromium, person, wait_done
from tests.desk_server import Server, cut

_FAKE = "--use-fake-device-for-media-stream"
_ALLOW = "--use-fake-ui-for-media-stream"


def seconds(clock: str) -> int:
    minutes, rest = clock.split(":")
    return 60 * int(minutes) + int(rest)


def test_six_seconds_of_speech_with_a_pause(server: Server, tmp_path: Path) -> None:
    speech = cut(0, 12, tmp_path / "microphone.wav", rate=48_000, layout="stereo")
    with (
        chromium(ALONE, _FAKE, _ALLOW, f"--use-file-for-fake-audio-capture={speech}") as browser,
        person(browser, server) as someone,
    ):
        page = someone.open()
        page.get_by_role("button", name="录音", exact=True).click()
        recorder = page.locator("jiyao-recorder")
        time = recorder.locator(".jy-recorder-time")
        expect(recorder).to_contain_text("正在录音")
        expect(time).to_have_text(re.compile(r"^0:0[3-5]$"))
        expect(recorder.get_by_role("meter")).not_to_have_attribute("aria-valuenow", "0")
        recorder.get_by_role("button", name="暂停", exact=True).click()
        expect(recorder).to_contain_text("已暂停")
        held = seconds(time.inner_text())
        page.wait_for_timeout(1500)
        assert seconds(time.inner_text()) == held, "nothing is recorded in a pause"
        assert len(server.get("/api/state")["recordings"]) == 1, "the server holds it already"
        recorder.get_by_role("button", name="接着录").click()
        expect(time).to_have_text(re.compile(r"^0:0[6-9]$"))
        recorder.get_by_role("button", name="停止", exact=True).click()
        expect(recorder).to_contain_text("录完了")
        length = seconds(time.inner_text())
        recorder.get_by_role("button", name="试听").click()
        expect(recorder.get_by_role("button", name="暂停播放")).to_be_visible()
        expect(recorder.locator(".jy-listening .jy-player-time")).to_have_text(re.compile(r"^0:0[1-9] / 0:0\d$"))
        recorder.get_by_role("button", name="开始识别").click()
        wait_done(page)
        (job,) = server.jobs()
        assert job["name"].startswith("录音 ")
        assert abs(job["duration_ms"] - 1000 * length) <= 1000, job
        assert 5_500 <= job["duration_ms"] <= 9_000
        said = "".join(one["text"] for one in server.lines(job["id"]))
        assert len(said) >= 10
        assert server.get("/api/state")["recordings"] == []


def test_a_microphone_that_is_not_allowed(server: Server) -> None:
    server.empty()
    with chromium(ALONE, _FAKE) as browser, person(browser, server) as someone:
        page = someone.open()
        page.get_by_role("button", name="录音", exact=True).click()
        recorder = page.locator("jiyao-recorder")
        expect(recorder).to_contain_text("麦克风没有得到许可。")
        expect(recorder).to_contain_text("请点地址栏左边的图标")
        expect(recorder.get_by_role("button", name="再试一次")).to_be_visible()
        recorder.get_by_role("button", name="关闭录音机").click()
        expect(page.get_by_role("button", name="录音", exact=True)).to_be_visible()
        assert server.get("/api/state")["recordings"] == []
