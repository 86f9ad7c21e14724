"""What the command line shows: progress, notes on stderr, tables on stdout, in the person's language.

On a terminal: live bars (rich). Into a file or a pipe: a plain line now and then, so that logs stay readable.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import rich.console
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from jiyao.audio import Note
from jiyao.engines import Choice, Offer
from jiyao.errors import JiyaoError
from jiyao.messages import Language, language_of_computer, say
from jiyao.pipeline import Progress as Step
from jiyao.recognition import EngineInfo
from jiyao.timeline import clock
from jiyao.transcript import Transcript
from jiyao.weights import FetchProgress, FileCheck

SOUND = ("ok", "unpinned-unchanged", "unpinned-unrecorded")  # verdicts of a file that may be used
_PIPED_WIDTH = 160  # columns of a table that nobody's window limits
# the licence goes first where the window is narrow
_COLUMNS = (
    *("models.name", "models.job", "models.size", "models.state", "models.engine", "models.speed"),
    "models.licence",
)

_AnyBar = TypeVar("_AnyBar", bound="_Bar")


class Console:
    """Sentences for a person on stderr; `quiet` leaves errors only."""

    def __init__(self, language: Language | None = None, quiet: bool = False, every_s: float = 10.0) -> None:
        self.language: Language = language or language_of_computer()
        self.quiet = quiet
        self.every_s = every_s  # between lines of progress, where there is no terminal
        self.rich = rich.console.Console(stderr=True, highlight=False)

    def text(self, key: str, /, **parameters: object) -> str:
        return say(key, self.language, **parameters)

    def say(self, key: str, /, **parameters: object) -> None:
        if not self.quiet:
            self.rich.print(escape(self.text(key, **parameters)), soft_wrap=True)

    def error(self, error: JiyaoError, about: str = "") -> None:
        head = f"{about}: " if about else ""
        self.rich.print(f"[red]✗[/red] {escape(head + error.message(self.language))}", soft_wrap=True)
        self.rich.print(f"  {escape(error.remedy(self.language))}", soft_wrap=True)

    def working(self, key: str, /, **parameters: object) -> AbstractContextManager[Any]:
        if self.quiet or not self.rich.is_terminal:
            return nullcontext()
        return self.rich.status(escape(self.text(key, **parameters)))

    def engine(self, info: EngineInfo, choice: Choice) -> None:
        """What runs, and why nothing better does."""
        about = {"name": info.name, "model": info.model, "device": info.device, "dtype": info.dtype}
        if info.memory_bytes is None:
            self.say("cli.engine", **about)
        else:
            self.say("cli.engine_memory", **about, memory=f"{info.memory_bytes / 1e9:.1f}")
        self.rejected(choice)

    def rejected(self, choice: Choice) -> None:
        for name, reason in choice.rejected:
            self.say("cli.rejected", name=name, reason=self.text(reason))

    def finished(
        self, name: str, transcript: Transcript, notes: tuple[Note, ...], seconds: float, targets: list[Path]
    ) -> None:
        if self.quiet:
            return
        duration_ms = transcript.source.duration_ms
        speed = duration_ms / 1000 / max(seconds, 0.001)
        line = self.text(
            "cli.finished", name=name, length=clock(duration_ms), seconds=f"{seconds:.1f}", speed=f"{speed:.1f}"
        )
        self.rich.print(f"[green]✓[/green] {escape(line)}", soft_wrap=True)
        for note in notes:
            mark = "[yellow]![/yellow]" if note.warning else "[dim]·[/dim]"
            self.rich.print(f"  {mark} {escape(self.text(note.key, **note.parameters))}", soft_wrap=True)
        if not transcript.segments:
            self.say("cli.no_speech")
        for target in targets:
            self.rich.print(f"  → {escape(str(target))}", soft_wrap=True)

    def models(self, offers: list[Offer], choice: Choice) -> None:
        """The table goes to standard output: it is the command's result. What `auto` makes of it goes to stderr."""
        rows = [self._offer(offer) for offer in offers]
        out = rich.console.Console(highlight=False)
        if not out.is_terminal:
            out.width = _PIPED_WIDTH
        for columns in (_COLUMNS, _COLUMNS[:-1]):
            table = self._table(rows, columns)
            if Measurement.get(out, out.options.update(max_width=_PIPED_WIDTH), table).maximum <= out.width:
                out.print(table)
                break
        else:  # a name that is cut in two cannot be copied: one model a paragraph
            for name, *rest in rows:
                out.print(escape(name), soft_wrap=True)
                out.print(Padding(escape(" · ".join(cell for cell in rest if cell != "–")), (0, 0, 0, 2)))
        self.say("models.speed_note")
        if choice.missing_model is None:
            self.say("models.auto_takes", name=choice.name)
        else:
            self.say("models.auto_gets", model=choice.missing_model, name=choice.name)
            if choice.fallbacks:
                self.say("models.auto_or", models=", ".join(choice.fallbacks))
        self.rejected(choice)

    def _table(self, rows: list[tuple[str, ...]], columns: tuple[str, ...]) -> Table:
        table = Table(box=None, pad_edge=False)
        for key in columns:
            table.add_column(self.text(key), justify="right" if key == "models.size" else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(escape(cell) for cell in row[: len(columns)]))
        return table

    def _offer(self, offer: Offer) -> tuple[str, ...]:
        megabytes = offer.model.size_bytes / 1_000_000
        return (
            offer.model.name,
            offer.model.job,
            f"{megabytes:,.0f} MB" if megabytes else "–",
            self.text(f"models.state_{offer.state}"),
            ", ".join(offer.engines) or "–",
            "–" if offer.speed is None else self.text("models.times_real_time", factor=f"{offer.speed:.2f}"),
            offer.model.licence,
        )

    def checks(self, name: str, checks: list[FileCheck]) -> None:
        for check in checks:
            good = check.verdict in SOUND
            mark = "[green]✓[/green]" if good else "[red]✗[/red]"
            verdict = self.text(f"models.verdict_{check.verdict.replace('-', '_')}")
            self.rich.print(f"{mark} {escape(name)}/{escape(check.path)}: {escape(verdict)}", soft_wrap=True)


class _Bar:
    """One line that moves, where there is a terminal; nothing elsewhere."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._live: Progress | None = None
        self._task = TaskID(0)
        self._spoke = time.monotonic()

    def __enter__(self: _AnyBar) -> _AnyBar:
        if not self._console.quiet and self._console.rich.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[state]}"))
            self._live = Progress(*columns, console=self._console.rich, transient=True)
            self._task = self._live.add_task(escape(self._name), total=None, state="")
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _move(self, done: int, total: int | None, state: str, plain: str) -> None:
        """Draw the bar; without a terminal say `plain` now and then."""
        if self._live is not None:
            self._live.update(self._task, completed=done, total=total, state=escape(state))
        elif plain and time.monotonic() - self._spoke >= self._console.every_s and not self._console.quiet:
            self._spoke = time.monotonic()
            self._console.rich.print(escape(plain), soft_wrap=True)


class FileBar(_Bar):
    """Progress over one recording: audio minutes done, speed, time left. `notes`: what the reader noticed."""

    def __init__(self, console: Console, name: str) -> None:
        super().__init__(console, name)
        self.notes: tuple[Note, ...] = ()
        self._stage = ""
        self._began = time.monotonic()

    def report(self, step: Step) -> None:
        if step.stage != self._stage:
            self._stage = step.stage
            self._began = time.monotonic()
        self.notes = step.notes or self.notes  # the last word counts: an aligner may fail after all was read
        state = self._state(step)
        plain = self._console.text("cli.progress_line", name=self._name, state=state)
        self._move(step.done_ms, step.total_ms, state, plain)

    def _state(self, step: Step) -> str:
        total = clock(step.total_ms) if step.total_ms else "?"
        where = {"done": clock(step.done_ms), "total": total}
        if step.stage != "recognizing" or not step.done_ms or not step.total_ms:
            return self._console.text(f"cli.stage_{step.stage}", **where)
        elapsed = max(time.monotonic() - self._began, 0.001)
        speed = step.done_ms / 1000 / elapsed
        left_ms = round((step.total_ms - step.done_ms) / speed)
        return self._console.text("cli.stage_recognizing_eta", **where, speed=f"{speed:.1f}", left=clock(left_ms))


class FetchBar(_Bar):
    """Progress of a download: source, bytes, and every source that did not answer, by name."""

    def report(self, step: FetchProgress) -> None:
        if step.note and not self._console.quiet:
            self._console.rich.print(f"  [dim]·[/dim] {escape(step.note)}", soft_wrap=True)
        done, total = step.done_bytes / 1e6, (step.total_bytes or 0) / 1e6
        state = f"{done:,.0f} / {total:,.0f} MB" if total else f"{done:,.0f} MB"
        state = f"{step.source}  {state}" if step.source else state
        self._move(step.done_bytes, step.total_bytes, state, f"  {state}")
