"""The same desk inside Streamlit's page: the main flow once more, and what the sidebar does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import (
    SOUND,
    axe,
    drop,
    line,
    note_seeks,
    person,
    shown_lines,
    states,
    tab_to,
    wait_done,
    wait_playing_after,
    watch_states,
    word_place,
)
from tests.desk_server import Server, cut

TALK = "例会.mp3"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    cut(0, 8, folder / TALK)
    cut(8.3, 12.9, folder / "second.wav")
    return folder


def test_the_main_flow_in_streamlit(server: Server, browser: Browser, recordings: Path) -> None:
    with person(browser, server) as someone:
        page = someone.open(server.link)
        assert page.url == f"{server.url}/"
        watch_states(page)
        drop(page, [recordings / TALK, recordings / "second.wav"])
        for name in (TALK, "second.wav"):
            expect(page.get_by_role("tab", name=name)).to_contain_text("已完成", timeout=90_000)
            assert states(page, name)[-3:] == ["recognizing", "finishing", "done"]
        wait_done(page)
        job = server.jobs()[0]["id"]
        (first,) = server.lines(job)
        assert shown_lines(page) == [first["text"]]
        # edit by keyboard
        tab_to(page, ".jt-line", 120)
        page.keyboard.press("Enter")
        page.keyboard.press("End")
        page.keyboard.type("（已核对）")
        page.keyboard.press("Enter")
        expect(line(page, first)).to_be_focused()
        # hear a word
        page.wait_for_function(f"() => {SOUND}.readyState > 0")
        note_seeks(page)
        word = first["words"][8]
        page.mouse.click(*word_place(page, first, word))
        wait_playing_after(page, word[2] / 1000 + 0.3)
        assert abs(page.evaluate("() => window.seeks.at(-1)") - word[2] / 1000) <= 0.15
        # export and copy
        page.get_by_role("toolbar").get_by_role("button", name="导出").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem").filter(has_text=re.compile(r"\.txt$")).click()
        assert first["text"] + "（已核对）" in Path(download.value.path()).read_text(encoding="utf-8-sig")
        page.get_by_role("toolbar").get_by_role("button", name="复制全文").click()
        expect(page.locator(".jy-toast").filter(has_text="已复制")).to_be_visible()
        assert first["text"] + "（已核对）" in page.evaluate("() => navigator.clipboard.readText()")
        # once more from the beginning
        page.reload()
        page.get_by_role("tab", name=TALK).click()
        wait_done(page)
        assert shown_lines(page) == [first["text"] + "（已核对）"]


def test_the_sidebar_sets_what_the_desk_has(server: Server, browser: Browser) -> None:
    with person(browser, server) as someone:
        page = someone.open(server.link)
        desk = someone.open()
        axe(page, "streamlit, sidebar [1280 light]", within="section[data-testid='stSidebar']")
        terms = page.get_by_role("textbox", name="术语表")
        terms.fill("智能客服\n向量模型")
        terms.press("Control+Enter")
        expect(page.get_by_text("已启用 2 条")).to_be_visible()
        assert server.get("/api/settings")["terms_count"] == 2
        desk.get_by_role("button", name="设置", exact=True).click()
        expect(desk.get_by_role("textbox", name="术语表")).to_have_value("智能客服\n向量模型")
        page.get_by_role("radio", name="English").click()
        expect(page.get_by_role("textbox", name="Terms")).to_have_value("智能客服\n向量模型")
        expect(page.locator("jiyao-desk .jy-badge")).to_contain_text("Offline")
        page.get_by_role("link", name="Open the desk in a full window").wait_for()


def test_streamlits_page_for_axe_and_a_wipe(server: Server, browser: Browser, recordings: Path) -> None:
    if not server.jobs():
        server.over(server.upload(recordings / TALK))
    with person(browser, server, color_scheme="dark") as someone:
        page, desk = someone.open(server.link), someone.open()
        for tab in (page, desk):
            wait_done(tab)
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        axe(page, "streamlit, done [1280 dark]", within="jiyao-desk")
        axe(page, "streamlit, sidebar [1280 dark]", within="section[data-testid='stSidebar']")
        page.get_by_role("button", name="🧹 清理本地缓存").click()
        page.get_by_role("dialog").get_by_role("button", name="全部清除").click()
        for tab in (page, desk):
            expect(tab.locator("jiyao-wiped dd").nth(2)).to_have_text(
                re.compile(r"^[1-9][\d.,]* [MG]B$"), timeout=20_000
            )
            assert tab.locator(".jt-line, [role=tab]").count() == 0
        page.set_viewport_size({"width": 390, "height": 800})
        axe(page, "streamlit, wiped [390 dark]", within="jiyao-desk")
        state = server.get("/api/state")
        assert (state["jobs"], state["memory_used_bytes"]) == ([], 0)
