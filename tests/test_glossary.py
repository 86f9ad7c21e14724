"""Terms: how a file is read, and corrections that are exact, made once, timed and all on record."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiyao.errors import UsageError
from jiyao.glossary import Glossary, correct, hints_for, parse
from jiyao.recognition import Hints, Word
from jiyao.retiming import reverted
from jiyao.text import lay_out, tidy
from jiyao.transcript import Correction, Segment, span_ms


def spoken(*texts: str, step_ms: int = 100) -> Segment:
    """Words of `step_ms` each, one after the other; the second is less sure than the first, and so on."""
    text, places = lay_out(texts)
    words = tuple(
        Word(text[start:end], i * step_ms, (i + 1) * step_ms, round(0.9 - i * 0.01, 3))
        for i, (start, end) in enumerate(places)
        if end > start
    )
    return Segment(start_ms=0, end_ms=len(texts) * step_ms, language="zh", text=text, confidence=0.8, words=words)


def plain(text: str) -> Segment:
    return Segment(start_ms=0, end_ms=1_000, language="zh", text=tidy(text))


def corrected(text: str, terms: str) -> str:
    """`terms` applied to `text`: as it is, and cut at its spaces into words; both must agree."""
    glossary = parse(terms)
    whole = correct(glossary, plain(text)).text
    assert whole == correct(glossary, spoken(*text.split(" "))).text
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


def test_a_glossary_is_written_as_it_is_read() -> None:
    text = "瑞迪斯→Redis\n张公→张工\n王磊"
    assert parse(text).written() == text and parse(parse(text).written()) == parse(text)


def test_in_traditional_texts_the_terms_are_traditional() -> None:
    terms = parse("张公→张工\n数据库")
    assert corrected_in(terms, "問張公要") == "問張工要"
    assert terms.in_script("original") is terms


def corrected_in(terms: Glossary, text: str) -> str:
    return correct(terms.in_script("traditional"), plain(text)).text


# what matches


def test_a_rule_is_exact() -> None:
    assert corrected("我们用 瑞迪斯 做缓存", "瑞迪斯→Redis") == "我们用 Redis 做缓存"
    assert corrected("use redis and Redis", "redis→Valkey") == "use Valkey and Valkey"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("work network works rework work", "JOB network works rework JOB"),
        ("work_item work2 2work", "work_item work2 2work"),
        ("le workéé éwork", "le workéé éwork"),
        ("работаwork", "работаwork"),
        ("这个work不行", "这个 JOB 不行"),
        ("work，work。", "JOB，JOB。"),
        ("(work) work-flow co-work", "(JOB) work-flow co-work"),
        ("work's (/work) re.work", "work's (/JOB) re.work"),
    ],
)
def test_letters_never_match_inside_a_longer_word_but_han_may_stand_beside(text: str, expected: str) -> None:
    assert corrected(text, "work→JOB") == expected


def test_han_matches_anywhere_but_in_a_longer_word() -> None:
    assert corrected("瑞迪斯瑞迪斯的", "瑞迪斯→某某") == "某某某某的"
    assert corrected("这篇文章工整，问章工要", "章工→张工") == "这篇文章工整，问张工要"
    assert corrected("出现流程问题，被现流了", "现流→限流") == "出现流程问题，被限流了"
    assert corrected("让张公开始说，张公司很大", "张公→张工") == "让张工开始说，张公司很大"
    assert corrected("小陈工和小陈", "小陈→小陈工") == "小陈工和小陈工", "what is right already stays"


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
    assert corrected("猫狗", "猫→狗\n狗→鱼\n鱼→猫") == "狗鱼"
    assert corrected("甲", "甲→甲甲") == "甲甲"


def test_an_alias_is_found_however_it_is_spaced_or_punctuated() -> None:
    rules = parse("大模型API→LLM 接口\n好,的→行")
    assert correct(rules, plain("大模型API和大模型 API")).text == "LLM 接口和 LLM 接口"
    assert correct(rules, spoken("好", ",", "的")).text == "行"


# a term's own letters


@pytest.mark.parametrize(
    ("heard", "term"),
    [
        *(("llama 3 8b", "Llama-3-8B"), ("LLAMA3-8B", "Llama-3-8B"), ("Ｌｌａｍａ－３－８Ｂ", "Llama-3-8B")),
        *(("BGE M3", "BGE-M3"), ("bgem3", "BGE-M3"), ("top K", "top-k"), ("TopK", "top-k"), ("api", "API")),
        *(("My SQL", "MySQL"), ("mysql", "MySQL"), ("Rate-Limit", "rate limit"), ("ROADMAP", "roadmap")),
        *(("gpt 4 o", "GPT-4o"), ("node js", "Node.js"), ("ci cd", "CI/CD"), ("ＡＰＩ", "API"), ("rag", "RAG")),
    ],
)
def test_case_joints_and_width_do_not_matter_between_han(heard: str, term: str) -> None:
    assert correct(parse(term), plain(f"我们用{heard}，好")).text == tidy(f"我们用{term}，好")


@pytest.mark.parametrize(
    ("text", "term"),
    [
        *(("an old rag on the floor", "RAG"), ("it is us who go", "IT\nUS\nGO"), ("I want to do it", "to-do")),
        *(("the notion of work", "Notion\nYork"), ("we chat about it", "WeChat"), ("log in now", "log-in")),
        *(("版本 35 和 3 5 和 3-5", "3.5"), ("Llama-3-8B", "Llama-3.8B")),
        *(("38b", "3-8B"), ("用 bge-m3 吧", "M3"), ("APIs 很多", "API"), ("api.go", "API")),
        *(("我们 go 吧", "Go"), ("let's go 吧", "Go"), ("e-mail", "mail"), ("it's", "IT"), ("user@api", "API")),
    ],
)
def test_what_may_be_something_else_is_left_alone(text: str, term: str) -> None:
    assert correct(parse(term), plain(text)).text == tidy(text)


def test_a_term_that_stands_there_is_no_correction() -> None:
    assert correct(parse("Llama-3-8B\nAPI"), plain("用 Llama-3-8B 的 API")).corrections == ()


# words and times


def test_words_under_a_match_become_one_with_their_time() -> None:
    heard = spoken("用", "瑞", "迪", "斯", "吧")
    result = correct(parse("瑞迪斯→Redis"), heard)
    assert [(word.text, word.start_ms, word.end_ms) for word in result.words] == [
        ("用", 0, 100),
        ("Redis", 100, 400),
        ("吧", 400, 500),
    ]
    assert result.text == "用 Redis 吧"
    assert result.corrections == (Correction(2, "瑞迪斯", "Redis", "alias"),)
    assert (result.language, result.confidence, result.words[0].confidence) == ("zh", 0.8, 0.9)


def test_several_matches_are_all_made_and_recorded_where_they_stand() -> None:
    result = correct(parse("瑞迪斯→Redis\n卡夫卡→Kafka"), spoken("用", "瑞", "迪斯", "和", "卡夫卡，", "瑞迪斯"))
    assert result.text == "用 Redis 和 Kafka，Redis"
    assert [(c.before, result.text[c.start : c.end]) for c in result.corrections] == [
        *(("瑞迪斯", "Redis"), ("卡夫卡", "Kafka"), ("瑞迪斯", "Redis"))
    ]
    assert [span_ms(result, c.start, c.end) for c in result.corrections] == [(100, 300), (400, 500), (500, 600)]


def test_without_words_only_the_text_changes() -> None:
    result = correct(parse("瑞迪斯→Redis"), plain("用瑞迪斯，瑞迪斯好"))
    assert result.text == "用 Redis，Redis 好" and result.words == ()
    assert [c.start for c in result.corrections] == [2, 8]


# hints


def test_hints_hold_the_terms_in_the_users_order() -> None:
    assert hints_for(parse("瑞迪斯→Redis\n王磊"), "zh") == Hints(terms=("Redis", "王磊"), language="zh")


def test_terms_of_the_neighbours_come_first_and_what_is_no_term_not_at_all() -> None:
    terms = parse("Redis\n王磊\nKafka")
    assert hints_for(terms, None, ["Kafka", "别的", "王磊", "Kafka"]).terms == ("Kafka", "王磊", "Redis")


def test_hints_are_bounded() -> None:
    many = parse("\n".join(f"术语{number}" for number in range(1_000)))
    hints = hints_for(many, "zh", ["术语999"])
    assert len(hints.terms) == 60 and hints.terms[0] == "术语999"
    assert sum(map(len, hints_for(parse("\n".join("长" * 50 + str(n) for n in range(99))), None).terms)) <= 600


# for any text

TEXT = st.text("甲乙丙 workne,.，。é", max_size=12)
WORDS = st.lists(TEXT, max_size=8)


@given(TEXT, WORDS)
def test_without_a_rule_nothing_changes(text: str, texts: list[str]) -> None:
    for heard in (plain(text), spoken(*texts)):
        for glossary in (Glossary(), parse("王磊\nRedis"), parse("不在里面→X")):
            assert correct(glossary, heard) == heard


@given(WORDS)
def test_every_change_is_on_record_and_times_keep_their_order(texts: list[str]) -> None:
    heard = spoken(*texts)
    result = correct(parse("甲→Q\n乙丙→W X\nwork→JOB"), heard)
    assert (result != heard) == bool(result.corrections)
    removed = "".join(c.before for c in result.corrections)
    added = "".join(c.after for c in result.corrections)
    before, after = (sorted("".join("".join(t.split()) for t in side)) for side in (heard.text, result.text))
    marks = str.maketrans(",.", "，。")  # their width depends on what they stand beside
    flat = [sorted("".join(side).translate(marks).replace(" ", "")) for side in ([*before, added], [*after, removed])]
    assert flat[0] == flat[1]
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(result.words))
    assert all(result.text[c.start : c.end] == c.after for c in result.corrections)
    assert all(a.end <= b.start for a, b in pairwise(result.corrections))


@given(WORDS)
def test_taken_back_a_text_is_what_it_was(texts: list[str]) -> None:
    heard = spoken(*texts)
    result = correct(parse("甲→Q\n乙丙→W X\nwork→JOB"), heard)
    while result.corrections:
        result = reverted(result, result.corrections[0])
    assert tidy(result.text) == tidy(heard.text)
