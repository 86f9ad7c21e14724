"""Weights over a real local server that resumes, cuts, stalls, lies; and what stands on the disk afterwards."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jiyao.errors import WeightsError
from jiyao.weights import FetchProgress, Limits, fetch, is_present, locate, parse_catalogue, remove, status, verify
from jiyao.weights.store import lock_of, storage_errors
from tests.weights_toys import ALL_HUBS, BIG, CHILD, FILES, SMALL, VARIABLES, Hub, said, serving, sha256, toy

QUICK = Limits(connect_s=1.0, stall_s=1.0, index_s=120.0)
TOY = parse_catalogue(toy())


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def hubs(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> Iterator[dict[str, Hub]]:
    with serving() as first, serving() as last:
        named = dict(zip(ALL_HUBS, (first, hub, last), strict=True))
        for kind, server in named.items():
            monkeypatch.setenv(VARIABLES[kind], server.url)
        yield named


def fetch_noting(home: Path, catalogue_text: str) -> list[FetchProgress]:
    heard: list[FetchProgress] = []
    fetch("toy", home, heard.append, limits=QUICK, models=parse_catalogue(catalogue_text))
    return heard


def assert_right(folder: Path) -> None:
    assert {path: (folder / path).read_bytes() == data for path, data in FILES.items()} == dict.fromkeys(FILES, True)


def test_fetches_once_and_then_never_asks_again(tmp_path: Path, hub: Hub) -> None:
    assert status("toy", tmp_path, TOY) == "absent"
    with pytest.raises(WeightsError) as missing:
        locate("toy", tmp_path, TOY)
    assert missing.value.key == "weights.missing"

    heard = fetch_noting(tmp_path, toy())

    folder = locate("toy", tmp_path, TOY)
    assert_right(folder)
    assert folder == tmp_path / "models" / "toy"
    assert status("toy", tmp_path, TOY) == "present"
    assert FetchProgress("Hugging Face", "model.bin", len(BIG), len(BIG)) in heard
    assert [check.verdict for check in verify("toy", tmp_path, TOY)] == ["ok", "ok"]
    assert not list((tmp_path / "models" / ".staging").iterdir())
    assert hub.probes == 1
    asked = len(hub.requests)
    assert fetch("toy", tmp_path, models=TOY) == folder
    assert (len(hub.requests), hub.probes) == (asked, 1)


def test_a_connection_that_keeps_breaking_is_resumed(tmp_path: Path, hub: Hub) -> None:
    hub.mode = "cut"
    fetch_noting(tmp_path, toy())
    assert_right(locate("toy", tmp_path, TOY))
    assert [asked for path, asked in hub.requests if path == "model.bin"] == ["", "bytes=1000000-", "bytes=2000000-"]
    assert hub.sent_bytes["model.bin"] == len(BIG)  # not one byte twice


def test_an_interrupted_model_is_never_located_and_the_next_fetch_goes_on(tmp_path: Path, hub: Hub) -> None:
    hub.plan, hub.mode = ["stall"], "mute"  # a stall after new bytes is tried again, one that brings none is the end
    with pytest.raises(WeightsError) as failure:
        fetch("toy", tmp_path, limits=QUICK, models=TOY)
    assert failure.value.key == "weights.unreachable"
    assert "timed out" in str(failure.value)
    assert not is_present("toy", tmp_path, TOY)
    assert status("toy", tmp_path, TOY) == "partial"
    assert hub.sent_bytes == {"model.bin": hub.piece_bytes}

    hub.mode = "ok"
    fetch_noting(tmp_path, toy())
    assert_right(locate("toy", tmp_path, TOY))
    assert hub.sent_bytes["model.bin"] == len(BIG)


@pytest.mark.parametrize("mode", ["no-range", "deny-range"])
def test_a_server_without_ranges_is_started_over(tmp_path: Path, hub: Hub, mode: str) -> None:
    hub.plan, hub.mode = ["cut"], mode
    fetch("toy", tmp_path, limits=QUICK, models=TOY)
    assert_right(locate("toy", tmp_path, TOY))
    asked = [asked for path, asked in hub.requests if path == "model.bin"]
    assert asked == ["", "bytes=1000000-", ""][: 2 if mode == "no-range" else 3]


@pytest.mark.parametrize("mode", ["wrong", "short", "endless", "404", "503", "mute"])
def test_a_bad_source_gives_way_to_the_next(tmp_path: Path, hubs: dict[str, Hub], mode: str) -> None:
    hubs["modelscope"].mode = mode
    heard = fetch_noting(tmp_path, toy(("huggingface", "modelscope")))  # ModelScope comes first all the same
    assert_right(locate("toy", tmp_path, TOY))
    assert hubs["modelscope"].requests
    assert [p for p in heard if p.source == "ModelScope" and p.note]
    # what a liar sent is thrown away: the good source is asked for the whole file
    assert ("model.bin", "") in hubs["huggingface"].requests


def test_wrong_bytes_held_from_before_do_not_spoil_a_good_source(tmp_path: Path, hubs: dict[str, Hub]) -> None:
    hubs["modelscope"].files["model.bin"] = bytes(len(BIG))
    hubs["modelscope"].plan, hubs["modelscope"].mode = ["stall"], "mute"
    fetch_noting(tmp_path, toy(("modelscope", "huggingface")))
    assert_right(locate("toy", tmp_path, TOY))
    assert [asked for path, asked in hubs["huggingface"].requests if path == "model.bin"] == ["bytes=1000000-", ""]


def test_dead_hosts_cost_one_short_wait_together(
    tmp_path: Path, hubs: dict[str, Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed, socket.socket() as mute:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: refused
        mute.bind(("127.0.0.1", 0))
        mute.listen(16)  # connects, but nobody ever answers
        monkeypatch.setenv("JIYAO_MODELSCOPE_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{mute.getsockname()[1]}")
        heard = fetch_noting(tmp_path, toy(ALL_HUBS))
        mute.setblocking(False)
        connections = 0
        while True:
            try:
                mute.accept()[0].close()
                connections += 1
            except BlockingIOError:
                break
    assert connections == 1
    assert_right(locate("toy", tmp_path, TOY))
    notes = [progress.note for progress in heard if "unreachable" in progress.note]
    assert len(notes) == 2
    assert "timed out" in notes[1] and notes[1].startswith("127.0.0.1:")


def test_when_everything_fails_the_error_says_what_was_tried_and_what_to_do(tmp_path: Path, hub: Hub) -> None:
    hub.mode = "404"
    with pytest.raises(WeightsError) as failure:
        fetch("toy", tmp_path, limits=QUICK, models=TOY)
    assert "Hugging Face: HTTP 404 (model.bin, sub/config.json)" in failure.value.message("en")
    for language in ("zh", "en"):
        remedy = failure.value.remedy(language)
        assert str(tmp_path / "models" / "toy") in remedy and "HF_ENDPOINT" in remedy


def test_files_put_by_hand_are_checked_and_taken_without_a_network(tmp_path: Path, hub: Hub) -> None:
    folder = tmp_path / "models" / "toy"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.bin").write_bytes(BIG)
    (folder / "sub/config.json").write_bytes(b"{" + bytes(len(SMALL) - 1))
    assert status("toy", tmp_path, TOY) == "partial"
    fetch_noting(tmp_path, toy())
    assert [path for path, _ in hub.requests] == ["sub/config.json"]

    other = tmp_path / "other"
    (other / "models").mkdir(parents=True)
    (tmp_path / "models" / "toy").rename(other / "models" / "toy")
    (other / "models" / "toy" / "manifest.json").unlink()
    assert not is_present("toy", other, TOY)
    fetch_noting(other, toy())
    assert_right(locate("toy", other, TOY))
    assert len(hub.requests) == 1


@pytest.mark.parametrize("damage", ["edit", "truncate", "delete", "touch"])
def test_a_model_altered_after_installation_is_refused_named_and_healed(tmp_path: Path, hub: Hub, damage: str) -> None:
    folder = fetch("toy", tmp_path, models=TOY)
    config = folder / "sub/config.json"
    if damage == "edit":
        config.write_bytes(SMALL.replace(b"true", b"nope"))
    elif damage == "truncate":
        os.truncate(config, 3)
    elif damage == "delete":
        config.unlink()
    else:
        os.utime(config, ns=(1, 1))
    with pytest.raises(WeightsError) as refusal:
        locate("toy", tmp_path, TOY)
    assert refusal.value.key == "weights.altered"
    assert refusal.value.parameters["file"] == "sub/config.json"
    found = {check.path: check.verdict for check in verify("toy", tmp_path, TOY)}
    expected = {"edit": "wrong-hash", "truncate": "wrong-size", "delete": "missing", "touch": "ok"}
    assert found == {"model.bin": "ok", "sub/config.json": expected[damage]}
    hub.requests.clear()
    fetch("toy", tmp_path, models=TOY)
    assert_right(locate("toy", tmp_path, TOY))
    assert [path for path, _ in hub.requests] == ([] if damage == "touch" else ["sub/config.json"])


def test_a_copy_that_keeps_whole_seconds_is_the_same_model(tmp_path: Path, hub: Hub) -> None:
    """As a layer of a container's image does, or tar."""
    folder = fetch("toy", tmp_path, models=TOY)
    for file in ("model.bin", "sub/config.json"):
        second = (folder / file).stat().st_mtime_ns // 10**9 * 10**9
        os.utime(folder / file, ns=(second, second))
    assert locate("toy", tmp_path, TOY) == folder


def test_verify_finds_an_edit_that_forged_its_time(tmp_path: Path, hub: Hub) -> None:
    folder = fetch("toy", tmp_path, models=TOY)
    before = (folder / "model.bin").stat().st_mtime_ns
    (folder / "model.bin").write_bytes(bytes(len(BIG)))
    os.utime(folder / "model.bin", ns=(before, before))
    [check, _] = verify("toy", tmp_path, TOY)
    assert (check.verdict, check.expected_sha256, check.actual_sha256) == (
        "wrong-hash",
        sha256(BIG),
        sha256(bytes(len(BIG))),
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "files": 3}', "\x00"])
def test_a_damaged_manifest_is_no_manifest(tmp_path: Path, hub: Hub, text: str) -> None:
    folder = fetch("toy", tmp_path, models=TOY)
    (folder / "manifest.json").write_text(text)
    assert not is_present("toy", tmp_path, TOY)


def test_a_new_pin_makes_the_old_file_wrong(tmp_path: Path, hub: Hub) -> None:
    fetch("toy", tmp_path, models=TOY)
    newer = parse_catalogue(toy(files={**FILES, "model.bin": BIG[::-1]}))
    assert not is_present("toy", tmp_path, newer)
    hub.files["model.bin"] = BIG[::-1]
    hub.requests.clear()
    fetch("toy", tmp_path, models=newer)
    assert [path for path, _ in hub.requests] == ["model.bin"]
    assert is_present("toy", tmp_path, newer)


def test_without_a_published_hash_the_first_fetch_is_what_counts(tmp_path: Path, hub: Hub) -> None:
    models = parse_catalogue(toy(unpinned=("model.bin",)))
    folder = fetch("toy", tmp_path, models=models)
    assert json.loads((folder / "manifest.json").read_text())["files"]["model.bin"]["sha256"] == sha256(BIG)
    assert [check.verdict for check in verify("toy", tmp_path, models)] == ["unpinned-unchanged", "ok"]
    (folder / "model.bin").write_bytes(bytes(len(BIG)))
    assert [check.verdict for check in verify("toy", tmp_path, models)] == ["wrong-hash", "ok"]
    assert not is_present("toy", tmp_path, models)
    hub.requests.clear()
    fetch("toy", tmp_path, models=models)
    assert_right(folder)
    assert hub.requests == [("model.bin", "")]
    (folder / "manifest.json").unlink()
    assert [check.verdict for check in verify("toy", tmp_path, models)] == ["unpinned-unrecorded", "ok"]


def test_without_a_hash_bytes_of_two_sources_never_mix(tmp_path: Path, hubs: dict[str, Hub]) -> None:
    hubs["modelscope"].plan, hubs["modelscope"].mode = ["stall"], "mute"
    fetch_noting(tmp_path, toy(("modelscope", "huggingface"), unpinned=("model.bin",)))
    assert hubs["modelscope"].sent_bytes == {"model.bin": 1_000_000}
    assert ("model.bin", "") in hubs["huggingface"].requests


def child(tmp_path: Path, home: Path) -> subprocess.Popen[str]:
    catalogue = tmp_path / "toy.toml"
    catalogue.write_text(toy(), encoding="utf-8")
    command = [sys.executable, "-c", CHILD, str(catalogue), str(home)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_both_succeed_and_fetch_once(tmp_path: Path, hub: Hub) -> None:
    hub.mode = "drip"
    home = tmp_path / "home"
    with child(tmp_path, home) as first, child(tmp_path, home) as second:
        outputs = [said(process.communicate(timeout=60)[0]) for process in (first, second)]
    assert [output[-1] for output in outputs] == [["folder", str(home / "models" / "toy")]] * 2
    assert hub.sent_bytes == {path: len(data) for path, data in FILES.items()}


def test_a_second_process_says_that_it_waits(tmp_path: Path, hub: Hub) -> None:
    lock = lock_of("toy", tmp_path / "home")
    lock.acquire()
    with child(tmp_path, tmp_path / "home") as process:
        try:
            assert process.stdout is not None
            assert "waiting" in json.loads(process.stdout.readline())[1]
            assert hub.requests == []
        finally:
            lock.release()
        assert said(process.communicate(timeout=60)[0])[-1][0] == "folder"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("signal_number", [getattr(signal, "SIGKILL", signal.SIGTERM), signal.SIGINT])
def test_a_killed_fetch_leaves_only_parts_and_the_next_one_completes(
    tmp_path: Path, hub: Hub, signal_number: signal.Signals
) -> None:
    hub.mode = "drip"
    home = tmp_path / "home"
    with child(tmp_path, home) as process:
        assert process.stdout is not None
        while json.loads(process.stdout.readline())[1:] < [400_000]:
            pass
        process.send_signal(signal_number)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert not is_present("toy", home, TOY)
    assert status("toy", home, TOY) == "partial"
    before = hub.sent_bytes["model.bin"]
    hub.mode = "ok"
    fetch("toy", home, models=TOY)
    assert_right(locate("toy", home, TOY))
    assert hub.sent_bytes["model.bin"] - before < len(BIG) - 300_000
    assert not list((home / "models" / ".staging").iterdir())


def test_too_little_disk_space_is_said_before_anything_is_fetched(tmp_path: Path, hub: Hub) -> None:
    text = toy().replace(f"bytes = {len(BIG)}", f"bytes = {10**18}")
    with pytest.raises(WeightsError) as failure:
        fetch("toy", tmp_path, models=parse_catalogue(text))
    assert failure.value.key == "weights.disk_space"
    assert hub.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_is_called_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as failure, storage_errors("toy", tmp_path):
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
    assert failure.value.key == "weights.disk_full"
    assert isinstance(failure.value.__cause__, OSError) and failure.value.__cause__.errno == errno.ENOSPC


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, hub: Hub) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    with pytest.raises(WeightsError) as failure:
        fetch("toy", tmp_path, models=TOY)
    assert failure.value.key == "weights.storage"


def test_remove_frees_model_and_parts_but_nothing_of_others(tmp_path: Path, hub: Hub) -> None:
    models = parse_catalogue(toy() + toy(name="toy-large"))
    assert remove("toy", tmp_path, models) == 0
    folder = fetch("toy", tmp_path, models=models)
    for staging in ("toy-r0", "toy-large-r1"):
        (tmp_path / "models" / ".staging" / staging).mkdir(parents=True)
        (tmp_path / "models" / ".staging" / staging / "x.part").write_bytes(bytes(1000))
    manifest_bytes = (folder / "manifest.json").stat().st_size
    assert remove("toy", tmp_path, models) == len(BIG) + len(SMALL) + manifest_bytes + 1000
    assert status("toy", tmp_path, models) == "absent"
    assert status("toy-large", tmp_path, models) == "partial"


def test_remove_waits_for_nobody_who_is_fetching(tmp_path: Path, hub: Hub) -> None:
    fetch("toy", tmp_path, models=TOY)
    with lock_of("toy", tmp_path), pytest.raises(WeightsError) as refusal:
        remove("toy", tmp_path, TOY)
    assert refusal.value.key == "weights.busy"
    assert is_present("toy", tmp_path, TOY)
