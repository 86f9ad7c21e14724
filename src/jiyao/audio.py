"""Any recording a person may have → int16 PCM, mono, 16 kHz, in memory.

In:  bytes or a seekable binary file: WAV, MP3, FLAC, M4A/AAC, OGG, WebM, MP4/MOV, WMA, AMR, AIFF, … of any rate,
     width and channel count. The name does not matter, the content decides.
Out: blocks of `Pcm` while decoding (bounded memory), or one `Recording`; and notes on what was noticed.
Knows nothing of: speech, models, files on disk.

Decoding is PyAV's (FFmpeg's libraries inside the wheel). Two options keep it from reaching out: no protocol is allowed
(a playlist renamed to .mp3 would otherwise open URLs) and only demuxers of real recordings are tried.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import InputContainer

from jiyao.errors import AudioError
from jiyao.timeline import SAMPLE_RATE, Pcm, Samples, Span, to_ms, to_samples

# FFmpeg demuxer names: containers that phones, recorders and meeting software write. No playlists, no images.
_DEMUXERS = (
    "wav,w64,rf64,mp3,flac,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,asf_o,amr,amrnb,amrwb,aiff,aac,loas,latm,"
    "caf,avi,mpegts,mpeg,flv,ac3,eac3,ape,wv,tta,tak,au,voc,mpc,mpc8,gsm,dsf,spdif"
)
_PROTECTED_TAGS = ("drms", "drmi", "enca", "encv", "aavd")  # FairPlay, ISO 23001-7 common encryption, Audible
# ASF Content Encryption Object and its extended form (ASF specification 3.14, 3.15), as they stand in the bytes
_ASF_PROTECTED = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)
_HEAD_BYTES = 256 * 1024  # headers, cover pictures aside, end well before this

_BLOCK_S = 30  # seconds decoded per block: what is held beside the PCM itself, and one VAD batch
_MIN_RATE_HZ, _MAX_RATE_HZ = 4_000, 768_000  # below: a broken header (one second would become many); above: none exists
_MAX_LEAD_S = 3600  # an audio track that starts later than the video gets silence before it, at most this much
_SHORT_BY = 0.02, 1.0  # decoded less than the header says by both this share and these seconds: say "cut off"


@dataclass(frozen=True)
class Note:
    """Something noticed while reading: a key of messages.toml with its parameters. `warning`: something is missing."""

    key: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    warning: bool = False


@dataclass(frozen=True)
class Recording:
    """A decoded recording: `pcm` int16 [n], mono, 16 kHz; what was noticed on the way."""

    pcm: Pcm
    notes: tuple[Note, ...] = ()

    @property
    def duration_ms(self) -> int:
        return to_ms(len(self.pcm))

    def samples(self, span: Span) -> Samples:
        """float32 [len(span)] of this stretch, a fresh copy."""
        return to_samples(self.pcm[span.start : span.end])


class PcmBuffer:
    """int16 PCM that grows: one allocation when the length was announced, a few when it was not."""

    def __init__(self, expected_samples: int = 0) -> None:
        self._array: Pcm = np.empty(expected_samples, np.int16)
        self._filled = 0

    def append(self, block: Pcm) -> None:
        needed = self._filled + len(block)
        if needed > len(self._array):
            # a quarter more, at least five minutes: few copies, little waste
            grown = np.empty(max(needed, len(self._array) * 5 // 4, 300 * SAMPLE_RATE), np.int16)
            grown[: self._filled] = self._array[: self._filled]
            self._array = grown
        self._array[self._filled : needed] = block
        self._filled = needed

    def pcm(self) -> Pcm:
        """What was filled, without a copy."""
        return self._array[: self._filled]


class Decoder:
    """Decodes one recording block by block. Iterate once; `notes` are complete afterwards.

    Raises AudioError: empty file, not audio, protected, no audio track, absurd rate, longer than `max_duration_s`
    (announced or in fact: a small file may unpack to days), nothing decodable.
    """

    def __init__(self, source: bytes | BinaryIO, max_duration_s: float = 12 * 3600) -> None:
        self._file = io.BytesIO(source) if isinstance(source, bytes) else source
        self._max_samples = int(max_duration_s * SAMPLE_RATE)
        self._notes: list[Note] = []
        self._damaged = 0
        head = self._file.read(_HEAD_BYTES)
        self._file.seek(0)
        if not head:
            raise AudioError("audio.empty")
        if any(guid in head for guid in _ASF_PROTECTED):
            raise AudioError("audio.protected")
        self._container = _open(self._file, head)
        try:
            self._stream = self._choose_stream()
            self.claimed_s = _claimed_duration_s(self._container, self._stream, head)
            if self.claimed_s is not None and self.claimed_s > max_duration_s:
                raise self._too_long()
        except BaseException:
            self._container.close()
            raise

    @property
    def notes(self) -> tuple[Note, ...]:
        return tuple(self._notes)

    @property
    def expected_samples(self) -> int:
        """Samples to expect if the header is right, for the buffer; 0 when it does not say."""
        return int((self.claimed_s or 0) * SAMPLE_RATE) + SAMPLE_RATE if self.claimed_s else 0

    def __iter__(self) -> Iterator[Pcm]:
        decoded = 0
        with self._container:
            for block in self._blocks():
                decoded += len(block)
                if decoded > self._max_samples:
                    raise self._too_long()
                yield block
        if decoded == 0:
            raise AudioError("audio.undecodable" if self._damaged or self.claimed_s else "audio.empty")
        self._look_back(decoded)

    def _choose_stream(self) -> AudioStream:
        streams = self._container.streams.audio
        # a context is missing where this FFmpeg has no decoder for the track
        usable = [s for s in streams if s.codec_context is not None]
        if not streams:
            raise AudioError("audio.no_track")
        if any(s.codec_context.codec_tag in _PROTECTED_TAGS for s in usable):
            raise AudioError("audio.protected")
        if not usable:
            raise AudioError("audio.unknown_codec")
        stream = usable[0]
        if len(streams) > 1:
            self._notes.append(Note("audio.several_tracks", {"count": len(streams)}, warning=True))
        return stream

    def _blocks(self) -> Iterator[Pcm]:
        """Frames gathered to blocks, each block resampled at once: far fewer Python calls than frame by frame."""
        mixer: _Mixer | None = None
        for frame in self._frames():
            if mixer is None or not mixer.takes(frame):
                if mixer is None:
                    self._describe(frame)
                    lead = self._lead_samples(frame)
                    if lead:
                        yield np.zeros(lead, np.int16)
                else:
                    yield from mixer.drain()
                mixer = _Mixer(frame)
            yield from mixer.feed(frame)
        if mixer is not None:
            yield from mixer.drain()

    def _frames(self) -> Iterator[av.AudioFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                # the container breaks off here; what was read stays
                self._damaged += 1
                return
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self._damaged += 1  # one packet lost, the next may be whole
                continue
            for frame in frames:
                if isinstance(frame, av.AudioFrame) and frame.samples:
                    if not _MIN_RATE_HZ <= frame.sample_rate <= _MAX_RATE_HZ:
                        raise AudioError("audio.rate", rate=frame.sample_rate)
                    yield frame

    def _describe(self, frame: av.AudioFrame) -> None:
        channels = len(frame.layout.channels)
        if channels > 1:
            self._notes.append(Note("audio.downmixed", {"channels": channels}))
        if frame.sample_rate != SAMPLE_RATE:
            self._notes.append(Note("audio.resampled", {"rate": frame.sample_rate}))

    def _lead_samples(self, first: av.AudioFrame) -> int:
        """Samples by which this track starts after the file does (a video whose sound sets in late)."""
        start, time = self._container.start_time, first.time
        if start is None or time is None or start < 0:
            return 0
        lead_s = time - start / av.time_base
        return int(lead_s * SAMPLE_RATE) if 0.1 < lead_s <= _MAX_LEAD_S else 0

    def _look_back(self, decoded: int) -> None:
        decoded_s = decoded / SAMPLE_RATE
        if self.claimed_s is not None:
            missing_s = self.claimed_s - decoded_s
            if missing_s > _SHORT_BY[0] * self.claimed_s and missing_s > _SHORT_BY[1]:
                spans = {"claimed_s": round(self.claimed_s), "decoded_s": round(decoded_s)}
                self._notes.append(Note("audio.cut_off", spans, warning=True))
        if self._damaged:
            self._notes.append(Note("audio.damaged", {"count": self._damaged}, warning=True))

    def _too_long(self) -> AudioError:
        return AudioError("audio.too_long", limit_h=f"{self._max_samples / SAMPLE_RATE / 3600:g}")


class _Mixer:
    """Frames of one rate, format and layout → blocks of 16 kHz mono int16."""

    def __init__(self, first: av.AudioFrame) -> None:
        self._shape = _shape(first)
        self._fifo = av.AudioFifo()
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        self._block = _BLOCK_S * first.sample_rate
        # FFmpeg mixes layouts it knows; microphone arrays without one are averaged here
        self._by_hand = len(first.layout.channels) > 8 or "channels" in first.layout.name

    def takes(self, frame: av.AudioFrame) -> bool:
        return _shape(frame) == self._shape

    def feed(self, frame: av.AudioFrame) -> Iterator[Pcm]:
        if self._by_hand:
            frame = _averaged(frame)
        frame.pts = None  # broken time stamps must not stop the fifo; the clock counts samples
        self._fifo.write(frame)
        if self._fifo.samples >= self._block:
            yield from self._convert(self._fifo.read(0))

    def drain(self) -> Iterator[Pcm]:
        yield from self._convert(self._fifo.read(0, partial=True))
        yield from self._convert(None)

    def _convert(self, frame: av.AudioFrame | None) -> Iterator[Pcm]:
        if frame is not None:
            frame.pts = None
        for converted in self._resampler.resample(frame):
            yield converted.to_ndarray().reshape(-1).astype(np.int16, copy=False)


def decode(source: bytes | BinaryIO, max_duration_s: float = 12 * 3600) -> Recording:
    """The whole recording at once. See `Decoder` for what it raises."""
    decoder = Decoder(source, max_duration_s)
    buffer = PcmBuffer(decoder.expected_samples)
    for block in decoder:
        buffer.append(block)
    return Recording(buffer.pcm(), decoder.notes)


def _open(file: BinaryIO, head: bytes) -> InputContainer:
    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "none"}
    try:
        return av.open(file, mode="r", options=options, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as cause:
        # an MP4 gets its index last: a recorder that was stopped hard leaves none
        raise AudioError("audio.unfinished" if head[4:8] == b"ftyp" else "audio.not_audio") from cause


def _claimed_duration_s(container: InputContainer, stream: AudioStream, head: bytes) -> float | None:
    """Seconds that the header promises, or None when it is silent or only guesses from the bit rate."""
    name = container.format.name
    if name == "wav":
        return _riff_duration_s(head, stream)
    if name in ("aac", "loas", "mpegts", "mpeg", "amr", "amrnb", "amrwb", "ac3", "eac3"):
        return None
    if name == "mp3" and not any(mark in head for mark in (b"Xing", b"Info", b"VBRI")):
        return None
    if stream.duration is not None and stream.time_base is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    return container.duration / av.time_base if container.duration else None


def _riff_duration_s(head: bytes, stream: AudioStream) -> float | None:
    """What a WAV's own header promises: FFmpeg would quietly correct it by the file's size."""
    place = head.find(b"data", 12)
    byte_rate = int.from_bytes(head[28:32], "little")
    size = int.from_bytes(head[place + 4 : place + 8], "little") if place > 0 else 0
    if head[12:16] != b"fmt " or not byte_rate or size in (0, 0xFFFFFFFF):  # recorders that stream leave it open
        return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
    return size / byte_rate


def _shape(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def _averaged(frame: av.AudioFrame) -> av.AudioFrame:
    values: npt.NDArray[Any] = frame.to_ndarray()
    channels = len(frame.layout.channels)
    by_channel = values if frame.format.is_planar else values.reshape(-1, channels).T
    mixed = by_channel.astype(np.float64).mean(axis=0, keepdims=True)
    if values.dtype == np.uint8:
        mixed = (mixed - 128) / 128
    elif values.dtype.kind == "i":
        mixed = mixed / -float(np.iinfo(values.dtype).min)
    averaged = av.AudioFrame.from_ndarray(mixed.astype(np.float32), format="fltp", layout="mono")
    averaged.sample_rate = frame.sample_rate
    return averaged
