"""What the desk costs: 5,000 lines, a drop, a large upload, an event's way to the screen; with its real server.

    python -m bench.desk [--only lines,drop,upload,events] [--lines 5000] [--megabytes 300] [--runs 5] [--markdown]

    lines    a meeting of so many lines: first text, scrolling, typing, memory; beside a page that puts the same lines
             into plain paragraphs, in the same browser
    drop     a file of a minute until its first text is on the screen, without the engine's own time for that; with the
             scripted engine and with the starter model, both loaded before
    upload   a large WAV: memory of the server and its worker, bytes written, how the page and other requests fare
    events   from the moment an event is fed to the page's change; with few lines, and with all of them

Everything runs on one computer: server, worker and browser share its cores, and figures tell as much of it as of us.
Nothing is asserted. Linux, for memory is read in /proc.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from playwright.sync_api import Browser, Page

from bench import desk_pages as pages
from bench.desk_figures import Memory, Row, memory, spread, wait
from bench.desk_sending import dropped, edits, event_latency, large_upload
from bench.desk_server import Served, serving

_TYPED = "the quick brown fox jumps over the lazy dog and over the cat"
_KEY_EVERY_MS = 90
_SCROLL_S = 5.0


def long_meeting(opened: Browser, given: argparse.Namespace) -> Iterator[Row]:
    with serving("made", lines=given.lines) as served:
        empty = memory(served)
        job = submitted(served)
        page = pages.new_page(opened)
        page.goto(served.open_url)
        naive = pages.new_page(opened)
        naive.goto(served.open_url)
        naive.goto(f"{served.url}/api/health")
        path = f"/api/jobs/{job}"
        page.reload()  # from here on its scripts are in the browser's cache
        both = [(first_text(page, path), paragraphs(naive, path)) for _ in range(given.runs)]
        ours, plain = [one for one, _ in both], [other for _, other in both]
        told = page.evaluate("(path) => bench.arrived(path)", path)
        yield Row("snapshot from the server", f"{told['bytes'] / 1e6:.1f} MB in {told['took']:.0f} ms")
        painted = statistics.median(ours) / statistics.median(plain)
        yield Row("snapshot there → first text", spread(ours), f"{spread(plain)}; ratio {painted:.2f}", "< 1,000 ms")
        wait_built(page)
        yield from scrolling(page, naive)
        yield from typing(page, naive)
        yield from kept_in_memory(opened, page, naive, served, empty)


def submitted(served: Served) -> str:
    job = str(served.ask("submit"))
    wait(lambda: any(stamp.get("state") == "done" for stamp in served.ask("stamps")), 180)
    return job


def first_text(page: Page, path: str) -> float:
    """ms from the snapshot's last byte to its text."""
    page.bring_to_front()
    page.reload()
    _, painted = page.evaluate("() => bench.first(bench.hasText)")
    found: float = painted - page.evaluate("(path) => bench.arrived(path).at", path)
    return found


def paragraphs(page: Page, path: str) -> float:
    page.bring_to_front()
    page.reload()
    there, painted = page.evaluate(pages.NAIVE, path)
    return float(painted - there)


def wait_built(page: Page) -> None:
    """Until all lines are in the document: the list builds them in idle time."""
    page.wait_for_function(
        """() => {
          const count = document.querySelectorAll(".jt-line").length;
          const settled = count > 0 && window.benchCount === count;
          window.benchCount = count;
          return settled;
        }""",
        polling=1500,
        timeout=120_000,
    )


def scrolling(page: Page, naive: Page) -> Iterator[Row]:
    both = (page, naive)
    still = [recorded(each, lambda each: each.wait_for_timeout(3000)) for each in both]
    yield Row("frames, nothing happens, 3 s", str(still[0]), str(still[1]))
    for each in both:
        each.bring_to_front()
        each.evaluate("() => scrollTo(0, 0)")
    wheeled = [recorded(each, lambda each: pages.wheel(each, _SCROLL_S)) for each in both]
    yield Row(f"frames, wheel, {_SCROLL_S:.0f} s", str(wheeled[0]), str(wheeled[1]), "0 over 50 ms")
    reached: list[float] = []
    dragged = [recorded(each, lambda each: reached.append(pages.drag_bar(each, _SCROLL_S))) for each in both]
    yield Row(f"frames, scroll bar, {_SCROLL_S:.0f} s", str(dragged[0]), str(dragged[1]), "0 over 50 ms")
    yield Row("  scrolled down to", f"{reached[0]:.0%}", f"{reached[1]:.0%}")


def recorded(page: Page, work: Callable[[Page], object]) -> pages.Frames:
    page.bring_to_front()
    page.evaluate("() => bench.startFrames()")
    work(page)
    return pages.frames(page)


def typing(page: Page, naive: Page) -> Iterator[Row]:
    found: list[list[float]] = []
    for each in (page, naive):
        each.bring_to_front()
        each.evaluate("() => scrollTo(0, document.scrollingElement.scrollHeight / 2)")
        each.wait_for_timeout(1500)
        open_middle(each)
        each.evaluate("() => { bench.keys.length = 0 }")
        each.keyboard.type(_TYPED, delay=_KEY_EVERY_MS)
        each.wait_for_timeout(500)
        found.append(each.evaluate("() => bench.keys"))
    page.keyboard.press("Escape")
    yield Row("key → frame, typing in one line", spread(found[0], digits=1), spread(found[1], digits=1))


def open_middle(page: Page) -> None:
    """The caret into the line in the middle of the screen."""
    found = page.evaluate_handle(
        """() => [...document.querySelectorAll(".jt-line .jt-text, main > p")].find((each) => {
          const { top, height } = each.getBoundingClientRect();
          return height > 0 && top > innerHeight / 2;
        })"""
    ).as_element()
    assert found is not None
    found.evaluate("(each) => { if (each.matches('main > p')) each.contentEditable = 'plaintext-only' }")
    found.dblclick(position={"x": 20, "y": 12})


def kept_in_memory(opened: Browser, page: Page, naive: Page, served: Served, empty: Memory) -> Iterator[Row]:
    ours, plain = (pages.heap(pages.tab(each)) for each in (page, naive))
    elements = [each.evaluate("() => document.querySelectorAll('*').length") for each in (page, naive)]
    yield Row("JavaScript heap", f"{ours[0]:.1f} MB", f"{plain[0]:.1f} MB")
    yield Row("DOM nodes (of them elements)", f"{ours[1]:,} ({elements[0]:,})", f"{plain[1]:,} ({elements[1]:,})")
    naive.context.close()
    tab, server = pages.renderers_mb(opened), memory(served)
    yield Row("another client's edit fed → in the page", edits(page, served))
    wiped = served.client().post("/api/wipe", json={}).raise_for_status().json()
    page.wait_for_selector("jiyao-wiped:not([hidden])")
    page.wait_for_timeout(2000)
    after = pages.heap(pages.tab(page))
    yield Row("tab after the wipe: heap, DOM nodes", f"{after[0]:.1f} MB, {after[1]:,}")
    yield Row("tab's process: with lines → wiped (USS)", f"{tab:.0f} → {pages.renderers_mb(opened):.0f} MB")
    yield Row("server: empty", str(empty))
    yield Row("  with lines and three hours of PCM", str(server))
    yield Row("  after the wipe", str(memory(served)), f"freed: {wiped['buffer_bytes'] / 1e6:.0f} MB of buffers")
    page.context.close()


PARTS: dict[str, Callable[[Browser, argparse.Namespace], Iterator[Row]]] = {
    "lines": long_meeting,
    "drop": dropped,
    "upload": large_upload,
    "events": event_latency,
}


def machine(opened: Browser) -> str:
    cpu = next(
        (line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ""
    )
    return (
        f"{date.today()}; {cpu}, {os.cpu_count()} cores; Python {platform.python_version()}; Chromium {opened.version}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--lines", type=int, default=5000)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    if sys.platform != "linux":
        parser.error("memory is read in /proc: Linux only")
    with pages.browser() as opened:
        print(machine(opened))
        for name in given.only.split(","):
            before = os.getloadavg()[0]
            form = "| {} | {} | {} | {} |" if given.markdown else "{:46}  {}  [{}]  {}"
            print(f"\n{name} (load before {before:.1f})\n")
            if given.markdown:
                print("| | desk | beside it | aim |\n| --- | --- | --- | --- |")
            for row in PARTS[name](opened, given):
                print(form.format(row.what, row.ours, row.plain, row.aim), flush=True)
            print(f"\nload after {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
