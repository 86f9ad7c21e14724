"""The shape of the code: who may import whom, how long things are, and that importing jiyao does nothing.

Every check is a function over sources, so that each can be shown a small bad example and fail.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "jiyao"

# A room imports only from rooms above its own (DESIGN section 2); a folder is one room.
GROUND = ("timeline", "messages", "errors", "text", "settings", "weights", "inference")
STATIONS = (
    "audio",
    "documents",
    "cleaning",
    "segmentation",
    "recognition",
    "engines",
    "guards",
    "alignment",
    "transcript",
    "retiming",
    "glossary",
    "speakers",
    "editing",
    "exports",
    "pipeline",
)
RUNNING = ("seal", "memory", "worker", "vault", "jobs")
DOORS = ("api", "web", "console", "opening", "results", "kept", "models_cli", "terms_cli", "cli")
ROOMS = (*GROUND, *STATIONS, *RUNNING, *DOORS)
ORDER = (*ROOMS, "__main__")
KNOWS_ENGINES = ("worker", "jobs", "api", "console", "opening", "models_cli")  # which there are, and why one was chosen
OPENS_ENGINES = ("worker",)

MAX_LINES = 400
MAX_FUNCTION_LINES = 60
HEAVY = (
    "torch",
    "transformers",
    "ctranslate2",
    "faster_whisper",
    "onnx",
    "onnxruntime",
    "openvino",
    "sherpa_onnx",
    "docx",
    "opencc",
    "pypdf",
    "rjieba",
)

Sources = Mapping[str, str]  # dotted module name -> text; a package by its own name


def sources() -> dict[str, str]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ("jiyao", *path.relative_to(SOURCE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def is_package(name: str, among: Sources) -> bool:
    return any(other.startswith(f"{name}.") for other in among)


def imports_of(name: str, among: Sources) -> Iterator[tuple[str, int]]:
    """(module, line) for every import of ours in module `name`: lazy ones, those for types, and names in strings."""
    for node in ast.walk(ast.parse(among[name])):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, name, among)
            # `from jiyao import text` means a module, `from jiyao.text import tidy` a name in one
            wanted = [f"{base}.{a.name}" if f"{base}.{a.name}" in among else base for a in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            wanted = [node.value] if re.fullmatch(r"jiyao(\.\w+)+", node.value) and node.value in among else []
        else:
            continue
        yield from ((module, node.lineno) for module in wanted if module.partition(".")[0] == "jiyao")


def _absolute(node: ast.ImportFrom, name: str, among: Sources) -> str:
    if not node.level:
        return node.module or ""
    parts = name.split(".") if is_package(name, among) else name.split(".")[:-1]
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def room(module: str) -> str:
    """`weights` for jiyao.weights.store; empty for jiyao itself."""
    return (module.split(".") + [""])[1]


# the checks: each returns its complaints


def against_the_order(among: Sources) -> list[str]:
    """Imports of a room that does not stand above. A room may import its own submodules."""
    found = []
    for name in among:
        here = room(name)
        for module, line in imports_of(name, among):
            there = room(module)
            if there in ("", here) and here:
                continue
            if here not in ORDER or there not in ORDER or ORDER.index(there) >= ORDER.index(here):
                found.append(f"{name}:{line} imports {module}")
    return found


def wrong_about_engines(among: Sources) -> list[str]:
    """Who may know the table of engines, who may open one, and that nobody reaches past the table."""
    found = []
    for name, text in among.items():
        here = room(name)
        if here == "engines":
            continue
        for module, line in imports_of(name, among):
            if room(module) == "engines" and (here not in KNOWS_ENGINES or module != "jiyao.engines"):
                found.append(f"{name}:{line} imports {module}")
        if here not in OPENS_ENGINES:
            for node in ast.walk(ast.parse(text)):
                names = {getattr(node, "attr", ""), getattr(node, "id", ""), getattr(node, "name", "")}
                if "open_engine" in names:
                    found.append(f"{name}:{getattr(node, 'lineno', 0)} opens an engine")
    return found


def cycles(among: Sources) -> list[str]:
    """Modules that import one another in a ring, lazily or not."""
    edges = {name: sorted({module for module, _ in imports_of(name, among) if module in among}) for name in among}
    finished: set[str] = set()
    found = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            found.append(" > ".join([*path[path.index(name) :], name]))
        elif name not in finished:
            for module in edges[name]:
                visit(module, (*path, name))
            finished.add(name)

    for name in edges:
        visit(name, ())
    return found


def too_long(among: Sources) -> list[str]:
    found = [f"{name}: {len(t.splitlines())} lines" for name, t in among.items() if len(t.splitlines()) > MAX_LINES]
    for name, text in among.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    found.append(f"{name}.{node.name}: {lines} lines")
    return found


def tree_in(readme: str) -> list[str]:
    """The rooms that a README shows, in its order: `timeline.py`, `weights/`."""
    blocks = re.findall(r"```\w*\n(.*?)```", readme, re.DOTALL)
    [tree] = [block for block in blocks if re.search(r"^\s*(\S+\s+)?timeline\.py\s", block, re.MULTILINE)]
    return re.findall(r"^\s*(?:\S+\s+)?(\w+(?:\.py|/))\s{2,}\S", tree, re.MULTILINE)


def rooms_in(folder: Path) -> set[str]:
    """What stands in src/jiyao: modules and packages. `__init__` and `__main__` are the door frame, not rooms."""
    files = {path.name for path in folder.glob("*.py") if not path.name.startswith("__")}
    return files | {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}


# src/jiyao as it stands


def test_a_module_imports_only_from_above() -> None:
    assert against_the_order(sources()) == []


def test_few_know_engines_and_only_the_worker_opens_them() -> None:
    assert wrong_about_engines(sources()) == []


def test_no_import_goes_round() -> None:
    assert cycles(sources()) == []


def test_files_and_functions_are_short() -> None:
    assert too_long(sources()) == []


def test_every_room_stands_in_the_order_and_there_is_no_other() -> None:
    assert rooms_in(SOURCE) == {f"{name}/" if (SOURCE / name).is_dir() else f"{name}.py" for name in ROOMS}


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_shows_the_rooms_in_their_order(name: str) -> None:
    shown = tree_in((ROOT / name).read_text(encoding="utf-8"))
    assert set(shown) == rooms_in(SOURCE)
    assert shown == sorted(shown, key=lambda entry: ROOMS.index(re.sub(r"\.py$|/$", "", entry)))


# each check can fail


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jiyao.text", "from jiyao.settings import Settings"),
        ("jiyao.text", "def f():\n    from jiyao import settings"),
        ("jiyao.text", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jiyao.cli"),
        ("jiyao.text", "import importlib\nimportlib.import_module('jiyao.settings')"),
        ("jiyao.text", "from . import settings"),
        ("jiyao.text", "from .settings import Settings"),
        ("jiyao.weights.store", "from ..audio import Note"),
        ("jiyao.weights.store", "try:\n    import jiyao.audio as a\nexcept ImportError:\n    pass"),
        ("jiyao.newroom", "from jiyao import text"),
        ("jiyao", "from jiyao import text"),
    ],
)
def test_an_import_from_below_would_be_found(name: str, text: str) -> None:
    among = {
        "jiyao.settings": "",
        "jiyao.audio": "",
        "jiyao.cli": "",
        "jiyao.weights": "",
        "jiyao.text": "",
        "jiyao": "",
    }
    assert against_the_order({**among, name: text})


def test_imports_from_above_and_within_are_fine() -> None:
    among = {
        "jiyao": "",
        "jiyao.text": "",
        "jiyao.weights": "from jiyao.weights import store",
        "jiyao.weights.store": "",
    }
    among["jiyao.weights.store"] = (
        "import numpy\nfrom jiyao import __version__\nfrom ..text import tidy\nfrom jiyao import text"
    )
    among["jiyao.cli"] = "'jiyao.nothing is only a word'\nimport jiyao.weights.store"
    assert against_the_order(among) == cycles(among) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jiyao.pipeline", "from jiyao import engines"),
        ("jiyao.pipeline", "def f():\n    import jiyao.engines"),
        ("jiyao.transcript", "from jiyao.engines import Choice"),
        ("jiyao.cli", "from jiyao.engines.qwen import Qwen"),
        ("jiyao.cli", "NAME = 'jiyao.engines.qwen'"),
        ("jiyao.console", "from jiyao.engines import open_engine"),
        ("jiyao.console", "from jiyao import engines\nengines.open_engine('x', None)"),
        ("jiyao.pipeline", "def f(open_engine):\n    open_engine()"),
    ],
)
def test_a_wrong_hand_on_engines_would_be_found(name: str, text: str) -> None:
    among = {
        "jiyao.engines": "",
        "jiyao.engines.qwen": "",
        "jiyao.worker.child": "from jiyao.engines import open_engine",
    }
    assert wrong_about_engines(among) == []
    assert wrong_about_engines({**among, name: text})


def test_a_ring_would_be_found() -> None:
    ring = {
        "jiyao.a": "from jiyao import b",
        "jiyao.b": "def f():\n    from jiyao.c import x",
        "jiyao.c": "import jiyao.a",
    }
    assert cycles(ring) == ["jiyao.a > jiyao.b > jiyao.c > jiyao.a"]
    inside = {"jiyao.a": "from jiyao.a.b import x", "jiyao.a.b": "from jiyao.a import y"}
    assert cycles(inside) == ["jiyao.a > jiyao.a.b > jiyao.a"]


def test_length_would_be_found() -> None:
    body = "\n".join(["    pass"] * MAX_FUNCTION_LINES)
    assert too_long({"a": "x = 1\n" * MAX_LINES, "b": "def f():\n" + body[:-9]}) == []
    assert too_long({"a": "x = 1\n" * (MAX_LINES + 1)}) == ["a: 401 lines"]
    assert too_long({"a": f"class A:\n    async def f(self):\n{body.replace('    ', '        ')}"}) == ["a.f: 61 lines"]


def test_a_tree_that_differs_would_be_found(tmp_path: Path) -> None:
    tree = "# A\n```sh\nls\n```\n```\nground      timeline.py   a clock\n            weights/      models\n```\n"
    assert tree_in(tree) == ["timeline.py", "weights/"]
    (tmp_path / "weights").mkdir()
    for name in ("timeline.py", "weights/__init__.py", "weights/store.py", "__init__.py", "__main__.py", "new.py"):
        (tmp_path / name).touch()
    assert rooms_in(tmp_path) - set(tree_in(tree)) == {"new.py"}


# what importing does

# Runs in a child: audit hooks cannot be taken away again. Prints what happened as JSON.
IMPORT_ALL = """
import _thread, importlib, json, pkgutil, sys, threading
happened = []
sys.addaudithook(lambda event, _: happened.append(event) if event.startswith("socket.") else None)
start = threading.Thread.start
threading.Thread.start = lambda thread: (happened.append("thread " + thread.name), start(thread))
for module in (_thread, threading):
    for name in ("start_new_thread", "_start_new_thread", "start_joinable_thread", "_start_joinable_thread"):
        original = getattr(module, name, None)
        if original:
            def note(*args, original=original, **more):
                happened.append("thread")
                return original(*args, **more)
            setattr(module, name, note)
package = importlib.import_module(sys.argv[1])
names = [package.__name__]
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(found.name)
    names.append(found.name)
heavy = [name for name in sys.argv[2].split(",") if name in sys.modules]
print(json.dumps({"names": names, "happened": happened, "heavy": heavy}))
"""


def import_all(package: str, path: Path) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package, ",".join(HEAVY)],
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    seen: dict[str, list[str]] = json.loads(done.stdout)
    return seen


def test_importing_everything_does_nothing() -> None:
    seen = import_all("jiyao", SOURCE.parent)
    assert set(seen["names"]) == set(sources())
    assert seen["happened"] == seen["heavy"] == []


def test_the_command_line_does_not_wait_for_the_pages_libraries() -> None:
    code = "import sys, jiyao.cli; sys.exit(bool({'streamlit', 'uvicorn', 'starlette', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("import socket\nsocket.socket().close()", "happened"),
        ("import socket\nsocket.getaddrinfo('127.0.0.1', 80)", "happened"),
        ("import threading\nthreading.Thread(target=print).start()", "happened"),
        ("import _thread\n_thread.start_new_thread(int, ())", "happened"),
        ("from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor().submit(int)", "happened"),
        ("import torch", "heavy"),
        ("import docx", "heavy"),
    ],
)
def test_an_import_that_does_something_would_be_found(tmp_path: Path, text: str, kind: str) -> None:
    for name in ("torch", "docx"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "toy" / "deep").mkdir(parents=True)
    (tmp_path / "toy" / "__init__.py").touch()
    (tmp_path / "toy" / "deep" / "__init__.py").touch()
    (tmp_path / "toy" / "deep" / "bad.py").write_text(text)
    assert import_all("toy", tmp_path)[kind]
