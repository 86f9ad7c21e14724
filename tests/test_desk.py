"""The desk in a real browser, on the real starter engine and real speech: from a dropped file to the wiped page."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import (
    CONFLICT,
    SOUND,
    drop,
    line,
    note_seeks,
    person,
    select_job,
    shown_lines,
    states,
    tab_to,
    wait_done,
    wait_playing_after,
    watch_states,
    word_place,
)
from tests.desk_server import Server, cut

TALK = "例会.wav"
_ORDER = ["queued", "loading", "recognizing", "finishing", "done"]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stretches of the sample meeting: 13 s, 4 s, 4 s, 32 s (several clips)."""
    folder = tmp_path_factory.mktemp("recordings")
    cut(0, 13, folder / TALK)
    cut(30.5, 34, folder / "second.mp3")
    cut(8.3, 12.9, folder / "chosen.mp3")
    cut(0, 32, folder / "long.wav")
    return folder


@pytest.fixture
def talk(server: Server, recordings: Path) -> str:
    """A finished job of 13 s; earlier tests may have edited it."""
    known = [job["id"] for job in server.jobs() if job["name"] == TALK]
    job = known[0] if known else server.upload(recordings / TALK)
    assert server.over(job)["state"] == "done"
    return job


def opened(page: Page, server: Server, job: str) -> list[dict[str, Any]]:
    """The job is on the page; its lines as the server has them."""
    select_job(page, next(known["name"] for known in server.jobs() if known["id"] == job))
    wait_done(page)
    lines = server.lines(job)
    expect(page.locator(".jt-line")).to_have_count(len(lines))
    return lines


def export(page: Page, form: str) -> tuple[str, bytes]:
    """Name and content of what the menu gives."""
    page.get_by_role("toolbar").get_by_role("button", name="导出").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem").filter(has_text=re.compile(rf"\.{form}$")).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def _plain(text: str) -> str:
    """Without spaces, and without marks at the end of a subtitle."""
    return re.sub(r"[\s。，]", "", text)


def test_dropped_and_chosen_files_become_text(server: Server, browser: Browser, recordings: Path) -> None:
    server.empty()
    with person(browser, server) as someone:
        page = someone.open()
        watch_states(page)
        drop(page, [recordings / TALK, recordings / "second.mp3"])
        expect(page.get_by_role("tab", name=TALK)).to_have_attribute("aria-selected", "true")
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="添加文件").click()
        chooser.value.set_files(str(recordings / "chosen.mp3"))
        names = [TALK, "second.mp3", "chosen.mp3"]
        for name in names:
            expect(page.get_by_role("tab", name=name)).to_contain_text("已完成", timeout=90_000)
        seen = {name: states(page, name) for name in names}
        for name in names:  # in order; a page may come to know of a job when it is further already
            assert seen[name] == [state for state in _ORDER if state in seen[name]], seen
            assert seen[name][-3:] == ["recognizing", "finishing", "done"], seen
        assert seen["chosen.mp3"] == _ORDER, "the last one waits for the others"
        for job in server.jobs():
            lines = opened(page, server, job["id"])
            assert lines and shown_lines(page) == [one["text"] for one in lines]
        expect(page.locator("jiyao-head")).to_contain_text("识别完成")
        expect(page.locator("jiyao-head")).to_contain_text("⏱ 音频时长：4秒")


def test_an_edit_by_keyboard_is_in_the_export(server: Server, browser: Browser, talk: str) -> None:
    with person(browser, server) as someone:
        page = someone.open()
        first = opened(page, server, talk)[0]
        tab_to(page, f'.jt-line[data-id="{first["id"]}"]')
        page.keyboard.press("Enter")
        page.keyboard.press("End")
        page.keyboard.type("（张工已核对）")
        page.keyboard.press("Enter")
        expect(line(page, first).locator(".jt-text")).to_have_text(first["text"] + "（张工已核对）")
        expect(line(page, first)).to_be_focused()
        name, content = export(page, "txt")
        assert name == "例会.txt"
        assert first["text"] + "（张工已核对）" in content.decode("utf-8-sig")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+z")
        expect(line(page, first).locator(".jt-text")).to_have_text(first["text"])


def test_a_click_on_a_word_plays_from_there(server: Server, browser: Browser, talk: str) -> None:
    with person(browser, server) as someone:
        page = someone.open()
        lines = opened(page, server, talk)
        page.wait_for_function(f"() => {SOUND}.readyState > 0")
        note_seeks(page)
        for chosen in (lines[-1], lines[0]):
            word = chosen["words"][len(chosen["words"]) // 2]
            page.mouse.click(*word_place(page, chosen, word))
            wait_playing_after(page, word[2] / 1000 + 0.3)
            reached = page.evaluate("() => window.seeks.at(-1)")
            assert abs(reached - word[2] / 1000) <= 0.15, (reached, word)
        page.get_by_role("button", name="暂停播放").click()
        page.wait_for_function(f"() => {SOUND}.paused")


def test_replace_all_and_undo(server: Server, browser: Browser, talk: str) -> None:
    with person(browser, server) as someone:
        page = someone.open()
        before = [one["text"] for one in opened(page, server, talk)]
        said = "".join(before)
        wanted = next(
            sign for sign in before[0] if sign.strip() and said.count(sign) >= 2
        )  # not in the first line alone
        page.keyboard.press("Control+h")
        page.get_by_role("searchbox", name="查找").fill(wanted)
        page.get_by_role("textbox", name="替换成").fill(" 🎙，")
        count = sum(text.count(wanted) for text in before)
        expect(page.locator(".jt-count")).to_have_text(re.compile(rf"\d+ / {count}"))
        page.get_by_role("button", name="全部替换").click()
        expect(page.locator(".jt-text").first).to_contain_text("🎙")
        after = [" ".join(text.replace(wanted, " 🎙，").split()) for text in before]
        assert shown_lines(page) == after == [one["text"] for one in server.lines(talk)]
        page.locator(".jy-toast").get_by_role("button", name="撤销").click()
        expect(page.locator(".jt-text").first).not_to_contain_text("🎙")
        assert shown_lines(page) == before == [one["text"] for one in server.lines(talk)]


def test_exports_and_copy_all(server: Server, browser: Browser, talk: str) -> None:
    with person(browser, server) as someone:
        import docx

        page = someone.open()
        texts = [one["text"] for one in opened(page, server, talk)]
        name, content = export(page, "docx")
        written = "".join(paragraph.text for paragraph in docx.Document(io.BytesIO(content)).paragraphs)
        assert name == "例会.docx"
        assert all(text in written for text in texts)
        name, content = export(page, "srt")
        subtitles = content.decode("utf-8-sig")
        assert name == "例会.srt"
        assert re.match(r"1\r?\n00:00:0\d,\d{3} --> 00:00:\d\d,\d{3}\r?\n", subtitles)
        spoken = "".join(re.sub(r"(?m)^(?:\d+|[\d:,]+ --> [\d:,]+)$|\s", "", subtitles))
        assert _plain(spoken) == _plain("".join(texts))
        page.get_by_role("toolbar").get_by_role("button", name="复制全文").click()
        expect(page.locator(".jy-toast").filter(has_text="已复制")).to_be_visible()
        copied = page.evaluate("() => navigator.clipboard.readText()")
        assert all(text in copied for text in texts)


def test_nothing_is_sent_while_an_input_method_composes(server: Server, browser: Browser, talk: str) -> None:
    with person(browser, server) as someone:
        page = someone.open()
        first = opened(page, server, talk)[0]
        tab_to(page, f'.jt-line[data-id="{first["id"]}"]')
        page.keyboard.press("Enter")
        page.keyboard.press("End")
        keys = page.context.new_cdp_session(page)
        someone.sent.clear()
        for typed in ("n", "ni", "ni h", "ni hao"):
            keys.send(
                "Input.imeSetComposition", {"text": typed, "selectionStart": len(typed), "selectionEnd": len(typed)}
            )
        page.wait_for_timeout(1500)  # longer than the editor waits after the last key
        assert [sent for sent in someone.sent if sent.endswith("/edits")] == []
        assert server.lines(talk)[0]["text"] == first["text"]
        keys.send("Input.insertText", {"text": "你好"})
        expect(page.locator(".jt-note-saved")).to_be_visible()
        assert len([sent for sent in someone.sent if sent.endswith("/edits")]) == 1
        assert server.lines(talk)[0]["text"] == first["text"] + "你好"
        page.keyboard.press("Escape")  # as it was before the field was opened
        expect(line(page, first).locator(".jt-text")).to_have_text(first["text"])


def test_two_tabs_are_in_step_and_a_conflict_is_shown(server: Server, browser: Browser, talk: str) -> None:
    with person(browser, server, CONFLICT) as someone:
        here, there = someone.open(), someone.open()
        first = opened(here, server, talk)[0]
        opened(there, server, talk)
        for page in (here, there):
            line(page, first).locator(".jt-text").dblclick()
            page.keyboard.press("End")
        # one is in the middle of a word when the other saves
        keys = there.context.new_cdp_session(there)
        keys.send("Input.imeSetComposition", {"text": "zhe", "selectionStart": 3, "selectionEnd": 3})
        line(here, first).locator(".jt-text").focus()
        here.keyboard.press("End")
        here.keyboard.type("甲")
        here.keyboard.press("Enter")
        expect(line(here, first).locator(".jt-text")).to_have_text(first["text"] + "甲")
        expect(there.locator(".jt-note-newer")).to_be_visible()
        keys.send("Input.insertText", {"text": "这"})
        there.keyboard.press("Enter")
        asked = there.locator(".jt-note-conflict")
        expect(asked).to_contain_text(first["text"] + "甲")
        expect(asked).to_contain_text(first["text"] + "这")
        asked.get_by_role("button", name="用我的").click()
        for page in (there, here):
            expect(line(page, first).locator(".jt-text")).to_have_text(first["text"] + "这")
        for _ in range(2):
            server.post(f"/api/jobs/{talk}/undo")
        expect(line(here, first).locator(".jt-text")).to_have_text(first["text"])


def test_what_another_tab_began_is_shown_on_an_empty_one(server: Server, browser: Browser, recordings: Path) -> None:
    server.empty()
    with person(browser, server) as someone:
        page = someone.open()
        expect(page.get_by_role("button", name="选择文件")).to_be_visible()
        job = server.upload(recordings / "chosen.mp3")
        expect(page.get_by_role("tab", name="chosen.mp3")).to_be_visible()
        wait_done(page)
        assert shown_lines(page) == [one["text"] for one in server.lines(job)]


def test_reload_in_the_middle_loses_and_doubles_nothing(server: Server, browser: Browser, recordings: Path) -> None:
    with person(browser, server) as someone:
        page = someone.open()
        job = server.upload(recordings / "long.wav")
        select_job(page, "long.wav")
        page.wait_for_selector('jiyao-head[data-state="recognizing"]')
        page.wait_for_selector(".jt-line")
        before = shown_lines(page)
        page.reload()
        page.wait_for_selector(".jt-line")
        assert shown_lines(page)[: len(before)] == before
        expect(page.get_by_role("tab", selected=True)).to_contain_text("long.wav")
        expect(page.locator("jiyao-head")).to_have_attribute("data-state", "recognizing")
        expect(page.get_by_role("progressbar", name="识别进度")).to_have_attribute(
            "aria-valuenow", re.compile(r"[1-9]")
        )
        wait_done(page)
        lines = server.lines(job)
        assert shown_lines(page) == [one["text"] for one in lines]
        shown = page.eval_on_selector_all(".jt-line", "(all) => all.map((one) => one.dataset.id)")
        assert shown == [one["id"] for one in lines]
        assert len(set(shown)) == len(shown) > len(before)


def test_a_stopped_job_keeps_its_text(server: Server, browser: Browser, recordings: Path) -> None:
    with person(browser, server) as someone:
        page = someone.open()
        job = server.upload(recordings / "long.wav", "stopped.wav")
        select_job(page, "stopped.wav")
        page.wait_for_selector(".jt-line")
        page.get_by_role("button", name="停止", exact=True).click()
        page.wait_for_selector('jiyao-head[data-state="cancelled"]')
        lines = server.over(job)["lines"]
        assert lines and shown_lines(page) == [one["text"] for one in lines]
        expect(page.locator("jiyao-head")).to_contain_text("已经识别的文字都在下面")
        expect(page.get_by_role("button", name="从断点继续")).to_be_visible()


def test_a_wipe_empties_every_tab(server: Server, browser: Browser, talk: str) -> None:
    with person(browser, server) as someone:
        pages = [someone.open(), someone.open()]
        opened(pages[0], server, talk)
        opened(pages[1], server, server.jobs()[0]["id"])
        someone.sent.clear()
        pages[0].get_by_role("button", name="清理本地缓存：清除内存里的录音和文字").click()
        pages[0].get_by_role("dialog").get_by_role("button", name="全部清除").click()
        for page in pages:
            receipt = page.locator("jiyao-wiped")
            expect(receipt).to_contain_text("已清理干净", timeout=20_000)
            facts = receipt.locator("dd")
            expect(facts.nth(1)).to_have_text(re.compile(r"^[1-9][\d.,]* [MG]B$"))  # memory before and after
            expect(facts.nth(2)).to_have_text(re.compile(r"^[1-9][\d.,]* [MG]B$"))
            assert page.locator(".jt-line, [role=tab]").count() == 0
            assert page.evaluate(f"() => {SOUND}.hasAttribute('src')") is False
        assert [sent for sent in someone.sent if "/api/jobs/" in sent] == [], "what is being wiped is not asked for"
        state = server.get("/api/state")
        assert (state["jobs"], state["recordings"], state["memory_used_bytes"]) == ([], [], 0)
        pages[1].reload()
        expect(pages[1].get_by_role("button", name="选择文件")).to_be_visible()
