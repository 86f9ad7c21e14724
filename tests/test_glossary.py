"""Terms: how a file is read, and corrections that are exact, made once, timed and all on record."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiyao.errors import UsageError
from jiyao.glossary import Correction, Glossary, parse
from jiyao.recognition import Hints, Recognition, Word
from jiyao.text import join


def spoken(*texts: str, step_ms: int = 100) -> Recognition:
    """Words of `step_ms` each, one after the other; the second is less sure than the first, and so on."""
    words = tuple(Word(text, i * step_ms, (i + 1) * step_ms, round(0.9 - i * 0.01, 3)) for i, text in enumerate(texts))
    return Recognition(join(texts), "zh", words, 0.8)


def corrected(text: str, terms: str) -> str:
    """`terms` applied to `text`: as it is, and cut at its spaces into words; both must agree."""
    glossary = parse(terms)
    whole = glossary.correct(Recognition(text, "zh"))[0].text
    assert whole == glossary.correct(spoken(*text.split(" ")))[0].text
    return whole


# reading a terms file


@pytest.mark.parametrize(
    "line", ["瑞迪斯→Redis", "瑞迪斯 -> Redis", "瑞迪斯=>Redis", "瑞迪斯⇒Redis", "瑞迪斯 = Redis", "瑞迪斯＝Redis"]
)
def test_every_arrow_makes_a_rule(line: str) -> None:
    assert parse(line) == Glossary((("瑞迪斯", "Redis"),), ("Redis",))


def test_a_plain_word_is_a_term_without_a_rule() -> None:
    assert parse("王磊\nPostgres  \n\n王磊") == Glossary((), ("王磊", "Postgres"))
    assert parse("Redis → Redis") == Glossary((), ("Redis",))
    assert parse("用Redis→用 Redis") == Glossary((), ("用 Redis",)), "spacing alone is not a rule"


def test_comments_blank_lines_and_a_byte_order_mark() -> None:
    text = "\ufeff# 产品\r\n\r\n瑞迪斯→Redis  # 缓存\r\n   # 人名\r\n王磊\r\n"
    assert parse(text) == Glossary((("瑞迪斯", "Redis"),), ("Redis", "王磊"))
    assert parse("西夏普→C#\nF#").terms == ("C#", "F#"), "not every # begins a comment"
    assert parse("").terms == ()


def test_an_arrow_counts_before_an_equals_sign() -> None:
    assert parse("a=b → c").rules == (("a=b", "c"),)
    assert parse("瑞迪斯 -> key=value").rules == (("瑞迪斯", "key=value"),)


@pytest.mark.parametrize("line", ["→Redis", "瑞迪斯→", "=", "瑞迪斯 ->  # later"])
def test_a_bad_line_is_named_by_its_number(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(f"# 术语\n王磊\n{line}\n")
    assert caught.value.key == "terms.bad_line" and caught.value.parameters["number"] == 3
    assert "3" in caught.value.message("zh") and caught.value.remedy("zh")


def test_the_later_of_two_rules_for_one_alias_counts() -> None:
    assert parse("甲→乙\n甲→丙").rules == (("甲", "丙"),)


def test_hints_hold_the_terms_in_the_users_order() -> None:
    assert parse("瑞迪斯→Redis\n王磊").hints("zh") == Hints(terms=("Redis", "王磊"), language="zh")


# what matches


def test_a_rule_is_exact() -> None:
    assert corrected("我们用 瑞迪斯 做缓存", "瑞迪斯→Redis") == "我们用 Redis 做缓存"
    assert corrected("use redis and Redis", "redis→Valkey") == "use Valkey and Redis", "same case"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("work network works rework work", "JOB network works rework JOB"),
        ("work_item work2 2work", "work_item work2 2work"),
        ("le workéé éwork", "le workéé éwork"),
        ("работаwork", "работаwork"),
        ("这个work不行", "这个 JOB 不行"),
        ("work，work。", "JOB，JOB。"),
        ("(work) work-flow", "(JOB) JOB-flow"),
    ],
)
def test_letters_never_match_inside_a_longer_word_but_han_may_stand_beside(text: str, expected: str) -> None:
    assert corrected(text, "work→JOB") == expected


def test_han_matches_anywhere() -> None:
    assert corrected("瑞迪斯瑞迪斯的", "瑞迪斯→某某") == "某某某某的"


def test_an_end_that_is_no_letter_needs_no_boundary() -> None:
    assert corrected("用 C++写", "C++→Rust") == "用 Rust 写"
    assert corrected("C++11", "C++→Rust") == "Rust11"


def test_characters_of_patterns_are_only_characters() -> None:
    assert corrected("a.b axb", "a.b→X") == "X axb"
    assert corrected("见 (甲)", "(甲)→\\1乙\\g<0>") == "见\\1乙\\g<0>"


def test_the_longest_alias_wins_whatever_the_order() -> None:
    for terms in ("智能→AI\n智能客服→助手", "智能客服→助手\n智能→AI"):
        assert corrected("智能客服和智能音箱", terms) == "助手和 AI 音箱"


def test_rules_do_not_feed_one_another() -> None:
    assert corrected("甲乙", "甲→乙\n乙→丙\n丙→甲") == "乙丙"
    assert corrected("甲", "甲→甲甲") == "甲甲"


def test_an_alias_is_found_however_it_is_spaced_or_punctuated() -> None:
    rules = parse("大模型API→LLM 接口\n好,的→行")
    assert rules.correct(Recognition("大模型API和大模型 API", "zh"))[0].text == "LLM 接口和 LLM 接口"
    assert rules.correct(spoken("好", ",", "的"))[0].text == "行"


# words and times


def test_words_under_a_match_become_one_with_their_time() -> None:
    heard = spoken("用", "瑞", "迪", "斯", "吧")
    result, found = parse("瑞迪斯→Redis").correct(heard)
    assert result.words == (heard.words[0], Word("Redis", 100, 400, 0.87), heard.words[4])
    assert result.text == "用 Redis 吧"
    assert found == (Correction(100, "瑞迪斯", "Redis", "瑞迪斯→Redis"),)
    assert (result.language, result.confidence) == ("zh", 0.8)


def test_what_a_match_leaves_of_its_words_stays() -> None:
    result, found = parse("迪斯→DS").correct(spoken("瑞迪", "斯，", "好"))
    assert [word.text for word in result.words] == ["瑞 DS，", "好"]
    assert (result.words[0].start_ms, result.words[0].end_ms) == (0, 200)
    assert found[0].start_ms == 0 and found[0].before == "迪斯"


def test_several_matches_in_one_word_are_all_made_and_recorded() -> None:
    result, found = parse("甲→一\n乙丙→二").correct(spoken("甲甲乙", "丙丁", "甲"))
    assert [word.text for word in result.words] == ["一一二丁", "一"]
    assert [(word.start_ms, word.end_ms) for word in result.words] == [(0, 200), (200, 300)]
    assert [(c.start_ms, c.before) for c in found] == [(0, "甲"), (0, "甲"), (0, "乙丙"), (200, "甲")]


def test_each_correction_has_the_time_of_its_own_first_word() -> None:
    _, found = parse("甲乙→一\n丙→二").correct(spoken("甲", "乙丙", "丙"))
    assert [(c.start_ms, c.after) for c in found] == [(0, "一"), (100, "二"), (200, "二")]


def test_unknown_confidence_stays_unknown() -> None:
    words = (Word("瑞", 0, 100), Word("迪斯", 100, 200))
    [word] = parse("瑞迪斯→Redis").correct(Recognition("瑞迪斯", "zh", words))[0].words
    assert word == Word("Redis", 0, 200, None)


def test_without_words_the_time_is_the_clips_start() -> None:
    result, found = parse("瑞迪斯→Redis").correct(Recognition("用瑞迪斯，瑞迪斯好", "zh"))
    assert result.text == "用 Redis，Redis 好" and result.words == ()
    assert found == (Correction(0, "瑞迪斯", "Redis", "瑞迪斯→Redis"),) * 2


def test_silence_stays_silence() -> None:
    silence = Recognition("", None, flags=("silence",))
    assert parse("瑞迪斯→Redis").correct(silence) == (silence, ())


# for any text

TEXT = st.text("甲乙丙 workne,.，。é", max_size=12)
WORDS = st.lists(TEXT, max_size=8)


@given(TEXT, WORDS)
def test_without_a_rule_nothing_changes(text: str, texts: list[str]) -> None:
    for heard in (Recognition(text, "zh"), spoken(*texts)):
        for glossary in (Glossary(), parse("王磊\nRedis"), parse("不在里面→X")):
            result, found = glossary.correct(heard)
            assert result is heard and found == ()


@given(WORDS)
def test_every_change_is_on_record_and_times_keep_their_order(texts: list[str]) -> None:
    heard = spoken(*texts)
    result, found = parse("甲→Q\n乙丙→W X\nwork→JOB").correct(heard)
    assert (result != heard) == bool(found)
    removed, added = "".join(c.before for c in found), "".join(c.after for c in found)
    before, after = (sorted("".join("".join(t.split()) for t in side)) for side in (heard.text, result.text))
    marks = str.maketrans(",.", "，。")  # their width depends on what they stand beside
    flat = [sorted("".join(side).translate(marks).replace(" ", "")) for side in ([*before, added], [*after, removed])]
    assert flat[0] == flat[1]
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(result.words))
    assert all(0 <= c.start_ms <= 100 * len(texts) for c in found)
    if heard.words:
        assert (result.words[0].start_ms, result.words[-1].end_ms) == (0, 100 * len(texts))
