"""Terms by their sound: proposed where they were misheard, with a score; ordinary words are left alone."""

from __future__ import annotations

import pydoc_data.topics
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiyao.glossary import Glossary, correct, parse, propose
from jiyao.glossary.likeness import likenesses
from jiyao.glossary.sounds import units
from jiyao.messages import table
from jiyao.text import tidy
from jiyao.transcript import Rule, Segment

ROOT = Path(__file__).parent.parent
MANY = parse((ROOT / "bench" / "terms.txt").read_text(encoding="utf-8"))


def line(text: str, language: str = "zh") -> Segment:
    return Segment(start_ms=0, end_ms=1_000, language=language, text=text)


def proposed(text: str, terms: Glossary = MANY, language: str = "zh") -> list[tuple[str, str, Rule]]:
    return [(one.before, one.after, one.rule) for one in propose(terms, line(text, language))]


# what is found. All sentences are our own


@pytest.mark.parametrize(
    ("text", "before", "after", "rule"),
    [
        # tones and characters
        ("这个接口昨天又被现流了", "现流", "限流", "pinyin"),
        ("麻烦张宫看一下", "张宫", "张工", "pinyin"),
        ("先把代版过一遍", "代版", "待办", "pinyin"),
        # n and l, -n and -ng, zh and z
        ("上线之前先做辉度发布", "辉度发布", "灰度发布", "pinyin"),
        ("这一季的审记报告", "审记报告", "审计报告", "pinyin"),
        ("明天交色计报告", "色计报告", "审计报告", "pinyin"),
        ("签好保密鞋议再说", "保密鞋议", "保密协议", "pinyin"),
        ("要看一下增量锁引", "增量锁引", "增量索引", "pinyin"),
        # Latin names
        ("日志都在 Alastic search 里", "Alastic search", "Elasticsearch", "spelling"),
        ("部署到 Kubernetis 上", "Kubernetis", "Kubernetes", "spelling"),
        ("面板用 Grafanna 画", "Grafanna", "Grafana", "spelling"),
        ("这个 deadlain 不能变", "deadlain", "deadline", "spelling"),
        # by letters, numbers and transliteration
        ("数据都在麦 SQL 里面", "麦 SQL", "MySQL", "transliteration"),
        ("离线跑了拉马三八比", "拉马三八比", "Llama-3-8B", "transliteration"),
        ("线上用的是宽二七逼", "宽二七逼", "Qwen2-7B", "transliteration"),
    ],
)
def test_what_sounds_like_a_term_and_reads_badly_is_proposed(text: str, before: str, after: str, rule: Rule) -> None:
    assert (before, after, rule) in proposed(tidy(text))


def test_cantonese_is_heard_as_cantonese() -> None:
    # 檢 gim and 劍 gim, 索 sok: alike in Cantonese; jiǎn and jiàn, suǒ in Mandarin
    assert proposed("我哋嘅数具库", parse("数据库"), "yue") == [("数具库", "数据库", "jyutping")]


def test_a_surer_sound_has_a_higher_score() -> None:
    same, other = (propose(MANY, line(text))[0].score for text in ("又被现流了", "又被现牛了"))
    assert same > other
    assert all(0.75 <= one.score <= 1 for one in propose(MANY, line("麻烦张宫看一下，又被现流了，部署 Kubernetis")))


def test_the_users_own_rule_on_a_text_that_is_there_already_is_only_proposed() -> None:
    [one] = propose(parse("拥护→用户"), line("拥护会看到什么"))
    assert (one.before, one.after, one.rule, one.score) == ("拥护", "用户", "alias", 1.0)


# what is not


@pytest.mark.parametrize(
    "text",
    [
        *("出现流程问题就说一声", "这个方法很好", "要克服困难", "记忆下降了", "我们的运气为先"),
        *("I work a lot", "we eat at the notion of white times", "He is in a hurry", "the deadline is near"),
        *("用限流和 MySQL，还有 Elasticsearch", "3天以后", "两级管理", "文章工整", "智能客户很多"),
    ],
)
def test_good_chinese_and_english_is_left_alone(text: str) -> None:
    terms = Glossary((), (*MANY.terms, "York", "客服", "一下"))
    assert [one for one in proposed(tidy(text), terms) if one[2] != "variant"] == []


def test_work_is_never_york() -> None:
    for text in ("we work here", "今天 work 很多", "work", "New work"):
        assert proposed(text, parse("York\nNew York")) == []


def test_an_abbreviation_is_no_other_one() -> None:
    assert proposed("这个 API 的 KPI", parse("API\nKPI")) == []
    assert proposed("这个 API 很慢", parse("KPI\nAPM")) == []


def test_what_was_declined_or_corrected_is_not_proposed() -> None:
    heard = line("又被现流了")
    assert propose(MANY, heard, [("现流", "限流")]) == ()
    corrected = correct(parse("现流→限流"), heard)
    assert propose(parse("现流→限流\n先流"), corrected) == ()


def test_nothing_is_proposed_inside_a_longer_word() -> None:
    assert proposed("用 Kubernetisxyz_7 吧", parse("Kubernetes")) == []
    assert proposed("见 a.Kubernetis/b", parse("Kubernetes")) == []


# ordinary texts, made or at hand


def _sentences(text: str) -> list[str]:
    return [" ".join(one.split()) for one in re.findall(r"[^。！？\n]{1,200}[。！？]?", text) if one.strip()]


def _chinese() -> str:
    """Our own Chinese: what the program says, and its pages."""
    said = "\n".join(entry["zh"] for entry in table().values())
    return said + (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")


def test_exact_corrections_do_no_harm_in_200_000_characters() -> None:
    """What stands there is meant; only a term's own letters in another case may be set right. Python's own manual is
    full of words that are terms elsewhere (queue, hive, notion, flask, API)."""
    english = "\n".join(pydoc_data.topics.topics.values())
    text = _chinese() + english[:200_000]
    terms = Glossary((), (*MANY.terms, "York", "RAG", "IT", "US", "GO", "Class", "Import", "to-do", "Set", "A-I"))
    changed: list[tuple[str, str]] = []
    count = 0
    for sentence in _sentences(text):
        count += len(sentence)
        better = correct(terms, line(sentence))
        changed += [(one.before, one.after) for one in better.corrections]
    assert count > 200_000
    # what is the same name, written in another way, is no harm
    assert [pair for pair in changed if re.sub(r"\W", "", pair[0]).lower() != re.sub(r"\W", "", pair[1]).lower()] == []
    assert {before for before, _ in changed} <= {"api", "llama 3 8b"}, changed


def test_few_proposals_in_ordinary_chinese() -> None:
    sentences = _sentences(_chinese())
    found = [one for sentence in sentences for one in propose(MANY, line(sentence)) if one.score >= 0.85]
    found = [one for one in found if one.rule != "variant"]
    assert len(found) <= sum(map(len, sentences)) / 3_000, found


# for any text


@given(st.text("现流张宫的 kubernetis38bSQL，.。-", max_size=40))
def test_proposals_are_disjoint_and_where_they_say(text: str) -> None:
    found = propose(MANY, line(text))
    assert all(text[one.start : one.end] == one.before != one.after for one in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


@given(st.text(max_size=40))
def test_any_text_has_sounds(text: str) -> None:
    found = units(text)
    assert all(text[one.start : one.end].strip() and all(one.phones) for one in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


@given(st.text("abdegilnosuN", min_size=1, max_size=12))
def test_a_sound_is_like_itself(phones: str) -> None:
    [likeness] = likenesses(phones, [phones])
    assert likeness == 1
    assert all(0 <= one <= 1 for one in likenesses(phones, ["ba", "N", "sikt"]))
