"""What there is for Docker, as far as it can be checked without an engine: what is named, what is promised.

The door between the networks is run for real. How the rest was tried: the heads of Dockerfile and compose.yaml.
"""

from __future__ import annotations

import asyncio
import fnmatch
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from jiyao.cli import app
from jiyao.web.launch import IN_CONTAINER
from tests.conftest import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """(name, rest) of every one; comments gone, lines joined."""
    bare = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M)
    joined = re.sub(r"\\\n\s*", "", bare)
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in joined.splitlines() if line.strip()]


def stages() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for word, rest in instructions():
        if word == "FROM":
            name = rest.split(" AS ")[1]
            found[name] = []
        if name:
            found[name].append((word, rest))
    return found


# Dockerfile


def test_everything_that_is_copied_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored, "nothing else of the folder: no recordings, no .venv"
    sources = set()
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from="):
            sources |= set(rest.split()[:-1])
    assert sources == allowed
    assert [name for name in sources if not (ROOT / name).exists()] == []


def test_stages_that_are_named_exist() -> None:
    known = stages()
    for name, content in known.items():
        parent = content[0][1].split(" AS ")[0]
        assert parent in known or parent == "${PYTHON_IMAGE}", name
        for word, rest in content:
            if word == "COPY" and rest.startswith("--from="):
                assert rest.split()[0].removeprefix("--from=") in known
    assert list(known)[-1] == "cpu", "the one that is built where none is named"


def test_the_base_is_the_python_that_the_wheels_are_locked_for() -> None:
    assert "ARG PYTHON_IMAGE=python:3.11-slim" in DOCKERFILE


def test_packages_are_hashed_and_nothing_else_comes_in() -> None:
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    for install in installs:
        assert "--require-hashes" in install and "--no-deps" in install
        named = re.findall(r"-r /tmp/(\S+)", install)
        assert named and all((ROOT / name).exists() for name in named)


@pytest.mark.parametrize("stage", ["cpu", "cuda", "door"])
def test_nobody_is_root(stage: str) -> None:
    users = [rest for word, rest in stages()[stage] if word == "USER"]
    assert users == ["10001:10001"]


@pytest.mark.parametrize("stage", ["cpu", "cuda"])
def test_a_baked_model_is_in_the_volume(stage: str) -> None:
    """What is written below a volume after it was declared, some builders throw away."""
    words = [word for word, _ in stages()[stage]]
    assert words.index("RUN") < words.index("VOLUME")
    assert "models get" in dict(stages()[stage])["RUN"]


def test_the_command_is_one_of_jiyaos(monkeypatch: pytest.MonkeyPatch) -> None:
    content = dict(stages()["app"])
    assert content["ENTRYPOINT"] == '["python", "-m", "jiyao"]'
    command = re.findall(r'"([^"]+)"', content["CMD"])
    assert command == ["web", "--host", "0.0.0.0", "--no-browser"]
    served: dict[str, Any] = {}
    monkeypatch.setattr("jiyao.web.app.serve", lambda settings, **given: served.update(given) or 0)
    assert CliRunner().invoke(app, command).exit_code == 0
    assert served["host"] == "0.0.0.0" and served["open_browser"] is False
    assert f"{IN_CONTAINER}=1" in content["ENV"]


# compose.yaml


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="no parser of YAML on this computer")
    whole: dict[str, Any] = yaml.safe_load(COMPOSE)
    return whole


def test_every_container_is_closed(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"cpu", "cuda", "door", "fetch"}
    for service in compose["services"].values():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["tmpfs"][0].startswith("/tmp:")
        assert service["build"]["target"] in stages()
        assert service["profiles"], "nothing starts that nobody asked for"


def test_who_holds_recordings_has_no_way_out(compose: dict[str, Any]) -> None:
    assert compose["networks"]["inside"] == {"internal": True}
    for name in ("cpu", "cuda"):
        service = compose["services"][name]
        assert set(service["networks"]) == {"inside"} and "ports" not in service and "network_mode" not in service


def test_the_door_holds_nothing(compose: dict[str, Any]) -> None:
    door = compose["services"]["door"]
    assert set(door["networks"]) == {"inside", "outside"}
    assert "volumes" not in door and "environment" not in door
    assert door["command"][:2] == ["python", "/app/door.py"]


def test_commands_are_jiyaos(compose: dict[str, Any]) -> None:
    assert compose["services"]["fetch"]["command"][:2] == ["models", "get"]
    assert compose["services"]["cpu"]["command"] == compose["services"]["cuda"]["command"]
    assert compose["services"]["cpu"]["command"][:4] == ["web", "--host", "0.0.0.0", "--no-browser"]


def test_only_this_computer_gets_in() -> None:
    ports = re.findall(r"ports: \[(.*)\]", COMPOSE)
    assert len(ports) == 1 and ports[0].startswith('"127.0.0.1:')


def test_targets_and_files_that_are_named_exist() -> None:
    for target in re.findall(r"target: (\w+)", COMPOSE):
        assert target in stages()
    for script in re.findall(r"/app/(\w+\.py)", DOCKERFILE + COMPOSE):
        assert (ROOT / "docker" / script).exists()


def test_no_recording_goes_into_the_image() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    wanted = [line[1:] for line in lines if line.startswith("!")]
    assert not any(
        fnmatch.fnmatch(name, pattern) for pattern in wanted for name in ("samples", "tests", ".git", ".venv")
    )


HADOLINT = shutil.which("hadolint", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
def test_the_linter_finds_nothing() -> None:
    assert HADOLINT is not None
    done = subprocess.run([HADOLINT, str(ROOT / "Dockerfile")], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout


# the door


@pytest.fixture(scope="module")
def door() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("door", ROOT / "docker" / "door.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


def test_what_comes_in_goes_through_whole_both_ways(door: ModuleType) -> None:
    sent = bytes(range(256)) * 20_000

    async def scene() -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got = await reader.readexactly(len(sent))
            writer.write(got[::-1])
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as there:
            port = there.sockets[0].getsockname()[1]
            free = await asyncio.start_server(answer, "127.0.0.1", 0)
            entrance = free.sockets[0].getsockname()[1]
            free.close()
            await free.wait_closed()
            task = asyncio.create_task(door.main("127.0.0.1", port, entrance))
            await asyncio.sleep(0.2)
            reader, writer = await asyncio.open_connection("127.0.0.1", entrance)
            writer.write(sent)
            await writer.drain()
            got = await reader.read(-1)
            writer.close()
            task.cancel()
            return got

    assert asyncio.run(asyncio.wait_for(scene(), 60)) == sent[::-1]


def test_where_nobody_answers_the_door_closes(door: ModuleType) -> None:
    async def scene() -> bytes:
        async def nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        free = await asyncio.start_server(nobody, "127.0.0.1", 0)
        entrance = free.sockets[0].getsockname()[1]
        free.close()
        await free.wait_closed()
        task = asyncio.create_task(door.main("127.0.0.1", 9, entrance))
        await asyncio.sleep(0.2)
        reader, writer = await asyncio.open_connection("127.0.0.1", entrance)
        got = await reader.read(-1)
        writer.close()
        task.cancel()
        return got

    assert asyncio.run(asyncio.wait_for(scene(), 60)) == b""


def test_health_says_no_where_nothing_runs() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docker" / "health.py")],
        env={"JIYAO_PORT": "9", "SYSTEMROOT": ""},
        check=False,
    )
    assert done.returncode == 1


def test_paths_in_the_heads_exist() -> None:
    for text in (DOCKERFILE, COMPOSE):
        head = "\n".join(line for line in text.splitlines() if line.startswith("#"))
        for named in re.findall(r"\b(?:docker/\w+\.py|compose\.yaml|Dockerfile)", head):
            assert Path(ROOT / named).exists()
