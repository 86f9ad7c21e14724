"""Where speech is, and where it may be cut: no sample of speech lost or doubled, no clip too long, on any recording."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jiyao.audio import decode
from jiyao.segmentation import FRAME, Cutting, Part, Probabilities, SpeechDetector, cut, inside, speech_spans
from jiyao.timeline import SAMPLE_RATE, Pcm, Span
from tests.conftest import SAMPLE
from tests.recordings import shared

CUTTING = Cutting()
S = SAMPLE_RATE


def heard(pcm: Pcm, model: Path, sizes: Sequence[int] = ()) -> Probabilities:
    detector = SpeechDetector(model)
    place = 0
    for size in sizes:
        detector.feed(pcm[place : place + size])
        place += size
    detector.feed(pcm[place:])
    return detector.finish()


def speech_of(pcm: Pcm, model: Path, cutting: Cutting = CUTTING) -> list[Span]:
    return speech_spans(heard(pcm, model), len(pcm), cutting)


def covered(spans: Sequence[Span], start: int, end: int) -> int:
    """How many samples of [start, end) lie in the spans."""
    return sum(max(0, min(span.end, end) - max(span.start, start)) for span in spans)


def quiet(n_samples: int) -> Pcm:
    """Silence of any length that takes no memory."""
    return np.broadcast_to(np.int16(0), n_samples)


# --- probabilities to speech -----------------------------------------------------------------------------------------

levels = st.sampled_from([0.0, 0.2, 0.34, 0.36, 0.42, 0.49, 0.5, 0.51, 0.8, 1.0])
runs = st.lists(st.tuples(levels, st.integers(1, 40)), max_size=40)


@given(runs, st.integers(0, FRAME - 1))
def test_speech_is_in_order_and_every_long_enough_voice_is_in_it(drawn: list[tuple[float, int]], missing: int) -> None:
    probabilities = np.array([level for level, count in drawn for _ in range(count)], np.float32)
    n_samples = max(0, len(probabilities) * FRAME - missing)
    spans = speech_spans(probabilities, n_samples, CUTTING)
    assert all(0 <= span.start < span.end <= n_samples for span in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    shortest = CUTTING.min_speech_s * S / FRAME
    for start, end in _stretches(probabilities >= CUTTING.speech_above):
        if end - start >= shortest:
            here = start * FRAME, min(end * FRAME, n_samples)
            assert covered(spans, *here) == here[1] - here[0]
    for span in spans:  # each for a reason, none of it far from one
        voiced = probabilities[span.start // FRAME : -(-span.end // FRAME)] >= CUTTING.speech_above
        assert voiced.any()
    longest = round((CUTTING.min_silence_s + 2 * CUTTING.pad_s) * S) + 2 * FRAME
    for start, end in _stretches(probabilities < CUTTING.silence_below):
        if (end - start) * FRAME > longest:
            middle = (start + end) // 2 * FRAME
            assert covered(spans, middle, middle + 1) == 0


def _stretches(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def test_speech_once_begun_goes_on_through_soft_frames_and_short_pauses() -> None:
    def spoken(*drawn: tuple[float, int]) -> list[tuple[int, int]]:
        probabilities = np.array([level for level, count in drawn for _ in range(count)], np.float32)
        bare = replace(CUTTING, pad_s=0.0)
        spans = speech_spans(probabilities, len(probabilities) * FRAME, bare)
        return [(span.start // FRAME, span.end // FRAME) for span in spans]

    assert spoken((0, 10), (0.9, 10), (0.4, 30), (0.9, 10), (0, 10)) == [(10, 60)]  # 0.4 keeps, but does not begin
    assert spoken((0, 10), (0.4, 30), (0, 10)) == []
    assert spoken((0.9, 10), (0.1, 7), (0.9, 10)) == [(0, 27)]  # 7 frames are 0.22 s
    assert spoken((0.9, 10), (0.1, 8), (0.9, 10)) == [(0, 10), (18, 28)]
    assert spoken((0, 10), (0.9, 3), (0, 20)) == []  # a click
    assert spoken((0.9, 4)) == [(0, 4)]
    assert spoken() == []


def test_padding_never_passes_the_middle_of_a_pause() -> None:
    probabilities = np.array([0.9] * 10 + [0.0] * 10 + [0.9] * 10, np.float32)
    one, other = speech_spans(probabilities, 30 * FRAME, replace(CUTTING, pad_s=1.0))
    assert (one, other) == (Span(0, 15 * FRAME), Span(15 * FRAME, 30 * FRAME))


# --- speech to clips and parts ---------------------------------------------------------------------------------------

tenths = st.integers(1, 12_00).map(lambda n: n * S // 10)
gaps = st.one_of(
    st.just(0), st.integers(0, 40).map(lambda n: n * S // 10), st.sampled_from([5 * S, 100 * S, 400 * S, 2_000 * S])
)
talks = st.lists(st.tuples(gaps, st.one_of(tenths, st.integers(1, 40 * S))), max_size=60)


def talk(drawn: list[tuple[int, int]], tail: int) -> tuple[list[Span], int]:
    spans, place = [], 0
    for gap, length in drawn:
        spans.append(Span(place + gap, place + gap + length))
        place += gap + length
    return spans, place + tail


def clips_of(parts: Sequence[Part]) -> list[Span]:
    return [clip for part in parts for clip in part.clips]


@settings(deadline=None)
@given(talks, gaps)
@example([(0, 28 * S)] * 100, 0)
@example([(0, 301 * S)], 0)
@example([(2_000 * S, S), (2_000 * S, S)], 2_000 * S)
def test_clips_hold_all_speech_once_and_nothing_but_short_pauses_beside(
    drawn: list[tuple[int, int]], tail: int
) -> None:
    speech, n_samples = talk(drawn, tail)
    clips = clips_of(cut(quiet(n_samples), speech, CUTTING))
    assert all(0 < len(clip) <= CUTTING.max_clip_s * S for clip in clips)
    assert all(one.end <= other.start for one, other in pairwise(clips))
    assert all(covered(clips, span.start, span.end) == len(span) for span in speech)
    starts, ends = {span.start for span in speech}, {span.end for span in speech}
    for clip in clips:
        inside = [span for span in speech if span.start < clip.end and span.end > clip.start]
        assert all(other.start - one.end <= CUTTING.max_gap_s * S for one, other in pairwise(inside))
        assert clip.start in starts or inside[0].start < clip.start  # begins and ends with speech
        assert clip.end in ends or inside[-1].end > clip.end
    for one, other in pairwise(clips):  # short only where a long silence follows
        if other.start - one.end <= 0 and other.end - one.start <= CUTTING.max_clip_s * S:
            pytest.fail(f"{one} and {other} could be one clip")


@settings(deadline=None)
@given(talks, gaps)
@example([(0, 28 * S)] * 100, 0)
@example([(0, S)], 301 * S)
@example([(10 * S, S)], 400 * S)
@example([(2_000 * S, S), (2_000 * S, S)], 2_000 * S)
def test_parts_tile_the_recording_and_are_three_to_five_minutes(drawn: list[tuple[int, int]], tail: int) -> None:
    speech, n_samples = talk(drawn, tail)
    parts = cut(quiet(n_samples), speech, CUTTING)
    assert [part.span.start for part in parts] == [0, *(part.span.end for part in parts[:-1])][: len(parts)]
    assert sum(len(part.span) for part in parts) == n_samples
    for part in parts:
        assert all(part.span.start <= clip.start and clip.end <= part.span.end for clip in part.clips)
        assert len(part.span) <= CUTTING.max_part_s * S
    assert all(len(part.span) >= CUTTING.min_part_s * S for part in parts[:-1])
    if n_samples <= CUTTING.max_part_s * S:
        assert len(parts) == (1 if n_samples else 0)


@settings(deadline=None)
@given(talks, gaps)
@example([(0, 60 * S)], 0)
@example([(0, S)], 301 * S)
def test_every_clip_finds_its_speech_in_its_part(drawn: list[tuple[int, int]], tail: int) -> None:
    speech, n_samples = talk(drawn, tail)
    parts = cut(quiet(n_samples), speech, CUTTING)
    assert sum(len(span) for part in parts for span in part.speech) == sum(map(len, speech))
    for part in parts:
        found = [span for clip in part.clips for span in inside(part.speech, clip)]
        assert sum(map(len, found)) == sum(map(len, part.speech))  # none of it between two clips
        assert all(covered(speech, span.start, span.end) == len(span) for span in found)
        assert all(inside(part.speech, clip) for clip in part.clips)


def test_spans_are_cut_to_the_window() -> None:
    spans = [Span(0, 10), Span(10, 20), Span(30, 40)]
    assert inside(spans, Span(5, 35)) == (Span(5, 10), Span(10, 20), Span(30, 35))
    assert inside(spans, Span(10, 30)) == (Span(10, 20),)
    assert inside(spans, Span(12, 15)) == (Span(12, 15),)
    assert inside(spans, Span(20, 30)) == inside(spans, Span(50, 60)) == inside([], Span(0, 9)) == ()


def test_the_last_part_is_no_scrap_where_that_can_be() -> None:
    for minutes in (6.5, 7, 8, 9.5, 11, 60):
        speech = [Span(start, start + 9 * S) for start in range(0, int(minutes * 60) * S, 10 * S)]
        parts = cut(quiet(int(minutes * 60) * S), speech, CUTTING)
        assert all(180 <= part.span.duration_s <= 300 for part in parts), minutes


def test_a_part_ends_in_the_longest_pause_within_reach() -> None:
    speech = [Span(start, start + 9 * S) for start in range(0, 900 * S, 10 * S) if start != 250 * S]
    first, *_ = cut(quiet(900 * S), speech, CUTTING)
    assert first.span == Span(0, (249 * S + 260 * S) // 2)


def test_a_clip_ends_at_its_longest_pause_after_fifteen_seconds() -> None:
    speech = [Span(0, 10 * S), Span(11_500 * 16, 17 * S), Span(18 * S, 22 * S), Span(22_300 * 16, 40 * S)]
    first, second = clips_of(cut(quiet(40 * S), speech, CUTTING))
    assert (first, second) == (Span(0, 17 * S), Span(18 * S, 40 * S))


def test_without_a_pause_the_cut_is_at_the_quietest_point() -> None:
    rng = np.random.default_rng(1)
    pcm = rng.integers(-8_000, 8_000, 50 * S, np.int16)
    for dip_s in (15.3, 20.0, 27.6):
        soft = pcm.copy()
        soft[int(dip_s * S) - S // 16 : int(dip_s * S) + S // 16] //= 10
        first, second, *_ = clips_of(cut(soft, [Span(0, 50 * S)], CUTTING))
        assert first.end == second.start == pytest.approx(dip_s * S, abs=S // 50)


@pytest.mark.parametrize("more_s", [0.01, 0.3, 0.99])
def test_a_cut_leaves_no_scrap_of_speech_behind(more_s: float) -> None:
    rng = np.random.default_rng(2)
    pcm = rng.integers(-8_000, 8_000, 40 * S, np.int16)
    pcm[int(27.8 * S) :] //= 50  # a voice that fades: the quietest point would be the last one
    clips = clips_of(cut(pcm, [Span(0, round((28 + more_s) * S))], CUTTING))
    assert len(clips) == 2 and clips[1].duration_s >= 1.0


def test_silence_has_parts_but_no_clips() -> None:
    assert cut(quiet(0), [], CUTTING) == []
    assert cut(quiet(7), [], CUTTING) == [Part(Span(0, 7), ())]
    parts = cut(quiet(3_600 * S), [], CUTTING)
    assert clips_of(parts) == [] and len(parts) in range(12, 21)


# --- the detector ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample() -> Pcm:
    with SAMPLE.open("rb") as file:
        return decode(file).pcm


@pytest.fixture(scope="module")
def whole(sample: Pcm, vad_model: Path) -> Probabilities:
    return heard(sample[: 20 * S], vad_model)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 1_200), st.integers(0, 100_000)), max_size=30))
@example([FRAME] * 100)
@example([1] * 70)
def test_the_size_of_the_blocks_does_not_matter(
    vad_model: Path, sample: Pcm, whole: Probabilities, sizes: list[int]
) -> None:
    np.testing.assert_allclose(heard(sample[: 20 * S], vad_model, sizes), whole, atol=1e-5, rtol=0)


def test_it_hears_what_faster_whisper_hears(vad_model: Path, sample: Pcm) -> None:
    from faster_whisper.vad import SileroVADModel

    frames = len(sample) // FRAME
    floats = sample[: frames * FRAME].astype(np.float32) / 32768
    theirs = SileroVADModel(str(vad_model))(floats.copy()).reshape(-1)
    ours = heard(sample[: frames * FRAME], vad_model)
    np.testing.assert_allclose(ours[:-1], theirs[:-1], atol=1e-5, rtol=0)  # theirs silences the very end


@pytest.mark.parametrize("n_samples", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME])
def test_every_sample_is_in_a_frame(vad_model: Path, n_samples: int) -> None:
    assert len(heard(np.zeros(n_samples, np.int16), vad_model)) == -(-n_samples // FRAME)


def test_silence_and_noise_are_no_speech(vad_model: Path) -> None:
    rng = np.random.default_rng(3)
    for pcm in (np.zeros(10 * S, np.int16), rng.integers(-500, 500, 10 * S, np.int16)):
        assert speech_of(pcm, vad_model) == []


# --- real recordings -------------------------------------------------------------------------------------------------


def turns_of(path: Path) -> list[tuple[int, int]]:
    """Start and end of each turn, in samples."""
    turns = json.loads(path.read_text(encoding="utf-8"))["turns"]
    return [(turn["start_ms"] * S // 1000, turn["end_ms"] * S // 1000) for turn in turns]


def assert_heard(spans: Sequence[Span], turns: Sequence[tuple[int, int]]) -> None:
    """97 % of all turns are in the spans, and no pause of more than a second is filled."""
    assert sum(covered(spans, *turn) for turn in turns) >= 0.97 * sum(end - start for start, end in turns)
    for (_, end), (start, _) in pairwise(turns):
        if start - end > S:
            assert covered(spans, end, start) < start - end, f"the pause at {end / S:.1f} s was not heard"


def test_the_sample_is_heard_turn_by_turn(vad_model: Path, sample: Pcm) -> None:
    turns = turns_of(SAMPLE.with_suffix(".reference.json"))
    spans = speech_of(sample, vad_model)
    assert_heard(spans, turns)
    clips = clips_of(cut(sample, spans, CUTTING))
    assert sum(covered(clips, *turn) for turn in turns) >= 0.97 * sum(end - start for start, end in turns)


@pytest.mark.parametrize("name", ["dev_review", "dev_standup", "dev_review_ac"])
def test_made_meetings_are_heard_turn_by_turn(vad_model: Path, name: str) -> None:
    with shared(f"synth/{name}.flac").open("rb") as file:
        pcm = decode(file).pcm
    assert_heard(speech_of(pcm, vad_model), turns_of(shared(f"synth/{name}.json")))


def test_a_long_silence_is_in_no_clip_but_in_the_clock(vad_model: Path) -> None:
    with shared("synth/dev_standup.flac").open("rb") as file:
        pcm = decode(file).pcm
    turns = turns_of(shared("synth/dev_standup.json"))
    [(silence, speech)] = [(end, start) for (_, end), (start, _) in pairwise(turns) if start - end > 15 * S]
    clips = clips_of(cut(pcm, speech_of(pcm, vad_model), CUTTING))
    assert covered(clips, silence, speech) <= S  # the padding of both sides
    [after] = [clip for clip in clips if clip.start <= speech < clip.end]
    assert speech - after.start <= 0.5 * S
    assert clips[-1].end >= turns[-1][1] - S // 4
