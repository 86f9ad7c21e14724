"""The Qwen3 forced aligner on torch: a known text is found in the sound, item by item (see `aligning`).

In:  clips, their texts, their languages. Out: raw items for each clip; `alignment` makes words of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jiyao.engines.qwen import torch_model
from jiyao.engines.qwen.aligning import BUDGET_S, MODEL, MOST_CLIPS, TIMESTAMP_ID, AlignerPrompt, items_of, timed
from jiyao.engines.qwen.batching import pack, shrinking
from jiyao.engines.qwen.checkpoint import Checkpoint
from jiyao.engines.qwen.torch_model import Dtype, Loaded
from jiyao.errors import EngineError
from jiyao.recognition import Clip, EngineInfo, Word
from jiyao.timeline import SAMPLE_RATE

NAME = "qwen-torch"


class TorchAligner:
    """Keeps `recognition.Aligner`."""

    def __init__(self, loaded: Loaded, prompt: AlignerPrompt, revision: str) -> None:
        self._loaded = loaded
        self._prompt = prompt
        self._revision = revision
        self._most_clips = MOST_CLIPS

    def describe(self) -> EngineInfo:
        loaded = self._loaded
        return EngineInfo(NAME, MODEL, self._revision, loaded.place, loaded.dtype, loaded.used_bytes())

    def align(
        self, clips: Sequence[Clip], texts: Sequence[str], languages: Sequence[str | None]
    ) -> list[tuple[Word, ...]]:
        """As `Aligner` says. Raises EngineError `engine.out_of_memory` when a single clip does not fit."""
        items = [items_of(text, known) for text, known in zip(texts, languages, strict=True)]
        chosen = [index for index, words in enumerate(items) if words]
        batches = pack(
            [len(clips[index].samples) / SAMPLE_RATE for index in chosen],
            budget_s=BUDGET_S,
            max_clips=self._most_clips,
        )
        found: list[tuple[Word, ...]] = [()] * len(clips)

        def attempt(batch: list[int]) -> list[tuple[Word, ...]] | None:
            members = [chosen[place] for place in batch]
            return self._attempt([clips[index] for index in members], [items[index] for index in members])

        try:
            for batch, results in shrinking(batches, attempt):
                for place, words in zip(batch, results, strict=True):
                    found[chosen[place]] = words
        except MemoryError as cause:
            raise EngineError("engine.out_of_memory", name=NAME) from cause
        return found

    def _attempt(self, clips: Sequence[Clip], items: Sequence[Sequence[str]]) -> list[tuple[Word, ...]] | None:
        try:
            classes = self._classes(clips, items)
        except (RuntimeError, ValueError, MemoryError) as cause:
            if not torch_model.is_out_of_memory(cause):
                raise EngineError("engine.failed", name=NAME, reason=cause) from cause
        else:
            return [timed(words, row) for words, row in zip(items, classes, strict=True)]
        self._most_clips = (len(clips) + 1) // 2
        self._loaded.give_back()
        return None

    def _classes(self, clips: Sequence[Clip], items: Sequence[Sequence[str]]) -> list[list[int]]:
        """The class of time at each <timestamp> of each clip, two for each item."""
        import torch

        loaded = self._loaded
        samples = [clip.samples for clip in clips]
        prompts = [
            self._prompt.ids(loaded.audio.token_count(sound), words)
            for sound, words in zip(samples, items, strict=True)
        ]
        with torch.inference_mode():
            hidden = loaded.model.model.language_model(
                inputs_embeds=loaded.embed(prompts, samples), use_cache=False
            ).last_hidden_state
            # padded on the right: what a causal model makes of the padding, nobody sees
            rows, places = zip(
                *((row, at) for row, ids in enumerate(prompts) for at, i in enumerate(ids) if i == TIMESTAMP_ID),
                strict=True,
            )
            classes = loaded.model.score(hidden[list(rows), list(places)]).argmax(-1).tolist()
        counts = [2 * len(words) for words in items]
        starts = [sum(counts[:row]) for row in range(len(counts))]
        return [classes[start : start + count] for start, count in zip(starts, counts, strict=True)]


def open_folder(folder: Path, revision: str, device: str | None = None, dtype: Dtype | None = None) -> TorchAligner:
    """An aligner's checkpoint of the native layout; `device` and `dtype` as torch names them, None: the best there is.

    Raises EngineError when the folder is not such a checkpoint or does not load.
    """
    Checkpoint.open_native(folder).require(aligner=True)
    prompt = AlignerPrompt.from_folder(folder)
    loaded = torch_model.load(
        "Qwen3ASRForTokenClassification",
        NAME,
        folder,
        lambda n_audio_tokens: prompt.ids(n_audio_tokens, ()),
        device,
        dtype,
    )
    return TorchAligner(loaded, prompt, revision)
