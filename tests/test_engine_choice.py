"""Which engine is taken, why the others are not, and what is got and prepared for it.

The rules are tested on a made-up computer: toy engines and toy weights under the real names, so that nothing depends on
what happens to be installed here. The real table is tested for what it promises.
"""

from __future__ import annotations

import importlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jiyao import engines, weights
from jiyao.engines import EngineEntry, feeds
from jiyao.engines.feeds import Feed
from jiyao.engines.qwen.checkpoint import Checkpoint
from jiyao.errors import EngineError, WeightsError
from jiyao.settings import Settings
from tests.weights_toys import FILES, toy

GPU, CPU, SMALL = "qwen-torch", "qwen-cpu", "whisper-base"
BIG, OLD, ONNX = "qwen3-asr-0.6b", "qwen3-asr-0.6b-original", "qwen3-asr-0.6b-int8-onnx"
WORDS = "qwen3-forced-aligner-0.6b"


@dataclass
class Computer:
    """A computer whose engines are modules in `folder`; `home` is empty at first."""

    folder: Path
    home: Path
    patch: pytest.MonkeyPatch
    modules: list[str] = field(default_factory=list)

    def settings(self, engine: Any = "auto") -> Settings:
        return Settings(home=self.home, engine=engine, ui="en")

    def module(self, name: str, text: str) -> str:
        (self.folder / f"{name}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        self.modules.append(name)
        return name

    def lacks(self, engine: str, reason: str) -> None:
        module = importlib.import_module(engines.ENGINES[engine].module)
        self.patch.setattr(module, "usable", lambda: reason, raising=False)

    def put(self, *models: str) -> None:
        """The weights of these models, by hand."""
        for name in models:
            for path, data in FILES.items():
                target = self.home / "models" / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            weights.fetch(name, self.home)

    def replace_catalogue(self, text: str) -> None:
        models = weights.parse_catalogue(text)
        for module in ("jiyao.weights.catalogue", "jiyao.weights.store", "jiyao.weights"):
            self.patch.setattr(sys.modules[module], "catalogue", lambda: models)


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterable[Computer]:
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    made = Computer(folder, tmp_path / "home", monkeypatch)
    made.replace_catalogue("".join(toy(name=name) for name in (BIG, OLD, ONNX, WORDS, SMALL)))
    entries = (
        EngineEntry(GPU, made.module("toy_gpu", "def usable(): return None\n"), "engine.reason_no_torch"),
        EngineEntry(CPU, made.module("toy_cpu", "def usable(): return None\n"), "engine.reason_no_cpu_library"),
        EngineEntry(SMALL, made.module("toy_small", "")),
        EngineEntry("scripted", "jiyao.engines.scripted"),
    )
    monkeypatch.setattr(engines, "ENGINES", {entry.name: entry for entry in entries})
    recipe = made.module(
        "toy_recipe",
        "VERSION = 3\n"
        "def build(checkpoint, target):\n"
        "    (target / 'made').write_bytes((checkpoint / 'model.bin').read_bytes()[:9])\n",
    )
    lists = {
        GPU: (Feed(BIG), Feed(OLD, (), "native", recipe)),
        CPU: (Feed(BIG, (), "int8", recipe), Feed(OLD, (), "int8", recipe), Feed(ONNX)),
        SMALL: (Feed(SMALL),),
    }
    monkeypatch.setattr(feeds, "FEEDS", lists)
    monkeypatch.setattr(feeds, "ALIGNERS", {CPU: (Feed(WORDS, (), "int8", recipe),)})
    yield made
    for name in made.modules:
        sys.modules.pop(name, None)


def chosen(choice: engines.Choice) -> tuple[str, str | None]:
    return choice.name, choice.missing_model


class TestAuto:
    def test_with_nothing_here_the_best_is_got_first_and_the_starter_last(self, computer: Computer) -> None:
        choice = engines.choose(computer.settings())
        assert chosen(choice) == (GPU, BIG)
        assert choice.fallbacks == (OLD, ONNX, SMALL)

    def test_without_a_gpu_nothing_is_got_for_one(self, computer: Computer) -> None:
        computer.lacks(GPU, "engine.reason_no_gpu")
        computer.patch.setitem(feeds.FEEDS, GPU, (Feed(BIG), Feed("qwen3-gpu-only")))
        choice = engines.choose(computer.settings())
        assert chosen(choice) == (CPU, BIG)
        assert choice.fallbacks == (OLD, ONNX, SMALL)
        assert (GPU, "engine.reason_no_gpu") in choice.rejected

    def test_where_only_the_starter_runs_only_it_is_got(self, computer: Computer) -> None:
        computer.lacks(GPU, "engine.reason_no_gpu")
        computer.lacks(CPU, "engine.reason_no_sherpa")
        choice = engines.choose(computer.settings())
        assert chosen(choice) == (SMALL, SMALL) and choice.fallbacks == ()
        assert choice.rejected == ((GPU, "engine.reason_no_gpu"), (CPU, "engine.reason_no_sherpa"))

    def test_the_best_that_is_here_is_taken_and_the_better_ones_explained(self, computer: Computer) -> None:
        computer.put(SMALL)
        assert chosen(engines.choose(computer.settings())) == (SMALL, None)
        computer.put(ONNX)
        choice = engines.choose(computer.settings())
        assert chosen(choice) == (CPU, None)
        assert choice.rejected == ((GPU, "engine.reason_no_weights"),)
        computer.put(BIG)
        assert engines.choose(computer.settings()) == engines.Choice(GPU, None)

    def test_what_is_here_but_unprepared_is_prepared_first(self, computer: Computer) -> None:
        computer.put(OLD, SMALL)
        assert chosen(engines.choose(computer.settings())) == (GPU, OLD)
        passed_over = engines.choose(computer.settings(), only_ready=True)
        assert chosen(passed_over) == (SMALL, None)
        assert passed_over.rejected == ((GPU, "engine.reason_not_prepared"), (CPU, "engine.reason_not_prepared"))
        assert engines.prepare(OLD, computer.settings()) == (GPU, CPU)
        assert chosen(engines.choose(computer.settings(), only_ready=True)) == (GPU, None)

    def test_a_newer_recipe_prepares_again(self, computer: Computer) -> None:
        computer.lacks(GPU, "engine.reason_no_gpu")
        computer.put(BIG)
        engines.prepare(BIG, computer.settings())
        assert chosen(engines.choose(computer.settings())) == (CPU, None)
        computer.patch.setattr(importlib.import_module("toy_recipe"), "VERSION", 4)
        assert chosen(engines.choose(computer.settings())) == (CPU, BIG)

    def test_one_that_did_not_load_gives_way_to_the_next(self, computer: Computer) -> None:
        computer.put(BIG, ONNX, SMALL)
        failed = {GPU: "engine.reason_did_not_load"}
        assert engines.choose(computer.settings(), failed).rejected == tuple(failed.items())
        failed |= {CPU: "engine.reason_did_not_load"}
        assert chosen(engines.choose(computer.settings(), failed)) == (SMALL, None)
        with pytest.raises(EngineError):
            engines.choose(computer.settings(), {**failed, SMALL: "engine.reason_did_not_load"})

    def test_a_missing_library_is_told_without_importing_the_engine(self, computer: Computer) -> None:
        computer.patch.setitem(feeds.FEEDS, GPU, (Feed(BIG, ("no_such_library",)),))
        computer.put(BIG)
        choice = engines.choose(computer.settings())
        assert choice.rejected[0] == (GPU, "engine.reason_no_torch")
        assert "toy_gpu" not in sys.modules

    def test_a_missing_library_closes_one_way_of_an_engine_only(self, computer: Computer) -> None:
        ways = (Feed(BIG, ("no_such_library",)), Feed(ONNX))
        computer.patch.setitem(feeds.FEEDS, CPU, ways)
        computer.lacks(GPU, "engine.reason_no_gpu")
        computer.put(BIG, ONNX)
        assert chosen(engines.choose(computer.settings())) == (CPU, None)
        found = feeds.ready(CPU, computer.home)
        assert found is not None and found.folder == computer.home / "models" / ONNX and found.revision == "r1"

    def test_an_engine_that_is_not_written_yet_is_told(self, computer: Computer) -> None:
        computer.patch.setitem(engines.ENGINES, GPU, EngineEntry(GPU, "jiyao.engines.no_such_engine"))
        assert engines.choose(computer.settings()).rejected[0] == (GPU, "engine.reason_not_built")
        with pytest.raises(EngineError) as refused:
            engines.open_engine(GPU, computer.settings())
        assert refused.value.key == "engine.not_built"


class TestWanted:
    def test_is_never_swapped(self, computer: Computer) -> None:
        computer.put(SMALL)
        choice = engines.choose(computer.settings(CPU))
        assert chosen(choice) == (CPU, BIG) and choice.fallbacks == (OLD, ONNX)

    def test_is_refused_with_the_reason_where_it_cannot_run(self, computer: Computer) -> None:
        computer.lacks(GPU, "engine.reason_no_gpu")
        with pytest.raises(EngineError) as refused:
            engines.choose(computer.settings(GPU))
        assert refused.value.key == "engine.unusable"
        assert "no NVIDIA graphics card" in refused.value.message()


class TestFeeds:
    def test_the_best_ready_one_is_opened(self, computer: Computer) -> None:
        assert feeds.ready(CPU, computer.home) is None
        computer.put(OLD, ONNX)
        found = feeds.ready(CPU, computer.home)
        assert found is not None and found.feed.model == ONNX
        engines.prepare(OLD, computer.settings())
        found = feeds.ready(CPU, computer.home)
        assert found is not None and found.feed.model == OLD
        assert found.folder == computer.home / "models" / ".prepared" / OLD / "int8"
        assert (found.folder / "made").read_bytes() == FILES["model.bin"][:9]
        assert found.fetched == computer.home / "models" / OLD

    def test_an_aligner_never_makes_an_engine_ready(self, computer: Computer) -> None:
        computer.put(WORDS)
        assert feeds.ready_aligner(CPU, computer.home) is None
        assert engines.prepare(WORDS, computer.settings()) == (CPU,)
        found = feeds.ready_aligner(CPU, computer.home)
        assert found is not None and found.feed.model == WORDS
        assert feeds.ready(CPU, computer.home) is None and feeds.ready_aligner(GPU, computer.home) is None
        assert chosen(engines.choose(computer.settings())) == (GPU, BIG)

    def test_nothing_is_prepared_for_an_engine_that_does_not_run_here(self, computer: Computer) -> None:
        computer.lacks(GPU, "engine.reason_no_gpu")
        computer.put(OLD)
        assert engines.prepare(OLD, computer.settings()) == (CPU,)
        assert not (computer.home / "models" / ".prepared" / OLD / "native").exists()

    def test_a_model_that_is_not_here_cannot_be_prepared(self, computer: Computer) -> None:
        with pytest.raises(WeightsError) as missing:
            engines.prepare(OLD, computer.settings())
        assert missing.value.key == "weights.missing"

    def test_offers_say_what_this_computer_can_do(self, computer: Computer) -> None:
        computer.lacks(GPU, "engine.reason_no_gpu")
        computer.put(BIG, SMALL)
        computer.patch.setattr(engines, "SPEEDS", {(CPU, BIG): 0.13})
        offers = {offer.model.name: offer for offer in engines.offers(computer.settings())}
        assert list(offers) == [BIG, OLD, ONNX, WORDS, SMALL]
        assert offers[WORDS].engines == (CPU,)
        assert (offers[BIG].state, offers[BIG].engines, offers[BIG].speed) == ("unprepared", (CPU,), 0.13)
        assert (offers[OLD].state, offers[OLD].engines, offers[OLD].speed) == ("absent", (CPU,), None)
        assert (offers[SMALL].state, offers[SMALL].engines) == ("present", (SMALL,))
        engines.prepare(BIG, computer.settings())
        assert engines.offers(computer.settings())[0].state == "present"

    def test_the_original_layout_is_really_converted(self, computer: Computer, qwen_original_folder: Path) -> None:
        files = {path.name: path.read_bytes() for path in qwen_original_folder.iterdir()}
        computer.replace_catalogue(toy(name=OLD, files=files))
        computer.lacks(CPU, "engine.reason_no_sherpa")
        conversion = "jiyao.engines.qwen.conversion"
        computer.patch.setitem(feeds.FEEDS, GPU, (Feed(OLD, (), "native", conversion),))
        for name, data in files.items():
            target = computer.home / "models" / OLD / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        weights.fetch(OLD, computer.home)
        engines.prepare(OLD, computer.settings())
        found = feeds.ready(GPU, computer.home)
        assert found is not None
        assert Checkpoint.open_native(found.folder).names() == Checkpoint.open(qwen_original_folder).names()
        assert {check.verdict for check in weights.verify(OLD, computer.home)} == {"ok"}


class TestTheRealTable:
    def test_every_feed_is_in_the_catalogue_and_every_recipe_a_module_of_ours(self) -> None:
        for name, ways in (*feeds.FEEDS.items(), *feeds.ALIGNERS.items()):
            assert name in engines.ENGINES
            for feed in ways:
                assert feed.model in weights.catalogue() and weights.find_model(feed.model).files
                assert (feed.kind is None) == (feed.recipe is None)
                assert feed.recipe is None or feed.recipe.startswith("jiyao.engines.qwen.")

    def test_the_conversion_keeps_the_contract_of_recipes(self) -> None:
        recipe = importlib.import_module("jiyao.engines.qwen.conversion")
        assert isinstance(recipe.VERSION, int) and recipe.build is recipe.convert

    def test_speeds_are_of_feeds_there_are(self) -> None:
        for engine, model in engines.SPEEDS:
            assert model in engines.ENGINES[engine].models

    def test_the_starter_runs_everywhere(self) -> None:
        assert engines.unusable("whisper-base") is None

    def test_opening_without_weights_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError):
            engines.open_engine("whisper-base", Settings(home=tmp_path))

    def test_looking_does_not_import_torch_where_no_engine_needs_it(self, tmp_path: Path) -> None:
        script = (
            "import sys; from pathlib import Path; from jiyao import engines; from jiyao.engines import feeds\n"
            f"print([feeds.ready(name, Path({str(tmp_path)!r})) for name in feeds.FEEDS])\n"
            "print('torch' in sys.modules, 'openvino' in sys.modules, 'sherpa_onnx' in sys.modules)"
        )
        answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
        assert answer.stdout.split("\n")[:2] == ["[None, None, None]", "False False False"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jiyao", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env={**os.environ, "LANGUAGE": "en", **environment},
    )


class TestCommands:
    @pytest.mark.parametrize("columns", ["200", "80", "60", "40"])
    def test_names_of_models_stay_whole_in_any_window(self, columns: str) -> None:
        result = run("models", "list", COLUMNS=columns, FORCE_COLOR="1", TERM="xterm")
        assert result.returncode == 0
        words = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout).split()
        assert set(weights.catalogue()) <= set(words)

    def test_the_list_says_what_auto_would_do(self, tmp_path: Path) -> None:
        result = run("models", "list", JIYAO_HOME=str(tmp_path))
        assert "auto would get" in result.stderr
        assert "whisper-base" in result.stderr

    def test_what_cannot_be_reached_gives_way_to_the_next(self, tmp_path: Path) -> None:
        with socket.socket() as closed:  # bound, and nobody listens
            closed.bind(("127.0.0.1", 0))
            dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
            hubs = ("JIYAO_MODELSCOPE_ENDPOINT", "HF_ENDPOINT", "JIYAO_HF_MIRROR_ENDPOINT")
            surroundings = dict.fromkeys(hubs, dead) | {"JIYAO_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
            result = run("models", "get", BIG, "--or", "silero-vad-v6", **surroundings)
            assert result.returncode == 0, result.stderr
            assert f"{BIG} cannot be had now (127.0.0.1" in result.stderr
            assert "silero-vad-v6 is ready" in result.stderr
            alone = run("models", "get", BIG, **surroundings)
        assert alone.returncode == 4
        assert "could not be fetched" in alone.stderr


def test_reachable_asks_all_at_once_and_says_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.weights_toys import serving

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as alive, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", alive.url)
        monkeypatch.setenv("JIYAO_MODELSCOPE_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        models = weights.parse_catalogue(
            toy(("huggingface", "modelscope"), name="either") + toy(("modelscope",), name="neither")
        )
        answers = weights.reachable(models, tmp_path, models=models)
        assert answers["either"] == ""
        assert answers["neither"].startswith("127.0.0.1:") and "unreachable" in answers["neither"]
        assert alive.probes == 1 and alive.requests == []
        (tmp_path / "models" / "neither").mkdir(parents=True)  # files put there by hand need no network
        assert weights.reachable(["neither"], tmp_path, models=models) == {"neither": ""}
