"""The vault: what it gives back, what it hides, and that nothing safe is lost — by kills, full disks, flips, others.

Faults are real: children killed with SIGKILL, small file systems, flipped bits, read-only mounts.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import keyring
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringLocked, PasswordDeleteError

from jiyao.errors import VaultError
from jiyao.glossary import Glossary
from jiyao.messages import Language
from jiyao.recognition import EngineInfo, Flag, Recognition, Timing, Word
from jiyao.segmentation import Cutting
from jiyao.timeline import Span
from jiyao.transcript import Heard, Source, assemble
from jiyao.vault import (
    ClipResult,
    Clips,
    Keyring,
    Making,
    PartProgress,
    Passphrase,
    Vault,
    erase,
    exists,
    making_of,
    rescue,
    store,
)
from jiyao.vault.cipher import Cipher

KEY = Passphrase("correct horse 电池", log2_n=10)  # cheap: the cost of the real one is tried once
SHA = "ab" * 32
OTHER_SHA = "cd" * 32
MAKING = Making(EngineInfo("scripted", "toy", "1", "cpu", "float32"))
MARKER = "预算三百万元明天签字"
ROOT_ON_LINUX = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounts a small file system: root on Linux only"
)
POSIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="signals, modes and limits of POSIX")


def heard(number: int, text: str = MARKER, size: int = 20) -> Heard:
    """What clip `number` says; big enough to be worth flipping bits in."""
    words = tuple(Word(text[i % len(text)], i * 100, i * 100 + 90, i / size) for i in range(size))
    start = number * 400_000
    recognition = Recognition(f"{number} {text}", "zh", words, 0.5, ("unsure",), "estimated")
    return Heard(Span(start, start + 399_000), recognition)


def clip(number: int, version: int = 0, making: Making = MAKING, text: str = MARKER) -> ClipResult:
    return ClipResult(number, heard(number, text), making.fingerprint, version)


def source(sha256: str = SHA, name: str = f"{MARKER}.m4a") -> Source:
    return Source(name, 2_000_000, sha256, ("a note",))


def fill(vault: Vault, sha256: str, clips: int) -> None:
    vault.begin(source(sha256), MAKING)
    for number in range(clips):
        vault.keep_clip(sha256, clip(number))


def bytes_of(folder: Path) -> bytes:
    """All bytes of all files in the folder, names included, as they are at this moment."""
    found = []
    for path in folder.iterdir():
        try:
            found.append(os.fsencode(path.name) + path.read_bytes())
        except FileNotFoundError:
            pass  # removed meanwhile
    return b"".join(found)


def shows(text: str, raw: bytes) -> bool:
    """Whether a text can be read in these bytes, in any of the forms it had on its way."""
    forms = [text.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be", "gb18030", "utf-32-le")]
    forms.append(text.encode("ascii", "backslashreplace"))  # JSON's
    return any(form in raw for form in forms)


def query(folder: Path, sql: str) -> list[Any]:
    """What a stranger sees who opens the file with SQLite."""
    connection = sqlite3.connect(folder / "vault.sqlite3")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@contextmanager
def raises(key: str) -> Iterator[None]:
    with pytest.raises(VaultError) as caught:
        yield
    assert caught.value.key == key
    assert caught.value.exit_code == 6
    for language in get_args(Language):
        said = caught.value.message(language) + caught.value.remedy(language)
        assert "{" not in said and KEY.text not in said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def vault(folder: Path) -> Iterator[Vault]:
    with Vault.open(folder, KEY) as opened:
        yield opened


# what goes in comes out

texts = st.text(st.characters(), max_size=40)  # lone surrogates included: file names have them
confidences = st.none() | st.floats(0, 1)
times = st.integers(0, 40_000)
recognitions = st.builds(
    Recognition,
    text=texts,
    language=st.none() | st.sampled_from(["zh", "en", "yue"]),
    words=st.lists(st.builds(Word, texts, times, times, confidences), max_size=30).map(tuple),
    confidence=confidences,
    flags=st.lists(st.sampled_from(get_args(Flag)), max_size=3).map(tuple),
    timing=st.sampled_from(get_args(Timing)),
)


@settings(max_examples=60, deadline=None)
@given(recognitions, texts, st.integers(0, 10**9), st.integers(0, 10**6))
def test_every_recognition_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    recognition: Recognition,
    name: str,
    start: int,
    length: int,
) -> None:
    folder = tmp_path_factory.mktemp("round")
    result = ClipResult(3, Heard(Span(start, start + length), recognition), MAKING.fingerprint, 0)
    kept = source(name=name)
    with Vault.open(folder, KEY) as vault:
        vault.begin(kept, MAKING)
        vault.keep_clip(SHA, result)
    with Vault.open(folder, KEY, create=False) as vault:
        assert vault.clips(SHA) == Clips((result,), damaged=0)
        assert vault.recordings()[0].source == kept
        assert vault.makings(SHA) == {0: MAKING}


def test_everything_else_comes_back_too(folder: Path) -> None:
    terms = "# 项目\n与算→预算\n\nKPI  # 指标"
    edits = [{"segment": 1, "before": "甲", "after": "乙" * 100_000}, ["anything", 1.5, True], "last"]
    parts = (PartProgress(Span(0, 100), "done", 2), PartProgress(Span(100, 300)))
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 2)
        vault.keep_voice("张总", [0.5, -0.25])
        vault.keep_voice("张总", [0.25, -0.5])
        vault.keep_voice("李工", [1.0])
        vault.keep_parts(SHA, parts)
        assert [vault.add_edit(SHA, edit) for edit in edits] == [0, 1, 2]
        vault.keep_terms("项目", terms)
        vault.keep_terms("空", "甲")
        vault.keep_terms("空", "")
    with Vault.open(folder, KEY) as vault:
        assert vault.voices() == {"张总": (0.25, -0.5), "李工": (1.0,)}
        vault.delete_voice("李工")
        assert list(vault.voices()) == ["张总"]
        assert vault.parts(SHA) == parts
        assert vault.edits(SHA) == edits
        assert vault.terms() == {"项目": terms, "空": ""}
        vault.delete_terms("空")
        assert list(vault.terms()) == ["项目"]
        assert vault.parts(OTHER_SHA) == () and vault.edits(OTHER_SHA) == []
        assert vault.check() == 0
        [kept] = vault.recordings()
        assert kept == vault.recording(SHA.upper())
        assert (kept.clips, kept.damaged) == (2, 0) and abs(kept.created_s - time.time()) < 3600
        assert vault.recording(OTHER_SHA) is None


def test_a_whole_transcript_comes_out_half_done_or_not(vault: Vault) -> None:
    fill(vault, SHA, 3)
    expected = assemble(source(), MAKING.engine, [heard(number) for number in range(3)])
    assert vault.transcript(SHA) == expected and len(expected.segments) >= 3
    with raises("vault.unknown_recording"):
        vault.transcript(OTHER_SHA)


# resuming, versions


def test_a_second_run_gets_what_the_same_options_heard(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 4)
    with Vault.open(folder, KEY) as vault:
        assert vault.resume(SHA, MAKING.fingerprint) == {heard(n).span: heard(n) for n in range(4)}
        begun = vault.begin(source(), MAKING)
        assert begun.version == 0 and begun.heard == vault.resume(SHA, MAKING.fingerprint)
        assert vault.resume(OTHER_SHA, MAKING.fingerprint) == {}


def test_what_changes_the_text_gives_no_false_match() -> None:
    engine, terms, cutting = MAKING.engine, Glossary((("a", "b"),), ("b", "c")), Cutting()
    made = making_of(engine, terms, None, cutting)
    others = [
        making_of(replace(engine, revision="2"), terms, None, cutting),
        making_of(replace(engine, model="large"), terms, None, cutting),
        making_of(replace(engine, name="qwen-cpu"), terms, None, cutting),
        making_of(engine, replace(terms, rules=(("a", "c"),)), None, cutting),
        making_of(engine, replace(terms, terms=("c", "b")), None, cutting),
        making_of(engine, terms, "zh", cutting),
        making_of(engine, terms, None, replace(cutting, max_clip_s=20.0)),
        making_of(engine, terms, None, cutting, aligner=engine),
    ]
    assert len({one.fingerprint for one in [made, *others]}) == len(others) + 1
    moved = replace(engine, device="cuda:0", dtype="bfloat16", memory_bytes=5)
    assert making_of(moved, terms, None, cutting).fingerprint == made.fingerprint


def test_the_old_text_stays_until_it_is_replaced(vault: Vault) -> None:
    fill(vault, SHA, 4)
    better = replace(MAKING, settings={"language": "yue"})
    part = Span(heard(1).span.start, heard(2).span.end)
    version = vault.begin(source(), better).version
    assert version == 1 and vault.begin(source(), better).version == 1, "nothing kept yet, still the same run"
    vault.keep_clip(SHA, clip(1, version, better, "新的"))

    def shown() -> list[tuple[int, int]]:
        return [(result.index, result.version) for result in vault.clips(SHA).shown()]

    assert shown() == [(0, 0), (1, 0), (2, 0), (3, 0)]
    vault.keep_clip(SHA, clip(2, version, better, "新的"))
    assert vault.replace(SHA, part, version) == 2
    assert shown() == [(0, 0), (1, 1), (2, 1), (3, 0)]
    assert vault.clips(SHA).damaged == 0, "what was replaced is not missed"
    # back to the first options: a new version, so that nothing shows before it is complete
    back = vault.begin(source(), MAKING)
    assert back.version == 2 and set(back.heard) == {heard(0).span, heard(3).span}
    vault.keep_clip(SHA, clip(1, 2))
    assert shown() == [(0, 0), (1, 1), (2, 1), (3, 0)]
    vault.keep_clip(SHA, clip(2, 2))
    assert vault.replace(SHA, part, 2) == 2
    assert shown() == [(0, 0), (1, 2), (2, 2), (3, 0)], "what the same options heard elsewhere stays"
    assert vault.replace(SHA, part, 7) == 0 and len(shown()) == 4, "nothing to replace with: nothing is removed"


def test_hearing_again_with_the_same_options_is_a_version_too(vault: Vault) -> None:
    fill(vault, SHA, 2)
    version = vault.begin(source(), MAKING, again=True).version
    vault.keep_clip(SHA, clip(1, version, text="再听"))
    assert [r.version for r in vault.clips(SHA).shown()] == [0, 0]
    assert vault.replace(SHA, heard(1).span, version) == 1
    assert [r.version for r in vault.clips(SHA).shown()] == [0, 1]


def test_several_engines_are_named(vault: Vault) -> None:
    fill(vault, SHA, 1)
    other = Making(replace(MAKING.engine, name="qwen-cpu"))
    vault.keep_clip(SHA, clip(1, vault.begin(source(), other).version, other))
    transcript = vault.transcript(SHA)
    assert transcript.engine.name == "qwen-cpu" and "scripted, qwen-cpu" in transcript.source.notes[-1]


# what is hidden


def test_no_file_shows_a_word_and_no_other_file_is_made(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 5)
        vault.keep_voice(MARKER, [0.5])
        vault.add_edit(SHA, {"after": MARKER})
        vault.keep_terms(MARKER, MARKER)
        vault.keep_parts(SHA, [PartProgress(Span(0, 5))])
        raw = bytes_of(folder)
        assert {path.name for path in folder.iterdir()} == {"vault.sqlite3", "vault.sqlite3-journal"}
    raw += bytes_of(folder)
    assert {path.name for path in folder.iterdir()} == {"vault.sqlite3"}
    assert not shows(MARKER, raw) and len(raw) > 50_000
    for secret in (SHA.encode(), bytes.fromhex(SHA), b"scripted", b"duration_ms", KEY.text.encode()):
        assert secret not in raw
    assert all(shows(MARKER, MARKER.encode(code)) for code in ("utf-8", "utf-16-le", "gb18030")), "the search works"


def test_equal_texts_do_not_look_equal_and_lengths_tell_little(vault: Vault, folder: Path) -> None:
    fill(vault, SHA, 1)
    vault.begin(source(OTHER_SHA), MAKING)
    vault.keep_clip(OTHER_SHA, replace(clip(0), heard=heard(0, "短")))
    rows = query(folder, "SELECT sealed FROM pieces")
    assert len({sealed[-100:] for (sealed,) in rows}) == len(rows)
    assert {(len(sealed) - 75) % 512 for (sealed,) in rows} == {0}, "mark, length, place, nonce and tag: 75 bytes"


def test_two_vaults_name_one_recording_differently(tmp_path: Path) -> None:
    slots = []
    for name in ("one", "two"):
        with Vault.open(tmp_path / name, KEY) as vault:
            fill(vault, SHA, 1)
        rows = query(tmp_path / name, "SELECT slot FROM pieces")
        slots.append({slot[1:17] for (slot,) in rows})
    assert [len(tags) for tags in slots] == [1, 1] and not slots[0] & slots[1]


@POSIX_ONLY
def test_only_the_user_may_read_it(folder: Path) -> None:
    before = os.umask(0)
    try:
        with Vault.open(folder, KEY) as vault:
            fill(vault, SHA, 1)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"vault.sqlite3": 0o600, "vault.sqlite3-journal": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


# keys


def test_without_the_passphrase_nothing_opens(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 1)
    before = (folder / "vault.sqlite3").read_bytes()
    for wrong in (Passphrase("correct horse 电地"), Passphrase("x"), Passphrase(KEY.text + " ")):
        with raises("vault.wrong_passphrase"):
            Vault.open(folder, wrong)
        with raises("vault.wrong_passphrase"):
            rescue(folder, wrong)
    with raises("vault.needs_passphrase"):
        Vault.open(folder, Keyring())
    assert (folder / "vault.sqlite3").read_bytes() == before
    assert KEY.text not in repr(KEY)


def test_an_empty_passphrase_makes_nothing(folder: Path) -> None:
    with raises("vault.empty_passphrase"):
        Vault.open(folder, Passphrase(""))
    with raises("vault.absent"):
        Vault.open(folder, KEY, create=False)
    assert not exists(folder) and not folder.exists()


def test_one_passphrase_however_it_is_typed(folder: Path) -> None:
    with Vault.open(folder, Passphrase("cafe\u0301 ｐａｓｓ１", 10)):
        assert exists(folder)
    with Vault.open(folder, Passphrase("caf\u00e9 pass1")):
        pass


def test_the_real_cost(folder: Path) -> None:
    """scrypt with 128 MiB: header says so, and it opens."""
    with Vault.open(folder, Passphrase("x")):
        pass
    with Vault.open(folder, Passphrase("x")) as vault:
        assert vault._store.header is not None and vault._store.header.log2_n == 17


def test_a_new_passphrase_rewraps_and_rewrites_nothing(folder: Path) -> None:
    def rows() -> list[tuple[bytes, bytes]]:
        return query(folder, "SELECT slot, sealed FROM pieces ORDER BY 1")

    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 3)
        before, wrapped = rows(), vault._store.header
        assert wrapped is not None
        vault.change_key(Passphrase("new", 10))
        vault.keep_clip(SHA, clip(3))
    assert set(before) - set(rows()) == {row for row in before if row[0][0] == 4}, "only the tally changed, by clip 3"
    assert wrapped.wrapped.encode() not in bytes_of(folder), "nor is the old one left in a corner"
    with raises("vault.wrong_passphrase"):
        Vault.open(folder, KEY)
    with Vault.open(folder, Passphrase("new")) as vault:
        assert len(vault.clips(SHA).results) == 4 and vault.check() == 0


class Store(KeyringBackend):
    """A key store in memory; the real ones need a desktop."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("locked")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise KeyringLocked("locked")
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.locked or (service, username) not in self.entries:
            raise PasswordDeleteError("no")
        del self.entries[service, username]


@pytest.fixture
def key_store() -> Iterator[Store]:
    before = keyring.get_keyring()
    made = Store()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_a_key_store_opens_it(folder: Path, key_store: Store) -> None:
    with Vault.open(folder, Keyring()) as vault:
        fill(vault, SHA, 1)
    [secret] = key_store.entries.values()
    assert secret.encode() not in bytes_of(folder) and bytes.fromhex(secret) not in bytes_of(folder)
    with Vault.open(folder, Keyring()) as vault:
        assert vault.check() == 0
    with raises("vault.needs_keyring"):
        Vault.open(folder, KEY)
    key_store.locked = True
    with raises("vault.keyring_refused"):
        Vault.open(folder, Keyring())
    key_store.locked = False
    with Vault.open(folder, Keyring()) as vault:
        vault.change_key(KEY)
    assert key_store.entries == {}
    with Vault.open(folder, KEY) as vault:
        vault.change_key(Keyring())
        assert len(key_store.entries) == 1
        assert len(vault.clips(SHA).results) == 1
    key_store.entries.clear()
    with raises("vault.keyring_lost"):
        Vault.open(folder, Keyring())


def test_no_key_store_no_file(folder: Path) -> None:
    before = keyring.get_keyring()
    try:
        for useless in (no_store(), Weak()):
            keyring.set_keyring(useless)
            with raises("vault.no_keyring"):
                Vault.open(folder, Keyring())
            assert not folder.exists()
    finally:
        keyring.set_keyring(before)


def no_store() -> KeyringBackend:
    """What keyring takes where it finds nothing, as on this server."""
    made: KeyringBackend = fail.Keyring()  # type: ignore[no-untyped-call]
    return made


class Weak(Store):
    """As keyrings.alt's plain text file: better than nothing, says keyring; not here."""

    priority = 0.5  # type: ignore[assignment]


def test_a_vault_that_cannot_be_made_leaves_no_key_behind(tmp_path: Path, key_store: Store) -> None:
    (tmp_path / "file").write_text("in the way")
    with raises("vault.storage"):
        Vault.open(tmp_path / "file" / "kept", Keyring())
    assert key_store.entries == {}


# tampering


def rows_of(folder: Path, kind: int) -> list[tuple[int, bytes, bytes]]:
    rows = query(folder, "SELECT rowid, slot, sealed FROM pieces ORDER BY rowid")
    return [row for row in rows if row[1][0] == kind]


def change(folder: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(folder / "vault.sqlite3")
    with connection:
        connection.execute(sql, values)
    connection.close()


def test_swapped_and_moved_rows_are_found(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 4)
        fill(vault, OTHER_SHA, 2)
    clips = rows_of(folder, 3)
    for here, there in ((0, 1), (1, 0)):
        change(folder, "UPDATE pieces SET sealed = ? WHERE rowid = ?", clips[there][2], clips[here][0])
    # a clip of the other recording in the place of this one's
    change(folder, "UPDATE pieces SET sealed = ? WHERE rowid = ?", clips[4][2], clips[2][0])
    with Vault.open(folder, KEY) as vault:
        found = vault.clips(SHA)
        assert [result.index for result in found.results] == [3] and found.damaged == 3
        assert len(vault.clips(OTHER_SHA).results) == 2 and vault.clips(OTHER_SHA).damaged == 0
        assert vault.check() == 3
        note = vault.transcript(SHA).source.notes[-1]
        assert "3" in note and note.startswith("Clips damaged")
        assert vault.transcript(SHA).segments[0].start_ms >= heard(3).span.start_ms


def test_a_row_moved_to_another_recording_or_kind_is_found(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 1)
        vault.begin(source(OTHER_SHA), MAKING)
    [(rowid, slot, sealed)] = rows_of(folder, 3)
    other = rows_of(folder, 1)[1][1]
    moved = slot[:1] + other[1:17] + slot[17:]
    change(folder, "UPDATE pieces SET slot = ? WHERE rowid = ?", moved, rowid)
    with Vault.open(folder, KEY) as vault:
        assert vault.clips(SHA).damaged == 1, "and it is missed where it was"
        assert vault.clips(OTHER_SHA) == Clips((), damaged=1)
    change(folder, "UPDATE pieces SET slot = ? WHERE rowid = ?", bytes([7]) + slot[1:], rowid)
    with Vault.open(folder, KEY) as vault:
        assert vault.edits(SHA) == [None]


def test_a_row_that_was_taken_away_is_missed(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 3)
    change(folder, "DELETE FROM pieces WHERE rowid = ?", rows_of(folder, 3)[1][0])
    with Vault.open(folder, KEY) as vault:
        assert vault.clips(SHA).damaged == 1 == vault.check() == vault.recordings()[0].damaged
        vault.keep_clip(SHA, clip(1))
        vault.keep_clip(SHA, clip(1))
        assert len(vault.clips(SHA).results) == 3


def test_damage_under_a_whole_new_text_is_no_longer_missed(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 3)
    rows = rows_of(folder, 3)
    change(folder, "DELETE FROM pieces WHERE rowid = ?", rows[0][0])
    change(folder, "UPDATE pieces SET sealed = zeroblob(600) WHERE rowid = ?", rows[1][0])
    better = replace(MAKING, settings={"language": "yue"})
    with Vault.open(folder, KEY) as vault:
        version = vault.begin(source(), better).version
        for number in range(3):
            vault.keep_clip(SHA, clip(number, version, better))
        assert vault.replace(SHA, heard(2).span, version) == 1 and vault.clips(SHA).damaged == 2
        assert vault.replace(SHA, Span(0, 40_000_000), version) == 0
        assert vault.clips(SHA).damaged == vault.check() == 0 and len(vault.clips(SHA).results) == 3


def test_a_recording_without_its_head_still_has_its_text(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 3)
    change(folder, "UPDATE pieces SET sealed = zeroblob(600) WHERE rowid = ?", rows_of(folder, 1)[0][0])
    with Vault.open(folder, KEY) as vault:
        [kept] = vault.recordings()
        assert kept.source.sha256 == SHA and kept.source.name == "" and kept.damaged == 1
        assert len(vault.transcript(SHA).segments) >= 3
        vault.begin(source(), MAKING)
        assert vault.recordings()[0].source == source() and vault.check() == 0


def test_a_damaged_entry_says_so_and_can_be_entered_again(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 1)
        vault.keep_parts(SHA, [PartProgress(Span(0, 5))])
    change(folder, "UPDATE pieces SET sealed = ? WHERE rowid = ?", b"x", rows_of(folder, 5)[0][0])
    with Vault.open(folder, KEY) as vault:
        with raises("vault.value_damaged"):
            vault.parts(SHA)
        vault.keep_parts(SHA, [PartProgress(Span(0, 6))])
        assert vault.parts(SHA) == (PartProgress(Span(0, 6)),)


def test_nothing_of_a_planted_schema_is_run(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 1)
    change(folder, "CREATE TRIGGER planted AFTER INSERT ON pieces BEGIN DELETE FROM pieces; END")
    with raises("vault.damaged"):
        Vault.open(folder, KEY)


def test_another_vaults_header_does_not_open_this_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with Vault.open(tmp_path / name, KEY) as vault:
            fill(vault, SHA, 1)
    content = query(tmp_path / "two", "SELECT content FROM header")[0][0]
    change(tmp_path / "one", "UPDATE header SET content = ?", content)
    with Vault.open(tmp_path / "one", KEY) as vault:  # same passphrase, another data key
        assert vault.check() > 0 and vault.clips(SHA).results == () and vault.recordings() == []


# flipped bits


def known(vault: Vault) -> set[tuple[str, ClipResult]]:
    return {(sha256, result) for sha256 in (SHA, OTHER_SHA) for result in vault.clips(sha256).results}


def places(raw: bytes, dice: random.Random) -> Iterator[tuple[int, int]]:
    """Bits to flip: every byte of the file's and the first pages' heads, then anywhere."""
    page = 16 * 1024
    for at in (*range(108), *range(page, page + 24), *range(2 * page, 2 * page + 24)):
        yield at, dice.randrange(8)
    for _ in range(120):
        yield dice.randrange(len(raw)), dice.randrange(8)


def test_a_flipped_bit_anywhere_is_found_and_costs_at_most_one_value(folder: Path, tmp_path: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 40)
        fill(vault, OTHER_SHA, 6)
        truth = known(vault)
    raw = (folder / "vault.sqlite3").read_bytes()
    refused = lost = 0
    for at, bit in places(raw, random.Random(4)):
        damaged = bytearray(raw)
        damaged[at] ^= 1 << bit
        there = tmp_path / "flipped"
        there.mkdir()
        (there / "vault.sqlite3").write_bytes(damaged)
        try:
            opened = Vault.open(there, KEY)
        except VaultError as error:
            assert error.key == "vault.damaged", (at, bit, error.key)
            refused += 1
            rescue(there, KEY)
            assert (there / "vault.damaged-1.sqlite3").read_bytes() == damaged
            opened = Vault.open(there, KEY)
        with opened as vault:
            found = known(vault)
            assert found <= truth, (at, bit)
            gone = len(truth - found)
            assert gone <= 1, (at, bit, gone)
            assert not gone or vault.check() == gone, (at, bit)
            lost += gone
        shutil.rmtree(there)
    assert refused > 20 and lost > 10, "flips of both kinds were tried"


def test_a_torn_file_is_rescued_as_far_as_it_goes(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 300)
    raw = (folder / "vault.sqlite3").read_bytes()
    (folder / "vault.sqlite3").write_bytes(raw[: len(raw) // 2 + 77])
    with raises("vault.damaged"):
        Vault.open(folder, KEY)
    rescued = rescue(folder, KEY)
    assert rescued.damaged_file.read_bytes() == raw[: len(raw) // 2 + 77]
    with Vault.open(folder, KEY) as vault:
        results = vault.clips(SHA).results
        assert 50 < len(results) < 300 and set(results) <= {clip(number) for number in range(300)}
        assert 0 < vault.check() == vault.recordings()[0].damaged
        vault.keep_clip(SHA, clip(999))
        assert len(vault.clips(SHA).results) == len(results) + 1


def test_a_rescued_file_is_not_rolled_back_into_the_damaged_one(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 3)
    damaged = b"no SQLite file  " + (folder / "vault.sqlite3").read_bytes()[16:]
    (folder / "vault.sqlite3").write_bytes(damaged)
    (folder / "vault.sqlite3-journal").write_bytes(b"the old file's pages")
    rescue(folder, KEY)
    assert {path.name for path in folder.iterdir()} >= {"vault.sqlite3", "vault.damaged-1.sqlite3"}
    assert not (folder / "vault.sqlite3-journal").exists()
    with Vault.open(folder, KEY) as vault:
        assert len(vault.clips(SHA).results) == 3 and vault.check() == 0


def test_a_file_that_is_no_vault(folder: Path) -> None:
    folder.mkdir()
    (folder / "vault.sqlite3").write_bytes(os.urandom(40_000))
    with raises("vault.damaged"):
        Vault.open(folder, KEY)
    with raises("vault.beyond_rescue"):
        rescue(folder, KEY)


# versions of the file


def test_a_file_of_version_1_opens(folder: Path) -> None:
    first_vault(folder)
    with Vault.open(folder, FIRST_KEY, create=False) as vault:
        assert_first(vault)
        vault.keep_clip("c0" * 32, clip(1))


def test_a_migration_changes_tables_and_values_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first_vault(folder)
    runs: list[int] = []

    def second(connection: sqlite3.Connection, cipher: Cipher) -> None:
        runs.append(connection.execute("SELECT count(*) FROM pieces").fetchone()[0])
        connection.execute("ALTER TABLE pieces ADD COLUMN mark INTEGER NOT NULL DEFAULT 7")

    def failing(connection: sqlite3.Connection, cipher: Cipher) -> None:
        connection.execute("DELETE FROM pieces")
        raise sqlite3.OperationalError("database or disk is full")

    before = dump(folder)
    monkeypatch.setattr(store, "MIGRATIONS", (*store.MIGRATIONS, failing))
    with raises("vault.disk_full"):
        Vault.open(folder, FIRST_KEY)
    assert dump(folder) == before, "a migration that fails leaves the old file"
    monkeypatch.setattr(store, "MIGRATIONS", (store.MIGRATIONS[0], second))
    for _ in range(2):
        with Vault.open(folder, FIRST_KEY) as vault:
            assert vault.check() == 0 and [kept.clips for kept in vault.recordings()] == [1]
    assert [count for count in runs if count] == [5], "on the file once; else on the empty one it is compared with"
    monkeypatch.setattr(store, "MIGRATIONS", store.MIGRATIONS[:1])
    before = dump(folder)
    with raises("vault.newer"):
        Vault.open(folder, FIRST_KEY)
    with raises("vault.newer"):
        rescue(folder, FIRST_KEY)
    assert dump(folder) == before


# deleting


def test_a_deleted_recording_leaves_not_even_its_ciphertext(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 30)
        fill(vault, OTHER_SHA, 5)
        sealed = [
            row[2][-64:] for kind in range(1, 8) for row in rows_of(folder, kind) if row[1][1:17] == vault._tag(SHA)
        ]
        raw = bytes_of(folder)
        assert len(sealed) == 33 and all(piece in raw for piece in sealed)
        deleted = vault.delete(SHA)
        assert deleted.recordings == 1 and deleted.compacted
        raw = bytes_of(folder)
        assert not any(piece in raw for piece in sealed)
        assert not any((folder / "vault.sqlite3-journal").read_bytes()), "zeros only"
        assert "Solid-state" in deleted.message("en") and "固态硬盘" in deleted.message("zh")
        assert [kept.source.sha256 for kept in vault.recordings()] == [OTHER_SHA]
        assert len(vault.clips(OTHER_SHA).results) == 5 and vault.check() == 0
        assert vault.delete(SHA).recordings == 0


def test_what_was_deleted_does_not_come_back(vault: Vault) -> None:
    fill(vault, SHA, 1)
    vault.delete(SHA)
    writes: list[Callable[[], object]] = [
        lambda: vault.keep_clip(SHA, clip(1)),
        lambda: vault.keep_parts(SHA, []),
        lambda: vault.add_edit(SHA, 1),
    ]
    for write in writes:
        with raises("vault.unknown_recording"):
            write()
    assert vault.recordings() == []


def test_erasing_takes_key_files_and_damaged_copies(folder: Path, key_store: Store) -> None:
    with Vault.open(folder, Keyring()) as vault:
        fill(vault, SHA, 30)
    raw = (folder / "vault.sqlite3").read_bytes()
    (folder / "vault.sqlite3").write_bytes(raw[:-20_000])
    rescue(folder, Keyring())
    with Vault.open(folder, Keyring()) as other:
        erased = erase(folder)
        assert erased.files == 2 and erased.key_forgotten, "the vault and the damaged copy"
        assert list(folder.iterdir()) == [] and key_store.entries == {}
        with raises("vault.changed"):
            other.keep_clip(SHA, clip(1))
        with raises("vault.changed"):
            other.recordings()
        with Vault.open(folder, KEY) as begun:
            fill(begun, OTHER_SHA, 1)
            with raises("vault.changed"):
                other.keep_clip(SHA, clip(1))
    assert "Solid-state" in erased.message("en") and "固态硬盘" in erased.message("zh")
    assert erase(folder).files == 1
    assert erase(folder).files == 0


def test_erasing_needs_no_key_and_no_sound_file(folder: Path) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 3)
    (folder / "vault.sqlite3").write_bytes(b"junk" + (folder / "vault.sqlite3").read_bytes()[4:])
    (folder / "notes.txt").write_text("not ours")
    assert erase(folder).files == 1
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


# threads and processes


def test_threads_share_one_vault(vault: Vault) -> None:
    fill(vault, SHA, 0)
    seen: list[int] = []

    def write(first: int) -> None:
        for number in range(first, first + 15):
            vault.keep_clip(SHA, clip(number))

    def read() -> None:
        while len(seen) < 1 or seen[-1] < 60:
            found = vault.clips(SHA)
            assert found.damaged == 0
            seen.append(len(found.results))

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 15, 30, 45)]
    threads.append(threading.Thread(target=read))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == sorted(seen) and seen[-1] == 60
    assert {result.index for result in vault.clips(SHA).results} == set(range(60))


CHILD = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[4:]
from tests.test_vault import KEY, MAKING, clip, source
from jiyao.vault import Vault
with Vault.open(Path(sys.argv[1]), KEY, busy_s=60) as vault:
    vault.begin(source(sys.argv[2]), MAKING)
    first, count = map(int, sys.argv[3].split(","))
    for number in range(first, first + count):
        vault.keep_clip(sys.argv[2], clip(number))
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
"""


def child(folder: Path, sha256: str, numbers: str) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parent.parent)
    return subprocess.Popen([sys.executable, "-c", CHILD, folder, sha256, numbers, root], stdout=subprocess.PIPE)


def test_processes_share_one_file(folder: Path) -> None:
    running = [child(folder, SHA, "0,30"), child(folder, SHA, "30,30"), child(folder, OTHER_SHA, "0,30")]
    for one in running:
        one.communicate(timeout=120)
        assert one.returncode == 0
    with Vault.open(folder, KEY) as vault:
        assert [result.index for result in vault.clips(SHA).results] == list(range(60))
        assert len(vault.clips(OTHER_SHA).results) == 30 and vault.check() == 0


def test_a_lock_held_by_another_process_is_told_and_costs_nothing(folder: Path) -> None:
    with Vault.open(folder, KEY, busy_s=0.1) as vault:
        fill(vault, SHA, 1)
        hold = (
            "import sqlite3,sys;c=sqlite3.connect(sys.argv[1]);c.execute('BEGIN EXCLUSIVE');print(1,flush=True);input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", hold, folder / "vault.sqlite3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout and holder.stdin
            holder.stdout.readline()
            for attempt in (
                lambda: vault.keep_clip(SHA, clip(1)),
                lambda: vault.clips(SHA),
                lambda: Vault.open(folder, KEY, busy_s=0.1),
                lambda: rescue(folder, KEY, busy_s=0.1),
                lambda: erase(folder, busy_s=0.1),
            ):
                with raises("vault.busy"):
                    attempt()
            holder.stdin.close()
        vault.keep_clip(SHA, clip(1))
        assert len(vault.clips(SHA).results) == 2 and vault.check() == 0


# faults of the machine


@POSIX_ONLY
def test_killed_at_any_moment_everything_acknowledged_is_there_and_nothing_shows(folder: Path) -> None:
    dice = random.Random()
    most = 0
    for number in range(20):
        sha256 = f"{number:02x}" * 32
        running = child(folder, sha256, "0,100000")
        assert running.stdout
        acknowledged = [running.stdout.readline()]
        end = time.monotonic() + dice.uniform(0, 0.25)
        while time.monotonic() < end:
            assert not shows(MARKER, bytes_of(folder))
        running.send_signal(signal.SIGKILL)
        acknowledged += running.stdout.readlines()
        running.wait()
        running.stdout.close()
        numbers = [int(line) for line in acknowledged if line.endswith(b"\n")]
        assert not shows(MARKER, bytes_of(folder))
        with Vault.open(folder, KEY) as vault:
            found = vault.clips(sha256)
            assert found.damaged == 0
            indices = [result.index for result in found.results]
            assert indices[: len(numbers)] == numbers and len(indices) <= len(numbers) + 1
            assert all(result == clip(result.index) for result in found.results)
            most = max(most, len(numbers))
            assert vault.check() == 0 and len(vault.recordings()) == number + 1
    assert most > 5, "the children were at work when they were killed"


RESTLESS = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from tests.test_vault import KEY, NEW_KEY, OTHER_SHA, fill
from jiyao.vault import Vault, rescue
folder, work = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
for number in range(100000):
    if work == "rescue":
        rescue(folder, KEY)
    elif work == "make":
        Vault.open(folder / str(number), KEY).close()
    else:
        with Vault.open(folder, KEY) as vault:
            if work == "rewrap":
                vault.change_key(NEW_KEY)
                vault.change_key(KEY)
            else:
                fill(vault, OTHER_SHA, 5)
                vault.delete(OTHER_SHA)
"""
NEW_KEY = Passphrase("new", log2_n=10)


@POSIX_ONLY
@pytest.mark.parametrize("work", ["rewrap", "delete", "rescue", "make"])
def test_killed_in_the_middle_of_anything_else(folder: Path, work: str) -> None:
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 5)
    dice = random.Random()
    for _ in range(6):
        root = str(Path(__file__).parent.parent)
        running = subprocess.Popen([sys.executable, "-c", RESTLESS, folder, work, root], stdout=subprocess.PIPE)
        assert running.stdout and running.stdout.readline()
        time.sleep(dice.uniform(0.01, 0.15))
        assert running.poll() is None, "it was at work"
        running.kill()
        running.communicate()
        try:
            opened = Vault.open(folder, KEY, create=False)
        except VaultError as error:
            assert (work, error.key) == ("rewrap", "vault.wrong_passphrase")
            opened = Vault.open(folder, NEW_KEY, create=False)
        with opened as vault:
            vault.change_key(KEY)
            assert [result.index for result in vault.clips(SHA).results] == [0, 1, 2, 3, 4] and vault.check() == 0
        for half_made in filter(Path.is_dir, folder.iterdir()):
            with Vault.open(half_made, KEY) as vault:
                fill(vault, SHA, 1)
            shutil.rmtree(half_made)


def test_a_vault_whose_making_was_killed_is_made_again(folder: Path) -> None:
    folder.mkdir()
    half = (
        "import os,sqlite3,sys;c=sqlite3.connect(sys.argv[1],isolation_level=None)\n"
        "for sql in ('PRAGMA page_size=16384','PRAGMA cache_size=2','BEGIN','CREATE TABLE pieces(x)'): c.execute(sql)\n"
        "for _ in range(100): c.execute('INSERT INTO pieces VALUES (zeroblob(9000))')\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", half, folder / "vault.sqlite3"], check=True)
    assert exists(folder) and (folder / "vault.sqlite3-journal").stat().st_size, "half-written, to be rolled back"
    with Vault.open(folder, KEY) as vault:
        fill(vault, SHA, 1)
        assert vault.check() == 0


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@ROOT_ON_LINUX
def test_a_full_disk_costs_only_what_did_not_fit(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "900k") as disk, Vault.open(disk, KEY) as vault:
        vault.begin(source(), MAKING)
        (disk / "ballast").write_bytes(bytes(200_000))
        safe = 0
        with raises("vault.disk_full"):
            for number in range(100_000):
                vault.keep_clip(SHA, clip(number))
                safe += 1
        assert safe > 20
        assert [result.index for result in vault.clips(SHA).results] == list(range(safe))
        with raises("vault.disk_full"):
            for _ in range(100):
                vault.add_edit(SHA, [random.random() for _ in range(3000)])
        (disk / "ballast").unlink()
        vault.keep_clip(SHA, clip(safe))
        assert vault.check() == 0
        with Vault.open(disk, KEY) as again:
            assert len(again.clips(SHA).results) == safe + 1
        with raises("vault.disk_full"):  # what is deleted must be put back if the power fails half way: that takes room
            vault.delete(SHA)
        assert vault.check() == 0 and len(vault.clips(SHA).results) == safe + 1
        vault.close()
        assert erase(disk).files == 1 and list(disk.iterdir()) == [], "to erase everything takes none"


@ROOT_ON_LINUX
def test_no_room_for_a_vault_at_all(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16k") as disk:
        with raises("vault.disk_full"):
            Vault.open(disk, KEY)
        assert not exists(disk)


@POSIX_ONLY
def test_a_limit_on_the_size_of_files_is_told(folder: Path) -> None:
    code = (
        "import resource,sys;resource.setrlimit(resource.RLIMIT_FSIZE,(200_000,200_000))\n"
        "from jiyao.errors import VaultError\n"
        f"sys.argv[1:] = [{str(folder)!r}, {SHA!r}, '0,100000', {str(Path(__file__).parent.parent)!r}]\n"
        f"try:\n exec({CHILD!r})\nexcept VaultError as error:\n print(error.key)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=True, text=True).stdout
    *numbers, key = out.split()
    assert key in ("vault.storage", "vault.disk_full") and len(numbers) > 10
    with Vault.open(folder, KEY) as vault:
        assert [result.index for result in vault.clips(SHA).results] == list(map(int, numbers))


@ROOT_ON_LINUX
def test_a_read_only_disk_still_gives_everything(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        with Vault.open(disk, KEY) as vault:
            fill(vault, SHA, 3)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with Vault.open(disk, KEY) as vault:
            assert vault.read_only and vault.check() == 0
            assert len(vault.transcript(SHA).segments) >= 3
            with raises("vault.read_only"):
                vault.keep_clip(SHA, clip(3))
            with raises("vault.read_only"):
                vault.change_key(Passphrase("new", 10))
        with raises("vault.read_only"):
            erase(disk)
        with raises("vault.storage"):
            Vault.open(disk / "new", KEY)


# a vault as version 1 wrote it; never to be changed

FIRST_KEY = Passphrase("第一版 passphrase")


def first_vault(folder: Path) -> None:
    folder.mkdir()
    connection = sqlite3.connect(folder / "vault.sqlite3")
    connection.execute("PRAGMA page_size = 16384")
    connection.executescript(FIRST.replace("\n  ", ""))
    connection.close()


def dump(folder: Path) -> list[str]:
    connection = sqlite3.connect(folder / "vault.sqlite3")
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def assert_first(vault: Vault) -> None:
    sha256 = "c0" * 32
    assert [kept.source for kept in vault.recordings()] == [Source("旧会议.m4a", 2000, sha256)]
    recognition = Recognition("你好世界。", "zh", (Word("你好", 0, 500, 0.9), Word("世界。", 500, 1000)), 0.9)
    expected = Heard(Span(0, 16000), recognition)
    assert vault.resume(sha256, MAKING.fingerprint) == {Span(0, 16000): expected}, "the fingerprint is the same still"
    assert vault.terms() == {"旧": "你号→你好"}
    assert vault.check() == 0


FIRST = """
CREATE TABLE header (copy INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE pieces (slot BLOB NOT NULL UNIQUE, sealed BLOB NOT NULL);
INSERT INTO header VALUES (1, X'9e6a79483100e7150000011c7b22656e747279223a2022222c20226b65795f6964223a2022353635663237
  39633231626365623462222c20226c6f67325f6e223a2031302c20226e6f6e6365223a2022383238303631323465383430643865363863663035
  373137222c202273616c74223a20223330393330346535363936333232326132303961316138646231326361623936222c202276657273696f6e
  223a20312c2022776179223a202270617373706872617365222c202277726170706564223a202235373738333835633236323364333863383831
  32633530316463383938303336346562646262373466393734333466353438643338646164646136316532333265653131623435346263336266
  31343336323730396338306632306339393638227dcaf433ce9c62f0b7a40ac5e4a807c1027946ee2a6773f91ec6102966c209bc5e');
INSERT INTO header VALUES (2, X'9e6a79483100e7150000011c7b22656e747279223a2022222c20226b65795f6964223a2022353635663237
  39633231626365623462222c20226c6f67325f6e223a2031302c20226e6f6e6365223a2022383238303631323465383430643865363863663035
  373137222c202273616c74223a20223330393330346535363936333232326132303961316138646231326361623936222c202276657273696f6e
  223a20312c2022776179223a202270617373706872617365222c202277726170706564223a202235373738333835633236323364333863383831
  32633530316463383938303336346562646262373466393734333466353438643338646164646136316532333265653131623435346263336266
  31343336323730396338306632306339393638227dcaf433ce9c62f0b7a40ac5e4a807c1027946ee2a6773f91ec6102966c209bc5e');
INSERT INTO pieces VALUES (X'01de06d244fc6678169945f4c81c5ce8a96f7340046957d34bfab16c76ae1302c10000', X'9e6a79563100f3
  1c0000023f01de06d244fc6678169945f4c81c5ce8a96f7340046957d34bfab16c76ae1302c10000eaede00f84ec436fba433edddbf9d369cd45
  99546bd8849f66c9c6dfdd8897811cf5b28cfb205c24fe0f961033900d0e005ff7f25ed19c048a26da21dee1d4982cfb2471fbcc2e98dbcac214
  2cd273fa9cee8626c85278d46255a6c4ffb255ac8c36a28421cba432cbea6e8097518541da4a62fa09f42a689fd845e671f1a2f63eb0694a2134
  8c0b127ec0d7e6cda7bf0d98222f7392d59256b8064cf9a98f515a7a8efeb325847e4b492c1f539fe3747daba2355e10844e45088a8e342cf1b0
  e5eded585702e893faeabc6c63c14f5827fc3ddee567f22c47fa7a73c3bb6b9a3a8e3472878675d3835eb5ca2faa8828dfba80e66038a70e598f
  69a06708001ad1a7fb989a9318c2fa2bb33caadad6041d6af2a4ba99c2e5b85fea42765041ebd2ffc84420aa4f8b867f58c53d688bdcdc8012aa
  a61890e77541f4d46d65e56f390ae6243b5cc8ef5a404847be90d20a74bb67ac4f2ca91b790d8ec6374d48826d77022e41cd6bcd55979e9dbebe
  0e919e1ee15688a4c2a45149e2964c0ff4231cfa633cb2b32ed250bddee961077f1cdc7465c737b2e7f65e080f3087e5554017fb1ad8f6c5474e
  60a722bd6a99dd7625fe34fa283c94ced614061ccb540a1f418a77267efe6c7e0998f49dc55343312676779097f2e6e9f6aca0b3a73561a1693c
  e64d0d886737b84bf53189ffc6f0c45e6d2b669bc16193f0ae7a913d29cc03019823b87e5689eeb9e977d2c9b4808ebd1b3ca76f2a3a4cb0e16a
  ');
INSERT INTO pieces VALUES (X'02de06d244fc6678169945f4c81c5ce8a9ee1a78d9d549eec9fe09e48328bb7ab90000', X'9e6a79563100f3
  1c0000023f02de06d244fc6678169945f4c81c5ce8a9ee1a78d9d549eec9fe09e48328bb7ab90000ef1f3a5e2c476002682421dd63c22efc7b6c
  4a2b7bd50c5c37836d85fa1feacb27cf5f3bc1c8038900d327f2105592210dd25ece726777d890925d632ecd85b1c5fb48af1118f01675171497
  175f63e0fe8664922b3a86ee85a9b48faffd2f8868a2ef27b6fa45f76c80b8d95070ee60f4b2e15a465faab8f7c274ffe399be00d950789a177e
  4e44684f7c221e84711fc643a7ca7d45e0b9945e4e69c60df1a88fa83bba7fa0fb8229a8b9fa55e404d28b345601266ed280a358ebafc84e442f
  0e602e39c3844f8b8be3133484060187f631d1f14c64ef3760350be621bec9f0e2c979edc7a91bfcbefb7e0c270489a250cd5d2e9073b1b252aa
  0f7318f28eac63e314e42b3e0e60c39994cdb8cbc5ff4d4b5e38cd5f8ac37d387e2950b1af77625c668b553b247d8084fb138900ce18fedecaba
  ca1a6b669a914eda3e0abdb9c8448835515e2ee7ce85e9fb722bfa713a86ef4c89adb55ca558466e53de3c112dd0420ab498a7f21960aded07e7
  2d4140ee577a5078692858db2ed530a31afe0340357219f700685657705bacbe0d19272c6479ed52f003f9b861577eb3ba1153873570be4cba8c
  f32c3a378a0f0d3dc49f7a92ae035d98a03d09278158647e083655057678f12f1ecb9c77f63fbe56fc0149a399347c1803820e4b1e0df95e5f86
  4a8c4bdd93e770041fa7d3d85df436eda11b834d569a8dfbb506a6055ac6128cc854c5ec4347328ace85e35bf2d60583f4cf7c7741f751767ead
  ');
INSERT INTO pieces VALUES (X'03de06d244fc6678169945f4c81c5ce8a9e22468f8e280fa88461633805a4416470000', X'9e6a79563100f3
  1c0000023f03de06d244fc6678169945f4c81c5ce8a9e22468f8e280fa88461633805a44164700000f3da076f396eda5e7dbbb290c7cb9b1182f
  6ac6c936eda6fa72d50816f133f61053b72830a548ebf14b4f8581a32b8f81c41437f029fa9939e0e35de8bcb03bca9034cf85ec8a3bd6e2d5b2
  fe3413680533455c052eb538f018eefcbeae850e01874da9e8ac0d2240aa1c831b86f13376de54ea32d07f9c3f13f8b9134916d81021f8ed860f
  a3dfb4194a9c2800b33094b463c805e9fef3541c1c85c2ea0374e30188740caf336d449194c5142e458999de57acba77f3a7c1ec2fb329712b07
  d7a5ba3444db15a411b3ceb203eedbfaed407cc50d6135556cc65360182b5040f62eeb3cc3a123d8833c147964d8481053a9b2e6ee4d3cdde254
  2aa3af3d8f0915315ee4765349b03ef6ff2e25e01cc5c4c40cae2511124824d7fea2f4998813a952da582bc56f0aac093fc88b34b439ee500ca9
  21221effd2326f4d94ee289b704a20e91824f595d275c403449b0335a98e1397a0f75875205c55a6f1db2c02439b73134c5d38ae2614969af7ac
  427eb07da59c7358f1ac9ab42beb5cc1d640102d0cb2000ea5ad49b8f69636fcc3df5b75750b93228e0dbe326e5d4c4869199a636e43d8be4996
  daae925a0b0573c10520c82aa39981e2cdf172fa37bfac4ede112d086779dc4e39fce1a1dde8db7de2d2d33ab038c13d4be4c95144f6cb9591a6
  72fbd9fa6da2064ef06948979881b4f288369c381c65d4fabf13757c22d484e9aedc1cef4f01b9b992edc4178ae19d091672c6e00ac4ffa5ef35
  ');
INSERT INTO pieces VALUES (X'04de06d244fc6678169945f4c81c5ce8a96f7340046957d34bfab16c76ae1302c10000', X'9e6a79563100f3
  1c0000023f04de06d244fc6678169945f4c81c5ce8a96f7340046957d34bfab16c76ae1302c100000cda18deecac647e94962a8da3688bff04e8
  4a9d74ce742ffeee24b28bbc51a7bee076d5472a9c0cdf77ac26a369a37e6a8eec11fe9884f0fd4a960e4b3aadb14e0cc832d650ecd5b36f3253
  11c8ae4e2078e53c33648edbb1d68b99dea305300b3161366862db7cb6b89c74bdb891576eb26ca9bb1f1c8d4f2e61f8f5d15405580b1d5055c6
  6c3bbeb2cb2051d487c3e4585b7df59e7e6052990cb340ab9478595bb217aa3e8f341cf32065578378d11ac79c6e465fd4d29046e30040b2cb29
  5c88cbd323f0db933d66673e0ac565b2983dd0de00152db86cd5869cbaf01ed339d9bf16f9cbd785851c874b0e4b021a91325aea978bef4b7b05
  1f500e1cd53e9b40022214479551482ade56513571afa3f5c09ea27e14ce910adbb229ed7e96dc3aa33123a9f99f22986ccd1d86353503c455c8
  9642cbcc4510faf4b958c2b466a48557d0c9672eba3c3290044f6a7247cefe91b88c415e0770123118881bf3db530d6d087b997d04d2d681e8cb
  9a64acb65c053918610c9baf390291e03f4496e78e12c9b0914992b4db4849e40b452096a42559387f35bbe5374af3fb4203c0c5390b2aac7e4f
  4dcd25f0ecffe22ce39d6f7e2176193fb985b76c99bcf04e58cc4cd24ee3077c3d09b9fd23376f7243beada72b9dc3471278cb8560051e7472d2
  321bb99cd82888afed7157a9acb084d9a175288521e5c84e4b527d6853682e60bd339ea6e09db710076b6a7ff98b2424806bf40e2f90c8244034
  ');
INSERT INTO pieces VALUES (X'0800000000000000000000000000000000248b2ac55fb246c619a9be06f2af01700000', X'9e6a79563100f3
  1c0000023f0800000000000000000000000000000000248b2ac55fb246c619a9be06f2af017000007fef36bf9cf1bf2bd713b4fa907e4d96f008
  62b954327f25d4ab91c56091a945bec07fd2bee39d17ef4e4186861b362f927c5d8354874a123207c3cc35739f6f936544fe04ab154e04672042
  b7770c094cd31ac2d38a279cd3fa9d9986e199268631af584a3830d96ccc059cdb9fd102a86df9edf725431e6066b4a8ea48438dc62ea3ea80bf
  2e548a3f9bd4787d969a577c4e090d13a032f8fb4c0779401c9ba7ec933ac3b9fb25546dda5fb609d9008e51b7a0221b0f6b4c470308af2fe056
  64017781776a7320f8b36adf9b5f14e686bbbacd32d10a142937cf01ac57db0d00f15af1228fd2b90f9a8cbe77beb13a0146aa255cd67a3f6c0e
  e0ee0c20b60110c4454279a6f733329378b4b215dcb87bfcad6668593a0c2632b01b863e8851e3a784a3c0c6fc42c7047376204a93fbaaa74a03
  acca9a1ebc330ede67f3ad93031086ffcf0271d8cbab2682459551fbabc509eb65e5be19b25d9b39f508278729ea5f2058c34209be7392845aa6
  147774444e5ebf183684276ce35546e918db0ccdd9cad4e931cd77f198404a7868e9d5713f7f53d7c68595f4b3dcbc4050f1ebb5f5613e6a1ba1
  8c60f487f4b6e96dce458595da02b87441144bf5ff85de968e821d6eccf38af097d3b4b7e299128a74de015c13d596c88b7f0776f516632accfa
  58fe8a01508dabb3c9a33a2244aa27f243e88cd9c4f4f00a667c5da64a48ba344d3397b87dc206b18fe612ddb03dea517538270ecffed6d8e18b
  ');
"""
