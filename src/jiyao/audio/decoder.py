"""The decoding loop: packets → frames → blocks of PCM; gaps and damage noticed on the way."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import BinaryIO

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream

from jiyao.audio.headers import Source, is_protected
from jiyao.audio.mixing import Mixer
from jiyao.audio.recording import Note, PcmBuffer, Recording
from jiyao.errors import AudioError
from jiyao.timeline import SAMPLE_RATE, Pcm

_SAMPLES_PER_BYTE = 64  # speech at 4 kbit/s; a header that promises more gets no memory in advance
_MIN_RATE_HZ, _MAX_RATE_HZ = 4_000, 768_000  # below: a broken header (one second would become many); above: none exists
_MIN_GAP_S, _MAX_GAP_S = 0.1, 3600  # time stamps that jump forward so much: silence there; further: a broken time stamp
# FFmpeg demuxers whose time stamps are stored, so that they can tell of gaps
_STAMPED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "ogg", "asf", "flv", "mpegts")
_SHORT_BY = 0.02, 1.0  # decoded less than the header says by both this share and these seconds: say "cut off"


class Decoder:
    """Decodes one recording block by block. Iterate once; `notes` are complete afterwards.

    Raises AudioError: empty file, not audio, protected, no audio track, absurd rate, longer than `max_duration_s`
    (announced or in fact: a small file may unpack to days), nothing decodable.
    """

    def __init__(self, source: bytes | BinaryIO, max_duration_s: float = 12 * 3600) -> None:
        self._source = Source(io.BytesIO(source) if isinstance(source, bytes) else source)
        self._max_samples = int(max_duration_s * SAMPLE_RATE)
        self._notes: list[Note] = []
        self._damaged = 0
        self._gaps_s: list[float] = []  # stretches without data, filled with silence
        # decoded so far; where the last frame ended by its own time stamp; silence before the first
        self._clock_s = self._until_s = self._lead_s = 0.0
        self._container = self._source.open()
        try:
            self._stream = self._choose_stream()
            self.claimed_s = self._source.claimed_duration_s(self._container, self._stream)
            # whatever a WAV says, it holds no more than its size allows; other formats compress, so without limit
            bit_rate = self._stream.codec_context.bit_rate if self._container.format.name == "wav" else None
            room_s = self._source.size_bytes * 8 / bit_rate if bit_rate else math.inf
            if min(self.claimed_s or 0.0, room_s) > max_duration_s:
                raise self._too_long()
            self._breaks_off = self._source.breaks_off(self._container)
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
        return min(likely, self._source.size_bytes * _SAMPLES_PER_BYTE)

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
        if any(map(is_protected, usable)):
            raise AudioError("audio.protected")
        if not usable:
            raise AudioError("audio.unknown_codec")
        _check_rate(usable[0].codec_context.sample_rate or SAMPLE_RATE)  # 0: not known before the first frame
        if len(streams) > 1:
            self._notes.append(Note("audio.several_tracks", {"count": len(streams)}, warning=True))
        return usable[0]

    def _blocks(self) -> Iterator[Pcm]:
        """Frames gathered to blocks, each block resampled at once: far fewer Python calls than frame by frame."""
        mixer: Mixer | None = None
        for frame in self._frames():
            gap = self._gap_samples(frame)
            if mixer is None or gap or not mixer.takes(frame):
                if mixer is None:
                    self._describe(frame)
                else:
                    yield from mixer.drain()
                if gap:
                    yield np.zeros(gap, np.int16)
                mixer = Mixer(frame)
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
        elif gap_s:
            self._gaps_s.append(gap_s)
        self._until_s = time_s + frame.samples / frame.sample_rate
        self._clock_s += gap_s + frame.samples / frame.sample_rate
        return int(gap_s * SAMPLE_RATE)

    def _look_back(self, decoded: int) -> None:
        decoded_s = decoded / SAMPLE_RATE
        if self.claimed_s is not None:
            lead_s = 0.0 if self._stream.duration is None else self._lead_s  # the container's length has it already
            missing_s = self.claimed_s + lead_s - decoded_s
            if missing_s > max(_SHORT_BY[0] * self.claimed_s, _SHORT_BY[1]):
                spans = {"claimed_s": round(self.claimed_s), "decoded_s": round(decoded_s)}
                self._notes.append(Note("audio.cut_off", spans, warning=True))
        if self._gaps_s:
            spans = {"count": len(self._gaps_s), "seconds": round(sum(self._gaps_s))}
            self._notes.append(Note("audio.gaps", spans, warning=True))
        if count := max(self._damaged, int(self._breaks_off)):
            self._notes.append(Note("audio.damaged", {"count": count}, warning=True))

    def _too_long(self) -> AudioError:
        return AudioError("audio.too_long", limit_h=f"{self._max_samples / SAMPLE_RATE / 3600:g}")


def decode(source: bytes | BinaryIO, max_duration_s: float = 12 * 3600) -> Recording:
    """The whole recording at once. See `Decoder` for what it raises."""
    decoder = Decoder(source, max_duration_s)
    buffer = PcmBuffer(decoder.expected_samples)
    for block in decoder:
        buffer.append(block)
    return Recording(buffer.pcm(), decoder.notes)


def _check_rate(rate: int) -> None:
    if not _MIN_RATE_HZ <= rate <= _MAX_RATE_HZ:
        raise AudioError("audio.rate", rate=rate)
