"""The CPU engine against transformers, on tiny random checkpoints: features, encoder, scores, tokens, batches.

`exact` graphs hold the same float32 values as the reference and must say the same; int8 graphs must stay near it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.agreement import compare
from bench.engines import write_checkpoint

from jiyao.engines import qwen_cpu
from jiyao.engines.qwen import graph, int8, openvino_aligner, openvino_runtime
from jiyao.engines.qwen.answer import Decoded
from jiyao.engines.qwen.checkpoint import EMBEDDING, Checkpoint
from jiyao.engines.qwen.features import Floats, log_mel
from jiyao.engines.qwen.openvino_model import OpenvinoModel
from jiyao.engines.qwen.prompt import QwenTokenizer
from jiyao.engines.qwen.windows import arrange, tokens_of
from jiyao.errors import EngineError, UsageError
from jiyao.recognition import Clip, Hints, Recognition
from jiyao.timeline import SAMPLE_RATE, Samples, Span

torch: Any = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")
pytest.importorskip("openvino")

# under half a second, edges of a second and of a window (8 s), three windows
LENGTHS_S = (0.2, 1.0, 2.37, 7.999, 8.0, 8.01, 20.0)
MIXED_S = (3.1, 0.2, 9.4, 6.0)
HINTS = (Hints(), Hints(terms=("向量检索", "Llama-3-8B")), Hints(language="en"), Hints(language="yue"))


def sound(seconds: float, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)


def clip_of(samples: Samples) -> Clip:
    return Clip(samples, Span(0, len(samples)))


SOUNDS = [sound(seconds, seed) for seed, seconds in enumerate(MIXED_S)]
CLIPS = [clip_of(samples) for samples in SOUNDS]


def _exact(checkpoint_folder: Path, target: Path) -> Path:
    """The graphs without int8; compiled without bfloat16 they are float32 throughout."""
    checkpoint = Checkpoint.open(checkpoint_folder)
    openvino = openvino_runtime.import_openvino()
    text = graph.aligner if checkpoint.shape.num_labels else graph.decoder
    for make, name in ((graph.encoder, int8.ENCODER), (text, int8.DECODER)):
        model = make(checkpoint.shape, checkpoint.tensor, False)
        openvino.save_model(model, target / name, compress_to_fp16=False)
    return target


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same properties as in use, but nothing rounded."""
    monkeypatch.setitem(openvino_runtime.PROPERTIES, "INFERENCE_PRECISION_HINT", "f32")
    monkeypatch.setitem(openvino_runtime.PROPERTIES, "KV_CACHE_PRECISION", "f32")
    monkeypatch.setitem(openvino_runtime.PROPERTIES, "DYNAMIC_QUANTIZATION_GROUP_SIZE", "0")


@pytest.fixture(scope="module")
def exact_folder(qwen_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _exact(qwen_folder, tmp_path_factory.mktemp("exact"))


@pytest.fixture
def exact(qwen_folder: Path, exact_folder: Path, in_float32: None) -> OpenvinoModel:
    return OpenvinoModel(Checkpoint.open(qwen_folder), exact_folder, 1)


@pytest.fixture(scope="module")
def graphs(qwen_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("int8")
    int8.build(qwen_folder, target)
    return target


@pytest.fixture(scope="module")
def tokenizer(qwen_folder: Path) -> QwenTokenizer:
    return QwenTokenizer.from_folder(qwen_folder)


@pytest.fixture(scope="module")
def reference(qwen_folder: Path) -> Any:
    model = transformers.Qwen3ASRForConditionalGeneration.from_pretrained(
        qwen_folder, dtype=torch.float32, local_files_only=True
    )
    return model.eval()


def inputs_of(samples: Samples) -> dict[str, Any]:
    features = transformers.Qwen3ASRFeatureExtractor()(
        [samples], sampling_rate=SAMPLE_RATE, padding="longest", return_attention_mask=True
    )
    mel = features["input_features"]
    mask = torch.zeros(mel.shape[0], mel.shape[2], dtype=torch.long)
    mask[:, : max(len(samples), SAMPLE_RATE // 2) // 160] = 1
    return {"input_features": mel, "input_features_mask": mask}


def generated(reference: Any, ids: Sequence[int], samples: Samples, tokens: int) -> list[int]:
    prompt = torch.tensor([list(ids)])
    with torch.inference_mode():
        output = reference.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            **inputs_of(samples),
            max_new_tokens=tokens,
            do_sample=False,
            eos_token_id=None,
        )
    written: list[int] = output[0, len(ids) :].tolist()
    return written


def scores_of(reference: Any, ids: Sequence[int], samples: Samples) -> Floats:
    """Of every position."""
    with torch.inference_mode():
        logits = reference(input_ids=torch.tensor([list(ids)]), **inputs_of(samples)).logits
    values: Floats = logits[0].float().numpy()
    return values


class TestSound:
    @pytest.mark.parametrize("seconds", LENGTHS_S)
    def test_features_are_transformers(self, seconds: float) -> None:
        samples = sound(seconds)
        expected = inputs_of(samples)
        frames = int(expected["input_features_mask"].sum())
        assert np.allclose(log_mel(samples), expected["input_features"][0, :, :frames], atol=2e-5)

    @pytest.mark.parametrize("seconds", LENGTHS_S)
    def test_encoder_is_transformers(self, exact: OpenvinoModel, reference: Any, seconds: float) -> None:
        samples = sound(seconds)
        with torch.inference_mode():
            expected = reference.model.get_audio_features(**inputs_of(samples), return_dict=True).pooler_output
        [found] = exact.sound.encode([samples])
        assert len(found) == tokens_of(samples, exact.sound.shape.audio)
        assert np.allclose(found, expected.numpy(), atol=2e-4)

    def test_twenty_seconds_are_their_windows_one_by_one(self, exact: OpenvinoModel) -> None:
        """Nothing of one window may reach another: the fault of other back ends. Whole windows of features are given,
        as sound cut there would also be framed anew."""
        audio = exact.sound.shape.audio
        whole = log_mel(sound(20.0))
        windows = [whole[:, start : start + 800] for start in (0, 800, 1600)]
        assert np.allclose(encoded(exact, [whole]), encoded(exact, windows), atol=1e-5)
        assert arrange([whole], audio).spread.shape == (3, 104)

    def test_clips_together_are_each_alone(self, exact: OpenvinoModel) -> None:
        samples = [sound(seconds, seed) for seed, seconds in enumerate(LENGTHS_S)]
        together = exact.sound.encode([*samples, *samples, *samples])  # more than one pass of the encoder
        for number, alone in enumerate(together):
            [expected] = exact.sound.encode([samples[number % len(samples)]])
            assert np.allclose(alone, expected, atol=1e-5)


def encoded(model: OpenvinoModel, features: Sequence[Floats]) -> Floats:
    model.sound._encoder.infer(arrange(features, model.sound.shape.audio).inputs())
    output: Floats = model.sound._encoder.get_output_tensor(0).data
    return output.copy()


class TestTokens:
    @pytest.fixture
    def ids(self, tokenizer: QwenTokenizer, exact: OpenvinoModel) -> list[list[int]]:
        audio = exact.sound.shape.audio
        return [tokenizer.prompt_ids(h, tokens_of(s, audio)) for h, s in zip(HINTS, SOUNDS, strict=True)]

    def answers(self, model: OpenvinoModel, ids: Sequence[Sequence[int]], **options: Any) -> list[Decoded]:
        """For all clips in one batch."""
        prompts = [model.sound.embed(i, s) for i, s in zip(ids, model.sound.encode(SOUNDS), strict=True)]
        budgets = options.pop("budgets", [40] * len(ids))
        return [answer for _, answer in sorted(model.answer(prompts, budgets, **options), key=lambda pair: pair[0])]

    def test_a_ragged_batch_writes_what_each_clip_alone_does(
        self, exact: OpenvinoModel, reference: Any, ids: list[list[int]]
    ) -> None:
        """Different lengths, prompts and languages in one batch: the tokens of plain `generate`, clip by clip."""
        found = self.answers(exact, ids, endless=True)
        for number, answer in enumerate(found):
            expected = generated(reference, ids[number], SOUNDS[number], 40)
            assert len(set(expected)) > 5  # a toy that says one thing would prove nothing
            assert list(answer.ids) == expected

    def test_log_probabilities_are_the_models(self, exact: OpenvinoModel, reference: Any, ids: list[list[int]]) -> None:
        for number, answer in enumerate(self.answers(exact, ids, endless=True)):
            scores = scores_of(reference, [*ids[number], *answer.ids], SOUNDS[number])
            log_ps = torch.tensor(scores[len(ids[number]) - 1 : -1]).log_softmax(-1)
            expected = log_ps[range(40), list(answer.ids)].numpy()
            assert np.allclose(answer.log_probabilities, expected, atol=2e-3)

    def test_a_clip_that_ends_leaves_the_others_as_they_were(
        self, exact: OpenvinoModel, ids: list[list[int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ends at step 0, 3, 17 and never: the batch shrinks, the rest of the cache must follow."""
        plain = [answer.ids for answer in self.answers(exact, ids, endless=True)]
        ends = [next(token for token in plain[0] if token not in plain[3]), plain[1][0], plain[2][17]]
        monkeypatch.setattr("jiyao.engines.qwen.openvino_model.EOS_IDS", tuple(ends))
        found = self.answers(exact, ids)
        for answer, whole in zip(found, plain, strict=True):
            stop = next((i for i, token in enumerate(whole) if token in ends), len(whole))
            assert answer.ids == whole[:stop]
            assert answer.truncated == (stop == len(whole))
        assert len({len(answer.ids) for answer in found}) >= 3

    def test_answers_come_as_they_end(self, exact: OpenvinoModel, ids: list[list[int]]) -> None:
        prompts = [exact.sound.embed(i, s) for i, s in zip(ids, exact.sound.encode(SOUNDS), strict=True)]
        order = [index for index, _ in exact.answer(prompts, [9, 2, 30, 4], endless=True)]
        assert order == [1, 3, 0, 2]

    def test_each_row_has_its_own_budget(self, exact: OpenvinoModel, ids: list[list[int]]) -> None:
        found = self.answers(exact, ids, budgets=[1, 7, 30, 12])
        assert [len(answer.ids) for answer in found] == [1, 7, 30, 12]
        assert all(answer.truncated for answer in found)

    def test_cautious_makes_repetition_cost(self, exact: OpenvinoModel, reference: Any, ids: list[list[int]]) -> None:
        plain = self.answers(exact, ids, endless=True)
        dear = self.answers(exact, ids, endless=True, cautious=True)
        assert [answer.ids for answer in plain] != [answer.ids for answer in dear]
        for number, answer in enumerate(dear):
            scores = scores_of(reference, [*ids[number], *answer.ids], SOUNDS[number])[len(ids[number]) - 1 :]
            for step, token in enumerate(answer.ids):
                seen = list(set(answer.ids[:step]))
                values = scores[step].copy()
                values[seen] = np.where(values[seen] > 0, values[seen] / 1.1, values[seen] * 1.1)
                assert values[token] >= values.max() - 2e-3

    def test_a_second_batch_knows_nothing_of_the_first(self, exact: OpenvinoModel, ids: list[list[int]]) -> None:
        first = self.answers(exact, ids, endless=True)
        self.answers(exact, ids, budgets=[3] * 4)
        assert self.answers(exact, ids, endless=True) == first


class TestInt8:
    def test_matrices_are_off_by_half_a_step_at_most(self) -> None:
        weight = np.random.default_rng(0).normal(0, 0.1, (64, 128)).astype(np.float32)
        weight[3] = 0.0
        values, scale = graph.quantize(weight)
        assert values.dtype == np.int8
        assert (np.abs(values * scale - weight) <= 0.5001 * scale).all()
        assert (np.abs(values).max(axis=1)[np.arange(64) != 3] == 127).all()

    def test_scores_stay_near_the_references(
        self, qwen_folder: Path, graphs: Path, reference: Any, tokenizer: QwenTokenizer
    ) -> None:
        """int8 weights, int8 products, bfloat16 between: as this computer runs it."""
        model = OpenvinoModel(Checkpoint.open(qwen_folder), graphs, 1)
        audio = model.sound.shape.audio
        for hints, samples in zip(HINTS, SOUNDS, strict=True):
            ids = tokenizer.prompt_ids(hints, tokens_of(samples, audio))
            expected = scores_of(reference, ids, samples)[-1]
            found = model.first_scores(model.sound.embed(ids, model.sound.encode([samples])[0]))
            assert np.corrcoef(found, expected)[0, 1] > 0.99

    def test_scores_stay_near_at_true_shapes(self, tmp_path: Path) -> None:
        """Every matrix as large as in 0.6B, three layers of each kind; all layers: `bench.agreement`."""
        write_checkpoint(tmp_path / "checkpoint", layers=3)
        (tmp_path / "graphs").mkdir()
        int8.build(tmp_path / "checkpoint", tmp_path / "graphs")
        found = compare(tmp_path / "checkpoint", tmp_path / "graphs", seconds=9.0)
        assert found.correlation > 0.995
        assert found.divergence < 0.002
        assert found.encoder_error < 0.03

    def test_the_weights_are_a_quarter_of_float32(self, graphs: Path, exact_folder: Path) -> None:
        size, exact_size = ((folder / "decoder.bin").stat().st_size for folder in (graphs, exact_folder))
        assert size < 0.3 * exact_size  # scales are as many as rows, and the toy's rows are short

    def test_both_layouts_make_the_same_graphs(self, graphs: Path, qwen_original_folder: Path, tmp_path: Path) -> None:
        int8.build(qwen_original_folder, tmp_path)
        for name in ("encoder.bin", "decoder.bin"):
            assert (graphs / name).read_bytes() == (tmp_path / name).read_bytes()

    def test_a_graph_that_was_cut_off_is_refused(self, qwen_folder: Path, graphs: Path, tmp_path: Path) -> None:
        for path in graphs.iterdir():
            data = path.read_bytes()
            (tmp_path / path.name).write_bytes(data[: len(data) // 2] if path.name == "decoder.bin" else data)
        with pytest.raises(EngineError) as caught:
            qwen_cpu.open_folder(qwen_folder, tmp_path)
        assert caught.value.key == "engine.load"


@pytest.fixture(scope="module")
def engine(qwen_folder: Path, graphs: Path) -> qwen_cpu.QwenOpenvino:
    return qwen_cpu.open_folder(qwen_folder, graphs, 1, revision="toy")


class TestEngine:
    def heard(self, engine: qwen_cpu.QwenOpenvino, hints: Hints = Hints()) -> dict[int, Recognition]:
        results = list(engine.recognize(CLIPS, hints))
        assert len(results) == len(CLIPS)
        return dict(results)

    def test_it_says_what_runs(self, engine: qwen_cpu.QwenOpenvino) -> None:
        info = engine.describe()
        assert (info.name, info.model, info.revision, info.dtype) == ("qwen-cpu", "qwen3-asr-0.6b", "toy", "int8")
        assert info.device
        assert info.memory_bytes

    def test_every_clip_once_and_the_first_alone(self, engine: qwen_cpu.QwenOpenvino) -> None:
        assert set(self.heard(engine)) == set(range(len(CLIPS)))
        assert next(iter(engine.recognize(CLIPS, Hints())))[0] == 0

    def test_hints_reach_the_model(self, engine: qwen_cpu.QwenOpenvino) -> None:
        plain, hinted = self.heard(engine), self.heard(engine, Hints(terms=("向量检索",)))
        assert [plain[i].text for i in range(4)] != [hinted[i].text for i in range(4)]
        assert {heard.language for heard in self.heard(engine, Hints(language="yue")).values()} <= {"yue", None}

    def test_fixed_tokens_are_for_measurements(self, qwen_folder: Path, graphs: Path) -> None:
        engine = qwen_cpu.open_folder(qwen_folder, graphs, 1, fixed_tokens=12)
        assert all("truncated" not in heard.flags for _, heard in engine.recognize(CLIPS, Hints()))

    def test_an_unknown_language(self, engine: qwen_cpu.QwenOpenvino) -> None:
        with pytest.raises(UsageError):
            list(engine.recognize([], Hints(language="tlh")))

    def test_an_aligner_is_no_recogniser(self, aligner_folder: Path, graphs: Path) -> None:
        with pytest.raises(EngineError) as caught:
            qwen_cpu.open_folder(aligner_folder, graphs)
        assert caught.value.key == "engine.checkpoint"

    def test_it_works_without_torch(self, qwen_folder: Path, graphs: Path) -> None:
        program = (
            "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
            "import numpy as np\nfrom pathlib import Path\n"
            "from jiyao.engines import qwen_cpu\nfrom jiyao.recognition import Clip, Hints\n"
            "from jiyao.timeline import Span\n"
            "engine = qwen_cpu.open_folder(Path(sys.argv[1]), Path(sys.argv[2]), 1)\n"
            "clip = Clip(np.ones(16000, dtype=np.float32), Span(0, 16000))\n"
            "assert len(list(engine.recognize([clip], Hints()))) == 1\n"
        )
        subprocess.run([sys.executable, "-c", program, str(qwen_folder), str(graphs)], check=True, timeout=300)


class TestAligner:
    TEXTS = ("今天的会，主要讲三件事。", "Let's talk about version 3.5!", "", "呢个 PyTorch 模型，我哋聽日再試。")
    LANGUAGES = ("zh", "en", "zh", "yue")

    def test_the_times_are_the_torch_aligners(self, aligner_folder: Path, tmp_path: Path, in_float32: None) -> None:
        from jiyao.engines.qwen import torch_aligner

        _exact(aligner_folder, tmp_path)
        ours = openvino_aligner.open_folder(aligner_folder, tmp_path, 1)
        theirs = torch_aligner.open_folder(aligner_folder, "toy", "cpu")
        found = ours.align(CLIPS, self.TEXTS, self.LANGUAGES)
        assert found == theirs.align(CLIPS, self.TEXTS, self.LANGUAGES)
        assert [len(words) for words in found] == [10, 5, 0, 11]
        assert len({word.start_ms for words in found for word in words}) > 5

    def test_int8_is_prepared_and_opened(self, aligner_folder: Path, tmp_path: Path) -> None:
        int8.build(aligner_folder, tmp_path)
        aligner = openvino_aligner.open_folder(aligner_folder, tmp_path, 1)
        assert len(aligner.align(CLIPS[:1], ["好的"], ["zh"])[0]) == 2
        assert aligner.describe().dtype == "int8"

    def test_a_language_it_does_not_know(self, aligner_folder: Path, tmp_path: Path) -> None:
        int8.build(aligner_folder, tmp_path)
        aligner = openvino_aligner.open_folder(aligner_folder, tmp_path, 1)
        assert aligner.align(CLIPS[:2], ["やあ", "好"], ["ja", None]) == [(), ()]


def test_openvino_cannot_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the collector is installed, importing OpenVINO our way never imports it."""
    program = (
        "import sys, importlib.util as u\n"
        "from jiyao.engines.qwen.openvino_runtime import import_openvino\n"
        "import_openvino()\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
        "print(sorted(m for m in sys.modules if 'telemetry' in m))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert "backend" not in result.stdout


def test_rows_of_the_embedding_are_the_tensors(qwen_folder: Path) -> None:
    checkpoint = Checkpoint.open(qwen_folder)
    whole = checkpoint.tensor(EMBEDDING)
    assert (checkpoint.rows(EMBEDDING)(np.array([5, 0, 151_935])) == whole[[5, 0, 151_935]]).all()
