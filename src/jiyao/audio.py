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
import math
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
_ASF_PROTECTED = tuple(map(bytes.fromhex, ("fbb3112223bdd211b4b700a0c955fc6e", "14e68a292226174cb935dae07ee9289c")))
_OGG_PAGE_BYTES = 27 + 255 + 255 * 255  # RFC 3533 section 6
_HEAD_BYTES, _XING_BYTES = 256 * 1024, 4096  # headers, pictures aside, end well before; an MP3 frame is shorter

_BLOCK_S = (
    5  # seconds decoded per block, which is held beside the PCM; longer ones are no faster and miss the CPU's cache
)
_BLOCK_VALUES = 1 << 20  # of all channels together: many channels or high rates make shorter blocks
_CHUNK = 16 << 20  # samples; 32 MB, from where on malloc gives pages back at once
_SAMPLES_PER_BYTE = 64  # speech at 4 kbit/s; a header that promises more gets no memory in advance
_MIN_RATE_HZ, _MAX_RATE_HZ = 4_000, 768_000  # below: a broken header (one second would become many); above: none exists
_MIN_GAP_S, _MAX_GAP_S = 0.1, 3600  # time stamps that jump forward so much: silence there; further: a broken time stamp
_CANCELS = 0.025  # two channels whose mean keeps less than this share of their energy: one of them is upside down
# FFmpeg demuxers that guess the length; and those whose time stamps are stored, so that they can tell of gaps
_GUESSING = ("aac", "loas", "mpegts", "mpeg", "amr", "amrnb", "amrwb", "ac3", "eac3")
_STAMPED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "ogg", "asf", "flv", "mpegts")
_OPEN_SIZE = 0x7FFF0000  # recorders that stream write about 2 or 4 GB, or 0, for "not known yet"
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
    """int16 PCM that grows: one allocation if its length was announced, else chunks, joined one by one."""

    def __init__(self, expected_samples: int = 0) -> None:
        self._chunks: list[Pcm] = [np.empty(expected_samples, np.int16)]
        self._filled = 0  # of the last chunk; all before it are full

    def append(self, block: Pcm) -> None:
        while len(block):
            if self._filled == len(self._chunks[-1]):
                self._chunks.append(np.empty(_CHUNK, np.int16))
                self._filled = 0
            room = self._chunks[-1][self._filled : self._filled + len(block)]
            room[:] = block[: len(room)]
            block = block[len(room) :]
            self._filled += len(room)

    def pcm(self) -> Pcm:
        """What was filled; without a copy when the announced length was right."""
        if len(self._chunks) > 1:
            self._chunks[-1] = self._chunks[-1][: self._filled]
            chunks, whole = self._chunks, np.empty(sum(map(len, self._chunks)), np.int16)
            self._chunks, self._filled = [whole], 0
            while chunks:
                self.append(chunks.pop(0))  # freed as soon as it is copied
        return self._chunks[0][: self._filled]


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
        # decoded so far; where the last frame ended by its own time stamp; silence before the first
        self._clock_s = self._until_s = self._lead_s = 0.0
        self._bytes = self._file.seek(0, io.SEEK_END)
        self._file.seek(0)
        head = self._peek(0, _HEAD_BYTES)
        if not head:
            raise AudioError("audio.empty")
        if any(guid in head for guid in _ASF_PROTECTED):
            raise AudioError("audio.protected")
        self._container = _open(self._file, head)
        try:
            self._stream = self._choose_stream()
            self.claimed_s = self._claimed_duration_s(head)
            # whatever a WAV says, it holds no more than its size allows; other formats compress, so without limit
            bit_rate = self._stream.codec_context.bit_rate if self._container.format.name == "wav" else None
            room_s = self._bytes * 8 / bit_rate if bit_rate else math.inf
            if min(self.claimed_s or 0.0, room_s) > max_duration_s:
                raise self._too_long()
            self._breaks_off = self._is_shorter_than_it_says(head)
        except BaseException:
            self._container.close()
            raise

    @property
    def notes(self) -> tuple[Note, ...]:
        return tuple(self._notes)

    @property
    def expected_samples(self) -> int:
        """Samples to expect if the header is right, and a little more; 0 when it does not say."""
        likely = int((self.claimed_s * 1.01 + 5) * SAMPLE_RATE) if self.claimed_s else 0
        return min(likely, self._bytes * _SAMPLES_PER_BYTE)

    def __iter__(self) -> Iterator[Pcm]:
        decoded = 0
        with self._container:
            for block in self._blocks():
                decoded += len(block)
                if decoded > self._max_samples:
                    raise self._too_long()
                yield block
        if decoded == 0:
            raise AudioError(
                "audio.undecodable" if self._damaged or self._breaks_off or self.claimed_s else "audio.empty"
            )
        self._look_back(decoded)

    def _choose_stream(self) -> AudioStream:
        streams = self._container.streams.audio
        usable = [s for s in streams if s.codec_context is not None]  # None: this FFmpeg has no decoder for the track
        if not streams:
            raise AudioError("audio.no_track")
        if any(_codec_tag(s) in _PROTECTED_TAGS for s in usable):
            raise AudioError("audio.protected")
        if not usable:
            raise AudioError("audio.unknown_codec")
        _check_rate(usable[0].codec_context.sample_rate or SAMPLE_RATE)  # 0: not known before the first frame
        if len(streams) > 1:
            self._notes.append(Note("audio.several_tracks", {"count": len(streams)}, warning=True))
        return usable[0]

    def _blocks(self) -> Iterator[Pcm]:
        """Frames gathered to blocks, each block resampled at once: far fewer Python calls than frame by frame."""
        mixer: _Mixer | None = None
        for frame in self._frames():
            gap = self._gap_samples(frame)
            if mixer is None or gap or not mixer.takes(frame):
                if mixer is None:
                    self._describe(frame)
                else:
                    yield from mixer.drain()
                if gap:
                    yield np.zeros(gap, np.int16)
                mixer = _Mixer(frame)
            yield from mixer.feed(frame)
        if mixer is not None:
            yield from mixer.drain()

    def _frames(self) -> Iterator[av.AudioFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, IndexError):
                return  # IndexError: the file's end too, when a track came up on the way (PyAV 18 counts it there only)
            except av.error.FFmpegError:
                self._damaged += 1
                return  # the container breaks off here; what was read stays
            if packet.stream_index != self._stream.index:
                continue
            self._breaks_off |= packet.is_corrupt and self._container.format.name != "wav"  # a WAV's length may be open
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self._damaged += 1  # one packet lost, the next may be whole
                continue
            for frame in frames:
                if isinstance(frame, av.AudioFrame) and frame.samples:
                    _check_rate(frame.sample_rate)
                    yield frame

    def _describe(self, frame: av.AudioFrame) -> None:
        if (channels := len(frame.layout.channels)) > 1:
            self._notes.append(Note("audio.downmixed", {"channels": channels}))
        if frame.sample_rate != SAMPLE_RATE:
            self._notes.append(Note("audio.resampled", {"rate": frame.sample_rate}))

    def _gap_samples(self, frame: av.AudioFrame) -> int:
        """Samples of silence to put before this frame: the track starts after the pictures, a muted microphone sent
        nothing, or data was lost. Only a jump of the time stamps that the clock has not made up for counts: stamps that
        drift or run back change nothing."""
        name, end, start = self._container.format.name, self._container.duration, self._container.start_time
        gap_s, time_s = 0.0, self._until_s
        if name in _STAMPED and frame.time is not None:
            time_s = frame.time - (start or 0) / av.time_base
            gap_s = min(time_s - self._until_s, time_s - self._clock_s)
        if not _MIN_GAP_S < gap_s <= _MAX_GAP_S or (end is not None and time_s > end / av.time_base + 1):
            gap_s = 0.0
        elif self._clock_s == 0.0:
            self._lead_s = gap_s
        elif name == "ogg":  # its stamps count samples, so some were lost
            self._damaged += 1
        self._until_s = time_s + frame.samples / frame.sample_rate
        self._clock_s += gap_s + frame.samples / frame.sample_rate
        return int(gap_s * SAMPLE_RATE)

    def _claimed_duration_s(self, head: bytes) -> float | None:
        """Seconds that the header promises, or None when it is silent or only guesses from the bit rate."""
        name, stream = self._container.format.name, self._stream
        if name in _GUESSING or (name == "mp3" and not self._has_mp3_length(head)):
            return None
        if name == "wav":
            return _riff_data_bytes(head) * 8 / (stream.codec_context.bit_rate or math.inf) or None
        if stream.duration is not None and stream.time_base is not None:
            return max(0.0, float(stream.duration * stream.time_base))
        return self._container.duration / av.time_base if self._container.duration else None

    def _has_mp3_length(self, head: bytes) -> bool:
        """Does the first frame, behind an ID3 tag with pictures or not, say how many there are?"""
        if head[:3] == b"ID3":  # its size: 4 bytes of 7 bits
            size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
            head = self._peek(10 + size, _XING_BYTES)
        return any(mark in head[:_XING_BYTES] for mark in (b"Xing", b"Info", b"VBRI"))

    def _is_shorter_than_it_says(self, head: bytes) -> bool:
        """For containers that FFmpeg lets end anywhere without a word."""
        name = self._container.format.name
        if name == "avi":
            return self._bytes < int.from_bytes(head[4:8], "little") + 8
        if name == "ogg":
            tail = self._peek(max(0, self._bytes - _OGG_PAGE_BYTES), _OGG_PAGE_BYTES)
            page = tail[max(0, tail.rfind(b"OggS")) :]  # 27 bytes, the last of them counts the lengths that follow
            lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
            return len(page) < 27 + len(lengths) + sum(lengths)
        return False

    def _peek(self, place: int, count: int) -> bytes:
        """Bytes of the file from `place` on; FFmpeg, which reads the same file, does not notice."""
        position = self._file.tell()
        self._file.seek(place)
        found = self._file.read(count)
        self._file.seek(position)
        return found

    def _look_back(self, decoded: int) -> None:
        decoded_s = decoded / SAMPLE_RATE
        if self.claimed_s is not None:
            lead_s = 0.0 if self._stream.duration is None else self._lead_s  # the container's length has it already
            missing_s = self.claimed_s + lead_s - decoded_s
            if missing_s > max(_SHORT_BY[0] * self.claimed_s, _SHORT_BY[1]):
                spans = {"claimed_s": round(self.claimed_s), "decoded_s": round(decoded_s)}
                self._notes.append(Note("audio.cut_off", spans, warning=True))
        if count := max(self._damaged, int(self._breaks_off)):
            self._notes.append(Note("audio.damaged", {"count": count}, warning=True))

    def _too_long(self) -> AudioError:
        return AudioError("audio.too_long", limit_h=f"{self._max_samples / SAMPLE_RATE / 3600:g}")


class _Mixer:
    """Frames of one rate, format and layout → blocks of 16 kHz mono int16."""

    def __init__(self, first: av.AudioFrame) -> None:
        self._shape = _shape(first)
        channels = len(first.layout.channels)
        # FFmpeg mixes layouts of 3 to 8 channels that it knows by name; stereo and microphone arrays are averaged here
        self._by_hand = channels == 2 or channels > 8 or "channels" in first.layout.name
        self._fifo = av.AudioFifo()
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        self._block = min(_BLOCK_S * first.sample_rate, _BLOCK_VALUES // channels)

    def takes(self, frame: av.AudioFrame) -> bool:
        return _shape(frame) == self._shape

    def feed(self, frame: av.AudioFrame) -> Iterator[Pcm]:
        frame.pts = None  # the fifo must not stop at broken time stamps; `_gap_samples` has read them
        self._fifo.write(frame)
        if self._fifo.samples >= self._block:
            yield from self._convert(self._fifo.read(0))

    def drain(self) -> Iterator[Pcm]:
        rest = self._fifo.read(0, partial=True)
        if rest is not None:
            yield from self._convert(rest)
        yield from self._convert(None)

    def _convert(self, frame: av.AudioFrame | None) -> Iterator[Pcm]:
        if frame is not None:
            frame.pts = None
            if self._by_hand:
                frame = _averaged(frame)
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


def _riff_data_bytes(head: bytes) -> int:
    """Bytes of sound that a WAV's own header promises (FFmpeg would correct it by the file's size); 0: open."""
    place = 12
    while place + 8 <= len(head):
        name, size = head[place : place + 4], int.from_bytes(head[place + 4 : place + 8], "little")
        if name == b"data":
            return size if size < _OPEN_SIZE else 0
        place += 8 + size + size % 2
    return 0


def _codec_tag(stream: AudioStream) -> str:
    try:
        return stream.codec_context.codec_tag
    except UnicodeDecodeError:  # not letters: none of those that matter
        return ""


def _check_rate(rate: int) -> None:
    if not _MIN_RATE_HZ <= rate <= _MAX_RATE_HZ:
        raise AudioError("audio.rate", rate=rate)


def _shape(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def _averaged(frame: av.AudioFrame) -> av.AudioFrame:
    """The mean of all channels; of two that cancel each other, as a balanced microphone in a stereo socket records
    them, half their difference."""
    values: npt.NDArray[Any] = frame.to_ndarray()
    rows = values if frame.format.is_planar else values.reshape(-1, len(frame.layout.channels)).T
    zero = 128 if values.dtype == np.uint8 else 0
    full = float(np.iinfo(values.dtype).max + 1 - zero) if values.dtype.kind in "iu" else 1.0
    with np.errstate(all="ignore"):  # a damaged file of floats may hold anything
        if len(rows) == 2:  # by far the most frequent; sums are ten times faster than `mean` where samples interleave
            mixed = np.add(rows[0], rows[1], dtype=np.float32) / 2 - zero
            sides = rows[:, ::8].astype(np.float32) - zero
            if np.sum(np.square(mixed[::8])) < _CANCELS * np.sum(np.square(sides)):
                mixed = np.subtract(rows[0], rows[1], dtype=np.float32) / 2
        else:
            mixed = rows.mean(axis=0, dtype=np.float32) - zero
        mixed /= full
    averaged = av.AudioFrame.from_ndarray(mixed.reshape(1, -1), format="fltp", layout="mono")
    averaged.sample_rate = frame.sample_rate
    return averaged
