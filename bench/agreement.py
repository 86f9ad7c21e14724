"""How near the int8 graphs of qwen-cpu are to float32: the true 0.6B shape, random weights.

    python -m bench.agreement FOLDER        FOLDER: what `python -m bench.engines --folder FOLDER` made

Random weights have no outliers, which real ones have; so this shows that the arithmetic is right and int8 no worse than
it must be, not what int8 costs in words.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jiyao.engines.qwen.checkpoint import Checkpoint
from jiyao.engines.qwen.features import log_mel
from jiyao.engines.qwen.openvino_model import OpenvinoModel
from jiyao.engines.qwen.prompt import QwenTokenizer
from jiyao.engines.qwen.windows import tokens_of
from jiyao.recognition import Hints
from jiyao.timeline import SAMPLE_RATE, Samples


@dataclass(frozen=True)
class Agreement:
    """Of the first token's scores: correlation, Kullback-Leibler divergence (nats), same first choice; and the length
    of the encoder's error as a share of its output's."""

    correlation: float
    divergence: float
    same_choice: bool
    encoder_error: float


def compare(checkpoint: Path, graphs: Path, seconds: float = 12.0) -> Agreement:
    """Needs torch and transformers; about 5 GB of memory for 0.6B."""
    sound = np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
    opened = Checkpoint.open(checkpoint)
    ids = QwenTokenizer.from_folder(checkpoint).prompt_ids(Hints(), tokens_of(sound, opened.shape.audio))
    expected_sound, expected = _reference(checkpoint, ids, sound)
    model = OpenvinoModel(opened, graphs, 0)
    [found_sound] = model.sound.encode([sound])
    found = model.first_scores(model.sound.embed(ids, found_sound))
    chances, ours = _softmax(expected), _softmax(found)
    return Agreement(
        correlation=float(np.corrcoef(expected, found)[0, 1]),
        divergence=float((chances * (np.log(chances) - np.log(ours))).sum()),
        same_choice=bool(expected.argmax() == found.argmax()),
        encoder_error=float(np.linalg.norm(found_sound - expected_sound) / np.linalg.norm(expected_sound)),
    )


def _reference(checkpoint: Path, ids: list[int], sound: Samples) -> tuple[Any, Any]:
    """Audio embeddings and last scores of transformers in float32."""
    import torch
    import transformers

    kind: Any = transformers.Qwen3ASRForConditionalGeneration
    model = kind.from_pretrained(checkpoint, dtype=torch.float32, local_files_only=True).eval()
    features = log_mel(sound)
    padded = np.pad(features, ((0, 0), (0, -features.shape[1] % 100)))[None]
    mask = torch.zeros(1, padded.shape[2], dtype=torch.long)
    mask[:, : features.shape[1]] = 1
    inputs = {"input_features": torch.from_numpy(padded), "input_features_mask": mask}
    with torch.inference_mode():
        embedded = model.model.get_audio_features(**inputs, return_dict=True).pooler_output.numpy()
        scores = model(input_ids=torch.tensor([ids]), **inputs).logits[0, -1].numpy()
    return embedded, scores.astype(np.float64)


def _softmax(scores: Any) -> Any:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print(compare(folder, folder / "int8"))
