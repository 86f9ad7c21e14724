"""A Qwen3-ASR checkpoint in torch: the device, a dtype that works on it, prompts as embeddings, memory.

In:  a folder of the native layout. Out: transformers' model, loaded from local files alone and tested.
From: transformers' native Qwen3-ASR; dtypes by compute capability; what goes wrong with half precision as users of
      other runtimes report it (MODEL.md): the text is "!!!!", the token that stands first where nothing is a number.
"""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jiyao.engines.qwen.checkpoint import Checkpoint
from jiyao.engines.qwen.prompt import AUDIO_PAD_ID, EOS_IDS
from jiyao.engines.qwen.torch_audio import AudioEncoder
from jiyao.errors import EngineError
from jiyao.timeline import SAMPLE_RATE, Samples

Tensor = Any  # torch is not installed everywhere: its types would differ between computers
Kind = Literal["Qwen3ASRForConditionalGeneration", "Qwen3ASRForTokenClassification"]
Dtype = Literal["bfloat16", "float16", "float32"]
PromptOf = Callable[[int], Sequence[int]]

_BF16_SINCE = (8, 0)  # compute capability: older cards only pretend
_LEAST_GPU_BYTES = 2_900_000_000  # weights in half precision 1.6 GB, CUDA itself, one clip
_LIKE = 0.98  # cosine between logits of half and full precision; sound ones are above 0.999
_CPU_BYTES = 4 << 30  # what tests and measurements on a CPU may take for their batches


@dataclass(frozen=True)
class Loaded:
    """`model` in eval mode on `device` (torch's), `audio` its encoder; `place` names the device for people."""

    model: Any
    audio: AudioEncoder
    device: Any
    dtype: Dtype
    place: str

    def embed(self, prompts: Sequence[Sequence[int]], clips: Sequence[Samples]) -> Tensor:
        """Prompts [n, longest, hidden] padded on the right, each clip's sound where its prompt has <|audio_pad|>."""
        import torch

        longest = max(map(len, prompts))
        padded = [[*ids, *[EOS_IDS[0]] * (longest - len(ids))] for ids in prompts]
        with torch.inference_mode():
            ids = torch.tensor(padded, device=self.device)
            embeddings = self.model.get_input_embeddings()(ids)
            embeddings[ids == AUDIO_PAD_ID] = self.audio.encode(clips)
        return embeddings

    def free_bytes(self) -> int:
        """Memory that new tensors may take on the device, as far as it can be told."""
        import torch

        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            # what torch keeps for itself but does not use
            return int(free + torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device))
        if self.device.type == "mps":
            return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
        return _CPU_BYTES

    def used_bytes(self) -> int:
        """Memory taken on the device: weights, cache and what torch keeps; on a CPU the weights alone."""
        import torch

        if self.device.type == "cuda":
            return int(torch.cuda.memory_reserved(self.device))
        if self.device.type == "mps":
            return int(torch.mps.driver_allocated_memory())
        return sum(weight.numel() * weight.itemsize for weight in self.model.parameters())

    def give_back(self) -> None:
        """Memory that nothing uses goes back to the device, so that smaller pieces can be cut from it."""
        import torch

        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.device.type == "mps":
            torch.mps.empty_cache()


def usable() -> str | None:
    """Why this computer cannot run torch engines: a key of messages.toml, or None if it can."""
    if not all(importlib.util.find_spec(name) for name in ("torch", "transformers")):
        return "engine.reason_no_torch"
    import torch

    if torch.cuda.is_available():
        try:
            torch.zeros(1, device="cuda").item()  # a driver or card that this torch has no code for fails here
        except RuntimeError:
            return "engine.reason_no_gpu"
        small = torch.cuda.get_device_properties(0).total_memory < _LEAST_GPU_BYTES
        return "engine.reason_small_gpu" if small else None
    return None if torch.backends.mps.is_available() else "engine.reason_no_gpu"


def load(
    kind: Kind, name: str, folder: Path, prompt_of: PromptOf, device: str | None = None, dtype: Dtype | None = None
) -> Loaded:
    """The checkpoint on the best device (or `device`) in the best dtype (or `dtype`) that its self-test lets pass.

    `name`: the engine's, for errors. `prompt_of(n)`: a prompt with n audio tokens, for the self-test.
    Raises EngineError for a folder that is none, of the original layout, of another kind of model, or does not load.
    """
    Checkpoint.open_native(folder).require(aligner=kind == "Qwen3ASRForTokenClassification")
    _transformers()
    import torch

    where = torch.device(device or _best_device())
    try:
        return _first_sound(kind, folder, prompt_of, where, [dtype] if dtype else _dtypes(where))
    except EngineError:
        raise
    except Exception as cause:
        if is_out_of_memory(cause):
            raise EngineError("engine.out_of_memory", name=name) from cause
        raise EngineError("engine.load", name=name, reason=cause) from cause


def is_out_of_memory(error: BaseException) -> bool:
    """Apple's GPUs say it in words only."""
    import torch

    said = isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    return said or isinstance(error, (torch.OutOfMemoryError, MemoryError))


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _dtypes(device: Any) -> list[Dtype]:
    """What to try, best first. The checkpoint is bf16: fp16 may overflow, and bf16 is an imitation on some hardware."""
    import torch

    if device.type == "cuda":
        modern = torch.cuda.get_device_capability(device) >= _BF16_SINCE
        return ["bfloat16"] if modern else ["float16"]
    return ["bfloat16", "float16"] if device.type == "mps" else ["float32"]


def _first_sound(kind: Kind, folder: Path, prompt_of: PromptOf, device: Any, dtypes: list[Dtype]) -> Loaded:
    """The model in the first dtype whose logits are like those of full precision; else in full precision."""
    import torch

    reference: Tensor | None = None
    for dtype in dtypes:
        if dtype == "float32" or _is_native(device, dtype):
            break
        if reference is None:
            reference = _logits(_load(kind, folder, torch.device("cpu"), "float32"), prompt_of)
        tested = _tested(kind, folder, device, dtype, prompt_of, reference)
        if tested is not None:
            return tested
    else:
        dtype = "float32"
    return _load(kind, folder, device, dtype)


def _is_native(device: Any, dtype: Dtype) -> bool:
    """bf16 where the hardware has it: the way the model was trained and published, no test needed."""
    import torch

    modern = device.type == "cuda" and torch.cuda.get_device_capability(device) >= _BF16_SINCE
    return bool(modern and dtype == "bfloat16")


def _tested(
    kind: Kind, folder: Path, device: Any, dtype: Dtype, prompt_of: PromptOf, reference: Tensor
) -> Loaded | None:
    try:
        loaded = _load(kind, folder, device, dtype)
        return loaded if is_like(_logits(loaded, prompt_of), reference) else None
    except (RuntimeError, TypeError) as cause:  # Apple's GPUs have no bf16 before macOS 14
        if is_out_of_memory(cause):
            raise
        return None


def is_like(logits: Tensor, reference: Tensor) -> bool:
    """Finite, and every row [n, labels] points where full precision's does."""
    import torch

    if not bool(logits.isfinite().all()):
        return False
    return bool((torch.cosine_similarity(logits, reference, dim=-1) >= _LIKE).all())


def _logits(loaded: Loaded, prompt_of: PromptOf) -> Tensor:
    """float32 [8, labels] on the CPU: after the last 8 tokens of a prompt with the test sound."""
    import torch

    clip = _test_sound()
    with torch.inference_mode():
        embeddings = loaded.embed([prompt_of(loaded.audio.token_count(clip))], [clip])
        hidden = loaded.model.model.language_model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
        head = loaded.model.lm_head if hasattr(loaded.model, "lm_head") else loaded.model.score
        return head(hidden[0, -8:]).float().cpu()


def _test_sound() -> Samples:
    """A loud second and a half like a voice: a gliding tone with its overtones, in syllables, over noise."""
    seconds = np.arange(round(1.5 * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.7 * seconds)) / SAMPLE_RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 25)) * np.abs(np.sin(2 * np.pi * 2 * seconds))
    noise = np.random.default_rng(0).normal(0, 0.02, len(seconds))
    return np.clip(0.5 * voice + noise, -1, 1).astype(np.float32)


def _load(kind: Kind, folder: Path, device: Any, dtype: Dtype) -> Loaded:
    import torch

    # never .to(dtype) afterwards: the tables of positions must stay float32
    model, info = getattr(_transformers(), kind).from_pretrained(
        folder,
        dtype=getattr(torch, dtype),
        local_files_only=True,
        use_safetensors=True,
        attn_implementation="sdpa",
        output_loading_info=True,
    )
    wrong = [*info["missing_keys"], *info["unexpected_keys"], *info["mismatched_keys"]]
    if wrong:
        raise ValueError(f"{folder.name}: {len(wrong)} tensors do not fit, {wrong[0]} among them")
    model = model.eval().requires_grad_(False).to(device)
    return Loaded(model, AudioEncoder(model.model), device, dtype, _place(device))


def _place(device: Any) -> str:
    import torch

    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return str(device.type)


@cache
def _transformers() -> Any:
    """transformers, told before it is imported that there is no hub, and without bars of its own on the screen."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import transformers

    logging: Any = transformers.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return transformers
