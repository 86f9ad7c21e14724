"""Finished clips to the vault before anyone hears of them, and from it what need not be recognised again.

In:  a Vault or None (keeping is off). What cannot be kept is said once; the text goes on all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jiyao.audio import Note
from jiyao.editing import Line, Patch
from jiyao.errors import VaultError
from jiyao.jobs.board import Board
from jiyao.jobs.job import Job, Take
from jiyao.recognition import EngineInfo
from jiyao.timeline import Span
from jiyao.transcript import Heard, Source
from jiyao.vault import ClipResult, Making, PartProgress, Vault, edit_of, edited, making_of


@dataclass
class Keeper:
    """Of one take. `begin` again after a change of engine: its texts are another making's."""

    vault: Vault | None
    board: Board
    job: Job
    take: Take
    _making: Making | None = None
    _versions: list[int] = field(default_factory=list)

    def begin(self, engine: EngineInfo, aligner: EngineInfo | None) -> dict[Span, Heard]:
        """What these very options heard in this recording before; nothing where it is to be heard again."""
        if self.vault is None:
            return {}
        options = self.take.options
        making = making_of(engine, options.glossary, options.language, options.cutting, aligner, options.loudness)
        return self._begin(making, again=self.take.version > 0)

    def _begin(self, making: Making, again: bool) -> dict[Span, Heard]:
        assert self.vault is not None
        source = Source(self.job.name, self.job.duration_ms, self.job.sha256)
        try:
            begun = self.vault.begin(source, making, again=again)
        except VaultError as error:
            self._trouble(error)
            return {}
        self._making = self.job.makings[self.take.version] = making
        self._versions.append(begun.version)
        return {} if again else begun.heard

    def keep(self, clip: int, heard: Heard) -> None:
        """On the disk when this returns, or said why not."""
        if self.vault is None or self._making is None:
            return
        result = ClipResult(clip, heard, self._making.fingerprint, self._versions[-1])
        try:
            self.vault.keep_clip(self.job.sha256, result)
        except VaultError as error:
            self._trouble(error)

    def keep_again(self, clip: int, heard: Heard) -> None:
        """An earlier text is the one that is shown again."""
        making = self.job.makings.get(self.take.version)
        if self.vault is not None and making is not None:
            self._begin(making, again=True)
            self.keep(clip, heard)
            self._replace([clip])

    def keep_edit(self, patch: Patch) -> None:
        """What a person wrote. Held: edits are kept in their order."""
        if self.vault is None or not self.job.makings or not patch.clips:
            return
        made, clips = self.job.manuscript, self.job.clips
        try:
            self.vault.add_edit(self.job.sha256, edit_of({clips[clip]: made.state(clip) for clip in patch.clips}))
        except VaultError as error:
            self._trouble(error)

    def edits(self) -> Mapping[int, Sequence[Line]]:
        """What a person wrote into this recording before, by clip."""
        if self.vault is None or self._making is None:
            return {}
        try:
            kept = edited(self.vault.edits(self.job.sha256))
        except VaultError as error:
            self._trouble(error)
            return {}
        return {clip: kept[span] for clip, span in enumerate(self.job.clips) if span in kept}

    def finish(self) -> None:
        """The take is done: where it heard something again, that is the text now."""
        if self.vault is None or self._making is None:
            return
        if self.take.version > 0:
            self._replace(self.job.clips_of(self.take))
        try:
            self.vault.keep_parts(self.job.sha256, [PartProgress(part.span, "done") for part in self.job.parts])
        except VaultError as error:
            self._trouble(error)

    def _replace(self, clips: Sequence[int]) -> None:
        if self.vault is None:
            return
        try:
            for clip in clips:
                for version in self._versions:
                    self.vault.replace(self.job.sha256, self.job.clips[clip], version)
        except VaultError as error:
            self._trouble(error)

    def _trouble(self, error: VaultError) -> None:
        self._making = None  # a full disk stays full: once is enough
        language = self.take.options.notes_language
        self.board.notice(self.job, Note("jobs.not_kept", {"reason": error.message(language)}, warning=True))
