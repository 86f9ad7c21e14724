"""The seam every engine keeps: Clip and Hints in, Recognition out; and the aligner's: clips and texts in, times out.

Whoever stands above this line (glossary, transcript, pipeline) knows these types only; whoever stands below
(engines/) turns one model's habits into them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from jiyao.timeline import Samples, Span, to_ms

Flag = Literal["loop", "leak", "truncated", "silence", "unsure", "overlap"]
"""loop: the text ran in circles · leak: hints came back as text · truncated: the token budget ended the text ·
silence: text over what the VAD calls silence · unsure: every retry was worse, the best is kept ·
overlap: two people speak at once, and one of them may be missing."""

Timing = Literal["measured", "estimated"]
"""measured: the model, or an aligner, found the words in the sound · estimated: shared out over the speech."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A stretch of speech for one recognition: `samples` float32 [n], 16 kHz, at most 30 s; `span` in the recording.

    `speech`: where the VAD hears a voice, inside `span`, on the recording's clock (samples), in order and disjoint; ()
    where that is not known, and then the whole clip counts as speech.
    """

    samples: Samples
    span: Span
    speech: tuple[Span, ...] = ()

    @property
    def duration_ms(self) -> int:
        return to_ms(len(self.samples))

    def speech_ms(self) -> list[tuple[int, int]]:
        """`speech` as (start, end) in ms from the clip's start, inside the clip; the whole clip where none is known."""
        spans: list[tuple[int, int]] = []
        for span in self.speech:
            start = max(to_ms(max(0, span.start - self.span.start)), spans[-1][1] if spans else 0)
            end = min(to_ms(max(0, span.end - self.span.start)), self.duration_ms)
            if start < end:
                spans.append((start, end))
        return spans or [(0, self.duration_ms)]


@dataclass(frozen=True)
class Hints:
    """What is known beforehand: bare `terms`, free `context`, a forced `language` (None: the engine listens).

    `cautious` asks for a decoding in which repetition costs; for retries only, it makes good text worse.
    """

    terms: tuple[str, ...] = ()
    context: str = ""
    language: str | None = None
    cautious: bool = False


@dataclass(frozen=True)
class Word:
    """One word, or one Chinese character with its punctuation; times in ms, `confidence` 0…1 or None if unknown."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


@dataclass(frozen=True)
class Recognition:
    """What an engine heard in one clip. Times count from the clip's own start; `words` may be empty.

    `language` is an ISO 639 code, or None when there was no speech; `confidence` is 0…1 or None. `timing` says where
    the words' times are from; the clip's own edges are always measured.
    """

    text: str
    language: str | None = None
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    flags: tuple[Flag, ...] = ()
    timing: Timing = "measured"


@dataclass(frozen=True)
class EngineInfo:
    """What really runs, for the status line and the transcript's head."""

    name: str
    model: str
    revision: str
    device: str
    dtype: str
    memory_bytes: int | None = None


class Engine(Protocol):
    """A loaded model. Opened by `engines.open_engine`; not safe to share between threads."""

    def describe(self) -> EngineInfo:
        """Name, model, revision, device, dtype and, where it can be told, memory in bytes."""
        ...

    def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        """Yield (index into `clips`, result) once for every clip, in any order, each as soon as it is ready.

        With no clips it yields nothing; UsageError for a language it does not know comes then too.
        May be called again while an earlier iterator is not used up. Raises EngineError when the model itself fails;
        what was yielded before stays valid.
        """
        ...


class Aligner(Protocol):
    """A loaded model that finds a known text in the sound. Not safe to share between threads."""

    def describe(self) -> EngineInfo:
        """As for an engine."""
        ...

    def align(
        self, clips: Sequence[Clip], texts: Sequence[str], languages: Sequence[str | None]
    ) -> list[tuple[Word, ...]]:
        """For each clip the model's own items, times in ms from the clip's start; () where it cannot (language, text).

        `texts` may hold punctuation, `languages` are ISO 639 codes. Items are raw: without punctuation, on the model's
        grid, equal, empty or even turned times among them; `alignment` makes words of them. Raises EngineError.
        """
        ...
