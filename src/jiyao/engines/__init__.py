"""The engines there are, and how one is chosen, made ready and opened.

An engine's module is imported only when it is asked whether it can run here, or opened: the table costs nothing.
`scripted` needs no weights and is never chosen by `auto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol, cast

from jiyao import weights
from jiyao.engines import feeds
from jiyao.engines.feeds import Feed
from jiyao.errors import EngineError
from jiyao.messages import say
from jiyao.recognition import Aligner, Engine
from jiyao.settings import Settings


@dataclass(frozen=True)
class EngineEntry:
    """`module` has `open_engine(settings) -> Engine` and may have `usable() -> str | None`, the key of the reason why
    this computer cannot run it. `no_library`: that key where none of its feeds has its libraries here."""

    name: str
    module: str
    no_library: str = "engine.reason_not_built"

    @property
    def models(self) -> tuple[str, ...]:
        """Names in the catalogue of what it can be fed with, best first."""
        return tuple(feed.model for feed in feeds.FEEDS.get(self.name, ()))


class _Module(Protocol):
    def open_engine(self, settings: Settings) -> Engine: ...


# best first
ENGINES = {
    entry.name: entry
    for entry in (
        EngineEntry("qwen-torch", "jiyao.engines.qwen_torch", "engine.reason_no_torch"),
        EngineEntry("qwen-cpu", "jiyao.engines.qwen_cpu", "engine.reason_no_cpu_library"),
        EngineEntry("whisper-base", "jiyao.engines.whisper_ct2"),
        EngineEntry("scripted", "jiyao.engines.scripted"),
    )
}

# Seconds of computing for a second of speech, on 2 cores without a GPU; None: not measured yet. LOG.md says how
SPEEDS: Mapping[tuple[str, str], float | None] = {
    ("qwen-cpu", "qwen3-asr-0.6b"): 0.06,
    ("qwen-cpu", "qwen3-asr-0.6b-original"): 0.06,
    ("qwen-cpu", "qwen3-asr-0.6b-int8-onnx"): None,
    ("whisper-base", "whisper-base"): 0.21,
}


@dataclass(frozen=True)
class Choice:
    """The engine to open, and why each better one was passed over: (name, key of messages.toml).

    `missing_model` must be got first (`jiyao models get`: fetched, or only prepared when it is here); where it cannot
    be, one of `fallbacks`, best first, and then there is another choice to make.
    """

    name: str
    missing_model: str | None
    rejected: tuple[tuple[str, str], ...] = ()
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Offer:
    """A model of the catalogue and what this computer can do with it: `engines` that would run it here, best first,
    and the `speed` of the first of them (see SPEEDS)."""

    model: weights.Model
    state: weights.Status | Literal["unprepared"]
    engines: tuple[str, ...]
    speed: float | None


def choose(settings: Settings, failed: Mapping[str, str] = {}, *, only_ready: bool = False) -> Choice:
    """The wanted engine, or for `auto` the best one that runs here and has its weights here.

    Where no engine has any, the best ones' models to fetch, the starter's last. `failed`: engines not to take again,
    and the reason; `only_ready`: what would need preparing first counts as passed over. Touches no network.
    Raises EngineError for a wanted engine that cannot run here, or when all have failed.
    """
    entries = [ENGINES[settings.engine]] if settings.engine != "auto" else [e for e in ENGINES.values() if e.models]
    rejected: list[tuple[str, str]] = []
    to_fetch: list[tuple[str, str]] = []
    for entry in entries:
        reason = failed.get(entry.name) or unusable(entry.name)
        if reason is not None:
            rejected.append((entry.name, reason))
            continue
        reason = "engine.reason_no_weights"
        for feed in feeds.feeds_of(entry.name):
            state = feeds.state(feed, settings.home)
            if state == "ready" or (state == "unprepared" and not only_ready):
                return Choice(entry.name, None if state == "ready" else feed.model, tuple(rejected))
            if state == "unprepared":
                reason = "engine.reason_not_prepared"
            to_fetch.append((entry.name, feed.model))
        rejected.append((entry.name, reason))
    if not to_fetch:
        name, reason = rejected[0]
        raise EngineError("engine.unusable", name=name, reason=say(reason, settings.ui_language))
    name, missing = to_fetch[0]
    others = tuple(dict.fromkeys(model for _, model in to_fetch if model != missing))
    return Choice(name, missing, tuple(pair for pair in rejected if pair[0] != name), others)


def unusable(name: str) -> str | None:
    """The key of the reason why the engine cannot run on this computer, weights or not; None if it can."""
    entry = ENGINES[name]
    if not feeds.is_installed(entry.module):
        return "engine.reason_not_built"
    if entry.models and not feeds.feeds_of(name):
        return entry.no_library
    usable = getattr(import_module(entry.module), "usable", None)
    return cast("str | None", usable()) if usable is not None else None


def prepare(model: str, settings: Settings) -> tuple[str, ...]:
    """Make of `model`, which is here, what the engines that run on this computer (or the aligners beside them) need;
    seconds to minutes the first time. Returns the engines that can use it now. Raises as `feeds.prepare` does."""
    fed = []
    for name, feed in _usable_feeds():
        if feed.model == model:
            feeds.prepare(feed, settings.home)
            fed.append(name)
    return tuple(fed)


def offers(settings: Settings) -> list[Offer]:
    """Every model of the catalogue, in its order."""
    usable_feeds = _usable_feeds()
    found = []
    for model in weights.catalogue().values():
        mine = [(name, feed) for name, feed in usable_feeds if feed.model == model.name]
        state: weights.Status | Literal["unprepared"] = weights.status(model.name, settings.home)
        if mine and all(feeds.state(feed, settings.home) == "unprepared" for _, feed in mine):
            state = "unprepared"
        names = tuple(name for name, _ in mine)
        found.append(Offer(model, state, names, SPEEDS.get((names[0], model.name)) if names else None))
    return found


def open_engine(name: str, settings: Settings) -> Engine:
    """Load an engine. Raises WeightsError when its weights are not here, EngineError when they do not load."""
    entry = ENGINES[name]
    if not feeds.is_installed(entry.module):
        raise EngineError("engine.not_built", name=name)
    return cast(_Module, import_module(entry.module)).open_engine(settings)


def open_aligner(name: str, settings: Settings) -> Aligner | None:
    """The forced aligner beside the engine `name`, on the same device; None where its weights are not here.

    Raises EngineError when they do not load.
    """
    ready = feeds.ready_aligner(name, settings.home)
    if ready is None:
        return None
    if ready.feed.kind is None:
        torch_aligner = import_module("jiyao.engines.qwen.torch_aligner")
        return cast(Aligner, torch_aligner.open_folder(ready.folder, ready.revision))
    cpu = import_module("jiyao.engines.qwen.openvino_aligner")
    return cast(Aligner, cpu.open_folder(ready.fetched, ready.folder, settings.threads, ready.revision))


def _usable_feeds() -> list[tuple[str, Feed]]:
    """(engine, what feeds it or the aligner beside it) for all that could run here, best engine first."""
    names = [name for name in ENGINES if unusable(name) is None]
    return [(name, feed) for name in names for feed in (*feeds.feeds_of(name), *feeds.aligners_of(name))]
