"""Pictures of the desk: docs/desk.png for the README, or every screen in a folder, to be looked at.

    python -m docs.pictures              docs/desk.png: samples/review.flac, recognised by the starter model
    python -m docs.pictures FOLDER       all screens: wide and narrow, Chinese and English, light and dark

In:  the sample, which is the only recording that may be in this repository. Out: PNG files. Everything but the engine
of the other screens is real (bench.desk_server).
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench import desk_pages as pages
from bench.desk_figures import wait
from bench.desk_server import SAMPLE, Served, serving
from playwright.sync_api import Browser, Error, Page

PICTURE = Path(__file__).with_name("desk.png")
_PHONE = 500  # narrower is one
_CLIPS_HEARD = 4
_TERMS = "Top-K\nLlama-3.8B\nElasticSearch\n智能客户"  # near what the made meeting says, so that much is proposed


@dataclass(frozen=True)
class Look:
    width: int
    language: Literal["zh", "en"]
    theme: Literal["light", "dark"]

    @property
    def name(self) -> str:
        return f"{self.width}-{self.language}-{self.theme}"


LOOKS = (
    Look(1920, "zh", "light"),
    Look(1280, "en", "light"),
    Look(1280, "zh", "dark"),
    Look(390, "zh", "light"),
    Look(390, "en", "dark"),
)


@contextlib.contextmanager
def opened(browser: Browser, look: Look, address: str, scale: float | None = None) -> Iterator[Page]:
    phone = look.width < _PHONE
    page = pages.new_page(
        browser,
        look.width,
        844 if phone else round(look.width * 0.6),
        locale="zh-CN" if look.language == "zh" else "en-US",
        color_scheme=look.theme,
        reduced_motion="reduce",
        device_scale_factor=scale or (2 if phone else 1),
        has_touch=phone,
        is_mobile=phone,
    )
    page.goto(address)
    try:
        yield page
    finally:
        page.context.close()


# the README's


def for_the_readme(browser: Browser) -> None:
    with serving("real") as served:
        wait(lambda: looked_at(served), 60)
        job = sent(served, "产品评审会.flac", SAMPLE.read_bytes())
        finished(served, job)
        with opened(browser, Look(1280, "zh", "light"), served.open_url, 1.5) as page:
            page.add_init_script("localStorage.setItem('jiyao.lines.hint', '1')")
            page.reload()
            page.wait_for_selector(".jt-line")
            page.wait_for_timeout(1500)
            page.screenshot(path=PICTURE)


def sent(served: Served, name: str, content: bytes) -> str:
    answer = served.client().put("/api/uploads", params={"name": name}, content=content)
    return str(answer.raise_for_status().json()["job"])


def finished(served: Served, job: str) -> None:
    client = served.client()

    def over() -> bool:
        told = client.get(f"/api/jobs/{job}").json()
        return told["state"] in ("done", "failed") and told["telling_apart"] is None

    wait(over, 180)


def looked_at(served: Served) -> bool:
    """Does it know which models are here? Before that no speakers are told apart."""
    return not served.client().get("/api/state").json()["setup"]["checking"]


# all screens


@dataclass(frozen=True)
class Shots:
    """Take a screen in every look. A screen that cannot be reached is told, not fatal: this is to be looked at."""

    browser: Browser
    folder: Path

    def take(self, name: str, address: str, reach: Callable[[Page], object] = lambda page: None) -> None:
        for look in LOOKS:
            with opened(self.browser, look, address) as page:
                try:
                    page.wait_for_selector("jiyao-desk .jy-main", timeout=30_000)
                    page.wait_for_timeout(800)
                    reach(page)
                    page.wait_for_timeout(600)
                except Error as fault:
                    sys.stdout.write(f"{name}, {look.name}: {fault.message.splitlines()[0]}\n")
                page.screenshot(path=self.folder / f"{name}-{look.name}.png")


def all_screens(browser: Browser, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shots = Shots(browser, folder)
    for pictures in (before_anything, at_work, with_text, with_terms, with_speakers, in_streamlit):
        pictures(shots)


def before_anything(shots: Shots) -> None:
    with serving("scripted", models=False) as served:
        shots.take("first-run", served.open_url)
    with serving("scripted") as served:
        shots.take("empty", served.open_url)
        shots.take("empty-panel", served.open_url, show_panel)
        finished(served, sent(served, "坏文件.mp3", b"no sound at all" * 1000))
        shots.take("error", served.open_url)
        shots.take("wiped", served.open_url, wipe)


def at_work(shots: Shots) -> None:
    with serving("scripted", slow_s=4.0, short=True) as served:
        job = sent(served, "第三季度项目复盘会.flac", SAMPLE.read_bytes())
        sent(served, "候选人终面-王女士.flac", SAMPLE.read_bytes())
        client = served.client()
        wait(lambda: len(client.get(f"/api/jobs/{job}").json()["lines"]) >= _CLIPS_HEARD, 60)
        shots.take("running", served.open_url)


def with_text(shots: Shots) -> None:
    with serving("made", lines=120) as served:
        served.ask("submit")
        time.sleep(4)
        shots.take("done", served.open_url)
        shots.take("edit", served.open_url, edit)
        shots.take("find", served.open_url, find)
        shots.take("review", served.open_url, lambda page: call(page, "openReview"))
        shots.take("parts", served.open_url, lambda page: page.locator("jiyao-parts summary").click())
        shots.take("export", served.open_url, lambda page: page.keyboard.press("Control+s"))
        shots.take("keys", served.open_url, lambda page: page.keyboard.press("?"))
        shots.take("seal", served.open_url, seal)
        shots.take("wipe", served.open_url, ask_wipe)


def with_terms(shots: Shots) -> None:
    with serving("made", lines=120) as served:
        served.ask("submit")
        time.sleep(4)
        served.client().put("/api/settings", json={"terms": _TERMS}).raise_for_status()
        shots.take("proposals", served.open_url)
        shots.take("proposals-review", served.open_url, lambda page: call(page, "openReview"))
        shots.take("proposals-place", served.open_url, ask_about_a_place)
        shots.take("record", served.open_url, accept_and_look)
        shots.take("terms-extract", served.open_url, extract)
        shots.take("terms-sets", served.open_url, lambda page: terms_tool(page, 2))


def with_speakers(shots: Shots) -> None:
    """Real ones: the models for it must be here, and the denoiser's."""
    with serving("real") as served:
        wait(lambda: looked_at(served), 60)
        served.client().put("/api/settings", json={"denoise": "on", "loudness": "on"}).raise_for_status()
        finished(served, sent(served, "产品评审会.flac", SAMPLE.read_bytes()))
        shots.take("speakers", served.open_url)
        shots.take("speakers-names", served.open_url, show_voices)
        shots.take("sound-panel", served.open_url, show_sound)


def in_streamlit(shots: Shots) -> None:
    with serving("made", lines=120, shell="streamlit") as served:
        home = f"{served.url}/open?key={served.key}"
        shots.take("streamlit-empty", home)
        served.ask("submit")
        time.sleep(4)
        shots.take("streamlit-done", home)
        shots.take("streamlit-model", home, lambda page: page.locator("[data-testid=stExpander] summary").first.click())


# how a screen is reached


def call(page: Page, method: str) -> None:
    page.wait_for_selector(".jt-line")
    page.evaluate("(method) => document.querySelector('jiyao-transcript')[method]()", method)


def show_panel(page: Page) -> None:
    if page.locator("#jy-panel").is_hidden():
        page.locator("[aria-controls=jy-panel]").click()


def show_voices(page: Page) -> None:
    page.wait_for_selector(".jt-line")
    page.evaluate("() => void document.querySelector('jiyao-transcript').openVoices()")


def show_sound(page: Page) -> None:
    show_panel(page)
    page.locator("#jy-loudness-help").scroll_into_view_if_needed()


def edit(page: Page) -> None:
    page.wait_for_selector(".jt-line")
    page.locator(".jt-line .jt-text").first.dblclick(position={"x": 30, "y": 12})
    page.keyboard.type("好")


def find(page: Page) -> None:
    page.wait_for_selector(".jt-line")
    page.keyboard.press("Control+h")
    page.keyboard.type("检索")


def ask_about_a_place(page: Page) -> None:
    page.wait_for_selector(".jt-line")
    page.locator(".jt-line").first.focus()
    page.keyboard.press("Shift+F10")
    page.locator("[role=menuitem]").filter(has_text="→").first.click()


def accept_and_look(page: Page) -> None:
    """The first look accepts them; the record is there for all."""
    page.wait_for_selector(".jt-line")
    page.locator(".jy-review").click()
    if page.locator(".jt-least button:enabled").is_visible():
        page.locator(".jt-least button").click()
    page.locator("[data-view=record].jt-view").click()


def terms_tool(page: Page, place: int) -> None:
    show_panel(page)
    page.locator(".jy-terms-tools button").nth(place).click()


def extract(page: Page) -> None:
    terms_tool(page, 1)
    text = "负责人王晓雯。评测用 Llama-3-8B，日志写入 ClickHouse。灰度发布分三批，ClickHouse 先行，灰度发布后观察一天。"
    page.locator(".jy-extract input[type=file]").set_input_files(
        {"name": "方案.md", "mimeType": "text/markdown", "buffer": text.encode()}
    )
    page.wait_for_selector(".jy-extract li")


def seal(page: Page) -> None:
    page.locator("jiyao-status button").first.click()
    page.wait_for_selector(".jy-receipt table", timeout=20_000)


def ask_wipe(page: Page) -> None:
    page.locator(".jy-top-tools button").first.click()


def wipe(page: Page) -> None:
    """For one look alone: the others see what is left, and wipe that."""
    ask_wipe(page)
    page.locator("dialog .danger").click()
    page.wait_for_selector("jiyao-wiped:not([hidden])")


def main() -> None:
    with pages.browser(scroll_bars=False) as browser:
        if len(sys.argv) > 1:
            all_screens(browser, Path(sys.argv[1]))
        else:
            for_the_readme(browser)


if __name__ == "__main__":
    main()
