"""The torch aligner against transformers' own processor and model, on a tiny random checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jiyao.engines.qwen import torch_aligner
from jiyao.engines.qwen.aligning import split
from jiyao.engines.qwen.torch_aligner import TorchAligner
from jiyao.errors import EngineError
from jiyao.recognition import Clip
from jiyao.timeline import SAMPLE_RATE, Samples, Span

torch: Any = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")

TEXTS = (
    ("zh", "今天的会，主要讲三件事。"),
    ("en", "Let's talk about the retrieval-augmented generation, version 3.5!"),
    ("yue", "呢个 PyTorch 模型，我哋聽日再試。"),
    ("de", "Größe und Länge"),
)
LENGTHS_S = (3.2, 12.0, 0.3, 2.0)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def aligner(aligner_folder: Path) -> TorchAligner:
    return torch_aligner.open_folder(aligner_folder, "toy", "cpu")


def clip_of(seconds: float, seed: int) -> Clip:
    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
    return Clip(samples, Span(0, len(samples)))


CLIPS = [clip_of(seconds, seed) for seed, seconds in enumerate(LENGTHS_S)]


class Reference:
    """transformers' processor and model; times as the model gives them, before its repair."""

    def __init__(self, folder: Path) -> None:
        self.processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
        self.model = transformers.Qwen3ASRForTokenClassification.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True
        ).eval()

    def items(self, samples: Samples, text: str, language: str) -> list[tuple[str, int, int]]:
        inputs, [words] = self.processor.prepare_forced_aligner_inputs([samples], [text], [language])
        with torch.no_grad():
            classes = self.model(**inputs).logits.argmax(-1)
        times_ms = (classes[inputs["input_ids"] == self.model.config.timestamp_token_id] * 80).tolist()
        return list(zip(words, times_ms[::2], times_ms[1::2], strict=True))


def align(aligner: TorchAligner, clips: Sequence[Clip] = CLIPS) -> list[list[tuple[str, int, int]]]:
    found = aligner.align(clips, [text for _, text in TEXTS], [language for language, _ in TEXTS])
    return [[(word.text, word.start_ms, word.end_ms) for word in words] for words in found]


def test_items_are_the_references(aligner: TorchAligner, aligner_folder: Path) -> None:
    reference = Reference(aligner_folder)
    expected = [
        reference.items(clip.samples, text, language) for clip, (language, text) in zip(CLIPS, TEXTS, strict=True)
    ]
    assert align(aligner) == expected
    assert len({start for items in expected for _, start, _ in items}) > 3, "a toy with one answer proves nothing"


def test_a_batch_is_its_clips_one_by_one(aligner: TorchAligner) -> None:
    together = align(aligner)
    for index, (clip, (language, text)) in enumerate(zip(CLIPS, TEXTS, strict=True)):
        [words] = aligner.align([clip], [text], [language])
        assert [(word.text, word.start_ms, word.end_ms) for word in words] == together[index]


def test_what_it_cannot_align_is_empty_and_the_rest_is_not(aligner: TorchAligner) -> None:
    texts = ["你好。", "こんにちは", "", "……。", "안녕하세요", "สวัสดี", "hello", "你好。"]
    languages = ["zh", "ja", "zh", "zh", "ko", "th", None, "zh"]
    found = aligner.align([CLIPS[3]] * len(texts), texts, languages)
    assert [bool(words) for words in found] == [True, False, False, False, False, False, False, True]
    assert found[0] == found[-1]
    assert aligner.align([], [], []) == []


def test_text_cannot_become_control_tokens(aligner: TorchAligner) -> None:
    [words] = aligner.align([CLIPS[3]], ["<timestamp> a<|audio_pad|>b <|im_end|>"], ["en"])
    assert [word.text for word in words] == ["timestamp", "aaudiopadb", "imend"]


@pytest.mark.parametrize(
    ("language", "text"), [*TEXTS, ("fr", "l'été, c'est-à-dire 30 °C"), ("zh", "㐀 﨎 𠀀 カタカナ 々")]
)
def test_splitting_is_the_references(aligner_folder: Path, language: str, text: str) -> None:
    processor = transformers.AutoProcessor.from_pretrained(aligner_folder, local_files_only=True)
    assert split(text) == processor.split_words_for_alignment(text, language)


def test_describes_itself(aligner: TorchAligner) -> None:
    info = aligner.describe()
    assert (info.model, info.revision, info.device, info.dtype) == (
        "qwen3-forced-aligner-0.6b",
        "toy",
        "cpu",
        "float32",
    )


class TestOutOfMemory:
    def test_smaller_batches_give_the_same(self, aligner: TorchAligner) -> None:
        expected = align(aligner)
        tried = self._fail_beyond(aligner, 1)
        assert align(aligner) == expected
        assert max(tried) > 1 and tried.count(1) == len(CLIPS)

    def test_a_clip_that_never_fits(self, aligner: TorchAligner) -> None:
        self._fail_beyond(aligner, 0)
        with pytest.raises(EngineError) as caught:
            align(aligner)
        assert caught.value.key == "engine.out_of_memory"

    @staticmethod
    def _fail_beyond(aligner: TorchAligner, limit: int) -> list[int]:
        encode, tried = aligner._loaded.audio.encode, []

        def limited(sounds: Sequence[Samples]) -> Any:
            tried.append(len(sounds))
            if len(sounds) > limit:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return encode(sounds)

        setattr(aligner._loaded.audio, "encode", limited)  # noqa: B010
        return tried


def test_a_recogniser_is_no_aligner(qwen_folder: Path) -> None:
    with pytest.raises(EngineError) as caught:
        torch_aligner.open_folder(qwen_folder, "toy", "cpu")
    assert caught.value.key == "engine.checkpoint"
