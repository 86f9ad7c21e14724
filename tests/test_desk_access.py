"""The desk for everybody: by keyboard alone, and for axe-core at every named moment, in both languages and themes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import SOUND, axe, drop, person, shown_lines, tab_to, wait_done
from tests.desk_server import Server, cut

# each language, theme and width is in one of them at every moment
_LOOKS = (("zh", "light", 1280), ("en", "dark", 390))


def test_from_a_file_to_an_export_by_keyboard_alone(server: Server, browser: Browser, tmp_path: Path) -> None:
    speech = cut(0, 8, tmp_path / "例会.mp3")
    with person(browser, server) as someone:
        page = someone.open()
        page.locator(".jy-zone button").first.wait_for()
        tab_to(page, ".jy-zone button")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(str(speech))
        wait_done(page)
        (before,) = shown_lines(page)
        # the player
        tab_to(page, "jiyao-player button[aria-label='播放']")
        page.keyboard.press("Space")
        page.wait_for_function(f"() => !{SOUND}.paused && {SOUND}.currentTime > 0.3")
        page.keyboard.press("k")
        page.wait_for_function(f"() => {SOUND}.paused")
        # the text
        tab_to(page, ".jt-line")
        page.keyboard.press("Enter")
        page.keyboard.press("Home")
        page.keyboard.type("开场：")
        page.keyboard.press("Enter")
        expect(page.locator(".jt-line")).to_be_focused()
        expect(page.locator(".jt-text")).to_have_text(f"开场：{before}")
        # the export: its own key, then the menu by arrows
        page.keyboard.press("Control+s")
        menu = page.get_by_role("menu")
        expect(menu).to_be_visible()
        for _ in range(12):
            if menu.locator("[role=menuitem]:focus").filter(has_text=re.compile(r"\.txt$")).count():
                break
            page.keyboard.press("ArrowDown")
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert f"开场：{before}" in Path(download.value.path()).read_text(encoding="utf-8-sig")
        expect(page.get_by_role("toolbar").get_by_role("button", name="导出")).to_be_focused()
        # a list of all keys, and out of it again
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_contain_text("Ctrl+F")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_is_wrong_would_be_found(server: Server, browser: Browser) -> None:
    for fault in ("console.error('a')", "setTimeout(() => nothing())", "fetch('http://192.0.2.1/').catch(() => {})"):
        with pytest.raises(AssertionError, match="errors in the console|requests to other"):
            with person(browser, server) as someone:
                page = someone.open()
                page.evaluate(f"() => {{ {fault}; }}")
                page.wait_for_timeout(300)
    with person(browser, server) as someone:
        page = someone.open()
        page.evaluate("() => document.querySelector('main').append(document.createElement('button'))")
        with pytest.raises(AssertionError, match="button-name"):
            axe(page, "a button without a name")


class Onlookers:
    """The same desk in two tabs, each with another look."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self.pages = pages

    def look(self, moment: str) -> None:
        for look, page in self.pages.items():
            axe(page, f"{moment} [{look}]")

    def each(self) -> Iterator[Page]:
        yield from self.pages.values()


@contextlib.contextmanager
def onlookers(browser: Browser, server: Server) -> Iterator[Onlookers]:
    with contextlib.ExitStack() as ends:
        pages = {}
        for language, scheme, width in _LOOKS:
            size = {"width": width, "height": 800}
            someone = ends.enter_context(
                person(browser, server, language=language, color_scheme=scheme, viewport=size, has_touch=width < 800)
            )
            page = pages[f"{language} {scheme} {width}"] = someone.open()
            expect(page.locator("html")).to_have_attribute("lang", "zh-CN" if language == "zh" else "en")
        yield Onlookers(pages)


def _work(desks: Onlookers, server: Server, folder: Path) -> None:
    """Empty, running, done."""
    desks.look("empty")
    first, *others = desks.each()
    drop(first, [cut(0, 30, folder / "running.wav")])
    first.wait_for_selector("[role=tab]")
    for page in others:
        page.reload()
    for page in desks.each():
        page.wait_for_selector('jiyao-head[data-state="recognizing"]')
    desks.look("running")
    (job,) = server.jobs()
    assert server.over(job["id"])["state"] == "done"
    for page in desks.each():
        wait_done(page)
    desks.look("done")
    swapped: tuple[tuple[Literal["light", "dark"], int], ...] = (("dark", 390), ("light", 1280))
    for page, (scheme, width) in zip(desks.each(), swapped, strict=True):
        page.emulate_media(color_scheme=scheme)
        axe(page, f"done, {scheme}")
        page.set_viewport_size({"width": width, "height": 800})
        axe(page, f"done, {scheme} {width}")


def test_axe_at_every_moment(server: Server, browser: Browser, tmp_path: Path) -> None:
    server.empty()
    with onlookers(browser, server) as desks:
        _work(desks, server, tmp_path)
        for page in desks.each():
            page.locator(".jt-line").first.focus()
            page.keyboard.press("Enter")
        desks.look("a line being edited")
        for page in desks.each():
            page.keyboard.press("Escape")
            page.keyboard.press("Control+s")
            expect(page.get_by_role("menu")).to_be_visible()
        desks.look("export menu")
        for page in desks.each():
            page.keyboard.press("Escape")
            page.keyboard.press("Control+h")
            page.keyboard.type("的")
            expect(page.locator(".jt-count")).to_have_text(re.compile(r"^\d+ / \d+$"))
        desks.look("find bar")
        for page in desks.each():
            page.keyboard.press("Escape")
            page.evaluate("() => document.querySelector('jiyao-transcript').openReview()")
            expect(page.locator(".jt-review")).to_be_visible()
        desks.look("review list")
        for page in desks.each():
            page.keyboard.press("Escape")
            page.locator("jiyao-parts summary").click()
            page.locator(".jy-top button[aria-controls='jy-panel']").click()
            expect(page.locator("jiyao-panel")).to_be_visible()
        desks.look("parts and settings")


def test_axe_in_dialogs_and_when_all_is_wiped(server: Server, browser: Browser) -> None:
    with onlookers(browser, server) as desks:
        for page in desks.each():
            page.locator(".jy-badge").click()
            page.get_by_role("dialog").locator("summary").first.click()
            expect(page.get_by_role("dialog").locator("tbody tr").first).to_be_visible()
        desks.look("proof of the seal")
        for page in desks.each():
            page.keyboard.press("Escape")
            page.keyboard.press("?")
            expect(page.get_by_role("dialog").locator("kbd").first).to_be_visible()
        desks.look("keys")
        for page in desks.each():
            page.keyboard.press("Escape")
            page.locator(".jy-top-tools button").first.click()
            expect(page.get_by_role("dialog").locator("footer button")).to_have_count(2)
        desks.look("asking before a wipe")
        next(desks.each()).get_by_role("dialog").locator("footer button.danger").click()
        for page in desks.each():
            page.keyboard.press("Escape")
            expect(page.locator("jiyao-wiped dl")).to_be_visible(timeout=20_000)
        desks.look("wiped")
