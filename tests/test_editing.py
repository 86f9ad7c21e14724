"""Changes to a transcript: what they do, that they can be undone, that times stay with their words."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiyao.editing import Conflict, Line, Manuscript, Merge, Rename, SetSpeaker, SetText, Settle, Split
from jiyao.recognition import Word
from jiyao.retiming import joined, parted, retimed
from jiyao.text import lay_out
from jiyao.transcript import Segment, places


def segment(*words: str, start_ms: int = 0, speaker: str | None = None) -> Segment:
    """A segment whose words take 100 ms each."""
    text, spots = lay_out(words)
    timed = tuple(
        Word(text[left:right], start_ms + 100 * index, start_ms + 100 * (index + 1), 0.9)
        for index, (left, right) in enumerate(spots)
    )
    return Segment(start_ms=start_ms, end_ms=timed[-1].end_ms, text=text, words=timed, speaker=speaker, language="zh")


def manuscript() -> Manuscript:
    made = Manuscript()
    made.hear(0, [segment(*"我们明天", "review", "。"), segment(*"好的。", start_ms=1000)], 0)
    made.hear(1, [segment(*"下一个", start_ms=2000)], 0)
    return made


def texts(made: Manuscript) -> list[str]:
    return [line.segment.text for line in made.lines]


def at(made: Manuscript, index: int) -> Line:
    return made.lines[index]


def test_words_that_stay_keep_their_times() -> None:
    before = segment(*"我们明天", "review", "方案")
    after = retimed(before, "我们后天 review 新方案")
    by_text = {word.text: word for word in after.words}
    assert by_text["我"] == before.words[0]
    assert by_text["天"] == before.words[3]
    assert by_text["review"] == before.words[4]
    assert by_text["后"].start_ms == 200 and by_text["后"].end_ms == 300 and by_text["后"].confidence is None
    assert 500 <= by_text["新"].start_ms <= by_text["新"].end_ms <= 600


def test_a_word_that_was_never_there_gets_the_room_between_its_neighbours() -> None:
    before = replace(segment("甲", "乙"), words=(Word("甲", 0, 100), Word("乙", 500, 600)), end_ms=600)
    after = retimed(before, "甲丙丁乙")
    assert [(word.text, word.start_ms, word.end_ms) for word in after.words] == [
        ("甲", 0, 100),
        ("丙", 100, 300),
        ("丁", 300, 500),
        ("乙", 500, 600),
    ]


@given(st.text("我们好a1 b,。", min_size=1), st.text("我们好a1 b,。x", min_size=1).map(str.strip).filter(bool))
def test_whatever_is_typed_times_stay_in_order_and_inside(old: str, new: str) -> None:
    words = old.split() or ["好"]
    before = segment(*words, start_ms=700)
    after = retimed(before, new)
    reached = before.start_ms
    for word in after.words:
        assert reached <= word.start_ms <= word.end_ms <= before.end_ms
        reached = word.end_ms
    assert "".join(word.text for word in after.words) == "".join(new.split())
    assert all(right > left for left, right in places(after))


def test_cut_and_joined_again_is_the_same() -> None:
    whole = segment(*"我们明天", "review", "方", "案。")
    for offset in range(1, len(whole.text)):
        if whole.text[offset - 1 : offset + 1] in ("re", "ev", "vi", "ie", "ew", "案。"):
            continue  # inside a word
        first, second = parted(whole, offset)
        assert first.end_ms <= second.start_ms
        assert joined(first, second).text == whole.text
        assert [word.start_ms for word in joined(first, second).words] == [word.start_ms for word in whole.words]


def test_nothing_on_one_side_is_no_cut() -> None:
    with pytest.raises(ValueError):
        parted(segment("好"), 0)
    with pytest.raises(ValueError):
        parted(segment("好"), 1)


def test_a_segment_without_words_is_cut_by_the_length_of_its_text() -> None:
    first, second = parted(Segment(start_ms=0, end_ms=1000, text="一二三四五六七八九十"), 5)
    assert (first.end_ms, second.start_ms, first.words) == (500, 500, ())


def test_edit_split_merge_and_back() -> None:
    made = manuscript()
    start = made.lines
    made.change([SetText("0.0.0", at(made, 0).version, "我们后天 review。")])
    assert at(made, 0).edited and at(made, 0).checked
    made.change([Split("0.0.0", at(made, 0).version, 4)])
    assert texts(made) == ["我们后天", "review。", "好的。", "下一个"]
    made.change([Merge("0.0.1", at(made, 2).version)])
    assert texts(made) == ["我们后天", "review。", "好的。下一个"]
    while made.undo():
        pass
    assert [(line.id, line.segment) for line in made.lines] == [(line.id, line.segment) for line in start]
    while made.redo():
        pass
    assert texts(made) == ["我们后天", "review。", "好的。下一个"]


def test_an_old_version_is_a_conflict_and_changes_nothing() -> None:
    made = manuscript()
    old = at(made, 0).version
    made.change([SetText("0.0.0", old, "甲")])
    with pytest.raises(Conflict) as conflict:
        made.change([SetText("0.0.1", at(made, 1).version, "乙"), SetText("0.0.0", old, "丙")])
    assert [line and line.segment.text for line in conflict.value.lines] == ["甲"]
    assert texts(made) == ["甲", "好的。", "下一个"]
    with pytest.raises(Conflict) as gone:
        made.change([SetText("nobody", 1, "乙")])
    assert gone.value.lines == (None,)


def test_no_text_takes_the_line_away() -> None:
    made = manuscript()
    patch = made.change([SetText("0.0.1", at(made, 1).version, "  ")])
    assert patch.removed == ("0.0.1",) and patch.clips == (0,)
    assert texts(made) == ["我们明天 review。", "下一个"]


def test_speakers() -> None:
    made = manuscript()
    made.change([SetSpeaker(line.id, line.version, "A") for line in made.lines])
    made.change([SetSpeaker(made.lines[1].id, made.lines[1].version, "B")])
    made.change([Rename("A", "张工")])
    assert [line.segment.speaker for line in made.lines] == ["张工", "B", "张工"]
    made.undo()
    assert [line.segment.speaker for line in made.lines] == ["A", "B", "A"]


def test_a_checked_line_is_not_doubtful() -> None:
    made = Manuscript()
    made.hear(0, [replace(segment("好"), flags=("unsure",))], 0)
    made.change([Settle("0.0.0", at(made, 0).version)])
    assert at(made, 0).checked and not at(made, 0).segment.flags


def test_heard_again_replaces_what_was_written_and_can_be_undone() -> None:
    made = manuscript()
    made.change([SetText("0.0.0", at(made, 0).version, "手写")])
    made.hear(0, [segment(*"新的")], 1)
    assert texts(made) == ["新的", "下一个"]
    made.undo()
    assert texts(made) == ["手写", "好的。", "下一个"]


def test_a_line_over_two_clips_comes_apart_when_one_is_heard_again() -> None:
    made = manuscript()
    made.change([Merge("0.0.1", at(made, 1).version)])
    assert at(made, 1).clips == (0, 1)
    made.hear(1, [segment(*"再来", start_ms=2000)], 1)
    assert texts(made) == ["我们明天 review。", "好的。", "再来"]
    made.undo()
    assert texts(made) == ["我们明天 review。", "好的。下一个"]


def test_kept_states_bring_edits_back() -> None:
    made = manuscript()
    made.change([SetText("0.0.0", at(made, 0).version, "手写")])
    patch = made.change([Merge("0.0.1", at(made, 1).version)])
    assert patch.clips == (0, 1)
    states = {clip: lines for clip in (0, 1) if (lines := made.state(clip)) is not None}
    again = manuscript()
    again.restore(states)
    assert texts(again) == texts(made) and not again.can_undo
    again.change([SetText(again.lines[0].id, again.lines[0].version, "我们明天 review。")])
    made.undo()
    made.undo()
    assert made.state(0) is None and made.state(1) is None


def test_random_changes_all_undone_are_the_beginning() -> None:
    chance = random.Random(7)
    made = manuscript()
    start = [(line.id, line.segment) for line in made.lines]
    done = 0
    for _ in range(300):
        line = chance.choice(made.lines)
        kind = chance.choice([SetText, Split, Merge])
        try:
            if kind is SetText:
                made.change([SetText(line.id, line.version, line.segment.text + chance.choice("甲乙丙"))])
            elif kind is Split:
                made.change([Split(line.id, line.version, chance.randrange(len(line.segment.text) + 1))])
            else:
                made.change([Merge(line.id, line.version)])
        except ValueError:
            continue
        done += 1
        starts = [line.segment.start_ms for line in made.lines]
        assert starts == sorted(starts)
    assert done > 100
    while made.undo():
        pass
    assert [(line.id, line.segment) for line in made.lines] == start
