"""Who may open a vault: a random data key, wrapped by a key from a passphrase or from the system's key store.

Changing the passphrase wraps the same data key anew; nothing else is rewritten. The header that holds the wrapped key
carries a checksum, so that a wrong passphrase and a damaged header are told apart.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from jiyao.errors import VaultError
from jiyao.vault.cipher import KEY_BYTES, NONCE_BYTES

_MAGIC = b"\x9ejyH1\x00\xe7\x15"
_LENGTH = struct.Struct(">I")
_LONGEST = 4096
_WRAPPED = b"jiyao vault key 1"
_SERVICE = "jiyao vault"
_LOG2_N = range(10, 23)  # 2^23 would ask for 8 GB: a header saying so is not ours
_GOOD_PRIORITY = 1  # keyring's own measure: below it are backends that keep secrets badly, or not at all


@dataclass(frozen=True)
class Passphrase:
    """What a person remembers. `log2_n`: cost of scrypt when the key is wrapped; 17 takes 128 MiB and about 0.25 s,
    OWASP's least for scrypt (Password Storage Cheat Sheet)."""

    text: str = field(repr=False)
    log2_n: int = 17

    def derive(self, salt: bytes, log2_n: int) -> bytes:
        # one passphrase, however a keyboard composes it; full-width letters of Chinese input methods included
        entered = unicodedata.normalize("NFKC", self.text).encode("utf-8", "surrogatepass")
        return Scrypt(salt=salt, length=KEY_BYTES, n=1 << log2_n, r=8, p=1).derive(entered)


@dataclass(frozen=True)
class Keyring:
    """The key store of the operating system: Windows Credential Locker, macOS Keychain, Secret Service, KWallet.

    Reaching it may open a connection to a local service (D-Bus on Linux) and a window that asks for a password.
    """


Key = Passphrase | Keyring
Way = Literal["passphrase", "keyring"]


@dataclass(frozen=True)
class Header:
    """All that stands in clear: format, which data key, how to get at it. `entry`: its name in the key store."""

    version: int
    key_id: str
    way: Way
    nonce: str
    wrapped: str
    salt: str = ""
    log2_n: int = 0
    entry: str = ""

    def to_bytes(self) -> bytes:
        content = json.dumps(self.__dict__, sort_keys=True).encode()
        return _MAGIC + _LENGTH.pack(len(content)) + content + hashlib.sha256(content).digest()


def headers_in(raw: bytes) -> Iterator[Header]:
    """Every undamaged header in these bytes: a row's value, or a whole file whose structure is gone."""
    for found in re.finditer(re.escape(_MAGIC), raw):
        start = found.end() + _LENGTH.size
        if start > len(raw):
            continue
        length = min(_LENGTH.unpack_from(raw, found.end())[0], _LONGEST)
        content = raw[start : start + length]
        if hashlib.sha256(content).digest() == raw[start + length : start + length + 32]:
            known: dict[str, Any] = json.loads(content)
            yield Header(**{name: known[name] for name in Header.__dataclass_fields__ if name in known})


def new_data_key() -> bytes:
    return os.urandom(KEY_BYTES)


def wrap(data_key: bytes, key: Key, version: int, key_id: str | None = None) -> Header:
    """A header under which `key` opens the vault. With Keyring, a new entry is made there first.

    Raises VaultError: empty passphrase, no key store, key store refuses.
    """
    key_id = key_id or os.urandom(8).hex()
    nonce = os.urandom(NONCE_BYTES)
    if isinstance(key, Passphrase):
        if not key.text:
            raise VaultError("vault.empty_passphrase")
        salt = os.urandom(16)
        wrapped = AESGCM(key.derive(salt, key.log2_n)).encrypt(nonce, data_key, _bound(key_id))
        return Header(version, key_id, "passphrase", nonce.hex(), wrapped.hex(), salt.hex(), key.log2_n)
    entry, secret = os.urandom(8).hex(), os.urandom(KEY_BYTES)
    wrapped = AESGCM(secret).encrypt(nonce, data_key, _bound(key_id))
    _ask_store("set", entry, secret.hex())
    if _ask_store("get", entry) != secret.hex():  # a store that forgets would lock the person out for good
        raise VaultError("vault.keyring_refused", reason="it does not give back what was put in")
    return Header(version, key_id, "keyring", nonce.hex(), wrapped.hex(), entry=entry)


def unwrap(header: Header, key: Key) -> bytes:
    """The data key. Raises VaultError: wrong passphrase, the other kind of key, key store missing or without it."""
    if isinstance(key, Passphrase):
        if header.way != "passphrase":
            raise VaultError("vault.needs_keyring")
        if header.log2_n not in _LOG2_N:
            raise VaultError("vault.damaged")
        secret = key.derive(bytes.fromhex(header.salt), header.log2_n)
    else:
        if header.way != "keyring":
            raise VaultError("vault.needs_passphrase")
        known = _ask_store("get", header.entry)
        if not known:
            raise VaultError("vault.keyring_lost")
        secret = bytes.fromhex(known)
    try:
        return AESGCM(secret).decrypt(bytes.fromhex(header.nonce), bytes.fromhex(header.wrapped), _bound(header.key_id))
    except InvalidTag as cause:
        raise VaultError("vault.wrong_passphrase" if header.way == "passphrase" else "vault.keyring_lost") from cause


def forget(header: Header) -> bool:
    """Delete the header's entry from the key store, if it has one; False where the store would not."""
    try:
        if header.way == "keyring" and _ask_store("get", header.entry):
            _ask_store("delete", header.entry)
    except VaultError:
        return False
    return True


def _bound(key_id: str) -> bytes:
    return _WRAPPED + bytes.fromhex(key_id)


def _ask_store(what: Literal["get", "set", "delete"], entry: str, secret: str = "") -> str | None:
    """Raises VaultError where there is no trustworthy key store, or where it refuses."""
    if sys.platform != "darwin":
        # keyring looks for Apple's store on every system, by starting compilers: the seal would refuse and count that
        sys.modules.setdefault("keyring.backends.macOS.api", None)  # type: ignore[arg-type]
    import keyring  # 40 ms, and it looks for backends: only when somebody wants it
    from keyring.errors import KeyringError, NoKeyringError

    try:
        store = keyring.get_keyring()
        if store.priority < _GOOD_PRIORITY:
            raise NoKeyringError
        if what == "set":
            store.set_password(_SERVICE, entry, secret)
        elif what == "delete":
            store.delete_password(_SERVICE, entry)
        else:
            return store.get_password(_SERVICE, entry)
    except NoKeyringError as cause:
        raise VaultError("vault.no_keyring") from cause
    except KeyringError as cause:
        raise VaultError("vault.keyring_refused", reason=str(cause) or type(cause).__name__) from cause
    except Exception as cause:  # backends let D-Bus, COM and Security.framework errors through
        raise VaultError("vault.keyring_refused", reason=type(cause).__name__) from cause
    return None
