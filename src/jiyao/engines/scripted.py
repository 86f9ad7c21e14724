"""An engine that says what it is told: for tests and the demo. Deterministic, needs no weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jiyao.recognition import Clip, EngineInfo, Hints, Recognition, Word
from jiyao.settings import Settings
from jiyao.text import is_han
from jiyao.timeline import SAMPLES_PER_MS

_LINES = ("好，我们开始吧。", "今天主要过一下 Q3 的 OKR。", "我哋香港嗰边都准备好喇。", "Sounds good, let's go.")


class Scripted:
    """Says `lines` in turn, one for each clip by its place in the recording; words share the clip's time evenly."""

    def __init__(self, lines: Sequence[str] = _LINES) -> None:
        self._lines = tuple(lines)

    def describe(self) -> EngineInfo:
        return EngineInfo("scripted", "scripted", "1", "cpu", "none")

    def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        for index, clip in enumerate(clips):
            line = self._lines[clip.span.start % len(self._lines)]
            yield index, Recognition(line, hints.language or "zh", _shared(line, len(clip.samples)), 0.99)


def open_engine(settings: Settings) -> Scripted:
    return Scripted()


def _shared(line: str, n_samples: int) -> tuple[Word, ...]:
    pieces: list[str] = []
    for token in line.split():
        for place, character in enumerate(token):
            if not pieces or (character.isalnum() and (place == 0 or is_han(character) or is_han(token[place - 1]))):
                pieces.append(character)
            else:
                pieces[-1] += character
    step = n_samples / SAMPLES_PER_MS / max(1, len(pieces))
    return tuple(Word(p, round(i * step), round((i + 1) * step), 0.99) for i, p in enumerate(pieces))
