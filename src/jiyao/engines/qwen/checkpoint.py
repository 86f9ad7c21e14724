"""A Qwen3-ASR model folder, checked before anything trusts it.

In:  a folder in either layout: native (transformers' own, the `-hf` repositories) or original (everything under
     `thinker_config`, the first repositories). Out: its shape, and its tensors under their native names.
From: the published config.json files and `transformers.models.qwen3_asr` (research/qwen.md 1.6, 2.6). The table of
     tensors is checked against the published file sizes of 0.6B, 1.7B and the aligner, to the byte.
Traps: transformers takes an original folder without a word and answers with a random 1.7B-shaped model, so engines that
     hand a folder to it ask `Checkpoint.open_native`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from jiyao.engines.qwen import tensor_file
from jiyao.engines.qwen.tensor_file import Rows, Tensor
from jiyao.errors import EngineError

Layout = Literal["native", "original"]

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
HEAD = "lm_head.weight"
EMBEDDING = "model.language_model.embed_tokens.weight"
CLASSES = "score.weight"

_AUDIO = "model.audio_tower."
_TEXT = "model.language_model."
_PROJECTOR = "model.multi_modal_projector."
# original prefix -> native prefix, the first that fits; `thinker.lm_head.` is the aligner's `score.`
_RENAMES = (
    ("thinker.model.", _TEXT),
    ("thinker.lm_head.", "lm_head."),
    ("thinker.audio_tower.proj1.", f"{_PROJECTOR}linear_1."),
    ("thinker.audio_tower.proj2.", f"{_PROJECTOR}linear_2."),
    ("thinker.", "model."),
)


@dataclass(frozen=True)
class AudioShape:
    """The encoder. `n_window`: half a convolution chunk, in mel frames; `n_window_infer`: frames that see each other;
    `output_dim`: width of what the text model is given."""

    d_model: int
    layers: int
    heads: int
    ffn: int
    output_dim: int
    mels: int
    conv_channels: int
    n_window: int
    n_window_infer: int


@dataclass(frozen=True)
class TextShape:
    """The Qwen3 decoder. `tied`: the output matrix is the embedding."""

    vocab: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    rope_theta: float
    rms_eps: float
    tied: bool


@dataclass(frozen=True)
class Shape:
    """`num_labels`: 0 for speech recognition; for the forced aligner its time classes (of 80 ms)."""

    audio: AudioShape
    text: TextShape
    num_labels: int = 0

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """native name -> shape of every tensor that a checkpoint of this shape must hold."""
        tensors = {**_audio_tensors(self.audio), **_text_tensors(self.text)}
        if self.num_labels:
            tensors[CLASSES] = (self.num_labels, self.text.hidden)
        elif not self.text.tied:
            tensors[HEAD] = (self.text.vocab, self.text.hidden)
        return tensors

    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.tensors().values())


@dataclass(frozen=True)
class Checkpoint:
    """`folder` holds a whole model of this `shape`. `stored_head`: a tied output matrix that the file holds anyway."""

    folder: Path
    layout: Layout
    shape: Shape
    tensors: Mapping[str, Tensor] = field(repr=False)
    stored_head: Tensor | None = field(default=None, repr=False)

    @classmethod
    def open(cls, folder: Path) -> Checkpoint:
        """Read config and table of contents; milliseconds.

        Raises EngineError `engine.checkpoint` when a file is missing, cut off or of another model, or when names,
        shapes or the number of parameters are not what the config says.
        """
        try:
            config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            layout: Layout = "original" if "thinker_config" in config else "native"
            shape = _shape(config, layout)
            found = tensor_file.contents(folder / WEIGHTS)
            tensors = _renamed(found, shape) if layout == "original" else found
            stored_head = tensors.pop(HEAD, None) if shape.text.tied and not shape.num_labels else None
            _check(tensors, stored_head, shape)
        except OSError as cause:
            raise EngineError("engine.checkpoint", folder=folder, reason=cause.strerror or cause) from cause
        except (ValueError, TypeError, AttributeError) as cause:
            raise EngineError("engine.checkpoint", folder=folder, reason=cause) from cause
        return cls(folder, layout, shape, tensors, stored_head)

    @classmethod
    def open_native(cls, folder: Path) -> Checkpoint:
        """The same, for whoever gives the folder to transformers. Raises EngineError `engine.unconverted` as well."""
        checkpoint = cls.open(folder)
        if checkpoint.layout != "native":
            raise EngineError("engine.unconverted", folder=folder)
        return checkpoint

    def require(self, *, aligner: bool) -> Checkpoint:
        """Itself. Raises EngineError `engine.checkpoint` when it is the other kind: a recogniser, or an aligner."""
        if bool(self.shape.num_labels) != aligner:
            wanted = "forced aligner" if aligner else "recogniser"
            raise EngineError("engine.checkpoint", folder=self.folder, reason=f"not a {wanted}")
        return self

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS

    def names(self) -> list[str]:
        """Native names of the tensors, sorted; a tied output matrix is not among them."""
        return sorted(self.tensors)

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        """A copy as float32. The output matrix can be asked for even where it is tied. Raises KeyError, OSError."""
        if name == HEAD and name not in self.tensors and not self.shape.num_labels:
            name = EMBEDDING
        return tensor_file.read(self.weights, self.tensors[name])

    def rows(self, name: str) -> Rows:
        """Chosen rows of a matrix [rows, columns]: indices int [n] → float32 [n, columns]. The file stays mapped, only
        what is asked for is read. Raises KeyError, OSError."""
        return tensor_file.rows(self.weights, self.tensors[name])


def native_name(name: str, is_aligner: bool) -> str:
    """The native name of an original one; a name that does not begin as expected stays as it is."""
    for old, new in _RENAMES:
        if name.startswith(old):
            kept = name.removeprefix(old)
            return f"score.{kept}" if is_aligner and new == "lm_head." else new + kept
    return name


def _renamed(found: Mapping[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    renamed = {native_name(name, bool(shape.num_labels)): tensor for name, tensor in found.items()}
    if len(renamed) != len(found):
        raise ValueError("two tensors have the same name")
    return renamed


def _check(tensors: Mapping[str, Tensor], stored_head: Tensor | None, shape: Shape) -> None:
    expected = shape.tensors()
    for kind, names in (("missing", set(expected) - set(tensors)), ("unknown", set(tensors) - set(expected))):
        if names:
            raise ValueError(f"{len(names)} tensors are {kind}, {min(names)} first")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name]:
            raise ValueError(f"{name} is {list(tensor.shape)}, the config says {list(expected[name])}")
    if stored_head is not None and stored_head.shape != expected[EMBEDDING]:
        raise ValueError(f"{HEAD} is {list(stored_head.shape)}, not the embedding's {list(expected[EMBEDDING])}")
    count = sum(tensor.size for tensor in tensors.values())
    if count != shape.parameters():
        raise ValueError(f"{count} parameters, the config says {shape.parameters()}")


def _shape(config: Mapping[str, Any], layout: Layout) -> Shape:
    """Raises ValueError, TypeError or AttributeError when it is not the config of a Qwen3-ASR."""
    if config.get("model_type") != "qwen3_asr":
        raise ValueError(f"model_type is {config.get('model_type')}, not qwen3_asr")
    body = config["thinker_config"] if layout == "original" else config
    audio, text = body.get("audio_config"), body.get("text_config")
    if not isinstance(audio, dict) or not isinstance(text, dict):
        raise ValueError("config.json lacks audio_config or text_config")
    rope = text.get("rope_parameters") or text
    return Shape(
        AudioShape(
            d_model=_whole(audio, "d_model", "hidden_size"),
            layers=_whole(audio, "encoder_layers", "num_hidden_layers"),
            heads=_whole(audio, "encoder_attention_heads", "num_attention_heads"),
            ffn=_whole(audio, "encoder_ffn_dim", "intermediate_size"),
            output_dim=_whole(audio, "output_dim"),
            mels=_whole(audio, "num_mel_bins"),
            conv_channels=_whole(audio, "downsample_hidden_size"),
            n_window=_whole(audio, "n_window"),
            n_window_infer=_whole(audio, "n_window_infer"),
        ),
        TextShape(
            vocab=_whole(text, "vocab_size"),
            hidden=_whole(text, "hidden_size"),
            layers=_whole(text, "num_hidden_layers"),
            heads=_whole(text, "num_attention_heads"),
            kv_heads=_whole(text, "num_key_value_heads"),
            head_dim=_whole(text, "head_dim"),
            ffn=_whole(text, "intermediate_size"),
            rope_theta=_real(rope, "rope_theta"),
            rms_eps=_real(text, "rms_norm_eps"),
            tied=bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", True))),
        ),
        _classes(config, body, layout),
    )


def _classes(config: Mapping[str, Any], body: Mapping[str, Any], layout: Layout) -> int:
    if layout == "original":
        return _whole(body, "classify_num") if "classify_num" in body else 0
    if "Qwen3ASRForTokenClassification" not in (config.get("architectures") or ()):
        return 0
    return len(config["id2label"]) if "id2label" in config else _whole(config, "num_labels")


def _whole(config: Mapping[str, Any], *names: str) -> int:
    """The first of `names` that is there. Transformers knows each number of the encoder under two names."""
    value = next((config[name] for name in names if name in config), None)
    if type(value) is not int or value < 1:
        raise ValueError(f"{names[0]} is {value}")
    return value


def _real(config: Mapping[str, Any], name: str) -> float:
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ValueError(f"{name} is {value}")
    return float(value)


def _audio_tensors(shape: AudioShape) -> dict[str, tuple[int, ...]]:
    d, channels = shape.d_model, shape.conv_channels
    bins = shape.mels
    for _ in range(3):  # three convolutions of stride 2
        bins = (bins + 1) // 2
    tensors: dict[str, tuple[int, ...]] = {f"{_AUDIO}conv_out.weight": (d, channels * bins)}
    for number, inputs in enumerate((1, channels, channels), 1):
        tensors[f"{_AUDIO}conv2d{number}.weight"] = (channels, inputs, 3, 3)
        tensors[f"{_AUDIO}conv2d{number}.bias"] = (channels,)
    linear = {f"self_attn.{part}_proj": (d, d) for part in ("q", "k", "v", "out")}
    linear |= {"fc1": (shape.ffn, d), "fc2": (d, shape.ffn)}
    maps = {f"{_AUDIO}layers.{i}.{name}": size for i in range(shape.layers) for name, size in linear.items()}
    maps |= {f"{_PROJECTOR}linear_1": (d, d), f"{_PROJECTOR}linear_2": (shape.output_dim, d)}
    norms = [
        f"{_AUDIO}layers.{i}.{n}" for i in range(shape.layers) for n in ("self_attn_layer_norm", "final_layer_norm")
    ]
    for name, size in maps.items():
        tensors |= {f"{name}.weight": size, f"{name}.bias": size[:1]}
    for name in (*norms, f"{_AUDIO}ln_post"):
        tensors |= {f"{name}.weight": (d,), f"{name}.bias": (d,)}
    return tensors


def _text_tensors(shape: TextShape) -> dict[str, tuple[int, ...]]:
    queries, keys, hidden = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim, shape.hidden
    layer: dict[str, tuple[int, ...]] = {
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "self_attn.q_norm": (shape.head_dim,),
        "self_attn.k_norm": (shape.head_dim,),
        "mlp.gate_proj": (shape.ffn, hidden),
        "mlp.up_proj": (shape.ffn, hidden),
        "mlp.down_proj": (hidden, shape.ffn),
    }
    layers = {f"{_TEXT}layers.{i}.{n}.weight": size for i in range(shape.layers) for n, size in layer.items()}
    return {EMBEDDING: (shape.vocab, hidden), f"{_TEXT}norm.weight": (hidden,), **layers}
