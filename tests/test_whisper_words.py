"""What the starter does with Whisper's raw alignment: pieces to words, holes found, what was heard in them put in."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jiyao.engines.whisper_ct2 import _flags, _holes, _merged, _words
from jiyao.recognition import Clip, Recognition, Word
from jiyao.timeline import SAMPLE_RATE, Span


def piece(text: str, start_s: float, end_s: float, tokens: int = 1, probability: float = 0.9) -> dict[str, Any]:
    return {"word": text, "start": start_s, "end": end_s, "tokens": list(range(tokens)), "probability": probability}


def clip(seconds: float) -> Clip:
    n = round(seconds * SAMPLE_RATE)
    return Clip(np.zeros(n, np.float32), Span(SAMPLE_RATE, SAMPLE_RATE + n))


def test_pieces_of_latin_words_are_joined_in_chinese_text() -> None:
    """In a Chinese clip every token is a piece of its own; the space tells where a Latin word begins."""
    pieces = [
        *(
            piece("用", 0.0, 0.2),
            piece(" El", 0.2, 0.4, 1, 0.5),
            piece("astic", 0.4, 0.6, 1, 0.7),
            piece("search", 0.6, 0.9),
        ),
        *(piece(" API", 0.9, 1.2), piece("吗", 1.2, 1.4), piece("？", 1.4, 1.4)),
    ]
    words = _words(pieces, 2.0)
    assert [word.text for word in words] == ["用", "Elasticsearch", "API", "吗？"]
    assert (words[1].start_ms, words[1].end_ms) == (200, 900)
    assert words[1].confidence == 0.7  # the mean of its three tokens


def test_a_word_is_not_stretched_over_the_pause_behind_it() -> None:
    words = _words([piece("好", 0.0, 6.0), piece("行", 6.0, 6.3)], 10.0)
    assert words[0].end_ms < 1000
    assert words[1].start_ms == 6000


@given(
    st.lists(
        st.tuples(st.text("好 aB3.，？'-", min_size=1, max_size=4), st.floats(0, 30), st.floats(0, 30)), max_size=20
    )
)
def test_no_letter_is_lost_and_no_time_leaves_the_clip(raw: list[tuple[str, float, float]]) -> None:
    pieces = [piece(text, min(a, b), max(a, b)) for text, a, b in raw]
    words = _words(pieces, 20.0)
    assert "".join("".join(w.text for w in words).split()) == "".join("".join(text for text, _, _ in raw).split())
    assert all(0 <= word.start_ms <= word.end_ms <= 20_000 for word in words)


def test_a_hole_is_a_stretch_without_a_word() -> None:
    words = (Word("开始", 500, 900), Word("结束", 6000, 6400))
    holes = _holes(words, clip(10.0))
    # 0.9-6.0 s and 6.4-10 s; half a second at the beginning is none
    assert [(hole.span.start, hole.span.end) for hole in holes] == [
        (SAMPLE_RATE + 900 * 16, SAMPLE_RATE + 6000 * 16),
        (SAMPLE_RATE + 6400 * 16, SAMPLE_RATE * 11),
    ]
    assert [len(hole.samples) for hole in holes] == [len(hole.span) for hole in holes]


def test_a_clip_without_any_word_is_no_hole() -> None:
    assert _holes((), clip(10.0)) == []


def test_what_was_heard_in_a_hole_stands_in_its_place() -> None:
    heard = Recognition("开始结束", "zh", (Word("开始", 500, 900, 0.8), Word("结束", 6000, 6400, 0.8)), 0.8)
    found = Recognition("中间。", "zh", (Word("中间。", 100, 700, 0.5),), 0.5)
    merged = _merged(heard, found, 900)
    assert merged.text == "开始中间。结束"
    assert [word.start_ms for word in merged.words] == [500, 1000, 6000]
    assert merged.confidence == 0.7  # weighted by words
    assert merged.language == "zh"


def test_flags_of_a_decoding() -> None:
    assert _flags("花" * 20, False, True) == ("loop",)
    assert _flags("好好好，对对对对。", False, True) == ()
    assert _flags("以下是普通话的句子。以下是普通话的句子。", False, True)[-1] == "leak"
    assert _flags("以下是普通话的句子。", False, False) == ()  # nothing was asked: it may have been said
    assert _flags("说到一半", True, False) == ("truncated",)
