"""What the command line shows: progress, notes on stderr, tables on stdout, in the person's language.

On a terminal: live bars (rich). Into a file or a pipe: a plain line now and then, so that logs stay readable.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import rich.console
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from jiyao import cleaning, speakers
from jiyao.audio import Note
from jiyao.editing import Line
from jiyao.engines import Choice, Offer
from jiyao.errors import JiyaoError
from jiyao.jobs import Advanced
from jiyao.messages import Language, language_of_computer, say
from jiyao.pipeline import Stage
from jiyao.recognition import EngineInfo
from jiyao.seal import Receipt
from jiyao.timeline import clock
from jiyao.transcript import Transcript, span_ms
from jiyao.vault import Kept
from jiyao.weights import FetchProgress, FileCheck

SOUND = ("ok", "unpinned-unchanged", "unpinned-unrecorded")  # verdicts of a file that may be used
_MOST_PROPOSALS = 20  # shown one by one
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

    def tell(self, sentence: str) -> None:
        """A sentence that is whole already."""
        if not self.quiet:
            self.rich.print(escape(sentence), soft_wrap=True)

    def error(self, error: JiyaoError, about: str = "") -> None:
        head = f"{about}: " if about else ""
        self.rich.print(f"[red]✗[/red] {escape(head + error.message(self.language))}", soft_wrap=True)
        self.rich.print(f"  {escape(error.remedy(self.language))}", soft_wrap=True)

    def working(self, key: str, /, **parameters: object) -> AbstractContextManager[Any]:
        if self.quiet or not self.rich.is_terminal:
            return nullcontext()
        return self.rich.status(escape(self.text(key, **parameters)))

    def engine(self, info: EngineInfo, rejected: Iterable[tuple[str, str]]) -> None:
        """What runs, and why nothing better does: (name, key of the reason)."""
        about = {"name": info.name, "model": info.model, "device": info.device, "dtype": info.dtype}
        if info.memory_bytes is None:
            self.say("cli.engine", **about)
        else:
            self.say("cli.engine_memory", **about, memory=f"{info.memory_bytes / 1e9:.1f}")
        self.rejected(rejected)

    def rejected(self, rejected: Iterable[tuple[str, str]]) -> None:
        for name, reason in rejected:
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

    def proposed(self, lines: Iterable[Line]) -> None:
        """The terms that may have been meant: where, what, how likely; the first ones of many."""
        found = [(line, one) for line in lines for one in line.proposals]
        for line, one in sorted(found, key=lambda item: -item[1].score)[:_MOST_PROPOSALS]:
            start_ms, _ = span_ms(line.segment, one.start, one.end)
            self.say("terms.proposed", at=clock(start_ms), before=one.before, after=one.after, score=f"{one.score:.0%}")
        if found:
            self.say("terms.proposed_all", count=len(found))

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
        self.rejected(choice.rejected)

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
            ", ".join(_users(offer)) or "–",
            "–" if offer.speed is None else self.text("models.times_real_time", factor=f"{offer.speed:.2f}"),
            offer.model.licence,
        )

    def receipt(self, receipt: Receipt) -> None:
        """The proof of the seal, on standard output: it is the command's result."""
        out = rich.console.Console(highlight=False)
        table = Table(box=None, pad_edge=False, show_header=False)
        for row in receipt.rows(self.language):
            table.add_row(*map(escape, (row.what, row.way, row.verdict)))
        out.print(table)
        for line in receipt.lines(self.language):
            out.print(escape(line), soft_wrap=True)

    def kept(self, recordings: Iterable[Kept]) -> None:
        """What the vault holds, on standard output."""
        out = rich.console.Console(highlight=False)
        table = Table(box=None, pad_edge=False)
        for key in ("kept.id", "kept.name", "kept.length", "kept.clips", "kept.since"):
            table.add_column(self.text(key), no_wrap=True)
        for one in recordings:
            since = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.created_s)) if one.created_s else "–"
            source = one.source
            cells = (source.sha256[:12], source.name or "?", clock(source.duration_ms), str(one.clips), since)
            table.add_row(*map(escape, cells))
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
    """Progress over one recording: audio minutes done, speed, time left."""

    def report(self, stage: Stage | Literal["speakers"], at: Advanced) -> None:
        state = self._state(stage, at)
        plain = self._console.text("cli.progress_line", name=self._name, state=state)
        self._move(at.done_ms, at.total_ms, state, plain)

    def _state(self, stage: str, at: Advanced) -> str:
        total = clock(at.total_ms) if at.total_ms else "?"
        where = {"done": clock(at.done_ms), "total": total}
        if stage != "recognizing" or at.speed is None or at.left_ms is None:
            return self._console.text("cli.stage_cleaning" if at.cleaning else f"cli.stage_{stage}", **where)
        return self._console.text("cli.stage_recognizing_eta", **where, speed=f"{at.speed:.1f}", left=clock(at.left_ms))


class FetchBar(_Bar):
    """Progress of a download: source, bytes, and every source that did not answer, by name."""

    def report(self, step: FetchProgress) -> None:
        if step.note and not self._console.quiet:
            self._console.rich.print(f"  [dim]·[/dim] {escape(step.note)}", soft_wrap=True)
        done, total = step.done_bytes / 1e6, (step.total_bytes or 0) / 1e6
        state = f"{done:,.0f} / {total:,.0f} MB" if total else f"{done:,.0f} MB"
        state = f"{step.source}  {state}" if step.source else state
        self._move(step.done_bytes, step.total_bytes, state, f"  {state}")


def _users(offer: Offer) -> tuple[str, ...]:
    """What uses a model here."""
    others = {**dict.fromkeys(speakers.MODELS, ("speakers",)), cleaning.DENOISER: ("denoise",)}
    return offer.engines or others.get(offer.model.name, ())
