"""What a person does to the texts: changes, corrections, one step back or forward. Any thread may call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jiyao import editing
from jiyao.editing import Patch
from jiyao.glossary import Glossary
from jiyao.jobs.board import Board
from jiyao.jobs.job import Job
from jiyao.jobs.keeping import Keeper
from jiyao.speakers import Likeness
from jiyao.vault import Vault


class Texts:
    """Of all jobs. `vault`: where they are kept now."""

    def __init__(self, board: Board, vault: Callable[[], Vault | None]) -> None:
        self._board = board
        self._vault = vault

    def edit(self, job_id: str, changes: Sequence[editing.Change]) -> int:
        """Change lines, all or nothing, as one step that can be undone; `seq` of the event that tells of it.

        Raises `editing.Conflict` for a version that is gone, ValueError for a cut that leaves nothing on one side.
        """
        with self._board.changed:
            job = self._board.find(job_id)
            self._keep_edit(job, self._board.edit(job, changes))
            return self._board.feed.seq

    def replace(self, job_id: str, before: str, after: str) -> int:
        """A person's correction wherever the same word stands, as one step on record; in how many places."""
        with self._board.changed:
            job = self._board.find(job_id)
            changes = job.manuscript.places(before, after)
            if changes:
                self._keep_edit(job, self._board.edit(job, changes))
            return len(changes)

    def accept_proposals(self, job_id: str, least: float) -> int:
        """Put in every term that is proposed with at least this score, as one step on record; how many."""
        with self._board.changed:
            job = self._board.find(job_id)
            changes = job.manuscript.proposed(least)
            if changes:
                self._keep_edit(job, self._board.edit(job, changes))
            return len(changes)

    def places(self, job_id: str, before: str) -> int:
        """In how many places this word stands."""
        with self._board.changed:
            return len(self._board.find(job_id).manuscript.places(before, ""))

    def use_terms(self, terms: Glossary) -> None:
        """Propose by these terms in every text that is there; those that are recognised have theirs in `Options`."""
        self._board.use_terms(terms)

    def likenesses(self, job_id: str) -> dict[str, Likeness]:
        """How those sound who speak here, by what they are called now; empty before they are told apart."""
        with self._board.changed:
            return self._board.find(job_id).manuscript.likenesses

    def undo(self, job_id: str) -> bool:
        """Take the last change of a text back, whoever made it; False: there is none."""
        with self._board.changed:
            job = self._board.find(job_id)
            return self._stepped(job, job.manuscript.undo())

    def redo(self, job_id: str) -> bool:
        """Do what was taken back last once more; False: there is none."""
        with self._board.changed:
            job = self._board.find(job_id)
            return self._stepped(job, job.manuscript.redo())

    def _stepped(self, job: Job, patch: Patch | None) -> bool:
        if patch is None:
            return False
        self._board.changed_lines(job, patch)
        self._keep_edit(job, patch)
        return True

    def _keep_edit(self, job: Job, patch: Patch) -> None:
        Keeper(self._vault(), self._board, job, job.takes[-1]).keep_edit(patch)
