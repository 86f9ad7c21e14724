"""sherpa-onnx with Qwen3-ASR: the real library on graphs of a few nodes that repeat what the prompt says.

The real weights are a gigabyte. These graphs have the same ports, and their decoder answers with the tag, unless the
prompt forces a language, and then the text of the system turn: so a test sees what the library made of the prompt.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest

from jiyao.engines.qwen import sherpa
from jiyao.engines.qwen.prompt import HINT_BYTES
from jiyao.errors import UsageError
from jiyao.recognition import Clip, Hints, Recognition
from jiyao.text import join
from jiyao.timeline import SAMPLE_RATE, Span, to_ms
from tests.qwen_toys import write_tokenizer

pytest.importorskip("sherpa_onnx")

FLOAT, INT64, BOOL = 1, 7, 9  # ONNX's numbers of element types
N_VOCAB = 151_936


# ONNX by hand: a protobuf writer of a few lines, against a test dependency of 20 MB


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(kind: str, inputs: str, output: str, **attributes: int) -> bytes:
    ports = b"".join(field(1, name) for name in inputs.split()) + field(2, output)
    extra = b"".join(field(5, field(1, k) + field(3, v) + field(20, 2)) for k, v in attributes.items())
    return field(1, ports + field(4, kind) + extra)


def constant(name: str, values: Sequence[int] | int) -> bytes:
    numbers = [values] if isinstance(values, int) else list(values)
    dimensions = b"" if isinstance(values, int) else field(1, len(numbers))
    return field(
        5, dimensions + field(2, INT64) + field(8, name) + field(9, struct.pack(f"<{len(numbers)}q", *numbers))
    )


def port(number: int, name: str, element: int, *shape: int | str) -> bytes:
    dims = b"".join(field(1, field(1, d) if isinstance(d, int) else field(2, d)) for d in shape)
    return field(number, field(1, name) + field(2, field(1, field(1, element) + field(2, dims))))


def model(*parts: bytes) -> bytes:
    return field(1, 8) + field(7, b"".join(parts) + field(2, "toy")) + field(8, field(2, 17))


def conv_frontend() -> bytes:
    """Every eighth frame: about 13 a second, as the real one gives."""
    return model(
        constant("from", [0]),
        constant("to", [1 << 40]),
        constant("axis", [1]),
        constant("step", [8]),
        node("Slice", "features from to axis step", "out"),
        port(11, "features", FLOAT, 1, "frames", 128),
        port(12, "out", FLOAT, 1, "tokens", 128),
    )


def encoder() -> bytes:
    return model(
        constant("axis", [2]),
        node("Cast", "mask", "kept", to=FLOAT),
        node("Unsqueeze", "kept axis", "wide"),
        node("Mul", "in wide", "out"),
        port(11, "in", FLOAT, 1, "tokens", 128),
        port(11, "mask", BOOL, 1, "tokens"),
        port(12, "out", FLOAT, 1, "tokens", 128),
    )


def decoder(total: int | str = "total") -> bytes:
    """Answers with `language Chinese<asr_text>`, left out if it is forced, and the prompt from its fourth token on.

    The first cache remembers the ids of the prompt, the second its length: at a later step they are all there is.
    """
    return model(
        *(constant(name, value) for name, value in (("zero", 0), ("one", 1), ("two", 2), ("three", 3))),
        *(constant(name, value) for name, value in (("tag", 151704), ("words", N_VOCAB), ("first", [0]))),
        *(constant(name, value) for name, value in (("flat", [-1]), ("four", [1, -1, 1, 1]), ("opening", TAG))),
        # how many ids come in, the last one's place, the length of the prompt
        node("Shape", "ids", "ids_shape"),
        node("Gather", "ids_shape one", "n"),
        node("Equal", "n one", "later"),
        node("Cast", "later", "shift", to=INT64),
        node("Reshape", "past_value flat", "lengths_f"),
        node("Cast", "lengths_f", "lengths", to=INT64),
        node("Gather", "lengths zero", "known"),
        node("Where", "later known n", "length"),
        node("Sub", "n one", "last"),
        node("Gather", "position last", "place"),
        # all ids: the prompt's, now or remembered, begin at `shift`
        node("Reshape", "past_key flat", "memory_f"),
        node("Cast", "memory_f", "memory", to=INT64),
        node("Reshape", "ids flat", "line"),
        node("Concat", "line memory", "all", axis=0),
        node("Add", "shift length", "end"),
        node("Sub", "end one", "before"),
        node("Gather", "all before", "prompt_end"),
        node("Equal", "prompt_end tag", "forced"),
        node("Where", "forced zero three", "opened"),
        # the answer's token: of the opening, or of the prompt
        node("Sub", "place length", "step_0"),
        node("Add", "step_0 one", "step"),
        node("Less", "step opened", "opens"),
        node("Min", "step two", "within"),
        node("Gather", "opening within", "spoken"),
        node("Sub", "step opened", "echo_0"),
        node("Add", "echo_0 three", "echo_1"),
        node("Max", "echo_1 zero", "echo_2"),
        node("Add", "echo_2 shift", "echo"),
        node("Gather", "all echo", "repeated"),
        node("Where", "opens spoken repeated", "answer"),
        # logits [1, n, words]: the answer's one at every place
        node("Range", "zero words one", "every"),
        node("Equal", "every answer", "hot"),
        node("Cast", "hot", "hot_f", to=FLOAT),
        node("Unsqueeze", "n first", "n_1"),
        node("Concat", "ones_1 n_1 ones_1", "logits_shape", axis=0),
        constant("ones_1", [1]),
        node("Expand", "hot_f logits_shape", "logits"),
        node("Cast", "ids", "ids_f", to=FLOAT),
        node("Reshape", "ids_f four", "key"),
        node("Cast", "length", "length_f", to=FLOAT),
        node("Shape", "key", "key_shape"),
        node("Expand", "length_f key_shape", "value"),
        port(11, "ids", INT64, 1, "n"),
        port(11, "audio", FLOAT, 1, "sound", 128),
        port(11, "mask", INT64, 1, "n"),
        port(11, "position", INT64, "n"),
        port(11, "past_key", FLOAT, 1, total, 1, 1),
        port(11, "past_value", FLOAT, 1, total, 1, 1),
        port(12, "logits", FLOAT, 1, "n", N_VOCAB),
        port(12, "key", FLOAT, 1, "n", 1, 1),
        port(12, "value", FLOAT, 1, "n", 1, 1),
    )


TAG = [11528, 8453, 151704]  # language Chinese<asr_text>


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a Chinese name: no system may stumble over that."""
    place = tmp_path_factory.mktemp("sherpa") / "模型"
    write(place)
    return place


def write(place: Path) -> None:
    place.mkdir(parents=True)
    for name, content in zip(sherpa.FILES, (conv_frontend(), encoder(), decoder()), strict=True):
        (place / name).write_bytes(content)
    write_tokenizer(place / "native")
    whole = json.loads((place / "native" / "tokenizer.json").read_text(encoding="utf-8"))
    names = place / "tokenizer"
    names.mkdir()
    (names / "vocab.json").write_text(json.dumps(whole["model"]["vocab"], ensure_ascii=False), encoding="utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in whole["model"]["merges"]]
    (names / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    added = {str(token.pop("id")): token for token in whole["added_tokens"]}
    (names / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}), encoding="utf-8")


@pytest.fixture(scope="session")
def engine(folder: Path) -> sherpa.SherpaQwen:
    return sherpa.open_folder(folder, "toy", threads=1)


def clip(seconds: float = 1.0, start: int = 0) -> Clip:
    values = np.random.default_rng(5).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
    return Clip(values, Span(start, start + len(values)))


def heard(engine: sherpa.SherpaQwen, one: Clip, hints: Hints) -> Recognition:
    results = list(engine.recognize([one], hints))
    assert [index for index, _ in results] == [0]
    return results[0][1]


class TestRecognition:
    def test_terms_reach_the_prompt_and_the_tag_is_gone(self, engine: sherpa.SherpaQwen) -> None:
        result = heard(engine, clip(), Hints(terms=("通义千问", "PyTorch")))
        assert result.text == "通义千问 PyTorch"
        assert (result.language, result.timing, result.flags, result.confidence) == ("zh", "estimated", (), None)

    def test_each_call_has_its_own_terms(self, engine: sherpa.SherpaQwen) -> None:
        assert heard(engine, clip(), Hints(terms=("预算",))).text == "预算"
        assert heard(engine, clip(), Hints(terms=("会议",))).text == "会议"
        assert heard(engine, clip(), Hints()) == Recognition("", None)

    def test_a_forced_language_stands_in_the_prompt(self, engine: sherpa.SherpaQwen) -> None:
        result = heard(engine, clip(), Hints(terms=("budget", "meeting"), language="en"))
        assert (result.text, result.language) == ("budget meeting", "en")

    def test_words_join_to_the_text_inside_the_clip(self, engine: sherpa.SherpaQwen) -> None:
        one = clip(3.0, start=48_000)
        result = heard(engine, one, Hints(context="我们搵到 PyTorch，好。"))
        assert result.text == join(word.text for word in result.words) == "我们搵到 PyTorch，好。"
        times = [ms for word in result.words for ms in (word.start_ms, word.end_ms)]
        assert times == sorted(times)
        assert times[-1] <= to_ms(len(one.samples))

    def test_several_clips_and_none(self, engine: sherpa.SherpaQwen) -> None:
        clips = [clip(0.03), clip(1.0), clip(2.5)]
        results = list(engine.recognize(clips, Hints(terms=("预算",))))
        assert [(index, result.text) for index, result in results] == [(0, "预算"), (1, "预算"), (2, "预算")]
        assert list(engine.recognize([], Hints())) == []

    def test_an_unknown_language_is_told_even_without_clips(self, engine: sherpa.SherpaQwen) -> None:
        with pytest.raises(UsageError):
            list(engine.recognize([], Hints(language="tlh")))

    def test_the_longest_clip_with_the_most_hints_loses_no_sound(
        self, engine: sherpa.SherpaQwen, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """The library would cut sound that does not fit beside the terms; here terms go first."""
        hints = Hints(terms=tuple(chr(0x20000 + number) for number in range(190)), language="zh")
        with sherpa.overheard() as said:
            fitting, budget = engine._fitting(hints, 403, 392)
        assert budget == 392
        assert fitting.terms == hints.terms[: len(fitting.terms)]
        assert 0 < len(fitting.terms) < 190
        assert len(engine._tokenizer.prompt_ids(fitting, 403)) + 392 <= 1088
        assert len("".join(hints.terms).encode()) < HINT_BYTES + 1
        assert said == []

    def test_describes_itself(self, engine: sherpa.SherpaQwen) -> None:
        info = engine.describe()
        assert (info.name, info.model, info.revision, info.device) == ("qwen-cpu", sherpa.MODEL, "toy", "cpu")


class TestWhatIsLost:
    def test_an_answer_over_the_budget_is_flagged(self, engine: sherpa.SherpaQwen) -> None:
        # 44 tokens for a second
        result = heard(engine, clip(1.0), Hints(context="0123456789" * 6))
        assert result.flags == ("truncated",)
        assert result.text == "01234567890123456789012345678901234567890"[: len(result.text)]
        assert len(result.text) == 41  # less the tag

    def test_a_loop_that_was_cut_off_is_flagged(self, engine: sherpa.SherpaQwen) -> None:
        spoken = "今天上午我们一起讨论预算的问题"
        result = heard(engine, clip(8.0), Hints(context=spoken + "像" * 119))
        assert result.flags == ("loop",)
        # up to two tokens before the loop go with it
        assert len(spoken) - 5 <= len(result.text) < len(spoken)
        assert spoken.startswith(result.text)

    def test_a_loop_that_was_all_is_flagged_too(self, engine: sherpa.SherpaQwen) -> None:
        assert heard(engine, clip(8.0), Hints(context="像" * 119)) == Recognition("", None, flags=("loop",))

    def test_its_chatter_stays_off_standard_error(
        self, engine: sherpa.SherpaQwen, capfd: pytest.CaptureFixture[str]
    ) -> None:
        heard(engine, clip(8.0), Hints(context="我们说" + "像" * 119))
        assert capfd.readouterr() == ("", "")

    def test_what_others_write_meanwhile_goes_through(self, capfd: pytest.CaptureFixture[str]) -> None:
        with sherpa.overheard() as said:
            os.write(2, b"progress 50 %\r")
            os.write(2, b"/x/sherpa-onnx/csrc/a.cc:f:1 ")
            os.write(2, b"a loop")
            os.write(2, b"\nplain\n")
        assert said == [b"/x/sherpa-onnx/csrc/a.cc:f:1 a loop"]
        assert capfd.readouterr().err == "progress 50 %\rplain\n"
        os.write(2, b"after")
        assert capfd.readouterr().err == "after"


class TestParsing:
    @pytest.mark.parametrize(
        ("raw", "forced", "expected"),
        [
            ("language English<asr_text>Hello.", None, ("Hello.", "en")),  # another version may leave the tag
            ("Hello.", None, ("Hello.", None)),
            ("大家好。", None, ("大家好。", "zh")),
            ("我哋喺度倾嘢啦。", None, ("我哋喺度倾嘢啦。", "yue")),
            ("今日は会議です。", None, ("今日は会議です。", "ja")),
            ("안녕하세요.", None, ("안녕하세요.", "ko")),
            ("大家好。", "yue", ("大家好。", "yue")),
            ("好。<|endoftext|>language", None, ("好。", "zh")),
            ("language None<asr_text>", None, ("", None)),
            ("  ", "zh", ("", None)),
        ],
    )
    def test_result(self, raw: str, forced: str | None, expected: tuple[str, str | None]) -> None:
        result = sherpa._recognition(raw, clip(), forced, ())
        assert (result.text, result.language) == expected


NOISE = np.random.default_rng(1).bytes(4096)
PORTS_ONLY = model(
    *(port(11, f"i{number}", FLOAT, 1, "n", 1, 1) for number in range(6)),
    *(port(12, f"o{number}", FLOAT, 1, "n", 1, 1) for number in range(3)),
)
CONV, ENCODER, DECODER = sherpa.FILES
VOCABULARY, MERGES, CONFIGURATION = (f"tokenizer/{n}" for n in ("vocab.json", "merges.txt", "tokenizer_config.json"))
EVERY = (CONV, ENCODER, DECODER, VOCABULARY, MERGES, CONFIGURATION)
# what is wrong -> file and its new content, None: it is gone
BROKEN: dict[str, dict[str, bytes | None]] = {
    "empty folder": dict.fromkeys(EVERY),
    **{f"without {name}": {name: None} for name in EVERY},
    **{f"empty {name}": {name: b""} for name in EVERY},
    **{f"noise as {name}": {name: NOISE} for name in EVERY},
    "half a decoder": {DECODER: decoder()[:-40]},
    "encoder as decoder": {DECODER: encoder()},
    "decoder as encoder": {ENCODER: decoder()},
    "ports without nodes": {DECODER: PORTS_ONLY},
    "a vocabulary of nothing": {VOCABULARY: b"{}"},
}
CHILD = """
import sys
from pathlib import Path
from jiyao.engines.qwen import sherpa
from jiyao.errors import EngineError
for folder in sys.argv[1:]:
    try:
        sherpa.open_folder(Path(folder), "toy", 1)
        print("opened", folder)
    except EngineError as error:
        print("EngineError", error.key)
print("alive")
"""


def copied(folder: Path, place: Path, changes: dict[str, bytes | None]) -> Path:
    for name in EVERY:
        content = changes.get(name, (folder / name).read_bytes())
        if content is not None:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
    return place


def test_no_broken_folder_ends_the_process(folder: Path, tmp_path: Path) -> None:
    """In a child: the library answers some of these with _Exit."""
    places = [copied(folder, tmp_path / str(n), changes) for n, changes in enumerate(BROKEN.values())]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, places), str(folder)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    *refused, opened, alive = child.stdout.splitlines()
    assert (opened, alive) == (f"opened {folder}", "alive")
    for name, line in zip(BROKEN, refused, strict=True):
        assert line in ("EngineError engine.load", "EngineError engine.tokenizer"), (name, line)


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sherpa.usable() is None
    monkeypatch.setattr(sherpa, "find_spec", lambda name: None)
    assert sherpa.usable() == "engine.reason_no_sherpa"


def test_a_decoder_of_fixed_length_sets_the_limit(folder: Path, tmp_path: Path) -> None:
    assert sherpa._inspect(folder) == 1088
    assert sherpa._inspect(copied(folder, tmp_path, {DECODER: decoder(512)})) == 512


class TestReachable:
    def test_elsewhere_the_path_stays(self, tmp_path: Path) -> None:
        if os.name == "nt":
            pytest.skip("on Windows the short form is taken")
        assert sherpa.reachable(tmp_path / "模型") == str(tmp_path / "模型")

    @pytest.mark.parametrize(
        ("long", "short", "expected"),
        [
            (r"C:\Users\李\jiyao", r"C:\Users\ABCD~1\jiyao", r"C:\Users\ABCD~1\jiyao"),
            (r"C:\Users\李\jiyao", r"C:\Users\李\jiyao", r"C:\Users\李\jiyao"),  # a volume without short names
            (r"C:\Users\Li\jiyao", "never asked for", r"C:\Users\Li\jiyao"),
        ],
    )
    def test_on_windows(self, monkeypatch: pytest.MonkeyPatch, long: str, short: str, expected: str) -> None:
        monkeypatch.setattr(sherpa, "_short_path", lambda path: short)
        assert sherpa.reachable(PureWindowsPath(long), windows=True) == expected
