"""The page's server for real, in a process of its own: who gets in, where it listens, how it begins and ends."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from jiyao.errors import UsageError
from jiyao.web import launch, logs
from jiyao.web.launch import Note
from tests.test_whole_run import _FAR, _HARMLESS, _WRITES
from tests.web_start import PATIENCE_S, Place, Started, started

POSIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="signals and modes of POSIX")
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="strace and /proc")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    place = Place.made(tmp_path_factory.mktemp("web"))
    with started(place, "--no-browser") as running:
        yield running


# who gets in


def test_the_address_with_the_key_opens_the_page(page: Started) -> None:
    with httpx.Client(timeout=PATIENCE_S, trust_env=False, follow_redirects=True) as browser:
        opened = browser.get(page.address)
        assert opened.status_code == 200 and str(opened.url) == f"{page.url}/"
        assert "streamlit" in opened.text.lower()
        assert "frame-ancestors 'none'" in opened.headers["content-security-policy"]
        assert opened.headers["cache-control"] == "no-store"
        assert browser.get(f"{page.url}/desk/").status_code == 200
        assert str(browser.get(f"{page.url}/desk").url) == f"{page.url}/desk/"
        assert browser.get(f"{page.url}/_stcore/health").status_code == 200


@pytest.mark.parametrize("path", ["/", "/desk/", "/index.html"])
def test_without_the_cookie_there_is_a_page_that_says_what_to_do(page: Started, path: str) -> None:
    refused = httpx.get(page.url + path, headers={"Accept": "text/html"}, trust_env=False, timeout=PATIENCE_S)
    assert refused.status_code == 403
    assert 'lang="zh-Hans"' in refused.text and 'lang="en"' in refused.text


@pytest.mark.parametrize("path", ["/", "/desk/", "/api/state", "/_stcore/health", "/_stcore/host-config", "/media/x"])
def test_another_name_for_this_computer_is_refused(page: Started, path: str) -> None:
    """DNS rebinding: evil.test may well be 127.0.0.1."""
    with page.client(Host=f"evil.test:{page.port}") as browser:
        assert browser.get(path).status_code == 403


@pytest.mark.parametrize("path", ["/api/wipe", "/_stcore/upload_file/a/b"])
def test_another_origin_is_refused(page: Started, path: str) -> None:
    with page.client(Origin="http://evil.test:9999") as browser:
        assert browser.post(path).status_code == 403
        assert browser.put(path).status_code == 403


STREAM = "/_stcore/stream"


def knock(page: Started, *, origin: str | None, cookie: bool = True, host: str | None = None) -> None:
    """Open Streamlit's socket. Raises InvalidStatus where it is refused."""
    headers = {"Cookie": page.cookie} if cookie else {}
    target = f"ws://{host or page.host}{STREAM}"
    with (
        socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE_S) as wire,
        connect(
            target,
            sock=wire,
            origin=Origin(origin) if origin else None,
            additional_headers=headers,
            open_timeout=PATIENCE_S,
        ) as opened,
    ):
        assert opened.response is not None and opened.response.status_code == 101


def test_the_own_page_may_open_streamlits_socket(page: Started) -> None:
    knock(page, origin=page.url)


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "http://evil.test:9999"},
        {"origin": "http://localhost:9999"},
        {"origin": "null"},
        {"origin": None},
        {"origin": "OWN", "cookie": False},
        {"origin": "OWN", "host": "evil.test"},
    ],
)
def test_nobody_else_may(page: Started, wrong: dict[str, object]) -> None:
    """Although Streamlit is told `enableCORS = false`, as the mission wants: the guard stands before it."""
    given = {**wrong, "origin": page.url if wrong["origin"] == "OWN" else wrong["origin"]}
    with pytest.raises(InvalidStatus) as refused:
        knock(page, **given)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


# where it listens, what it reads and leaves


def test_it_listens_to_this_computer_only(page: Started) -> None:
    """A foreign config.toml in the person's home wants all interfaces; a broken one lies where they stand."""
    process = psutil.Process(int(page.note["pid"]))
    listening = {found.laddr.ip for found in process.net_connections("inet") if found.status == "LISTEN"}
    assert listening and listening <= {"127.0.0.1", "::1"}


def test_streamlit_shows_a_viewer_what_we_chose(page: Started) -> None:
    with page.client() as browser:
        told = browser.get("/_stcore/host-config").json()
    assert told["allowedOrigins"] == []
    assert not told.get("enableCustomParentMessages")


def test_nothing_is_left_in_the_persons_folders(page: Started) -> None:
    files = {path.relative_to(page.place.user) for path in page.place.user.rglob("*") if path.is_file()}
    assert files == {Path(".streamlit/config.toml")}
    here = {path.name for path in page.place.folder.rglob("*") if path.is_file()}
    assert here == {"config.toml", "secrets.toml"}


@LINUX_ONLY
def test_foreign_secrets_are_not_taken(page: Started) -> None:
    raw = Path(f"/proc/{page.note['pid']}/environ").read_bytes()
    assert b"JIYAO_TEST_SECRET" not in raw


@POSIX_ONLY
def test_only_its_owner_can_read_the_note(page: Started) -> None:
    [file] = page.place.notes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_seal_had_nothing_to_refuse(page: Started) -> None:
    """All that the tests above did, start included."""
    with page.client() as browser:
        told = browser.get("/api/state").json()["sealed"]
        live = browser.get("/api/seal").json()["live"]
    assert told["outcome"] != "none"
    assert told["refused"] == 0, live


# a second start


def again(page: Started, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        page.place.command("--port", str(page.port), *arguments),
        cwd=page.place.folder,
        env=page.place.environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_second_start_finds_the_first(page: Started) -> None:
    done = again(page, "--no-browser")
    assert done.returncode == 0, done.stderr
    assert page.address in done.stderr and len(page.place.notes()) == 1


def test_a_port_of_somebody_else_is_said_to_be_taken(page: Started, tmp_path: Path) -> None:
    done = again(page, "--no-browser", JIYAO_HOME=str(tmp_path))  # another person: their home has no note
    assert done.returncode == 2
    assert f"--port {page.port + 1}" in done.stderr and not list(tmp_path.iterdir())


def test_no_address_that_others_can_reach(page: Started) -> None:
    done = again(page, "--no-browser", "--host", "0.0.0.0")
    assert done.returncode == 2 and "0.0.0.0" in done.stderr


# how it ends


@POSIX_ONLY
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
@pytest.mark.parametrize("shell", ["streamlit", "plain"])
def test_it_ends_cleanly(tmp_path: Path, number: int, code: int, shell: str) -> None:
    """Also while a page listens to its events."""
    place = Place.made(tmp_path)
    with started(place, "--no-browser", *(["--plain"] if shell == "plain" else [])) as running:
        family = psutil.Process(int(running.note["pid"])).children(recursive=True)
        with running.client() as browser, browser.stream("GET", "/api/events?after=0") as events:
            assert events.status_code == 200
            returned, said = running.end(number)
        assert returned == code, said
    assert place.notes() == []
    assert "Traceback" not in said and running.address in said
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_the_plain_page_is_the_desk_alone(tmp_path: Path) -> None:
    with started(Place.made(tmp_path), "--plain", "--no-browser") as running, running.client() as browser:
        assert browser.get("/").headers["location"] == "/desk/"
        assert browser.get("/desk/").status_code == 200
        assert browser.get("/_stcore/health").status_code == 404


@POSIX_ONLY
def test_the_browser_is_shown_the_page(tmp_path: Path) -> None:
    """A stand-in for a browser notes what it is given; that is the address that opens the page."""
    place, seen = Place.made(tmp_path), tmp_path / "seen"
    stand_in = tmp_path / "browser.sh"
    stand_in.write_text(f'#!/bin/sh\necho "$1" > "{seen}.new" && mv "{seen}.new" "{seen}"\n')
    stand_in.chmod(0o755)
    with started(place, BROWSER=f"{stand_in} %s") as running:
        until = time.monotonic() + PATIENCE_S
        while not seen.exists() and time.monotonic() < until:
            time.sleep(0.1)
        assert seen.read_text().strip() == running.address


@LINUX_ONLY
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_nothing_goes_out_at_the_start_nor_when_a_foreign_page_knocks(tmp_path: Path) -> None:
    """From the first to the last system call. Streamlit alone would ask DNS, and a server of Amazon's, where it is."""
    place, log = Place.made(tmp_path), tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-s", "300", "-o", str(log), "-e", "trace=%network,openat,open,creat"]
    with started(place, "--no-browser", before=strace) as running:
        with pytest.raises(InvalidStatus):
            knock(running, origin="http://evil.test:9999")
        with running.client() as browser:
            assert browser.get("/").status_code == 200
        knock(running, origin=running.url)
        assert running.end(signal.SIGTERM)[0] == 0
    lines = log.read_text(errors="replace").splitlines()
    assert any("listen(" in line for line in lines), "strace saw the run"
    assert [line for line in lines if " connect(" in line and "EPERM" not in line and _FAR.search(line)] == []
    sent = [line for line in lines if re.search(r" send(?:to|msg|mmsg)\(", line) and _FAR.search(line)]
    assert sent == []
    written = [line for line in lines if _WRITES.search(line) and not _HARMLESS.search(line)]
    assert any("desk-" in line for line in written), "strace saw the note"
    # the seal's proof writes a file, to be sure that it could, before it is refused the next one
    known = ("/desk-", "/.jiyao-seal-check-", "__pycache__")
    assert [line for line in written if not any(name in line for name in known)] == []


# the pieces


def test_localhost_is_ours_whole() -> None:
    """IPv6 too: nobody else can answer under the name that the cookie is sent to."""
    sockets = launch.listen("127.0.0.1", 0)
    try:
        addresses = {one.getsockname()[0] for one in sockets}
        assert "127.0.0.1" in addresses and addresses <= {"127.0.0.1", "::1"}
        assert len({one.getsockname()[1] for one in sockets}) == 1
        with pytest.raises(UsageError) as taken:
            launch.listen("127.0.0.1", sockets[0].getsockname()[1])
        assert taken.value.key == launch.TAKEN
    finally:
        for one in sockets:
            one.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_other_addresses_only_in_a_container(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(launch.IN_CONTAINER, raising=False)
    with pytest.raises(UsageError):
        launch.listen(host, 0)
    monkeypatch.setenv(launch.IN_CONTAINER, "1")
    if host == "0.0.0.0":
        [one] = launch.listen(host, 0)
        assert one.getsockname()[0] == host
        one.close()


def test_a_note_of_a_killed_process_is_no_page(tmp_path: Path) -> None:
    port = launch.listen("127.0.0.1", 0)
    free = port[0].getsockname()[1]
    for one in port:
        one.close()
    assert launch.leave_note(tmp_path, Note(1, free, "old")) is not None
    assert launch.running(tmp_path, free) is None
    note = Note(2, free, "new")
    file = launch.leave_note(tmp_path, note)
    assert file is not None and json.loads(file.read_text())["key"] == "new"
    launch.take_note_away(file, Note(1, free, "old"))
    assert file.exists(), "it is another start's"
    launch.take_note_away(file, note)
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": 1, "port": "x", "key": ""}', "\x00"])
def test_a_broken_note_is_none(tmp_path: Path, text: str) -> None:
    launch.note_file(tmp_path, 8501).write_text(text)
    assert launch.running(tmp_path, 8501) is None


@POSIX_ONLY
def test_where_no_note_can_be_left_the_page_still_comes(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, no folder")
    assert launch.leave_note(tmp_path / "home", Note(1, 8501, "k")) is None


def test_a_fault_is_told_without_what_was_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr("threading.excepthook", None)
    level = root.level
    monkeypatch.delenv("JIYAO_DEBUG", raising=False)
    try:
        logs.keep_quiet("en")
        try:
            raise ValueError("what was said in the meeting")
        except ValueError as fault:
            logging.getLogger("uvicorn.error").exception("and here: %s", fault)
            logs.report(fault)
    finally:
        root.setLevel(level)
    told = capsys.readouterr().err
    assert "ValueError" in told and "said" not in told and "here" not in told
