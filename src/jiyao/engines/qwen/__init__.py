"""Qwen3-ASR, piece by piece: what its engines (torch, OpenVINO, sherpa-onnx) share."""
