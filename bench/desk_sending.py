"""Parts of bench.desk in which something is sent: a dropped file, a large upload, events on their way to the page.

In:  a browser, the wished numbers. Out: Rows.
"""

from __future__ import annotations

import argparse
import base64
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from playwright.sync_api import Browser, Page

from bench import desk_pages as pages
from bench.desk_figures import Memory, Row, bytes_written, memory, moment, polled, sampled, spread, wait
from bench.desk_server import SAMPLE, Engine, Served, serving
from jiyao import audio

# a file is dropped


DROP = """
async ([bytes, name]) => {
  const file = new File([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))], name);
  const transfer = new DataTransfer();
  transfer.items.add(file);
  const before = document.querySelector("jiyao-transcript")?.job ?? null;
  const fresh = () => (document.querySelector("jiyao-transcript")?.job ?? null) !== before && bench.hasText();
  const text = bench.first(fresh);
  const dropped = bench.now();
  window.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
  const [seen, painted] = await text;
  return { dropped, seen, painted, skew: bench.skew() };
}
"""


def dropped(opened: Browser, given: argparse.Namespace) -> Iterator[Row]:
    engines: tuple[Engine, ...] = ("scripted", "real")
    for engine in engines:
        runs = []
        with serving(engine) as served:
            page = pages.new_page(opened)
            page.goto(served.open_url)
            ready(served)
            for turn in range(given.runs + 1):
                runs.append(one_drop(page, served, f"{turn}.flac"))
            page.context.close()
        runs = runs[1:]  # the first fills caches
        name = "scripted" if engine == "scripted" else "starter model"
        yield Row(f"drop → first text, {name}", spread([run["total"] for run in runs]))
        yield Row("  the engine for its first clip", spread([run["engine"] for run in runs]))
        rest = [run["total"] - run["engine"] for run in runs]
        yield Row("  the rest: ours", spread(rest), "", "< 1,500 ms")
        for stage in ("upload", "wait", "listen", "screen"):
            yield Row(f"    {STAGES[stage]}", spread([run[stage] for run in runs]))


STAGES = {
    "upload": "drop → queued",
    "wait": "queued → reading begins",
    "listen": "decoding, voice detection, cutting",
    "screen": "first clip fed → on the screen",
}


def ready(served: Served) -> None:
    """An engine is loaded."""
    client = served.client()
    wait(lambda: client.get("/api/state").json()["engine"] is not None, 120)


def drop(page: Page, name: str) -> dict[str, float]:
    """Drop the sample on the page, and wait for its first text."""
    found: dict[str, float] = page.evaluate(DROP, [base64.b64encode(SAMPLE.read_bytes()).decode(), name])
    return found


def one_drop(page: Page, served: Served, name: str) -> dict[str, float]:
    served.ask("stamps")
    found = drop(page, name)
    dropped, painted = ((found[key] - found["skew"]) / 1000 for key in ("dropped", "painted"))
    stamps: list[dict[str, Any]] = []

    def over() -> bool:
        stamps.extend(served.ask("stamps"))
        return any(stamp.get("state") == "done" for stamp in stamps)

    wait(over, 120)

    def at(kind: str, state: str | None = None) -> float:
        return next(float(one["at"]) for one in stamps if one["kind"] == kind and state in (None, one.get("state")))

    queued, loading = at("StateChanged", "queued"), at("StateChanged", "loading")
    recognizing, heard = at("StateChanged", "recognizing"), at("LinesChanged")
    return {
        "total": 1000 * (painted - dropped),
        "engine": 1000 * (heard - recognizing),
        "upload": 1000 * (queued - dropped),
        "wait": 1000 * (loading - queued),
        "listen": 1000 * (recognizing - loading),
        "screen": 1000 * (painted - heard),
    }


# a large file


def large_upload(opened: Browser, given: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="jiyao-bench-") as folder, serving("scripted") as served:
        file = Path(folder) / "large.wav"
        make_wav(file, given.megabytes)
        page = pages.new_page(opened)
        page.goto(served.open_url)
        client = served.client()
        ready(served)
        page.wait_for_timeout(2000)
        before, written = memory(served), bytes_written(served)
        with sampled(served) as samples, polled(served) as latencies:
            page.evaluate("() => bench.startFrames()")
            began = time.time()
            page.set_input_files("jiyao-intake input[type=file]", file)
            stamps: list[dict[str, Any]] = []
            queued = moment(served, stamps, "StateChanged", "queued")
            sending = pages.frames(page)
            page.evaluate("() => bench.startFrames()")
            listened = moment(served, stamps, "Listened")
            moment(served, stamps, "StateChanged", "done")
            reading = pages.frames(page)
        time.sleep(1)
        decoded, wrote = memory(served), bytes_written(served) - written
        wiped = client.post("/api/wipe", json={}).raise_for_status().json()
        page.wait_for_selector("jiyao-wiped:not([hidden])")
        time.sleep(1)
        size = file.stat().st_size
        yield from upload_rows(size, before, samples, began, queued, listened)
        yield Row("  after decoding (PCM is all there is)", str(decoded))
        yield Row("  after the wipe", f"{memory(served)}; worker ended: {wiped['worker_ended']}")
        yield Row("written to the disk by server and worker", f"{wrote:,} bytes", "", "0")
        yield Row("frames while it is sent", str(sending))
        yield Row("frames while it is read and heard", str(reading))
        yield Row("/api/state while it is sent", spread([took for at, took in latencies if at <= queued]))
        yield Row("/api/state while it is read", spread([took for at, took in latencies if at > queued]))
        page.context.close()


def upload_rows(
    size: int, before: Memory, samples: list[tuple[float, Memory]], began: float, queued: float, listened: float
) -> Iterator[Row]:
    sent = [found for at, found in samples if at <= queued + 0.15]  # the last piece is there just before
    read = [found for at, found in samples if queued < at <= listened + 1]
    yield Row(f"{size / 1e6:.0f} MB sent in", f"{queued - began:.1f} s ({size / 1e6 / (queued - began):.0f} MB/s)")
    yield Row("memory before", str(before))
    peak = max(sent, key=lambda found: found.total)
    yield Row("  peak while it is sent", str(peak), f"{(peak.total - before.total) * 1e6 / size:.2f} × the file", "1 ×")
    peak = max(read, key=lambda found: found.total)
    yield Row("  peak while it is read", str(peak), f"{(peak.total - before.total) * 1e6 / size:.2f} × the file")


def make_wav(path: Path, megabytes: int) -> None:
    """The sample over and over, 48 kHz stereo: what a recorder writes."""
    pcm = np.repeat(audio.decode(SAMPLE.read_bytes()).pcm, 6).tobytes()  # three times the rate, two channels
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        left = megabytes * 1_000_000
        while left > 0:
            file.writeframesraw(pcm[: left - left % 4])
            left -= len(pcm)


# events


def event_latency(opened: Browser, given: argparse.Namespace) -> Iterator[Row]:
    with serving("scripted", slow_s=0.15, short=True) as served:
        page = pages.new_page(opened)
        page.goto(served.open_url)
        page.evaluate("() => bench.followLines()")
        ready(served)
        drop(page, "a.flac")
        found = latencies(page, served)
        page.context.close()
    yield Row("clip fed → its lines in the page, few lines", spread(found, digits=1))


def latencies(page: Page, served: Served) -> list[float]:
    stamps: list[dict[str, Any]] = []
    moment(served, stamps, "StateChanged", "done")
    page.wait_for_timeout(1000)
    seen = dict(page.evaluate("() => [...bench.lines]"))
    skew = page.evaluate("() => bench.skew()")
    fed = {name: one["at"] for one in reversed(stamps) for name in one.get("lines", ())}
    return [seen[name] - skew - 1000 * at for name, at in fed.items() if name in seen]


def edits(page: Page, served: Served, count: int = 20) -> str:
    """Lines near the top of the screen are changed by another client, one by one."""
    page.bring_to_front()
    page.evaluate("() => scrollTo(0, 0)")
    page.wait_for_timeout(1000)
    page.evaluate("() => bench.followLines()")
    client: httpx.Client = served.client()
    job = client.get("/api/state").json()["jobs"][0]["id"]
    lines = client.get(f"/api/jobs/{job}").json()["lines"][:count]
    served.ask("stamps")
    for line in lines:
        change = {"kind": "text", "line": line["id"], "version": line["version"], "text": "改 " + line["text"]}
        client.post(f"/api/jobs/{job}/edits", json={"changes": [change]}).raise_for_status()
        time.sleep(0.2)
    page.wait_for_timeout(1000)
    seen, skew = dict(page.evaluate("() => [...bench.lines]")), page.evaluate("() => bench.skew()")
    fed = {name: one["at"] for one in served.ask("stamps") for name in one.get("lines", ())}
    return spread([seen[name] - skew - 1000 * at for name, at in fed.items() if name in seen], digits=1)
