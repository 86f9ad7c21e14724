"""Qwen3-ASR's int8 graphs at work: sound → embeddings, prompts → tokens, several clips together.

In:  samples and prompt ids of several clips. Out: each clip's tokens, as soon as its own end mark comes.
Memory-bound work: a step reads all weights once, for one clip or for eight, so clips are decoded together. Prompts are
padded on the left, so that every clip's next token stands at the same place of the cache; a clip that is done leaves
the batch, the others go on without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jiyao.engines.qwen import int8, openvino_runtime
from jiyao.engines.qwen.answer import PENALTY, Decoded
from jiyao.engines.qwen.checkpoint import EMBEDDING, Checkpoint
from jiyao.engines.qwen.features import Floats, log_mel
from jiyao.engines.qwen.prompt import AUDIO_PAD_ID, EOS_IDS
from jiyao.engines.qwen.windows import MASKED, arrange
from jiyao.timeline import SAMPLE_RATE, Samples

_ENCODED_S = 60  # seconds of sound encoded at once: the first convolution takes 3 to 6 MB for each


@dataclass
class _Row:
    """A clip being decoded: `index` in the batch, what it wrote so far."""

    index: int
    budget: int
    ids: list[int] = field(default_factory=list)
    log_ps: list[float] = field(default_factory=list)

    def take(self, token: int, log_p: float, endless: bool) -> Decoded | None:
        """Write a token down; the answer if it was the last."""
        ended = token in EOS_IDS and not endless
        if not ended:
            self.ids.append(token)
            self.log_ps.append(log_p)
        if not ended and len(self.ids) < self.budget:
            return None
        return Decoded(tuple(self.ids), tuple(self.log_ps), truncated=not (ended or endless))


class Sound:
    """The encoder of a checkpoint and the rows of its embedding: what speech recognition and alignment share."""

    def __init__(self, checkpoint: Checkpoint, graphs: Path, threads: int) -> None:
        """Raises RuntimeError when the graph does not load."""
        self.shape = checkpoint.shape
        self.rows = checkpoint.rows(EMBEDDING)
        self._encoder = openvino_runtime.compiled(graphs / int8.ENCODER, threads).create_infer_request()

    def encode(self, clips: Sequence[Samples]) -> list[Floats]:
        """Audio embeddings [tokens, hidden] of each clip."""
        encoded: list[Floats] = []
        waiting: list[Floats] = []
        for number, clip in enumerate(clips, 1):
            waiting.append(log_mel(clip))
            seconds = sum(one.shape[1] for one in waiting) / 100
            if number == len(clips) or seconds + len(clips[number]) / SAMPLE_RATE > _ENCODED_S:
                windows = arrange(waiting, self.shape.audio)
                self._encoder.infer(windows.inputs(), share_inputs=True)
                output = self._encoder.get_output_tensor(0).data
                encoded += np.split(output.copy(), np.cumsum(windows.tokens)[:-1])
                waiting = []
        return encoded

    def embed(self, ids: Sequence[int], sound: Floats | None = None) -> Floats:
        """Token ids → [tokens, hidden]; `sound` where the ids say audio."""
        embedded = self.rows(np.asarray(ids))
        if sound is not None:
            embedded[np.asarray(ids) == AUDIO_PAD_ID] = sound
        return embedded


class OpenvinoModel:
    def __init__(self, checkpoint: Checkpoint, graphs: Path, threads: int) -> None:
        """Raises RuntimeError when a graph does not load."""
        self.sound = Sound(checkpoint, graphs, threads)
        self._compiled = openvino_runtime.compiled(graphs / int8.DECODER, threads)
        # a request holds the cache of one batch; another batch may be begun before that one is used up
        self._idle = [self._compiled.create_infer_request()]

    def answer(
        self, prompts: Sequence[Floats], budgets: Sequence[int], *, cautious: bool = False, endless: bool = False
    ) -> Iterator[tuple[int, Decoded]]:
        """Greedy answers to embedded prompts [tokens, hidden], in the order in which they end.

        `budgets` in tokens, end mark not counted. `cautious`: a token written before loses a little each time.
        `endless`: end marks do not count, each row fills its budget (measurements). Raises RuntimeError.
        May be called again before an earlier batch is used up.
        """
        request = self._idle.pop() if self._idle else self._compiled.create_infer_request()
        try:
            yield from self._answer(request, prompts, budgets, cautious, endless)
        finally:
            request.reset_state()
            self._idle = [request]  # one is kept: what a second one held is given back

    def _answer(
        self, request: Any, prompts: Sequence[Floats], budgets: Sequence[int], cautious: bool, endless: bool
    ) -> Iterator[tuple[int, Decoded]]:
        rows = [_Row(index, budget) for index, budget in enumerate(budgets)]
        lengths = np.asarray([len(prompt) for prompt in prompts])
        longest = int(lengths.max())
        pads = longest - lengths
        embeddings = np.stack([np.pad(p, ((pad, 0), (0, 0))) for p, pad in zip(prompts, pads, strict=True)])
        causal = np.tril(np.ones((longest, longest), dtype=bool))
        visible = causal[None] & (np.arange(longest) >= pads[:, None])[:, None]
        positions = np.maximum(np.arange(longest) - pads[:, None], 0)
        order = np.arange(len(rows), dtype=np.int32)
        request.reset_state()
        scores = _step(request, embeddings, positions, visible, order)
        for filled in range(longest, longest + max(budgets) + 1):
            tokens, log_ps = _pick(scores, rows, cautious, endless)
            going: list[int] = []
            for place, row in enumerate(rows):
                done = row.take(int(tokens[place]), float(log_ps[place]), endless)
                if done is not None:
                    yield row.index, done
                else:
                    going.append(place)
            if not going:
                return
            order = np.asarray(going, dtype=np.int32)
            rows, pads, lengths = [rows[i] for i in going], pads[order], lengths[order]
            embeddings = self.sound.rows(tokens[order])[:, None]
            visible = (np.arange(filled + 1) >= pads[:, None])[:, None]
            scores = _step(request, embeddings, (filled - pads)[:, None], visible, order)

    def first_scores(self, prompt: Floats) -> Floats:
        """Scores [vocab] of the first token after a prompt [tokens, hidden]: what tests and measurements compare."""
        length = len(prompt)
        visible = np.tril(np.ones((1, length, length), dtype=bool))
        request = self._compiled.create_infer_request()
        scores = _step(request, prompt[None], np.arange(length)[None], visible, np.zeros(1, dtype=np.int32)).copy()
        first: Floats = scores[0]
        return first


def _step(
    request: Any, embeddings: Floats, positions: npt.NDArray[np.int64], visible: npt.NDArray[np.bool_], order: Any
) -> Floats:
    """One pass: embeddings [B, T, hidden], positions [B, T], visible [B, T, S]; `order`: rows of the cache to keep.

    Returns scores [B, vocab], valid until the next pass.
    """
    mask = np.where(visible, np.float32(0.0), np.float32(MASKED))[:, None]
    inputs = {"embeddings": embeddings, "positions": positions.astype(np.int64), "mask": mask, "beam_idx": order}
    request.infer(inputs, share_inputs=True)
    scores: Floats = request.get_output_tensor(0).data
    return scores


def _pick(
    scores: Floats, rows: Sequence[_Row], cautious: bool, endless: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The likeliest token of each row and its log p, as the model itself gives it."""
    judged = scores.copy() if cautious or endless else scores
    if endless:
        judged[:, list(EOS_IDS)] = -np.inf
    if cautious:
        for place, row in enumerate(rows):
            written = list(set(row.ids))
            judged[place, written] *= np.where(judged[place, written] > 0, 1 / PENALTY, PENALTY)
    tokens = judged.argmax(axis=1)
    best = scores[np.arange(len(rows)), tokens]
    top = scores.max(axis=1)
    log_ps = best - top - np.log(np.exp(scores - top[:, None]).sum(axis=1, dtype=np.float64))
    return tokens, log_ps
