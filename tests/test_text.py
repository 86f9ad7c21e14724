"""Text of two scripts: spacing, punctuation width, sentence ends, 简/繁."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jiyao.text import convert, convert_words, ends_sentence, is_han, join, lay_out, punctuate_like, tidy, width

MIXED = st.one_of(
    st.text("中文的我们项目，。？！、：；“”（）《》…—·　ab XYZ09.,;:?!%()'\"/-+<>$#@&~ \n", max_size=40),
    st.text(max_size=40),
)


def test_spaces_stand_between_chinese_and_english_words() -> None:
    assert join(["我", "们", "用", "Redis", "做", "缓", "存"]) == "我们用 Redis 做缓存"
    assert tidy("我们用Redis做缓存") == "我们用 Redis 做缓存"
    assert tidy("今 天 开 会") == "今天开会"
    assert tidy("the  connection   pool") == "the connection pool"


@pytest.mark.parametrize(
    "text", ["3月12号", "涨了82%的样子", "有3个", "（API）", "先看 API，再看 UI。", "v2.5.1 版", "C++ 和 CI/CD"]
)
def test_what_is_already_well_set_stays(text: str) -> None:
    assert tidy(text) == text


def test_half_width_marks_beside_han_become_full_width() -> None:
    assert tidy("好,我们开始吧.") == "好，我们开始吧。"
    assert tidy("好, ok. 真的?!") == "好，ok. 真的？！"
    assert join(["好", ",", "ok"]) == "好，ok" and join(["ok", ",", "好"]) == "ok，好"
    assert tidy("真的?对!") == "真的？对！"
    assert tidy("Really? Yes, 3.5.") == "Really? Yes, 3.5."


@given(MIXED)
@example("好 ,好")
@example("a ，b")
def test_tidy_twice_is_tidy_once(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)


@given(MIXED)
def test_tidy_changes_nothing_but_spaces_and_the_width_of_marks(text: str) -> None:
    half = str.maketrans("，；：？！。", ",;:?!.")
    assert "".join(tidy(text).translate(half).split()) == "".join(text.translate(half).split())


@given(st.lists(MIXED, max_size=8))
def test_every_word_lands_where_it_is_said_to(pieces: list[str]) -> None:
    text, places = lay_out(pieces)
    assert len(places) == len(pieces)
    assert [end - start for start, end in places] == [len(" ".join(piece.split())) for piece in pieces]
    last = 0
    for start, end in places:
        assert last <= start <= last + 1 and not text[last:start].strip()
        last = end
    assert last == len(text)


@pytest.mark.parametrize("text", ["好。", "好。”", "真的？", "等等……", "Done.", "He said so.”", "真的吗？！", "第一；"])
def test_sentence_ends(text: str) -> None:
    assert ends_sentence(text) and ends_sentence(text + " ")


@pytest.mark.parametrize("text", ["", "好", "好，", "版本 3.", "v2.5", "第一、", "说：", "e.g"])
def test_no_sentence_ends(text: str) -> None:
    assert not ends_sentence(text)


def test_simplified_and_traditional() -> None:
    assert convert("我們的軟體項目", "simplified") == "我们的软体项目"
    assert convert("我们的软件项目", "traditional") == "我們的軟件項目"
    assert convert("我們的软件", "original") == "我們的软件"
    assert convert("plain English", "traditional") == "plain English"


def test_cantonese_keeps_characters_that_people_write() -> None:
    assert convert("嗰個係佢哋嘅", "simplified") == "嗰个系佢哋嘅"


def test_the_phrase_decides_the_form_across_words() -> None:
    assert convert_words(["头", "发"], "traditional") == ["頭", "髮"]
    assert convert_words(["发", "展"], "traditional") == ["發", "展"]


@given(st.lists(st.text("头发发展后来皇后里面公里干部干净只有一隻臺灣嗰個軟體 ab，。", max_size=5), max_size=8))
def test_conversion_keeps_every_word_in_its_place(words: list[str]) -> None:
    for script in ("simplified", "traditional"):
        converted = convert_words(words, script)
        assert [len(word) for word in converted] == [len(word) for word in words]
        assert len(convert("".join(words), script)) == len("".join(words))


def test_width_counts_full_width_characters() -> None:
    assert width("中文，ab") == 4.0
    assert width("“好……”") == 5.0
    assert width("안녕はい😀") == 5.0
    assert width("") == 0.0


def test_kana_count_as_written_without_spaces() -> None:
    assert is_han("中") and is_han("の") and not is_han("a") and not is_han("，")


class TestPunctuateLike:
    def test_takes_marks_over_misheard_characters(self) -> None:
        heard = punctuate_like(list("秋天总是富有诗意树叶变红"), "秋天,总是富有失忆。数叶,变红。")
        assert "".join(heard) == "秋天,总是富有诗意。树叶,变红。"

    def test_words_of_two_scripts(self) -> None:
        assert punctuate_like(["好", "Llama", "3.5", "很", "快"], "好,Llama 3.5 很快。") == [
            "好,",
            "Llama",
            "3.5",
            "很",
            "快。",
        ]

    def test_no_mark_where_the_neighbours_differ(self) -> None:
        assert punctuate_like(["没", "有", "的？", "只", "是"], "没有,只是") == ["没", "有", "的？", "只", "是"]

    @given(
        st.lists(st.text("好的abc,。？", min_size=1, max_size=4), max_size=12), st.text("好的abc,。？ ", max_size=30)
    )
    def test_only_ever_adds_marks_behind_words(self, words: list[str], model: str) -> None:
        result = punctuate_like(words, model)
        assert len(result) == len(words)
        for before, after in zip(words, result, strict=True):
            assert after.startswith(before)
            assert not any(c.isalnum() for c in after[len(before) :])
