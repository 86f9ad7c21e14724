"""Recordings for tests, made in memory with PyAV: no ffmpeg, no files, no ../shared needed."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from jiyao.timeline import SAMPLE_RATE, Pcm
from tests.conftest import SHARED

Signal = npt.NDArray[np.float32]  # float32 [channels, n], -1...1

# name -> how `made` writes it: every kind of recording that this PyAV can write and jiyao promises to read
KINDS: dict[str, dict[str, Any]] = {
    "wav-u8": {"codec": "pcm_u8"},
    "wav-s16": {"codec": "pcm_s16le"},
    "wav-s24": {"codec": "pcm_s24le"},
    "wav-s32": {"codec": "pcm_s32le"},
    "wav-f32": {"codec": "pcm_f32le"},
    "wav-f64": {"codec": "pcm_f64le"},
    "wav-mulaw": {"codec": "pcm_mulaw", "rate": 8_000, "layout": "mono"},
    "wav-alaw": {"codec": "pcm_alaw", "rate": 8_000, "layout": "mono"},
    "wav-adpcm": {"codec": "adpcm_ima_wav", "rate": 16_000, "layout": "mono"},
    "wav-8k": {"rate": 8_000},
    "wav-11k": {"rate": 11_025},
    "wav-16k": {"rate": 16_000, "layout": "mono"},
    "wav-48k": {"rate": 48_000},
    "wav-96k": {"rate": 96_000, "codec": "pcm_s24le"},
    "wav-5.1": {"rate": 48_000, "layout": "5.1"},
    "w64": {"container": "w64"},
    "mp3": {"container": "mp3", "codec": "libmp3lame"},
    "flac": {"container": "flac", "codec": "flac"},
    "m4a-aac": {"container": "ipod", "codec": "aac"},
    "m4a-alac": {"container": "ipod", "codec": "alac"},
    "mov": {"container": "mov", "codec": "aac", "rate": 48_000},
    "mp4-video": {"container": "mp4", "codec": "aac", "video": True},
    "3gp-amr": {"container": "3gp", "codec": "libopencore_amrnb", "rate": 8_000, "layout": "mono"},
    "ogg-opus": {"container": "ogg", "codec": "libopus", "rate": 48_000, "layout": "mono"},
    "ogg-vorbis": {"container": "ogg", "codec": "vorbis", "options": {"strict": "experimental"}},
    "webm": {"container": "webm", "codec": "libopus", "rate": 48_000},
    "mkv-flac": {"container": "matroska", "codec": "flac", "rate": 48_000},
    "wma": {"container": "asf", "codec": "wmav2", "bit_rate": 128_000},
    "amr": {"container": "amr", "codec": "libopencore_amrnb", "rate": 8_000, "layout": "mono"},
    "aiff": {"container": "aiff", "codec": "pcm_s16be"},
    "caf": {"container": "caf", "codec": "pcm_s16be"},
    "aac": {"container": "adts", "codec": "aac"},
    "mpegts": {"container": "mpegts", "codec": "aac", "rate": 48_000},
    "avi": {"container": "avi", "codec": "libmp3lame"},
    "au": {"container": "au", "codec": "pcm_s16be"},
    "ac3": {"container": "ac3", "codec": "ac3", "rate": 48_000},
    "wavpack": {"container": "wv", "codec": "wavpack"},
    "tta": {"container": "tta", "codec": "tta"},
    "flv": {"container": "flv", "codec": "aac"},
}


def shared(path: str) -> Path:
    """A recording outside the project; the test is skipped where it is not at hand."""
    if not (SHARED / path).exists():
        pytest.skip(f"needs {SHARED / path}, which is not part of the project")
    return SHARED / path


def can_write(codec: str) -> bool:
    return codec in av.codecs_available and _opens_for_writing(codec)


def _opens_for_writing(codec: str) -> bool:
    try:
        av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def tone(seconds: float = 2.0, rate: int = 44_100, channels: int = 1, hz: float = 440, level: float = 0.4) -> Signal:
    one = (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
    return np.tile(one, (channels, 1))


def made(
    container: str = "wav",
    codec: str = "pcm_s16le",
    *,
    seconds: float = 2.0,
    rate: int = 44_100,
    layout: str = "stereo",
    hz: float = 440,
    signal: Signal | None = None,
    video: bool = False,
    late_s: float = 0.0,
    bit_rate: int | None = None,
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
) -> bytes:
    """A recording of one tone, or of `signal`. `late_s`: the sound sets in that much after the pictures."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=dict(container_options or {})) as output:
        pictures: Any = output.add_stream("mpeg4", rate=10) if video else None
        sound: Any = output.add_stream(codec, rate=rate, options=dict(options or {}))
        sound.layout = layout
        if bit_rate:
            sound.bit_rate = bit_rate
        channels = len(sound.codec_context.layout.channels)
        values = tone(seconds, rate, channels, hz) if signal is None else signal
        if video:
            _write_pictures(output, pictures, values.shape[1] / rate + late_s)
        step = rate  # a second a call: the encoder's own frames are smaller
        for start in range(0, values.shape[1], step):
            piece = np.ascontiguousarray(values[:, start : start + step])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
            frame.sample_rate = rate
            frame.pts = start + round(late_s * rate)
            output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    return file.getvalue()


def pictures_only(seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        _write_pictures(output, output.add_stream("mpeg4", rate=10), seconds)
    return file.getvalue()


def _write_pictures(output: Any, pictures: Any, seconds: float) -> None:
    pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
    for number in range(int(seconds * 10)):
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([number * 20 % 256]) * plane.buffer_size)
        frame.pts = number
        output.mux(pictures.encode(frame))
    output.mux(pictures.encode(None))


def wav(pcm: npt.NDArray[np.int16], rate: int = SAMPLE_RATE) -> bytes:
    """A plain WAV of int16 [n] or [n, channels], also of more channels than any named layout has."""
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setparams((1 if pcm.ndim == 1 else pcm.shape[1], 2, rate, 0, "NONE", ""))
        output.writeframes(pcm.astype("<i2").tobytes())
    return file.getvalue()


def pitch(pcm: Pcm) -> float:
    """The strongest frequency of 16 kHz PCM, in Hz."""
    windowed = pcm * np.hanning(len(pcm))
    return float(np.argmax(np.abs(np.fft.rfft(windowed))) * SAMPLE_RATE / len(pcm))


def loudness(pcm: Pcm) -> float:
    """Root mean square, 0...1."""
    return float(np.sqrt(np.mean(np.square(pcm / 32768)))) if len(pcm) else 0.0
