"""Chromium for the page's tests: what it asks of other computers, and what it complains of, is watched all the time.

In:  a `Server`. Out: contexts of one person each, with the key; at the end of each, nothing strange was asked or said.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.desk_server import Server

_CALM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
)
# the browser itself cannot reach anybody either
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"
_OWN = re.compile(r"(?:http|ws)://(?:localhost|127\.0\.0\.1):\d+/|(?:data|blob|about):")
WAIT_MS = 60_000  # a slow computer that recognises speech meanwhile
_PATIENCE_MS = 15_000  # for what needs no recognition
_SERIOUS = ("serious", "critical")
# A connection that is refused, or broken off, is written to the console by Chromium itself, whoever handles it
GONE = re.compile(
    r"Failed to load resource: net::ERR_(?:CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING|"
    r"EMPTY_RESPONSE|NETWORK_IO_SUSPENDED)|WebSocket connection to 'ws://localhost:\d+/_stcore/stream' failed"
)
CONFLICT = re.compile(r"Failed to load resource: the server responded with a status of 409 \(Conflict\)")


@contextlib.contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """The system's Chromium, or the test is skipped. One at a time."""
    path = Path("/usr/bin/chromium")
    program = str(path) if path.exists() else shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium on this computer: install the system's package `chromium`")
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*_CALM, *(arguments or (ALONE,))])
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """Somebody with a browser. `strange`: requests to others; `complaints`: of the console, and faults of scripts."""

    def __init__(self, context: BrowserContext, server: Server) -> None:
        self.context, self.server = context, server
        self.strange: list[str] = []
        self.complaints: list[str] = []
        self.sent: list[str] = []  # each request as "METHOD /path"
        context.on("request", lambda request: self._asked(request.method, request.url))
        context.on("console", self._heard)
        context.on("weberror", lambda fault: self._complained(str(fault.error)))
        context.set_default_timeout(WAIT_MS)

    def _asked(self, method: str, url: str) -> None:
        self.sent.append(f"{method} {re.sub(r'^https?://[^/]*', '', url)}")
        if not _OWN.match(url):
            self.strange.append(url)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._complained(f"{message.text} {message.location.get('url', '')}")

    def _complained(self, text: str) -> None:
        self.complaints.append(text)

    def open(self, link: str | None = None) -> Page:
        """A new tab with the desk, ready for use."""
        page = self.context.new_page()
        page.on("websocket", lambda socket: self._asked("WS", socket.url))
        # Playwright catches choosers from the first listener on, a moment later: one that opens in that moment is lost
        page.on("filechooser", lambda _: None)
        page.goto(link or self.server.desk)
        expect(page.locator("jiyao-desk .jy-badge")).to_be_visible(timeout=WAIT_MS)
        return page

    def settle(self, *allowed: re.Pattern[str]) -> None:
        """Nothing else was asked or said."""
        left = [text for text in self.complaints if not any(pattern.search(text) for pattern in allowed)]
        assert not self.strange, f"requests to other computers: {self.strange}"
        assert not left, f"errors in the console: {left}"


# as a person chose it once
_SPEAK = """
try {
    localStorage.getItem("jiyao-language") ?? localStorage.setItem("jiyao-language", %s);
} catch {}
"""


@contextlib.contextmanager
def person(
    browser: Browser, server: Server, *allowed: re.Pattern[str], language: str = "zh", **options: Any
) -> Iterator[Person]:
    """`allowed`: complaints that belong to what is tried here."""
    given = {
        "locale": "zh-CN" if language == "zh" else "en-GB",
        "viewport": {"width": 1280, "height": 800},
        "permissions": ["clipboard-read", "clipboard-write"],
        "reduced_motion": "reduce",
        **options,
    }
    context = browser.new_context(**given)
    context.add_init_script(_SPEAK % json.dumps(language))
    try:
        someone = Person(context, server)
        yield someone
        someone.settle(*allowed)
    finally:
        context.close()


# what a page holds


def drop(page: Page, files: Sequence[Path]) -> None:
    """Let files fall onto the drop zone, as a file manager does: real File objects in a real DataTransfer."""
    expect(page.locator(".jy-zone")).to_be_visible(timeout=WAIT_MS)  # not before it is known whether a model is here
    page.evaluate(
        """() => {
            const field = document.createElement("input");
            Object.assign(field, { type: "file", multiple: true, id: "test-files", hidden: true });
            document.body.append(field);
        }"""
    )
    page.set_input_files("#test-files", [str(file) for file in files])
    page.evaluate(
        """() => {
            const field = document.querySelector("#test-files");
            const dataTransfer = new DataTransfer();
            for (const file of field.files) dataTransfer.items.add(file);
            const zone = document.querySelector(".jy-zone");
            const fire = (name) => zone.dispatchEvent(
                new DragEvent(name, { dataTransfer, bubbles: true, composed: true, cancelable: true }));
            for (const name of ["dragenter", "dragover", "drop"]) fire(name);
            field.remove();
        }"""
    )


_WATCH_STATES = """() => {
    window.seenStates = {};
    const look = () => {
        for (const tab of document.querySelectorAll("[role=tab]")) {
            const [mark, name] = tab.children;
            const seen = (window.seenStates[name.textContent] ??= []);
            const now = mark.dataset.state;
            if (now && seen.at(-1) !== now) seen.push(now);
        }
    };
    new MutationObserver(look).observe(document.querySelector("jiyao-tabs"), {
        subtree: true, childList: true, attributes: true, attributeFilter: ["data-state"] });
}"""


def watch_states(page: Page) -> None:
    """From here on the states that each recording's tab shows are noted."""
    page.wait_for_selector("jiyao-tabs", state="attached")
    page.evaluate(_WATCH_STATES)


def states(page: Page, name: str) -> list[str]:
    found: list[str] = page.evaluate("(name) => window.seenStates[name] ?? []", name)
    return found


def shown_lines(page: Page) -> list[str]:
    """The text on the page, line by line."""
    found: list[str] = page.eval_on_selector_all(".jt-text", "(all) => all.map((one) => one.textContent)")
    return found


def line(page: Page, job_line: dict[str, Any]) -> Locator:
    return page.locator(f'.jt-line[data-id="{job_line["id"]}"]')


def select_job(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def wait_done(page: Page) -> None:
    page.wait_for_selector('jiyao-head[data-state="done"]', state="attached")
    page.wait_for_selector(".jt-line")


def word_place(page: Page, job_line: dict[str, Any], word: Sequence[int]) -> tuple[float, float]:
    """Where on the screen a word stands: the middle of its first character."""
    line(page, job_line).scroll_into_view_if_needed()
    place: list[float] = page.evaluate(
        """([id, from]) => {
            const node = document.querySelector(`.jt-line[data-id="${id}"] .jt-text`).firstChild;
            const range = new Range();
            range.setStart(node, from);
            range.setEnd(node, from + 1);
            const box = range.getClientRects()[0];
            return [box.left + box.width / 2, box.top + box.height / 2];
        }""",
        [job_line["id"], word[0]],
    )
    return place[0], place[1]


# the player's sound, as the browser has it
SOUND = "document.querySelector('jiyao-player').audio"


def note_seeks(page: Page) -> None:
    """Where the sound is sent from here on: `window.seeks`, in seconds."""
    page.evaluate(
        """(sound) => {
            window.seeks = [];
            sound.addEventListener("seeking", () => window.seeks.push(sound.currentTime));
        }""",
        page.evaluate_handle(f"() => {SOUND}"),
    )


def wait_playing_after(page: Page, seconds: float) -> None:
    page.wait_for_function(f"(after) => !{SOUND}.paused && {SOUND}.currentTime > after", arg=seconds)


def tab_to(page: Page, selector: str, most: int = 60) -> None:
    """Press Tab until this has the focus, as somebody without a mouse does."""
    for _ in range(most):
        if page.evaluate("(selector) => document.activeElement?.matches(selector) ?? false", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} was not reached in {most} steps of Tab")


# accessibility


def axe(page: Page, moment: str, *, within: str | None = None) -> None:
    """Fail on what axe-core calls serious or critical; print the rest. `within`: what is ours on the page."""
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec is not None and spec.origin is not None
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate((Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    options = {"resultTypes": ["violations"]}
    found = page.evaluate("([within, options]) => axe.run(within ?? document, options)", [within, options])
    bad = []
    for violation in found["violations"]:
        for node in violation["nodes"]:
            told = f"{moment}: {violation['id']} ({violation['impact']}) {node['target']} {node['failureSummary']}"
            if violation["impact"] in _SERIOUS:
                bad.append(told)
            else:
                print(f"axe {told}")  # noqa: T201
    assert bad == [], "\n".join(bad)
