"""Before any audio: a worker with its engine, the weights got first if need be; said on the console as it happens."""

from __future__ import annotations

import subprocess
import sys
from typing import cast

from jiyao import cleaning, speakers, weights
from jiyao.console import Console
from jiyao.errors import EngineError, UsageError, WeightsError
from jiyao.jobs.choosing import choose
from jiyao.pipeline import Speakers
from jiyao.settings import Settings
from jiyao.worker.messages import WorkerLost
from jiyao.worker.parent import Worker

INTERRUPTED = 130

_MISSING = "weights.missing"


def started_worker(chosen: Settings, console: Console) -> Worker:
    """A worker that has loaded the engine of `chosen`.

    Raises WeightsError, EngineError, UsageError for a language that the engine does not know.
    """
    try:
        return _started(chosen, console)
    except WeightsError as error:
        if error.key != _MISSING:
            raise
        _get(str(error.parameters["name"]), chosen, console)
    return _started(chosen, console)


def speakers_for(chosen: Settings, asked: str | None, console: Console) -> Speakers:
    """What `--speakers` wants: off, auto, or how many; None: as it is set, where the models are here.

    Asked for, they are got where they lack. Raises UsageError, WeightsError, EngineError.
    """
    wanted = _speakers(asked) if asked is not None else chosen.speakers
    if wanted == "off":
        return wanted
    lacking = speakers.missing(chosen.home)
    if lacking and asked is None:
        console.say("cli.no_speakers")
        return "off"
    for name in lacking:
        _get(name, chosen, console)
    speakers.prepare(chosen.home)
    return wanted


def cleaning_for(chosen: Settings, asked: str | None, console: Console) -> tuple[bool, bool]:
    """What `--clean` wants, (denoise, loudness); None: as it is set. The denoiser's model is got where it lacks.

    Raises UsageError, WeightsError, EngineError.
    """
    if asked is None:
        denoise, loudness = chosen.denoise == "on", chosen.loudness == "on"
    else:
        names = {name.strip() for name in asked.split(",") if name.strip()} - {"off"}
        if not names <= {"denoise", "loudness"}:
            raise UsageError("cli.bad_clean", value=asked)
        denoise, loudness = "denoise" in names, "loudness" in names
    if denoise and not weights.is_present(cleaning.DENOISER, chosen.home):
        _get(cleaning.DENOISER, chosen, console)
        weights.locate(cleaning.DENOISER, chosen.home)
    return denoise, loudness


def _speakers(asked: str) -> Speakers:
    if asked in ("off", "auto"):
        return cast(Speakers, asked)
    if not asked.isdecimal() or not 1 <= int(asked) <= speakers.MOST_VOICES:
        raise UsageError("cli.bad_speakers", value=asked, most=speakers.MOST_VOICES)
    return int(asked)


def _started(chosen: Settings, console: Console) -> Worker:
    worker = Worker(chosen)
    try:
        with console.working("cli.loading_engine", name=chosen.engine):
            engine = worker.start()
    except WorkerLost as lost:
        raise lost.error or EngineError("engine.lost", name=chosen.engine) from lost
    except BaseException:
        worker.kill()
        raise
    for trouble in worker.troubles:
        console.error(trouble)
    console.engine(engine, worker.rejected)
    return worker


def _get(model: str, chosen: Settings, console: Console) -> None:
    """Get the model, or what is good enough instead: in a process of its own, the only one that uses the network."""
    choice = choose(chosen, {})
    fallbacks = choice.fallbacks if choice.missing_model == model else ()
    console.say("cli.fetching", name=model)
    command = [sys.executable, "-m", "jiyao", "models", "get", model]
    command += [word for other in fallbacks for word in ("--or", other)]
    command += ["--quiet"] if console.quiet else []
    # its output goes to stderr: ours may be the transcript
    code = subprocess.run(command, stdout=sys.stderr.fileno(), check=False).returncode
    if code == INTERRUPTED or code < 0:
        raise KeyboardInterrupt
