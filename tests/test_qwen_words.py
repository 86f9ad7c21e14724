"""Tokens to words: nothing of the text is lost, words are what a reader takes for one, times stand where speech is."""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiyao.engines.qwen.words import words_of
from jiyao.recognition import Clip, Word
from jiyao.text import join, tidy
from jiyao.timeline import SAMPLE_RATE, Span, to_ms
from tests.conftest import SHARED, needs_shared

START = 7 * SAMPLE_RATE + 5  # in the recording: offsets must be taken off


def clip(duration_ms: int = 10_000, *speech_ms: tuple[int, int]) -> Clip:
    samples = np.broadcast_to(np.float32(0), duration_ms * 16)
    spans = tuple(Span(START + start * 16, START + end * 16) for start, end in speech_ms)
    return Clip(samples, Span(START, START + len(samples)), spans)


def texts(*pieces: str) -> list[str]:
    return [word.text for word in words_of(pieces, None, clip())]


# what a word is


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (("好", "，", "我们", "开始", "吧", "。"), ["好，", "我", "们", "开", "始", "吧。"]),
        (("用", "L", "lama", "-", "3", "-", "8", "B", "跑"), ["用", "Llama-3-8B", "跑"]),
        (("I", " don", "'t", " know", "."), ["I", "don't", "know."]),
        (("it", "’", "s", " the", " U", ".S", ".", " team"), ["it’s", "the", "U.S.", "team"]),
        (("降", "到", "3", ".", "5", "%", "，", "Q", "3", "再", "看"), ["降", "到", "3.5%，", "Q3", "再", "看"]),
        (("CI", "/C", "D", "的", "流程"), ["CI/CD", "的", "流", "程"]),
        (("《", "三", "体", "》", "（", "好", "）", "。"), ["《三", "体》", "（好）。"]),
        (("他说", '"', "你好", '"', "吗", "?"), ["他", "说", '"你', '好"', "吗？"]),
        (("a", " -", " b", " “", "c", "”", "."), ["a -", "b", "“c”."]),
        (("……", "嗯", "……"), ["……嗯……"]),
        (("コン", "ピューター", "を", "使", "って", "、", "きょう", "は"),
         ["コンピューター", "を", "使っ", "て、", "きょ", "う", "は"]),
        (("안", "녕", "하세요", " 저", "는"), ["안녕하세요", "저는"]),
        (("25", "°", "C"), ["25°C"]),
        (("。", "。"), ["。。"]),
        (("", " ", ""), []),
        ((), []),
    ],
)  # fmt: skip
def test_words_are_what_a_reader_takes_for_one(pieces: tuple[str, ...], words: list[str]) -> None:
    assert texts(*pieces) == words


@needs_shared
def test_real_output_is_joined_from_real_tokens() -> None:
    """What sherpa-onnx printed of the true 0.6B: Mandarin, Cantonese, English, tokens of one to five characters."""
    seen = 0
    for log in sorted((SHARED / "golden").glob("sherpa_*.txt")):
        for line in log.read_text(encoding="utf-8").splitlines():
            if not line.startswith('{"lang"'):
                continue
            seen += 1
            tokens: list[str] = json.loads(line)["tokens"]
            words = [word.text for word in words_of(tokens, [0.5] * len(tokens), clip(30_000))]
            assert join(words) == tidy("".join(tokens)), log.name
            # no Latin word in pieces, no two Han characters in one
            assert all(len(re.findall("[\u4e00-\u9fff]", word)) <= 1 for word in words), log.name
            known = {"princess，", "it's", "Sometimes", "Charles,"}
            assert known & set(words) or not re.search("[a-z]", "".join(tokens)), log.name
    assert seen >= 6


# confidence


def test_a_word_is_as_sure_as_its_tokens_together() -> None:
    pieces = ("今天", "，", "Pine", "cone", " fell", "。")
    words = words_of(pieces, (0.9, 0.1, 0.4, 0.9, 1.0, 0.2), clip())
    assert [word.text for word in words] == ["今", "天，", "Pinecone", "fell。"]
    assert [word.confidence for word in words] == [0.9, 0.9, pytest.approx(math.sqrt(0.36), abs=1e-3), 1.0]


def test_a_character_in_two_tokens_needs_both() -> None:
    [word] = words_of(("", "嘅"), (0.25, 1.0), clip())
    assert word == Word("嘅", 0, 10_000, 0.5)


def test_punctuation_alone_has_its_own_tokens_confidence() -> None:
    [word] = words_of(("。", "？"), (0.25, 1.0), clip())
    assert word.confidence == 0.5


def test_without_probabilities_there_is_no_confidence() -> None:
    assert [word.confidence for word in words_of(("好", "的"), None, clip())] == [None, None]


def test_probabilities_that_rounding_put_outside_do_no_harm() -> None:
    assert [w.confidence for w in words_of(("好", "的"), (1.0000001, 0.0), clip())] == [1.0, 0.0]


# times


def times(text: str, one: Clip) -> list[tuple[str, int, int]]:
    return [(word.text, word.start_ms, word.end_ms) for word in words_of([text], None, one)]


def test_without_voice_detection_the_whole_clip_is_shared_out() -> None:
    assert times("一二三四", clip(2_000)) == [
        ("一", 0, 500),
        ("二", 500, 1_000),
        ("三", 1_000, 1_500),
        ("四", 1_500, 2_000),
    ]


def test_punctuation_takes_no_time_and_a_letter_less_than_a_character() -> None:
    (_, _, one), (_, _, two), (_, start, end) = times("好，，，行the", clip(2_000))
    assert abs(one - (two - one)) <= 1
    assert 0 < end - start < 2 * one


def test_no_word_lies_in_a_pause() -> None:
    spans = (1_000, 2_000), (4_000, 7_000)
    found = times("一二三四五六七八", clip(10_000, *spans))
    assert [start for _, start, _ in found][:3] == [1_000, 1_500, 4_000]
    assert found[-1][2] == 7_000


def test_a_pause_falls_at_the_comma() -> None:
    """By pace alone the second stretch would begin with 四."""
    spans = (0, 1_000), (1_500, 2_700)
    assert ("三", 1_500, 1_800) in times("一二，三四五六", clip(3_000, *spans))
    assert ("四", 1_500, 1_900) in times("一二三四五六", clip(3_000, *spans))


def test_a_sliver_of_speech_at_the_edge_holds_no_word() -> None:
    assert times("一二", clip(3_000, (0, 10), (500, 2_500))) == [("一", 500, 1_500), ("二", 1_500, 2_500)]


def test_speech_that_hangs_over_the_clip_is_cut_to_it() -> None:
    one = clip(1_000, (0, 5_000))
    assert times("一二", one)[-1][2] == 1_000


PIECES = st.lists(
    st.one_of(
        st.text("的我们项目，。！？：；、“”‘’（）《》…—·・", max_size=3),
        st.text("abcXY019 .,;:!?%$#@&/+-'\"()[]{}’°€", max_size=6),
        st.text("かっょュコーンヽ々〇안녕ไทยдаä한", max_size=4),
        st.sampled_from(["", " ", "\n", "\u3000", " don", "'t", "3.5", "\U00020000", "e\u0301", "😀", "नमस्ते"]),
        st.text(max_size=3),
    ),
    max_size=40,
)


@st.composite
def clips(draw: st.DrawFn) -> Clip:
    duration_ms = draw(st.integers(1, 30_000))
    edges = sorted(draw(st.lists(st.integers(0, duration_ms), max_size=14)))
    return clip(duration_ms, *zip(edges[::2], edges[1::2], strict=False))


@given(PIECES)
def test_words_join_to_the_text_whatever_the_tokens_are(pieces: list[str]) -> None:
    words = texts(*pieces)
    assert join(words) == tidy("".join(pieces))
    assert all(word and word == word.strip() for word in words)


@given(PIECES, st.data())
def test_confidences_are_the_tokens_own(pieces: list[str], data: st.DataObject) -> None:
    probabilities = data.draw(st.lists(st.floats(0.001, 1), min_size=len(pieces), max_size=len(pieces)))
    for word in words_of(pieces, probabilities, clip()):
        assert word.confidence is not None
        assert min(probabilities) - 1e-3 <= word.confidence <= max(probabilities) + 1e-3


@settings(deadline=None)
@given(PIECES, clips())
def test_times_run_forward_inside_speech(pieces: list[str], one: Clip) -> None:
    words = words_of(pieces, None, one)
    duration_ms = to_ms(len(one.samples))
    spans = [(to_ms(s.start - START), to_ms(s.end - START)) for s in one.speech if len(s) >= 40 * 16]
    spans = spans or [(0, duration_ms)]
    assert all(0 <= a <= b <= duration_ms for w in words for a, b in [(w.start_ms, w.end_ms)])
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(words))
    if not words:
        return
    assert words[-1].end_ms == spans[-1][1]
    if len(words) <= min(end - start for start, end in spans):
        assert all(word.start_ms < word.end_ms for word in words)
        for word in words:
            assert any(start <= word.start_ms and word.end_ms <= end for start, end in spans)


def test_a_long_clip_of_many_pauses_is_dealt_out_evenly() -> None:
    """Thirty seconds, fifteen breaths: no stretch is far from the pace of the whole."""
    edges = list(accumulate([0, *([1_700, 300] * 15)]))
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    found = times("甲乙丙丁戊己庚，" * 15, clip(30_000, *spans))
    inside = [sum(start <= at < end for _, at, _ in found) for start, end in spans]
    assert inside == [7] * 15
