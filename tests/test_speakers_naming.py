"""What people call themselves in a text; and what only looks like it."""

from __future__ import annotations

import pytest

from jiyao.speakers.naming import Suggestion, introduced, suggestions
from jiyao.transcript import Segment


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("大家好，我是张工。", "张工"),
        ("我是产品部的小陈，今天我来说。", "小陈"),
        ("我叫李雷。", "李雷"),
        ("我叫周若彤，法务的。", "周若彤"),
        ("喂，这里是王总。", "王总"),
        ("我是欧阳娜娜。", "欧阳娜娜"),
        ("我是老何啊。", "老何"),
        ("我是李经理，人都到齐了。", "李经理"),
        ("我的名字叫韩梅梅", "韩梅梅"),
        ("Hello, this is Diane in New Jersey.", "Diane"),
        ("And I'm Sheila in Texas.", "Sheila"),
        ("My name is Tom Baker.", "Tom Baker"),
    ],
)
def test_names_that_are_said(text: str, name: str) -> None:
    ((found, start, end),) = introduced(text)
    assert found == name and text[start:end].endswith(name)


@pytest.mark.parametrize(
    "text",
    [
        "我是觉得这个可以。",
        "我是说下周再看。",
        "我是昨天到的。",
        "我是总监。",
        "我是负责后端的。",
        "这里是北京。",
        "这边是没问题的。",
        "我叫他来了。",
        "我叫了外卖。",
        "他是张工。",
        "我是张工的同事。",
        "我是高兴的。",
        "我是常常迟到。",
        "我是安全部门的。",
        "I'm sorry.",
        "I'm Sorry about that.",
        "This is Monday.",
        "I am going to try.",
        "this is good.",
        "I'm American.",
    ],
)
def test_what_only_looks_like_it(text: str) -> None:
    assert introduced(text) == []


def test_it_is_the_speakers_own_name_and_told_once() -> None:
    def said(text: str, speaker: str | None) -> Segment:
        return Segment(start_ms=0, end_ms=1, text=text, speaker=speaker)

    segments = [
        said("我是张工。", "说话人 1"),
        said("我是王总。", None),
        said("我是小陈。", "说话人 2"),
        said("对，我是张工。", "说话人 1"),
    ]
    assert suggestions(segments) == [
        Suggestion("说话人 1", "张工", 0, 0, 4),
        Suggestion("说话人 2", "小陈", 2, 0, 4),
    ]
