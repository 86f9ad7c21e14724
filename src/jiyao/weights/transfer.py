"""HTTP with the standard library: who answers at all, and downloads that go on where they stopped.

Proxies and certificates come from the user's environment, as urllib reads it. Reasons are short English fragments:
they stand in progress notes and inside error sentences.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

CHUNK_BYTES = 1 << 20
_READ_BYTES = 1 << 18
_MAX_CUTS = 20  # a connection that breaks again and again still gets there, as long as each try brings bytes
_SLOWEST_BYTES_PER_S = 256  # below this a server only pretends to send

# ModelScope answers 404 to clients that do not look like a browser
_HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; jiyao)", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Limits:
    """Patience in seconds: for a first answer of a host, for the next bytes, for pip as a whole."""

    connect_s: float = 4.0
    stall_s: float = 20.0
    index_s: float = 1800.0


class SourceDownError(Exception):
    """The source as a whole does not work now; its text is the reason."""


class FileFailedError(Exception):
    """The source does not have this one file in the right form; its text is the reason."""


class _CutError(Exception):
    """The connection ended early; what arrived is kept."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


class Reach:
    """Which hosts answer. Each is asked once, all at the same time: several dead ones cost one wait together."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._answers: dict[str, list[str]] = {}  # root -> [] while asking, then [reason] or [""]
        self._asking: dict[str, threading.Thread] = {}
        self._deadline = 0.0

    def ask(self, urls: Iterable[str]) -> None:
        """Start asking the hosts of `urls` that have not been asked yet."""
        # name lookup obeys no timeout of ours, hence threads that may be left behind
        self._deadline = time.monotonic() + self._limits.connect_s + 1.0
        for root in sorted({_root(url) for url in urls} - set(self._answers)):
            self._answers[root] = []
            thread = threading.Thread(target=self._probe, args=(root,), name=f"probe {root}", daemon=True)
            self._asking[root] = thread
            thread.start()

    def trouble(self, url: str) -> str | None:
        """None if the host of `url` answers, else why not, e.g. `huggingface.co unreachable: timed out`."""
        root = _root(url)
        if root not in self._answers:
            self.ask([url])
        self._asking[root].join(max(0.0, self._deadline - time.monotonic()))
        answer = (self._answers[root] or ["no answer"])[0]
        return f"{urlsplit(root).netloc} unreachable: {answer}" if answer else None

    def _probe(self, root: str) -> None:
        request = urllib.request.Request(root + "/", headers=_HEADERS, method="HEAD")
        try:
            with urllib.request.build_opener(_NoRedirects).open(request, timeout=self._limits.connect_s):
                answer = ""
        except urllib.error.HTTPError as refusal:
            refusal.close()
            answer = ""  # whatever it says, somebody is there
        except (OSError, http.client.HTTPException, ValueError) as cause:
            answer = _reason(cause)
        self._answers[root].append(answer)


def download(
    url: str, part: Path, size_bytes: int, sha256: str | None, limits: Limits, tick: Callable[[int], None]
) -> str:
    """Fetch `url` into `part`, going on from what is already there; returns the SHA-256 of the complete file.

    `tick` gets the bytes done. Raises FileFailedError (wrong size or bytes: `part` is gone; or not there),
    SourceDownError (`part` stays for the next try), and OSError if this computer's own disk fails.
    """
    cuts = 0
    restarted = False
    while True:
        held = part.stat().st_size if part.exists() else 0
        try:
            actual = _attempt(url, part, size_bytes, limits, tick)
        except _CutError as cut:
            grown = part.exists() and part.stat().st_size > held
            cuts += 1
            if not grown or cuts > _MAX_CUTS:
                raise SourceDownError(str(cut)) from cut
            continue
        if sha256 is None or actual == sha256:
            return actual
        part.unlink()
        if held == 0 or restarted:
            raise FileFailedError("wrong bytes (SHA-256 differs)")
        restarted = True  # the bytes held from before may be the wrong ones: once from the start


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises OSError."""
    digest = hashlib.sha256()
    _feed(path, digest.update)
    return digest.hexdigest()


def _feed(path: Path, update: Callable[[bytes], object]) -> int:
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            update(chunk)
            done += len(chunk)
    return done


def _attempt(url: str, part: Path, size_bytes: int, limits: Limits, tick: Callable[[int], None]) -> str:
    if part.exists() and part.stat().st_size > size_bytes:
        part.unlink()
    digest = hashlib.sha256()
    done = _feed(part, digest.update) if part.exists() else 0
    if done == size_bytes:
        return digest.hexdigest()
    with _open(url, done, part, limits) as response:
        if response.status == 200 and done:  # it does not know ranges: from the start
            digest, done = hashlib.sha256(), 0
        _check_head(response, done, size_bytes)
        with part.open("ab" if done else "wb") as file:
            tick(done)
            since, done_then = time.monotonic(), done
            while chunk := _read(response):
                done += len(chunk)
                if done > size_bytes:
                    break
                file.write(chunk)
                digest.update(chunk)
                tick(done)
                waited = time.monotonic() - since
                if waited > limits.stall_s:
                    if done - done_then < _SLOWEST_BYTES_PER_S * waited:
                        raise SourceDownError("too slow")
                    since, done_then = time.monotonic(), done
            file.flush()
            os.fsync(file.fileno())
    if done > size_bytes:
        part.unlink()
        raise FileFailedError(f"larger than the pinned {size_bytes} bytes")
    if done < size_bytes:
        raise _CutError(f"connection cut at {done} of {size_bytes} bytes")
    return digest.hexdigest()


def _open(url: str, done: int, part: Path, limits: Limits) -> http.client.HTTPResponse:
    headers = {**_HEADERS, "Range": f"bytes={done}-"} if done else _HEADERS
    try:
        request = urllib.request.Request(url, headers=headers)
        response: http.client.HTTPResponse = urllib.request.build_opener().open(request, timeout=limits.stall_s)
        return response
    except urllib.error.HTTPError as refusal:
        refusal.close()
        if refusal.code == 416 and done:  # what is held is not the beginning of this file
            part.unlink()
            return _open(url, 0, part, limits)
        if refusal.code == 429 or refusal.code >= 500:
            raise SourceDownError(f"HTTP {refusal.code}") from refusal
        raise FileFailedError(f"HTTP {refusal.code}") from refusal
    except (OSError, http.client.HTTPException, ValueError) as cause:
        raise SourceDownError(_reason(cause)) from cause


def _check_head(response: http.client.HTTPResponse, done: int, size_bytes: int) -> None:
    """Refuse early what cannot become the pinned file, before gigabytes arrive."""
    encoding = response.headers.get("Content-Encoding", "identity")
    if response.status not in (200, 206) or encoding != "identity":
        raise FileFailedError(f"HTTP {response.status}, encoding {encoding}")
    span = response.headers.get("Content-Range", "")
    if response.status == 206 and not span.startswith(f"bytes {done}-"):
        raise FileFailedError(f"wrong range {span!r}")
    length = response.headers.get("Content-Length")
    if length is not None and length != str(size_bytes - done):
        raise FileFailedError(f"{length} bytes offered, {size_bytes - done} expected")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_READ_BYTES)
    except (OSError, http.client.HTTPException) as cause:
        raise _CutError(_reason(cause)) from cause


def _root(url: str) -> str:
    address = urlsplit(url)
    return f"{address.scheme}://{address.netloc}"


def _reason(cause: BaseException) -> str:
    inner: Any = cause.reason if isinstance(cause, urllib.error.URLError) else cause
    if isinstance(inner, TimeoutError):
        return "timed out"
    with suppress(AttributeError):
        if inner.strerror:
            return str(inner.strerror)
    return str(inner) or type(inner).__name__
