"""The Qwen3 forced aligner on OpenVINO, int8: a known text is found in the sound without torch (see `aligning`).

In:  clips, their texts, their languages. Out: raw items for each clip; `alignment` makes words of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jiyao.engines.qwen import int8, openvino_runtime
from jiyao.engines.qwen.aligning import BUDGET_S, MODEL, MOST_CLIPS, TIMESTAMP_ID, AlignerPrompt, items_of, timed
from jiyao.engines.qwen.batching import pack
from jiyao.engines.qwen.checkpoint import Checkpoint
from jiyao.engines.qwen.openvino_model import Sound
from jiyao.engines.qwen.windows import MASKED
from jiyao.errors import EngineError
from jiyao.recognition import Clip, EngineInfo, Word
from jiyao.timeline import SAMPLE_RATE

NAME = "qwen-cpu"


class OpenvinoAligner:
    """Keeps `recognition.Aligner`."""

    def __init__(
        self, checkpoint: Checkpoint, graphs: Path, threads: int, prompt: AlignerPrompt, revision: str
    ) -> None:
        """Raises RuntimeError when a graph does not load."""
        self._sound = Sound(checkpoint, graphs, threads)
        self._decoder = openvino_runtime.compiled(graphs / int8.DECODER, threads).create_infer_request()
        self._prompt = prompt
        size = sum(path.stat().st_size for path in graphs.iterdir())
        self._info = EngineInfo(NAME, MODEL, revision, "cpu", "int8", size)

    def describe(self) -> EngineInfo:
        return self._info

    def align(
        self, clips: Sequence[Clip], texts: Sequence[str], languages: Sequence[str | None]
    ) -> list[tuple[Word, ...]]:
        items = [items_of(text, known) for text, known in zip(texts, languages, strict=True)]
        chosen = [index for index, words in enumerate(items) if words]
        durations_s = [len(clips[index].samples) / SAMPLE_RATE for index in chosen]
        found: list[tuple[Word, ...]] = [()] * len(clips)
        try:
            for batch in pack(durations_s, budget_s=BUDGET_S, max_clips=MOST_CLIPS):
                members = [chosen[place] for place in batch]
                classes = self._classes([clips[i] for i in members], [items[i] for i in members])
                for index, row in zip(members, classes, strict=True):
                    found[index] = timed(items[index], row)
        except (RuntimeError, ValueError) as cause:
            raise EngineError("engine.failed", name=NAME, reason=cause) from cause
        except MemoryError as cause:
            raise EngineError("engine.out_of_memory", name=NAME) from cause
        return found

    def _classes(self, clips: Sequence[Clip], items: Sequence[Sequence[str]]) -> list[list[int]]:
        """The class of time at each <timestamp> of each clip, two for each item."""
        sounds = self._sound.encode([clip.samples for clip in clips])
        prompts = [self._prompt.ids(len(sound), words) for sound, words in zip(sounds, items, strict=True)]
        longest = max(map(len, prompts))
        # padded on the right: what a causal model makes of the padding, nobody sees
        embeddings = np.stack(
            [
                np.pad(self._sound.embed(ids, sound), ((0, longest - len(ids)), (0, 0)))
                for ids, sound in zip(prompts, sounds, strict=True)
            ]
        )
        places = [np.flatnonzero(np.asarray(ids) == TIMESTAMP_ID) for ids in prompts]
        causal = np.tril(np.ones((longest, longest), dtype=bool))
        mask = np.where(causal, np.float32(0.0), np.float32(MASKED))
        inputs = {
            "embeddings": embeddings,
            "positions": np.tile(np.arange(longest, dtype=np.int64), (len(clips), 1)),
            "mask": np.tile(mask, (len(clips), 1, 1, 1)),
            "places": np.concatenate([at + row * longest for row, at in enumerate(places)]).astype(np.int32),
        }
        self._decoder.infer(inputs, share_inputs=True)
        chosen = self._decoder.get_output_tensor(0).data.argmax(axis=1)
        return [row.tolist() for row in np.split(chosen, np.cumsum([len(at) for at in places])[:-1])]


def open_folder(checkpoint_folder: Path, graphs: Path, threads: int = 0, revision: str = "") -> OpenvinoAligner:
    """An aligner's checkpoint and the graphs that `int8.build` made of it. Raises EngineError."""
    checkpoint = Checkpoint.open(checkpoint_folder).require(aligner=True)
    prompt = AlignerPrompt.from_folder(checkpoint_folder)
    try:
        return OpenvinoAligner(checkpoint, graphs, threads, prompt, revision)
    except RuntimeError as cause:
        raise EngineError("engine.load", name=NAME, reason=cause) from cause
