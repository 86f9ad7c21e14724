"""The Streamlit page in a real browser: it mounts the desk, the sidebar and the desk keep up with one another."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import axe
from tests.web_start import PATIENCE_S, Place, Started, started

_DESK = "jiyao-desk jiyao-status"  # there when the desk is
_SIDEBAR = '[data-testid="stSidebar"]'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    with started(Place.made(tmp_path_factory.mktemp("page")), "--no-browser") as page:
        yield page


@dataclass
class Tab:
    """An open page, and what went wrong in it."""

    page: Page
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(locale="zh-CN", viewport={"width": 1280, "height": 900})
    made.set_default_timeout(PATIENCE_S * 1000)
    expect.set_options(timeout=PATIENCE_S * 1000)
    yield made
    made.close()


def opened(context: BrowserContext, running: Started, path: str = "") -> Tab:
    tab = Tab(context.new_page())
    own = (running.url, "data:", "blob:", f"ws://{running.host}")

    def note(wrong: bool, text: str) -> None:
        if wrong:
            tab.complaints.append(text)

    tab.page.on("console", lambda said: note(said.type in ("error", "warning"), said.text))
    tab.page.on("pageerror", lambda error: note(True, str(error)))
    tab.page.on("request", lambda sent: note(not sent.url.startswith(own), f"asks for {sent.url}"))
    tab.page.on("response", lambda got: note(got.status >= 400, f"{got.status} for {got.url}"))
    tab.page.goto(running.address if not path else running.url + path)
    tab.page.wait_for_selector(_DESK)
    return tab


def settle(tab: Tab) -> None:
    """Streamlit says when its script has run."""
    tab.page.wait_for_selector('[data-test-script-state="notRunning"]', state="attached")


def test_the_page_holds_the_desk_and_nobody_complains(context: BrowserContext, running: Started) -> None:
    tab = opened(context, running)
    settle(tab)
    page = tab.page
    assert page.locator("jiyao-desk").count() == 1
    assert page.title() == "纪要"
    told = page.evaluate("(({lang, dataset}) => [lang, dataset.theme])(document.documentElement)")
    assert told == ["zh-CN", "light"]
    assert page.evaluate("document.documentElement.getAttribute('translate')") == "no"
    for text in ("模型信息", "录音语言", "术语表", "加密保存文字", "降噪", "清理本地缓存", "全窗口"):
        assert page.locator(_SIDEBAR).get_by_text(text).first.is_visible(), text
    assert page.locator(_DESK).bounding_box()["y"] < 60, "no empty space above"  # type: ignore[index]
    assert tab.complaints == []


def test_it_is_accessible(context: BrowserContext, running: Started) -> None:
    tab = opened(context, running)
    settle(tab)
    axe(tab.page, "Streamlit's page")


def test_another_language_keeps_the_desk_and_its_own_address(context: BrowserContext, running: Started) -> None:
    tab = opened(context, running)
    page = tab.page
    page.evaluate("document.querySelector('jiyao-desk').dataset.same = 'yes'")
    page.locator(_SIDEBAR).get_by_text("English").click()
    expect(page.locator(_SIDEBAR).get_by_text("Language of recordings")).to_be_visible()
    expect(page.locator("jiyao-desk")).to_have_attribute("lang", "en")
    assert page.evaluate("document.querySelector('jiyao-desk').dataset.same") == "yes"
    page.reload()
    page.wait_for_selector(_DESK)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert tab.complaints == []


def test_what_the_sidebar_sets_and_what_another_tab_sets(context: BrowserContext, running: Started) -> None:
    tab = opened(context, running)
    page = tab.page
    settle(tab)
    box = page.get_by_role("textbox", name="术语表")
    box.fill("陈律→陈律师\n尽调")
    box.press("Control+Enter")
    expect(page.locator(_SIDEBAR).get_by_text("2 条")).to_be_visible()
    with running.client() as other:
        assert other.get("/api/state").json()["settings"]["terms_count"] == 2
        other.put("/api/settings", json={"terms": "新词", "script": "traditional"}).raise_for_status()
    expect(box).to_have_value("新词")
    expect(page.get_by_role("combobox", name="汉字")).to_have_value("繁体")
    # switches work both ways; one that lacks its model says what it needs
    page.locator(_SIDEBAR).get_by_text("放大音量小的录音").click()
    expect(page.get_by_role("switch", name="放大音量小的录音")).to_be_checked()
    with running.client() as other:
        state = other.get("/api/state").json()
        assert (state["settings"]["loudness"], state["settings"]["denoise"]) == ("on", "off")
        other.put("/api/settings", json={"loudness": "off"}).raise_for_status()
    expect(page.get_by_role("switch", name="放大音量小的录音")).not_to_be_checked()
    assert page.get_by_role("switch", name="降噪").is_enabled() == state["setup"]["denoiser"]["ready"]
    box.fill("→")
    box.press("Control+Enter")
    expect(page.locator(_SIDEBAR).get_by_role("alert")).to_be_visible()
    assert tab.complaints == []


def test_the_sidebar_opens_the_desks_dialogs(context: BrowserContext, running: Started) -> None:
    """Wiping is asked for once more; a passphrase never passes through Streamlit."""
    tab = opened(context, running)
    page = tab.page
    settle(tab)
    page.get_by_role("button", name="清理本地缓存").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("全部清除")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.locator(_SIDEBAR).get_by_text("加密保存文字").click()
    with running.client() as other:
        kept = other.get("/api/state").json()["keep"]
    if not kept["on"]:  # a computer without a key store
        expect(page.locator('dialog[open] input[type="password"]').first).to_be_visible()
    assert page.locator(f'{_SIDEBAR} input[type="password"]').count() == 0
    assert tab.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_cut_off(browser: Browser, running: Started, scheme: str) -> None:
    made = browser.new_context(
        locale="zh-CN",
        viewport={"width": 390, "height": 844},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    made.set_default_timeout(PATIENCE_S * 1000)
    tab = opened(made, running)
    settle(tab)
    page = tab.page
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert page.evaluate("document.querySelector('.stMain').scrollWidth") <= 390
    place = page.locator(_SIDEBAR).bounding_box()
    assert place is None or place["x"] + place["width"] <= 0, "the sidebar makes room"
    made.close()


def test_both_shells_show_the_same_desk(context: BrowserContext, running: Started) -> None:
    opened(context, running)
    alone = opened(context, running, "/desk/")
    assert alone.page.locator("jiyao-desk").get_attribute("shell") == "desk"
    assert alone.complaints == []


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_when_the_server_ends_streamlit_does_not_talk_over_the_desk(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    context = browser.new_context(locale="zh-CN")
    context.set_default_timeout(PATIENCE_S * 1000)
    with started(Place.made(tmp_path_factory.mktemp("ends")), "--no-browser") as running:
        tab = opened(context, running)
        settle(tab)
        assert running.end(signal.SIGTERM)[0] == 0
        expect(tab.page.locator("jiyao-banner")).to_contain_text("连接断了")
        tab.page.wait_for_timeout(4000)  # Streamlit tries a few times before it says so
        assert tab.page.locator('[data-testid="stDialog"]').count() == 0
    context.close()
