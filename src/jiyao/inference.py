"""An ONNX network → a session on the processor that reports to nobody: for the small networks beside the engines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def session(model: Path | bytes, threads: int = 1) -> Any:
    """An onnxruntime.InferenceSession. Raises what onnxruntime raises, whose errors have no class of their own, and
    OSError."""
    # the locked version has no uploader; should another one be installed, it reads these when it is imported
    os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows builds of any version trace usage to the system's event log
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # as bytes: the library need not cope with what the folder is called
    content = model if isinstance(model, bytes) else model.read_bytes()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
