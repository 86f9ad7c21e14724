"""Which engine: `engines.choose`, asked in a process of its own where the answer would load torch into this one.

Only the worker loads models: the parent stays small, and a graphics card is not opened twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from jiyao import engines
from jiyao.engines import Choice
from jiyao.errors import EngineError
from jiyao.settings import Settings

_APART = "from jiyao.jobs import choosing; choosing.answer()"


def choose(settings: Settings, failed: Mapping[str, str], *, only_ready: bool = False) -> Choice:
    """As `engines.choose`. Raises EngineError as it does."""
    if find_spec("torch") is None:
        return engines.choose(settings, failed, only_ready=only_ready)
    question = {"settings": asdict(settings), "failed": dict(failed), "only_ready": only_ready}
    done = subprocess.run(
        [sys.executable, "-c", _APART],
        input=json.dumps(question, default=str),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    if done.returncode < 0:
        raise KeyboardInterrupt  # it was meant for both of us
    answer = json.loads(done.stdout.splitlines()[-1])
    if "key" in answer:
        raise EngineError(answer["key"], **answer["parameters"])
    rejected = tuple((name, reason) for name, reason in answer["rejected"])
    return Choice(answer["name"], answer["missing_model"], rejected, tuple(answer["fallbacks"]))


def answer() -> None:
    """The other process: a question on standard input, the answer as the last line of standard output."""
    question = json.load(sys.stdin)
    settings = Settings(**{**question["settings"], "home": Path(question["settings"]["home"])})
    try:
        choice = engines.choose(settings, question["failed"], only_ready=question["only_ready"])
    except EngineError as error:
        told = {"key": error.key, "parameters": error.parameters}
    else:
        told = asdict(choice)
    sys.stdout.write("\n" + json.dumps(told, default=str) + "\n")
