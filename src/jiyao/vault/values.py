"""Sealed values by kind, recording and name: `Store` knows rows, `Cipher` knows pieces, this knows whole values."""

from __future__ import annotations

from typing import Any

from jiyao.vault.cipher import Cipher, Damaged, Json, Slot, join, split
from jiyao.vault.store import Store


class Values:
    """Values of a vault. `tag`: the recording's, 16 bytes; `name`: what tells values of a kind apart. Within a
    transaction, or a reading; raises VaultError as `Store` does."""

    def __init__(self, store: Store, cipher: Cipher) -> None:
        self._store, self._cipher = store, cipher

    def put(self, kind: int, tag: bytes, value: Json, *name: str | int) -> None:
        named = self._cipher.tag(*name)
        slots = [(Slot(kind, tag, named, number), piece) for number, piece in enumerate(split(value))]
        self._store.put([(slot, self._cipher.seal(slot, piece)) for slot, piece in slots])

    def remove(self, kind: int, tag: bytes, *name: str | int) -> None:
        self._store.remove(Slot(kind, tag, self._cipher.tag(*name)).of_value())

    def remove_all(self, kind: int, tag: bytes) -> None:
        self._store.remove(_prefix(kind, tag))

    def count(self, kind: int, tag: bytes) -> int:
        """How many there are, damaged ones too."""
        return self._store.count(_prefix(kind, tag))

    def one(self, kind: int, tag: bytes) -> Json:
        """The only value of its kind, None if there is none. Raises Damaged."""
        values, damaged = self.all(kind, tag)
        if damaged:
            raise Damaged
        return values[0] if values else None

    def all(self, kind: int, tag: bytes) -> tuple[list[Any], int]:
        """All values of a kind, and how many cannot be read."""
        return self._under(_prefix(kind, tag))

    def damaged(self) -> int:
        """How many values of the whole vault cannot be read."""
        return self._under(b"")[1]

    def remove_damaged(self, kind: int, tag: bytes) -> None:
        """Remove what cannot be read."""
        for value, rows in self._groups(_prefix(kind, tag)).items():
            if self._read(rows) is None:
                self._store.remove(value)

    def _under(self, prefix: bytes) -> tuple[list[Any], int]:
        read = [self._read(rows) for rows in self._groups(prefix).values()]
        values = [found[0] for found in read if found]
        return values, len(read) - len(values)

    def _groups(self, prefix: bytes) -> dict[bytes, list[tuple[object, object]]]:
        """Rows by value: how the slots of a value begin → its rows in their order."""
        groups: dict[bytes, list[tuple[object, object]]] = {}
        for slot, sealed in self._store.rows(prefix):
            groups.setdefault(slot[:-2] if isinstance(slot, bytes) else b"", []).append((slot, sealed))
        return groups

    def _read(self, rows: list[tuple[object, object]]) -> tuple[Any] | None:
        """The value of these rows, None where it is damaged."""
        try:
            return (join([self._cipher.unseal(Slot.from_bytes(slot), sealed) for slot, sealed in rows]),)
        except Damaged:
            return None


def _prefix(kind: int, tag: bytes) -> bytes:
    return bytes([kind]) + tag
