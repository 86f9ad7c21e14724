"""The seam every engine keeps: Clip and Hints in, Recognition out.

Whoever stands above this line (glossary, transcript, pipeline) knows these types only; whoever stands below
(engines/) turns one model's habits into them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from jiyao.timeline import Samples, Span

Flag = Literal["loop", "leak", "truncated", "silence", "unsure"]
"""loop: the text ran in circles · leak: hints came back as text · truncated: the token budget ended the text ·
silence: text over what the VAD calls silence · unsure: every retry was worse, the best is kept."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A stretch of speech for one recognition: `samples` float32 [n], 16 kHz, at most 30 s; `span` in the recording."""

    samples: Samples
    span: Span


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

    `language` is an ISO 639 code, or None when there was no speech; `confidence` is 0…1 or None.
    """

    text: str
    language: str | None = None
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    flags: tuple[Flag, ...] = ()


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
