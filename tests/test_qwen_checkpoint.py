"""Model folders of either layout: what is accepted, what is refused, and the conversion of one into the other."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jiyao import weights
from jiyao.engines.qwen import conversion, tensor_file
from jiyao.engines.qwen.checkpoint import EMBEDDING, HEAD, AudioShape, Checkpoint, Shape, TextShape
from jiyao.errors import EngineError
from tests.qwen_toys import N_TIME_CLASSES

Tamper = Callable[[Path], None]

_AUDIO_06 = AudioShape(896, 18, 14, 3584, 1024, 128, 480, 50, 800)
_AUDIO_17 = AudioShape(1024, 24, 16, 4096, 2048, 128, 480, 50, 800)
_TEXT_06 = TextShape(151_936, 1024, 28, 16, 8, 128, 3072, 1e6, 1e-6, True)
SHAPES = {
    "qwen3-asr-0.6b": Shape(_AUDIO_06, _TEXT_06),
    "qwen3-asr-1.7b": Shape(_AUDIO_17, replace(_TEXT_06, hidden=2048, ffn=6144)),
    "qwen3-forced-aligner-0.6b": Shape(replace(_AUDIO_17, output_dim=1024), replace(_TEXT_06, vocab=152_064), 5000),
}


@pytest.fixture(scope="module")
def converted(qwen_original_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("qwen-converted") / "native"
    conversion.convert(qwen_original_folder, target)
    return target


def _pinned(model: str, path: str) -> weights.ModelFile:
    return next(file for file in weights.find_model(model).files if file.path == path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _broken(folder: Path, tmp_path: Path, tamper: Tamper) -> Path:
    copy = tmp_path / "broken"
    shutil.copytree(folder, copy)
    tamper(copy)
    return copy


def _edit(name: str, change: Callable[[dict[str, Any]], None]) -> Tamper:
    def tamper(folder: Path) -> None:
        config = json.loads((folder / name).read_text(encoding="utf-8"))
        change(config)
        (folder / name).write_text(json.dumps(config), encoding="utf-8")

    return tamper


def _weights(change: Callable[[Path, Path, dict[str, tensor_file.Tensor]], None]) -> Tamper:
    def tamper(folder: Path) -> None:
        whole = folder / "model.safetensors"
        before = whole.rename(folder / "before")
        change(before, whole, tensor_file.contents(before))
        before.unlink()

    return tamper


def _cut(before: Path, whole: Path, tensors: dict[str, tensor_file.Tensor]) -> None:
    whole.write_bytes(before.read_bytes()[:-1000])


def _without_one(before: Path, whole: Path, tensors: dict[str, tensor_file.Tensor]) -> None:
    del tensors["model.audio_tower.layers.1.fc2.bias"]
    tensor_file.copy(before, tensors, whole)


def _with_one_more(before: Path, whole: Path, tensors: dict[str, tensor_file.Tensor]) -> None:
    tensor_file.copy(before, {**tensors, "model.audio_tower.layers.2.fc2.bias": tensors[EMBEDDING]}, whole)


def _turned(before: Path, whole: Path, tensors: dict[str, tensor_file.Tensor]) -> None:
    name = "model.language_model.layers.0.mlp.down_proj.weight"
    tensors[name] = replace(tensors[name], shape=tensors[name].shape[::-1])
    tensor_file.copy(before, tensors, whole)


@pytest.mark.parametrize("model", SHAPES)
def test_the_published_files_are_as_large_as_these_shapes_say(model: str) -> None:
    at, tensors = 0, {}
    for name, shape in SHAPES[model].tensors().items():
        end = at + 2 * math.prod(shape)
        tensors[name] = tensor_file.Tensor("BF16", shape, at, end)
        at = end
    assert len(tensor_file.header(tensors)) + at == _pinned(model, "model.safetensors").size_bytes
    assert at == 2 * SHAPES[model].parameters()


def test_0_6b_has_the_parameters_its_authors_count() -> None:
    assert round(SHAPES["qwen3-asr-0.6b"].parameters() / 1e6, 1) == 782.4


def test_both_layouts_hold_the_same_model(qwen_folder: Path, qwen_original_folder: Path) -> None:
    native, original = Checkpoint.open(qwen_folder), Checkpoint.open(qwen_original_folder)
    assert (native.layout, original.layout) == ("native", "original")
    assert native.shape == original.shape
    assert native.shape.text.rope_theta == 1e6 and native.shape.text.tied and native.shape.num_labels == 0
    assert native.names() == original.names()
    for name in native.names():
        np.testing.assert_array_equal(native.tensor(name), original.tensor(name), err_msg=name)


def test_tensors_are_those_that_torch_reads(qwen_folder: Path) -> None:
    load_file: Any = importlib.import_module("safetensors.torch").load_file
    expected = load_file(qwen_folder / "model.safetensors")
    checkpoint = Checkpoint.open(qwen_folder)
    assert checkpoint.names() == sorted(expected)
    for name in checkpoint.names():
        found = checkpoint.tensor(name)
        assert found.dtype == np.float32 and type(found) is np.ndarray
        np.testing.assert_array_equal(found, expected[name].float().numpy(), err_msg=name)
    np.testing.assert_array_equal(checkpoint.tensor(HEAD), checkpoint.tensor(EMBEDDING))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_other_types_are_read_too(qwen_folder: Path, tmp_path: Path, dtype: str) -> None:
    torch: Any = importlib.import_module("torch")
    files: Any = importlib.import_module("safetensors.torch")
    shutil.copy(qwen_folder / "config.json", tmp_path)
    whole = files.load_file(qwen_folder / "model.safetensors")
    files.save_file({n: t.to(getattr(torch, dtype)) for n, t in whole.items()}, tmp_path / "model.safetensors")
    checkpoint = Checkpoint.open(tmp_path)
    name = "model.multi_modal_projector.linear_2.weight"
    np.testing.assert_allclose(checkpoint.tensor(name), whole[name].float().numpy(), rtol=1e-3)


def test_an_aligner_is_told_by_its_time_classes(aligner_folder: Path) -> None:
    checkpoint = Checkpoint.open_native(aligner_folder)
    assert checkpoint.shape.num_labels == N_TIME_CLASSES
    assert checkpoint.tensor("score.weight").shape == (N_TIME_CLASSES, 32)
    with pytest.raises(KeyError):
        checkpoint.tensor(HEAD)


def test_an_unconverted_folder_is_refused_with_the_remedy(qwen_original_folder: Path) -> None:
    with pytest.raises(EngineError) as refused:
        Checkpoint.open_native(qwen_original_folder)
    assert refused.value.key == "engine.unconverted"
    assert "jiyao models get qwen3-asr-0.6b-original" in refused.value.remedy()


def _as_large_as_1_7b(config: dict[str, Any]) -> None:
    config["text_config"].update(hidden_size=2048, intermediate_size=6144)


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda folder: (folder / "config.json").unlink(), "No such file"),
        (lambda folder: (folder / "config.json").write_text("{"), "Expecting"),
        (_edit("config.json", lambda c: c.update(model_type="qwen3")), "model_type is qwen3"),
        (_edit("config.json", lambda c: c.pop("text_config")), "lacks audio_config or text_config"),
        (_edit("config.json", lambda c: c["audio_config"].update(d_model="32")), "d_model is 32"),
        (_edit("config.json", _as_large_as_1_7b), "the config says"),
        (_edit("config.json", lambda c: c["text_config"].update(num_hidden_layers=3)), "11 tensors are missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), "No such file"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "cut off"),
        (_weights(_cut), "its header promises"),
        (_weights(_without_one), "1 tensors are missing, model.audio_tower.layers.1.fc2.bias first"),
        (_weights(_with_one_more), "1 tensors are unknown, model.audio_tower.layers.2.fc2.bias first"),
        (_weights(_turned), "down_proj.weight is [64, 32], the config says [32, 64]"),
    ],
)
def test_whatever_is_not_a_whole_model_is_refused(
    qwen_folder: Path, tmp_path: Path, tamper: Tamper, reason: str
) -> None:
    with pytest.raises(EngineError) as refused:
        Checkpoint.open(_broken(qwen_folder, tmp_path, tamper))
    assert refused.value.key == "engine.checkpoint"
    assert reason in refused.value.message()


def test_the_converted_folder_is_the_native_one_bit_for_bit(converted: Path, qwen_folder: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json"):
        assert _sha256(converted / name) == _sha256(qwen_folder / name), name
    # and these two do not depend on the weights: they are the published files themselves
    for name in ("tokenizer.json", "processor_config.json"):
        assert _sha256(converted / name) == _pinned("qwen3-asr-0.6b", name).sha256


def test_the_toys_tokenizer_is_the_published_one(qwen_original_folder: Path, aligner_folder: Path) -> None:
    for name in ("vocab.json", "merges.txt", "preprocessor_config.json"):
        assert _sha256(qwen_original_folder / name) == _pinned("qwen3-asr-0.6b-original", name).sha256
    name = "tokenizer.json"
    assert _sha256(aligner_folder / name) == _pinned("qwen3-forced-aligner-0.6b", name).sha256


def test_transformers_sees_one_model_in_both_folders(converted: Path, qwen_folder: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    transformers: Any = pytest.importorskip("transformers")
    noise = np.random.default_rng(0)
    sounds = [noise.normal(0, 0.1, 16_000 * seconds).astype(np.float32) for seconds in (2, 9)]
    request = {"language": ["zh", None], "prompt": ["通义千问 PyTorch", None]}
    logits, prompts = [], []
    for folder in (converted, qwen_folder):
        processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
        model, report = transformers.AutoModelForMultimodalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
        assert not any(report.values()), report
        inputs = processor.apply_transcription_request(sounds, **request)
        prompts.append(inputs["input_ids"].tolist())
        with torch.no_grad():
            logits.append(model(**inputs).logits)
    assert prompts[0] == prompts[1]
    assert prompts[0][1][:9] == [151644, 8948, 198, 151645, 198, 151644, 872, 198, 151669]
    assert prompts[0][1][-6:] == [151670, 151645, 198, 151644, 77091, 198]
    assert torch.equal(logits[0], logits[1])


def test_the_lifted_config_says_what_the_native_one_says(converted: Path, qwen_folder: Path) -> None:
    transformers: Any = pytest.importorskip("transformers")
    ours, theirs = (
        transformers.AutoConfig.from_pretrained(folder, local_files_only=True).to_dict()
        for folder in (converted, qwen_folder)
    )
    for config in (ours, theirs):
        del config["transformers_version"], config["_name_or_path"]
    assert ours == theirs


def test_an_original_aligner_becomes_a_native_one(
    aligner_folder: Path, qwen_original_folder: Path, tmp_path: Path
) -> None:
    transformers: Any = pytest.importorskip("transformers")
    native = Checkpoint.open(aligner_folder)
    original = tmp_path / "original"
    shutil.copytree(qwen_original_folder, original, ignore=shutil.ignore_patterns("model.safetensors"))
    old = {
        "model.language_model.": "thinker.model.",
        "model.multi_modal_projector.linear_1.": "thinker.audio_tower.proj1.",
        "model.multi_modal_projector.linear_2.": "thinker.audio_tower.proj2.",
        "model.": "thinker.",
        "score.": "thinker.lm_head.",
    }
    prefixes = {name: next(p for p in old if name.startswith(p)) for name in native.names()}
    renamed = {old[p] + name.removeprefix(p): native.tensors[name] for name, p in prefixes.items()}
    tensor_file.copy(native.weights, renamed, original / "model.safetensors")
    _edit("config.json", lambda c: c["thinker_config"].update(classify_num=N_TIME_CLASSES))(original)
    stamp = {"content": "<timestamp>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    more = {"151705": {**stamp, "special": False}}
    _edit("tokenizer_config.json", lambda c: c["added_tokens_decoder"].update(more))(original)
    conversion.convert(original, tmp_path / "converted")
    assert _sha256(tmp_path / "converted" / "model.safetensors") == _sha256(aligner_folder / "model.safetensors")
    assert _sha256(tmp_path / "converted" / "tokenizer.json") == _sha256(aligner_folder / "tokenizer.json")
    processors = [
        transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
        for folder in (tmp_path / "converted", aligner_folder)
    ]
    sound = np.zeros(16_000, np.float32)
    ours, theirs = (p.prepare_forced_aligner_inputs([sound], ["你好 world"], ["zh"])[0] for p in processors)
    assert ours["input_ids"].tolist() == theirs["input_ids"].tolist()
    assert ours["input_ids"][0][-3:].tolist() == [14615, 151705, 151705]
    _, report = transformers.AutoModelForTokenClassification.from_pretrained(
        tmp_path / "converted", local_files_only=True, output_loading_info=True
    )
    assert not any(report.values()), report


def test_a_head_of_its_own_where_the_config_ties_it_is_refused(qwen_original_folder: Path, tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        head = tensor_file.contents(path)["thinker.lm_head.weight"]
        with path.open("r+b") as file:
            file.seek(head.start + 1001)
            byte = file.read(1)
            file.seek(head.start + 1001)
            file.write(bytes([byte[0] ^ 1]))

    with pytest.raises(EngineError, match="is not the embedding"):
        conversion.convert(_broken(qwen_original_folder, tmp_path, change), tmp_path / "target")


def _renumber(config: dict[str, Any]) -> None:
    del config["added_tokens_decoder"]["151700"]


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (_edit("tokenizer_config.json", _renumber), "token 151701 comes out under another number"),
        (_edit("tokenizer_config.json", lambda c: c.pop("added_tokens_decoder")), "added_tokens_decoder"),
        (lambda folder: (folder / "merges.txt").write_text("a b c\n"), "too many values"),
    ],
)
def test_a_tokenizer_that_would_come_out_wrong_is_refused(
    qwen_original_folder: Path, tmp_path: Path, tamper: Tamper, reason: str
) -> None:
    with pytest.raises(EngineError, match=reason) as refused:
        conversion.convert(_broken(qwen_original_folder, tmp_path, tamper), tmp_path / "target")
    assert refused.value.key == "engine.checkpoint"


def test_a_native_folder_is_not_converted_again(qwen_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="native layout already"):
        conversion.convert(qwen_folder, tmp_path / "target")
