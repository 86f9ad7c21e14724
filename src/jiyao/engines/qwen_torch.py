"""Qwen3-ASR on torch: NVIDIA GPUs, Apple's GPUs; a CPU only for tests and measurements.

In:  clips of up to 30 s, any of 30 languages; batches as large as the device's memory holds.
Out: text, language, estimated word times, and log-probabilities as confidences.
From: transformers' native Qwen3-ASR (>= 5.15; `qwen-asr` from PyPI computes the encoder wrongly) for the arithmetic;
      the loop, the batches and the prompt are our own (qwen/decoding.py, batching.py, prompt.py).
Traps: MODEL.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from jiyao import weights
from jiyao.engines import feeds
from jiyao.engines.qwen import torch_model
from jiyao.engines.qwen.answer import recognition
from jiyao.engines.qwen.batching import pack, round_up, shrinking
from jiyao.engines.qwen.decoding import GreedyDecoder
from jiyao.engines.qwen.prompt import EOS_IDS, QwenTokenizer, check_language, token_budget
from jiyao.engines.qwen.torch_audio import CONV_BYTES
from jiyao.engines.qwen.torch_model import Dtype, Loaded
from jiyao.errors import EngineError
from jiyao.messages import say
from jiyao.recognition import Clip, EngineInfo, Hints, Recognition
from jiyao.settings import Settings
from jiyao.timeline import SAMPLE_RATE

NAME, MODEL = "qwen-torch", "qwen3-asr-0.6b"

_MOST_CLIPS = {"cuda": 64, "mps": 8, "cpu": 8}
_FIRST_CLIPS = 2
_SHARE = 0.6  # of the free memory: rows and lengths are rounded up, fragments and kernels are not counted
_TOKENS_PER_S = 25  # 13 of sound, 12 that the answer may have


class QwenTorch:
    def __init__(
        self, loaded: Loaded, tokenizer: QwenTokenizer, revision: str, *, fixed_tokens: int | None = None
    ) -> None:
        """`fixed_tokens`: answers of exactly that many tokens, end marks or not (measurements with random weights)."""
        self._loaded = loaded
        self._tokenizer = tokenizer
        self._revision = revision
        self._fixed_tokens = fixed_tokens
        self._decoder = GreedyDecoder(loaded.model, EOS_IDS)
        self._most_clips = _MOST_CLIPS.get(loaded.device.type, 8)
        self._has_spoken = False

    def describe(self) -> EngineInfo:
        loaded = self._loaded
        return EngineInfo(NAME, MODEL, self._revision, loaded.place, loaded.dtype, loaded.used_bytes())

    def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        """As `Engine` says. When memory runs out, batches get smaller and every clip is still heard once; EngineError
        `engine.out_of_memory` when a single clip does not fit."""
        check_language(hints.language)
        if not clips:
            return

        def attempt(batch: list[int]) -> list[Recognition] | None:
            return self._attempt([clips[index] for index in batch], hints)

        try:
            for batch, results in shrinking(self._packed(clips, hints), attempt):
                self._has_spoken = True
                yield from zip(batch, results, strict=True)
        except MemoryError as cause:
            raise EngineError("engine.out_of_memory", name=NAME) from cause

    def _packed(self, clips: Sequence[Clip], hints: Hints) -> list[list[int]]:
        """Batches within the memory that is free now. A GPU of NVIDIA needs no small batch but its very first: later
        ones are there before a person could read them."""
        prompt = len(self._tokenizer.prompt_ids(hints, 0)) + token_budget(0.0)
        small_first = not (self._has_spoken and self._loaded.device.type == "cuda")
        return pack(
            [len(clip.samples) / SAMPLE_RATE for clip in clips],
            budget_s=self._token_room() / _TOKENS_PER_S,
            max_clips=self._most_clips,
            first_clips=_FIRST_CLIPS if small_first else None,
            overhead_s=round_up(prompt, 128) / _TOKENS_PER_S,
        )

    def _token_room(self) -> int:
        """Tokens (sound, prompt, answer) that a batch may have in memory: in its cache, and while its prompts pass."""
        config = self._loaded.model.config.text_config
        size = int(self._loaded.model.dtype.itemsize)
        heads = int(config.num_attention_heads * config.head_dim)
        prefill = size * (4 * int(config.intermediate_size) + 8 * int(config.hidden_size) + 6 * heads)
        room = self._loaded.free_bytes() * _SHARE + self._decoder.held_bytes - size * CONV_BYTES
        return max(1, int(room) // (self._decoder.bytes_per_token + prefill))

    def _attempt(self, clips: Sequence[Clip], hints: Hints) -> list[Recognition] | None:
        """One batch; None when the device's memory is not enough."""
        try:
            return self._recognize(clips, hints)
        except (RuntimeError, ValueError, MemoryError) as cause:
            if not torch_model.is_out_of_memory(cause):
                raise EngineError("engine.failed", name=NAME, reason=cause) from cause
        # only here, outside, nothing of the failed batch is held any more
        self._most_clips = (len(clips) + 1) // 2
        self._decoder.release()
        self._loaded.give_back()
        return None

    def _recognize(self, clips: Sequence[Clip], hints: Hints) -> list[Recognition]:
        samples = [clip.samples for clip in clips]
        prompts = [self._tokenizer.prompt_ids(hints, self._loaded.audio.token_count(sound)) for sound in samples]
        budgets = [self._fixed_tokens or token_budget(len(sound) / SAMPLE_RATE) for sound in samples]
        decoded = self._decoder.decode(
            self._loaded.embed(prompts, samples),
            [len(ids) for ids in prompts],
            budgets,
            cautious=hints.cautious,
            endless=self._fixed_tokens is not None,
        )
        return [recognition(one, self._tokenizer, clip, hints) for one, clip in zip(decoded, clips, strict=True)]


def usable() -> str | None:
    """Why this engine cannot run here: a key of messages.toml; None if it can. Imports torch when it is installed."""
    return torch_model.usable()


def open_engine(settings: Settings) -> QwenTorch:
    """Raises EngineError without a GPU or when the weights do not load, WeightsError when they are not all here."""
    reason = usable()
    if reason is not None:
        raise EngineError("engine.unusable", name=NAME, reason=say(reason, settings.ui_language))
    ready = feeds.ready(NAME, settings.home)
    if ready is None:
        return open_folder(weights.locate(MODEL, settings.home), weights.find_model(MODEL).revision)
    return open_folder(ready.folder, ready.revision)


def open_folder(
    folder: Path,
    revision: str,
    device: str | None = None,
    dtype: Dtype | None = None,
    *,
    fixed_tokens: int | None = None,
) -> QwenTorch:
    """A checkpoint of the native layout; `device` and `dtype` as torch names them, None: the best there is.

    Raises EngineError when the folder is not such a checkpoint or does not load.
    """
    tokenizer = QwenTokenizer.from_folder(folder)
    loaded = torch_model.load(
        "Qwen3ASRForConditionalGeneration",
        NAME,
        folder,
        lambda n_audio_tokens: tokenizer.prompt_ids(Hints(), n_audio_tokens),
        device,
        dtype,
    )
    return QwenTorch(loaded, tokenizer, revision, fixed_tokens=fixed_tokens)
