"""Greedy decoding of several clips together on a static cache, each step one CUDA graph where there is CUDA.

In:  a Qwen3-ASR of transformers, prompts as embeddings, a token budget for each.
Out: for each clip its tokens, their log-probabilities, and whether the budget ended it.
From: greedy search as transformers' `generate` does it; static shapes and graph capture as PyTorch's notes on CUDA
      graphs describe them. What makes it fast: prompts are padded on the right, so that prefill needs no mask
      and every row's positions are those it has alone; nothing of size [batch, vocabulary] outlives a step; the host
      asks only every few steps whether all are done; attention looks at the written part of the cache alone.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jiyao.engines.qwen.answer import PENALTY, Decoded
from jiyao.engines.qwen.batching import bucket, round_up

Tensor = Any  # torch is not installed everywhere: its types would differ between computers

ROWS = (1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64)  # batch sizes for which a graph is captured
_VIEW = 128  # tokens: attention looks at a multiple of these; each multiple has a graph of its own
_LOOK_EVERY = 8  # steps between two questions to the device: each makes it wait for the host
_MOST_GRAPHS = 96


class KeyValues:
    """A static cache for `rows` x `capacity` tokens: what transformers' layers call `update` on.

    While `prompt` is set, keys and values are those of whole prompts: stored from the first slot on, attended to as
    they are. After that one token a row is written at `slot` [rows], and the first `view` slots are attended to.
    """

    def __init__(self, keys: list[Tensor], values: list[Tensor], slot: Tensor) -> None:
        self._keys, self._values, self._slot = keys, values, slot
        self.prompt = True
        self.view = 0
        _, heads, _, width = keys[0].shape
        self._where = slot[:, None, None, None].expand(-1, heads, 1, width)

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        if self.prompt:
            rows, _, length, _ = key.shape
            keys[:rows, :, :length] = key
            values[:rows, :, :length] = value
            return key, value
        keys.scatter_(2, self._where, key)
        values.scatter_(2, self._where, value)
        return keys[:, :, : self.view], values[:, :, : self.view]

    def clear(self) -> None:
        """A value that is not a number, left by an earlier clip, would pass even a mask: 0 * nan."""
        for tensor in (*self._keys, *self._values):
            tensor.zero_()


@dataclass
class _Run:
    """The state of one batch, all on the device: views of storage that stays where it is between batches."""

    key: tuple[int, int, bool, bool]  # rows, capacity, penalty, endless: what a graph depends on
    cache: KeyValues
    token: Tensor  # int64 [rows]: the last token of each row
    slot: Tensor  # int64 [rows]: where in the cache that token goes; its position too
    last: Tensor  # int64 [rows]: the slot of the last token that the budget allows
    done: Tensor  # bool [rows]
    log_p: Tensor  # float32 [rows]: of `token`
    tokens: Tensor  # int64 [rows, capacity], by slot
    log_ps: Tensor  # float32 [rows, capacity], by slot
    seen: Tensor | None  # bool [rows, vocabulary]: tokens written so far, if repetition costs


class _Storage:
    """Memory for `cells` = rows x capacity, cut anew for each batch; addresses never change, so graphs stay valid."""

    def __init__(self, cells: int, rows: int, config: Any, dtype: Any, device: Any) -> None:
        import torch

        self.cells, self.rows = cells, rows
        self._heads, self._width = config.num_key_value_heads, config.head_dim
        self._vocabulary = config.vocab_size
        size = cells * self._heads * self._width
        self._keys, self._values = (
            [torch.zeros(size, dtype=dtype, device=device) for _ in range(config.num_hidden_layers)] for _ in range(2)
        )
        self._token, self._slot, self._last = (torch.zeros(rows, dtype=torch.long, device=device) for _ in range(3))
        self._done = torch.zeros(rows, dtype=torch.bool, device=device)
        self._log_p = torch.zeros(rows, dtype=torch.float32, device=device)
        self._tokens = torch.zeros(cells, dtype=torch.long, device=device)
        self._log_ps = torch.zeros(cells, dtype=torch.float32, device=device)
        self._seen: Tensor | None = None

    def run(self, rows: int, capacity: int, penalty: bool, endless: bool) -> _Run:
        import torch

        if penalty and self._seen is None:
            self._seen = torch.zeros((self.rows, self._vocabulary), dtype=torch.bool, device=self._done.device)
        shape = (rows, self._heads, capacity, self._width)
        size = math.prod(shape)
        return _Run(
            (rows, capacity, penalty, endless),
            KeyValues(
                [keys[:size].view(shape) for keys in self._keys],
                [values[:size].view(shape) for values in self._values],
                self._slot[:rows],
            ),
            self._token[:rows],
            self._slot[:rows],
            self._last[:rows],
            self._done[:rows],
            self._log_p[:rows],
            self._tokens[: rows * capacity].view(rows, capacity),
            self._log_ps[: rows * capacity].view(rows, capacity),
            self._seen[:rows] if penalty and self._seen is not None else None,
        )


class GreedyDecoder:
    """Decodes batches with one model; keeps its cache and graphs from batch to batch."""

    def __init__(self, model: Any, eos_ids: Sequence[int]) -> None:
        """`model`: a Qwen3ASRForConditionalGeneration in eval mode, on its device."""
        import torch

        self._language_model = model.model.language_model
        self._head = model.lm_head
        self._embed = self._language_model.get_input_embeddings()
        self._config = self._language_model.config
        self._device = self._embed.weight.device
        self._dtype = self._embed.weight.dtype
        self._eos = torch.tensor(eos_ids, device=self._device)
        # transformers renamed it
        known = inspect.signature(type(self._language_model).forward).parameters
        self._cache_name = "cache" if "cache" in known else "past_key_values"
        self._storage: _Storage | None = None
        self.graphs_wanted = self._device.type == "cuda"
        self._graphs: dict[tuple[object, ...], Any] = {}
        self._stream: Any = None
        self._pool: Any = None

    @property
    def bytes_per_token(self) -> int:
        """What one slot of the cache takes."""
        config = self._config
        width = int(config.num_key_value_heads * config.head_dim)
        return 2 * int(config.num_hidden_layers) * width * int(self._dtype.itemsize)

    @property
    def held_bytes(self) -> int:
        """What the cache holds now, and the next batch will use again."""
        return self._storage.cells * self.bytes_per_token if self._storage else 0

    def release(self) -> None:
        """Give all memory but the model's back: the next batch takes what it needs anew."""
        self._graphs.clear()
        self._pool = None
        self._storage = None

    def decode(
        self,
        embeddings: Tensor,
        lengths: Sequence[int],
        budgets: Sequence[int],
        *,
        cautious: bool = False,
        endless: bool = False,
    ) -> list[Decoded]:
        """Answers to prompts [n, longest, hidden], padded on the right; `lengths` and `budgets` in tokens, for each.

        The budget counts the end mark. `cautious`: a token written before loses a little each time (the prompt's own
        do not count). `endless`: no end marks, each row fills its budget (measurements).
        Raises what torch raises, torch.OutOfMemoryError too; `release` and smaller batches may then help.
        """
        import torch

        with torch.inference_mode():
            run = self._begin(lengths, budgets, cautious, endless)
            self._prefill(run, embeddings)
            for step in range(max(budgets) - 1):
                if step % _LOOK_EVERY == 0 and bool(run.done.all()):
                    break
                # no row is further than the longest prompt and all steps so far
                view = min(run.key[1], round_up(max(lengths) + step + 1, _VIEW))
                self._advance(run, view)
            return list(self._collected(run, lengths))

    def _begin(self, lengths: Sequence[int], budgets: Sequence[int], cautious: bool, endless: bool) -> _Run:
        import torch

        rows = bucket(len(lengths), ROWS)
        capacity = round_up(max(n + budget for n, budget in zip(lengths, budgets, strict=True)), 2 * _VIEW)
        held = self._storage
        if held is None or held.cells < rows * capacity or held.rows < rows:
            cells, most_rows = (
                (max(rows * capacity, held.cells), max(rows, held.rows)) if held else (rows * capacity, rows)
            )
            held = None
            self.release()  # before the new one is taken: both may not fit
            self._storage = held = _Storage(cells, most_rows, self._config, self._dtype, self._device)
        run = held.run(rows, capacity, cautious, endless)
        run.cache.clear()
        if run.seen is not None:
            run.seen.zero_()
        more = rows - len(lengths)  # rows that only fill the bucket: done from the start
        ends = torch.tensor([*lengths, *[0] * more], device=self._device)
        run.slot.copy_(ends)
        run.last.copy_(ends + torch.tensor([*budgets, *[1] * more], device=self._device) - 1)
        run.done.copy_(ends == 0)
        run.token.zero_()
        return run

    def _prefill(self, run: _Run, embeddings: Tensor) -> None:
        """The prompts in one pass, and the first token of each."""
        import torch

        count, longest, width = embeddings.shape
        hidden = self._forward(embeddings, torch.arange(longest, device=self._device)[None], None, run.cache)
        run.cache.prompt = False
        final = hidden.new_zeros((run.key[0], width))
        final[:count] = hidden[torch.arange(count, device=self._device), run.slot[:count] - 1]
        self._record(run, *self._pick(final, run))

    def _advance(self, run: _Run, view: int) -> None:
        """One step, as a graph where that is possible. The first step of a kind runs plainly, as graphs want it."""
        import torch

        run.cache.view = view
        if not self.graphs_wanted:
            return self._step(run)
        key = (*run.key, view)
        graph = self._graphs.get(key)
        if graph is not None:
            return graph.replay()  # type: ignore[no-any-return]
        if self._stream is None:
            cuda: Any = torch.cuda
            self._stream = cuda.Stream(self._device)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):  # libraries make their workspaces per stream, and not while capturing
            self._step(run)
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
        self._capture(run, key)
        return None

    def _capture(self, run: _Run, key: tuple[object, ...]) -> None:
        """Record a step without running it. If this computer cannot, all goes on without graphs."""
        import torch

        if len(self._graphs) >= _MOST_GRAPHS:
            self._graphs.clear()
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                self._step(run)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            self.graphs_wanted = False
            self._graphs.clear()
        else:
            self._graphs[key] = graph

    def _step(self, run: _Run) -> None:
        """Each row's token goes in, its next one comes out; nothing here asks the device for a value."""
        import torch

        positions = torch.arange(run.cache.view, device=self._device)
        mask = torch.zeros((run.key[0], 1, 1, run.cache.view), dtype=self._dtype, device=self._device)
        mask.masked_fill_(positions > run.slot[:, None, None, None], -math.inf)
        hidden = self._forward(self._embed(run.token)[:, None], run.slot[:, None], mask, run.cache)
        picked, log_p = self._pick(hidden[:, 0], run)
        run.slot.add_(~run.done)
        self._record(run, picked, log_p)

    def _forward(self, embeddings: Tensor, positions: Tensor, mask: Tensor | None, cache: KeyValues) -> Tensor:
        """Hidden states [rows, n, hidden]. A ready mask (None: causal) spares transformers making its own."""
        return self._language_model(
            inputs_embeds=embeddings,
            attention_mask={"full_attention": mask},
            position_ids=positions,
            use_cache=True,
            **{self._cache_name: cache},
        ).last_hidden_state

    def _pick(self, hidden: Tensor, run: _Run) -> tuple[Tensor, Tensor]:
        """The likeliest token of each row [rows] and its log-probability, as the model itself gives it."""
        import torch

        logits = self._head(hidden).float()
        if run.key[3]:
            logits.index_fill_(1, self._eos, -math.inf)
        if run.seen is None:
            token = logits.argmax(-1)
        else:
            dearer = torch.where(logits > 0, logits / PENALTY, logits * PENALTY)
            token = torch.where(run.seen, dearer, logits).argmax(-1)
            run.seen.scatter_(1, token[:, None], True)
        return token, logits.gather(1, token[:, None])[:, 0] - logits.logsumexp(-1)

    def _record(self, run: _Run, token: Tensor, log_p: Tensor) -> None:
        """Write down what was picked for `slot`; rows that are done keep what they have."""
        run.token.copy_(token.where(~run.done, run.token))
        run.log_p.copy_(log_p.where(~run.done, run.log_p))
        run.tokens.scatter_(1, run.slot[:, None], run.token[:, None])
        run.log_ps.scatter_(1, run.slot[:, None], run.log_p[:, None])
        ended = (run.token[:, None] == self._eos).any(-1)
        # a broken row (fp16 overflow) would write "!" to the end of its budget
        run.done.logical_or_(ended | (run.slot >= run.last) | ~run.log_p.isfinite())

    def _collected(self, run: _Run, lengths: Sequence[int]) -> Iterator[Decoded]:
        ends, tokens, log_ps = run.slot.tolist(), run.tokens.cpu(), run.log_ps.cpu()
        eos = set(self._eos.tolist())
        for row, length in enumerate(lengths):
            ids = tokens[row, length : ends[row] + 1].tolist()
            values = log_ps[row, length : ends[row] + 1].tolist()
            sound = next((i for i, value in enumerate(values) if not math.isfinite(value)), len(ids))
            finished = sound == len(ids) and ids[-1] in eos
            kept = len(ids) - 1 if finished else sound
            # filling the budget is what an endless run is for
            full = run.key[3] and sound == len(ids)
            yield Decoded(tuple(ids[:kept]), tuple(values[:kept]), truncated=not (finished or full))
