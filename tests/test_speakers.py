"""Who speaks when: the networks against what their authors' code gives, clustering against scipy, real meetings."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bench.speakers import pairs, pcm_of, read_rttm, score
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import squareform

from jiyao import speakers
from jiyao.errors import EngineError, WeightsError
from jiyao.speakers import Diarizer, checkpoint, ecapa
from jiyao.speakers.activity import stretches
from jiyao.speakers.clustering import cut_at, merges, voices_of
from jiyao.speakers.features import bands
from jiyao.speakers.known import resembles
from jiyao.speakers.networks import Segmentation, VoicePrinter
from jiyao.timeline import SAMPLE_RATE, Pcm, Samples, Span
from tests.conftest import SAMPLE, SHARED, needs_shared


@pytest.fixture(scope="module")
def diarizer(voices_home: Path) -> Diarizer:
    return Diarizer(voices_home)


@pytest.fixture(scope="module")
def sample() -> Pcm:
    return pcm_of(SAMPLE)


def chirp() -> Samples:
    """A second and a half from 100 Hz to 3 kHz, getting louder."""
    t = np.arange(24_000) / SAMPLE_RATE
    return (0.3 * t / 1.5 * np.sin(2 * np.pi * (100 * t + 1450 / 1.5 * t * t))).astype(np.float32)


class TestNetworks:
    """The figures are SpeechBrain 1.1.2's own, Fbank and ECAPA_TDNN under torch 2.13, for `chirp`."""

    def test_bands_are_speechbrains(self) -> None:
        found = bands(chirp())
        found = np.maximum(found, found.max() - 80)  # theirs are cut off already
        assert found.shape == (151, 80)
        places = ((0, 0), (30, 10), (75, 40), (150, 79), (149, 3))
        assert [found[place] for place in places] == pytest.approx(
            [-43.678, -49.548, -20.019, -11.836, -32.042], abs=0.01
        )

    def test_voices_are_speechbrains(self, voices_home: Path) -> None:
        _, graph = speakers.files(voices_home)
        heard = bands(chirp())
        found = VoicePrinter(graph, 1).embedding(heard)
        first = [0.0411, 0.0219, -0.0358, 0.0291, -0.0413, -0.0133, 0.0492, 0.1636, 0.1399, -0.0032]
        assert found.shape == (192,) and np.linalg.norm(found) == pytest.approx(1, abs=1e-4)
        assert found[:10] == pytest.approx(first, abs=0.002)

    def test_what_is_not_here_is_named(self, tmp_path: Path) -> None:
        assert speakers.missing(tmp_path) == list(speakers.MODELS)
        with pytest.raises(WeightsError):
            Diarizer(tmp_path)

    def test_a_broken_graph_is_an_error_of_ours(
        self, voices_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = tmp_path / "broken.onnx"
        broken.write_bytes(b"not a graph")
        monkeypatch.setattr(speakers, "files", lambda home: (broken, broken))
        with pytest.raises(EngineError, match="speakers"):
            Diarizer(voices_home)


class TestCheckpoint:
    def test_tensors_come_as_torch_wrote_them(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch", reason="torch is not installed")
        whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
        kept = {"a": whole, "b": whole[1:3, ::2], "c": torch.tensor(3), "d": whole.t()}
        torch.save(kept, tmp_path / "toy.ckpt")
        found = checkpoint.tensors(tmp_path / "toy.ckpt")
        assert set(found) == {"a", "b", "d"}  # whole numbers count batches; nobody needs them
        assert all(np.array_equal(found[name], kept[name].numpy()) for name in found)

    def test_code_in_a_checkpoint_is_not_run(self, tmp_path: Path) -> None:
        class Evil:
            def __reduce__(self) -> tuple[object, ...]:
                return Path.touch, (tmp_path / "run",)

        self.write(tmp_path / "evil.ckpt", pickle.dumps({"a": Evil()}))
        with pytest.raises(ValueError, match="no checkpoint"):
            checkpoint.tensors(tmp_path / "evil.ckpt")
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("data", [b"", b"\x80\x02.", pickle.dumps([1]), b"garbage"])
    def test_anything_else_is_a_value_error(self, tmp_path: Path, data: bytes) -> None:
        self.write(tmp_path / "odd.ckpt", data)
        with pytest.raises(ValueError):
            checkpoint.tensors(tmp_path / "odd.ckpt")

    @pytest.mark.parametrize(("size", "stride"), [((9,), (1,)), ((2, 4), (5, 1)), ((2,), (-1,)), ((-2,), (1,))])
    def test_a_tensor_beyond_its_data_is_refused(self, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        with pytest.raises(pickle.UnpicklingError):
            checkpoint._rebuilt(np.zeros(8, np.float32), 0, size, stride)

    def test_another_network_is_no_ecapa(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch", reason="torch is not installed")
        torch.save({"some.weight": torch.zeros(3)}, tmp_path / "embedding_model.ckpt")
        with pytest.raises(ValueError, match="lacks"):
            ecapa.build(tmp_path, tmp_path)

    @staticmethod
    def write(path: Path, data: bytes) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data)


class TestClustering:
    @pytest.mark.parametrize("seed", range(5))
    def test_merges_are_those_of_average_linkage(self, seed: int) -> None:
        rows = np.random.default_rng(seed).standard_normal((40, 6))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        distances = (1 - rows @ rows.T).astype(np.float32)
        np.fill_diagonal(distances, 0)
        heights = cophenet(linkage(squareform(distances, checks=False), "average"))
        ours = np.zeros((40, 40))
        groups = {place: [place] for place in range(40)}
        for one, other, height in merges(distances.copy()):
            first = next(key for key, members in groups.items() if one in members)
            second = next(key for key, members in groups.items() if other in members)
            for left in groups[first]:
                for right in groups[second]:
                    ours[left, right] = ours[right, left] = height
            groups[first] += groups.pop(second)
        assert len(groups) == 1
        assert squareform(ours, checks=False) == pytest.approx(heights, abs=1e-4)

    def test_a_count_that_is_given_is_kept(self) -> None:
        rows = np.random.default_rng(1).standard_normal((30, 8)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        for count in (1, 2, 7, 30, 99):
            labels = voices_of(rows, np.ones(30), 0.5, count)
            assert len(set(labels.tolist())) == min(count, 30)
            assert labels[0] == 0  # numbered as they come

    def test_the_cut_follows_the_recording(self) -> None:
        assert cut_at([]) == pytest.approx(0.87 * 0.6)
        assert cut_at([0.85] * 40) > cut_at([0.5] * 40) > 0.35


class TestRecordings:
    def test_the_sample_has_its_four_voices(self, diarizer: Diarizer, sample: Pcm) -> None:
        one = score(read_reference(), diarizer.heard(sample).turns, len(sample) / SAMPLE_RATE)
        assert one.found == one.expected == 4
        assert one.der < 0.05

    def test_a_short_assent_is_a_turn_of_its_own(self, diarizer: Diarizer, sample: Pcm) -> None:
        """李经理 says 好 for half a second after 小陈."""
        turns = diarizer.heard(sample).turns

        def voice_at(ms: int) -> set[int]:
            return {turn.voice for turn in turns if turn.span.start_ms <= ms < turn.span.end_ms}

        assert voice_at(48_400) == voice_at(50_000) != voice_at(45_000)
        assert len(voice_at(48_400)) == 1

    def test_how_many_may_be_told(self, diarizer: Diarizer, sample: Pcm) -> None:
        for count in (1, 2, 6):
            assert len({turn.voice for turn in diarizer.heard(sample, count).turns}) == count

    def test_the_same_every_time_and_voices_numbered_as_they_speak(self, diarizer: Diarizer, sample: Pcm) -> None:
        turns = diarizer.heard(sample).turns
        assert list(turns) == sorted(turns) and diarizer.heard(sample).turns == turns
        first = list(dict.fromkeys(turn.voice for turn in turns))
        assert first == sorted(first)

    def test_reports_go_up_to_the_end(self, diarizer: Diarizer, sample: Pcm) -> None:
        shares: list[float] = []
        diarizer.heard(sample, report=shares.append)
        assert shares == sorted(shares) and shares[-1] == pytest.approx(1) and 0 < shares[0] < 0.5

    def test_silence_has_no_voices(self, diarizer: Diarizer) -> None:
        for n_samples in (0, 1, 5_000, 400_000):
            assert diarizer.heard(np.zeros(n_samples, np.int16)).turns == ()

    def test_noise_and_odd_lengths_end_in_turns_of_the_recording(self, diarizer: Diarizer, sample: Pcm) -> None:
        noise = np.random.default_rng(3).normal(0, 2_000, 200_123).astype(np.int16)
        for pcm in (noise, sample[:3_000], sample[:9_999], sample[: 10 * SAMPLE_RATE + 1]):
            assert all(0 <= turn.span.start < turn.span.end <= len(pcm) for turn in diarizer.heard(pcm).turns)

    def test_a_person_stays_one_person_over_a_long_pause(self, diarizer: Diarizer, sample: Pcm) -> None:
        silence = np.zeros(90 * SAMPLE_RATE, np.int16)
        turns = diarizer.heard(np.concatenate((sample, silence, sample))).turns
        again = len(sample) + len(silence)
        assert len({turn.voice for turn in turns}) == 4
        for ms in (10_000, 16_000, 32_000, 45_000):
            at = [
                {turn.voice for turn in turns if turn.span.start <= place < turn.span.end}
                for place in (ms * 16, ms * 16 + again)
            ]
            assert at[0] == at[1] != set()

    def test_stretches_are_cut_at_pauses(self, voices_home: Path, sample: Pcm) -> None:
        network = Segmentation(speakers.files(voices_home)[0], 1)
        found = stretches(sample, network)
        assert all(one.alone_s <= len(one.span) / SAMPLE_RATE + 0.05 for one in found)
        pause = Span(20_400 * 16, 21_200 * 16)  # between two sentences of one person
        assert not any(one.span.start < pause.start and pause.end < one.span.end for one in found)

    @needs_shared
    @pytest.mark.parametrize("name", ["dev_review", "dev_review_ac", "dev_review_door", "dev_standup"])
    def test_made_meetings(self, diarizer: Diarizer, name: str) -> None:
        sound, rttm = next(pair for pair in pairs(SHARED / "synth") if pair[0].stem == name)
        pcm = pcm_of(sound)
        one = score(read_rttm(rttm), diarizer.heard(pcm).turns, len(pcm) / SAMPLE_RATE)
        assert one.found == one.expected and one.der <= 0.12

    @needs_shared
    def test_a_real_telephone_call(self, diarizer: Diarizer) -> None:
        pcm = pcm_of(SHARED / "audio" / "pyannote_sample.flac")
        one = score(
            read_rttm(SHARED / "audio" / "pyannote_sample.rttm"), diarizer.heard(pcm).turns, len(pcm) / SAMPLE_RATE
        )
        assert one.found == one.expected == 2 and one.der <= 0.20


def read_reference() -> list[tuple[float, float, str]]:
    turns = json.loads(SAMPLE.with_suffix(".reference.json").read_text(encoding="utf-8"))["turns"]
    return [(turn["start_ms"] / 1000, turn["end_ms"] / 1000, turn["speaker"]) for turn in turns]


class TestKnown:
    @needs_shared
    def test_two_people_are_known_again_in_another_recording(self, diarizer: Diarizer) -> None:
        """Katie and Steve each enrol in a recording of their own, then talk in a third."""
        known = {}
        for name in ("katie", "steve"):
            (likeness,) = diarizer.heard(pcm_of(SHARED / "audio" / f"azure_enroll_{name}.flac"), 1).likenesses.values()
            known[name] = likeness
        talk = diarizer.heard(pcm_of(SHARED / "audio" / "azure_katiesteve_mono.flac"))
        # Good morning, Steve. Good morning, Katie.
        assert [resembles(talk.likenesses[voice], known)[0].name for voice in (0, 1)] == ["katie", "steve"]
        assert not resembles(known["katie"], {"steve": known["steve"]})

    def test_only_who_is_alike_enough_the_most_alike_first(self) -> None:
        known = {"a": (0.6, 0.8), "b": (1.0, 0.0), "c": (0.0, 1.0), "other network": (1.0,)}
        assert [(one.name, round(one.score, 2)) for one in resembles((1.0, 0.0), known)] == [("b", 1.0), ("a", 0.6)]
