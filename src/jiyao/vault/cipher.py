"""Values to sealed bytes and back: JSON → deflate → pieces of padded size → AES-256-GCM, bound to their slot.

A sealed piece stands in the file as  MAGIC ‖ length u32 ‖ slot ‖ nonce ‖ ciphertext and tag.  Mark, length and slot are
there for `rescue`: with them a piece is found and proved in a file whose structure is gone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Json = Any  # what `json` writes and reads

KEY_BYTES = 32
NONCE_BYTES = 12  # random: one key may seal 2^32 values before two nonces are likely to meet (SP 800-38D, 8.3)
MAGIC = b"\x9ejyV1\x00\xf3\x1c"
NOBODY = bytes(16)  # the recording of what belongs to none

_BOUND = b"jiyao vault value 1"
_LENGTH = struct.Struct(">I")
_SLOT = struct.Struct(">B16s16sH")
_FRAME = struct.Struct(">HIQ")  # pieces of the value, bytes in this one, when it was written (ns)
_PIECE = 8 * 1024  # with all its wrapping far below what SQLite keeps on one page: never split, so found whole
_STEP = 512  # bytes: a length tells little about a text
_LONGEST = _SLOT.size + NONCE_BYTES + _PIECE + _STEP + _FRAME.size + 16


class Damaged(Exception):
    """A sealed value is not what was written at this place."""


@dataclass(frozen=True, order=True)
class Slot:
    """A value's place: kind 0…255, the recording's tag and the value's own tag (16 bytes each), which piece of it."""

    kind: int
    recording: bytes
    name: bytes
    piece: int = 0

    def to_bytes(self) -> bytes:
        return _SLOT.pack(self.kind, self.recording, self.name, self.piece)

    def of_value(self) -> bytes:
        """How the slots of all pieces of this value begin."""
        return self.to_bytes()[:-2]

    @classmethod
    def from_bytes(cls, raw: object) -> Slot:
        """Raises Damaged for anything that `to_bytes` does not make."""
        if not isinstance(raw, bytes) or len(raw) != _SLOT.size:
            raise Damaged
        return cls(*_SLOT.unpack(raw))


@dataclass(frozen=True)
class Piece:
    """A part of a value: one of `pieces`, written at `written_ns` (orders two copies that `rescue` finds)."""

    pieces: int
    written_ns: int
    content: bytes


class Cipher:
    """The data key at work, through two keys derived from it. Safe to share between threads."""

    def __init__(self, data_key: bytes) -> None:
        self._aead = AESGCM(_derived(data_key, b"values"))
        self._tag_key = _derived(data_key, b"lookup")

    def tag(self, *parts: str | int) -> bytes:
        """16 bytes that name something without saying what: HMAC-SHA256 of the parts, cut."""
        message = json.dumps(parts).encode()
        return hmac.new(self._tag_key, message, hashlib.sha256).digest()[:16]

    def seal(self, slot: Slot, piece: Piece) -> bytes:
        plain = _FRAME.pack(piece.pieces, len(piece.content), piece.written_ns) + piece.content
        plain += bytes(-len(plain) % _STEP)
        place, nonce = slot.to_bytes(), os.urandom(NONCE_BYTES)
        body = place + nonce + self._aead.encrypt(nonce, plain, _BOUND + place)
        return MAGIC + _LENGTH.pack(len(body)) + body

    def unseal(self, slot: Slot, sealed: object) -> Piece:
        """Raises Damaged for anything but what was sealed for this very slot."""
        head = len(MAGIC) + _LENGTH.size + _SLOT.size
        if not isinstance(sealed, bytes) or not sealed.startswith(MAGIC) or len(sealed) < head + NONCE_BYTES:
            raise Damaged
        nonce = sealed[head : head + NONCE_BYTES]
        try:
            plain = self._aead.decrypt(nonce, sealed[head + NONCE_BYTES :], _BOUND + slot.to_bytes())
        except InvalidTag as cause:
            raise Damaged from cause
        pieces, length, written_ns = _FRAME.unpack_from(plain)
        return Piece(pieces, written_ns, plain[_FRAME.size : _FRAME.size + length])


def split(value: Json) -> list[Piece]:
    """A value as the pieces it is kept in. Lone surrogates, which file names may hold, survive."""
    packed = zlib.compress(json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii"), 6)
    parts = [packed[start : start + _PIECE] for start in range(0, len(packed), _PIECE)]
    now = time.time_ns()
    return [Piece(len(parts), now, part) for part in parts]


def join(pieces: list[Piece]) -> Json:
    """The inverse of `split`. Raises Damaged where pieces are missing or of different values."""
    if not pieces or any((p.pieces, p.written_ns) != (len(pieces), pieces[0].written_ns) for p in pieces):
        raise Damaged
    return json.loads(zlib.decompress(b"".join(piece.content for piece in pieces)))


def scan(raw: bytes) -> Iterator[tuple[Slot, bytes]]:
    """Whatever looks like a sealed piece in a file's bytes: (slot it claims, sealed). Only `unseal` proves it."""
    at = raw.find(MAGIC)
    while at >= 0:
        body = at + len(MAGIC) + _LENGTH.size
        if len(raw) - body > _SLOT.size:
            length = _LENGTH.unpack_from(raw, at + len(MAGIC))[0]
            if _SLOT.size + NONCE_BYTES < length <= _LONGEST:
                yield Slot.from_bytes(raw[body : body + _SLOT.size]), raw[at : body + length]
        at = raw.find(MAGIC, at + 1)


def _derived(data_key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"jiyao vault " + purpose).derive(data_key)
