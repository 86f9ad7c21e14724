"""When SQLite can no longer read the file, and when nobody shall: `rescue` and `erase`. With no Vault open here.

Sealed pieces carry their own place, so they are found in the bare bytes, and the seal proves them: whatever the rest
of the file looks like, only what was itself hit is lost.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from jiyao.errors import VaultError
from jiyao.messages import Language, say
from jiyao.vault import keys
from jiyao.vault.cipher import Cipher, Damaged, Slot, scan
from jiyao.vault.keys import Key
from jiyao.vault.store import FILE_NAME, JOURNAL, Store, current_version, overwrite, translated

_RESCUED = "vault.rescued.sqlite3"
_OURS = (f"{FILE_NAME}*", f"{_RESCUED}*", "vault.damaged-*.sqlite3*")


@dataclass(frozen=True)
class Rescued:
    """`values`: how many were found whole; `unreadable`: pieces that were found and are damaged (those that are not
    found at all: `Vault.check`); `damaged_file`: the file as it was."""

    values: int
    unreadable: int
    damaged_file: Path


@dataclass(frozen=True)
class Erased:
    """`files`: how many were overwritten and removed; `key_forgotten`: False where the key store kept its entry."""

    files: int
    key_forgotten: bool

    def message(self, language: Language = "en") -> str:
        if self.key_forgotten:
            return say("vault.erased", language, count=self.files)
        return say("vault.erased_key_stays", language, count=self.files)


def rescue(folder: Path, key: Key, busy_s: float = 5.0) -> Rescued:
    """Make a sound vault of all that is whole in a damaged one, same key, same content; the damaged file stays beside.

    Raises VaultError: wrong passphrase, beyond rescue (both copies of the header hit), newer, full disk, in use.
    """
    path = folder / FILE_NAME
    _refuse_if_used(path, busy_s)  # before reading: it rolls back what a crash left half-written
    with translated(path):
        raw = path.read_bytes()
    headers = list(keys.headers_in(raw))
    if not headers:
        raise VaultError("vault.beyond_rescue", path=path)
    header = headers[0]
    if header.version > current_version():
        raise VaultError("vault.newer", version=header.version, known=current_version())
    cipher = Cipher(keys.unwrap(header, key))
    values, unreadable = _sound(raw, cipher)
    fresh = folder / _RESCUED
    with translated(fresh):
        for leftover in folder.glob(f"{_RESCUED}*"):
            leftover.unlink()
        os.close(os.open(fresh, os.O_CREAT | os.O_WRONLY, 0o600))
    store = Store(fresh, busy_s)
    try:
        with store.transaction():
            store.migrate(cipher, 0, header.version)
            store.write_header(header)
            store.insert(row for rows in values for row in rows)
    finally:
        store.close()
    with translated(path):
        return Rescued(len(values), unreadable, _exchange(path, fresh))


def erase(folder: Path, busy_s: float = 5.0) -> Erased:
    """Everything, and the key first: what is wrapped by a key that is gone stays unreadable, wherever copies lie.

    Needs no key: a forgotten passphrase must not keep a person from it. Another process that has the vault open is
    told so at its next write. Raises VaultError: in use, not to be written.
    """
    path = folder / FILE_NAME
    files = sorted({file for pattern in _OURS for file in folder.glob(pattern)})
    headers = set()
    for file in files:
        with translated(file):
            headers |= set(keys.headers_in(file.read_bytes()))
    if path in files:
        _empty(path, busy_s)
    forgotten = all([keys.forget(header) for header in headers])
    for file in sorted({file for pattern in _OURS for file in folder.glob(pattern)}):
        with translated(file):
            overwrite(file)
            file.unlink()
    return Erased(len(files), forgotten)


def _empty(path: Path, busy_s: float) -> None:
    """Through SQLite first, so that other processes see it. A damaged file cannot be, and is overwritten anyway."""
    try:
        store = Store(path, busy_s)
        try:
            with store.transaction():
                store.clear()
        finally:
            store.close()
    except VaultError as error:
        if error.key in ("vault.busy", "vault.read_only"):
            raise


def _refuse_if_used(path: Path, busy_s: float) -> None:
    if not path.exists():
        raise VaultError("vault.absent", folder=path.parent)
    try:
        store = Store(path, busy_s)
    except VaultError as error:
        if error.key == "vault.busy":
            raise
    else:
        store.close()


def _sound(raw: bytes, cipher: Cipher) -> tuple[list[list[tuple[Slot, bytes]]], int]:
    """Every whole value in these bytes as its rows, and how many pieces are damaged.

    A value that was written again may stand there twice, the old one in a gap: the later counts.
    """
    found: dict[bytes, dict[int, dict[int, tuple[Slot, bytes]]]] = {}  # value → when written → piece → row
    wanted: dict[tuple[bytes, int], int] = {}
    hurt: set[Slot] = set()
    for slot, sealed in scan(raw):
        try:
            piece = cipher.unseal(slot, sealed)
        except Damaged:
            hurt.add(slot)
            continue
        value = slot.of_value()
        found.setdefault(value, {}).setdefault(piece.written_ns, {})[slot.piece] = (slot, sealed)
        wanted[value, piece.written_ns] = piece.pieces
    whole = []
    for value, writings in found.items():
        complete = [when for when, rows in writings.items() if set(rows) == set(range(wanted[value, when]))]
        if complete:
            whole.append([row for _, row in sorted(writings[max(complete)].items())])
    kept = {slot for rows in whole for slot, _ in rows}
    return whole, len(hurt - kept)


def _exchange(path: Path, fresh: Path) -> Path:
    """The fresh file in place of the damaged one, which is copied first: at no moment is there none."""
    taken = {file.name for file in path.parent.glob("vault.damaged-*.sqlite3")}
    number = next(n for n in range(1, len(taken) + 2) if f"vault.damaged-{n}.sqlite3" not in taken)
    aside = path.with_name(f"vault.damaged-{number}.sqlite3")
    journal = path.with_name(path.name + JOURNAL)
    for source, target in ((path, aside), (journal, aside.with_name(aside.name + JOURNAL))):
        if source.exists():
            shutil.copy2(source, target)
            with target.open("r+b") as file:
                os.fsync(file.fileno())
    if journal.exists():  # SQLite would roll the old file's pages into the new one
        overwrite(journal)
        journal.unlink()
    os.replace(fresh, path)
    return aside
