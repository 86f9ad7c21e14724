"""Transcript: clips become segments on one clock, and JSON keeps every bit of it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiyao.errors import UsageError
from jiyao.recognition import EngineInfo, Flag, Recognition, Timing, Word
from jiyao.text import join
from jiyao.timeline import SAMPLES_PER_MS, Span
from jiyao.transcript import Correction, Heard, Segment, Source, Transcript, assemble, from_json, segments_of, to_json

SOURCE = Source("周会.m4a", 60_000, "ab" * 32, ("the file ends early",))
ENGINE = EngineInfo("scripted", "script", "1", "cpu", "")


def clip(start_ms: int, end_ms: int, *words: Word, text: str | None = None, language: str | None = "zh") -> Heard:
    heard = join(word.text for word in words) if text is None else text
    return Heard(Span(start_ms * SAMPLES_PER_MS, end_ms * SAMPLES_PER_MS), Recognition(heard, language, words, 0.5))


def timed(heard: Heard, timing: Timing) -> Heard:
    return replace(heard, recognition=replace(heard.recognition, timing=timing))


def spelled(text: str, start_ms: int = 0, step_ms: int = 200) -> list[Word]:
    return [Word(c, start_ms + i * step_ms, start_ms + (i + 1) * step_ms, 0.9) for i, c in enumerate(text)]


def test_clips_in_any_order_are_sorted_and_offset_once() -> None:
    late = Heard(Span(160_000, 320_000), Recognition("乙。", "zh", (Word("乙。", 500, 900),)))
    made = assemble(SOURCE, ENGINE, [late, clip(2_000, 5_000, Word("甲。", 100, 400))])
    assert [(s.text, s.start_ms, s.end_ms) for s in made.segments] == [("甲。", 2_100, 2_400), ("乙。", 10_500, 10_900)]
    assert [(w.start_ms, w.end_ms) for s in made.segments for w in s.words] == [(2_100, 2_400), (10_500, 10_900)]
    assert assemble(SOURCE, ENGINE, []).segments == ()


def test_words_stay_inside_their_clip_and_never_run_back() -> None:
    wild = (Word("一", -50, 300), Word("二", 100, 200), Word("三", 800, 600), Word("四", 900, 99_000))
    [segment] = segments_of(clip(1_000, 2_000, *wild))
    assert [(w.start_ms, w.end_ms) for w in segment.words] == [
        (1_000, 1_300),
        (1_300, 1_300),
        (1_800, 1_800),
        (1_900, 2_000),
    ]


def test_a_segment_is_a_sentence_or_ends_at_a_pause() -> None:
    words = [Word("好。", 0, 200), *spelled("开始", 300), Word("吧", 2_000, 2_200), Word("。", 2_200, 2_200)]
    assert [s.text for s in segments_of(clip(0, 5_000, *words))] == ["好。", "开始", "吧。"]


def test_an_estimated_pause_ends_a_segment_at_a_mark_only() -> None:
    words = [*spelled("我", 0), *spelled("们", 1_500), Word("说，", 1_700, 1_900), *spelled("好", 3_000)]
    heard = clip(0, 5_000, *words)
    assert [s.text for s in segments_of(heard)] == ["我", "们说，", "好"]
    assert [s.text for s in segments_of(timed(heard, "estimated"))] == ["我们说，", "好"]


def test_long_speech_is_cut_at_a_comma_else_at_the_widest_gap() -> None:
    with_comma = [*spelled("一二三四五六七", 0, 1_000), Word("八，", 7_000, 8_000), *spelled("九十" * 5, 8_000, 1_000)]
    assert [s.text for s in segments_of(clip(0, 30_000, *with_comma))] == ["一二三四五六七八，", "九十" * 5]
    with_gap = [*spelled("一二三四五六", 0, 1_000), *spelled("七八九十" * 3, 6_300, 1_000)]
    assert [s.text for s in segments_of(clip(0, 30_000, *with_gap))] == ["一二三四五六", "七八九十" * 3]


def test_without_words_the_clip_is_the_segment() -> None:
    [segment] = segments_of(clip(1_000, 3_000, text="我們用Redis"))
    assert segment == Segment(start_ms=1_000, end_ms=3_000, language="zh", text="我们用 Redis", confidence=0.5)
    assert segments_of(clip(0, 1_000, text=" \n")) == []
    assert segments_of(clip(0, 1_000, Word(" ", 0, 100), Word("", 100, 200))) == []


def test_script_touches_chinese_only() -> None:
    assert segments_of(clip(0, 1_000, Word("開會", 0, 500)), "original")[0].text == "開會"
    assert segments_of(clip(0, 1_000, Word("开会", 0, 500)), "traditional")[0].text == "開會"
    assert segments_of(clip(0, 1_000, Word("東京", 0, 500), language="ja"))[0].text == "東京"


def test_flags_and_confidence_reach_every_segment() -> None:
    flags: tuple[Flag, ...] = ("loop", "unsure")
    words = (Word("好。", 0, 100, 0.8), Word("行", 100, 200, 0.5), Word("。", 200, 200, None))
    made = segments_of(Heard(Span(0, 16_000), Recognition("好。行。", "yue", words, None, flags)))
    assert [(s.language, s.flags, s.confidence) for s in made] == [("yue", flags, 0.8), ("yue", flags, 0.5)]


def test_estimated_times_are_marked_on_every_segment_of_their_clip() -> None:
    words = (Word("好。", 0, 100), Word("行。", 100, 200))
    heard = Recognition("好。行。", "zh", words, timing="estimated")
    made = assemble(SOURCE, ENGINE, [Heard(Span(0, 16_000), heard), clip(2_000, 3_000, Word("嗯。", 0, 90))])
    assert [segment.timing for segment in made.segments] == ["estimated", "estimated", "measured"]
    # without words a segment has its clip's own times
    assert segments_of(Heard(Span(0, 16_000), Recognition("好。", timing="estimated")))[0].timing == "measured"


PIECES = st.text("的我们項目，。？ab Z9.,%", max_size=4)
TIMES = st.integers(-500, 40_000)
HEARD = st.builds(
    lambda start, words, timing: timed(clip(start, start + 28_000, *words), timing),
    st.integers(0, 100_000),
    st.lists(st.builds(Word, PIECES, TIMES, TIMES, st.none() | st.floats(0, 1)), max_size=30),
    st.sampled_from(get_args(Timing)),
)


@given(HEARD)
def test_whatever_is_heard_text_is_its_words_and_time_runs_forward(heard: Heard) -> None:
    segments = segments_of(heard)
    for segment in segments:
        assert segment.text and segment.text == join(word.text for word in segment.words)
        assert (segment.start_ms, segment.end_ms) == (segment.words[0].start_ms, segment.words[-1].end_ms)
    times = [ms for segment in segments for word in segment.words for ms in (word.start_ms, word.end_ms)]
    assert all(a <= b for a, b in pairwise([heard.span.start_ms, *times, heard.span.end_ms]))


@given(st.lists(HEARD, max_size=4))
def test_json_there_and_back(heard: list[Heard]) -> None:
    made = assemble(SOURCE, ENGINE, heard)
    assert from_json(to_json(made)) == made


def test_json_keeps_the_order_of_the_contract() -> None:
    [segment] = segments_of(clip(0, 1_000, Word("都", 0, 500), Word("好。", 500, 900)))
    made = Transcript(SOURCE, ENGINE, (replace(segment, corrections=(Correction(1, "号", "好", "pinyin", 0.9),)),))
    assert from_json(to_json(made)) == replace(made, engine=replace(ENGINE, dtype=""))
    document = json.loads(to_json(made))
    assert document["corrections"] == [
        {
            "segment": 0,
            "start_ms": 500,
            "start": 1,
            "before": "号",
            "after": "好",
            "rule": "pinyin",
            "score": 0.9,
        }
    ]
    assert list(document) == ["version", "source", "engine", "segments", "corrections", "minutes"]
    assert list(document["source"]) == ["name", "duration_ms", "sha256", "notes"]
    assert list(document["engine"]) == ["name", "model", "revision", "device"]
    [segment] = document["segments"]
    assert list(segment) == [
        *("start_ms", "end_ms", "speaker", "language", "text", "confidence", "flags", "timing", "words")
    ]
    assert list(segment["words"][0]) == ["text", "start_ms", "end_ms", "confidence"]
    assert document["version"] == 1 and document["minutes"] is None


def test_json_of_another_version_is_refused() -> None:
    document = {**json.loads(to_json(Transcript(SOURCE, ENGINE))), "version": 2}
    with pytest.raises(UsageError) as caught:
        from_json(json.dumps(document))
    assert caught.value.key == "transcript.version" and "2" in caught.value.message("zh")


GOOD = json.loads(
    to_json(Transcript(SOURCE, ENGINE, (Segment(start_ms=0, end_ms=9, text="好", words=(Word("好", 0, 9),)),)))
)


RECORD = {"segment": 0, "start_ms": 0, "start": 0, "before": "号", "after": "好", "rule": "alias", "score": None}


def changed(**segment: object) -> dict[str, object]:
    return {**GOOD, "segments": [{**GOOD["segments"][0], **segment}]}


@pytest.mark.parametrize(
    "document",
    [
        *("", "{", "null", "[]", "3", '"text"', "{}"),
        json.dumps({"version": 1}),
        json.dumps({**GOOD, "source": None}),
        json.dumps({**GOOD, "source": []}),
        json.dumps({**GOOD, "source": {**GOOD["source"], "duration_ms": "long"}}),
        json.dumps({**GOOD, "engine": {"name": "x"}}),
        json.dumps({**GOOD, "segments": 3}),
        json.dumps({**GOOD, "corrections": [{"before": "a"}]}),
        json.dumps({**GOOD, "corrections": [RECORD | {"after": "坏"}]}),
        json.dumps({**GOOD, "corrections": [RECORD | {"rule": "magic"}]}),
        json.dumps({**GOOD, "corrections": [RECORD | {"start": -1}]}),
        json.dumps(changed(flags=["odd"])),
        json.dumps(changed(flags=[["loop"]])),
        json.dumps(changed(mood="good")),
        json.dumps(changed(timing="guessed")),
        json.dumps(changed(timing=[])),
        json.dumps(changed(words=["好"])),
        json.dumps(changed(start_ms="0")),
        json.dumps(changed(start_ms=1.5)),
        json.dumps(changed(start_ms=5, end_ms=2)),
        json.dumps(changed(text=None)),
        json.dumps(changed(confidence="high")),
        json.dumps(changed(words=[{"text": 3, "start_ms": 0, "end_ms": 9, "confidence": None}])),
        "[" * 100_000,
    ],
)
def test_malformed_json_is_refused_in_plain_words(document: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_json(document)
    assert caught.value.key == "transcript.malformed"


def test_json_from_before_times_were_estimated_is_read() -> None:
    old = {key: value for key, value in GOOD["segments"][0].items() if key != "timing"}
    assert from_json(json.dumps({**GOOD, "segments": [old]})).segments[0].timing == "measured"


def test_json_without_notes_is_read() -> None:
    source = {key: value for key, value in GOOD["source"].items() if key != "notes"}
    assert from_json(json.dumps({**GOOD, "source": source})).source.notes == ()
