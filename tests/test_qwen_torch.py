"""The torch engine against transformers itself, on tiny random checkpoints: same features, same encoder, same tokens.

What needs a GPU (graphs, half precision at speed) is tested where there is one.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jiyao.engines import qwen_torch
from jiyao.engines.qwen import torch_model
from jiyao.engines.qwen.answer import Decoded
from jiyao.engines.qwen.decoding import GreedyDecoder
from jiyao.engines.qwen.prompt import EOS_IDS, QwenTokenizer, token_budget
from jiyao.engines.qwen.torch_model import Loaded
from jiyao.errors import EngineError, UsageError
from jiyao.recognition import Clip, Hints, Recognition
from jiyao.text import join
from jiyao.timeline import SAMPLE_RATE, Samples, Span

torch: Any = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")

# under half a second, a whole chunk, edges of a window (8 s), three windows
LENGTHS_S = (0.2, 1.0, 2.37, 7.999, 8.0, 8.01, 20.0)


def sound(seconds: float, seed: int = 0) -> Samples:
    values = np.random.default_rng(seed).normal(0, 0.1, round(seconds * SAMPLE_RATE))
    return values.astype(np.float32)


def clip_of(seconds: float, seed: int = 0) -> Clip:
    return Clip(sound(seconds, seed), Span(0, round(seconds * SAMPLE_RATE)))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer(qwen_folder: Path) -> QwenTokenizer:
    return QwenTokenizer.from_folder(qwen_folder)


@pytest.fixture
def engine(qwen_folder: Path) -> qwen_torch.QwenTorch:
    return qwen_torch.open_folder(qwen_folder, "toy", "cpu")


@pytest.fixture(scope="module")
def loaded(qwen_folder: Path, tokenizer: QwenTokenizer) -> Loaded:
    return torch_model.load(
        "Qwen3ASRForConditionalGeneration", "toy", qwen_folder, lambda n: tokenizer.prompt_ids(Hints(), n), "cpu"
    )


class TestSound:
    """Features and encoder."""

    @pytest.mark.parametrize("seconds", LENGTHS_S)
    def test_features_are_the_references(self, loaded: Loaded, seconds: float) -> None:
        reference = self._features(sound(seconds))
        found = loaded.audio.log_mel(sound(seconds))
        assert found.shape[1] == int(reference["input_features_mask"].sum())
        assert torch.allclose(found, reference["input_features"][0, :, : found.shape[1]], atol=1e-6)

    @pytest.mark.parametrize("seconds", LENGTHS_S)
    def test_one_clips_encoding_is_the_references(self, loaded: Loaded, seconds: float) -> None:
        found = loaded.audio.encode([sound(seconds)])
        reference = self._encoded(loaded, sound(seconds))
        assert len(found) == len(reference) == loaded.audio.token_count(sound(seconds))
        assert torch.allclose(found, reference, atol=1e-5)

    def test_many_clips_at_once_give_what_each_gives(self, loaded: Loaded) -> None:
        sounds = [sound(seconds, seed) for seed, seconds in enumerate(LENGTHS_S)]
        alone = torch.cat([self._encoded(loaded, samples) for samples in sounds])
        assert torch.allclose(loaded.audio.encode(sounds), alone, atol=1e-5)

    def test_windows_of_eight_seconds_do_not_see_each_other(self, loaded: Loaded) -> None:
        """20 s at once equal 8 + 8 + 4 s of the same features: what `qwen-asr` without FlashAttention gets wrong."""
        features = loaded.audio.log_mel(sound(20.0))
        tower = loaded.model.model.audio_tower
        with torch.no_grad():
            pieces = [
                loaded.model.model.multi_modal_projector(
                    tower(piece[None], torch.ones(1, piece.shape[1], dtype=torch.long)).last_hidden_state
                )
                for piece in (features[:, :800], features[:, 800:1600], features[:, 1600:])
            ]
        assert torch.allclose(loaded.audio.encode([sound(20.0)]), torch.cat(pieces), atol=1e-5)

    def test_more_sound_than_one_pass_of_the_convolutions(self, loaded: Loaded) -> None:
        sounds = [sound(30.0, seed) for seed in range(4)]  # 120 s, and 96 go at once
        found = loaded.audio.encode(sounds)
        assert torch.allclose(found[-390:], self._encoded(loaded, sounds[-1]), atol=1e-5)

    @staticmethod
    def _features(samples: Samples) -> Any:
        extractor = transformers.Qwen3ASRFeatureExtractor()
        features = extractor([samples], sampling_rate=SAMPLE_RATE, padding="longest", return_attention_mask=True)
        features["input_features_mask"] = features.pop("attention_mask")
        return features

    def _encoded(self, loaded: Loaded, samples: Samples) -> Any:
        with torch.no_grad():
            return loaded.model.get_audio_features(**self._features(samples)).pooler_output


class Prompts:
    """Prompts of several clips and hints, ours and as the reference takes them."""

    def __init__(self, loaded: Loaded, tokenizer: QwenTokenizer, clips: Sequence[tuple[float, Hints]]) -> None:
        self.loaded = loaded
        self.sounds = [sound(seconds, seed) for seed, (seconds, _) in enumerate(clips)]
        counts = [loaded.audio.token_count(samples) for samples in self.sounds]
        self.ids = [tokenizer.prompt_ids(hints, count) for (_, hints), count in zip(clips, counts, strict=True)]
        self.lengths = [len(ids) for ids in self.ids]

    def decode(self, budgets: Sequence[int], eos: Sequence[int] = EOS_IDS, **more: bool) -> list[Decoded]:
        embeddings = self.loaded.embed(self.ids, self.sounds)
        return GreedyDecoder(self.loaded.model, eos).decode(embeddings, self.lengths, budgets, **more)

    def generate(self, row: int, budget: int, eos: Sequence[int] = EOS_IDS) -> list[int]:
        """Plain `generate` of transformers on one clip: dynamic cache, no padding."""
        ids = torch.tensor([self.ids[row]])
        features = TestSound._features(self.sounds[row])
        out = self.loaded.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            **features,
            max_new_tokens=budget,
            do_sample=False,
            eos_token_id=list(eos),
            pad_token_id=EOS_IDS[1],
        )
        found: list[int] = out[0, ids.shape[1] :].tolist()
        return found

    def logits(self, row: int, answer: Sequence[int]) -> Any:
        """Without any cache: what the model gives after the prompt and after each token of `answer` but the last."""
        embeddings = self.loaded.embed([self.ids[row]], [self.sounds[row]])
        more = self.loaded.model.get_input_embeddings()(torch.tensor([list(answer[:-1])], dtype=torch.long))
        with torch.no_grad():
            hidden = self.loaded.model.model.language_model(
                inputs_embeds=torch.cat([embeddings, more], 1), use_cache=False
            ).last_hidden_state
            return self.loaded.model.lm_head(hidden)[0, self.lengths[row] - 1 :].float()


MIXED = (
    (9.3, Hints()),
    (1.0, Hints(terms=("通义千问", "PyTorch", "检索增强"))),
    (4.2, Hints(language="zh")),
    (0.2, Hints(terms=("知识库",), context="季度评审会", language="en")),
    (2.0, Hints()),
)


@pytest.fixture(scope="module")
def prompts(loaded: Loaded, tokenizer: QwenTokenizer) -> Prompts:
    return Prompts(loaded, tokenizer, MIXED)


@pytest.fixture(scope="module")
def plain(prompts: Prompts) -> list[list[int]]:
    """The reference's answers to the mixed prompts, 60 tokens each."""
    return [prompts.generate(row, 60) for row in range(len(MIXED))]


class TestDecoding:
    """The static cache against plain `generate`, token by token."""

    def test_a_ragged_batch_of_different_prompts_is_plain_generate(
        self, prompts: Prompts, plain: list[list[int]]
    ) -> None:
        decoded = prompts.decode([60] * len(MIXED))
        assert [list(answer.ids) for answer in decoded] == plain
        assert len({tuple(ids) for ids in plain}) == len(plain), "a toy that always says the same proves nothing"
        # the cache was looked at in more than one size
        assert min(prompts.lengths) + 60 < 128 < max(prompts.lengths) + 60

    def test_a_batch_is_its_clips_one_by_one(self, loaded: Loaded, tokenizer: QwenTokenizer, prompts: Prompts) -> None:
        together = prompts.decode([40] * len(MIXED))
        for row, answer in enumerate(together):
            single = Prompts(loaded, tokenizer, MIXED)
            single.ids, single.sounds = [prompts.ids[row]], [prompts.sounds[row]]
            single.lengths = [prompts.lengths[row]]
            [alone] = single.decode([40])
            assert alone.ids == answer.ids
            assert np.allclose(alone.log_probabilities, answer.log_probabilities, atol=1e-4)

    def test_early_ends(self, prompts: Prompts, plain: list[list[int]]) -> None:
        """Each row has its own end mark somewhere: the text stops before it, the others go on."""
        ends = [plain[0][3], plain[1][0], plain[2][17], plain[3][30]]
        decoded = prompts.decode([60] * len(MIXED), ends)
        for row, answer in enumerate(decoded):
            reference = prompts.generate(row, 60, ends)
            assert answer.truncated == (reference[-1] not in ends)
            assert list(answer.ids) == (reference if answer.truncated else reference[:-1])
        assert {answer.truncated for answer in decoded} == {True, False}
        assert decoded[1].ids == ()

    def test_each_row_has_its_own_budget(self, prompts: Prompts, plain: list[list[int]]) -> None:
        budgets = [1, 2, 9, 33, 60]
        decoded = prompts.decode(budgets)
        for answer, budget, ids in zip(decoded, budgets, plain, strict=True):
            assert list(answer.ids) == ids[:budget]
            assert answer.truncated

    def test_log_probabilities_are_the_models(self, prompts: Prompts) -> None:
        for row, answer in enumerate(prompts.decode([30] * len(MIXED))):
            expected = prompts.logits(row, answer.ids).log_softmax(-1)[range(30), list(answer.ids)]
            assert np.allclose(answer.log_probabilities, expected.tolist(), atol=1e-4)
            assert max(answer.log_probabilities) <= 1e-6

    def test_cautious_makes_repetition_cost(self, prompts: Prompts) -> None:
        """Of the reference's logits, those of tokens written before count a tenth less; the prompt's own do not."""
        plain = prompts.decode([60] * len(MIXED))
        dear = prompts.decode([60] * len(MIXED), cautious=True)
        for row, answer in enumerate(dear):
            logits = prompts.logits(row, answer.ids)
            for step, token in enumerate(answer.ids):
                seen = list(set(answer.ids[:step]))
                values = logits[step].clone()
                values[seen] = torch.where(values[seen] > 0, values[seen] / 1.1, values[seen] * 1.1)
                assert values[token] >= values.max() - 1e-4
            log_ps = logits.log_softmax(-1)[range(60), list(answer.ids)]
            assert np.allclose(answer.log_probabilities, log_ps.tolist(), atol=1e-4)
        if all(len(set(answer.ids)) == len(answer.ids) for answer in plain):
            pytest.fail("the toy never repeats itself: this test shows nothing")

    def test_endless_answers_fill_their_budgets(self, prompts: Prompts, plain: list[list[int]]) -> None:
        ends = [plain[0][3], plain[1][0]]
        decoded = prompts.decode([24] * len(MIXED), ends, endless=True)
        assert [len(answer.ids) for answer in decoded] == [24] * len(MIXED)
        assert not any(answer.truncated for answer in decoded)
        assert not {token for answer in decoded for token in answer.ids} & set(ends)

    def test_a_broken_row_ends_and_spoils_neither_its_batch_nor_the_next(self, prompts: Prompts) -> None:
        """What fp16 does when it overflows: nothing is a number. Masked values must not leak into later clips."""
        embeddings = prompts.loaded.embed(prompts.ids, prompts.sounds)
        decoder = GreedyDecoder(prompts.loaded.model, EOS_IDS)
        sound_ids = [answer.ids for answer in decoder.decode(embeddings, prompts.lengths, [20] * len(MIXED))]
        broken = embeddings.clone()
        broken[1] = math.nan
        found = decoder.decode(broken, prompts.lengths, [20] * len(MIXED))
        assert found[1].ids == () and found[1].truncated
        assert [answer.ids for row, answer in enumerate(found) if row != 1] == [sound_ids[0], *sound_ids[2:]]
        again = decoder.decode(embeddings, prompts.lengths, [20] * len(MIXED))
        assert [answer.ids for answer in again] == sound_ids

    def test_one_decoder_for_batches_of_any_shape(
        self, loaded: Loaded, tokenizer: QwenTokenizer, prompts: Prompts, plain: list[list[int]]
    ) -> None:
        """Small, large, small again on the same storage: nothing stays behind."""
        embeddings = loaded.embed(prompts.ids, prompts.sounds)
        decoder = GreedyDecoder(loaded.model, EOS_IDS)
        for rows in ([1], [0, 1, 2, 3, 4], [3, 2], [4]):
            longest = max(prompts.lengths[row] for row in rows)
            decoded = decoder.decode(embeddings[rows, :longest], [prompts.lengths[r] for r in rows], [30] * len(rows))
            assert [list(answer.ids) for answer in decoded] == [plain[row][:30] for row in rows]
        held = decoder.held_bytes
        assert held > 0
        decoder.release()
        assert decoder.held_bytes == 0


CLIPS = [clip_of(seconds, seed) for seed, seconds in enumerate((3.0, 0.3, 1.2, 5.0, 2.0, 1.0))]


def heard_by(engine: qwen_torch.QwenTorch, hints: Hints | None = None) -> dict[int, Recognition]:
    results = list(engine.recognize(CLIPS, hints or Hints()))
    assert sorted(index for index, _ in results) == list(range(len(CLIPS)))
    return dict(results)


def texts_of(heard: dict[int, Recognition]) -> list[str]:
    return [heard[index].text for index in range(len(heard))]


def fail_beyond(engine: qwen_torch.QwenTorch, limit: int, error: Callable[[], Exception]) -> list[int]:
    """From now on the encoder fails for batches over `limit` clips; the sizes that were tried are listed."""
    encode, tried = engine._loaded.audio.encode, []

    def limited(sounds: Sequence[Samples]) -> Any:
        tried.append(len(sounds))
        if len(sounds) > limit:
            raise error()
        return encode(sounds)

    setattr(engine._loaded.audio, "encode", limited)  # noqa: B010
    return tried


class TestEngine:
    def test_what_it_promises(self, engine: qwen_torch.QwenTorch) -> None:
        for index, heard in heard_by(engine).items():
            assert heard.timing == "estimated"
            assert heard.text == join(word.text for word in heard.words)
            assert heard.confidence is not None and 0 <= heard.confidence <= 1
            assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in heard.words)
            # a toy does not know when to end
            assert heard.flags == ("truncated",), index

    def test_describes_itself(self, engine: qwen_torch.QwenTorch) -> None:
        info = engine.describe()
        assert (info.name, info.model, info.revision) == ("qwen-torch", "qwen3-asr-0.6b", "toy")
        assert (info.device, info.dtype) == ("cpu", "float32")
        parameters = 151_936 * 32  # the embedding alone
        assert info.memory_bytes is not None and info.memory_bytes > 4 * parameters

    def test_each_clip_alone_is_each_in_a_batch(self, engine: qwen_torch.QwenTorch) -> None:
        together = heard_by(engine)
        for index, clip in enumerate(CLIPS):
            [(_, alone)] = engine.recognize([clip], Hints())
            assert (alone.text, alone.language) == (together[index].text, together[index].language)
            assert alone.confidence == pytest.approx(together[index].confidence, abs=2e-3)

    def test_hints_reach_the_model(self, engine: qwen_torch.QwenTorch) -> None:
        assert texts_of(heard_by(engine)) != texts_of(heard_by(engine, Hints(terms=("向量检索",))))
        assert texts_of(heard_by(engine)) != texts_of(heard_by(engine, Hints(cautious=True)))
        forced = heard_by(engine, Hints(language="yue"))
        assert {heard.language for heard in forced.values()} == {"yue"}

    def test_budgets_follow_the_sound(self, engine: qwen_torch.QwenTorch) -> None:
        long, short = clip_of(5.0), clip_of(0.2)
        sizes = {}
        for index, heard in engine.recognize([long, short], Hints(language="en")):
            sizes[index] = len(engine._tokenizer._encode(heard.text))
        assert token_budget(0.2) < sizes[0] and sizes[1] < sizes[0]

    def test_nothing_and_almost_nothing(self, engine: qwen_torch.QwenTorch) -> None:
        assert list(engine.recognize([], Hints())) == []
        [(index, _)] = engine.recognize([Clip(np.zeros(0, np.float32), Span(0, 0))], Hints())
        assert index == 0

    def test_unknown_language_is_told_before_work(self, engine: qwen_torch.QwenTorch) -> None:
        for clips in ([], CLIPS):
            with pytest.raises(UsageError) as caught:
                list(engine.recognize(clips, Hints(language="xx")))
            assert caught.value.key == "engine.language"

    def test_asked_again_before_it_has_finished(self, engine: qwen_torch.QwenTorch) -> None:
        """The guards do: a doubtful clip is heard again while the others wait."""
        expected = heard_by(engine)
        results = engine.recognize(CLIPS, Hints())
        first = next(results)
        [(_, again)] = engine.recognize([CLIPS[3]], Hints(terms=("插话",), cautious=True))
        assert again.text
        assert texts_of(dict([first, *results])) == texts_of(expected)

    def test_the_first_text_comes_soon(self, engine: qwen_torch.QwenTorch) -> None:
        tried = fail_beyond(engine, 99, RuntimeError)
        results = engine.recognize(CLIPS, Hints())
        assert [next(results)[0], next(results)[0]] == [0, 1]
        assert tried == [2]


class TestOutOfMemory:
    @pytest.mark.parametrize(
        "error",
        [
            lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
            lambda: RuntimeError("MPS backend out of memory (MPS allocated: 6.5 GB, max allowed: 9.07 GB)"),
        ],
        ids=["cuda", "mps"],
    )
    def test_it_goes_on_with_smaller_batches(
        self, engine: qwen_torch.QwenTorch, error: Callable[[], Exception]
    ) -> None:
        expected = texts_of(heard_by(engine))
        tried = fail_beyond(engine, 1, error)
        assert texts_of(heard_by(engine)) == expected
        assert max(tried) > 1, "nothing ever failed"
        tried.clear()
        assert texts_of(heard_by(engine)) == expected
        assert max(tried) == 1, "what failed is not tried again"

    def test_a_clip_that_never_fits(self, engine: qwen_torch.QwenTorch) -> None:
        results = engine.recognize(CLIPS, Hints())
        first = next(results)
        fail_beyond(engine, 0, lambda: torch.OutOfMemoryError("CUDA out of memory"))
        assert first[1].text and next(results)[1].text, "what was ready stays"
        with pytest.raises(EngineError) as caught:
            list(results)
        assert caught.value.key == "engine.out_of_memory"
        assert "qwen-cpu" in caught.value.remedy("zh")

    def test_another_fault_is_no_lack_of_memory(self, engine: qwen_torch.QwenTorch) -> None:
        tried = fail_beyond(engine, 0, lambda: RuntimeError("CUDA error: device-side assert triggered"))
        with pytest.raises(EngineError) as caught:
            list(engine.recognize(CLIPS, Hints()))
        assert caught.value.key == "engine.failed"
        assert len(tried) == 1


def with_changed(folder: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, target)
    tensors = load_file(target / "model.safetensors")
    change(tensors)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


class TestLoading:
    def test_half_precision_that_works_is_used(self, qwen_folder: Path) -> None:
        engine = qwen_torch.open_folder(qwen_folder, "toy", "cpu", "float16")
        assert engine.describe().dtype == "float16"
        assert all(heard.text for heard in heard_by(engine).values())
        bf16 = qwen_torch.open_folder(qwen_folder, "toy", "cpu", "bfloat16")
        assert bf16.describe().dtype == "bfloat16"

    def test_half_precision_that_overflows_is_not(self, qwen_folder: Path, tmp_path: Path) -> None:
        """Weights that full precision (and bf16) can bear and fp16 cannot: "!!!!" without the self-test."""

        def blow_up(tensors: dict[str, Any]) -> None:
            for name in ("gate_proj", "up_proj"):
                tensors[f"model.language_model.layers.0.mlp.{name}.weight"] *= 3000.0
            tensors["model.language_model.layers.0.mlp.down_proj.weight"] /= 1e6

        folder = with_changed(qwen_folder, tmp_path / "loud", blow_up)
        assert qwen_torch.open_folder(folder, "toy", "cpu", "float16").describe().dtype == "float32"
        assert qwen_torch.open_folder(folder, "toy", "cpu", "bfloat16").describe().dtype == "bfloat16"

    def test_logits_that_point_elsewhere_or_nowhere(self) -> None:
        reference = torch.randn(8, 100, generator=torch.Generator().manual_seed(0))
        assert torch_model.is_like(reference * 1.01, reference)
        for row_wrong in (math.nan, math.inf, 7.0):
            wrong = reference.clone()
            wrong[3] = row_wrong
            assert not torch_model.is_like(wrong, reference)

    def test_the_original_layout_is_refused_with_the_remedy(self, qwen_original_folder: Path) -> None:
        with pytest.raises(EngineError) as caught:
            qwen_torch.open_folder(qwen_original_folder, "toy", "cpu")
        assert caught.value.key == "engine.unconverted"

    def test_an_aligner_is_no_recogniser(self, aligner_folder: Path) -> None:
        with pytest.raises(EngineError) as caught:
            qwen_torch.open_folder(aligner_folder, "toy", "cpu")
        assert caught.value.key == "engine.checkpoint"

    def test_a_folder_that_lacks_tensors(self, qwen_folder: Path, tmp_path: Path) -> None:
        """transformers itself would fill the hole with random numbers and a warning."""
        name = "model.language_model.layers.1.mlp.up_proj.weight"
        folder = with_changed(qwen_folder, tmp_path / "hole", lambda tensors: tensors.pop(name))
        with pytest.raises(EngineError):
            qwen_torch.open_folder(folder, "toy", "cpu")

    def test_the_hub_is_off(self, engine: qwen_torch.QwenTorch) -> None:
        assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
        assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"

    def test_a_computer_without_a_gpu_is_told(self, tmp_path: Path) -> None:
        if torch.cuda.is_available() or torch.backends.mps.is_available():
            pytest.skip("this computer has a GPU")
        from jiyao.settings import Settings

        assert qwen_torch.usable() == "engine.reason_no_gpu"
        with pytest.raises(EngineError) as caught:
            qwen_torch.open_engine(Settings(home=tmp_path))
        assert caught.value.key == "engine.unusable"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
class TestCuda:
    def test_graphs_give_what_plain_steps_give(self, qwen_folder: Path) -> None:
        with_graphs = qwen_torch.open_folder(qwen_folder, "toy", "cuda", "float32")
        without = qwen_torch.open_folder(qwen_folder, "toy", "cuda", "float32")
        without._decoder.graphs_wanted = False
        for hints in (Hints(), Hints(cautious=True)):
            assert texts_of(heard_by(with_graphs, hints)) == texts_of(heard_by(without, hints))
            assert texts_of(heard_by(with_graphs, hints)) == texts_of(heard_by(without, hints))  # replayed
        assert with_graphs._decoder.graphs_wanted and with_graphs._decoder._graphs

    def test_the_best_dtype_of_this_card(self, qwen_folder: Path) -> None:
        modern = torch.cuda.get_device_capability() >= (8, 0)
        engine = qwen_torch.open_folder(qwen_folder, "toy")
        assert engine.describe().dtype == ("bfloat16" if modern else "float16")
        assert all(heard.text for heard in heard_by(engine).values())
