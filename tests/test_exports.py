"""Exports: golden files byte for byte, subtitles by their rules, and nothing a transcript says can become markup.

The golden files are made from tests/golden/meeting.json. After a wanted change:
`JIYAO_REWRITE_GOLDEN=1 python -m pytest tests/test_exports.py`, then read the difference.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from jiyao.errors import UsageError
from jiyao.exports import FORMATS, ExportOptions, export
from jiyao.exports.options import label, one_line
from jiyao.exports.reading import escape_md, paragraphs
from jiyao.exports.subtitles import MAX_MS, MAX_WIDTH, MIN_MS, cut, may_break
from jiyao.recognition import EngineInfo, Word
from jiyao.text import is_han, lay_out, width
from jiyao.transcript import Segment, Source, Transcript, from_json, to_json

if TYPE_CHECKING:
    from docx.document import Document

GOLDEN = Path(__file__).parent / "golden"
ENGINE = EngineInfo("scripted", "script", "1", "cpu", "")
NBSP = "\u00a0"


def meeting() -> Transcript:
    return from_json((GOLDEN / "meeting.json").read_text(encoding="utf-8"))


def transcript(*segments: Segment, duration_ms: int = 600_000, name: str = "会议.wav") -> Transcript:
    return Transcript(Source(name, duration_ms, "0" * 64), ENGINE, segments)


def said(text: str, start_ms: int = 0, end_ms: int = 4_000, speaker: str | None = None) -> Segment:
    return Segment(start_ms=start_ms, end_ms=end_ms, speaker=speaker, text=text)


def lines_of(text: str, end_ms: int) -> list[str]:
    """Each cue of one segment without words, as one string."""
    return [" / ".join(cue.lines) for cue in cut(transcript(said(text, 0, end_ms)))]


# golden files


@pytest.mark.parametrize("name", ["txt", "md", "srt", "vtt", "csv", "json"])
def test_golden(name: str) -> None:
    path = GOLDEN / f"meeting{FORMATS[name].suffix}"
    written = export(meeting(), name)
    if os.environ.get("JIYAO_REWRITE_GOLDEN") == "1":
        path.write_bytes(written)
    assert written == path.read_bytes()


# the table


def test_every_format_is_in_the_table_once() -> None:
    assert list(FORMATS) == ["txt", "md", "srt", "vtt", "json", "docx", "csv"]
    assert all(format.name == name and format.suffix == f".{name}" for name, format in FORMATS.items())


def test_unknown_format_says_which_are_known() -> None:
    with pytest.raises(UsageError, match="pdf.*txt, md, srt"):
        export(meeting(), "pdf")


@pytest.mark.parametrize("name", FORMATS)
def test_equal_transcripts_give_equal_bytes(name: str) -> None:
    assert export(meeting(), name) == export(meeting(), name)


def test_empty_transcript_is_a_valid_file_of_every_format() -> None:
    files = {name: export(transcript(), name) for name in FORMATS}
    assert files["txt"] == files["srt"] == b""
    assert files["vtt"] == b"WEBVTT\n"
    assert files["md"].decode().startswith("# 会议.wav\n\n- 时长：00:10:00\n")
    assert files["csv"].decode("utf-8-sig") == "start,end,speaker,language,text,confidence,flags,timing\r\n"
    assert from_json(files["json"].decode()).segments == ()
    assert read_docx(files["docx"]).paragraphs[0].text == "会议.wav"


@pytest.mark.parametrize("name", FORMATS)
def test_text_no_file_can_hold_does_not_stop_the_export(name: str) -> None:
    broken = transcript(said("好\x00的\x0b吧\ud800 \ufffe。", speaker="王\x1b\n磊"), name="a\udc80.wav")
    assert export(broken, name)


# for reading


def test_one_speaker_becomes_a_paragraph_until_a_pause() -> None:
    segments = (
        said("好。", 0, 900, "甲"),
        said("开始吧。", 1_000, 2_000, "甲"),
        said("嗯。", 2_100, 2_500, "乙"),
        said("还有一件事。", 2_600, 3_500, "甲"),
        said("下次再说。", 9_000, 9_900, "甲"),
    )
    assert export(transcript(*segments), "txt").decode() == (
        "[00:00:00] 甲：好。开始吧。\n\n[00:00:02] 乙：嗯。\n\n"
        "[00:00:02] 甲：还有一件事。\n\n[00:00:09] 甲：下次再说。\n"
    )


def test_times_speakers_and_merging_can_be_left_out() -> None:
    segments = (said("好。", 0, 900, "甲"), said("Let's go.", 1_000, 2_000, "甲"))
    bare = ExportOptions(times=False, speakers=False, merge=False)
    assert export(transcript(*segments), "txt", bare).decode() == "好。\nLet's go.\n"
    assert export(transcript(*segments), "md", bare).decode().endswith("\n\n好。\n\nLet's go.\n")
    assert (
        export(transcript(*segments), "txt", ExportOptions(language="en")) == "[00:00:00] 甲: 好。Let's go.\n".encode()
    )


def test_a_speech_without_end_is_cut_at_a_sentence_or_at_last_anywhere() -> None:
    for text, most in (("我们今天讨论一下预算。", 265), ("我们今天讨论一下预算", 511)):
        speech = [said(text, i * 1_000, i * 1_000 + 900) for i in range(200)]
        sizes = [width(p.text) for p in paragraphs(transcript(*speech), ExportOptions())]
        assert len(sizes) > 2 and max(sizes) <= most * 1.1 and min(sizes[:-1]) >= 250


def test_sentences_without_any_punctuation_stay_apart() -> None:
    assert "先看预算 再看人员" in export(transcript(said("先看预算"), said("再看人员", 4_100, 5_000)), "txt").decode()
    # but a hesitation inside punctuated speech leaves no hole
    assert "我觉得这个好。" in export(transcript(said("我觉得"), said("这个好。", 4_900, 6_000)), "txt").decode()


def test_doubtful_segments_are_marked_and_counted() -> None:
    doubtful = replace(said("大概三百万"), flags=("loop", "unsure"))
    text = export(transcript(doubtful), "md").decode()
    assert "- 有 1 处标了〔存疑〕，请对照录音核实。" in text and text.endswith("大概三百万〔存疑〕\n")
    english = export(transcript(replace(doubtful, text="about 3 million")), "txt", ExportOptions(language="en"))
    assert english == b"[00:00:00] about 3 million [unsure]\n"


def test_estimated_times_say_so_where_there_is_a_head() -> None:
    half = transcript(said("好。"), replace(said("行。", 5_000, 9_000), timing="estimated"))
    assert "- 2 句中有 1 句的时间是估算的" in export(half, "md").decode()
    english = [p.text for p in read_docx(export(half, "docx", ExportOptions(language="en"))).paragraphs]
    assert any(line.startswith("In 1 of 2 sentences the times are estimates") for line in english)
    assert "估算" not in export(transcript(said("好。")), "md").decode()
    assert [row.rpartition(",")[2] for row in export(half, "csv").decode().split()] == [
        *("timing", "measured", "estimated")
    ]


@pytest.mark.parametrize("name", ["txt", "md", "vtt"])
def test_a_cut_off_source_says_so(name: str) -> None:
    cut_off = replace(transcript(), source=Source("a.mp3", 1_000, "", ("the file ends early",)))
    assert "the file ends early" in export(cut_off, name).decode()


NASTY = st.lists(
    st.sampled_from(
        "# * ** _ __ ` ``` ~~~ ~~ [a](b) ![x](y) [x] <b> </b> <!-- &amp; & > - + 1. 1) = === --- | $x$ \\ \\* "
        "http://a.cn www.a.cn a@b.cn 好 的， word C# #tag 82% %% ：** ]( 1986.".split()
        + [" ", NBSP, "  "]
    )
).map("".join)


@given(NASTY, NASTY)
def test_no_text_becomes_markdown(text: str, speaker: str) -> None:
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for options in (ExportOptions(), ExportOptions(times=False, speakers=False)):
        if not one_line(text):
            continue
        blocks = markdown.parse(export(transcript(said(text, speaker=speaker)), "md", options).decode())
        outer = [block.type.removesuffix("_open") for block in blocks if block.level == 0 and block.nesting == 1]
        assert outer == ["heading", "bullet_list", "paragraph"]
        children = [b for b in blocks if b.type == "inline"][-1].children or []
        assert {child.type for child in children} <= {"text", "code_inline", "strong_open", "strong_close"}
        shown = "".join(child.content for child in children if child.type == "text")
        before = label(one_line(speaker), "zh") if one_line(speaker) and options.speakers else ""
        before += " " * before.startswith("【")
        expected = paragraphs(transcript(said(text)), options)[0].text
        assert shown.strip() == (before + expected).strip()


def test_markdown_stays_readable() -> None:
    assert escape_md("C# 涨了 82%，a=b，3.5 倍") == "C# 涨了 82%，a=b，3.5 倍"
    assert escape_md("#tag http://a.cn 1. x") == r"\#tag http\://a.cn 1. x"


# csv


@pytest.mark.parametrize("start", "= + - @ ＝ ＋ － ＠".split())
def test_no_cell_is_a_formula(start: str) -> None:
    rows = list(
        csv.reader(io.StringIO(export(transcript(said(f"\t{start}1+1", speaker=start)), "csv").decode("utf-8-sig")))
    )
    assert rows[1][2] == f"'{start}" and rows[1][4] == f"'{start}1+1"


def test_csv_is_utf_8_with_bom_and_crlf() -> None:
    data = export(meeting(), "csv")
    assert data.startswith(b"\xef\xbb\xbf") and data.count(b"\n") == data.count(b"\r\n")


# docx


def read_docx(data: bytes) -> Document:
    import docx

    return docx.Document(io.BytesIO(data))


def test_docx_reads_back() -> None:
    document = read_docx(export(meeting(), "docx"))
    texts = [paragraph.text for paragraph in document.paragraphs]
    assert texts[0] == "2026-03-05 产品周会 [final].m4a"
    assert any("the file ends early" in text for text in texts[1:6])
    turn = next(p for p in document.paragraphs if "那个那个报销" in p.text)
    time, speaker, text = turn.runs
    assert (time.text, speaker.text, text.text) == ("00:02:11  ", "王磊：", "那个那个报销的话是找谁来着〔存疑〕")
    assert speaker.bold and not text.bold and str(time.font.color.rgb) == "808080"
    assert "<b>no upload</b>" in "\n".join(texts)


def test_docx_has_a_chinese_font_a4_and_no_trace_of_time() -> None:
    data = export(meeting(), "docx")
    document = read_docx(data)
    from docx.oxml.ns import qn

    fonts = list(document.styles.element.iter(qn("w:rFonts")))
    assert fonts and {font.get(qn("w:eastAsia")) for font in fonts} == {"微软雅黑"}
    assert all("Theme" not in attribute for font in fonts for attribute in font.attrib)
    section = document.sections[0]
    assert section.page_width and section.page_height
    assert (round(section.page_width.mm), round(section.page_height.mm)) == (210, 297)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        core = archive.read("docProps/core.xml").decode()
        assert "PingFang SC" in archive.read("word/fontTable.xml").decode()
        assert "docProps/thumbnail.jpeg" not in archive.namelist()
    assert "created" not in core and "python-docx" not in core and "jiyao" in core


# subtitles: strict little readers


def read_srt(data: bytes) -> list[tuple[int, int, list[str]]]:
    cues = []
    for number, block in enumerate(data.decode("utf-8").removesuffix("\n").split("\n\n"), start=1):
        count, times, *lines = block.split("\n")
        assert count == str(number) and 1 <= len(lines) <= 3 and all(line.strip() == line and line for line in lines)
        match = re.fullmatch(r"(\d\d):([0-5]\d):([0-5]\d),(\d{3}) --> (\d\d):([0-5]\d):([0-5]\d),(\d{3})", times)
        assert match, times
        cues.append((*_ms(match.groups()), lines))
        assert not any(re.search(r"-->|<[A-Za-z/!]|\{\\", line) for line in lines)
    return cues


def read_vtt(data: bytes) -> list[tuple[int, int, list[str]]]:
    header, *blocks = data.decode("utf-8").removesuffix("\n").split("\n\n")
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        if block.startswith("NOTE\n"):
            assert "-->" not in block
            continue
        times, *lines = block.split("\n")
        match = re.fullmatch(r"(\d\d):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d\d):([0-5]\d):([0-5]\d)\.(\d{3})", times)
        assert match and 1 <= len(lines) <= 2, block
        voice = re.match(r"<v ([^<>&\n]|&(amp|lt|gt);)+>", lines[0])
        lines[0] = lines[0][voice.end() :] if voice else lines[0]
        assert all(line and re.fullmatch(r"([^<>&]|&(amp|lt|gt);)*", line) for line in lines)
        cues.append((*_ms(match.groups()), lines))
    return cues


def _ms(fields: Iterable[str]) -> tuple[int, int]:
    hours, minutes, seconds, ms, *end = map(int, fields)
    start_ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms
    return start_ms, ((end[0] * 60 + end[1]) * 60 + end[2]) * 1000 + end[3]


@pytest.mark.parametrize("read, name", [(read_srt, "srt"), (read_vtt, "vtt")])
def test_the_golden_subtitles_are_strict(read, name: str) -> None:  # type: ignore[no-untyped-def]
    cues = read((GOLDEN / f"meeting.{name}").read_bytes())
    assert len(cues) > 25
    for (start, end, _), (following, _, _) in pairwise(cues):
        assert start < end <= following
        assert end - start <= MAX_MS


def test_vtt_escapes_and_names_the_voice() -> None:
    data = export(transcript(said("a<b> & c --> d", speaker="R&D <甲>")), "vtt").decode()
    assert "<v R&amp;D &lt;甲&gt;>a&lt;b&gt; &amp; c --&gt; d\n" in data


def test_srt_names_the_speaker_where_he_changes() -> None:
    turns = [
        said(f"第{i}句。", i * 2_000, i * 2_000 + 1_500, who) for i, who in enumerate(["甲", "甲", "乙", None, "乙"])
    ]
    firsts = [lines[0] for _, _, lines in read_srt(export(transcript(*turns), "srt"))]
    assert firsts == ["甲：第0句。", "第1句。", "乙：第2句。", "第3句。", "乙：第4句。"]
    silent = read_srt(export(transcript(*turns), "srt", ExportOptions(speakers=False)))
    assert [lines for _, _, lines in silent][2] == ["第2句。"]
    assert b"<v" not in export(transcript(*turns), "vtt", ExportOptions(speakers=False))


def test_a_speaker_label_does_not_spoil_the_line() -> None:
    text = "这句话正好有二十一个字宽的一行放得下，"
    [(_, _, lines)] = read_srt(export(transcript(said(text, speaker="欧阳修")), "srt"))
    assert lines == ["欧阳修：", text]


# subtitles: where they are cut


def test_punctuation_comes_first() -> None:
    assert lines_of("这一季度的收入比上个季度涨了百分之五，但是成本也涨了不少。", 6_000) == [
        "这一季度的收入比上个季度涨了百分之五，",
        "但是成本也涨了不少。",
    ]


def test_without_punctuation_the_widest_gap_decides() -> None:
    text = "整个联调大概要推迟到下个月底我们先把核心接口冻结"
    times = [(i * 200 + (500 if i >= 14 else 0), i * 200 + 190 + (500 if i >= 14 else 0)) for i in range(len(text))]
    words = tuple(Word(character, *time) for character, time in zip(text, times, strict=True))
    cues = cut(transcript(Segment(start_ms=0, end_ms=words[-1].end_ms, text=text, words=words)))
    assert [cue.lines[0] for cue in cues] == [text[:14], text[14:]]
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(0, 2_790), (3_300, 5_290)]


def test_without_any_time_the_words_people_use_decide() -> None:
    assert lines_of("我们现在的想法是先把核心的接口都冻结然后让测试的同学提前介入进来", 8_000)[1].startswith("然后")


def test_no_orphans() -> None:
    lines = lines_of("我们下周三下午两点在三号会议室继续讨论这个事情吧", 5_000)
    assert len(lines) == 2 and min(map(width, lines)) >= 4


def test_english_may_have_two_lines() -> None:
    text = "the recordings never leave the laptop and nobody else can read them"
    assert lines_of(text, 5_000) == ["the recordings never leave the laptop / and nobody else can read them"]


@pytest.mark.parametrize(
    "whole", ["GitHub", "v2.5.1", "3月", "15%的", "一百二十五万", "第3", "CI/CD", "qwen-cpu", "好，", "（好"]
)
def test_what_is_never_divided(whole: str) -> None:
    assert not any(may_break(whole, index) for index in range(1, len(whole)))


def test_times_are_shared_out_by_width_where_there_are_no_words() -> None:
    cues = cut(transcript(said("一二三四五六七八九。" + "十" * 2 + "上下左右前后。", 10_000, 20_000)))
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(10_000, 15_263), (15_263, 20_000)]


def test_a_short_cue_borrows_from_the_silence_after_it() -> None:
    cues = cut(transcript(said("嗯。", 0, 200), said("对。", 600, 800), said("好。", 5_000, 5_100), duration_ms=5_300))
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(0, 600), (600, 1_600), (5_000, 5_300)]


def test_an_edited_text_does_not_need_its_words() -> None:
    edited = replace(said("改过的文字。", 0, 2_000), words=(Word("原来", 0, 500), Word("的。", 500, 2_000)))
    assert [(cue.lines, cue.start_ms, cue.end_ms) for cue in cut(transcript(edited))] == [(("改过的文字。",), 0, 2_000)]


def test_two_people_at_once_do_not_overlap() -> None:
    both = transcript(said("我觉得这样不行。", 0, 5_000, "甲"), said("等等。", 3_000, 3_500, "乙"))
    assert [(c.start_ms, c.end_ms) for c in cut(both)] == [(0, 3_000), (3_000, 4_000)]


PIECES = st.one_of(
    st.text("的我们项目预算会议了，。、？！“”（）一三百", min_size=1, max_size=3),
    st.text("abcDEF019.,%'-/<>&{}\\", min_size=1, max_size=14),
    st.text(min_size=1, max_size=4),
    st.just("W" * 50),
)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Segments in order, apart, at least 20 ms a character, with or without words, of any characters."""
    now, segments = draw(st.integers(0, 3_600_000)), []
    for _ in range(draw(st.integers(0, 3))):
        start, words = now, []
        timed = draw(st.booleans())
        for piece in draw(st.lists(PIECES, max_size=16)):
            length = draw(st.integers(20, 700)) * len(piece)
            words.append(Word(piece, now, now + length))
            now += length + draw(st.sampled_from([0, 0, 40, 900]))
        text = one_line(lay_out(word.text for word in words)[0])
        speaker = draw(st.sampled_from([None, "甲", "说话人 2", "A & <B>"]))
        end = words[-1].end_ms if words else now
        found = tuple(words) if timed else ()
        segments.append(Segment(start_ms=start, end_ms=end, speaker=speaker, text=text, words=found))
        now += draw(st.integers(0, 3_000))
    return transcript(*segments, duration_ms=now)


def letters(text: str) -> str:
    return "".join(text.split())


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first draw builds Unicode tables
@given(transcripts())
def test_cues_keep_every_rule(made: Transcript) -> None:
    cues = cut(made)
    assert letters("".join(line for cue in cues for line in cue.lines)) == letters(
        "".join(one_line(segment.text) for segment in made.segments)
    )
    for cue in cues:
        assert all(width(line) <= MAX_WIDTH and line.strip() == line and line for line in cue.lines)
        assert len(cue.lines) == 1 or (len(cue.lines) == 2 and not any(map(is_han, "".join(cue.lines))))
        assert 0 < cue.end_ms - cue.start_ms <= MAX_MS
        home = next(s for s in reversed(made.segments) if s.start_ms <= cue.start_ms and one_line(s.text))
        assert cue.start_ms < home.end_ms
        assert cue.end_ms <= max(home.end_ms, cue.start_ms + MIN_MS)
    for cue, following in pairwise(cues):
        assert cue.end_ms <= following.start_ms
    for index, cue in enumerate(cues, start=1):
        room = cues[index].start_ms if index < len(cues) else made.source.duration_ms
        assert cue.end_ms - cue.start_ms >= min(MIN_MS, room - cue.start_ms)


@given(transcripts())
def test_subtitle_files_stay_strict_whatever_is_said(made: Transcript) -> None:
    srt, vtt = export(made, "srt"), export(made, "vtt")
    cues = read_srt(srt) if srt else []
    assert all(width(line) <= MAX_WIDTH for _, _, lines in cues for line in lines)
    assert len(read_vtt(vtt)) == len(cut(made))


@given(transcripts())
def test_json_holds_everything(made: Transcript) -> None:
    assert export(made, "json").decode() == to_json(made) + "\n"


def test_a_role_stands_behind_the_name() -> None:
    made = transcript(said("好。", 0, 900, "张工|后端"), said("嗯。", 1_000, 1_500, "甲|"))
    written = {name: export(made, name).decode() for name in ("txt", "md", "srt")}
    assert written["txt"] == "[00:00:00] 【张工|后端】好。\n\n[00:00:01] 甲|：嗯。\n"
    assert "**【张工|后端】** 好。" in written["md"].replace("\\|", "|")
    assert "【张工|后端】好。" in written["srt"]
