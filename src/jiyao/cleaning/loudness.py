"""How loud a recording is, and quiet ones made louder: int16 PCM → LUFS, and one gain for all of it.

In:  int16 PCM, mono, 16 kHz, whole.
Out: the same samples times one factor, in place; only peaks that would not fit are turned down, for milliseconds.
     Every sample stays where it is.
From: EBU R128 and ITU-R BS.1770-4 (integrated loudness: K-weighting, blocks of 400 ms, gates at -70 LUFS and 10 LU
     below the mean), written out here: FFmpeg's meter gives its readings to PyAV 18.1 and later only, pyloudnorm needs
     scipy and the whole recording as floats. Tests hold it against EBU Tech 3341's signals and against FFmpeg's meter.
     A mono recording is heard from two loudspeakers, so it is measured as two equal channels (+3 LU). FFmpeg's loudnorm
     is not used: it turns voices and pauses up and down while it plays. Limiter: the factor that each moment needs, its
     least within 10 ms on either side, and the mean of that over the same stretch, which is never above the need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jiyao.timeline import SAMPLE_RATE, Pcm, Samples, to_samples

TARGET_LUFS = -23.0
"""EBU R128's. A voice's peaks lie 10 to 17 dB above it, so what is brought there seldom needs the limiter."""

MIN_GAIN_DB = 6.0
"""A recording that lacks less is not quiet: it stays as it is, byte for byte. From there on recognition gained; below,
its words changed at random, for better and for worse (LOG.md)."""

MAX_GAIN_DB = 40.0
"""Below -63 LUFS a voice has some 4 of 16 bits: more gain would only play their noise louder."""

CEILING_DBTP = -1.0
"""EBU R128's highest true peak: what a converter or a lossy codec makes between the samples still fits."""

_OF_FULL_POWER_LUFS = -0.691  # BS.1770's offset, which makes up for what K-weighting adds at 997 Hz
_SILENT_LUFS = -70.0  # the absolute gate
_RELATIVE_LU = 10.0  # the relative gate, below the mean of what passes the absolute one
_STEP, _PER_BLOCK = SAMPLE_RATE // 10, 4  # a block of 400 ms begins every 100 ms
_FFT = 1 << 18
_SETTLES = 4096  # samples, 0.26 s: the weighting filters forget within a quarter of that
_AT_ONCE = (_FFT - _SETTLES) // _STEP * _STEP  # samples
# a bang: so much louder than all but a tenth of what is heard, in so many blocks on end: 0.4 s beside their own width
_USUAL_PERCENT, _BANG_LU, _BANG_BLOCKS = 90, 10.0, 8
_BLOCK = 10 * SAMPLE_RATE  # samples
_REACH = SAMPLE_RATE // 100  # samples, 10 ms, the limiter's
_OVER = 8  # times the rate at which peaks are looked for: at BS.1770's 4, one may be 0.6 dB higher than what is seen
_TAPS = 64  # samples that a value between two samples is made of: right up to 7.7 kHz
_AROUND = 2 * _REACH + _TAPS  # samples on either side that a block's limiter looks at

Report = Callable[[int], None]  # samples done so far
Levels = npt.NDArray[np.float64]  # LUFS of blocks of 400 ms, one for every 100 ms


@dataclass(frozen=True)
class Loudness:
    """Of a whole recording, as two equal channels; None: silence, or shorter than 0.4 s.

    `integrated_lufs` is EBU R128's. `steady_lufs` is the same without bangs: one knock against the microphone outweighs
    minutes of a quiet voice, and lifts the relative gate above it.
    """

    integrated_lufs: float | None
    steady_lufs: float | None


def measure(pcm: Pcm, report: Report = lambda _: None) -> Loudness:
    """How loud int16 [n] is; 1 s for an hour, 20 MB beside it."""
    weights = _k_weighting(SAMPLE_RATE, _FFT)
    before: Samples = np.zeros(_SETTLES, np.float32)
    powers = []  # of every 100 ms
    for start in range(0, len(pcm), _AT_ONCE):
        block = to_samples(pcm[start : start + _AT_ONCE])
        joined = np.concatenate((before, block))
        before = joined[-_SETTLES:]
        weighted = np.fft.irfft(np.fft.rfft(joined, _FFT) * weights, _FFT)[_SETTLES : len(joined)]
        whole = len(weighted) // _STEP * _STEP
        powers.append(np.mean(np.square(weighted[:whole]).reshape(-1, _STEP), axis=1))
        report(start + len(block))
    steps = np.concatenate(powers) if powers else np.zeros(0)
    if len(steps) < _PER_BLOCK:
        return Loudness(None, None)
    blocks = np.lib.stride_tricks.sliding_window_view(steps, _PER_BLOCK).mean(axis=1)
    levels = _OF_FULL_POWER_LUFS + 10 * np.log10(np.maximum(2 * blocks, 1e-12))
    return Loudness(_gated(levels), _gated(levels[~_bangs(levels)]))


def gain_for(loudness: Loudness) -> float:
    """How many dB to add: 0 for a recording that is loud enough, silent or too short to tell; never below 0."""
    if loudness.steady_lufs is None:
        return 0.0
    gain_db = min(TARGET_LUFS - loudness.steady_lufs, MAX_GAIN_DB)
    return gain_db if gain_db >= MIN_GAIN_DB else 0.0


def amplify(pcm: Pcm, gain_db: float, report: Report = lambda _: None) -> None:
    """Add `gain_db` (0 or more) to int16 [n], in place; no true peak comes above CEILING_DBTP, unless one was before
    and there is nothing to add. Works ten seconds at a time. Raises ValueError for a negative gain."""
    if gain_db < 0:
        raise ValueError(f"cleaning never attenuates: {gain_db} dB")
    if gain_db == 0:
        return
    factor = np.float32(10 ** (gain_db / 20) / 32768)
    before: Samples = np.zeros(_AROUND, np.float32)  # what stood there before it was amplified
    for start in range(0, len(pcm), _BLOCK):
        end = min(start + _BLOCK, len(pcm))
        own = pcm[start:end] * factor
        after = pcm[end : end + _AROUND] * factor
        around = np.concatenate((before, own, after, np.zeros(_AROUND - len(after), np.float32)))
        before = around[len(own) : len(own) + _AROUND].copy()
        own *= limit(around)[_AROUND : _AROUND + len(own)]
        pcm[start:end] = np.rint(own * np.float32(32768))  # the limiter keeps it in range
        report(end)


def limit(samples: Samples) -> Samples:
    """float32 [n] → the factors 0…1, float32 [n], under which no true peak is above CEILING_DBTP; those of the first
    and last 20 ms know only half of their surroundings."""
    ceiling = np.float32(10 ** (CEILING_DBTP / 20) * 0.97)  # 0.26 dB for what 8 times the rate does not see
    # a value between samples is at most the sum of the filter's own: where even that fits, nothing is to be done
    if not len(samples) or float(np.abs(samples).max()) * _HIGHEST <= ceiling:
        return np.ones(len(samples), np.float32)
    needed = np.minimum(1, ceiling / np.maximum(true_peaks(samples), ceiling))
    least = _least_within(needed, _REACH)
    padded = np.pad(least, _REACH, mode="edge")
    smooth: Samples = np.convolve(padded, _SMOOTH, mode="valid").astype(np.float32)
    return smooth


def true_peaks(samples: Samples) -> Samples:
    """The highest absolute value at each sample or on the way to the next, float32 [n], at 8 times the rate."""
    highest = np.abs(samples)
    for phase in _PHASES:
        between = np.abs(np.convolve(samples, phase)[_TAPS // 2 : _TAPS // 2 + len(samples)])
        np.maximum(highest, between, out=highest)
    return highest.astype(np.float32, copy=False)


def _least_within(values: Samples, reach: int) -> Samples:
    """The least of values[i - reach … i + reach], by doubling the stretch that each step knows."""
    width, known = 2 * reach + 1, 1
    least = np.pad(values, reach, mode="edge")
    while known < width:
        step = min(known, width - known)
        least = np.minimum(least[:-step], least[step:])
        known += step
    return least


def _interpolators() -> Iterator[npt.NDArray[np.float32]]:
    """Windowed sinc filters, one for each value between two samples."""
    for phase in range(1, _OVER):
        at = np.arange(_TAPS) - _TAPS // 2 + phase / _OVER
        taps = np.sinc(at) * np.cos(np.pi * at / (_TAPS + 1)) ** 2
        yield (taps / taps.sum()).astype(np.float32)


def _k_weighting(rate: int, n: int) -> npt.NDArray[np.complex128]:
    """BS.1770's two filters, the head's shelf and a high-pass, at the frequencies of an FFT of `n`, [n/2 + 1]."""
    z = np.exp(-2j * np.pi * np.arange(n // 2 + 1) / n)
    response = np.ones(len(z), np.complex128)
    for upper, lower in k_filters(rate):
        response *= np.polyval(upper[::-1], z) / np.polyval(lower[::-1], z)
    return response


def k_filters(rate: int) -> tuple[tuple[list[float], list[float]], ...]:
    """(b, a) of the two filters at this rate. The standard lists them for 48 kHz only: these are the frequencies, gains
    and qualities that give its numbers there (De Man 2018, "Evaluation of implementations of the EBU R128 …")."""
    k, q, high = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    middle, a0 = high**0.4996667741545416, 1 + k / q + k * k
    shelf = [(high + middle * k / q + k * k) / a0, 2 * (k * k - high) / a0, (high - middle * k / q + k * k) / a0]
    shelf_below = [1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    k, q = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    a0 = 1 + k / q + k * k
    return (shelf, shelf_below), ([1.0, -2.0, 1.0], [1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0])


def _bangs(blocks: Levels) -> npt.NDArray[np.bool_]:
    """Which blocks hold a knock, a slam, a click: much louder than nearly all others, and over in no time."""
    audible = blocks[blocks > _SILENT_LUFS]
    loud = blocks > (np.percentile(audible, _USUAL_PERCENT) + _BANG_LU if len(audible) else np.inf)
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start > _BANG_BLOCKS:
            loud[start:end] = False  # somebody speaks
    return loud


def _gated(blocks: Levels) -> float | None:
    """BS.1770's integrated loudness of these momentary ones."""
    power = 10 ** (blocks[blocks > _SILENT_LUFS] / 10)
    if not len(power):
        return None
    loud = power[power > power.mean() / 10 ** (_RELATIVE_LU / 10)]
    return float(10 * np.log10(loud.mean()))


_PHASES = tuple(_interpolators())
_HIGHEST = max(float(np.abs(phase).sum()) for phase in _PHASES)
_SMOOTH = (np.hanning(2 * _REACH + 3)[1:-1] / np.hanning(2 * _REACH + 3).sum()).astype(np.float32)
