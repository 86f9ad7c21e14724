"""The only SQL there is: one SQLite file of sealed pieces by slot, its transactions, its migrations, its faults.

Rollback journal, not WAL: one commit a clip needs no more speed, it needs no shared memory and so works on network
folders, and old pages lie in one file that can be zeroed. The journal stays while the vault is open (PERSIST) and is
zeroed after a deletion and when the file is closed. FULL synchronous: what was acknowledged survives a power cut.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jiyao.errors import VaultError
from jiyao.vault.cipher import NOBODY, Cipher, Slot
from jiyao.vault.keys import Header, headers_in

FILE_NAME = "vault.sqlite3"
JOURNAL = "-journal"

Migration = Callable[[sqlite3.Connection, Cipher], None]

_PAGE = 16 * 1024  # bytes: every sealed piece fits on one page (see cipher)
_FIRST = """
CREATE TABLE header (copy INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE pieces (slot BLOB NOT NULL UNIQUE, sealed BLOB NOT NULL);
"""
# The table `header` keeps this form in every version: an older jiyao must be able to say that a file is newer.


def _first(connection: sqlite3.Connection, cipher: Cipher) -> None:
    for statement in filter(str.strip, _FIRST.split(";")):
        connection.execute(statement)


MIGRATIONS: tuple[Migration, ...] = (_first,)
"""MIGRATIONS[n] leads from version n to n + 1, within one transaction; never changed once released, only added to."""


def current_version() -> int:
    """The format this program writes."""
    return len(MIGRATIONS)


_SETUP = (
    f"PRAGMA page_size = {_PAGE}",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA journal_mode = PERSIST",
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # macOS: the disk's own cache too
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA mmap_size = 0",
)


def exists(folder: Path) -> bool:
    """Whether a vault was ever made here. Opens nothing. Raises VaultError where the folder may not be read."""
    file = folder / FILE_NAME
    with translated(file):
        return file.is_file() and file.stat().st_size > 0


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's and the file system's errors as VaultError, the original as its cause."""
    try:
        yield
    except sqlite3.Error as cause:
        raise _fault(str(cause), path) from cause
    except OSError as cause:
        raise VaultError("vault.storage", path=path, reason=cause.strerror or type(cause).__name__) from cause


class Store:
    """One connection. Not locked against threads: `Vault` does that. Every method raises VaultError only.

    `read_only`: the folder or the file may not be written, reading works.
    """

    def __init__(self, path: Path, busy_s: float) -> None:
        self.path = path
        self.header: Header | None = None
        with translated(path):
            self._connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        try:
            self._connection.text_factory = bytes  # a flip may call a BLOB text: no reason to fail on its UTF-8
            with translated(path):
                for pragma in _SETUP:
                    self._connection.execute(pragma)
                self.read_only = self._refuses_writing()
                stat = path.stat()
            self._identity = (stat.st_dev, stat.st_ino)
        except VaultError:
            self._connection.close()
            raise

    def headers(self) -> list[Header]:
        """The undamaged ones of its two copies; none in a new file, where there is no table yet."""
        with translated(self.path):
            if self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
                return []
            rows = self._connection.execute("SELECT content FROM header ORDER BY copy").fetchall()
        found = [header for (raw,) in rows if isinstance(raw, bytes) for header in headers_in(raw)]
        if not found:
            raise VaultError("vault.damaged", path=self.path)
        return found

    def write_header(self, header: Header) -> None:
        """Both copies; within a transaction."""
        with translated(self.path):
            for copy in (1, 2):
                self._connection.execute("INSERT OR REPLACE INTO header VALUES (?, ?)", (copy, header.to_bytes()))
        self.header = header

    def migrate(self, cipher: Cipher, start: int, end: int) -> None:
        """From version `start` (0: an empty file) to `end`; within a transaction."""
        with translated(self.path):
            for step in MIGRATIONS[start:end]:
                step(self._connection, cipher)

    def require_sound(self, version: int) -> None:
        """Raises VaultError unless SQLite finds its whole structure right, and its tables are those of `version`."""
        fresh = sqlite3.connect(":memory:", isolation_level=None)
        try:
            fresh.text_factory = bytes
            for step in MIGRATIONS[:version]:
                step(fresh, Cipher(bytes(32)))
            schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
            expected = fresh.execute(schema).fetchall()
        finally:
            fresh.close()
        with translated(self.path):
            page = self._connection.execute("PRAGMA page_size").fetchone()
            verdict = self._connection.execute("PRAGMA integrity_check(1)").fetchall()
            if verdict != [(b"ok",)] or page != (_PAGE,) or self._connection.execute(schema).fetchall() != expected:
                raise VaultError("vault.damaged", path=self.path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on the disk when it ends. Raises VaultError too where another vault is in its place."""
        if self.read_only:
            raise VaultError("vault.read_only", path=self.path)
        self._require_there()
        with translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._require_same()
            yield
            with translated(self.path):
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._roll_back()

    def rows(self, prefix: bytes) -> list[tuple[object, object]]:
        """All (slot, sealed) whose slot begins so, in the order of slots."""
        with translated(self.path):
            return self._connection.execute(
                "SELECT slot, sealed FROM pieces WHERE slot BETWEEN ? AND ? ORDER BY slot", _range(prefix)
            ).fetchall()

    def count(self, prefix: bytes) -> int:
        """How many values there are whose slot begins so: first pieces only."""
        with translated(self.path):
            counted: tuple[int] = self._connection.execute(
                "SELECT count(*) FROM pieces WHERE slot BETWEEN ? AND ? AND substr(slot, -2) = x'0000'", _range(prefix)
            ).fetchone()
        return counted[0]

    def put(self, rows: Sequence[tuple[Slot, bytes]]) -> None:
        """The pieces of one value in place of what it was; within a transaction."""
        self.remove(rows[0][0].of_value())
        self.insert(rows)

    def insert(self, rows: Iterable[tuple[Slot, bytes]]) -> None:
        """Pieces in slots that are free; within a transaction."""
        with translated(self.path):
            self._connection.executemany(
                "INSERT INTO pieces VALUES (?, ?)", [(slot.to_bytes(), sealed) for slot, sealed in rows]
            )

    def remove(self, prefix: bytes) -> None:
        """Every row whose slot begins so, overwritten with zeros; within a transaction."""
        with translated(self.path):
            self._connection.execute("DELETE FROM pieces WHERE slot BETWEEN ? AND ?", _range(prefix))

    def clear(self) -> None:
        """Every row, header included, overwritten with zeros; within a transaction."""
        with translated(self.path):
            for table in ("header", "pieces"):
                self._connection.execute(f"DELETE FROM {table}")

    def compact(self) -> None:
        """Rewrite the file without gaps, in memory and then in place: what was deleted is in no corner of a page."""
        with translated(self.path):
            self._connection.execute("VACUUM")

    def wipe_journal(self) -> None:
        """Zero the journal, which holds pages as they were. Under the write lock: nobody's rollback is in it then."""
        journal = self.path.with_name(self.path.name + JOURNAL)
        with translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                if journal.exists():
                    overwrite(journal)
            finally:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Zero and remove the journal, if nobody else is at it, and let go. Never raises; twice is fine."""
        try:
            if not self.read_only:
                self._connection.execute("PRAGMA busy_timeout = 0")
                self.wipe_journal()
                self._connection.execute("PRAGMA journal_mode = DELETE")
        except (VaultError, sqlite3.Error):
            pass  # whoever closes last, or opens next, does it
        finally:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Several reads of one state, whatever other processes write meanwhile."""
        self._require_there()
        with translated(self.path):
            self._connection.execute("BEGIN")
        try:
            self._require_same()
            yield
        finally:
            self._roll_back()

    def recordings(self) -> list[bytes]:
        """The tags of all recordings, in the order of their first rows."""
        with translated(self.path):
            rows = self._connection.execute(
                "SELECT substr(slot, 2, 16) AS tag FROM pieces WHERE tag != ? GROUP BY tag ORDER BY min(rowid)",
                (NOBODY,),
            ).fetchall()
        return [tag for (tag,) in rows]

    def _require_same(self) -> None:
        """Raises VaultError where somebody erased or rescued the vault: this is another's file, or an unlinked one."""
        self._require_there()
        if self.header and self.header.key_id not in {one.key_id for one in self.headers()}:
            raise VaultError("vault.changed", path=self.path)

    def _require_there(self) -> None:
        with translated(self.path):
            there = self.path.stat() if self.path.exists() else None
        if there is None or (there.st_dev, there.st_ino) != self._identity:
            raise VaultError("vault.changed", path=self.path)

    def _refuses_writing(self) -> bool:
        if not (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)):
            return True  # SQLite itself tells only at the first write
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("ROLLBACK")
        except sqlite3.OperationalError as cause:
            if "readonly" in str(cause):
                return True
            raise
        return False

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite had already done so, or the next to open it will: the journal is there


def overwrite(path: Path) -> None:
    """Zeros over a file's bytes, forced to the disk. Raises OSError."""
    with path.open("r+b") as file:
        left = os.fstat(file.fileno()).st_size
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))
        file.flush()
        os.fsync(file.fileno())


def _fault(said: str, path: Path) -> VaultError:
    """What SQLite says as our error. By its words: Python 3.10 does not hand out its codes."""
    return VaultError(
        "vault.busy"
        if "locked" in said
        else "vault.disk_full"
        if "database or disk is full" in said
        else "vault.read_only"
        if "readonly" in said
        else "vault.storage"
        if "unable to open" in said or "disk I/O error" in said
        else "vault.damaged",
        path=path,
        reason=said,
    )


def _range(prefix: bytes) -> tuple[bytes, bytes]:
    return prefix, prefix + b"\xff" * 40
