"""Model weights on the command line: `jiyao models list | get | verify | remove`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from jiyao import cleaning, engines, settings, speakers, weights
from jiyao.console import SOUND, Console, FetchBar
from jiyao.errors import EngineError, WeightsError
from jiyao.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Model weights: list, get, verify, remove.")


@app.command("list")
def models_list() -> None:
    """Show every model: its size, whether it is here, which engine of this computer uses it, and how fast."""
    chosen = settings.load()
    Console(chosen.ui_language).models(engines.offers(chosen), engines.choose(replace(chosen, engine="auto")))


@app.command("get")
def models_get(
    name: Annotated[str, typer.Argument(help="A name from `models list`.")] = "whisper-base",
    instead: Annotated[list[str] | None, typer.Option("--or", help="Where it cannot be had: this one.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only errors.")] = False,
) -> None:
    """Fetch a model, trying its sources in turn, and prepare it; interrupted downloads go on where they stopped."""
    chosen = settings.load()
    console = Console(chosen.ui_language, quiet)
    names = [name, *(instead or [])]
    troubles = weights.reachable(names, chosen.home) if instead else {}
    for one in names:
        try:
            if troubles.get(one) and one != names[-1]:
                console.say("models.skipped", name=one, reason=troubles[one])
                continue
            _get(one, chosen, console)
            return
        except (WeightsError, EngineError) as error:
            if one == names[-1]:
                raise
            console.error(error, one)


def _get(name: str, chosen: Settings, console: Console) -> None:
    with FetchBar(console, name) as bar:
        folder = weights.fetch(name, chosen.home, bar.report)
    with console.working("models.preparing", name=name):
        fed = engines.prepare(name, chosen)
        if name in speakers.MODELS and not speakers.missing(chosen.home):
            speakers.prepare(chosen.home)
    console.say("models.got", name=name, folder=folder)
    if name in speakers.MODELS:
        console.say("models.feeds_speakers")
    elif name == cleaning.DENOISER:
        console.say("models.feeds_denoise")
    elif fed:
        console.say("models.feeds", engines=", ".join(fed))
    elif weights.find_model(name).job == "asr":
        console.say("models.feeds_none")


@app.command("verify")
def models_verify(
    name: Annotated[
        str | None, typer.Argument(help="One model; default: all that are here.", show_default=False)
    ] = None,
) -> None:
    """Hash every file again and compare with the catalogue."""
    chosen = settings.load()
    console = Console(chosen.ui_language)
    names = (
        [name]
        if name
        else [n for n in weights.catalogue() if weights.status(n, chosen.home) in ("present", "installed")]
    )
    broken = []
    for one in names:
        checks = weights.verify(one, chosen.home)
        console.checks(one, checks)
        if any(check.verdict not in SOUND for check in checks):
            broken.append(one)
    if broken:
        raise WeightsError("models.broken", name=", ".join(broken))


@app.command("remove")
def models_remove(name: Annotated[str, typer.Argument(help="A name from `models list`.")]) -> None:
    """Delete a model and what is left of its downloads."""
    chosen = settings.load()
    freed = weights.remove(name, chosen.home)
    Console(chosen.ui_language).say("models.removed", name=name, megabytes=freed // 1_000_000)
