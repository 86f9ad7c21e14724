"""What an engine can be fed with: weights as they are fetched, or what a recipe makes of them on this computer.

In:  an engine's name and the folder of weights. Out: the best feed that is ready, or why none is.
A recipe is a module with `VERSION: int` and `build(checkpoint: Path, target: Path) -> None`; both it and the libraries
a feed needs are only looked for here, and imported where something is opened or made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol, cast

from jiyao import weights

State = Literal["ready", "unprepared", "absent", "unusable"]


@dataclass(frozen=True)
class Feed:
    """`model` of the catalogue; `needs`: top-level packages; `kind` and `recipe`: what is made of it first."""

    model: str
    needs: tuple[str, ...] = ()
    kind: str | None = None
    recipe: str | None = None


@dataclass(frozen=True)
class Ready:
    """A feed that can be opened now: `folder` holds what its recipe made, or the weights themselves; `fetched` always
    holds the weights (a recipe may leave part of them there)."""

    feed: Feed
    folder: Path
    fetched: Path

    @property
    def revision(self) -> str:
        return weights.find_model(self.feed.model).revision


class _Recipe(Protocol):
    VERSION: int
    build: Callable[[Path, Path], None]


_TORCH = ("torch", "transformers")
_CONVERSION = "jiyao.engines.qwen.conversion"
_INT8 = "jiyao.engines.qwen.int8"

# best first
FEEDS: Mapping[str, tuple[Feed, ...]] = {
    "qwen-torch": (
        Feed("qwen3-asr-0.6b", _TORCH),
        Feed("qwen3-asr-0.6b-original", _TORCH, "native", _CONVERSION),
    ),
    "qwen-cpu": (
        Feed("qwen3-asr-0.6b", ("openvino",), "openvino-int8", _INT8),
        Feed("qwen3-asr-0.6b-original", ("openvino",), "openvino-int8", _INT8),
        Feed("qwen3-asr-0.6b-int8-onnx", ("sherpa_onnx",)),
    ),
    "whisper-base": (Feed("whisper-base"),),
}
# engine -> what the forced aligner beside it, on the same device, can be fed with
ALIGNERS: Mapping[str, tuple[Feed, ...]] = {
    "qwen-torch": (Feed("qwen3-forced-aligner-0.6b", _TORCH),),
    "qwen-cpu": (Feed("qwen3-forced-aligner-0.6b", ("openvino",), "openvino-int8", _INT8),),
}


def feeds_of(engine: str) -> tuple[Feed, ...]:
    """The feeds whose libraries and recipe are here, best first."""
    return tuple(feed for feed in FEEDS.get(engine, ()) if _is_usable(feed))


def aligners_of(engine: str) -> tuple[Feed, ...]:
    """The same, for the aligner beside the engine."""
    return tuple(feed for feed in ALIGNERS.get(engine, ()) if _is_usable(feed))


def state(feed: Feed, home: Path) -> State:
    """Cheap: nothing is hashed, no library is imported."""
    if not _is_usable(feed):
        return "unusable"
    if not weights.is_present(feed.model, home):
        return "absent"
    return "ready" if _folder(feed, home) else "unprepared"


def ready(engine: str, home: Path) -> Ready | None:
    """The best feed of `engine` that can be opened now: what its `open_engine` opens."""
    return _first_ready(feeds_of(engine), home)


def ready_aligner(engine: str, home: Path) -> Ready | None:
    """The same, for the aligner beside the engine."""
    return _first_ready(aligners_of(engine), home)


def prepare(feed: Feed, home: Path) -> Path:
    """The feed's folder, made first if need be. Raises WeightsError without weights, disk or permission, and what the
    recipe raises (EngineError for weights that are not such a model)."""
    if feed.kind is None or feed.recipe is None:
        return weights.locate(feed.model, home)
    recipe = _recipe(feed.recipe)
    return weights.prepare(feed.model, feed.kind, recipe.VERSION, home, recipe.build)


def _first_ready(feeds: tuple[Feed, ...], home: Path) -> Ready | None:
    for feed in feeds:
        folder = _folder(feed, home) if weights.is_present(feed.model, home) else None
        if folder is not None:
            return Ready(feed, folder, weights.locate(feed.model, home))
    return None


def _folder(feed: Feed, home: Path) -> Path | None:
    """Of a feed whose weights are here."""
    if feed.kind is None or feed.recipe is None:
        return weights.locate(feed.model, home)
    return weights.prepared(feed.model, feed.kind, _recipe(feed.recipe).VERSION, home)


def _is_usable(feed: Feed) -> bool:
    modules = (*feed.needs, feed.recipe) if feed.recipe else feed.needs
    return all(is_installed(name) for name in modules)


def is_installed(module: str) -> bool:
    """Is there such a module? Nothing but its parents is imported."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # no such parent; something without a spec in sys.modules
        return False


def _recipe(module: str) -> _Recipe:
    return cast(_Recipe, import_module(module))
