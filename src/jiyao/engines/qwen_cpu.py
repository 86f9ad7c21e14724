"""Qwen3-ASR on a CPU without torch: int8 on OpenVINO, several clips together; sherpa-onnx as the plain fallback.

In:  clips of up to 30 s, any of 30 languages. Out: text, language, estimated word times, confidences.
Which of the two: OpenVINO where it is installed and its graphs were made (int8.py), as the faster one (LOG.md);
sherpa-onnx where only its own weights are here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from jiyao.engines import feeds
from jiyao.engines.qwen import int8, sherpa
from jiyao.engines.qwen.answer import recognition
from jiyao.engines.qwen.batching import pack
from jiyao.engines.qwen.checkpoint import Checkpoint
from jiyao.engines.qwen.openvino_model import OpenvinoModel
from jiyao.engines.qwen.prompt import QwenTokenizer, check_language, token_budget
from jiyao.errors import EngineError, WeightsError
from jiyao.recognition import Clip, Engine, EngineInfo, Hints, Recognition
from jiyao.settings import Settings
from jiyao.timeline import SAMPLE_RATE

NAME = "qwen-cpu"

_MOST_CLIPS = 8  # more gain little and cost memory (LOG.md)
_BUDGET_S = 240.0
_FIRST_CLIPS = 1  # text within seconds, then full speed


class QwenOpenvino:
    def __init__(
        self,
        model: OpenvinoModel,
        tokenizer: QwenTokenizer,
        name: str,
        revision: str,
        memory_bytes: int,
        fixed_tokens: int | None = None,
    ) -> None:
        """`fixed_tokens`: answers of exactly that many tokens, end marks or not (measurements with random weights)."""
        self._model = model
        self._tokenizer = tokenizer
        self._info = EngineInfo(NAME, name, revision, "cpu", "int8", memory_bytes)
        self._fixed_tokens = fixed_tokens

    def describe(self) -> EngineInfo:
        return self._info

    def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        check_language(hints.language)
        batches = pack(
            [len(clip.samples) / SAMPLE_RATE for clip in clips],
            budget_s=_BUDGET_S,
            max_clips=_MOST_CLIPS,
            first_clips=_FIRST_CLIPS,
        )
        for batch in batches:
            try:
                for place, heard in self._recognize([clips[index] for index in batch], hints):
                    yield batch[place], heard
            except (RuntimeError, ValueError) as cause:
                raise EngineError("engine.failed", name=NAME, reason=cause) from cause
            except MemoryError as cause:
                raise EngineError("engine.out_of_memory", name=NAME) from cause

    def _recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        sounds = self._model.sound.encode([clip.samples for clip in clips])
        prompts = [self._model.sound.embed(self._tokenizer.prompt_ids(hints, len(sound)), sound) for sound in sounds]
        budgets = [self._fixed_tokens or token_budget(len(clip.samples) / SAMPLE_RATE) for clip in clips]
        endless = self._fixed_tokens is not None
        for index, answer in self._model.answer(prompts, budgets, cautious=hints.cautious, endless=endless):
            yield index, recognition(answer, self._tokenizer, clips[index], hints)


def open_engine(settings: Settings) -> Engine:
    """The fast way where its graphs are ready, else the plain one. Raises WeightsError when neither has weights here,
    EngineError when they do not load."""
    ready = feeds.ready(NAME, settings.home)
    if ready is None:
        model = feeds.FEEDS[NAME][0].model
        raise WeightsError("weights.missing", name=model, folder=settings.home)
    if ready.feed.kind == int8.KIND:
        name = ready.feed.model
        return open_folder(ready.fetched, ready.folder, settings.threads, name=name, revision=ready.revision)
    return sherpa.open_folder(ready.folder, ready.revision, settings.threads)


def open_folder(
    checkpoint_folder: Path,
    graphs: Path,
    threads: int = 0,
    *,
    name: str = "qwen3-asr-0.6b",
    revision: str = "",
    fixed_tokens: int | None = None,
) -> QwenOpenvino:
    """A checkpoint of either layout and the graphs that `int8.build` made of it. Raises EngineError."""
    checkpoint = Checkpoint.open(checkpoint_folder).require(aligner=False)
    tokenizer = QwenTokenizer.from_folder(checkpoint_folder)
    try:
        model = OpenvinoModel(checkpoint, graphs, threads)
    except RuntimeError as cause:
        raise EngineError("engine.load", name=NAME, reason=cause) from cause
    size = sum(path.stat().st_size for path in graphs.iterdir())
    return QwenOpenvino(model, tokenizer, name, revision, size, fixed_tokens)
