"""Cleaning: loudness against the standard's own signals, denoising by what is left of noise and voice, and that neither
ever moves a sample."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.filter import Graph

from jiyao import cleaning
from jiyao.audio import decode
from jiyao.cleaning import denoise as denoise_module
from jiyao.cleaning.loudness import CEILING_DBTP, MAX_GAIN_DB, MIN_GAIN_DB, TARGET_LUFS, k_filters, limit, true_peaks
from jiyao.errors import EngineError
from jiyao.segmentation import Cutting, Probabilities, SpeechDetector, speech_spans
from jiyao.timeline import SAMPLE_RATE, Pcm
from tests.conftest import SAMPLE
from tests.recordings import shared

Signal = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def voices() -> Pcm:
    """Twelve seconds of a meeting, more than is worked on at once; not to be written to."""
    pcm = decode(SAMPLE.read_bytes()).pcm[: 12 * SAMPLE_RATE].copy()
    pcm.flags.writeable = False
    return pcm


@pytest.fixture(scope="module")
def denoised(voices: Pcm, denoiser_model: Path) -> Pcm:
    pcm = voices.copy()
    denoise(pcm, denoiser_model)
    pcm.flags.writeable = False
    return pcm


def denoise(pcm: Pcm, model: Path) -> None:
    """In place."""
    pcm[:] = np.concatenate(list(cleaning.Denoiser(model).pieces(pcm)))


def to_pcm(signal: Signal) -> Pcm:
    return np.clip(np.rint(signal), -32768, 32767).astype(np.int16)


def sine(*steps: tuple[float, float], hz: float = 1000) -> Pcm:
    """(dBFS, seconds) one after the other."""
    level = np.concatenate([np.full(round(seconds * SAMPLE_RATE), 10 ** (dbfs / 20)) for dbfs, seconds in steps])
    return to_pcm(32767 * level * np.sin(2 * np.pi * hz * np.arange(len(level)) / SAMPLE_RATE))


def noise(seed: int, n: int) -> Signal:
    """White, of power 1, up to 7.7 kHz: no microphone and no resampler lets the last of the band pass."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    spectrum[round(n * 7700 / SAMPLE_RATE) :] = 0
    found: Signal = np.fft.irfft(spectrum, n)
    return found


def quieter(pcm: Pcm, db: float) -> Pcm:
    return to_pcm(pcm.astype(np.float64) * 10 ** (-db / 20))


def with_bangs(pcm: Pcm, *at_s: float) -> Pcm:
    """Knocks against the microphone: 25 ms of noise, as loud as can be."""
    knocked, length = pcm.copy(), SAMPLE_RATE // 40
    for place in at_s:
        start = round(place * SAMPLE_RATE)
        knocked[start : start + length] = to_pcm(noise(0, length) * np.hanning(length) * 20_000)
    return knocked


def true_peak_dbtp(pcm: Pcm) -> float:
    """The highest value of the curve through the samples, at 16 times the rate, by an FFT of all of it."""
    faded = pcm.astype(np.float64)  # a sound cut off rings
    faded[:160] *= np.linspace(0, 1, 160)
    faded[-160:] *= np.linspace(1, 0, 160)
    curve = np.fft.irfft(np.fft.rfft(faded), 16 * len(faded)) * 16
    return float(20 * np.log10(np.abs(curve).max() / 32768))


def metered_by_ffmpeg(pcm: Pcm) -> float | None:
    """Integrated LUFS as FFmpeg's own ebur128 filter measures it; None where this PyAV does not hand it on."""
    graph: Any = Graph()
    source = graph.add_abuffer(format="s16", sample_rate=SAMPLE_RATE, layout="mono")
    meter, sink = graph.add("ebur128", "metadata=1:dualmono=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    source.push(frame)
    source.push(None)
    said = None
    while True:
        try:
            said = getattr(sink.pull(), "metadata", {}).get("lavfi.r128.I", said)
        except (av.error.BlockingIOError, av.error.EOFError):
            return said if said is None else float(said)


def lag(before: Pcm, after: Pcm) -> int:
    """By how many samples `after` comes later, by cross-correlation."""
    size = 4 * len(before)
    both = np.fft.rfft(before.astype(np.float64), size).conj() * np.fft.rfft(after.astype(np.float64), size)
    best = int(np.argmax(np.fft.irfft(both, size)))
    return best if best < size // 2 else best - size


def correlation_db(clean: Pcm, heard: Pcm) -> float:
    """SI-SDR: how far what is of `clean` in `heard` stands above the rest (Le Roux et al. 2019)."""
    wanted, found = clean.astype(np.float64), heard.astype(np.float64)
    part = wanted * (wanted @ found) / (wanted @ wanted)
    return float(10 * np.log10((part @ part) / ((found - part) @ (found - part))))


# loudness


@pytest.mark.parametrize(
    ("steps", "lufs"),
    [  # EBU Tech 3341, minimum requirements 1 to 5: stereo, both channels the same, as a mono recording is heard
        ([(-23, 20)], -23),
        ([(-33, 20)], -33),
        ([(-36, 10), (-23, 60), (-36, 10)], -23),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
)
def test_loudness_is_the_standards(steps: list[tuple[float, float]], lufs: float) -> None:
    measured = cleaning.measure(sine(*steps))
    assert measured.integrated_lufs == pytest.approx(lufs, abs=0.1)
    assert measured.steady_lufs == measured.integrated_lufs


def test_a_full_scale_tone_has_the_loudness_that_bs_1770_gives_it() -> None:
    """-3.01 LKFS for one channel of 997 Hz; two are twice the power."""
    assert cleaning.measure(sine((0, 5), hz=997)).integrated_lufs == pytest.approx(-3.01 + 3.01, abs=0.1)


def test_the_weighting_is_the_standards() -> None:
    """BS.1770-4, tables 1 and 2, 48 kHz."""
    (shelf, shelf_below), (high, high_below) = k_filters(48_000)
    assert shelf == pytest.approx([1.53512485958697, -2.69169618940638, 1.19839281085285], abs=1e-8)
    assert shelf_below == pytest.approx([1, -1.69065929318241, 0.73248077421585], abs=1e-8)
    assert high == [1, -2, 1]
    assert high_below == pytest.approx([1, -1.99004745483398, 0.99007225036621], abs=1e-8)


@pytest.mark.parametrize("db", [0, 20])
def test_ffmpegs_meter_agrees(voices: Pcm, db: float) -> None:
    pcm = quieter(np.concatenate((voices, np.zeros(16_999, np.int16), voices)), db)
    metered = metered_by_ffmpeg(pcm)
    if metered is None:
        pytest.skip("this PyAV does not hand on what FFmpeg's meter reads (18.1 and later do)")
    assert cleaning.measure(pcm).integrated_lufs == pytest.approx(metered, abs=0.1)


@pytest.mark.parametrize("db", [6, 20, 30])
def test_a_quiet_recording_comes_to_the_target(voices: Pcm, db: float) -> None:
    pcm = quieter(voices, db)
    cleaning.amplify(pcm, cleaning.gain_for(cleaning.measure(pcm)))
    assert cleaning.measure(pcm).integrated_lufs == pytest.approx(TARGET_LUFS, abs=0.3)
    assert true_peak_dbtp(pcm) <= CEILING_DBTP


def test_bangs_do_not_hide_a_quiet_voice(voices: Pcm) -> None:
    quiet = quieter(voices, 20)
    knocked = with_bangs(quiet, 3, 9)
    measured, without = cleaning.measure(knocked), cleaning.measure(quiet)
    assert measured.integrated_lufs is not None and without.integrated_lufs is not None
    assert measured.integrated_lufs > without.integrated_lufs + 10
    assert measured.steady_lufs == pytest.approx(without.integrated_lufs, abs=0.5)
    cleaning.amplify(knocked, cleaning.gain_for(measured))
    assert true_peak_dbtp(knocked) <= CEILING_DBTP


def test_a_few_words_in_a_long_silence_are_no_bang(voices: Pcm) -> None:
    room = to_pcm(noise(1, 120 * SAMPLE_RATE) * 30)
    room[50 * SAMPLE_RATE : 53 * SAMPLE_RATE] = voices[2 * SAMPLE_RATE : 5 * SAMPLE_RATE]
    measured = cleaning.measure(room)
    assert measured.steady_lufs == pytest.approx(measured.integrated_lufs, abs=1)


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(0, np.int16),
        np.zeros(SAMPLE_RATE, np.int16),
        np.full(SAMPLE_RATE, 3, np.int16),
        sine((-40, 0.3)),
        to_pcm(noise(0, SAMPLE_RATE)),
        to_pcm(3000 * np.sin(np.pi / 2 * np.minimum(1, np.arange(40 * SAMPLE_RATE) / SAMPLE_RATE)) ** 2),
    ],
    ids=["empty", "silence", "hum", "short", "last bit", "offset"],
)
def test_what_cannot_be_measured_is_left_alone(pcm: Pcm) -> None:
    assert cleaning.measure(pcm) == cleaning.Loudness(None, None)
    assert cleaning.gain_for(cleaning.measure(pcm)) == 0


@pytest.mark.parametrize(
    ("lufs", "gain_db"),
    [(-10, 0), (-23, 0), (-23 - MIN_GAIN_DB + 0.1, 0), (-29, 6), (-40, 17), (-69, MAX_GAIN_DB), (None, 0)],
)
def test_the_gain_is_never_below_nothing_and_never_absurd(lufs: float | None, gain_db: float) -> None:
    assert cleaning.gain_for(cleaning.Loudness(lufs, lufs)) == pytest.approx(gain_db)


def test_one_gain_for_all_of_it(voices: Pcm) -> None:
    quiet = quieter(voices, 30)
    pcm = quiet.copy()
    cleaning.amplify(pcm, 20)
    assert np.abs(pcm - quiet.astype(np.float64) * 10).max() <= 0.51


def test_nothing_to_add_changes_nothing_and_less_is_refused(voices: Pcm) -> None:
    pcm = voices.copy()
    cleaning.amplify(pcm, 0)
    assert np.array_equal(pcm, voices)
    with pytest.raises(ValueError):
        cleaning.amplify(pcm, -1)


@pytest.mark.parametrize("kind", ["noise", "high tone", "clicks", "voices"])
def test_no_true_peak_is_above_the_ceiling(voices: Pcm, kind: str) -> None:
    pcm = {
        "noise": to_pcm(noise(2, 11 * SAMPLE_RATE) * 3000),
        "high tone": sine((-12, 11), hz=3999),  # its samples miss its peaks by up to 3 dB
        "clicks": np.where(np.arange(11 * SAMPLE_RATE) % 4001 == 0, 30_000, 20).astype(np.int16),
        "voices": voices.copy(),
    }[kind]
    cleaning.amplify(pcm, 24)
    assert -2.5 < true_peak_dbtp(pcm) <= CEILING_DBTP


def test_the_limiter_lets_go_at_once(voices: Pcm) -> None:
    """20 ms away from a bang the recording is what it would be without it."""
    quiet = quieter(voices, 20)
    plain, banged = quiet.copy(), with_bangs(quiet, 9.99)  # across the end of a block
    cleaning.amplify(plain, 18)
    cleaning.amplify(banged, 18)
    changed = np.flatnonzero(plain != banged)
    assert 9.965 * SAMPLE_RATE < changed[0] and changed[-1] < 10.04 * SAMPLE_RATE


def test_blocks_leave_no_trace(voices: Pcm) -> None:
    """The same sound five seconds later, across other ends of blocks, comes out the same."""
    late = np.concatenate((np.zeros(5 * SAMPLE_RATE, np.int16), voices))
    early = voices.copy()
    cleaning.amplify(late, 20)
    cleaning.amplify(early, 20)
    assert np.abs(early - late[5 * SAMPLE_RATE :].astype(int)).max() <= 1


def test_peaks_between_samples_are_found() -> None:
    """BS.1770 annex 2: a tone at a quarter of the rate whose samples all miss its peak by 3 dB."""
    tone = np.sin(np.pi / 2 * np.arange(2000) + np.pi / 4).astype(np.float32)
    assert np.abs(tone).max() == pytest.approx(0.7071, abs=1e-3)
    assert true_peaks(tone)[100:-100].max() == pytest.approx(1, abs=0.01)
    assert (limit(tone * np.float32(0.2)) == 1).all()


# denoising


def test_noise_goes_and_the_voice_stays(voices: Pcm, denoiser_model: Path) -> None:
    fan = noise(3, len(voices)) * 500
    noisy = to_pcm(voices + fan)
    before = correlation_db(voices, noisy)
    denoise(noisy, denoiser_model)
    assert correlation_db(voices, noisy) > before + 3

    alone = to_pcm(fan[: 5 * SAMPLE_RATE])
    denoise(alone, denoiser_model)
    settled = slice(2 * SAMPLE_RATE, None)
    assert np.std(alone[settled]) < 0.2 * np.std(fan)


def test_denoising_moves_nothing(voices: Pcm, denoised: Pcm) -> None:
    assert len(denoised) == len(voices)
    for start_s in range(0, 12, 2):
        stretch = slice(start_s * SAMPLE_RATE, (start_s + 2) * SAMPLE_RATE)
        assert abs(lag(voices[stretch], denoised[stretch])) <= 1


@pytest.mark.parametrize("kind", ["denoise", "amplify"])
def test_an_onset_stays_where_it_is(voices: Pcm, denoiser_model: Path, kind: str) -> None:
    """A voice that sets in after silence: not a millisecond early, not one late."""
    onset = 3 * SAMPLE_RATE + 77
    pcm = np.concatenate((np.zeros(onset, np.int16), voices[3 * SAMPLE_RATE : 5 * SAMPLE_RATE]))
    before = pcm.copy()
    clean: Callable[[Pcm], None] = {
        "denoise": lambda pcm: denoise(pcm, denoiser_model),
        "amplify": lambda pcm: cleaning.amplify(pcm, 15),
    }[kind]
    clean(pcm)
    assert abs(lag(before, pcm)) <= SAMPLE_RATE // 1000


def test_a_second_pair_of_ears_finds_speech_that_noise_hid(denoiser_model: Path, vad_model: Path) -> None:
    """A call from a noisy street: "九六九" at 11 s."""
    pcm = decode(shared("audio/qwen3asr_noise2.flac").read_bytes()).pcm
    quieted = pcm.copy()
    denoise(quieted, denoiser_model)
    heard = []
    for each in (pcm, quieted):
        detector = SpeechDetector(vad_model)
        detector.feed(each)
        heard.append(detector.finish())

    def speech_s(probabilities: Probabilities) -> float:
        return sum(span.duration_s for span in speech_spans(probabilities, len(pcm), Cutting()))

    alone, together = speech_s(heard[0]), speech_s(np.maximum(*heard))
    assert alone + 0.5 < together < alone + 2


@pytest.mark.parametrize("n", [1, 255, 256, 257, 511, 512, 513, 16_000])
def test_as_many_samples_come_out_as_go_in(voices: Pcm, denoised: Pcm, denoiser_model: Path, n: int) -> None:
    pieces = list(cleaning.Denoiser(denoiser_model).pieces(voices[:n]))
    assert len(np.concatenate(pieces)) == n
    # nothing that comes later is looked at, but for the window that a sample lies in
    assert np.abs(pieces[0][:-512] - denoised[: max(0, n - 512)].astype(int)).max(initial=0) <= 1


def test_nothing_gives_nothing(denoiser_model: Path) -> None:
    assert list(cleaning.Denoiser(denoiser_model).pieces(np.zeros(0, np.int16))) == []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_pieces_leave_no_trace(
    voices: Pcm, denoised: Pcm, denoiser_model: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Each piece hears four seconds before it: what the network knew from earlier is hardly heard in it."""
    monkeypatch.setattr(denoise_module, "_PIECE", 3 * SAMPLE_RATE // 256 * 256)
    pieces = list(cleaning.Denoiser(denoiser_model, threads).pieces(voices))
    assert len(pieces) == 5
    joined = np.concatenate(pieces)
    assert np.abs(joined[: 3 * SAMPLE_RATE] - denoised[: 3 * SAMPLE_RATE].astype(int)).max() <= 1
    left = joined - denoised.astype(np.float64)
    assert 20 * np.log10(np.std(left) / np.std(denoised)) < -35


def test_silence_stays_silence(denoiser_model: Path) -> None:
    pcm = np.zeros(SAMPLE_RATE, np.int16)
    denoise(pcm, denoiser_model)
    assert not pcm.any()


def test_memory_does_not_grow_with_the_recording(
    voices: Pcm, denoiser_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denoise_module, "_PIECE", 5 * SAMPLE_RATE // 256 * 256)

    def clean(pcm: Pcm) -> int:
        tracemalloc.start()
        for piece in cleaning.Denoiser(denoiser_model).pieces(pcm):
            del piece
        cleaning.measure(pcm)
        cleaning.amplify(pcm, 20)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    short, longer = clean(voices.copy()), clean(np.concatenate((voices, voices)))
    assert longer < short + 500_000
    assert short < 40_000_000


def test_progress_is_reported_to_the_end(voices: Pcm) -> None:
    works: list[Callable[[Pcm, list[int]], object]] = [
        lambda pcm, done: cleaning.measure(pcm, done.append),
        lambda pcm, done: cleaning.amplify(pcm, 5, done.append),
    ]
    for work in works:
        done: list[int] = []
        work(voices[: 12 * SAMPLE_RATE].copy(), done)
        assert done == sorted(done) and done[-1] == 12 * SAMPLE_RATE


def test_a_model_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    for path in (tmp_path / "broken.onnx", tmp_path / "absent.onnx"):
        with pytest.raises(EngineError) as raised:
            cleaning.Denoiser(path)
        assert raised.value.key == "cleaning.unloadable"


def test_importing_it_loads_no_network() -> None:
    code = "import sys, jiyao.cleaning; print({'onnxruntime', 'av', 'scipy'} & set(sys.modules) or 'nothing')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert found.stdout.strip() == "nothing"
