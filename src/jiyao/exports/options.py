"""What all formats share: the person's choices, and text cleaned so that no format chokes on it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jiyao.messages import Language, say

# what XML 1.0 forbids or discourages, and lone surrogates; control characters that are white space stay for `one_line`
_UNWRITABLE = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")


@dataclass(frozen=True)
class ExportOptions:
    """The three remembered choices and the language of headings.

    `times` and `speakers`: show them. `merge`: what one speaker says without a long pause becomes a paragraph (txt,
    md, docx). Subtitles always have times; json and csv always have everything.
    """

    times: bool = True
    speakers: bool = True
    merge: bool = True
    language: Language = "zh"


def role_of(speaker: str) -> tuple[str, str]:
    """(name, role): a person writes the role behind a bar, `张工|后端`; "" where there is none."""
    name, _, role = speaker.partition("|")
    return (name.strip(), role.strip()) if name.strip() and role.strip() else (speaker, "")


def label(speaker: str, language: Language) -> str:
    """What stands before the words of a speaker: `张工：`, or `【张工|后端】`."""
    name, role = role_of(speaker)
    if role:
        return say("exports.speaker_role", language, speaker=name, role=role)
    return say("exports.speaker", language, speaker=speaker)


def one_line(text: str | None) -> str:
    """`text` on one line, white space as single spaces, without characters that XML or UTF-8 cannot hold."""
    return " ".join(_UNWRITABLE.sub("", text or "").split())
