"""Word times from a forced aligner: whatever it says, the text stays, and times run forward inside the clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jiyao.alignment import MARGIN_MS, MIN_MS, Alignment, with_times
from jiyao.engines.qwen.words import words_of
from jiyao.errors import EngineError
from jiyao.messages import say
from jiyao.recognition import Clip, EngineInfo, Recognition, Timing, Word
from jiyao.text import join
from jiyao.timeline import SAMPLE_RATE, Span

START = 90 * SAMPLE_RATE + 3
TEXT = "我们用 Llama-3-8B 跑，准确率是3.5%，don't worry."
ITEMS = ("我", "们", "用", "Llama38B", "跑", "准", "确", "率", "是", "35", "don't", "worry")  # as the aligner has them


def clip(duration_ms: int = 6_000, *speech_ms: tuple[int, int]) -> Clip:
    samples = np.broadcast_to(np.float32(0), duration_ms * 16)
    spans = tuple(Span(START + start * 16, START + end * 16) for start, end in speech_ms)
    return Clip(samples, Span(START, START + len(samples)), spans)


def heard(text: str, one: Clip) -> Recognition:
    words = words_of([text], None, one)
    return Recognition(join(word.text for word in words), "zh", words, 0.8, timing="estimated")


def items(texts: Sequence[str], *times: tuple[int, int]) -> tuple[Word, ...]:
    return tuple(Word(text, *time) for text, time in zip(texts, times, strict=True))


def evenly(texts: Sequence[str], start_ms: int = 0, step_ms: int = 400) -> tuple[Word, ...]:
    return items(texts, *((start_ms + i * step_ms, start_ms + (i + 1) * step_ms) for i in range(len(texts))))


def placed(text: str, found: Sequence[Word], one: Clip) -> list[tuple[str, int, int]] | None:
    """(word, start, end); None where the estimates stayed."""
    before = heard(text, one)
    after = with_times(before, found, one)
    if after.timing == "estimated":
        assert after == before
        return None
    return [(word.text, word.start_ms, word.end_ms) for word in after.words]


# mapping


def test_items_without_punctuation_find_their_words() -> None:
    measured = placed(TEXT, evenly(ITEMS, 80), clip())
    assert measured is not None
    assert [text for text, _, _ in measured] == [
        *("我", "们", "用", "Llama-3-8B", "跑，", "准", "确", "率", "是", "3.5%，", "don't", "worry.")
    ]
    assert [(start, end) for _, start, end in measured] == [(80 + i * 400, 480 + i * 400) for i in range(12)]


def test_an_item_of_several_characters_is_shared_out_among_them() -> None:
    """Japanese and Korean come in dictionary words."""
    assert placed("会議は", items(("会議", "は"), (400, 1_200), (1_600, 1_760)), clip()) == [
        *(("会", 400, 800), ("議", 800, 1_200), ("は", 1_600, 1_760))
    ]


def test_an_item_that_is_missing_or_spelled_otherwise_costs_its_own_time_only() -> None:
    missing = placed("今天我们开会", evenly("今天我们会"), clip())
    assert missing is not None and missing[:3] == [("今", 0, 400), ("天", 400, 800), ("我", 800, 1_200)]
    # 开 has no room: it takes its shortest from both its neighbours
    assert missing[3:] == [("们", 1_200, 1_580), ("开", 1_580, 1_580 + MIN_MS), ("会", 1_620, 2_000)]
    other = placed("今天我们开会", evenly("今天我們开会"), clip())
    assert other is not None and other[3] == ("们", 1_200, 1_600)


def test_a_word_between_two_known_ones_keeps_its_share_of_the_gap() -> None:
    found = items("今天开会", (0, 400), (400, 800), (2_000, 2_400), (2_400, 2_800))
    measured = placed("今天我们开会", found, clip())
    assert measured is not None and measured[2:4] == [("我", 800, 1_400), ("们", 1_400, 2_000)]


@pytest.mark.parametrize(
    "found",
    [
        (),
        items("今", (0, 400)),
        evenly("完全是别的话"),  # as many letters, but others
        items("今天我们开会", *[(800, 800)] * 6),  # a heap says nothing
        items("今天我们开会", *((4_000 - i * 400, 4_400 - i * 400) for i in range(6))),  # backwards
        items("今天我们开会", *((i * 400 + 400, i * 400) for i in range(6))),  # each turned round
        evenly("今天我们开会", 7_000),  # behind the clip's end
    ],
    ids=["nothing", "one letter", "another text", "a heap", "backwards", "turned", "outside"],
)
def test_what_cannot_be_believed_leaves_the_estimates(found: tuple[Word, ...]) -> None:
    assert placed("今天我们开会", found, clip()) is None


# repair


def test_an_empty_item_takes_its_shortest_from_the_gap_or_a_neighbour() -> None:
    gap = items("今天我", (0, 400), (800, 800), (1_600, 2_000))
    assert placed("今天我", gap, clip()) == [("今", 0, 400), ("天", 800, 880), ("我", 1_600, 2_000)]
    tight = items("今天我", (0, 400), (400, 400), (400, 800))
    assert placed("今天我", tight, clip()) == [("今", 0, 380), ("天", 380, 420), ("我", 420, 800)]


def test_one_that_runs_back_is_put_between_its_neighbours() -> None:
    found = items("今天我们", (0, 400), (5_000, 5_400), (1_200, 1_600), (1_600, 2_000))
    assert placed("今天我们", found, clip()) == [
        *(("今", 0, 400), ("天", 400, 1_200), ("我", 1_200, 1_600), ("们", 1_600, 2_000))
    ]


def test_no_word_is_left_in_a_pause() -> None:
    """今 ends in the pause, 天 stands in the middle of it, 我 begins in it."""
    one = clip(6_000, (0, 1_000), (3_000, 6_000))
    found = items(
        "今天我们开会", (600, 1_900), (1_920, 2_000), (2_400, 3_400), (3_400, 3_800), (3_800, 4_200), (4_200, 4_600)
    )
    measured = placed("今天我们开会", found, one)
    assert measured is not None
    assert measured[0] == ("今", 600, 1_000 + MARGIN_MS)
    assert 3_000 - MARGIN_MS <= measured[2][1] and measured[2][2] == 3_400
    assert all(end <= 1_200 or start >= 2_800 for _, start, end in measured)


def letters(text: str) -> list[str]:
    return [c for c in text if c.isalnum()]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Clip, tuple[Word, ...]]:
    """A text, its clip, and the aligner's answer on its grid: mostly in order, with holes, heaps, leaps and turns."""
    duration_ms = draw(st.integers(40, 30_000))
    edges = sorted(draw(st.lists(st.integers(0, duration_ms), max_size=8)))
    one = clip(duration_ms, *zip(edges[::2], edges[1::2], strict=False))
    text = draw(st.text("今天我们开会，。 abc3.5%", min_size=1, max_size=60))
    found: list[Word] = []
    now = draw(st.integers(0, 10)) * 80
    for letter in letters(text):
        now += draw(st.sampled_from([0, 0, 0, 80, 400]))
        length = draw(st.sampled_from([0, 80, 80, 160, 240]))
        kind = draw(st.sampled_from(["right"] * 12 + ["gone", "other", "leap", "turned", "twice"]))
        start, end = now, now + length
        if kind == "leap":
            start = draw(st.integers(-10, 500)) * 80
            end = start + length
        if kind == "turned":
            start, end = end + 80, start
        if kind != "gone":
            found += [Word("x" if kind == "other" else letter, start, end)] * (2 if kind == "twice" else 1)
        now += length
    return text, one, tuple(found)


@settings(deadline=None)
@given(damaged(), st.booleans())
@example(("今天", clip(40), items("今天", (0, 80), (80, 160))), False)
def test_whatever_the_aligner_says_times_are_sound(
    drawn: tuple[str, Clip, tuple[Word, ...]], without_speech: bool
) -> None:
    text, one, found = drawn
    one = replace(one, speech=()) if without_speech else one
    before = heard(text, one)
    after = with_times(before, found, one)
    assert after == replace(before, words=after.words, timing=after.timing)
    assert [(w.text, w.confidence) for w in after.words] == [(w.text, w.confidence) for w in before.words]
    if after.timing == "estimated":
        assert after.words == before.words
        return
    assert all(0 <= word.start_ms <= word.end_ms <= one.duration_ms for word in after.words)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(after.words))
    spans = [(start - MARGIN_MS, end + MARGIN_MS) for start, end in one.speech_ms()]
    for word in after.words:
        # two stretches closer than both their margins are one
        reached = [span for span in spans if span[0] <= word.end_ms and span[1] >= word.start_ms]
        assert reached and reached[0][0] <= word.start_ms and word.end_ms <= reached[-1][1]
        assert all(a[1] >= b[0] for a, b in pairwise(reached))
    room = min(end - start for start, end in spans)
    if room - 2 * MARGIN_MS >= MIN_MS * len(after.words):
        assert all(word.end_ms - word.start_ms >= MIN_MS for word in after.words)


@given(st.integers(1, 60), st.integers(0, 20), st.data())
def test_what_was_right_is_not_touched(count: int, pause: int, data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
    times, now = [], 0
    for step in steps:
        times.append((now, now + step * 80))
        now += step * 80 + data.draw(st.sampled_from([0, pause * 80]))
    text = "今天我们开会讨论"[:1] * count
    assert placed(text, items(text, *times), clip(now + 80)) == [
        (letter, *time) for letter, time in zip(text, times, strict=True)
    ]


# the station


class Double:
    """An aligner that places letters evenly, or fails where it is told to."""

    def __init__(self, *failures: BaseException | None) -> None:
        self.failures = list(failures)
        self.asked: list[tuple[str, str | None]] = []

    def describe(self) -> EngineInfo:
        return EngineInfo("double", "double", "1", "cpu", "none")

    def align(
        self, clips: Sequence[Clip], texts: Sequence[str], languages: Sequence[str | None]
    ) -> list[tuple[Word, ...]]:
        self.asked += zip(texts, languages, strict=True)
        failure = self.failures.pop(0) if self.failures else None
        if failure:
            raise failure
        return [evenly(letters(text)) for text in texts]


def passed(aligner: Double | None, count: int = 1, timing: Timing = "estimated") -> tuple[list[Recognition], Alignment]:
    clips = [clip() for _ in range(count)]
    results = [(i, replace(heard("今天，开会。", one), timing=timing)) for i, one in enumerate(clips)]
    alignment = Alignment(aligner)
    found = list(alignment.timed(clips, iter(results)))
    assert [index for index, _ in found] == list(range(count))
    assert all(after.text == before.text for (_, before), (_, after) in zip(results, found, strict=True))
    return [recognition for _, recognition in found], alignment


def test_estimates_are_measured_and_nothing_else_is_asked_for() -> None:
    aligner = Double()
    [found], alignment = passed(aligner)
    assert found.timing == "measured" and [w.start_ms for w in found.words] == [0, 400, 800, 1_200]
    assert aligner.asked == [("今天，开会。", "zh")] and alignment.note is None
    aligner = Double()
    passed(aligner, timing="measured")
    assert aligner.asked == []
    assert passed(None)[0][0].timing == "estimated"


def test_a_failure_costs_times_not_text_and_is_noted() -> None:
    found, alignment = passed(Double(None, EngineError("engine.failed", name="x", reason="no memory")), 3)
    assert [recognition.timing for recognition in found] == ["measured", "estimated", "measured"]
    assert alignment.note is not None and alignment.note.warning
    assert dict(alignment.note.parameters) == {"count": 1, "reason": "no memory"}
    assert "1 (no memory)" in say(alignment.note.key, "en", **alignment.note.parameters)


def test_an_aligner_that_keeps_failing_is_left_alone() -> None:
    aligner = Double(*[ValueError("a fault of ours")] * 9)
    found, alignment = passed(aligner, 6)
    assert {recognition.timing for recognition in found} == {"estimated"}
    assert len(aligner.asked) == 3
    assert alignment.note is not None and alignment.note.parameters["count"] == 6


def test_an_interruption_still_hands_the_text_on() -> None:
    one = clip()
    results = Alignment(Double(KeyboardInterrupt())).timed([one], [(0, heard("今天。", one))])
    assert next(results)[1].text == "今天。"
    with pytest.raises(KeyboardInterrupt):
        next(results)


def test_each_result_goes_on_before_the_next_is_made() -> None:
    one = clip()
    made: list[int] = []

    def engine() -> Iterator[tuple[int, Recognition]]:
        for index in range(3):
            made.append(index)
            yield index, heard("今天。", one)

    for index, _ in Alignment(Double()).timed([one] * 3, engine()):
        assert made == list(range(index + 1))
