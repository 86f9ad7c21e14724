"""Results as files or on standard output: where they go, whether they may, and that none is lost or half written."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jiyao import exports
from jiyao.console import Console
from jiyao.errors import OutputError, UsageError
from jiyao.exports import ExportOptions
from jiyao.transcript import Transcript


def formats(text: str) -> list[str]:
    """`txt,json` as names of formats. Raises UsageError for an unknown one, or none."""
    wanted = list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [name for name in wanted if name not in exports.FORMATS]
    if unknown or not wanted:
        raise UsageError("exports.unknown_format", name=", ".join(unknown) or text, known=", ".join(exports.FORMATS))
    return wanted


def targets(files: Sequence[Path], output: str | None, wanted: Sequence[str]) -> dict[Path, list[Path]]:
    """Where each recording's results go; an empty list means standard output. Raises UsageError before any work."""
    if output == "-":
        if len(files) != 1 or len(wanted) != 1:
            raise UsageError("cli.one_to_stdout")
        return {files[0]: []}
    owners: dict[Path, Path] = {}
    found: dict[Path, list[Path]] = {}
    for file in files:
        folder = file.parent if output is None else Path(output)
        found[file] = [folder / (file.stem + exports.FORMATS[name].suffix) for name in wanted]
        for target in found[file]:
            if owners.setdefault(target, file) != file:
                raise UsageError("cli.same_output", first=owners[target].name, second=file.name, target=target.name)
            if target == file:
                raise UsageError("cli.output_is_input", target=target.name)
    return found


def refused(wanted: Mapping[Path, Sequence[Path]], force: bool) -> dict[Path, OutputError]:
    """Recordings whose results could not be written, and why: told before the work. The others' folders are made."""
    found: dict[Path, OutputError] = {}
    for file, places in wanted.items():
        try:
            check(places, force)
        except OutputError as error:
            found[file] = error
    return found


def check(wanted: Iterable[Path], force: bool) -> None:
    """Before the work, not after it: results that stand there already, folders that cannot be written. OutputError."""
    for target in wanted:
        if target.exists() and not force:
            raise OutputError("output.exists", target=target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise OutputError("output.folder", folder=target.parent, reason=cause.strerror) from cause
        if not os.access(target.parent, os.W_OK):
            raise OutputError("output.folder", folder=target.parent, reason="read-only")


@dataclass(frozen=True)
class Delivery:
    """Transcripts to targets, in these formats."""

    formats: Sequence[str]
    force: bool
    console: Console

    def whole(self, transcript: Transcript, wanted: Sequence[Path]) -> None:
        """Raises OutputError where a file cannot be written; the text is on standard output then."""
        self._deliver(transcript, wanted, self.force)

    def partial(self, transcript: Transcript, name: str, wanted: Sequence[Path]) -> None:
        """What was recognised before a failure: to `<stem>.partial.<format>`, over nothing that is there."""
        if transcript.segments:
            files = _partial(wanted)
            self._deliver(transcript, files, force=False)
            names = ", ".join(path.name for path in files)
            self.console.say("cli.partial" if names else "cli.partial_printed", name=name, files=names)

    def _deliver(self, transcript: Transcript, wanted: Sequence[Path], force: bool) -> None:
        wording = ExportOptions(language=self.console.language)
        if not wanted:
            _print(exports.export(transcript, self.formats[0], wording))
            return
        try:
            for target, name in zip(wanted, self.formats, strict=True):
                _write(target, exports.export(transcript, name, wording), force)
        except Exception as cause:
            # the text exists only here now: better on the screen than lost
            _print(exports.export(transcript, "txt", wording))
            if not isinstance(cause, OSError):
                raise
            raise OutputError("output.write", target=cause.filename or wanted[0], reason=cause.strerror) from cause


def _partial(wanted: Sequence[Path]) -> list[Path]:
    """Names for a partial result that nothing has yet: an earlier one may hold more than this one."""
    for number in itertools.count(1):
        mark = "partial" if number == 1 else f"partial-{number}"
        names = [target.with_name(f"{target.stem}.{mark}{target.suffix}") for target in wanted]
        if not any(name.exists() for name in names):
            return names
    raise AssertionError("unreachable")


def write(target: Path | None, content: bytes, force: bool) -> None:
    """One result that is no transcript, to standard output where there is no target. Raises OutputError."""
    if target is None:
        _print(content)
        return
    try:
        _write(target, content, force)
    except OSError as cause:
        raise OutputError("output.write", target=target, reason=cause.strerror) from cause


def _print(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


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
