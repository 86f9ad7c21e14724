"""ECAPA-TDNN as an ONNX graph, made once from SpeechBrain's checkpoint: no torch, no exporter.

features float32 [1, T, 80], mean 0 over T, T ≥ 10 → embedding float32 [1, 192], not normalised
From: Desplanques et al. 2020 (arXiv 2005.07143) and SpeechBrain's ECAPA_TDNN.py (Apache-2.0) for the arithmetic, tested
      against what that gives: each block is convolution (reflected at both ends), ReLU, batch norm, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jiyao.speakers import checkpoint

KIND = "ecapa-onnx"
VERSION = 1
"""Of the recipe: raised whenever the graph changes what is computed; what was made before is then made anew."""

GRAPH = "ecapa.onnx"

_CHECKPOINT = "embedding_model.ckpt"
_BLOCKS = 3  # squeeze-and-excitation blocks; their dilations are 2, 3, 4
_SCALE = 8  # groups of channels of Res2Net
_OPSET = 17
_NORM_EPS = 1e-5  # torch's BatchNorm
_LEAST_VARIANCE = 1e-12  # SpeechBrain's pooling

Tensors = Mapping[str, npt.NDArray[np.float32]]


def build(checkpoint_folder: Path, target: Path) -> None:
    """Write the graph, 84 MB, into `target`. Raises OSError, and ValueError when the checkpoint is another network."""
    import onnx

    try:
        model = _model(checkpoint.tensors(checkpoint_folder / _CHECKPOINT))
    except KeyError as cause:
        raise ValueError(f"{_CHECKPOINT} lacks {cause}") from cause
    onnx.checker.check_model(model)
    onnx.save_model(model, target / GRAPH)


def _model(tensors: Tensors) -> Any:
    from onnx import TensorProto, helper

    b = _Builder(tensors)
    x = b.op("Transpose", "features", perm=[0, 2, 1])
    x = b.tdnn(x, "blocks.0", dilation=1)
    levels = []
    for index in range(1, _BLOCKS + 1):
        x = _block(b, x, f"blocks.{index}", dilation=index + 1)
        levels.append(x)
    x = b.tdnn(b.op("Concat", *levels, axis=1), "mfa", dilation=1)
    pooled = b.norm(_pooled(b, x), "asp_bn.norm")
    embedding = b.op("Squeeze", b.convolution(pooled, "fc.conv", 1), b.constant([2], np.int64), output="embedding")
    graph = helper.make_graph(
        b.nodes,
        "ecapa",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, "frames", tensors_in(tensors)])],
        [helper.make_tensor_value_info(embedding, TensorProto.FLOAT, [1, "values"])],
        b.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = 10  # what onnxruntime of Python 3.10 knows
    return model


def tensors_in(tensors: Tensors) -> int:
    """Mel bands that the network hears."""
    return int(tensors["blocks.0.conv.conv.weight"].shape[1])


def _block(b: _Builder, x: str, name: str, dilation: int) -> str:
    """SE-Res2Net: channels in groups, each hearing the one before it, then weighted by the whole stretch."""
    inner = b.tdnn(x, f"{name}.tdnn1", 1)
    groups = b.split(inner, _SCALE)
    heard = [groups[0]]
    for index, group in enumerate(groups[1:]):
        mixed = group if index == 0 else b.op("Add", group, heard[-1])
        heard.append(b.tdnn(mixed, f"{name}.res2net_block.blocks.{index}", dilation))
    inner = b.tdnn(b.op("Concat", *heard, axis=1), f"{name}.tdnn2", 1)
    mean = b.op("ReduceMean", inner, axes=[2], keepdims=1)
    weight = b.op("Relu", b.convolution(mean, f"{name}.se_block.conv1.conv", 1))
    weight = b.op("Sigmoid", b.convolution(weight, f"{name}.se_block.conv2.conv", 1))
    return b.op("Add", b.op("Mul", inner, weight), x)


def _pooled(b: _Builder, x: str) -> str:
    """Attentive statistics: mean and deviation over time, each frame and channel weighted by what the network makes of
    it and of the whole."""
    mean = b.op("ReduceMean", x, axes=[2], keepdims=1)
    apart = b.op("Sub", x, mean)
    deviation = b.deviation(b.op("ReduceMean", b.op("Mul", apart, apart), axes=[2], keepdims=1))
    shape = b.op("Shape", x)
    context = [x, b.op("Expand", mean, shape), b.op("Expand", deviation, shape)]
    scores = b.op("Tanh", b.tdnn(b.op("Concat", *context, axis=1), "asp.tdnn", 1))
    weights = b.op("Softmax", b.convolution(scores, "asp.conv.conv", 1), axis=2)
    sums = b.constant([2], np.int64)
    mean = b.op("ReduceSum", b.op("Mul", x, weights), sums, keepdims=1)
    apart = b.op("Sub", x, mean)
    spread = b.op("ReduceSum", b.op("Mul", b.op("Mul", apart, apart), weights), sums, keepdims=1)
    return b.op("Concat", mean, b.deviation(spread), axis=1)


class _Builder:
    """Nodes in the order of computing; every value is known by its name."""

    def __init__(self, tensors: Tensors) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._tensors = tensors

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def split(self, x: str, count: int) -> list[str]:
        from onnx import helper

        outputs = [f"split{len(self.nodes)}.{index}" for index in range(count)]
        self.nodes.append(helper.make_node("Split", [x], outputs, axis=1))
        return outputs

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def convolution(self, x: str, name: str, dilation: int) -> str:
        """[1, in, T] → [1, out, T], the ends reflected."""
        weight = self._tensors[f"{name}.weight"]
        beyond = dilation * (weight.shape[2] - 1) // 2
        if beyond:
            x = self.op("Pad", x, self.constant([0, 0, beyond, 0, 0, beyond], np.int64), mode="reflect")
        bias = self.constant(self._tensors[f"{name}.bias"])
        return self.op("Conv", x, self.constant(weight), bias, dilations=[dilation])

    def norm(self, x: str, name: str) -> str:
        kinds = ("weight", "bias", "running_mean", "running_var")
        values = [self.constant(self._tensors[f"{name}.{kind}"]) for kind in kinds]
        return self.op("BatchNormalization", x, *values, epsilon=_NORM_EPS)

    def tdnn(self, x: str, name: str, dilation: int) -> str:
        return self.norm(self.op("Relu", self.convolution(x, f"{name}.conv.conv", dilation)), f"{name}.norm.norm")

    def deviation(self, variance: str) -> str:
        return self.op("Sqrt", self.op("Max", variance, self.constant(_LEAST_VARIANCE)))
