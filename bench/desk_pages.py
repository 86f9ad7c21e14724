"""What is measured inside a page: a probe in JavaScript, and a browser that carries it. For bench.desk, docs.pictures.

In:  addresses. Out: moments (ms since 1970, the clock that the server has too), frames, long tasks, memory.

A frame counts as painted when a message posted from its requestAnimationFrame arrives: style, layout and the main
thread's part of painting are done, raster is not. The browser paints by software here (--disable-gpu).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PROBE = Path(__file__).with_name("desk_probe.js").read_text(encoding="utf-8")

# the same lines as plain paragraphs: fetched, parsed and added in one go, as a page of an afternoon would
NAIVE = """
async (path) => {
  document.title = "naive";
  const style = document.createElement("style");
  style.textContent = "body { font: 17px/1.75 'Noto Sans CJK SC', sans-serif; max-width: 860px; margin: 0 auto }";
  document.head.append(style);
  const { lines } = await (await fetch(path, { cache: "no-store" })).json();
  const { at } = bench.arrived(path);
  const all = document.createElement("main");
  for (const line of lines) {
    const paragraph = document.createElement("p");
    paragraph.textContent = line.text;
    all.append(paragraph);
  }
  document.body.replaceChildren(all);
  return [at, await bench.painted()];
}
"""


@dataclass(frozen=True)
class Frames:
    """Of a stretch of time: ms between frames, and of tasks over 50 ms."""

    deltas: list[float]
    tasks: list[float]

    @property
    def late(self) -> int:
        return sum(delta > 50 for delta in self.deltas)

    @property
    def longest(self) -> float:
        return max(self.deltas, default=0.0)

    def __str__(self) -> str:
        tasks = f"{len(self.tasks)} long tasks" + (f", longest {max(self.tasks):.0f} ms" if self.tasks else "")
        return f"{self.late} of {len(self.deltas)} over 50 ms, longest {self.longest:.0f} ms; {tasks}"


@contextlib.contextmanager
def browser(*, scroll_bars: bool = True) -> Iterator[Browser]:
    """Playwright would hide the bars; without them nothing can be dragged."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=list(_ARGUMENTS),
            ignore_default_args=["--hide-scrollbars"] if scroll_bars else None,
        )
        try:
            yield opened
        finally:
            opened.close()


def new_page(opened: Browser, width: int = 1280, height: int = 900, **options: Any) -> Page:
    """In a context of its own, with the probe, in Chinese unless told otherwise."""
    given = {"locale": "zh-CN", "viewport": {"width": width, "height": height}, **options}
    context = opened.new_context(**given)
    context.add_init_script(PROBE)
    return context.new_page()


def frames(page: Page) -> Frames:
    """Since `bench.startFrames()`."""
    found = page.evaluate("() => bench.stopFrames()")
    return Frames(found["deltas"], found["tasks"])


def wheel(page: Page, seconds: float) -> None:
    page.mouse.move(page.viewport_size["width"] / 2 if page.viewport_size else 400, 600)
    until = page.evaluate("() => performance.now()") + seconds * 1000
    while page.evaluate("() => performance.now()") < until:
        page.mouse.wheel(0, 240)


def drag_bar(page: Page, seconds: float) -> float:
    """From top to bottom and back with the mouse on the page's scroll bar; how far it got, 0…1."""
    assert page.viewport_size is not None
    width, height = page.viewport_size["width"], page.viewport_size["height"]
    page.evaluate("() => scrollTo(0, 0)")
    page.wait_for_timeout(500)  # until the thumb is up there, too
    x, top, bottom = width - 7, 22, height - 22
    page.mouse.move(x, top)
    page.mouse.down()
    began, place, furthest = page.evaluate("() => performance.now()"), 0.0, 0.0
    while place < 1:
        at, scrolled = page.evaluate(
            "() => [performance.now(), scrollY / (document.scrollingElement.scrollHeight - innerHeight)]"
        )
        furthest = max(furthest, scrolled)
        place = min(1.0, (at - began) / (seconds * 1000))
        page.mouse.move(x, top + (bottom - top) * (1 - abs(2 * place - 1)))
    page.mouse.up()
    return furthest


def tab(page: Page) -> CDPSession:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    return session


def heap(session: CDPSession) -> tuple[float, int]:
    """MB of JavaScript's heap after collecting garbage; DOM nodes, text included."""
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return found["JSHeapUsedSize"] / 1e6, round(found["Nodes"])


def renderers_mb(opened: Browser) -> float:
    """Memory of all tabs' processes that is theirs alone (USS)."""
    told = opened.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    found = 0
    for one in told:
        if one["type"] == "renderer":
            with contextlib.suppress(psutil.Error):
                found += psutil.Process(one["id"]).memory_full_info().uss
    return found / 1e6
