"""The engine that a door runs: chosen, its weights got and prepared, opened; said on the console as it happens."""

from __future__ import annotations

import subprocess
import sys

from jiyao import engines
from jiyao.console import Console
from jiyao.errors import EngineError, WeightsError
from jiyao.recognition import Aligner, Engine, Hints
from jiyao.settings import Settings

INTERRUPTED = 130


def open_recogniser(chosen: Settings, console: Console) -> tuple[Engine, Aligner | None]:
    """The engine to use and the aligner beside it, if there is one; weights are got first if need be.

    Where `auto` took an engine that does not load: the next. Raises WeightsError, EngineError, UsageError for a
    language that the engine does not know.
    """
    failed: dict[str, str] = {}
    while True:
        choice = engines.choose(chosen, failed)
        if choice.missing_model:
            _get_missing(choice, console)
            choice = engines.choose(chosen, failed, only_ready=True)
            if choice.missing_model:
                raise WeightsError("weights.missing", name=choice.missing_model, folder=chosen.home)
        try:
            with console.working("cli.loading_engine", name=choice.name):
                engine = engines.open_engine(choice.name, chosen)
                # no clips: only an unknown language is told, before hours of audio are read
                list(engine.recognize([], Hints(language=chosen.forced_language)))
        except EngineError as error:
            if chosen.engine != "auto":
                raise
            console.error(error, choice.name)
            failed[choice.name] = "engine.reason_did_not_load"
        else:
            console.engine(engine.describe(), choice)
            return engine, _open_aligner(choice.name, chosen, console)


def _get_missing(choice: engines.Choice, console: Console) -> None:
    """Get one of the models: in a process of its own, before any audio is loaded."""
    console.say("cli.fetching", name=choice.missing_model)
    command = [sys.executable, "-m", "jiyao", "models", "get", str(choice.missing_model)]
    command += [word for model in choice.fallbacks for word in ("--or", model)]
    command += ["--quiet"] if console.quiet else []
    # its output goes to stderr: ours may be the transcript
    code = subprocess.run(command, stdout=sys.stderr.fileno(), check=False).returncode
    if code == INTERRUPTED or code < 0:
        raise KeyboardInterrupt


def _open_aligner(name: str, chosen: Settings, console: Console) -> Aligner | None:
    """Word times are worth less than the text: an aligner that does not load is told, and done without."""
    try:
        return engines.open_aligner(name, chosen)
    except EngineError as error:
        console.error(error, name)
        return None
