"""The recording as a player hears it: exact PCM behind a WAV header that stands nowhere, and its peaks for a picture.

In:  a job. Out: bytes, by ranges (RFC 9110 section 14), in small pieces. Every browser seeks exactly in plain PCM; in
MP3 with a variable rate they miss by up to minutes.
"""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from jiyao.api.answers import Door, in_thread
from jiyao.errors import JiyaoError, UsageError
from jiyao.jobs import Jobs
from jiyao.jobs.incoming import wav_header
from jiyao.memory import SAMPLE_BYTES
from jiyao.pipeline import Sound

_PIECE = 256 << 10
_BLOCK = 1 << 20  # samples looked at in one go
_MOST_PEAKS = 20_000
_PICTURES = 32
_FULL = 32768
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class _Gone(Exception):
    """The recording was wiped while it was being sent."""


class Peaks:
    """Pictures of recordings, as many buckets as a page is wide; a few are remembered."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], bytes] = {}

    def get(self, job: str, count: int) -> bytes:
        """The loudest sample of each of `count` stretches, 0…255, square root. UsageError before it is decoded."""
        with self._lock:
            found = self._known.get((job, count))
        if found is None:
            found = self._made(job, count)
            with self._lock:
                while len(self._known) >= _PICTURES:
                    del self._known[next(iter(self._known))]
                self._known[job, count] = found
            try:
                self._jobs.get(job)
            except UsageError:  # removed meanwhile
                self.forget(job)
                raise
        return found

    def forget(self, job: str) -> None:
        with self._lock:
            for key in [key for key in self._known if key[0] == job]:
                del self._known[key]

    def _made(self, job: str, count: int) -> bytes:
        n_samples = pcm_size(self._jobs, job) // SAMPLE_BYTES
        edges = np.linspace(0, n_samples, count + 1).astype(np.int64)
        loudest = np.zeros(count)
        first = 0
        while first < count and n_samples:
            last = max(first + 1, int(np.searchsorted(edges, edges[first] + _BLOCK, "right")) - 1)
            last = min(last, count)
            start, stop = int(edges[first]), int(edges[last])
            pcm = np.frombuffer(self._jobs.pcm_bytes(job, start * SAMPLE_BYTES, stop * SAMPLE_BYTES), "<i2")
            if len(pcm):
                inside = np.minimum(edges[first:last] - start, len(pcm) - 1)  # an empty stretch shows its neighbour
                high, low = np.maximum.reduceat(pcm, inside), np.minimum.reduceat(pcm, inside)
                loudest[first:last] = np.maximum(high.astype(np.int32), -low.astype(np.int32))
            first = last
        scaled = np.rint(255 * np.sqrt(np.minimum(loudest / _FULL, 1)))
        return bytes(scaled.astype(np.uint8))


def pcm_size(jobs: Jobs, job: str, sound: Sound = "pcm") -> int:
    """Bytes of the decoded recording. Raises UsageError for a job that is not there, or not decoded; for a sound that
    there is not of it."""
    view = jobs.get(job)
    size = next((entry.size_bytes for entry in jobs.memory() if (entry.job, entry.kind) == (job, sound)), None)
    if size is None or not view.has_audio:
        raise UsageError("jobs.no_audio", name=view.name)
    return size


@dataclass(frozen=True)
class Stretch:
    """Bytes `start` … `stop` of `total`; `partial`: only they were asked for."""

    start: int
    stop: int
    total: int
    partial: bool


def stretch_of(asked: str | None, total: int) -> Stretch | None:
    """What a Range header asks for: several ranges, or no sense, count as none. None: it lies outside."""
    match = _RANGE.fullmatch(asked.strip()) if asked else None
    if match is None or match.group() == "bytes=-":
        return Stretch(0, total, total, False)
    first, last = match.groups()
    if not first:
        start, stop = max(0, total - int(last)), total
    else:
        start, stop = int(first), min(total, int(last) + 1) if last else total
        if last and int(last) < int(first):
            return Stretch(0, total, total, False)
    return Stretch(start, stop, total, True) if start < stop else None


class Wav(StreamingResponse):
    """The stretch of a job's WAV. A player that seeks hangs up at once; so does the reading then."""

    def __init__(self, jobs: Jobs, job: str, sound: Sound, header: bytes, stretch: Stretch) -> None:
        headers = {
            "Content-Length": str(stretch.stop - stretch.start),
            "Accept-Ranges": "bytes",
            "Cache-Control": "no-store",
            "ETag": etag(job, sound),
        }
        if stretch.partial:
            headers["Content-Range"] = f"bytes {stretch.start}-{stretch.stop - 1}/{stretch.total}"
        super().__init__(
            _pieces(jobs, job, sound, header, stretch), 206 if stretch.partial else 200, headers, "audio/wav"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except _Gone:
            return  # the connection is closed: what was promised cannot come


async def _pieces(jobs: Jobs, job: str, sound: Sound, header: bytes, stretch: Stretch) -> AsyncIterator[bytes]:
    if stretch.start < len(header):
        yield header[stretch.start : stretch.stop]
    place = max(stretch.start, len(header))
    while place < stretch.stop:
        end = min(place + _PIECE, stretch.stop)
        try:
            piece = await in_thread(jobs.pcm_bytes, job, place - len(header), end - len(header), sound)
        except JiyaoError:
            raise _Gone from None
        yield piece
        place = end


def etag(job: str, sound: Sound) -> str:
    """A recording never changes under its job."""
    return f'"{job}-{sound}"'


def routes(jobs: Jobs, peaks: Peaks) -> list[BaseRoute]:
    async def audio(request: Request) -> Response:
        job = request.path_params["job"]
        raw = request.query_params.get("sound", "pcm")
        if raw not in get_args(Sound):
            raise UsageError("web.bad_field", name="sound")
        sound = cast(Sound, raw)
        size = await in_thread(pcm_size, jobs, job, sound)
        header = wav_header(size)
        total = len(header) + size
        # a part of what was something else before would be noise
        tag = etag(job, sound)
        same = request.headers.get("if-range", tag) == tag
        stretch = stretch_of(request.headers.get("range") if same else None, total)
        if stretch is None:
            headers = {"Content-Range": f"bytes */{total}", "Accept-Ranges": "bytes", "Cache-Control": "no-store"}
            return Response(status_code=416, headers=headers)
        response = Wav(jobs, job, sound, header, stretch)
        return Response(None, response.status_code, dict(response.headers)) if request.method == "HEAD" else response

    async def picture(request: Request) -> Response:
        raw = request.query_params.get("count", "1000")
        count = int(raw) if raw.isascii() and raw.isdigit() else 0
        if not 0 < count <= _MOST_PEAKS:
            raise UsageError("web.bad_field", name="count")
        found = await in_thread(peaks.get, request.path_params["job"], count)
        return Response(found, headers={"Cache-Control": "no-store"}, media_type="application/octet-stream")

    return [
        Route("/api/jobs/{job}/audio.wav", Door(GET=audio)),
        Route("/api/jobs/{job}/peaks", Door(GET=picture)),
    ]
