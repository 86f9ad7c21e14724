"""Terms in a transcript under correction: taken up, turned down, taken back, learned; all of it can be undone."""

from __future__ import annotations

from functools import partial

import pytest

from jiyao.editing import Change, Conflict, Correct, Decline, Line, Manuscript, Merge, Patch, Revert, SetText, Split
from jiyao.glossary import Learned, correct, found, learned, parse, propose
from jiyao.retiming import corrected, parted, retimed, reverted
from jiyao.transcript import Correction, Segment, span_ms
from tests.test_editing import segment, texts

TERMS = parse("限流\n张工\nMySQL\nLlama-3-8B\n用互→用户")


def manuscript(*sentences: str) -> Manuscript:
    made = Manuscript(partial(propose, TERMS))
    for clip, sentence in enumerate(sentences):
        heard = correct(TERMS, segment(*sentence, start_ms=10_000 * clip))
        made.hear(clip, [heard], 0)
    return made


def use(made: Manuscript, terms: str) -> Patch:
    """Look at every line by other terms."""
    look = partial(propose, parse(terms))
    return made.told([(line, look(line.segment, line.declined)) for line in made.use(look)])


def accept(line: Line, place: int = 0) -> Correct:
    one = line.proposals[place]
    return Correct(line.id, line.version, one.start, one.before, one.after)


# what is proposed


def test_lines_carry_what_the_terms_propose_and_a_rule_that_is_certain_is_applied() -> None:
    made = manuscript("用互说又被现流了", "张宫你看一下")
    first, second = made.lines
    assert first.segment.text == "用户说又被现流了"
    assert [one.before for one in first.segment.corrections] == ["用互"]
    assert [(one.before, one.after) for one in first.proposals] == [("现流", "限流")]
    assert [(one.before, one.after) for one in second.proposals] == [("张宫", "张工")]


def test_other_terms_change_what_is_proposed_but_no_version() -> None:
    made = manuscript("用互说又被现流了", "张宫你看一下")
    before = made.lines
    patch = use(made, "限流")
    assert [line.id for line in patch.put] == [before[1].id] and made.lines[1].proposals == ()
    assert [line.version for line in made.lines] == [line.version for line in before]
    assert use(made, "限流").put == ()
    assert not made.change([SetText(before[1].id, before[1].version, "张工你看一下")]).removed


def test_a_line_that_changed_meanwhile_keeps_what_it_has() -> None:
    made = manuscript("又被现流了", "张宫你看一下")
    look = partial(propose, parse("别的"))
    lines = made.use(look)
    made.change([SetText(made.lines[0].id, made.lines[0].version, "现在又被现流了")])
    patch = made.told([(line, look(line.segment, line.declined)) for line in lines])
    assert [line.segment.text for line in patch.put] == ["张宫你看一下"]


def test_an_accepted_term_is_on_record_with_its_score_and_its_time() -> None:
    made = manuscript("又被现流了")
    [line] = made.lines
    made.change([accept(line)])
    [after] = made.lines
    assert after.segment.text == "又被限流了" and not after.edited and not after.checked
    assert after.segment.corrections == (Correction(2, "现流", "限流", "pinyin", line.proposals[0].score),)
    assert span_ms(after.segment, 2, 4) == (200, 400)
    assert after.proposals == ()
    made.undo()
    assert made.lines[0].segment == line.segment and made.lines[0].proposals == line.proposals
    made.redo()
    assert made.lines[0].segment == after.segment


def test_several_on_one_line_from_its_end_to_its_start_as_one_step() -> None:
    made = manuscript("张宫说现流了张宫也在")
    assert len(made.lines[0].proposals) == 3
    made.change(made.proposed(0.5))
    assert texts(made) == ["张工说限流了张工也在"]
    assert [one.before for one in made.lines[0].segment.corrections] == ["张宫", "现流", "张宫"]
    made.undo()
    assert texts(made) == ["张宫说现流了张宫也在"] and not made.can_undo


def test_only_the_likely_ones() -> None:
    made = manuscript("张宫说现牛了")
    scores = [one.score for one in made.lines[0].proposals]
    assert scores[0] > scores[1]
    assert [one.after for one in made.proposed(scores[0])] == ["张工"]
    assert made.proposed(1.01) == []


def test_what_is_not_there_is_a_conflict() -> None:
    made = manuscript("又被现流了")
    [line] = made.lines
    for wrong in (Correct(line.id, line.version, 0, "现流", "限流"), Revert(line.id, line.version, 2)):
        with pytest.raises(Conflict) as conflict:
            made.change([wrong])
        assert conflict.value.lines == (line,)
    assert made.lines == (line,)


def test_what_is_declined_does_not_come_back_but_by_undo() -> None:
    made = manuscript("又被现流了")
    [line] = made.lines
    made.change([Decline(line.id, line.version, "现流", "限流")])
    assert made.lines[0].proposals == () and made.state(0) == made.lines
    use(made, TERMS.written())
    assert made.lines[0].proposals == ()
    made.change([SetText(line.id, made.lines[0].version, "昨天又被现流了")])
    assert made.lines[0].proposals == ()
    made.undo()
    made.undo()
    assert made.lines[0].proposals == line.proposals


def test_a_correction_is_taken_back_alone_and_not_proposed_again() -> None:
    made = manuscript("用互说麻烦张宫看")
    made.change(made.proposed(0.5))
    line = made.lines[0]
    made.change([Revert(line.id, line.version, 0)])
    [after] = made.lines
    assert after.segment.text == "用互说麻烦张工看"
    assert [one.before for one in after.segment.corrections] == ["张宫"] and after.proposals == ()
    made.change([Revert(line.id, after.version, one.start) for one in after.segment.corrections])
    assert texts(made) == ["用互说麻烦张宫看"]
    made.undo()
    made.undo()
    assert made.lines[0].segment == line.segment


def test_records_move_with_their_words() -> None:
    heard = segment(*"我们用麦", "SQL", *"和现流")
    before = corrected(corrected(heard, 3, "麦 SQL", "MySQL", "transliteration"), 11, "现流", "限流", "pinyin")
    assert before.text == "我们用 MySQL 和限流"
    assert [before.text[one.start : one.end] for one in before.corrections] == ["MySQL", "限流"]
    longer = retimed(before, "明天我们用 MySQL 和限流方案")
    assert [longer.text[one.start : one.end] for one in longer.corrections] == ["MySQL", "限流"]
    assert [one.after for one in retimed(before, "我们用 MyQL 和限流").corrections] == ["限流"]
    first, second = parted(before, 9)
    assert [first.text[one.start : one.end] for one in first.corrections] == ["MySQL"]
    assert [second.text[one.start : one.end] for one in second.corrections] == ["限流"]


def test_records_stay_when_lines_are_cut_and_joined() -> None:
    made = manuscript("又被现流了", "张宫你看一下")
    made.change(made.proposed(0.5))
    made.change([Merge(made.lines[0].id, made.lines[0].version)])
    [line] = made.lines
    assert [line.segment.text[one.start : one.end] for one in line.segment.corrections] == ["限流", "张工"]
    made.change([Split(line.id, line.version, 5)])
    assert [[one.after for one in line.segment.corrections] for line in made.lines] == [["限流"], ["张工"]]


def test_a_second_correction_in_the_same_place_keeps_what_was_heard() -> None:
    once = corrected(segment(*"问张宫要"), 1, "张宫", "张公", "typed")
    twice = corrected(once, 1, "张公", "张工", "pinyin", 0.9)
    assert twice.corrections == (Correction(1, "张宫", "张工", "pinyin", 0.9),)
    assert reverted(twice, twice.corrections[0]).text == "问张宫要"


def test_neighbours_are_the_nearest_that_are_heard() -> None:
    made = manuscript(*"甲乙丙丁戊")
    assert made.neighbours(2, 3) == [1, 3, 0]
    assert made.neighbours(9, 2) == [4, 3]


# what a person's correction teaches


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("先看张公那一块", "先看张工那一块", ("张公", "张工")),
        ("我借一家一个方法，超过", "我借一家一个 fallback，超过", ("方法", "fallback")),
        ("用 Alastic Search 吧", "用 Elasticsearch 吧", ("Alastic Search", "Elasticsearch")),
        ("高峰期经常被现流", "高峰期经常被限流", ("现流", "限流")),
        ("这个小辰负责", "这个小陈负责", ("小辰", "小陈")),
        *(("甲乙丙。", "甲乙丙！", None), ("好的", "好的呀", None), ("好的呀", "好的", None), ("好", "", None)),
        ("张公和李公", "张工和李工", None),
        ("一二三四五六七八九十" * 3, "完全是另外的一句话，" * 3, None),
    ],
)
def test_one_replaced_word_is_learned_and_nothing_else(old: str, new: str, expected: tuple[str, str] | None) -> None:
    assert learned(old, new) == (expected and Learned(*expected))


def test_the_same_word_elsewhere_but_not_inside_another() -> None:
    assert found("问章工，这篇文章工整，章工", "章工") == [1, 11]
    assert found("work network work", "work") == [0, 13]


def test_a_typed_correction_goes_everywhere_as_one_step() -> None:
    made = manuscript("方才说方才", "方才", "别的")
    changes: list[Change] = list(made.places("方才", "刚才"))
    assert len(changes) == 3
    made.change(changes)
    assert texts(made) == ["刚才说刚才", "刚才", "别的"]
    assert {one.rule for line in made.lines for one in line.segment.corrections} == {"typed"}
    made.undo()
    assert texts(made) == ["方才说方才", "方才", "别的"]


def test_a_segment_without_words_can_be_corrected_too() -> None:
    bare = Segment(start_ms=0, end_ms=1_000, text="又被现流了")
    after = corrected(bare, 2, "现流", "限流", "pinyin")
    assert after.text == "又被限流了" and after.words == () and span_ms(after, 2, 4) == (0, 1_000)
    with pytest.raises(ValueError):
        corrected(bare, 3, "现流", "限流", "pinyin")
