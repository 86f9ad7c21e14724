"""A PyTorch checkpoint of plain tensors as numpy arrays: no torch, and nothing of it is run.

In:  a .ckpt as torch.save writes it since 1.6: a zip with a pickle of the names and one stored member per tensor.
Out: name → float32 array. A pickle may name any function of the computer; of this one only the four names below, which
     make tensors, are known, and anything else is refused before it is looked up.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

_KINDS = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def tensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Every tensor of floats, by its name. Raises OSError; ValueError (an English fragment) for anything else than a
    dictionary of plain tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            index = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            folder = index[: -len("data.pkl")] + "data/"
            with archive.open(index) as file:
                found = _Unpickler(file, lambda kind, key: _stored(archive, folder + key, kind)).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, StopIteration, KeyError, EOFError, TypeError) as cause:
        raise ValueError(f"{path.name} is no checkpoint of plain tensors ({cause})") from cause
    if not isinstance(found, Mapping):
        raise ValueError(f"{path.name} holds no dictionary")
    return {name: values for name, values in found.items() if getattr(values, "dtype", None) == np.float32}


def _stored(archive: zipfile.ZipFile, member: str, kind: str) -> npt.NDArray[Any]:
    return np.frombuffer(archive.read(member), dtype=_KINDS[kind])


def _rebuilt(storage: npt.NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
    """torch._utils._rebuild_tensor_v2. Raises UnpicklingError where the tensor would reach beyond its storage."""
    reach = offset + 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if all(size) else 0
    if offset < 0 or min((*size, *stride), default=0) < 0 or reach > len(storage):
        raise pickle.UnpicklingError("a tensor beyond its data")
    width = storage.itemsize
    return np.lib.stride_tricks.as_strided(storage[offset:], size, [step * width for step in stride]).copy()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], read: Callable[[str, str], npt.NDArray[Any]]) -> None:
        super().__init__(file)
        self._read = read

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if module == "torch" and name in _KINDS:
            return name
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        what, kind, key, *_ = pid
        if what != "storage" or kind not in _KINDS or not str(key).isdigit():
            raise pickle.UnpicklingError("not a storage")
        return self._read(kind, key)
