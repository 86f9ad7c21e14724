"""The way as a whole, with engines that misbehave: no recognised text is lost, whatever comes after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from jiyao import pipeline
from jiyao.cli import _Run
from jiyao.console import Console
from jiyao.engines.scripted import Scripted
from jiyao.errors import EngineError, OutputError
from jiyao.pipeline import Options, Progress, Unfinished
from jiyao.recognition import Clip, EngineInfo, Hints, Recognition
from jiyao.transcript import Segment, Source, Transcript
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


def run(formats: list[str], vad_model: Path, force: bool = False) -> _Run:
    return _Run(formats, Breaking(KeyboardInterrupt()), vad_model, Options(), force, Console("en", quiet=True))


def transcript(text: str) -> Transcript:
    segment = Segment(start_ms=0, end_ms=900, text=text)
    return Transcript(Source("a.wav", 1000, ""), EngineInfo("x", "x", "1", "cpu", ""), (segment,))


def test_a_result_that_appears_meanwhile_is_kept_and_ours_is_printed(
    tmp_path: Path, vad_model: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    target = tmp_path / "a.txt"
    target.write_text("theirs")
    with pytest.raises(OutputError):
        run(["txt"], vad_model)._deliver(transcript("这是我们的。"), [target], False)
    assert target.read_text() == "theirs"
    assert "这是我们的。" in capfdbinary.readouterr().out.decode("utf-8")


def test_an_interruption_never_replaces_an_earlier_partial_result(tmp_path: Path, vad_model: Path) -> None:
    """The earlier one may hold nearly everything."""
    (tmp_path / "review.partial.txt").write_text("nearly everything")
    (tmp_path / "review.partial-2.json").write_text("{}")
    with pytest.raises(KeyboardInterrupt):
        run(["txt", "json"], vad_model).one(SAMPLE, [tmp_path / "review.txt", tmp_path / "review.json"])
    assert (tmp_path / "review.partial.txt").read_text() == "nearly everything"
    assert (tmp_path / "review.partial-2.json").read_text() == "{}"
    assert (tmp_path / "review.partial-3.txt").stat().st_size > 10
    assert (tmp_path / "review.partial-3.json").stat().st_size > 10
