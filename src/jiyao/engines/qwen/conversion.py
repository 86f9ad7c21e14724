"""Original layout to native layout: the same tensor bytes under other names, and the small files anew.

In:  a model folder as Qwen published it first (`thinker_config`, vocab.json, merges.txt …).
Out: a folder that transformers' native code loads. The weights are moved, never recomputed; tokenizer.json comes out
     byte for byte as the native repositories have it.
From: research/qwen.md 2.2 and 2.6. The chat template is jiyao's own; it has the assistant turn that the original
     template lacks, without which no request can be rendered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jiyao.engines.qwen import tensor_file
from jiyao.engines.qwen.checkpoint import CONFIG, EMBEDDING, HEAD, WEIGHTS, Checkpoint
from jiyao.engines.qwen.prompt import AUDIO_PAD_ID, EOS_IDS
from jiyao.errors import EngineError

_PAD_ID = 151_645
_AUDIO_TOKENS = {
    "audio_token": "<|audio_pad|>",
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
}

# one system turn with the terms of all of them, then the sounds, then what the assistant has said so far
CHAT_TEMPLATE = """\
{%- macro words(message) -%}
{%- if message.content is string -%}{{ message.content }}
{%- else -%}{%- for part in message.content if part.type == 'text' -%}{{ part.text }}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- macro sounds(message) -%}
{%- if message.content is not string -%}
{%- for part in message.content if part.type == 'audio' -%}<|audio_start|><|audio_pad|><|audio_end|>{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{{- '<|im_start|>system\\n' -}}
{%- for message in messages if message.role == 'system' -%}{{ words(message) }}{%- endfor -%}
{{- '<|im_end|>\\n<|im_start|>user\\n' -}}
{%- for message in messages if message.role == 'user' -%}{{ sounds(message) }}{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- for message in messages if message.role == 'assistant' -%}
{{- '<|im_start|>assistant\\n' + words(message) + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
"""

# no turns: the sound, then every word with room for its two times
ALIGNER_TEMPLATE = """\
{%- for message in messages -%}{%- for part in message.content if part.type == 'audio' -%}
<|audio_start|><|audio_pad|><|audio_end|>
{%- endfor -%}{%- endfor -%}
{%- for message in messages -%}{%- for part in message.content if part.type == 'text' -%}
{{- part.text -}}<timestamp><timestamp>
{%- endfor -%}{%- endfor -%}
"""

_PROCESSOR = {
    "feature_extractor": {
        "chunk_length": 30,
        "dither": 0.0,
        "feature_extractor_type": "Qwen3ASRFeatureExtractor",
        "feature_size": 128,
        "hop_length": 160,
        "min_length": 8000,
        "n_fft": 400,
        "n_samples": 480_000,
        "n_window": 50,
        "nb_max_frames": 3000,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
        "sampling_rate": 16_000,
    },
    "processor_class": "Qwen3ASRProcessor",
    "timestamp_segment_time": 80,
}
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


VERSION = 1  # of what `convert` writes: with a new number every computer converts again


def convert(original: Path, target: Path) -> None:
    """Write the native layout of `original` into the folder `target`, which must be empty or absent.

    Seconds for 0.6B (1.6 GB written). Raises EngineError `engine.checkpoint` when the original is not whole or the
    result is not the same model, OSError when the disk does not take it.
    """
    source = Checkpoint.open(original)
    if source.layout != "original":
        raise EngineError("engine.checkpoint", folder=original, reason="it is in the native layout already")
    head = source.stored_head
    if head is not None and not tensor_file.same(source.weights, head, source.tensors[EMBEDDING]):
        raise EngineError("engine.checkpoint", folder=original, reason=f"{HEAD} is not the embedding")
    target.mkdir(parents=True, exist_ok=True)
    try:
        config = json.loads((original / CONFIG).read_text(encoding="utf-8"))
        _write_json(target / CONFIG, _native_config(config, source))
        _write_tokenizer(original, target)
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise EngineError("engine.checkpoint", folder=original, reason=cause) from cause
    _write_json(target / "processor_config.json", _PROCESSOR)
    if not source.shape.num_labels:
        generation = {"do_sample": False, "eos_token_id": EOS_IDS, "max_new_tokens": 512, "pad_token_id": _PAD_ID}
        _write_json(target / "generation_config.json", generation)
    template = ALIGNER_TEMPLATE if source.shape.num_labels else CHAT_TEMPLATE
    (target / "chat_template.jinja").write_text(template, encoding="utf-8", newline="\n")
    tensor_file.copy(source.weights, source.tensors, target / WEIGHTS)
    result = Checkpoint.open_native(target)
    if result.shape != source.shape or result.names() != source.names():
        raise EngineError("engine.checkpoint", folder=target, reason="the conversion changed the model")


def _native_config(config: Mapping[str, Any], source: Checkpoint) -> dict[str, Any]:
    """What the native code reads, lifted out of `thinker_config`; numbers come from the checked shape."""
    thinker = config["thinker_config"]
    audio, text = source.shape.audio, source.shape.text
    labels = source.shape.num_labels
    kind = "Qwen3ASRForTokenClassification" if labels else "Qwen3ASRForConditionalGeneration"
    native: dict[str, Any] = {
        "architectures": [kind],
        "audio_config": {
            "activation_function": thinker["audio_config"].get("activation_function", "gelu"),
            "d_model": audio.d_model,
            "downsample_hidden_size": audio.conv_channels,
            "encoder_attention_heads": audio.heads,
            "encoder_ffn_dim": audio.ffn,
            "encoder_layers": audio.layers,
            "max_position_embeddings": 13,  # tokens of one convolution chunk; 1500 there is a leftover of Whisper
            "model_type": "qwen3_asr_encoder",
            "n_window": audio.n_window,
            "n_window_infer": audio.n_window_infer,
            "num_mel_bins": audio.mels,
            "output_dim": audio.output_dim,
            "scale_embedding": bool(thinker["audio_config"].get("scale_embedding", False)),
        },
        "audio_token_id": thinker.get("audio_token_id", AUDIO_PAD_ID),
        "dtype": thinker.get("dtype") or "bfloat16",
        "eos_token_id": EOS_IDS,
        "initializer_range": thinker.get("initializer_range", 0.02),
        "model_type": "qwen3_asr",
        "pad_token_id": _PAD_ID,
        "text_config": {
            "attention_bias": bool(thinker["text_config"].get("attention_bias", False)),
            "head_dim": text.head_dim,
            "hidden_act": thinker["text_config"].get("hidden_act", "silu"),
            "hidden_size": text.hidden,
            "intermediate_size": text.ffn,
            "max_position_embeddings": thinker["text_config"].get("max_position_embeddings", 65_536),
            "model_type": "qwen3",
            "num_attention_heads": text.heads,
            "num_hidden_layers": text.layers,
            "num_key_value_heads": text.kv_heads,
            "rms_norm_eps": text.rms_eps,
            # three equal positions for sound make multimodal RoPE the plain one
            "rope_parameters": {"rope_theta": text.rope_theta, "rope_type": "default"},
            "tie_word_embeddings": text.tied,
            "vocab_size": text.vocab,
        },
        "tie_word_embeddings": text.tied and not labels,
    }
    if labels:
        native["id2label"] = {str(i): f"LABEL_{i}" for i in range(labels)}
        native["label2id"] = {f"LABEL_{i}": i for i in range(labels)}
    return native


def _write_tokenizer(original: Path, target: Path) -> None:
    """tokenizer.json and its config from vocab.json, merges.txt and the added tokens of tokenizer_config.json."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    config = json.loads((original / "tokenizer_config.json").read_text(encoding="utf-8"))
    vocabulary = json.loads((original / "vocab.json").read_text(encoding="utf-8"))
    lines = (original / "merges.txt").read_text(encoding="utf-8").split("\n")
    # only its first line is a comment: `# #` and `## ##` are merges
    rules = (line.split(" ") for line in lines[lines[0].startswith("#version") :] if line)
    merges = [(left, right) for left, right in rules]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, continuing_subword_prefix="", end_of_word_suffix="")
    )
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated")
    spelling = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, spelling])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A:0", pair="$A:0 $B:1")
    added = sorted((int(number), token) for number, token in config["added_tokens_decoder"].items())
    tokenizer.add_tokens([AddedToken(**token) for _, token in added])
    wrong = [number for number, token in added if tokenizer.token_to_id(token["content"]) != number]
    if wrong:
        raise ValueError(f"tokenizer_config.json: token {wrong[0]} comes out under another number")
    missing = [token for token in _AUDIO_TOKENS.values() if tokenizer.token_to_id(token) is None]
    if missing:
        raise ValueError(f"the tokenizer lacks {missing[0]}")
    (target / "tokenizer.json").write_bytes(tokenizer.to_str(pretty=True).encode())
    _write_json(
        target / "tokenizer_config.json",
        {
            "add_prefix_space": False,
            **_AUDIO_TOKENS,
            "backend": "tokenizers",
            "bos_token": None,
            "clean_up_tokenization_spaces": False,
            "eos_token": config["eos_token"],
            "errors": "replace",
            "model_max_length": config["model_max_length"],
            "pad_token": config["pad_token"],
            "processor_class": "Qwen3ASRProcessor",
            "tokenizer_class": "Qwen2Tokenizer",
            "unk_token": None,
        },
    )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


build = convert  # the name under which engines/feeds.py knows recipes
