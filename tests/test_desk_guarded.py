"""The page where things go wrong or somebody means harm: no network, strange pages, a server that is gone, the disk."""

from __future__ import annotations

import http.server
import re
import shutil
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import GONE, axe, chromium, person, shown_lines, wait_done
from tests.conftest import SAMPLE
from tests.desk_server import OFFLINE, Server, cut, free_port, serving

FORBIDDEN = re.compile(r"Failed to load resource: the server responded with a status of 403 \(Forbidden\)")
EVIL = "--host-resolver-rules=MAP evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(EVIL) as one:
        yield one


@pytest.fixture(scope="module")
def server(starter_home: Path) -> Iterator[Server]:
    """The last test that asks for it kills it."""
    with serving(starter_home) as one:
        yield one


@pytest.fixture(scope="module")
def talk(server: Server, speech: Path) -> str:
    job = server.upload(speech)
    assert server.over(job)["state"] == "done"
    return job


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cut(0, 8, tmp_path_factory.mktemp("speech") / "例会.wav")


# no model, no network


def test_first_run_without_a_network(browser: Browser, tmp_path: Path) -> None:
    settings = {**OFFLINE, "JIYAO_ENGINE": "auto"}
    with serving(tmp_path / "home", environment=settings) as server, person(browser, server) as someone:
        page = someone.open()
        expect(page.get_by_role("heading", name="先选一个识别模型")).to_be_visible(timeout=60_000)
        offered = server.get("/api/state")["setup"]["models"]
        assert len(offered) >= 2
        expect(page.get_by_role("radio")).to_have_count(len(offered))
        expect(page.get_by_text("推荐", exact=True)).to_be_visible()
        axe(page, "first run")
        page.get_by_role("radio", name=re.compile("Whisper base")).check()
        page.get_by_role("button", name=re.compile("下载并开始使用")).click()
        told = page.locator("jiyao-setup [role=alert]")
        expect(told).to_be_visible(timeout=60_000)
        message, remedy = told.locator("strong").inner_text(), told.locator("p").inner_text()
        assert "Whisper" in message or "whisper-base" in message, message
        assert "另一个模型" in remedy and str(tmp_path / "home") in remedy, remedy
        expect(page.get_by_role("button", name=re.compile("重试下载"))).to_be_visible()
        assert server.get("/api/state")["setup"]["needed"] is True
        looks: tuple[tuple[int, Literal["light", "dark"], str], ...] = ((390, "dark", "en"), (1280, "light", "zh"))
        for width, scheme, tongue in looks:
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            page.evaluate("(lang) => localStorage.setItem('jiyao-language', lang)", tongue)
            page.reload()
            expect(told).to_be_visible(timeout=20_000)
            axe(page, f"first run, no network, {width} {scheme} {tongue}")


# pages of strangers


class _Strange(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>strange</title><h1>strange</h1>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def strange_pages() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), _Strange) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield site.server_port
        site.shutdown()


# every way by which a page may ask another one; each tells how it ended
_ATTACKS = """async ([url, job]) => {
    const post = (path, mode, body, headers = {}) =>
        fetch(url + path, { method: "POST", mode, body, headers, credentials: "include" })
            .then((answer) => `${answer.type} ${answer.status}`, () => "refused");
    const get = (path) => fetch(url + path, { credentials: "include" }).then((a) => a.text(), () => "refused");
    const loads = (tag, path) => new Promise((resolve) => {
        const element = Object.assign(document.createElement(tag), { src: url + path });
        for (const name of ["loadedmetadata", "load"]) element.addEventListener(name, () => resolve("loaded"));
        element.addEventListener("error", () => resolve("refused"));
        document.body.append(element);
        setTimeout(() => resolve("nothing"), 8000);
    });
    const opens = (one) => new Promise((resolve) => {
        one.onopen = () => resolve("open");
        one.onmessage = () => resolve("heard");
        one.onerror = () => resolve("refused");
        setTimeout(() => resolve("nothing"), 8000);
    });
    const form = () => new Promise((resolve) => {
        const frame = Object.assign(document.createElement("iframe"), { name: "sink" });
        const sent = document.createElement("form");
        Object.assign(sent, { action: `${url}/api/wipe`, method: "POST", target: "sink" });
        document.body.append(frame, sent);
        frame.onload = () => resolve("sent");
        sent.submit();
        setTimeout(() => resolve("sent"), 3000);
    });
    const [plain, cors, json, remove, state, audio, image, script, socket, events] = await Promise.all([
        post("/api/wipe", "no-cors", "{}", { "Content-Type": "text/plain" }),
        post("/api/wipe", "cors", "{}", { "Content-Type": "text/plain" }),
        post("/api/wipe", "cors", "{}", { "Content-Type": "application/json" }),
        fetch(`${url}/api/jobs/${job}`, { method: "DELETE" }).then(() => "done", () => "refused"),
        get("/api/state"),
        loads("audio", `/api/jobs/${job}/audio.wav`),
        loads("img", "/desk/icon.svg"),
        loads("script", "/desk/store.js"),
        opens(new WebSocket(`${url.replace("http", "ws")}/_stcore/stream`)),
        opens(new EventSource(`${url}/api/events`, { withCredentials: true })),
    ]);
    await form();
    return { plain, cors, json, remove, state, audio, image, script, socket, events };
}"""


def test_pages_of_strangers_get_nothing(server: Server, talk: str, browser: Browser) -> None:
    before = server.get(f"/api/jobs/{talk}")
    with strange_pages() as elsewhere, browser.new_context() as context:  # complaints are what is wanted here
        answered: list[tuple[str, int]] = []
        context.on("response", lambda answer: answered.append((answer.url, answer.status)))
        page = context.new_page()
        page.goto(server.desk)  # so that this browser has the cookie
        wait_done(page)
        for origin in (f"http://evil.test:{elsewhere}", f"http://localhost:{elsewhere}"):
            page.goto(f"{origin}/")
            answered.clear()
            got: dict[str, Any] = page.evaluate(_ATTACKS, [server.url, talk])
            plain = got.pop("plain")
            assert plain in ("opaque 0", "refused"), (origin, plain)
            assert set(got.values()) == {"refused"}, (origin, got)
            ours = [(url, status) for url, status in answered if f":{server.port}/" in url]
            assert all(status == 403 for _, status in ours), ours
        page.goto(f"http://evil.test:{server.port}/desk/")  # DNS rebinding: our server under a stranger's name
        assert page.locator("jiyao-desk").count() == 0
        assert page.evaluate("() => fetch('/api/state').then((answer) => answer.status)") == 403
    assert server.get(f"/api/jobs/{talk}") == before, "nothing was changed, nothing is gone"


# the server is gone


def test_a_killed_server_takes_no_text_with_it(server: Server, talk: str, browser: Browser) -> None:
    with person(browser, server, GONE, FORBIDDEN) as someone:
        page = someone.open()
        wait_done(page)
        before = shown_lines(page)
        server.kill()
        banner = page.locator("jiyao-banner [role=alert]")
        expect(banner).to_contain_text("与纪要程序的连接断了", timeout=20_000)
        expect(banner).to_contain_text("可以阅读、复制和导出")
        assert shown_lines(page) == before != []
        page.get_by_role("toolbar").get_by_role("button", name="复制全文").click()
        expect(page.locator(".jy-toast").filter(has_text="已复制")).to_be_visible()
        assert all(text in page.evaluate("() => navigator.clipboard.readText()") for text in before)
        page.get_by_role("toolbar").get_by_role("button", name="导出").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name="纯文本").click()
        assert all(text in Path(download.value.path()).read_text(encoding="utf-8") for text in before)
        with serving(server.home, port=server.port) as again:  # another start has another key
            expect(banner).to_contain_text("纪要重新启动过", timeout=20_000)
            assert shown_lines(page) == before
            page.goto(again.desk)
            expect(page.get_by_role("button", name="选择文件")).to_be_visible()


# nothing on the disk

_WRITES = re.compile(r"\bopen(?:at)?\(.*(?:O_WRONLY|O_RDWR|O_CREAT)|\bcreat\(")
# the terminal, shared memory and its locks, the kernel's view of this process, what the kernel refused; and the empty
# file by which the seal's own check, in a process of its own, sees that without a seal it could write
_HARMLESS = re.compile(
    r'"/dev/(?:null|tty|shm/[^"]*)"|"/tmp/\w{8}"|"/proc/|= -1 E|__pycache__|/\.jiyao-seal-check-\d+"'
)


def thirty_megabytes(speech: Path, file: Path) -> Path:
    """Speech, and then silence: quick to recognise."""
    with wave.open(str(speech), "rb") as source, wave.open(str(file), "wb") as target:
        target.setparams(source.getparams())
        target.writeframes(source.readframes(source.getnframes()))
        while file.stat().st_size < 30_000_000:
            target.writeframes(bytes(2_000_000))
    return file


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_large_upload_touches_no_file(starter_home: Path, tmp_path: Path) -> None:
    """Every system call of the server and its worker, while 30 MB come in, are read and recognised, and are wiped."""
    large = thirty_megabytes(cut(0, 8, tmp_path / "8.wav", rate=48_000, layout="stereo"), tmp_path / "large.wav")
    log = tmp_path / "trace"
    # -D: the process that is started is the server itself, so that it gets our SIGTERM
    strace = [
        "strace",
        "-D",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-s",
        "300",
        "-o",
        str(log),
        "-e",
        "trace=openat,open,creat",
    ]
    with serving(starter_home, before=strace) as server:
        started = len(log.read_text(errors="replace").splitlines())
        done = server.over(server.upload(large), 180)
        assert done["state"] == "done" and done["lines"], done["error"]
        assert done["duration_ms"] > 150_000
        server.post("/api/wipe")
        time.sleep(0.5)
        note = f"desk-{server.port}.json"
    lines = log.read_text(errors="replace").splitlines()
    assert len(lines) > started > 100, "strace saw the run"
    assert any(note in one and "O_CREAT" in one for one in lines), "strace saw the note"
    written = [one for one in lines if _WRITES.search(one) and not _HARMLESS.search(one)]
    assert [one for one in written if note not in one] == []
    assert not any(str(large) in one or SAMPLE.name in one for one in lines), "the server read no recording from a file"
