"""Results as files: nothing that is there is lost, and no text of ours either."""

from __future__ import annotations

from pathlib import Path

import pytest

from jiyao.console import Console
from jiyao.errors import OutputError
from jiyao.recognition import EngineInfo
from jiyao.results import Delivery
from jiyao.transcript import Segment, Source, Transcript


def delivery(*formats: str, force: bool = False) -> Delivery:
    return Delivery(formats, force, Console("en", quiet=True))


def transcript(text: str) -> Transcript:
    segment = Segment(start_ms=0, end_ms=900, text=text)
    return Transcript(Source("a.wav", 1000, ""), EngineInfo("x", "x", "1", "cpu", ""), (segment,))


def test_a_result_that_appears_meanwhile_is_kept_and_ours_is_printed(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    target = tmp_path / "a.txt"
    target.write_text("theirs")
    with pytest.raises(OutputError):
        delivery("txt").whole(transcript("这是我们的。"), [target])
    assert target.read_text() == "theirs"
    assert "这是我们的。" in capfdbinary.readouterr().out.decode("utf-8")


def test_a_partial_result_never_replaces_an_earlier_one(tmp_path: Path) -> None:
    """The earlier one may hold nearly everything."""
    (tmp_path / "review.partial.txt").write_text("nearly everything")
    (tmp_path / "review.partial-2.json").write_text("{}")
    wanted = [tmp_path / "review.txt", tmp_path / "review.json"]
    delivery("txt", "json", force=True).partial(transcript("这是我们的。"), "review.flac", wanted)
    assert (tmp_path / "review.partial.txt").read_text() == "nearly everything"
    assert (tmp_path / "review.partial-2.json").read_text() == "{}"
    assert "这是我们的。" in (tmp_path / "review.partial-3.txt").read_text(encoding="utf-8")
    assert (tmp_path / "review.partial-3.json").stat().st_size > 10


def test_nothing_recognised_makes_no_partial_result(tmp_path: Path) -> None:
    empty = Transcript(Source("a.wav", 1000, ""), EngineInfo("x", "x", "1", "cpu", ""))
    delivery("txt").partial(empty, "a.wav", [tmp_path / "a.txt"])
    assert list(tmp_path.iterdir()) == []
