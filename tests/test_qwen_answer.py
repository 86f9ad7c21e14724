"""From the model's tokens to a Recognition: what both Qwen engines say, in the form that a trained model writes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jiyao.engines.qwen.answer import Decoded, recognition
from jiyao.engines.qwen.prompt import ASR_TEXT_ID, QwenTokenizer
from jiyao.recognition import Clip, Hints, Recognition
from jiyao.timeline import SAMPLE_RATE, Span
from tests import qwen_toys

CLIP = Clip(np.zeros(4 * SAMPLE_RATE, dtype=np.float32), Span(0, 4 * SAMPLE_RATE))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> QwenTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    qwen_toys.write_tokenizer(folder)
    return QwenTokenizer.from_folder(folder)


def written(tokenizer: QwenTokenizer, language: str, text: str = "") -> tuple[list[int], list[int]]:
    """The tokens of the tag and of the text."""
    return [*tokenizer._encode(f"language {language}"), ASR_TEXT_ID], tokenizer._encode(text)


def test_text_language_and_words(tokenizer: QwenTokenizer) -> None:
    tag, text = written(tokenizer, "Chinese", "你好，PyTorch 很好。")
    heard = recognition(Decoded((*tag, *text), (0.0,) * len(tag + text), False), tokenizer, CLIP, Hints())
    assert (heard.text, heard.language, heard.confidence, heard.flags) == ("你好，PyTorch 很好。", "zh", 1.0, ())
    assert [word.text for word in heard.words] == ["你", "好，", "PyTorch", "很", "好。"]
    assert heard.timing == "estimated"


def test_confidence_is_of_the_text_alone(tokenizer: QwenTokenizer) -> None:
    tag, text = written(tokenizer, "English", "good morning everybody")
    log_ps = (-9.0,) * len(tag) + (math.log(0.5),) * len(text)
    heard = recognition(Decoded((*tag, *text), log_ps, False), tokenizer, CLIP, Hints())
    assert heard.confidence == 0.5
    assert {word.confidence for word in heard.words} == {0.5}


def test_an_unsure_word_says_so(tokenizer: QwenTokenizer) -> None:
    tag, text = written(tokenizer, "English", "good morning everybody")
    log_ps = [0.0] * len(tag + text)
    log_ps[len(tag) + 1] = math.log(0.25)
    heard = recognition(Decoded((*tag, *text), tuple(log_ps), False), tokenizer, CLIP, Hints())
    assert [word.confidence for word in heard.words] == [1.0, 0.25, 1.0]


def test_a_budget_that_ended_the_text_is_flagged(tokenizer: QwenTokenizer) -> None:
    tag, text = written(tokenizer, "English", "and so on")
    heard = recognition(Decoded((*tag, *text), (0.0,) * len(tag + text), True), tokenizer, CLIP, Hints())
    assert (heard.text, heard.flags) == ("and so on", ("truncated",))


def test_no_speech(tokenizer: QwenTokenizer) -> None:
    tag, _ = written(tokenizer, "None")
    heard = recognition(Decoded(tuple(tag), (0.0,) * len(tag), False), tokenizer, CLIP, Hints())
    assert heard == Recognition("", None, timing="estimated")


def test_a_forced_language_is_the_result(tokenizer: QwenTokenizer) -> None:
    _, text = written(tokenizer, "", "我哋听日再倾")
    heard = recognition(Decoded(tuple(text), (0.0,) * len(text), False), tokenizer, CLIP, Hints(language="yue"))
    assert (heard.language, heard.text) == ("yue", "我哋听日再倾")
