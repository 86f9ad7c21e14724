"""Damaged recordings: whatever stands in a file, it is decoded or refused in plain words; nothing crashes or hangs.

The real decoder runs in child processes, so that a crash of native code is seen too. A failure names its seed:

    python -m tests.test_audio_damage SEED COUNT        the same mutations again, by hand
"""

from __future__ import annotations

import faulthandler
import functools
import json
import os
import random
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jiyao.audio import decode
from jiyao.errors import AudioError
from tests.conftest import SHARED
from tests.recordings import KINDS, can_write, made

MUTATIONS = 300
BATCHES = 4
HANG_S = 20.0  # a mutation that takes this long hangs: whole ones take milliseconds
MAX_RSS_MB = 700

_BASES = (
    "wav-s16", "wav-adpcm", "wav-5.1", "mp3", "flac", "m4a-aac", "m4a-alac", "mp4-video", "3gp-amr", "ogg-opus",
    "ogg-vorbis", "webm", "mkv-flac", "wma", "amr", "aiff", "caf", "aac", "mpegts", "avi", "wavpack", "tta", "flv",
    "ac3",
)  # fmt: skip
_SHARED_BASES = ("dev_standup_8k.amr", "dev_standup_vorbis.ogg", "dev_standup_mediarecorder.webm", "short_0.2s.wav")
_SHARED_SHARE = 0.08  # they are longer, so slower
_HEADER = 600  # bytes in which headers stand


@functools.cache
def base(name: str) -> bytes:
    if name in KINDS:
        return made(**KINDS[name], seconds=1.5)
    return (SHARED / "synth" / "variants" / name).read_bytes()


def bases() -> tuple[list[str], list[str]]:
    own = [name for name in _BASES if can_write(KINDS[name].get("codec", "pcm_s16le"))]
    return own, [name for name in _SHARED_BASES if (SHARED / "synth" / "variants" / name).exists()]


def flips(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 3, 20, 200))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def noise(data: bytearray, chance: random.Random) -> None:
    start, length = _block(data, chance)
    data[start : start + length] = chance.randbytes(length)


def header(data: bytearray, chance: random.Random) -> None:
    extremes = (
        b"\x00",
        b"\xff",
        b"\x7f",
        b"\x80",
        b"\x01",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\x7f",
    )
    for _ in range(chance.choice((1, 2, 6))):
        place, value = chance.randrange(min(_HEADER, len(data))), chance.choice(extremes)
        data[place : place + len(value)] = value


def trailer(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 4, 16))):
        data[-1 - chance.randrange(min(_HEADER, len(data)))] = chance.randrange(256)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def behead(data: bytearray, chance: random.Random) -> None:
    del data[: chance.randrange(len(data))]


def zero(data: bytearray, chance: random.Random) -> None:
    start, length = _block(data, chance)
    data[start : start + length] = bytes(length)


def drop(data: bytearray, chance: random.Random) -> None:
    start, length = _block(data, chance)
    del data[start : start + length]


def double(data: bytearray, chance: random.Random) -> None:
    start, length = _block(data, chance)
    data[start:start] = data[start : start + length] * chance.choice((1, 2, 30))


def splice(data: bytearray, chance: random.Random) -> None:
    other = base(chance.choice(bases()[0]))
    data[chance.randrange(len(data)) :] = other[chance.randrange(len(other)) :]


def append(data: bytearray, chance: random.Random) -> None:
    data += base(chance.choice(bases()[0]))


def _block(data: bytearray, chance: random.Random) -> tuple[int, int]:
    length = min(len(data), chance.choice((1, 4, 64, 1_000, 20_000)))
    return chance.randrange(len(data) - length + 1), length


_WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flips, noise, header, header, trailer, cut, behead, zero, drop, double, splice, append,
)  # fmt: skip


def mutated(seed: int) -> tuple[str, bytes]:
    """What was done, and the file: one kind of recording, damaged in one to three ways."""
    chance = random.Random(seed)
    own, outside = bases()
    name = chance.choice(outside) if outside and chance.random() < _SHARED_SHARE else chance.choice(own)
    data = bytearray(base(name))
    steps = [name]
    for way in chance.choices(_WAYS, k=chance.choice((1, 1, 2, 3))):
        if data:
            way(data, chance)
            steps.append(way.__name__)
    return " ".join(steps), bytes(data)


def decode_many(first: int, count: int) -> None:
    """What a child process does: a JSON line before each mutation and one after it."""
    for seed in range(first, first + count):
        steps, data = mutated(seed)
        _say(seed=seed, steps=steps, size=len(data))
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        started = time.monotonic()
        try:
            recording = decode(data)
            outcome, ms = (
                " ".join(note.key for note in recording.notes if note.warning) or "read",
                recording.duration_ms,
            )
        except AudioError as refusal:
            outcome, ms = refusal.key, 0
        except BaseException:
            outcome, ms = traceback.format_exc(), -1
        faulthandler.cancel_dump_traceback_later()
        _say(seed=seed, outcome=outcome, ms=ms, seconds=round(time.monotonic() - started, 3), rss_mb=_peak_rss_mb())


def _say(**values: object) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _peak_rss_mb() -> int:
    """Of this process alone: `ru_maxrss` begins with what the process had that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return next(int(line.split()[1]) // 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def faults(first: int, count: int) -> Iterator[str]:
    """Runs a child over `count` mutations from seed `first` on; says what went wrong, nothing if nothing did."""
    root = Path(__file__).resolve().parents[1]
    # both folders by name: start.py keeps the folder that one stands in off the path
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "src")))}
    command = [sys.executable, "-m", "tests.test_audio_damage", str(first), str(count)]
    child = subprocess.run(
        command, capture_output=True, text=True, timeout=HANG_S + 2 * count, env=environment, cwd=root, check=False
    )
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    last = lines[-1] if lines else {}
    if child.returncode != 0 or len(lines) != 2 * count:
        yield f"the child ended with {child.returncode} at {last}: {child.stderr[-3000:]}"
    for line in lines:
        if line.get("ms", 0) < 0:
            yield f"seed {line['seed']} ({mutated(line['seed'])[0]}): {line['outcome']}"
        if line.get("rss_mb", 0) > MAX_RSS_MB:
            yield f"seed {line['seed']} ({mutated(line['seed'])[0]}): {line['rss_mb']} MB"
            break


def test_no_damage_crashes_hangs_or_leaks_a_foreign_exception() -> None:
    each = MUTATIONS // BATCHES
    with ThreadPoolExecutor(max_workers=min(BATCHES, os.cpu_count() or 1)) as pool:
        found = list(pool.map(lambda batch: list(faults(batch * each, each)), range(BATCHES)))
    assert sum(found, []) == []


@pytest.mark.parametrize("seed", [1825, 2073, 3522, 4491, 5061, 6041])
def test_what_once_went_wrong(seed: int) -> None:
    """A track that comes up half way (PyAV: IndexError), a codec tag that is no text (UnicodeDecodeError)."""
    steps, data = mutated(seed)
    try:
        assert decode(data).duration_ms >= 0, steps
    except AudioError as refusal:
        assert refusal.message(), steps


@pytest.mark.parametrize("name", ["wav-s16", "mp3", "flac", "ogg-opus", "aac"])
def test_damage_in_the_middle_costs_that_place_only(name: str) -> None:
    data = bytearray(made(**KINDS[name], seconds=6.0))
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    assert 5_500 <= decode(bytes(data)).duration_ms <= 6_200


if __name__ == "__main__":
    decode_many(int(sys.argv[1]), int(sys.argv[2]))
