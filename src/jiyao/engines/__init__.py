"""The engines there are, and how one is chosen and opened.

An engine's module is imported only when it is opened: the table costs nothing. `scripted` needs no weights and is
never chosen by `auto`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from jiyao import weights
from jiyao.errors import EngineError
from jiyao.recognition import Engine
from jiyao.settings import Settings


@dataclass(frozen=True)
class EngineEntry:
    """`module` has a function `open_engine(settings) -> Engine`; `model` names its weights in the catalogue."""

    name: str
    module: str | None
    model: str | None


class _Module(Protocol):
    def open_engine(self, settings: Settings) -> Engine: ...


# best first; a module of None is promised by the design and not built yet
ENGINES = {
    entry.name: entry
    for entry in (
        EngineEntry("qwen-torch", None, "qwen3-asr-0.6b"),
        EngineEntry("qwen-cpu", None, "qwen3-asr-0.6b-int8-onnx"),
        EngineEntry("whisper-base", "jiyao.engines.whisper_ct2", "whisper-base"),
        EngineEntry("scripted", "jiyao.engines.scripted", None),
    )
}


@dataclass(frozen=True)
class Choice:
    """The engine `auto` takes, whether its weights must be fetched first, and why each better one was passed over."""

    name: str
    missing_model: str | None
    rejected: tuple[tuple[str, str], ...] = ()


def choose(settings: Settings) -> Choice:
    """The wanted engine, or for `auto` the best one that is built and has its weights here; else the starter.

    Reasons in `rejected` are keys of messages.toml.
    """
    if settings.engine != "auto":
        entry = ENGINES[settings.engine]
        if entry.module is None:
            raise EngineError("engine.not_built", name=entry.name)
        return Choice(entry.name, _missing(entry, settings))
    rejected: list[tuple[str, str]] = []
    candidates = [entry for entry in ENGINES.values() if entry.model is not None]
    for entry in candidates:
        if entry.module is None:
            rejected.append((entry.name, "engine.reason_not_built"))
        elif _missing(entry, settings):
            rejected.append((entry.name, "engine.reason_no_weights"))
        else:
            return Choice(entry.name, None, tuple(rejected))
    starter = candidates[-1]
    return Choice(starter.name, starter.model, tuple(rejected[:-1]))


def open_engine(name: str, settings: Settings) -> Engine:
    """Load an engine. Raises WeightsError when its weights are not here, EngineError when they do not load."""
    module = ENGINES[name].module
    if module is None:
        raise EngineError("engine.not_built", name=name)
    return cast(_Module, import_module(module)).open_engine(settings)


def _missing(entry: EngineEntry, settings: Settings) -> str | None:
    return entry.model if entry.model and not weights.is_present(entry.model, settings.home) else None
