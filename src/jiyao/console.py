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
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from jiyao.audio import Note
from jiyao.engines import Choice
from jiyao.errors import JiyaoError
from jiyao.messages import Language, language_of_computer, say
from jiyao.pipeline import Progress as Step
from jiyao.recognition import EngineInfo
from jiyao.timeline import clock
from jiyao.transcript import Transcript
from jiyao.weights import FetchProgress, FileCheck, Model

SOUND = ("ok", "unpinned-unchanged", "unpinned-unrecorded")  # verdicts of a file that may be used
_PIPED_WIDTH = 160  # columns of a table that nobody's window limits

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
        self.say("cli.engine", name=info.name, device=info.device, dtype=info.dtype)
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

    def models(self, rows: list[tuple[Model, str]]) -> None:
        """The table goes to standard output: it is the command's result."""
        table = Table(box=None, pad_edge=False)
        for key in ("models.name", "models.job", "models.size", "models.licence", "models.state"):
            table.add_column(self.text(key), justify="right" if key == "models.size" else "left", overflow="fold")
        for model, state in rows:
            size = f"{model.size_bytes / 1_000_000:,.0f} MB" if model.size_bytes else "–"
            table.add_row(model.name, model.job, size, model.licence, self.text(f"models.state_{state}"))
        out = rich.console.Console(highlight=False)
        if not out.is_terminal:
            out.width = _PIPED_WIDTH
        out.print(table)

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
            self.notes = self.notes or step.notes
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
