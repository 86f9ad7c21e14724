"""Opt-in keeping: texts, names, terms, edits and progress, encrypted, in one SQLite file. Never audio.

In:  Recognitions clip by clip, as they are finished; what a person names, edits and sets.
Out: the same again, after any crash; a whole Transcript; what a second run need not recognise again.
From: AES-256-GCM, HKDF, HMAC-SHA256 and scrypt of `cryptography` (pyca; NIST SP 800-38D, RFC 5869, RFC 7914);
     the operating system's key store through `keyring`; SQLite's file format (sqlite.org/fileformat2.html).

Nothing opens a vault but a person's wish. All that says something about content is encrypted, each value bound to its
place, so that none can be moved to another row, kind or recording. What the file itself shows, and why: how many
recordings, clips, edits, … there are and which of them belong together (SQLite must find them; the names are HMACs
under a key of this vault); sizes in steps of 512 bytes after compression; the order in which rows were made; how the
key is kept (passphrase or key store), for without that nothing could be opened. No time, no name, no recording's hash.

Not promised: who can write the file can put back an older state of it, or take rows away (a count tells, unless it was
put back too). A copy made earlier opens with the key it had then. Keys are in memory while a vault is open.

One file, `vault.sqlite3`; beside it SQLite's rollback journal while a vault is open (ciphertext too), zeroed and
removed when it is closed; and what `rescue` found damaged. Kill the process any time: what was acknowledged is there.
A vault may be shared by threads (one connection under one lock) and by processes (SQLite's locks).
"""

from __future__ import annotations

from jiyao.vault.edits import edit_of, edited
from jiyao.vault.keys import Key, Keyring, Passphrase
from jiyao.vault.records import Begun, ClipResult, Clips, Deleted, Kept, Making, PartProgress, PartState, making_of
from jiyao.vault.rescue import Erased, Rescued, erase, rescue
from jiyao.vault.store import exists
from jiyao.vault.vault import Vault

__all__ = [
    "Begun",
    "ClipResult",
    "Clips",
    "Deleted",
    "Erased",
    "Kept",
    "Key",
    "Keyring",
    "Making",
    "PartProgress",
    "PartState",
    "Passphrase",
    "Rescued",
    "Vault",
    "edit_of",
    "edited",
    "erase",
    "exists",
    "making_of",
    "rescue",
]
