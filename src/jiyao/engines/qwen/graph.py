"""Qwen3-ASR's networks as OpenVINO graphs, from a checkpoint's tensors: no torch, no exporter.

encoder   chunks float32 [C, 1, 128, 100] (one second each) and the indices of `windows.py` → audio embeddings [N, H]
decoder   embeddings float32 [B, T, H], positions int64 [B, T], mask float32 [B, 1, T, S], beam_idx int32 [B]
          → scores float32 [B, vocab] of the last position; keys and values live inside, as state of the request
aligner   embeddings, positions and mask as above, places int32 [P] (row · T + position) → scores [P, time classes]

Matrices are int8 with one float scale an output channel (symmetric, round to nearest), everything else float32.
From: transformers' models/qwen3_asr and models/qwen3 (Apache-2.0) for the arithmetic, tested against them. The state
      is laid out (ReadValue, Gather by beam_idx, Concat, repeated heads, attention, Assign) as OpenVINO's CPU plugin
      expects it: only then it keeps the cache in place; else every step copies it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jiyao.engines.qwen.checkpoint import AudioShape, Shape, TextShape

if TYPE_CHECKING:
    import openvino

Array = npt.NDArray[Any]
Tensors = Callable[[str], npt.NDArray[np.float32]]
"""Name in the native layout → float32 values."""

TOKENS_PER_CHUNK = 13  # what three convolutions of stride 2 leave of 100 frames
_CONVOLUTIONS = ("conv2d1", "conv2d2", "conv2d3")
_SMALLEST_INT8 = 1 << 12  # smaller matrices save nothing


def quantize(weight: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """[out, in] → int8 [out, in] and scales float32 [out, 1]; weight ≈ int8 · scale, off by half a step at most."""
    scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-12) / 127.0
    return np.clip(np.rint(weight / scale), -127, 127).astype(np.int8), scale.astype(np.float32)


class Builder:
    """Layers that both networks share. `int8`: matrices quantised; tests build without, to compare exactly."""

    def __init__(self, tensors: Tensors, int8: bool) -> None:
        import openvino.opset15 as opset

        self.op: Any = opset
        self._tensors = tensors
        self._int8 = int8

    def constant(self, values: Any, kind: Any = np.float32) -> Any:
        return self.op.constant(np.asarray(values, dtype=kind))

    def weight(self, name: str, shape: tuple[int, ...] | None = None) -> Any:
        values = self._tensors(name)
        return self.constant(values if shape is None else values.reshape(shape))

    def linear(self, x: Any, name: str, bias: bool) -> Any:
        """x [..., in] → [..., out]."""
        product = self.op.matmul(x, self._matrix(self._tensors(f"{name}.weight")), False, True)
        return self.op.add(product, self.weight(f"{name}.bias")) if bias else product

    def stacked(self, x: Any, names: list[str], bias: bool) -> list[Any]:
        """Several matrices over the same input in one multiplication; the outputs apart again."""
        matrices = [self._tensors(f"{name}.weight") for name in names]
        product = self.op.matmul(x, self._matrix(np.concatenate(matrices)), False, True)
        if bias:
            product = self.op.add(product, self.constant(np.concatenate([self._tensors(f"{n}.bias") for n in names])))
        sizes = self.constant([len(matrix) for matrix in matrices], np.int64)
        return list(self.op.variadic_split(product, self.constant(-1, np.int64), sizes).outputs())

    def _matrix(self, weight: npt.NDArray[np.float32]) -> Any:
        if not self._int8 or weight.size < _SMALLEST_INT8:
            return self.constant(weight)
        values, scale = quantize(weight)
        return self.op.multiply(self.op.convert(self.constant(values, np.int8), "f32"), self.constant(scale))

    def layer_norm(self, x: Any, name: str) -> Any:
        # epsilon of torch's LayerNorm
        normed = self.op.mvn(x, self.constant([-1], np.int64), True, 1e-5, "INSIDE_SQRT")
        return self.op.add(self.op.multiply(normed, self.weight(f"{name}.weight")), self.weight(f"{name}.bias"))

    def rms_norm(self, x: Any, name: str, eps: float) -> Any:
        op = self.op
        mean = op.reduce_mean(op.power(x, self.constant(2.0)), self.constant([-1], np.int64), True)
        inverse = op.divide(self.constant(1.0), op.sqrt(op.add(mean, self.constant(eps))))
        return op.multiply(op.multiply(x, inverse), self.weight(f"{name}.weight"))

    def reshape(self, x: Any, shape: list[int]) -> Any:
        """0 keeps a size, -1 is what is left."""
        return self.op.reshape(x, self.constant(shape, np.int64), True)

    def transpose(self, x: Any, order: list[int]) -> Any:
        return self.op.transpose(x, self.constant(order, np.int64))

    def gather(self, x: Any, indices: Any) -> Any:
        """Rows of x."""
        return self.op.gather(x, indices, self.constant(0, np.int64))

    def input(self, shape: list[int], kind: Any, name: str) -> Any:
        node = self.op.parameter(shape, kind, name)
        node.output(0).tensor.set_names({name})
        return node


def encoder(shape: Shape, tensors: Tensors, int8: bool = True) -> openvino.Model:
    """The audio tower and its projector. Inputs: see `windows.py`."""
    import openvino

    b, audio = Builder(tensors, int8), shape.audio
    chunks = b.input([-1, 1, audio.mels, 2 * audio.n_window], np.float32, "chunks")
    kept = b.input([-1], np.int32, "kept")
    spread = b.input([-1, -1], np.int32, "spread")
    hidden_keys = b.input([-1, 1, 1, -1], np.float32, "mask")
    packed = b.input([-1], np.int32, "packed")
    x = b.gather(_convolved(b, chunks, audio), kept)
    for layer in range(audio.layers):
        name = f"model.audio_tower.layers.{layer}"
        attended = _windowed(b, b.layer_norm(x, f"{name}.self_attn_layer_norm"), f"{name}.self_attn", audio)
        x = b.op.add(x, attended(spread, hidden_keys, packed))
        inner = b.op.gelu(b.linear(b.layer_norm(x, f"{name}.final_layer_norm"), f"{name}.fc1", True), "ERF")
        x = b.op.add(x, b.linear(inner, f"{name}.fc2", True))
    x = b.layer_norm(x, "model.audio_tower.ln_post")
    x = b.op.gelu(b.linear(x, "model.multi_modal_projector.linear_1", True), "ERF")
    x = b.linear(x, "model.multi_modal_projector.linear_2", True)
    x.output(0).tensor.set_names({"embeddings"})
    return openvino.Model([x], [chunks, kept, spread, hidden_keys, packed], "encoder")


def _convolved(b: Builder, chunks: Any, audio: AudioShape) -> Any:
    """[C, 1, 128, 100] → [C · 13, d_model], each chunk with the same positions."""
    x = chunks
    for name in _CONVOLUTIONS:
        x = b.op.convolution(x, b.weight(f"model.audio_tower.{name}.weight"), [2, 2], [1, 1], [1, 1], [1, 1])
        x = b.op.gelu(b.op.add(x, b.weight(f"model.audio_tower.{name}.bias", (1, -1, 1, 1))), "ERF")
    x = b.reshape(b.transpose(x, [0, 3, 1, 2]), [0, 0, -1])
    x = b.linear(x, "model.audio_tower.conv_out", False)
    x = b.op.add(x, b.constant(_positions(TOKENS_PER_CHUNK, audio.d_model)))
    return b.reshape(x, [-1, audio.d_model])


def _windowed(b: Builder, x: Any, name: str, audio: AudioShape) -> Callable[[Any, Any, Any], Any]:
    """Attention inside windows of 8 s: rows are spread over [windows, tokens] and packed again afterwards."""
    size = audio.d_model // audio.heads
    parts = b.stacked(x, [f"{name}.{kind}_proj" for kind in "qkv"], True)

    def attend(spread: Any, mask: Any, packed: Any) -> Any:
        heads = [b.transpose(b.reshape(b.gather(p, spread), [0, 0, audio.heads, size]), [0, 2, 1, 3]) for p in parts]
        mixed = b.op.scaled_dot_product_attention(*heads, mask, b.constant(size**-0.5), causal=False)
        rows = b.gather(b.reshape(b.transpose(mixed, [0, 2, 1, 3]), [-1, audio.d_model]), packed)
        return b.linear(rows, f"{name}.out_proj", True)

    return attend


def _positions(length: int, channels: int) -> npt.NDArray[np.float32]:
    """Sines, then cosines, as Whisper's encoder has them: [length, channels]."""
    steps = np.exp(-np.log(10_000.0) / (channels // 2 - 1) * np.arange(channels // 2, dtype=np.float32))
    angles = np.arange(length, dtype=np.float32)[:, None] * steps[None, :].astype(np.float32)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def decoder(shape: Shape, tensors: Tensors, int8: bool = True) -> openvino.Model:
    """The language model with its cache as state; scores of the last position only."""
    import openvino

    b, text = Builder(tensors, int8), shape.text
    embeddings, positions, mask = _text_inputs(b, text)
    cache = _Cache(b, embeddings, b.input([-1], np.int32, "beam_idx"), text)
    x = _layers(b, embeddings, positions, mask, text, cache)
    last = b.op.gather(x, b.constant(-1, np.int64), b.constant(1, np.int64))
    head = "model.language_model.embed_tokens" if text.tied else "lm_head"
    scores = b.linear(b.rms_norm(last, "model.language_model.norm", text.rms_eps), head, False)
    scores.output(0).tensor.set_names({"scores"})
    return openvino.Model([scores.output(0)], cache.sinks, [embeddings, positions, mask, cache.beam_idx], "decoder")


def aligner(shape: Shape, tensors: Tensors, int8: bool = True) -> openvino.Model:
    """The forced aligner's language model: no cache, scores of the time classes at chosen places."""
    import openvino

    b, text = Builder(tensors, int8), shape.text
    embeddings, positions, mask = _text_inputs(b, text)
    places = b.input([-1], np.int32, "places")
    x = b.reshape(_layers(b, embeddings, positions, mask, text, None), [-1, text.hidden])
    x = b.rms_norm(b.gather(x, places), "model.language_model.norm", text.rms_eps)
    scores = b.linear(x, "score", False)
    scores.output(0).tensor.set_names({"scores"})
    return openvino.Model([scores], [embeddings, positions, mask, places], "aligner")


def _text_inputs(b: Builder, text: TextShape) -> tuple[Any, Any, Any]:
    return (
        b.input([-1, -1, text.hidden], np.float32, "embeddings"),
        b.input([-1, -1], np.int64, "positions"),
        b.input([-1, 1, -1, -1], np.float32, "mask"),
    )


def _layers(b: Builder, x: Any, positions: Any, mask: Any, text: TextShape, cache: _Cache | None) -> Any:
    rotation = _rotation(b, positions, text)
    for layer in range(text.layers):
        name = f"model.language_model.layers.{layer}"
        normed = b.rms_norm(x, f"{name}.input_layernorm", text.rms_eps)
        x = b.op.add(x, _attention(b, normed, f"{name}.self_attn", text, rotation, mask, cache))
        normed = b.rms_norm(x, f"{name}.post_attention_layernorm", text.rms_eps)
        gate, up = b.stacked(normed, [f"{name}.mlp.gate_proj", f"{name}.mlp.up_proj"], False)
        x = b.op.add(x, b.linear(b.op.multiply(b.op.swish(gate), up), f"{name}.mlp.down_proj", False))
    return x


def _rotation(b: Builder, positions: Any, text: TextShape) -> tuple[Any, Any]:
    """Cosine and sine [B, 1, T, head_dim] of rotary positions (Su et al. 2021, arXiv 2104.09864)."""
    frequencies = text.rope_theta ** (-np.arange(0, text.head_dim, 2, dtype=np.float32) / text.head_dim)
    places = b.op.unsqueeze(b.op.convert(positions, "f32"), b.constant([1, 3], np.int64))
    half = b.op.multiply(places, b.constant(frequencies.reshape(1, 1, 1, -1)))
    angles = b.op.concat([half, half], -1)
    return b.op.cos(angles), b.op.sin(angles)


def _rotated(b: Builder, x: Any, rotation: tuple[Any, Any]) -> Any:
    cosine, sine = rotation
    first, second = b.op.split(x, b.constant(-1, np.int64), 2).outputs()
    turned = b.op.concat([b.op.multiply(second, b.constant(-1.0)), first], -1)
    return b.op.add(b.op.multiply(x, cosine), b.op.multiply(turned, sine))


def _attention(
    b: Builder, x: Any, name: str, text: TextShape, rotation: tuple[Any, Any], mask: Any, cache: _Cache | None
) -> Any:
    size = text.head_dim
    q, k, v = b.stacked(x, [f"{name}.{kind}_proj" for kind in "qkv"], False)
    q = b.rms_norm(b.reshape(q, [0, 0, text.heads, size]), f"{name}.q_norm", text.rms_eps)
    k = b.rms_norm(b.reshape(k, [0, 0, text.kv_heads, size]), f"{name}.k_norm", text.rms_eps)
    v = b.transpose(b.reshape(v, [0, 0, text.kv_heads, size]), [0, 2, 1, 3])
    q = _rotated(b, b.transpose(q, [0, 2, 1, 3]), rotation)
    k = _rotated(b, b.transpose(k, [0, 2, 1, 3]), rotation)
    if cache is not None:
        k, v = cache.extended(k, f"{name}.keys"), cache.extended(v, f"{name}.values")
    k, v = _repeated(b, k, text), _repeated(b, v, text)
    mixed = b.op.scaled_dot_product_attention(q, k, v, mask, b.constant(size**-0.5), causal=False)
    return b.linear(b.reshape(b.transpose(mixed, [0, 2, 1, 3]), [0, 0, text.heads * size]), f"{name}.o_proj", False)


class _Cache:
    """Keys and values [B, kv_heads, S, head_dim] of every layer as state; `sinks` are the nodes that store them."""

    def __init__(self, b: Builder, embeddings: Any, beam_idx: Any, text: TextShape) -> None:
        self.beam_idx = beam_idx
        self.sinks: list[Any] = []
        self._b = b
        batch = b.op.gather(b.op.shape_of(embeddings, "i64"), b.constant([0], np.int64), b.constant(0, np.int64))
        shape = b.op.concat([batch, b.constant([text.kv_heads, 0, text.head_dim], np.int64)], 0)
        self._empty = b.op.broadcast(b.constant(0.0), shape)
        self._sizes = (text.kv_heads, text.head_dim)

    def extended(self, new: Any, name: str) -> Any:
        """What the state of this name holds, rows chosen by `beam_idx`, with `new` behind it."""
        import openvino

        heads, size = self._sizes
        info = openvino.op.util.VariableInfo()
        info.data_shape = openvino.PartialShape([-1, heads, -1, size])
        info.data_type = openvino.Type.f32
        info.variable_id = name
        variable = openvino.op.util.Variable(info)
        past = self._b.gather(self._b.op.read_value(self._empty, variable), self.beam_idx)
        together = self._b.op.concat([past, new], 2)
        self.sinks.append(self._b.op.assign(together, variable))
        return together


def _repeated(b: Builder, x: Any, text: TextShape) -> Any:
    """Each key/value head for all the query heads that share it."""
    sizes = b.constant([1, 1, text.heads // text.kv_heads, 1, 1], np.int64)
    wide = b.op.broadcast(b.op.unsqueeze(x, b.constant(2, np.int64)), sizes, broadcast_spec="BIDIRECTIONAL")
    return b.reshape(wide, [0, text.heads, -1, text.head_dim])
