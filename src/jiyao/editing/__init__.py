"""A transcript under correction: lines with versions, changes that can be undone, times that stay with their words.

In:  what was recognised, clip by clip, and a person's changes. Out: lines in the order of time, and for every change a
Patch: what went, what came. Two people at once never overwrite each other silently: a change names the version it was
made on. Undo is one for all who look at the same recording. What is heard again replaces its stretch as a change like
any other, and can be undone.

    changes     a line, what may be done to it, and what came of it
    work        one step of several changes
    manuscript  all lines, what was heard, what can be undone
"""

from jiyao.editing.changes import (
    Change,
    Conflict,
    Correct,
    Decline,
    Line,
    Merge,
    Patch,
    Propose,
    Rename,
    Revert,
    SetSpeaker,
    SetText,
    Settle,
    Split,
)
from jiyao.editing.manuscript import Manuscript

__all__ = [
    "Change",
    "Conflict",
    "Correct",
    "Decline",
    "Line",
    "Manuscript",
    "Merge",
    "Patch",
    "Propose",
    "Rename",
    "Revert",
    "SetSpeaker",
    "SetText",
    "Settle",
    "Split",
]
