"""The command line: `jiyao transcribe | web | models | seal | vault | terms`. Results to files or standard output,
everything else to stderr.

Exit codes (DESIGN section 7): 0 done · 1 some files failed · 2 usage · 3 unreadable audio · 4 no weights ·
5 engine failed · 6 kept texts · 130 interrupted. When every file failed for the same reason, that reason's code is
returned.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal, get_args

import typer

from jiyao import (
    __version__,
    exports,
    glossary,
    kept,
    models_cli,
    opening,
    results,
    seal,
    settings,
    terms_cli,
)
from jiyao.console import Console, FileBar
from jiyao.errors import JiyaoError, OutputError, UsageError
from jiyao.glossary import Glossary
from jiyao.jobs import (
    ENDED,
    Advanced,
    Change,
    EngineReady,
    EngineTrouble,
    Jobs,
    JobView,
    StateChanged,
    TakenOver,
    TellingApart,
    WorkerRestarted,
)
from jiyao.opening import INTERRUPTED
from jiyao.pipeline import Options, Stage
from jiyao.recognition import EngineInfo
from jiyao.results import Delivery
from jiyao.settings import EngineChoice, Settings
from jiyao.transcript import Transcript

_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h: a bug of ours, not a mistake of the user's
# a wait without an end cannot be interrupted on Windows
_LONGEST_WAIT_S = 0.5 if os.name == "nt" else None

# typer's pretty tracebacks print local variables: a transcript must never end up in one
app = typer.Typer(
    name="jiyao",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Meeting recordings become text on your own computer. Nothing leaves it.",
)
app.add_typer(models_cli.app, name="models")
app.add_typer(kept.app, name="vault")
app.add_typer(terms_cli.app, name="terms")


def _end_as_with_ctrl_c() -> None:
    """A window that is closed (SIGHUP) and a polite end (SIGTERM) cost no text either; `nohup` stays what it is."""
    signal.signal(signal.SIGTERM, _interrupt)
    if os.name != "nt" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _hang_up)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: another would stop the text on its way out
    raise KeyboardInterrupt


def _hang_up(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # the shell sends one, and the kernel another when the shell is gone
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        with suppress(OSError):  # it may be closed
            if stat.S_ISCHR(os.fstat(standard).st_mode):  # the terminal, which is gone: a word to it would be an error
                os.dup2(nowhere, standard)
    os.close(nowhere)
    signal.raise_signal(signal.SIGTERM)


def main() -> None:
    """Run the command line; every failure becomes a sentence with a remedy and an exit code."""
    console = Console()
    _end_as_with_ctrl_c()
    try:
        app()
    except JiyaoError as error:
        console.error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.say("cli.interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # the reader of our output went away (`| head`): stop quietly, and keep Python from flushing into it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("JIYAO_DEBUG"):
            raise
        console.say("cli.unexpected", kind=type(error).__name__)
        sys.exit(_UNEXPECTED)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jiyao {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Recordings, any audio or video format.", show_default=False)],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR|-",
            help="Folder for the results; - prints one format. Default: beside each recording.",
        ),
    ] = None,
    formats: Annotated[
        str, typer.Option("-f", "--format", help=f"One or several of {','.join(exports.FORMATS)}.")
    ] = "txt,json",
    engine: Annotated[str | None, typer.Option(help="|".join(get_args(EngineChoice)))] = None,
    language: Annotated[str | None, typer.Option(help="auto, zh, yue, en, … (auto: heard clip by clip)")] = None,
    terms: Annotated[
        Path | None,
        typer.Option(help="Names and terms: one `原文→规范写法` or one word a line.", show_default=False),
    ] = None,
    accept: Annotated[
        float | None, typer.Option(min=0, max=1, help="Put in terms that only sound alike, from this score on: 0.85.")
    ] = None,
    speakers: Annotated[
        str | None, typer.Option(help="off, auto, or how many there are. Fetches the models for it where they lack.")
    ] = None,
    clean: Annotated[
        str | None,
        typer.Option(
            metavar="denoise,loudness|off",
            help="denoise: helps to find speech, recognition hears the original. loudness: quiet recordings louder.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[bool, typer.Option("--minutes", help="(not in this version yet)")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace results that are already there.")] = False,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep",
            help="Keep the text on the disk, encrypted: a broken run goes on where it stopped.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only errors.")] = False,
) -> None:
    """Turn recordings into text."""
    chosen = settings.load({"engine": engine, "language": language, "keep": _on_off(keep)})
    console = Console(chosen.ui_language, quiet, chosen.progress_every_s)
    if minutes:
        raise UsageError("cli.not_yet", option="--minutes")
    names = results.formats(formats)
    targets = results.targets(files, output, names)
    options = _options(chosen, terms, speakers, clean, console)
    codes = _all(chosen, options, targets, Delivery(names, force, console), accept)
    failed = [code for code in codes if code]
    if failed:
        raise typer.Exit(failed[0] if len(failed) == len(codes) and len(set(failed)) == 1 else 1)


@app.command()
def web(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this computer; 0: any free one.")] = 8501,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    host: Annotated[str, typer.Option(help="127.0.0.1; another one in jiyao's container only.")] = "127.0.0.1",
    plain: Annotated[bool, typer.Option("--plain", help="The desk alone, without Streamlit round it.")] = False,
) -> None:
    """Open the web page, for this computer only."""
    from jiyao.web.app import serve  # Streamlit takes its time, and only the page needs it

    shell: Literal["plain", "streamlit"] = "plain" if plain else "streamlit"
    code = serve(settings.load(), port=port, host=host, open_browser=not no_browser, shell=shell)
    raise typer.Exit(code)


@app.command("seal")
def show_seal(
    as_json: Annotated[bool, typer.Option("--json", help="The receipt for machines.")] = False,
) -> None:
    """Try, in a process sealed like the worker, what must not work; print what enforces it. Exit 1 if something did."""
    console = Console(settings.load().ui_language)
    receipt = seal.receipt(seal.Policy("worker"))
    if as_json:
        typer.echo(receipt.to_json())
    else:
        console.receipt(receipt)
    if receipt.outcome == "open":
        raise typer.Exit(1)


def _options(
    chosen: Settings, terms: Path | None, speakers: str | None, clean: str | None, console: Console
) -> Options:
    """What is asked for; models that lack for it are got."""
    denoise, loudness = opening.cleaning_for(chosen, clean, console)
    return Options(
        language=chosen.forced_language,
        glossary=_read_terms(terms),
        script=chosen.script,
        speakers=opening.speakers_for(chosen, speakers, console),
        denoise=denoise,
        loudness=loudness,
        max_duration_s=chosen.max_duration_h * 3600,
        notes_language=chosen.ui_language,
    )


def _read_terms(path: Path | None) -> Glossary:
    if path is None:
        return Glossary()
    try:
        return glossary.parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as cause:
        raise UsageError("terms.unreadable", path=path) from cause


def _on_off(flag: bool | None) -> str | None:
    return None if flag is None else "on" if flag else "off"


def _all(
    chosen: Settings,
    options: Options,
    targets: Mapping[Path, list[Path]],
    delivery: Delivery,
    accept: float | None,
) -> list[int]:
    """Transcribe all recordings, one loaded worker for them; their exit codes."""
    console = delivery.console
    refused = results.refused(targets, delivery.force)  # makes the folders, too
    folders = {target.parent for file, wanted in targets.items() if file not in refused for target in wanted}
    keeping = chosen.keep == "on"
    with kept.opened(chosen, console) if keeping else nullcontext() as vault:
        worker = opening.started_worker(chosen, console)
        # from here on audio is in memory: nothing leaves, and only results and kept texts are written
        seal.guard(seal.Policy("parent", writable=(*folders, *([kept.folder(chosen)] if keeping else []))))
        with Jobs(chosen, vault, worker=worker) as jobs:
            run = _Run(jobs, options, delivery, refused, worker.info, accept)
            return [run.one(file, targets[file]) for file in targets]


@dataclass
class _Run:
    """All recordings of one command, one after the other: in memory there is one, and the worker is kept.

    `refused`: those whose results could not be written anyway; `accept`: the least score of a proposal to be put in.
    """

    jobs: Jobs
    options: Options
    delivery: Delivery
    refused: Mapping[Path, OutputError]
    engine: EngineInfo | None
    accept: float | None

    def one(self, file: Path, targets: list[Path]) -> int:
        """Transcribe one recording; its exit code. What was recognised before a failure goes to `<stem>.partial`."""
        started = time.monotonic()
        try:
            if file in self.refused:
                raise self.refused[file]
            job = self.jobs.submit(file, file.name, self.options)
            try:
                view, transcript = self._recognized(job, file.name, targets)
                self.delivery.whole(transcript, targets)
            finally:
                self.jobs.remove(job)
        except JiyaoError as error:
            self.delivery.console.error(error, file.name)
            return error.exit_code
        self.delivery.console.finished(file.name, transcript, view.notes, time.monotonic() - started, targets)
        return 0

    def _recognized(self, job: str, name: str, targets: list[Path]) -> tuple[JobView, Transcript]:
        """Raises what ended the job before its time; what it had by then is delivered."""
        try:
            view = self._followed(job, name)
            if self.accept is not None:
                self.jobs.accept_proposals(job, self.accept)
            self.delivery.console.proposed(self.jobs.lines(job))
        except (Exception, KeyboardInterrupt):  # a terminal that takes no more words, for one
            self.jobs.cancel(job)
            self.jobs.wait(job)
            self.delivery.partial(self.jobs.transcript(job), name, targets)
            raise
        transcript = self.jobs.transcript(job)
        if view.state != "done":
            self.delivery.partial(transcript, name, targets)
            raise view.error or self.jobs.fault(job) or RuntimeError(view.state)
        return view, transcript

    def _followed(self, job: str, name: str) -> JobView:
        """Say what happens until the job is over, and its speakers are told apart."""
        stage: Stage = "loading"
        ended, share = False, None
        listener = self.jobs.events(0, job)
        with FileBar(self.delivery.console, name) as bar:
            bar.report(stage, Advanced(0, None))
            while True:
                for event in listener.take(_LONGEST_WAIT_S):
                    change = event.change
                    if isinstance(change, TellingApart):
                        share = change.share
                    elif isinstance(change, StateChanged):
                        ended = change.state in ENDED
                        if change.state == "recognizing" or change.state == "finishing":
                            stage = change.state
                    elif isinstance(change, Advanced):
                        bar.report(stage, change)
                    else:
                        self._say(change)
                    if not ended:
                        continue
                    view = self.jobs.get(job)
                    if share is None:
                        return view
                    bar.report("speakers", Advanced(round(share * view.duration_ms), view.duration_ms))

    def _say(self, change: Change) -> None:
        if isinstance(change, EngineReady) and change.engine != self.engine:
            self.engine = change.engine
            self.delivery.console.engine(change.engine, change.rejected)
        elif isinstance(change, EngineTrouble):
            self.delivery.console.error(change.error)
        elif isinstance(change, WorkerRestarted):
            self.delivery.console.say("cli.restarted")
        elif isinstance(change, TakenOver):
            self.delivery.console.say("cli.taken_over", count=change.clips)
