"""What is known of one recording: the record that the board keeps, and the views of it that others get."""

from __future__ import annotations

from dataclasses import dataclass, field

from jiyao.audio import Note
from jiyao.editing import Manuscript
from jiyao.errors import JiyaoError
from jiyao.jobs.events import Advanced, State
from jiyao.memory import SharedBytes, SharedPcm
from jiyao.pipeline import Options
from jiyao.recognition import EngineInfo
from jiyao.segmentation import Part
from jiyao.settings import EngineChoice
from jiyao.timeline import Span, to_ms
from jiyao.transcript import Heard, Segment
from jiyao.vault import Making

NOBODY = EngineInfo("", "", "", "", "")
"""Before an engine is known."""


@dataclass(frozen=True)
class Take:
    """One way to hear: `clips` of the recording (None: all) with these options. Version 0 is the first."""

    version: int
    options: Options
    engine: EngineChoice
    clips: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Text:
    """What one take heard in one clip, corrected, and as segments on the recording's clock."""

    version: int
    heard: Heard
    segments: tuple[Segment, ...]
    engine: EngineInfo


@dataclass(eq=False)
class Job:
    """A recording and everything known of it. Read and written under the lock, but for `recording` and `pcm`, which
    belong to the runner while the job runs (`denoised`, too)."""

    id: str
    name: str
    sha256: str
    takes: list[Take]
    recording: SharedBytes | None
    state: State = "queued"
    waiting: list[Take] = field(default_factory=list)  # takes still to be run
    error: JiyaoError | None = None
    fault: BaseException | None = None  # a fault of ours
    engine: EngineInfo | None = None
    pcm: SharedPcm | None = None
    denoised: SharedPcm | None = None  # as long; to be listened to
    n_samples: int = 0
    parts: tuple[Part, ...] = ()
    clips: tuple[Span, ...] = ()
    texts: dict[int, list[Text]] = field(default_factory=dict)  # clip -> oldest first; the last is shown
    makings: dict[int, Making] = field(default_factory=dict)  # version -> what made it, where it is kept
    manuscript: Manuscript = field(
        default_factory=Manuscript
    )  # the texts that are shown, and what a person made of them
    skipped: set[int] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)
    progress: Advanced = Advanced(0, None)
    telling_apart: float | None = None  # share done, while who speaks is being found
    current: Take | None = None
    stopping: bool = False  # cancelled while it runs
    whole: bool = False  # its first take was finished

    @property
    def duration_ms(self) -> int:
        return to_ms(self.n_samples)

    def clips_of(self, take: Take) -> list[int]:
        return list(range(len(self.clips))) if take.clips is None else list(take.clips)

    def done_in(self, take: Take) -> set[int]:
        return {clip for clip, texts in self.texts.items() if any(text.version == take.version for text in texts)}

    def share_ms(self, clip: int) -> int:
        """The stretch of the recording that is settled with a clip: itself and the silence before it."""
        end = self.n_samples if clip == len(self.clips) - 1 else self.clips[clip].end
        return to_ms(end) - (self.clips[clip - 1].end_ms if clip else 0)


@dataclass(frozen=True)
class ClipView:
    """A clip and its text as it was heard. `versions`: takes that heard it, in their order; `shown`: which of them is;
    `skipped`: it has no new text."""

    index: int
    span: Span
    part: int
    segments: tuple[Segment, ...] = ()
    versions: tuple[int, ...] = ()
    shown: int | None = None
    skipped: bool = False


@dataclass(frozen=True)
class JobView:
    """A job at one moment; events with a higher `seq` come after it. `place`: in the queue, from 0; None: not there."""

    seq: int
    id: str
    name: str
    sha256: str
    state: State
    error: JiyaoError | None
    progress: Advanced
    engine: EngineInfo | None
    duration_ms: int
    parts: tuple[Span, ...]
    clips: tuple[ClipView, ...]
    notes: tuple[Note, ...]
    place: int | None
    has_audio: bool
    has_denoised: bool
    telling_apart: float | None
    can_undo: bool
    can_redo: bool

    @property
    def segments(self) -> tuple[Segment, ...]:
        """In the order of time."""
        return tuple(segment for clip in self.clips for segment in clip.segments)
