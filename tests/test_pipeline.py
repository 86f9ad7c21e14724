"""The way as a whole, with engines that misbehave: no recognised text is lost, whatever comes after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jiyao import guards, pipeline
from jiyao.audio import Note
from jiyao.engines.scripted import Scripted
from jiyao.errors import EngineError
from jiyao.pipeline import Options, Progress, Unfinished
from jiyao.recognition import Clip, EngineInfo, Hints, Recognition, Word
from jiyao.timeline import Span
from jiyao.transcript import Transcript
from tests.conftest import SAMPLE

FAILURES = [
    EngineError("engine.failed", name="x", reason="gone"),
    KeyboardInterrupt(),
    MemoryError(),
    ValueError("a fault of ours"),
]


class Breaking(Scripted):
    """Recognises one clip, then fails."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self.failure = failure

    def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        yield next(iter(super().recognize(clips[:1], hints)))
        raise self.failure


class Backwards(Scripted):
    """The contract allows any order."""

    def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        yield from reversed(list(super().recognize(clips, hints)))


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_text_survives_whatever_fails_after_it(failure: BaseException, vad_model: Path) -> None:
    with SAMPLE.open("rb") as file, pytest.raises(Unfinished) as caught:
        pipeline.transcribe(file, SAMPLE.name, Breaking(failure), vad_model, Options())
    assert caught.value.__cause__ is failure
    assert caught.value.transcript.segments
    assert caught.value.transcript.source.duration_ms == 58_800


def test_any_order_gives_a_transcript_in_order_and_progress_that_never_runs_back(vad_model: Path) -> None:
    steps: list[Progress] = []
    with SAMPLE.open("rb") as file:
        transcript = pipeline.transcribe(file, SAMPLE.name, Backwards(), vad_model, Options(), steps.append)
    starts = [segment.start_ms for segment in transcript.segments]
    assert starts == sorted(starts)
    done = [step.done_ms for step in steps if step.stage == "recognizing"]
    assert done == sorted(done)
    assert [stage for stage in dict.fromkeys(step.stage for step in steps)] == [
        "loading",
        "recognizing",
        "finishing",
        "done",
    ]


class Estimating(Scripted):
    """Has no times of its own, and keeps the clips it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.clips: list[Clip] = []

    def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        self.clips += clips
        for index, heard in super().recognize(clips, hints):
            yield index, replace(heard, timing="estimated")


class Aligning:
    """Puts each letter 100 ms after the one before, from 500 ms on; fails for a clip in which `hated` is said."""

    def __init__(self, hated: str = "") -> None:
        self.hated = hated

    def describe(self) -> EngineInfo:
        return EngineInfo("double", "double", "1", "cpu", "none")

    def align(
        self, clips: Sequence[Clip], texts: Sequence[str], languages: Sequence[str | None]
    ) -> list[tuple[Word, ...]]:
        if self.hated and self.hated in texts[0]:
            raise EngineError("engine.failed", name="double", reason="no memory")
        letters = [[c for c in text if c.isalnum()] for text in texts]
        return [tuple(Word(c, 500 + i * 100, 600 + i * 100) for i, c in enumerate(row)) for row in letters]


def test_clips_know_where_speech_is(vad_model: Path) -> None:
    engine = Estimating()
    with SAMPLE.open("rb") as file:
        pipeline.transcribe(file, SAMPLE.name, engine, vad_model, Options())
    assert len(engine.clips) > 1
    for clip in engine.clips:
        assert (clip.speech[0].start, clip.speech[-1].end) == (clip.span.start, clip.span.end)
        assert all(len(span) for span in clip.speech)
    assert sum(len(clip.speech) for clip in engine.clips) > len(engine.clips)  # pauses are left out


def test_word_times_are_measured_where_there_is_an_aligner(vad_model: Path) -> None:
    def heard_with(aligner: Aligning | None) -> Transcript:
        with SAMPLE.open("rb") as file:
            return pipeline.transcribe(file, SAMPLE.name, Estimating(), vad_model, Options(), aligner=aligner)

    estimated, measured = heard_with(None), heard_with(Aligning())
    assert {segment.timing for segment in estimated.segments} == {"estimated"}
    assert {segment.timing for segment in measured.segments} == {"measured"}
    assert "".join(s.text for s in measured.segments) == "".join(s.text for s in estimated.segments)
    assert measured.segments[0].words[1].start_ms - measured.segments[0].words[0].start_ms == 100
    assert not any("could not be measured" in note for note in measured.source.notes)


def test_an_aligner_that_fails_costs_no_text_and_the_transcript_says_so(vad_model: Path) -> None:
    steps: list[Progress] = []
    with SAMPLE.open("rb") as file:
        made = pipeline.transcribe(
            file, SAMPLE.name, Estimating(), vad_model, Options(), steps.append, Aligning("好")
        )  # the first line only
    assert {segment.timing for segment in made.segments} <= {"measured", "estimated"}
    assert "".join(segment.text for segment in made.segments if segment.timing == "estimated").startswith("好")
    assert any("could not be measured" in note and "no memory" in note for note in made.source.notes)
    assert [note.key for note in steps[-1].notes if note.warning] == ["alignment.failed"]


def test_a_clip_heard_in_halves_keeps_its_speech_and_says_that_times_are_estimates() -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, 160_000).astype(np.float32)
    samples[78_000:82_000] = 0
    whole = Clip(samples, Span(1_000, 161_000), (Span(1_000, 60_000), Span(75_000, 161_000)))
    halves: list[Clip] = []

    class Looping(Scripted):
        def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
            for index, clip in enumerate(clips):
                if len(clip.samples) == len(samples):
                    yield index, Recognition("那么" * 40, "zh", timing="estimated")
                else:
                    halves.append(clip)
                    yield index, Recognition("好。", "zh", (Word("好。", 0, 900),), 0.9, timing="estimated")

    [(_, heard)] = guards.recognize(Looping(), [whole], Hints())
    left, right = halves
    assert left.span.end == right.span.start
    assert left.speech == (Span(1_000, 60_000), Span(75_000, left.span.end))
    assert right.speech == (right.span,)
    assert (heard.text, heard.timing) == ("好。好。", "estimated")


def test_remarks_from_several_stretches_become_one() -> None:
    first = Note("alignment.failed", {"count": 2, "reason": "no memory"}, warning=True)
    other, again = Note("audio.downmixed", {"channels": 2}), replace(first, parameters={"count": 3, "reason": "gone"})
    assert pipeline.summed([first, other, again]) == (
        Note("alignment.failed", {"count": 5, "reason": "gone"}, warning=True),
        other,
    )
    assert pipeline.summed([]) == ()
