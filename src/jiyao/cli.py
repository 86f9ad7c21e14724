"""The command line: `jiyao transcribe | web | models`. Results to files or standard output, everything else to stderr.

Exit codes (DESIGN section 7): 0 done · 1 some files failed · 2 usage · 3 unreadable audio · 4 no weights ·
5 engine failed · 130 interrupted. When every file failed for the same reason, that reason's code is returned.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, BinaryIO, get_args

import typer

from jiyao import __version__, engines, exports, glossary, opening, pipeline, settings, weights
from jiyao.console import SOUND, Console, FetchBar, FileBar
from jiyao.errors import AudioError, EngineError, JiyaoError, OutputError, UsageError, WeightsError
from jiyao.glossary import Glossary
from jiyao.opening import INTERRUPTED
from jiyao.recognition import Aligner, Engine
from jiyao.settings import EngineChoice, Settings
from jiyao.transcript import Transcript

_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h: a bug of ours, not a mistake of the user's
_VAD = "silero-vad-v6"

# typer's pretty tracebacks print local variables: a transcript must never end up in one
app = typer.Typer(
    name="jiyao",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Meeting recordings become text on your own computer. Nothing leaves it.",
)
models = typer.Typer(no_args_is_help=True, help="Model weights: list, get, verify, remove.")
app.add_typer(models, name="models")


def main() -> None:
    """Run the command line; every failure becomes a sentence with a remedy and an exit code."""
    console = Console()
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
    speakers: Annotated[str, typer.Option(help="off (others are not in this version yet)")] = "off",
    clean: Annotated[str, typer.Option(help="denoise,loudness (not in this version yet)", show_default=False)] = "",
    minutes: Annotated[bool, typer.Option("--minutes", help="(not in this version yet)")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace results that are already there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only errors.")] = False,
) -> None:
    """Turn recordings into text."""
    chosen = settings.load({"engine": engine, "language": language})
    console = Console(chosen.ui_language, quiet, chosen.progress_every_s)
    for option, asked in (("--speakers", speakers != "off"), ("--clean", bool(clean)), ("--minutes", minutes)):
        if asked:
            raise UsageError("cli.not_yet", option=option)
    wanted = _formats(formats)
    targets = _targets(files, output, wanted)
    words = _read_terms(terms)
    vad_model = weights.locate(_VAD, chosen.home) / weights.find_model(_VAD).files[0].path
    recogniser, aligner = opening.open_recogniser(chosen, console)
    options = pipeline.Options(
        language=chosen.forced_language,
        glossary=words,
        script=chosen.script,
        max_duration_s=chosen.max_duration_h * 3600,
        notes_language=chosen.ui_language,
    )
    run = _Run(wanted, recogniser, aligner, vad_model, options, force, console)
    codes = [run.one(file, targets[file]) for file in targets]
    failed = [code for code in codes if code]
    if failed:
        raise typer.Exit(failed[0] if len(failed) == len(codes) and len(set(failed)) == 1 else 1)


@app.command()
def web(
    port: Annotated[int, typer.Option(help="Port on this computer.")] = 8501,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
) -> None:
    """Open the web page (not in this version yet)."""
    raise UsageError("cli.no_web")


@models.command("list")
def models_list() -> None:
    """Show every model: its size, whether it is here, which engine of this computer uses it, and how fast."""
    chosen = settings.load()
    Console(chosen.ui_language).models(engines.offers(chosen), engines.choose(replace(chosen, engine="auto")))


@models.command("get")
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
    console.say("models.got", name=name, folder=folder)
    if fed:
        console.say("models.feeds", engines=", ".join(fed))
    elif weights.find_model(name).job == "asr":
        console.say("models.feeds_none")


@models.command("verify")
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


@models.command("remove")
def models_remove(name: Annotated[str, typer.Argument(help="A name from `models list`.")]) -> None:
    """Delete a model and what is left of its downloads."""
    chosen = settings.load()
    freed = weights.remove(name, chosen.home)
    Console(chosen.ui_language).say("models.removed", name=name, megabytes=freed // 1_000_000)


def _formats(text: str) -> list[str]:
    wanted = list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [name for name in wanted if name not in exports.FORMATS]
    if unknown or not wanted:
        raise UsageError("exports.unknown_format", name=", ".join(unknown) or text, known=", ".join(exports.FORMATS))
    return wanted


def _targets(files: list[Path], output: str | None, formats: list[str]) -> dict[Path, list[Path]]:
    """Where each recording's results go; an empty list means standard output. Refuses before any work is done."""
    if output == "-":
        if len(files) != 1 or len(formats) != 1:
            raise UsageError("cli.one_to_stdout")
        return {files[0]: []}
    owners: dict[Path, Path] = {}
    targets: dict[Path, list[Path]] = {}
    for file in files:
        folder = file.parent if output is None else Path(output)
        targets[file] = [folder / (file.stem + exports.FORMATS[name].suffix) for name in formats]
        for target in targets[file]:
            if owners.setdefault(target, file) != file:
                raise UsageError("cli.same_output", first=owners[target].name, second=file.name, target=target.name)
            if target == file:
                raise UsageError("cli.output_is_input", target=target.name)
    return targets


def _read_terms(path: Path | None) -> Glossary:
    if path is None:
        return Glossary()
    try:
        return glossary.parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as cause:
        raise UsageError("terms.unreadable", path=path) from cause


@dataclass(frozen=True)
class _Run:
    """What all recordings of one command have in common."""

    formats: list[str]
    engine: Engine
    aligner: Aligner | None
    vad_model: Path
    options: pipeline.Options
    force: bool
    console: Console

    def one(self, file: Path, targets: list[Path]) -> int:
        """Transcribe one recording; its exit code. What was recognised before a failure goes to `<stem>.partial`."""
        started = time.monotonic()
        try:
            _check_targets(targets, self.force)
            with _opened(file) as stream, FileBar(self.console, file.name) as bar:
                transcript = pipeline.transcribe(
                    stream, file.name, self.engine, self.vad_model, self.options, bar.report, self.aligner
                )
            self._deliver(transcript, targets, self.force)
        except pipeline.Unfinished as unfinished:
            self._keep(unfinished.transcript, file, targets)
            cause = unfinished.__cause__
            if not isinstance(cause, JiyaoError):
                raise cause or unfinished from unfinished  # an interruption, or a fault of ours: for `main`
            self.console.error(cause, file.name)
            return cause.exit_code
        except JiyaoError as error:
            self.console.error(error, file.name)
            return error.exit_code
        self.console.finished(file.name, transcript, bar.notes, time.monotonic() - started, targets)
        return 0

    def _keep(self, transcript: Transcript, file: Path, targets: list[Path]) -> None:
        if transcript.segments:
            partial = _partial(targets)
            self._deliver(transcript, partial, force=False)
            names = ", ".join(path.name for path in partial)
            self.console.say("cli.partial" if names else "cli.partial_printed", name=file.name, files=names)

    def _deliver(self, transcript: Transcript, targets: list[Path], force: bool) -> None:
        wording = exports.ExportOptions(language=self.options.notes_language)
        if not targets:
            _print(exports.export(transcript, self.formats[0], wording))
            return
        try:
            for target, name in zip(targets, self.formats, strict=True):
                _write(target, exports.export(transcript, name, wording), force)
        except Exception as cause:
            # the text exists only here now: better on the screen than lost
            _print(exports.export(transcript, "txt", wording))
            if not isinstance(cause, OSError):
                raise
            raise OutputError("output.write", target=cause.filename or targets[0], reason=cause.strerror) from cause


def _partial(targets: list[Path]) -> list[Path]:
    """Names for a partial result that nothing has yet: an earlier one may hold more than this one."""
    for number in itertools.count(1):
        mark = "partial" if number == 1 else f"partial-{number}"
        names = [target.with_name(f"{target.stem}.{mark}{target.suffix}") for target in targets]
        if not any(name.exists() for name in names):
            return names
    raise AssertionError("unreachable")


def _print(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except FileNotFoundError as cause:
        raise AudioError("audio.missing") from cause
    except OSError as cause:
        raise AudioError("audio.unreadable", reason=cause.strerror) from cause


def _check_targets(targets: list[Path], force: bool) -> None:
    """Before the work, not after it: results that stand there already, folders that cannot be written."""
    for target in targets:
        if target.exists() and not force:
            raise OutputError("output.exists", target=target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise OutputError("output.folder", folder=target.parent, reason=cause.strerror) from cause
        if not os.access(target.parent, os.W_OK):
            raise OutputError("output.folder", folder=target.parent, reason="read-only")


def _write(target: Path, content: bytes, force: bool) -> None:
    """All or nothing: a half-written result must not look like a whole one."""
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_bytes(content)
        if target.exists() and not force:  # appeared while we worked
            raise OutputError("output.exists", target=target)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
