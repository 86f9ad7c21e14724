"""The vault itself: what is kept of each recording, one transaction a value, all under one lock."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType

from jiyao.errors import VaultError
from jiyao.messages import Language, say
from jiyao.recognition import EngineInfo
from jiyao.text import Script
from jiyao.timeline import Span
from jiyao.transcript import Heard, Source, Transcript
from jiyao.vault import keys, records
from jiyao.vault.cipher import NOBODY, Cipher, Damaged, Json
from jiyao.vault.edits import as_shown, segments_after
from jiyao.vault.keys import Header, Key
from jiyao.vault.records import Begun, ClipResult, Clips, Deleted, Kept, Making, PartProgress
from jiyao.vault.store import FILE_NAME, Store, current_version, exists, translated
from jiyao.vault.values import Values

# written in files: never renumbered
_HEAD, _MAKING, _CLIP, _TALLY, _PARTS, _EDIT, _TERMS, _VOICE = 1, 2, 3, 4, 5, 7, 8, 9
_OF_RECORDING = (_HEAD, _MAKING, _CLIP, _TALLY, _PARTS, _EDIT)


class Vault:
    """An open vault. Threads may share it: each call runs alone. Made by `open`; use it in a `with`.

    Recordings are named by the SHA-256 (hex) of their bytes. Everything raises VaultError and nothing else of this
    kind; what fails to be written leaves all that was there.
    """

    def __init__(self, store: Store, header: Header, data_key: bytes) -> None:
        self._store, self._data_key = store, data_key
        self._cipher = Cipher(data_key)
        self._values = Values(store, self._cipher)
        self._store.header = header
        self._lock = threading.RLock()

    @classmethod
    def open(cls, folder: Path, key: Key, *, create: bool = True, busy_s: float = 5.0) -> Vault:
        """The vault in `folder`, made there if there is none and `create`. `busy_s`: patience with other processes.

        Raises VaultError: absent, wrong passphrase, the other kind of key, no key store, newer than this program,
        damaged (see `rescue`), in use, not to be written or read.
        """
        path = folder / FILE_NAME
        if not exists(folder):
            if not create:
                raise VaultError("vault.absent", folder=folder)
            _make(path, key, busy_s)
        store = Store(path, busy_s)
        try:
            found = store.headers()
            if not found and create:  # its making was killed, and what was half-written is rolled back by now
                store.close()
                _make(path, key, busy_s)
                store = Store(path, busy_s)
                found = store.headers()
            if not found:
                raise VaultError("vault.absent", folder=folder)
            header = found[0]
            if header.version > current_version():
                raise VaultError("vault.newer", version=header.version, known=current_version())
            vault = cls(store, header, keys.unwrap(header, key))
            store.require_sound(header.version)
            if header.version < current_version() or (len(found) < 2 and not store.read_only):
                vault._bring_up_to_date(header)
            return vault
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Let go of the file; its journal is zeroed and removed. Twice is fine."""
        with self._lock:
            self._store.close()

    def __enter__(self) -> Vault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def read_only(self) -> bool:
        """Whether the folder or the file may only be read: everything kept can be had, nothing added."""
        return self._store.read_only

    def change_key(self, new: Key) -> None:
        """Another passphrase, or the key store instead: the data key is wrapped anew, nothing else is rewritten."""
        with self._lock:
            old = self._store.header
            assert old is not None
            header = keys.wrap(self._data_key, new, old.version, old.key_id)
            try:
                with self._store.transaction():
                    old = self._store.headers()[0]
                    self._store.write_header(header)
            except BaseException:
                self._store.header = old
                keys.forget(header)
                raise
            keys.forget(old)
            self._compact()

    # writing

    def begin(self, source: Source, making: Making, *, again: bool = False) -> Begun:
        """Take up a recording, or go on with it: under which version to write, and what need not be heard again.

        `again`: a new version even for options that have one, to hear a part once more.
        """
        tag = self._tag(source.sha256)
        with self._lock, self._store.transaction():
            try:
                created_s = (self._values.one(_HEAD, tag) or {})["created_s"]
            except (Damaged, KeyError):
                created_s = int(time.time())
            self._values.put(_HEAD, tag, {"source": asdict(source), "created_s": created_s})
            count = self._values.count(_MAKING, tag)
            latest = self._makings(tag).get(count - 1)
            self._count(tag, 0)
            if again or latest is None or latest.fingerprint != making.fingerprint:
                self._values.put(_MAKING, tag, {"version": count, **records.making_to_json(making)}, count)
                count += 1
            return Begun(count - 1, _heard(self._clips(tag), making.fingerprint))

    def keep_clip(self, sha256: str, result: ClipResult) -> None:
        """One finished clip, on the disk when this returns. The same clip of the same version is replaced."""
        tag = self._tag(sha256)
        with self._lock, self._store.transaction():
            self._require(tag)
            before = self._values.count(_CLIP, tag)
            self._values.put(_CLIP, tag, records.clip_to_json(result, sha256), *result.place)
            self._count(tag, self._values.count(_CLIP, tag) - before)

    def replace(self, sha256: str, stretch: Span, version: int) -> int:
        """From now on what `version` and the same options heard is the text of `stretch`; the rest there is removed.

        Clips count by their middle. Returns how many results went; none where `version` has nothing there.
        """
        tag = self._tag(sha256)
        with self._lock, self._store.transaction():
            there = [r for r in self._clips(tag).results if records.inside(r.heard.span, stretch)]
            wanted = {r.fingerprint for r in there if r.version == version}
            fresh = {r.heard.span for r in there if r.version == version}
            old = [
                r
                for r in there
                if r.version != version and wanted and (r.fingerprint not in wanted or r.heard.span in fresh)
            ]
            for result in old:
                self._values.remove(_CLIP, tag, *result.place)
            self._count(tag, -len(old))
            kept = self._kept(tag)
            if wanted and kept and stretch.start == 0 and stretch.end_ms >= kept.source.duration_ms:
                # the whole text is new: what could not be read of the old one need not be missed any more
                self._values.remove_damaged(_CLIP, tag)
                self._values.put(_TALLY, tag, self._values.count(_CLIP, tag))
            return len(old)

    def keep_parts(self, sha256: str, parts: Sequence[PartProgress]) -> None:
        self._keep(_PARTS, sha256, records.parts_to_json(parts))

    def add_edit(self, sha256: str, edit: Json) -> int:
        """Add an edit (anything JSON can hold, but null) after the others; its number."""
        tag = self._tag(sha256)
        with self._lock, self._store.transaction():
            self._require(tag)
            number = self._values.count(_EDIT, tag)
            self._values.put(_EDIT, tag, {"number": number, "edit": edit}, number)
            return number

    def keep_terms(self, name: str, text: str) -> None:
        """A set of terms as a person wrote it, under a name, for any recording; an older one of this name goes."""
        with self._lock, self._store.transaction():
            self._values.put(_TERMS, NOBODY, {"name": name, "text": text}, name)

    def keep_voice(self, name: str, likeness: Sequence[float]) -> None:
        """How somebody sounds, for later recordings; what was kept under this name before goes."""
        with self._lock, self._store.transaction():
            self._values.put(_VOICE, NOBODY, {"name": name, "likeness": [float(one) for one in likeness]}, name)

    def delete_terms(self, name: str) -> None:
        """Overwritten with zeros; none of that name is fine."""
        self._delete(_TERMS, name)

    def delete_voice(self, name: str) -> None:
        """Overwritten with zeros; none of that name is fine."""
        self._delete(_VOICE, name)

    def delete(self, sha256: str) -> Deleted:
        """All there is of a recording, overwritten with zeros, the file compacted, the journal zeroed."""
        tag = self._tag(sha256)
        with self._lock:
            with self._store.transaction():
                known = tag in self._store.recordings()
                for kind in _OF_RECORDING:
                    self._values.remove_all(kind, tag)
            return Deleted(int(known), self._compact())

    # reading

    def recordings(self) -> list[Kept]:
        """All recordings, oldest first. `damaged` as far as it shows without reading every clip (see `clips`)."""
        with self._lock, self._store.reading():
            return [kept for tag in self._store.recordings() if (kept := self._kept(tag))]

    def recording(self, sha256: str) -> Kept | None:
        with self._lock, self._store.reading():
            tag = self._tag(sha256)
            return self._kept(tag) if tag in self._store.recordings() else None

    def clips(self, sha256: str) -> Clips:
        """Every result there is, of all versions; a damaged one is counted and keeps no other back."""
        with self._lock, self._store.reading():
            return self._clips(self._tag(sha256))

    def resume(self, sha256: str, fingerprint: str) -> dict[Span, Heard]:
        """What need not be recognised again: what these very options (`Making.fingerprint`) heard, by clip."""
        return _heard(self.clips(sha256), fingerprint)

    def makings(self, sha256: str) -> dict[int, Making]:
        """Version → what made it."""
        with self._lock, self._store.reading():
            return self._makings(self._tag(sha256))

    def transcript(self, sha256: str, script: Script = "simplified", language: Language = "en") -> Transcript:
        """The text as a person left it, half-done or not; its notes (in `language`) say what is lost.

        Raises VaultError for a recording that is not here.
        """
        with self._lock, self._store.reading():
            tag = self._tag(sha256)
            self._require(tag)
            kept, clips, makings = self._kept(tag), self._clips(tag), self._makings(tag)
        edits = self.edits(sha256)
        source = kept.source if kept else Source("", 0, sha256)
        shown = clips.shown()
        texts, complete = as_shown(shown, makings, script)
        notes = [say("vault.note_damaged", language, count=clips.damaged)] if clips.damaged else []
        notes += [] if complete else [say("terms.left_out", language)]
        made = [makings[number] for number in sorted({r.version for r in shown} or set(makings)) if number in makings]
        engines = list(dict.fromkeys(one.engine.name for one in made))
        if len(engines) > 1:
            notes.append(say("vault.note_engines", language, engines=", ".join(engines)))
        engine = made[-1].engine if made else EngineInfo("", "", "", "", "")
        source = replace(source, notes=(*source.notes, *notes))
        return Transcript(source, engine, segments_after(edits, texts))

    def parts(self, sha256: str) -> tuple[PartProgress, ...]:
        with self._lock, self._store.reading():
            try:
                return records.parts_from_json(self._values.one(_PARTS, self._tag(sha256)) or [])
            except Damaged as cause:
                raise VaultError("vault.value_damaged") from cause

    def edits(self, sha256: str) -> list[Json]:
        """All edits in their order; None in place of one that can no longer be read."""
        with self._lock, self._store.reading():
            tag = self._tag(sha256)
            found = {value["number"]: value["edit"] for value in self._values.all(_EDIT, tag)[0]}
            return [found.get(number) for number in range(self._values.count(_EDIT, tag))]

    def terms(self) -> dict[str, str]:
        """The texts of every set of terms that can be read, by name."""
        with self._lock, self._store.reading():
            values, _ = self._values.all(_TERMS, NOBODY)
        return {value["name"]: records.terms_text(value) for value in values}

    def voices(self) -> dict[str, tuple[float, ...]]:
        """How those sound who are to be known again, by name."""
        with self._lock, self._store.reading():
            values, _ = self._values.all(_VOICE, NOBODY)
        return {value["name"]: tuple(value["likeness"]) for value in values}

    def check(self) -> int:
        """Read every value; how many are damaged or missing."""
        with self._lock, self._store.reading():
            damaged = self._values.damaged()
            for tag in self._store.recordings():
                damaged += self._missing(tag)
            return damaged

    # below: under the lock

    def _bring_up_to_date(self, header: Header) -> None:
        """Newer tables, and both copies of the header sound, or nothing changed."""
        current = replace(header, version=current_version())
        with self._store.transaction():
            now = self._store.headers()[0].version  # another process may have been faster
            self._store.migrate(self._cipher, now, current_version())
            self._store.write_header(current)

    def _tag(self, sha256: str) -> bytes:
        return self._cipher.tag("recording", sha256.lower())

    def _require(self, tag: bytes) -> None:
        # a job that goes on after its recording was deleted must not bring it back
        if not self._values.count(_HEAD, tag) and not self._values.count(_CLIP, tag):
            raise VaultError("vault.unknown_recording")

    def _keep(self, kind: int, sha256: str, value: Json) -> None:
        tag = self._tag(sha256)
        with self._lock, self._store.transaction():
            self._require(tag)
            self._values.put(kind, tag, value)

    def _delete(self, kind: int, name: str) -> None:
        with self._lock:
            with self._store.transaction():
                self._values.remove(kind, NOBODY, name)
            self._compact()

    def _clips(self, tag: bytes) -> Clips:
        values, damaged = self._values.all(_CLIP, tag)
        results = sorted(map(records.clip_from_json, values), key=lambda r: (r.heard.span, r.version))
        return Clips(tuple(results), damaged + self._missing(tag))

    def _makings(self, tag: bytes) -> dict[int, Making]:
        values, _ = self._values.all(_MAKING, tag)
        return {value["version"]: records.making_from_json(value) for value in values}

    def _kept(self, tag: bytes) -> Kept | None:
        count, missing = self._values.count(_CLIP, tag), self._missing(tag)
        try:
            head = self._values.one(_HEAD, tag)
        except Damaged:
            head = None
        if head:
            return Kept(records.source_from_json(head["source"]), head["created_s"], count, missing)
        clips, _ = self._values.all(_CLIP, tag)  # each knows whose it is
        if not clips:
            return None
        reached = max(Span(*clip["span"]).end_ms for clip in clips)
        return Kept(Source("", reached, clips[0]["sha256"]), 0, count, missing + 1)

    def _count(self, tag: bytes, more: int) -> None:
        """Note how many clips there must be: rows that vanish with their page are missed."""
        try:
            tally = self._values.one(_TALLY, tag)
        except Damaged:
            tally = None
        self._values.put(_TALLY, tag, self._values.count(_CLIP, tag) if tally is None else tally + more)

    def _missing(self, tag: bytes) -> int:
        """How many clips are gone from the file, as far as the tally knows."""
        count = self._values.count(_CLIP, tag)
        try:
            tally = self._values.one(_TALLY, tag)
        except Damaged:
            return 0  # counted already
        if tally is None:  # every recording has one: at least that is gone
            return int(count > 0 or self._values.count(_HEAD, tag) > 0)
        return int(max(0, tally - count))

    def _compact(self) -> bool:
        try:
            self._store.compact()
            self._store.wipe_journal()
        except VaultError:
            return False  # what was deleted is zeroed all the same; the next deletion compacts
        return True


def _make(path: Path, key: Key, busy_s: float) -> None:
    """An empty vault, unless another process makes one at this moment."""
    data_key = keys.new_data_key()
    header = keys.wrap(data_key, key, current_version())  # before the disk: without a key there is no file
    try:
        with translated(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        store = Store(path, busy_s)
        try:
            with store.transaction():
                if store.headers():
                    keys.forget(header)
                    return
                store.migrate(Cipher(data_key), 0, current_version())
                store.write_header(header)
        finally:
            store.close()
    except BaseException:
        keys.forget(header)
        raise


def _heard(clips: Clips, fingerprint: str) -> dict[Span, Heard]:
    mine = sorted((r for r in clips.results if r.fingerprint == fingerprint), key=lambda r: r.version)
    return {result.heard.span: result.heard for result in mine}
