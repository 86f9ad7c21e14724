"""Qwen3-ASR int8 on sherpa-onnx: the plain CPU fallback, one clip after the other, without torch.

In:  clips of up to 30 s; terms and a forced language go along with each clip.
Out: text, and words with estimated times. No confidence, and no dearer repetition (`Hints.cautious`): it has neither.
From: sherpa-onnx 2.0.1 (Apache-2.0), OfflineRecognizer.from_qwen3_asr; how it behaves was read in its C++ source
      (offline-recognizer-qwen3-asr-impl.cc): the prompt is the trained one; a stream takes the options `hotwords`,
      `language` and `max_new_tokens`; the language tag is cut off and not told; more than 64 tokens of three kinds are
      cut off as a loop, which is told on standard error alone.
Traps: a file it does not like ends the process (`_Exit`), so files are checked before (`_inspect`).
"""

from __future__ import annotations

import mmap
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from jiyao.engines.qwen.prompt import LANGUAGES, QwenTokenizer, check_language, parse, system_text, token_budget
from jiyao.engines.qwen.words import words_of
from jiyao.errors import EngineError
from jiyao.recognition import Clip, EngineInfo, Flag, Hints, Recognition
from jiyao.text import join, tidy
from jiyao.timeline import SAMPLE_RATE

NAME = "qwen-cpu"
MODEL = "qwen3-asr-0.6b-int8-onnx"
FILES = ("conv_frontend.onnx", "encoder.int8.onnx", "decoder.int8.onnx")

# The cache of keys and values has this length for every clip, and each step reads all of it (229 KB a token), so no
# more than is needed: 30 s of sound are 390 tokens, the longest answer 392, the prompt's frame 20, terms 256 or so
_TOTAL_TOKENS = 1088
_TOKENS_PER_S = 13
_MIN_SAMPLES = SAMPLE_RATE // 2  # shorter clips give nothing: silence is appended
_TAG_TOKENS = 8  # `language X<asr_text>`, cut off before we can count it, has 3 to 5
_ITS_LINE = re.compile(rb"\S*sherpa-onnx[/\\]csrc[^\n]*(\n?)")  # each begins with its source file
_LOOPED, _CUT = b"repetition loop", b"Result is truncated"
_END = re.compile(r"<\|(?:endoftext|im_end)\|>")  # it stops at the second only, and writes the first into the text
# Which language a script is written in, where that is certain enough; Han without kana is Chinese
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("yue", re.compile(r"[嘅哋咗喺嚟啲冇佢咁唔嗰]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
)
_LATIN = re.compile(r"[A-Za-z]+")
_SHARE = {"ja": 0.1, "yue": 0.05}  # of the letters; of the others half


def usable() -> str | None:
    """None, or the key of the sentence that says why this engine cannot run here."""
    return None if find_spec("sherpa_onnx") is not None else "engine.reason_no_sherpa"


class SherpaQwen:
    """An Engine. Loads in a second or two; 0.95 GB of weights and up to 1 GB for a clip."""

    def __init__(self, folder: Path, revision: str, threads: int) -> None:
        """Raises EngineError when the library or a file is missing, broken or not of this model."""
        self._revision = revision
        try:
            self._limit = _inspect(folder)
            self._tokenizer = QwenTokenizer.from_folder(folder / "tokenizer")
            sherpa_onnx: Any = import_module("sherpa_onnx")
            place = Path(reachable(folder))
            paths = [str(place / name) for name in FILES]
            with overheard():  # what it says while loading is no news
                self._recognizer: Any = sherpa_onnx.OfflineRecognizer.from_qwen3_asr(
                    *paths,
                    str(place / "tokenizer"),
                    num_threads=threads,
                    max_total_len=self._limit,
                    max_new_tokens=token_budget(30.0),
                    temperature=0.0,  # greedy: the same text every time
                )
        except (RuntimeError, ValueError, OSError, ImportError) as cause:
            raise EngineError("engine.load", name=MODEL, reason=cause) from cause

    def describe(self) -> EngineInfo:
        return EngineInfo(NAME, MODEL, self._revision, "cpu", "int8")

    def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        check_language(hints.language)
        for index, clip in enumerate(clips):
            try:
                heard = self._hear(clip, hints)
            except (RuntimeError, ValueError, MemoryError) as cause:
                raise EngineError("engine.failed", name=NAME, reason=cause) from cause
            yield index, heard

    def _hear(self, clip: Clip, hints: Hints) -> Recognition:
        samples = clip.samples
        if len(samples) < _MIN_SAMPLES:
            samples = np.pad(samples, (0, _MIN_SAMPLES - len(samples)))
        budget = token_budget(len(samples) / SAMPLE_RATE)
        n_audio = _TOKENS_PER_S * (len(samples) // SAMPLE_RATE + 1)
        fitting, budget = self._fitting(hints, n_audio, budget)
        stream = self._recognizer.create_stream()
        # it parts terms at commas and puts spaces between: a comma in a term becomes one, no more
        stream.set_option("hotwords", system_text(fitting))
        if hints.language is not None:
            stream.set_option("language", LANGUAGES[hints.language])
        stream.set_option("max_new_tokens", str(budget))
        stream.accept_waveform(SAMPLE_RATE, samples)
        with overheard() as said:
            self._recognizer.decode_stream(stream)
        result = stream.result
        flags: list[Flag] = []
        if any(_LOOPED in line for line in said):
            flags.append("loop")
        room = budget - (0 if hints.language else _TAG_TOKENS)
        if any(_CUT in line for line in said) or len(result.tokens) >= max(1, room):
            flags.append("truncated")
        return _recognition(result.text, clip, hints.language, tuple(flags))

    def _fitting(self, hints: Hints, n_audio_tokens: int, budget: int) -> tuple[Hints, int]:
        """The hints that leave room for sound and answer, first ones first: else the library would cut the sound."""
        while True:
            room = self._limit - len(self._tokenizer.prompt_ids(hints, n_audio_tokens))
            if room >= budget or not (hints.terms or hints.context):
                return hints, max(1, min(room, budget))
            hints = replace(hints, context="") if hints.context else replace(hints, terms=hints.terms[:-1])


def open_folder(folder: Path, revision: str, threads: int) -> SherpaQwen:
    """The engine on any folder of this layout, whatever the catalogue says of it."""
    return SherpaQwen(folder, revision, threads)


def reachable(folder: PurePath, windows: bool = os.name == "nt") -> str:
    r"""The folder's path as a C++ library can open it: on Windows, unless it is ASCII, its short form (C:\ABC~1).

    Some sherpa-onnx could not open other paths (k2-fsa/sherpa-onnx #3885). To ask for the short form changes nothing: a
    changed working folder would hold for the whole process, a junction would be written to the disk and outlive us.
    Where the volume has no short names the path stays as it is: 2.0.1 converts it from UTF-8 itself, by its source.
    """
    path = str(folder)
    if not windows or path.isascii():
        return path
    short = _short_path(path)
    return short if short.isascii() else path


def _short_path(path: str) -> str:
    import ctypes

    library: Any = ctypes
    size = library.windll.kernel32.GetShortPathNameW(path, None, 0)
    buffer = ctypes.create_unicode_buffer(max(1, size))
    library.windll.kernel32.GetShortPathNameW(path, buffer, size)
    return buffer.value or path


def _recognition(raw: str, clip: Clip, forced: str | None, flags: tuple[Flag, ...]) -> Recognition:
    language, text = parse(_END.split(raw, maxsplit=1)[0], forced)
    if "loop" in flags and forced is None and text == "language":
        text = ""  # the cut went through the tag
    if not text:
        return Recognition("", None, flags=flags)
    words = words_of([text], None, clip)
    whole = join(word.text for word in words) if words else tidy(text)
    return Recognition(whole, language or _language_of(text), words, None, flags, "estimated")


def _language_of(text: str) -> str | None:
    """What the script tells of the language, as the library does not; None for Latin, Cyrillic, Arabic letters."""
    letters = sum(map(str.isalpha, _LATIN.sub("a", text)))  # a Latin word counts as much as a character of another
    for code, script in _SCRIPTS:
        if letters and len(script.findall(text)) >= _SHARE.get(code, 0.5) * letters:
            return code
    return None


@contextmanager
def overheard() -> Iterator[list[bytes]]:
    """Within, lines that sherpa-onnx writes to standard error come into the list; all else goes through, at once.

    There is no other way to learn of a loop it cut off. Works on the descriptor, as C++ writes there; where the process
    has none (a Windows program without a console), nothing is heard.
    """
    said: list[bytes] = []
    try:
        kept = os.dup(2)
    except OSError:
        yield said
        return
    ear, mouth = os.pipe()
    listener = threading.Thread(target=_listen, args=(ear, kept, said), name="sherpa-stderr", daemon=True)
    os.dup2(mouth, 2)
    os.close(mouth)
    listener.start()
    try:
        yield said
    finally:
        os.dup2(kept, 2)  # the last writing end: the listener reads to the end and stops
        listener.join()
        os.close(ear)
        os.close(kept)


def _listen(ear: int, kept: int, said: list[bytes]) -> None:
    rest = b""
    while chunk := os.read(ear, 1 << 16):
        rest += chunk
        while line := _ITS_LINE.search(rest):
            os.write(kept, rest[: line.start()])
            rest = rest[line.start() :]
            if not line.group(1):
                break  # its end is still to come
            said.append(rest[: line.end() - line.start() - 1])
            rest = rest[line.end() - line.start() :]
        else:
            os.write(kept, rest)  # at once: a progress bar is drawn without line breaks
            rest = b""
    if rest:
        said.append(rest)


# What must hold of an ONNX file before sherpa-onnx may see it. Protobuf is read by hand: only the ports are of interest


@dataclass(frozen=True)
class _Port:
    """An input or output of a graph: element type (ONNX's number) and dimensions, 0 where they are free."""

    element: int
    shape: tuple[int, ...]


def _inspect(folder: Path) -> int:
    """How many tokens the cache may hold. Raises ValueError or OSError where sherpa-onnx would end the process."""
    conv, encoder, decoder = (_ports(folder / name) for name in FILES)
    if (len(conv[0]), len(conv[1])) != (1, 1) or (len(encoder[0]), len(encoder[1])) != (2, 1):
        raise ValueError(f"{FILES[0]}, {FILES[1]}: not the graphs of Qwen3-ASR")
    inputs, outputs = decoder
    layers = len(inputs) // 2 - 2
    if layers < 1 or len(inputs) != 4 + 2 * layers or len(outputs) != 1 + 2 * layers:
        raise ValueError(f"{FILES[2]}: {len(inputs)} inputs, {len(outputs)} outputs")
    for port in inputs[4:]:
        # float32, float16 or its bits; [batch, tokens, heads, size]
        if port.element not in (1, 10, 4) or len(port.shape) != 4 or min(port.shape[2:]) < 1:
            raise ValueError(f"{FILES[2]}: a cache of type {port.element}, shape {port.shape}")
    fixed = inputs[4].shape[1]
    return min(fixed, _TOTAL_TOKENS) if fixed else _TOTAL_TOKENS


def _ports(path: Path) -> tuple[list[_Port], list[_Port]]:
    """Inputs and outputs of a graph. Raises ValueError when the file is cut off or no ONNX model."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            graphs = [(start, end) for field, start, end in _fields(data, 0, len(data)) if field == 7]
            ports: dict[int, list[_Port]] = {11: [], 12: []}
            for field, start, end in _fields(data, *graphs[0]):
                if field in ports:
                    ports[field].append(_port(data, start, end))
            return ports[11], ports[12]
        except (IndexError, KeyError) as cause:
            raise ValueError(f"{path.name} is not an ONNX model, or cut off") from cause


def _port(data: mmap.mmap, start: int, end: int) -> _Port:
    described = dict(_whole(data, start, end))  # ValueInfoProto.type → TypeProto.tensor_type → elem_type, shape
    tensor = dict(_whole(data, *dict(_whole(data, *described[2]))[1]))
    shape = []
    for _, *dimension in _fields(data, *tensor[2]):
        values = dict(_whole(data, *dimension))
        shape.append(_number(data, *values[1]) if 1 in values else 0)
    return _Port(_number(data, *tensor[1]), tuple(shape))


def _whole(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    return ((field, (first, last)) for field, first, last in _fields(data, start, end))


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of each field of a protobuf message; IndexError when one reaches beyond the end."""
    while start < end:
        key, start = _varint(data, start)
        if key & 7 == 2:
            length, start = _varint(data, start)
        elif key & 7 == 0:
            length = _varint(data, start)[1] - start
        else:
            length = {1: 8, 5: 4}[key & 7]
        if start + length > end:
            raise IndexError
        yield key >> 3, start, start + length
        start += length


def _number(data: mmap.mmap, start: int, _: int) -> int:
    return _varint(data, start)[0]


def _varint(data: mmap.mmap, start: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = shift = 0
    while True:
        byte = data[start]
        value |= (byte & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if byte < 0x80:
            return value, start
        if shift > 63:
            raise IndexError
