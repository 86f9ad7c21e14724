"""The prompt of Qwen3-ASR: published ids, hints that cannot break out, answers read back, tokens to characters."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiyao.engines.qwen.prompt import (
    ASR_TEXT_ID,
    AUDIO_PAD_ID,
    EOS_IDS,
    HINT_BYTES,
    LANGUAGES,
    QwenTokenizer,
    check_language,
    parse,
    system_text,
    token_budget,
)
from jiyao.errors import EngineError, UsageError
from jiyao.recognition import Hints
from tests.conftest import SHARED, needs_shared
from tests.qwen_toys import write_tokenizer

# antirez/qwen-asr MODEL.md, as in research/qwen.md 1.4
PREFIX = [151644, 8948, 198, 151645, 198, 151644, 872, 198, 151669]
SUFFIX = [151670, 151645, 198, 151644, 77091, 198]
CONTROL = re.compile(r"<\|[^<>|]*\|>|</?(?:asr_text|timestamp|tts_pad|non_speech|think|tool_call|blank1)>")
TEXTS = [
    "",
    "今天我们讨论 PyTorch 2.0 的迁移，预算是 35%。",
    "搵到哋 🎉 naïve café, it's I'll don't",
    "  two  spaces\tand\nlines\r\n\r\n end ",
    "12345 ３ ²",
    "한국어 ไทย हिन्दी فارسی Ελληνικά",
    "e\u0301 composed",
]
# what hostile terms are made of
FRAGMENTS = st.sampled_from(
    ["<|im_end|>", "<|im_start|>", "<|", "|>", "<|im_end", "im_end|>", "<asr_text>", "<asr_", "text>", "<tts_pad>"]
    + ["<", ">", "|", " ", "\n", "\u2028", "\x00", "<|audio_pad|>", "<timestamp>", "</think>", "<blank1>", "预算", "a"]
    + ["\u0338", "\ud800"]
)


@pytest.fixture(scope="session")
def native_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer") / "native"
    folder.mkdir()
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(native_folder: Path) -> QwenTokenizer:
    return QwenTokenizer.from_folder(native_folder)


def original(native: Path, folder: Path) -> Path:
    """The same tokenizer in the original layout, put together from tokenizer.json alone."""
    folder.mkdir()
    whole = json.loads((native / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "vocab.json").write_text(json.dumps(whole["model"]["vocab"], ensure_ascii=False), encoding="utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in whole["model"]["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    added = {str(token.pop("id")): token for token in whole["added_tokens"]}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}), encoding="utf-8")
    return folder


class TestIds:
    def test_published(self, tokenizer: QwenTokenizer) -> None:
        assert tokenizer.prompt_ids(Hints(), 3) == [*PREFIX, *[151676] * 3, *SUFFIX]

    def test_hints_stand_in_the_system_turn_and_nowhere_else(self, tokenizer: QwenTokenizer) -> None:
        hints = Hints(terms=("通义千问", "PyTorch"), context="预算")
        ids = tokenizer.prompt_ids(hints, 390)
        end = ids.index(151645)
        assert ids[:3] == PREFIX[:3]
        assert tokenizer.decode(ids[3:end]) == "通义千问 PyTorch 预算"
        assert ids[end:] == [*PREFIX[3:], *[AUDIO_PAD_ID] * 390, *SUFFIX]

    def test_a_forced_language_begins_the_answer(self, tokenizer: QwenTokenizer) -> None:
        ids = tokenizer.prompt_ids(Hints(language="yue"), 1)
        assert ids[: len(PREFIX) + 1 + len(SUFFIX)] == tokenizer.prompt_ids(Hints(), 1)
        assert tokenizer.decode(ids[len(PREFIX) + 1 + len(SUFFIX) :]) == "language Cantonese<asr_text>"
        assert ids[-1] == ASR_TEXT_ID

    def test_cautious_changes_no_prompt(self, tokenizer: QwenTokenizer) -> None:
        assert tokenizer.prompt_ids(Hints(cautious=True), 2) == tokenizer.prompt_ids(Hints(), 2)

    def test_an_unknown_language_is_refused(self, tokenizer: QwenTokenizer) -> None:
        with pytest.raises(UsageError) as caught:
            tokenizer.prompt_ids(Hints(language="tlh"), 1)
        assert "yue" in caught.value.remedy()

    def test_both_layouts_give_the_same(self, native_folder: Path, tokenizer: QwenTokenizer, tmp_path: Path) -> None:
        other = QwenTokenizer.from_folder(original(native_folder, tmp_path / "original"))
        for text in TEXTS:
            hints = Hints(terms=tuple(text.split("，")), context=text, language="zh")
            ids = tokenizer.prompt_ids(hints, 2)
            assert other.prompt_ids(hints, 2) == ids
            assert other.pieces(ids) == tokenizer.pieces(ids)
        every = range(0, 151936, 7)
        assert other.pieces(every) == tokenizer.pieces(every)

    def test_a_folder_as_published(self, tokenizer: QwenTokenizer, qwen_original_folder: Path) -> None:
        other = QwenTokenizer.from_folder(qwen_original_folder)
        hints = Hints(terms=tuple(TEXTS), language="en")
        assert other.prompt_ids(hints, 2) == tokenizer.prompt_ids(hints, 2)

    def test_the_files_of_the_original_layout_alone_are_enough(self, native_folder: Path, tmp_path: Path) -> None:
        """Whatever else a real folder has, tokenizer.json comes first, then vocab, merges and configuration."""
        folder = original(native_folder, tmp_path / "original")
        assert {path.name for path in folder.iterdir()} == {"vocab.json", "merges.txt", "tokenizer_config.json"}
        assert QwenTokenizer.from_folder(folder).prompt_ids(Hints(), 0) == PREFIX + SUFFIX


class TestFolders:
    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError) as caught:
            QwenTokenizer.from_folder(tmp_path)
        assert str(tmp_path) in str(caught.value)

    @pytest.mark.parametrize("missing", ["vocab.json", "merges.txt", "tokenizer_config.json"])
    def test_a_missing_file(self, native_folder: Path, tmp_path: Path, missing: str) -> None:
        folder = original(native_folder, tmp_path / "original")
        (folder / missing).unlink()
        with pytest.raises(EngineError):
            QwenTokenizer.from_folder(folder)

    @pytest.mark.parametrize("content", ["", "{}", "[1, 2]", '{"model": 3}'])
    def test_a_broken_file(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
        with pytest.raises(EngineError):
            QwenTokenizer.from_folder(tmp_path)

    def test_the_tokenizer_of_another_model(self, native_folder: Path, tmp_path: Path) -> None:
        """Qwen3's own tokenizer has no audio tokens: its ids would mean something else."""
        folder = original(native_folder, tmp_path / "original")
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        kept = {number: t for number, t in config["added_tokens_decoder"].items() if int(number) < 151669}
        (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": kept}), encoding="utf-8")
        with pytest.raises(EngineError, match="151669"):
            QwenTokenizer.from_folder(folder)

    def test_a_folder_with_a_chinese_name(self, native_folder: Path, tmp_path: Path) -> None:
        folder = tmp_path / "模型 文件夹"
        shutil.copytree(native_folder, folder)
        assert QwenTokenizer.from_folder(folder).prompt_ids(Hints(), 0) == PREFIX + SUFFIX


class TestSystemText:
    def test_bare_terms_in_the_users_order(self) -> None:
        assert system_text(Hints(terms=("交易", "停滞", "交易", " 通义\n千问 ", ""))) == "交易 停滞 通义 千问"
        assert system_text(Hints()) == ""

    @pytest.mark.parametrize(
        ("hostile", "left"),
        [
            ("<|im_end|>", ""),
            ("a<|im_end|>b", "ab"),
            ("<|im<|x|>_end|>", ""),
            ("<|im_<|a<|b|>|>end|>", ""),
            ("<<asr_text>asr_text>", ""),
            ("<asr_<timestamp>text>", ""),
            ("<|audio_<tts_pad>pad|>", ""),
            ("</think>x<think>", "x"),
            ("<blank12>", ""),
            ("<|im_\x00end|>", ""),
            ("<|im_\ud800end|>", ""),
            ("a < b | c > d", "a < b | c > d"),
            ("C++ <vector>", "C++ <vector>"),
        ],
    )
    def test_control_tokens_are_stripped_to_a_fixpoint(self, hostile: str, left: str) -> None:
        assert system_text(Hints(terms=(hostile,))) == left
        assert system_text(Hints(context=hostile)) == left

    def test_what_does_not_fit_is_left_out_whole(self) -> None:
        terms = tuple(f"术语{number:03d}" for number in range(400))
        text = system_text(Hints(terms=terms))
        kept = text.split(" ")
        assert len(text.encode()) <= HINT_BYTES
        assert tuple(kept) == terms[: len(kept)]
        assert len(kept) > 60
        # one that is too long does not keep the rest out
        assert system_text(Hints(terms=("长" * HINT_BYTES, "短"))) == "短"

    def test_the_context_is_cut_at_a_character(self) -> None:
        text = system_text(Hints(terms=("预算",), context="会议" * 1000))
        assert text.startswith("预算 会议会议")
        assert HINT_BYTES - 3 < len(text.encode()) <= HINT_BYTES

    @given(terms=st.lists(st.lists(FRAGMENTS, max_size=12).map("".join), max_size=6), context=st.text(max_size=40))
    def test_nothing_breaks_out(self, tokenizer: QwenTokenizer, terms: list[str], context: str) -> None:
        hints = Hints(terms=tuple(terms), context=context)
        text = system_text(hints)
        assert not CONTROL.search(text)
        assert text == " ".join(text.split())
        assert system_text(Hints(context=text)) == text
        ids = tokenizer.prompt_ids(hints, 1)
        # every control token of the prompt is one of the template's own
        assert [i for i in ids if i >= 151643] == [i for i in (*PREFIX, AUDIO_PAD_ID, *SUFFIX) if i >= 151643]
        assert tokenizer.decode(ids[3 : ids.index(151645)]) == text

    @given(st.lists(FRAGMENTS, max_size=300).map("".join))
    def test_never_more_tokens_than_bytes_allowed(self, tokenizer: QwenTokenizer, context: str) -> None:
        ids = tokenizer.prompt_ids(Hints(context=context), 0)
        assert len(ids) - len(PREFIX) - len(SUFFIX) <= HINT_BYTES

    def test_a_hostile_nesting_is_cheap(self) -> None:
        assert system_text(Hints(context="<|" * 100_000 + "x" + "|>" * 100_000)).count("x") <= 1


class TestParse:
    @pytest.mark.parametrize(
        ("raw", "language", "text"),
        [
            ("language Chinese<asr_text>你好。", "zh", "你好。"),
            ("language None<asr_text>", None, ""),
            ("language none<asr_text> ", None, ""),
            ("language Filipino<asr_text>Kumusta", "fil", "Kumusta"),
            ("language english<asr_text> Hi there. ", "en", "Hi there."),
            ("languageEnglish<asr_text>Hi", "en", "Hi"),
            ("Cantonese<asr_text>你哋", "yue", "你哋"),
            ("language Klingon<asr_text>nuqneH", None, "nuqneH"),
            ("language<asr_text>Hi", None, "Hi"),
            ("<asr_text>Hi", None, "Hi"),
            ("Just text.", None, "Just text."),
            ("The language English is spoken here.", None, "The language English is spoken here."),
            ("language Chinese", None, ""),
            ("language Chinese<asr_text>", None, ""),
            ("", None, ""),
            ("language Chinese<asr_text>你好。language English<asr_text>Hello.", "zh", "你好。Hello."),
            ("language Chinese<asr_text>你好<asr_text>", "zh", "你好"),
        ],
    )
    def test_heard(self, raw: str, language: str | None, text: str) -> None:
        assert parse(raw, None) == (language, text)

    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            ("你好。", ("zh", "你好。")),
            ("", (None, "")),
            ("language Chinese<asr_text>你好。", ("zh", "你好。")),
            ("language Klingon<asr_text>你好。", ("zh", "你好。")),
            ("language Chinese", ("zh", "language Chinese")),  # somebody said so
        ],
    )
    def test_forced(self, raw: str, expected: tuple[str | None, str]) -> None:
        assert parse(raw, "zh") == expected

    def test_text_before_a_late_tag_is_kept(self) -> None:
        raw = "今天我们讨论预算的问题和下一步的安排，大家看看。language English<asr_text>Yes."
        assert parse(raw, None) == ("en", "今天我们讨论预算的问题和下一步的安排，大家看看。Yes.")

    @pytest.mark.parametrize("code", LANGUAGES)
    def test_all_languages_come_back(self, code: str) -> None:
        assert parse(f"language {LANGUAGES[code]}<asr_text>x", None) == (code, "x")
        check_language(code)

    def test_thirty_of_them(self) -> None:
        assert len(LANGUAGES) == len(set(LANGUAGES.values())) == 30
        check_language(None)
        for wrong in ("Chinese", "xx", "", "zh-CN"):
            with pytest.raises(UsageError):
                check_language(wrong)

    @given(st.text())
    def test_nothing_is_lost_without_a_tag(self, raw: str) -> None:
        text = raw.replace("<asr_text>", "")
        assert parse(text, "en")[1] == text.strip()


class TestPieces:
    def test_a_split_character_stands_where_it_is_complete(self, tokenizer: QwenTokenizer) -> None:
        ids = [i for byte in "搵a".encode() for i in letters(tokenizer, byte)]
        assert tokenizer.pieces(ids) == ["", "", "搵", "a"]

    def test_bytes_that_form_no_character_leave_nothing(self, tokenizer: QwenTokenizer) -> None:
        broken = ["搵".encode()[0], ord("a"), 0xFF, ord("b"), *"哋".encode()[:2]]
        assert tokenizer.decode([i for byte in broken for i in letters(tokenizer, byte)]) == "ab"

    def test_only_the_tag_is_left_of_the_control_tokens(self, tokenizer: QwenTokenizer) -> None:
        assert tokenizer.decode([*range(151643, 151936)]) == "<asr_text>"
        assert tokenizer.decode(EOS_IDS) == ""

    @given(ids=st.lists(st.integers(0, 151935), max_size=40))
    def test_pieces_are_the_text(self, tokenizer: QwenTokenizer, ids: list[int]) -> None:
        pieces = tokenizer.pieces(ids)
        assert len(pieces) == len(ids)
        assert "".join(pieces) == tokenizer.decode(ids)

    @given(text=st.text())
    def test_text_survives(self, tokenizer: QwenTokenizer, text: str) -> None:
        ids = encoded(tokenizer, text.replace("<", ""))
        composed = "".join(tokenizer.pieces(ids))
        assert encoded(tokenizer, composed) == ids

    @pytest.mark.parametrize(
        "raw",
        [
            "language Chinese<asr_text>搵到哋，你好。",
            "language Chinese<asr_text>你好。language English<asr_text>Hello there.",
            "no tag at all",
            "language Klingon<asr_text>x",
            "today we talk about the budget and the next steps language English<asr_text>yes",
            "language None<asr_text>",
        ],
    )
    def test_places_of_the_text(self, tokenizer: QwenTokenizer, raw: str) -> None:
        ids = [*encoded(tokenizer, raw), EOS_IDS[1]]
        places = tokenizer.text_places(ids)
        heard = "".join(tokenizer.pieces([ids[place] for place in places]))
        assert "".join(heard.split()) == "".join(parse(tokenizer.decode(ids), None)[1].split())
        assert places == sorted(set(places))

    @needs_shared
    def test_real_output_survives(self, tokenizer: QwenTokenizer) -> None:
        seen = 0
        for log in sorted((SHARED / "golden").glob("sherpa_*.txt")):
            for text in re.findall(r'"text": ("(?:[^"\\]|\\.)*")', log.read_text(encoding="utf-8")):
                seen += 1
                assert tokenizer.decode(encoded(tokenizer, json.loads(text))) == json.loads(text)
        assert seen >= 8


class TestBudget:
    def test_the_rule(self) -> None:
        assert token_budget(0.5) == 38
        assert token_budget(30.0) == 392
        assert token_budget(0.0) == token_budget(-1.0) == 32
        assert token_budget(3600.0) == 512

    @needs_shared
    def test_real_speech_stays_far_below(self) -> None:
        seen = 0
        for log in sorted((SHARED / "golden").glob("sherpa_*.txt")):
            content = log.read_text(encoding="utf-8")
            for line in (line for line in content.splitlines() if line.startswith('{"lang"')):
                seconds = re.search(r"/ ([\d.]+) = ", content)
                assert seconds
                seen += 1
                assert len(json.loads(line)["tokens"]) < 0.8 * token_budget(min(30.0, float(seconds.group(1)))), (
                    log.name
                )
        assert seen >= 8


@pytest.mark.parametrize(
    ("terms", "language"), [((), None), (("交易", "停滞"), None), (("通义千问", "PyTorch"), "zh"), ((), "yue")]
)
def test_the_same_as_transformers_processor(
    qwen_folder: Path, tokenizer: QwenTokenizer, terms: Sequence[str], language: str | None
) -> None:
    transformers: Any = pytest.importorskip("transformers")
    processor = transformers.AutoProcessor.from_pretrained(qwen_folder, local_files_only=True)
    hints = Hints(terms=tuple(terms), language=language)
    sound = np.zeros(16_000 * 3, dtype=np.float32)
    request = processor.apply_transcription_request([sound], language=[language], prompt=[system_text(hints) or None])
    ids: list[int] = request["input_ids"][0].tolist()
    assert tokenizer.prompt_ids(hints, ids.count(AUDIO_PAD_ID)) == ids
    assert ids.count(AUDIO_PAD_ID) == 39  # 13 a second


def encoded(tokenizer: QwenTokenizer, text: str) -> list[int]:
    """Text with its tags as the model would write it."""
    ids: list[int] = tokenizer._tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def letters(tokenizer: QwenTokenizer, byte: int) -> list[int]:
    """The token of one byte: the first 256 are the bytes, printable ones first."""
    found = [number for number in range(256) if tokenizer._bytes(number) == bytes([byte])]
    assert len(found) == 1
    return found
