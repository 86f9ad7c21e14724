"""Cleaning on the desk: its switches, what they say, and a player that has the sound twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from jiyao.audio import decode
from tests.browser import axe, person, select_job, wait_done
from tests.conftest import SAMPLE
from tests.desk_server import Server, cut, serving
from tests.recordings import wav


@pytest.fixture(scope="module")
def server(starter_home: Path, denoiser_model: Path) -> Iterator[Server]:
    with serving(starter_home) as one:
        yield one


def playing_at(page: Page) -> tuple[str, float, bool]:
    """(address, seconds, playing) of the player's sound."""
    found: list[object] = page.evaluate(
        "() => { const { audio } = document.querySelector('jiyao-player');"
        " return [audio.currentSrc, audio.currentTime, !audio.paused]; }"
    )
    address, seconds, playing = found
    assert isinstance(address, str) and isinstance(seconds, (int, float)) and isinstance(playing, bool)
    return address.partition("/audio.wav")[2], float(seconds), playing


def test_what_is_cleaned_is_said_and_can_be_compared_while_it_plays(
    server: Server, browser: Browser, tmp_path: Path
) -> None:
    quiet = tmp_path / "小声.wav"
    quiet.write_bytes(wav(np.rint(decode(SAMPLE.read_bytes()).pcm[: 20 * 16_000] / 60).astype(np.int16)))
    with person(browser, server) as someone:
        page = someone.open()
        page.get_by_role("button", name="设置", exact=True).click()
        noise, loudness = page.get_by_role("switch", name="降噪"), page.get_by_role("switch", name="放大音量小的录音")
        for switch in (noise, loudness):
            expect(switch).not_to_be_checked()
            switch.check()
            expect(switch).to_be_checked()
        expect(page.locator("#jy-denoise-help")).to_contain_text("识别仍听原声")
        axe(page, "the switches")
        job = server.upload(quiet)
        assert server.over(job)["state"] == "done"
        select_job(page, "小声.wav")
        wait_done(page)
        expect(page.get_by_text("已整体放大")).to_have_count(1)  # said once
        player = page.locator("jiyao-player")
        button = player.get_by_role("button", name="降噪", exact=True)
        expect(button).to_have_attribute("aria-pressed", "true")
        player.get_by_role("button", name="播放").click()
        page.wait_for_function("() => document.querySelector('jiyao-player').audio.currentTime > 1")
        assert playing_at(page)[0] == "?sound=denoised"
        button.click()
        expect(button).to_have_attribute("aria-pressed", "false")
        page.wait_for_function("() => document.querySelector('jiyao-player').audio.currentTime > 1.2")
        address, seconds, playing = playing_at(page)
        assert address == "" and seconds < 10 and playing
        page.reload()
        expect(button).to_have_attribute("aria-pressed", "false")  # as it was left
        button.click()
        page.wait_for_function("() => document.querySelector('jiyao-player').audio.currentSrc.endsWith('denoised')")
        axe(page, "two sounds")
    with server.client() as client:
        client.put("/api/settings", json={"denoise": "off", "loudness": "off"}).raise_for_status()
        client.delete(f"/api/jobs/{job}").raise_for_status()


def test_a_recording_with_one_sound_has_no_choice(server: Server, browser: Browser, tmp_path: Path) -> None:
    with person(browser, server) as someone:
        page = someone.open()
        job = server.upload(cut(0, 8, tmp_path / "原样.wav"))
        server.over(job)
        select_job(page, "原样.wav")
        wait_done(page)
        expect(page.locator("jiyao-player").get_by_role("button", name="播放")).to_be_enabled()
        expect(page.locator("jiyao-player").get_by_role("button", name="降噪", exact=True)).to_have_count(0)
    with server.client() as client:
        client.delete(f"/api/jobs/{job}").raise_for_status()


def test_without_its_model_the_switch_says_what_is_needed(starter_home: Path, tmp_path: Path, browser: Browser) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "whisper-base").symlink_to(starter_home / "models" / "whisper-base")
    with serving(tmp_path, environment={"JIYAO_DENOISE": "on"}) as bare, person(browser, bare) as someone:
        page = someone.open()
        page.get_by_role("button", name="设置", exact=True).click()
        expect(page.get_by_role("switch", name="降噪")).to_be_disabled()
        expect(page.get_by_role("switch", name="降噪")).not_to_be_checked()
        expect(page.locator("#jy-denoise-help")).to_contain_text("需要先获取一次模型（535 KB）")
        expect(page.get_by_role("button", name="获取模型 降噪")).to_be_enabled()
        expect(page.get_by_role("switch", name="放大音量小的录音")).to_be_enabled()
        job = bare.upload(cut(0, 8, tmp_path / "a.wav"))
        done = bare.over(job)
        assert done["state"] == "done" and done["notes"] == [] and not done["has_denoised"]
