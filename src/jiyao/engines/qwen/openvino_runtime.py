"""OpenVINO on this computer's CPU: imported without its usage reports, compiled for the threads we may use.

Its Python package brings `openvino_telemetry`, a Google Analytics client that reports at `import openvino`. Our locked
requirements leave it out; should something else have installed it, it is barred here before the import.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

_COLLECTOR = "openvino_telemetry"

PROPERTIES: dict[str, Any] = {
    "PERFORMANCE_HINT": "LATENCY",  # one request at a time, all threads for it
    # keys of some channels are far larger than the rest: eight bits for them would cost accuracy
    "KV_CACHE_PRECISION": "f16",
}


def import_openvino() -> Any:
    """The package. Raises ImportError."""
    # None makes any later `import openvino_telemetry` fail, and OpenVINO then uses its own silent stand-in
    sys.modules.setdefault(_COLLECTOR, None)  # type: ignore[arg-type]
    import openvino

    return openvino


def compiled(path: Path, threads: int) -> Any:
    """A graph ready to run on the CPU. `threads` 0: all cores. Raises RuntimeError."""
    openvino = import_openvino()
    core = openvino.Core()
    properties = {**PROPERTIES, "INFERENCE_NUM_THREADS": threads} if threads else PROPERTIES
    # read from a file, not from memory: the weights are then mapped, not copied
    return core.compile_model(core.read_model(path), "CPU", properties)
