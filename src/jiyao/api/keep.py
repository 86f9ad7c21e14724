"""Keeping texts: the vault, opened when a person wants it, by the system's key store or by a passphrase.

In:  a folder, the jobs. Out: texts that are kept from now on, and those that are kept already.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from jiyao import glossary, seal, vault
from jiyao.api import wire
from jiyao.errors import UsageError, VaultError
from jiyao.glossary import Glossary
from jiyao.jobs import Jobs
from jiyao.speakers import Likeness
from jiyao.vault import Kept, Keyring, Passphrase, Vault

_STORE_IS_NO_USE = ("vault.no_keyring", "vault.keyring_refused")
_TERMS = "desk"  # the name of the set of terms that the page's box holds
_LONGEST_NAME = 60  # characters
_MOST_SETS = 200


class Keep:
    """Any thread may call anything. An opened vault stays open until `close`: jobs may still write to it."""

    def __init__(self, home: Path, jobs: Jobs) -> None:
        self._folder = home / "vault"
        self._jobs = jobs
        self._lock = threading.Lock()
        self._vault: Vault | None = None
        self._on = False

    def state(self) -> wire.Json:
        return {
            "on": self._on,
            "available": True,
            "exists": vault.exists(self._folder),
            "open": self._vault is not None,
        }

    def switch(self, on: bool, passphrase: str | None) -> wire.Json:
        """Keep what begins from now on, or no longer. Where a passphrase is needed first, the answer says so, and
        whether it would be a new one. Raises VaultError."""
        with self._lock:
            if not on:
                self._on = False
                self._jobs.keep(None)
                return {"on": False}
            try:
                opened = self._opened(passphrase)
            except VaultError as error:
                new = error.key in _STORE_IS_NO_USE and not vault.exists(self._folder)
                if passphrase is not None or not (new or error.key == "vault.needs_passphrase"):
                    raise
                return {"on": False, "needs_passphrase": True, "new": new}
            self._jobs.keep(opened)
            self._on = True
            return {"on": True}

    def _opened(self, passphrase: str | None, create: bool = True) -> Vault:
        """Held."""
        if self._vault is None:
            with contextlib.suppress(RuntimeError):  # this process is not sealed: nothing forbids it
                seal.allow(self._folder)
            key = Keyring() if passphrase is None else Passphrase(passphrase)
            self._vault = Vault.open(self._folder, key, create=create)
        return self._vault

    # what is kept

    def recordings(self) -> list[wire.Json]:
        """Nothing where there is no vault. Raises VaultError where it cannot be opened without a passphrase."""
        if not vault.exists(self._folder):
            return []
        return [_told(kept) for kept in self.vault().recordings()]

    def vault(self) -> Vault:
        """Raises VaultError: absent, needs a passphrase, …"""
        with self._lock:
            return self._opened(None, create=False)

    def terms(self) -> str | None:
        """What stood in the page's box; None: nothing is kept."""
        return self._vault.terms().get(_TERMS) if self._on and self._vault is not None else None

    def keep_terms(self, text: str) -> None:
        """What stands in the page's box."""
        if self._on and self._vault is not None:
            self._vault.keep_terms(_TERMS, text)

    # named sets of terms, as texts

    @property
    def has_sets(self) -> bool:
        """Whether there is a place for them."""
        return self._on and self._vault is not None

    def sets(self) -> dict[str, str]:
        """Name → text, by name; the page's box is none of them. Raises UsageError while nothing is kept."""
        found = self._for_sets().terms()
        return {name: found[name] for name in sorted(found) if name != _TERMS}

    def keep_set(self, name: str, text: str) -> Glossary:
        """Add a set, or replace the one of this name. Raises UsageError: a mistake in the text, no name for a set, too
        many of them; VaultError."""
        terms = glossary.parse(text)
        if name == _TERMS or not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
            raise UsageError("terms.bad_set_name", name=name[:_LONGEST_NAME], most=_LONGEST_NAME)
        known = self.sets()
        if name not in known and len(known) >= _MOST_SETS:
            raise UsageError("terms.too_many_sets", most=_MOST_SETS)
        self._for_sets().keep_terms(name, text)
        return terms

    def delete_set(self, name: str) -> None:
        """Raises UsageError where there is none of this name."""
        if name not in self.sets():
            raise UsageError("terms.unknown_set", name=name)
        self._for_sets().delete_terms(name)

    def _for_sets(self) -> Vault:
        with self._lock:
            if self._vault is None or not self._on:
                raise UsageError("terms.not_kept")
            return self._vault

    # voices that are to be known again

    def voices(self) -> dict[str, Likeness]:
        """Nothing while nothing is kept."""
        return self._vault.voices() if self._on and self._vault is not None else {}

    def keep_voice(self, name: str, likeness: Likeness) -> None:
        """Raises UsageError while nothing is kept; VaultError."""
        self._for_voices().keep_voice(name, likeness)

    def delete_voice(self, name: str) -> None:
        """One that is not there is fine. Raises as `keep_voice`."""
        self._for_voices().delete_voice(name)

    def _for_voices(self) -> Vault:
        with self._lock:
            if self._vault is None or not self._on:
                raise UsageError("voices.not_kept")
            return self._vault

    def close(self) -> None:
        with self._lock:
            if self._vault is not None:
                self._vault.close()
            self._vault, self._on = None, False


def _told(kept: Kept) -> wire.Json:
    return {
        "id": kept.source.sha256,
        "name": kept.source.name,
        "duration_ms": kept.source.duration_ms,
        "clips": kept.clips,
        "changed_at": kept.created_s * 1000,
        "damaged": kept.damaged,
    }
