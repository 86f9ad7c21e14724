"""The other process of a download: the only one that uses the network, and it never holds audio.

In:  `run(["get", MODEL, HOME])`. Out: lines of JSON on standard output; the last says how it ended.
"state", LANGUAGE, HOME: which models suit this computer; the answer may load torch, which a server does not want.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from jiyao import engines, speakers, weights
from jiyao.errors import JiyaoError
from jiyao.settings import Settings


def run(arguments: list[str]) -> int:
    """The whole process; its exit code."""
    signal.signal(signal.SIGTERM, _end)  # so that what we started ends, too: pip
    order, name, home = arguments
    try:
        if order == "state":
            _tell(found(Settings(home=Path(home), ui="zh" if name == "zh" else "en")))
        else:
            _tell(_got(name, Settings(home=Path(home))))
    except JiyaoError as error:
        parameters = {key: _plain(value) for key, value in error.parameters.items()}
        _tell({"error": type(error).__name__, "key": error.key, "parameters": parameters})
    except (KeyboardInterrupt, BrokenPipeError):  # whoever started us is gone
        return 1
    return 0


def _got(model: str, chosen: Settings) -> dict[str, Any]:
    together = speakers.MODELS if model in speakers.MODELS else (model,)
    for one in together:
        weights.fetch(one, chosen.home, lambda step: _tell({"step": asdict(step)}))
    _tell({"preparing": model})
    if model in speakers.MODELS:
        speakers.prepare(chosen.home)
        return {"fed": []}
    return {"fed": engines.prepare(model, chosen)}


def found(chosen: Settings) -> dict[str, Any]:
    """The speech models that this computer can use, and what `auto` would take. EngineError where there is none."""
    offers = [
        {
            "name": offer.model.name,
            "title": offer.model.title,
            "size_bytes": offer.model.size_bytes,
            "state": offer.state,
            "engines": offer.engines,
            "speed": offer.speed,
            "licence": offer.model.licence,
        }
        for offer in engines.offers(chosen)
        if offer.model.job == "asr" and offer.engines
    ]
    return {"offers": offers, "choice": asdict(engines.choose(chosen))}


def _tell(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told, default=str) + "\n")
    sys.stdout.flush()


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
