"""Containers and what their headers promise; the few bytes that FFmpeg's libraries do not tell about.

Two options keep FFmpeg from reaching out: no protocol is allowed (a playlist renamed to .mp3 would otherwise open
URLs), and only demuxers of real recordings are tried.
"""

from __future__ import annotations

import io
import math
from typing import BinaryIO

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer

from jiyao.errors import AudioError

# FFmpeg demuxer names: containers that phones, recorders and meeting software write. No playlists, no images.
_DEMUXERS = (
    "wav,w64,rf64,mp3,flac,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,asf_o,amr,amrnb,amrwb,aiff,aac,loas,latm,"
    "caf,avi,mpegts,mpeg,flv,ac3,eac3,ape,wv,tta,tak,au,voc,mpc,mpc8,gsm,dsf,spdif"
)
_GUESSING = ("aac", "loas", "mpegts", "mpeg", "amr", "amrnb", "amrwb", "ac3", "eac3")  # FFmpeg guesses their length
_PROTECTED_TAGS = ("drms", "drmi", "enca", "encv", "aavd")  # FairPlay, ISO 23001-7 common encryption, Audible
# ASF Content Encryption Object and its extended form (ASF specification 3.14, 3.15), as they stand in the bytes
_ASF_PROTECTED = tuple(map(bytes.fromhex, ("fbb3112223bdd211b4b700a0c955fc6e", "14e68a292226174cb935dae07ee9289c")))
_OGG_PAGE_BYTES = 27 + 255 + 255 * 255  # RFC 3533 section 6
_HEAD_BYTES, _XING_BYTES = 256 * 1024, 4096  # headers, pictures aside, end well before; an MP3 frame is shorter
_OPEN_SIZE = 0x7FFF0000  # recorders that stream write about 2 or 4 GB, or 0, for "not known yet"


class Source:
    """A seekable file and its first bytes. Peeking leaves its position alone, which FFmpeg reads from too.

    Raises AudioError when it is empty or says that it is protected.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size_bytes = file.seek(0, io.SEEK_END)
        file.seek(0)
        self.head = self.peek(0, _HEAD_BYTES)
        if not self.head:
            raise AudioError("audio.empty")
        if any(guid in self.head for guid in _ASF_PROTECTED):
            raise AudioError("audio.protected")

    def peek(self, place: int, count: int) -> bytes:
        position = self.file.tell()
        self.file.seek(place)
        found = self.file.read(count)
        self.file.seek(position)
        return found

    def open(self) -> InputContainer:
        """The container. Raises AudioError when it is none, or none of a recording."""
        options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "none"}
        try:
            return av.open(self.file, mode="r", options=options, metadata_errors="ignore")
        except (av.error.FFmpegError, ValueError) as cause:
            # an MP4 gets its index last: a recorder that was stopped hard leaves none
            raise AudioError("audio.unfinished" if self.head[4:8] == b"ftyp" else "audio.not_audio") from cause

    def claimed_duration_s(self, container: InputContainer, stream: AudioStream) -> float | None:
        """Seconds that the header promises, or None when it is silent or only guesses from the bit rate."""
        name = container.format.name
        if name in _GUESSING or (name == "mp3" and not self._has_mp3_length()):
            return None
        if name == "wav":
            return _riff_data_bytes(self.head) * 8 / (stream.codec_context.bit_rate or math.inf) or None
        if stream.duration is not None and stream.time_base is not None:
            return max(0.0, float(stream.duration * stream.time_base))
        return container.duration / av.time_base if container.duration else None

    def breaks_off(self, container: InputContainer) -> bool:
        """Is the file shorter than it says? For containers that FFmpeg lets end anywhere without a word."""
        name = container.format.name
        if name == "avi":
            return self.size_bytes < int.from_bytes(self.head[4:8], "little") + 8
        if name == "ogg":
            tail = self.peek(max(0, self.size_bytes - _OGG_PAGE_BYTES), _OGG_PAGE_BYTES)
            page = tail[max(0, tail.rfind(b"OggS")) :]  # 27 bytes, the last of them counts the lengths that follow
            lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
            return len(page) < 27 + len(lengths) + sum(lengths)
        return False

    def _has_mp3_length(self) -> bool:
        """Does the first frame, behind an ID3 tag with pictures or not, say how many there are?"""
        head = self.head
        if head[:3] == b"ID3":  # its size: 4 bytes of 7 bits
            size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
            head = self.peek(10 + size, _XING_BYTES)
        return any(mark in head[:_XING_BYTES] for mark in (b"Xing", b"Info", b"VBRI"))


def is_protected(stream: AudioStream) -> bool:
    try:
        return stream.codec_context.codec_tag in _PROTECTED_TAGS
    except UnicodeDecodeError:  # not letters: none of those that matter
        return False


def _riff_data_bytes(head: bytes) -> int:
    """Bytes of sound that a WAV's own header promises (FFmpeg would correct it by the file's size); 0: open."""
    place = 12
    while place + 8 <= len(head):
        name, size = head[place : place + 4], int.from_bytes(head[place + 4 : place + 8], "little")
        if name == b"data":
            return size if size < _OPEN_SIZE else 0
        place += 8 + size + size % 2
    return 0
