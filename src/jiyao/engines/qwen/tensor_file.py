"""model.safetensors without torch: its table of contents, tensors as float32, and tensors moved byte for byte.

In:  a safetensors file. Out: numpy arrays, or another safetensors file that holds the same bytes under other names.
From: the format's own description (8 bytes length, a JSON header, then the data). What is written here is byte for
     byte what safetensors' own `save_file` writes: widest type first, then by name, header padded to 8 bytes.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = Callable[[npt.NDArray[np.intp]], npt.NDArray[np.float32]]

_WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}
_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000  # the format's own limit
_COPY_BYTES = 16 << 20


@dataclass(frozen=True)
class Tensor:
    """Where one tensor lies: `dtype` F32, F16 or BF16; `start` and `end` in bytes from the beginning of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def contents(path: Path) -> dict[str, Tensor]:
    """name -> Tensor. Raises OSError, and ValueError (an English fragment) when the file is cut off or no safetensors
    of plain floating-point weights."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > min(size - _LENGTH_BYTES, _LONGEST_HEADER):
            raise ValueError(f"{path.name} is cut off or no safetensors file")
        raw = file.read(length)
    try:
        entries = json.loads(raw)
        tensors = {name: _tensor(entry, _LENGTH_BYTES + length) for name, entry in entries.items() if name[:2] != "__"}
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise ValueError(f"{path.name} has a header that cannot be read ({cause})") from cause
    at = _LENGTH_BYTES + length
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].start):
        if tensor.start != at or tensor.end - tensor.start != tensor.size * _WIDTHS[tensor.dtype]:
            raise ValueError(f"{path.name}: {name} does not lie where its header says")
        at = tensor.end
    if at != size:
        raise ValueError(f"{path.name} has {size} bytes, its header promises {at}")
    return tensors


def read(path: Path, tensor: Tensor) -> npt.NDArray[np.float32]:
    """A copy of the tensor as float32 in its own shape; exact for every type it can have. Raises OSError."""
    return _widened(_typed(path, tensor))


def rows(path: Path, tensor: Tensor) -> Rows:
    """A reader of single rows of a matrix, as float32; the file stays mapped while it lives. Raises OSError."""
    matrix = _typed(path, tensor)
    return lambda indices: _widened(matrix[indices])


def _typed(path: Path, tensor: Tensor) -> npt.NDArray[Any]:
    kind = {"BF16": "<u2", "F16": "<f2", "F32": "<f4"}[tensor.dtype]
    return _mapped(path, tensor).view(kind).reshape(tensor.shape)


def _widened(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """A copy as float32. Whole numbers are bfloat16: the upper half of a float32."""
    if values.dtype.kind == "u":
        wide: npt.NDArray[np.uint32] = np.left_shift(values, 16, dtype=np.uint32)
        return wide.view(np.float32)
    return values.astype(np.float32)


def same(path: Path, one: Tensor, other: Tensor) -> bool:
    """Do two tensors of one file hold the same bytes, type and shape?"""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    left, right = _mapped(path, one), _mapped(path, other)
    steps = range(0, len(left), _COPY_BYTES)
    return all(np.array_equal(left[at : at + _COPY_BYTES], right[at : at + _COPY_BYTES]) for at in steps)


def copy(source: Path, tensors: Mapping[str, Tensor], target: Path) -> None:
    """Write `target` with tensors of `source` under the names given here. Raises OSError."""
    with source.open("rb") as data, target.open("wb") as output:
        output.write(header(tensors))
        for _, tensor in _ordered(tensors):
            data.seek(tensor.start)
            left = tensor.end - tensor.start
            while left:
                chunk = data.read(min(left, _COPY_BYTES))
                if not chunk:
                    raise OSError(f"{source.name} ended early")
                output.write(chunk)
                left -= len(chunk)
        output.flush()
        os.fsync(output.fileno())


def header(tensors: Mapping[str, Tensor]) -> bytes:
    """What stands before the data in a file of these tensors, its own length first."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, tensor in _ordered(tensors):
        end = at + tensor.end - tensor.start
        entries[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": (at, end)}
        at = end
    raw = json.dumps(entries, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % _LENGTH_BYTES)
    return len(raw).to_bytes(_LENGTH_BYTES, "little") + raw


def _ordered(tensors: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    return sorted(tensors.items(), key=lambda item: (-_WIDTHS[item[1].dtype], item[0]))


def _tensor(entry: Mapping[str, object], base: int) -> Tensor:
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in _WIDTHS or not isinstance(shape, list) or not isinstance(offsets, list):
        raise ValueError(f"type {dtype}")
    if any(type(value) is not int or value < 0 for value in (*shape, *offsets)) or len(offsets) != 2:
        raise ValueError("a shape or an offset that is no number")
    return Tensor(str(dtype), tuple(shape), base + offsets[0], base + offsets[1])


def _mapped(path: Path, tensor: Tensor) -> npt.NDArray[np.uint8]:
    """The tensor's bytes, paged in as they are touched. The file is released when the array is."""
    if tensor.start == tensor.end:
        return np.empty(0, np.uint8)
    return np.asarray(np.memmap(path, np.uint8, "r", tensor.start, (tensor.end - tensor.start,)))
