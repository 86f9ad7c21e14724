"""Turns to segments, and to a text that a person has changed already."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jiyao.editing import Manuscript, Merge, Rename, SetSpeaker, SetText, Split
from jiyao.recognition import Timing, Word
from jiyao.speakers import Turn, Turns
from jiyao.timeline import Span
from jiyao.transcript import Segment


def turns(*rows: tuple[int, int, int]) -> Turns:
    """(from ms, to ms, voice)."""
    return Turns(Turn(Span(start * 16, end * 16), voice) for start, end, voice in rows)


def said(text: str, start_ms: int, end_ms: int, timing: Timing = "measured", speaker: str | None = None) -> Segment:
    """Every character for the same time; a mark belongs to the character before it."""
    pieces: list[str] = []
    for character in text:
        if character in "，。？" and pieces:
            pieces[-1] += character
        else:
            pieces.append(character)
    step = (end_ms - start_ms) / len(pieces)
    words = tuple(
        Word(one, round(start_ms + i * step), round(start_ms + (i + 1) * step), None) for i, one in enumerate(pieces)
    )
    return Segment(start_ms=start_ms, end_ms=end_ms, text=text, words=words, timing=timing, speaker=speaker)


def name(voice: int) -> str:
    return f"说话人 {voice + 1}"


def told(found: list[Segment]) -> list[tuple[str | None, str]]:
    return [(one.speaker, one.text) for one in found]


class TestSpoken:
    def test_one_voice_has_the_whole_segment(self) -> None:
        segment = said("今天开会。", 1_000, 2_000)
        (one,) = turns((900, 2_100, 3)).spoken(segment, name)
        assert one == Segment(**{**vars(segment), "speaker": "说话人 4"})

    def test_it_comes_apart_between_words_where_the_voice_changes(self) -> None:
        found = turns((0, 2_000, 0), (2_000, 4_000, 1)).spoken(said("你说完了吗说完了。", 0, 4_000), name)
        assert told(found) == [("说话人 1", "你说完了"), ("说话人 2", "吗说完了。")]
        assert found[0].end_ms <= found[1].start_ms

    def test_a_mark_draws_the_change_to_it(self) -> None:
        """The estimated times are a syllable late."""
        segment = said("你说完了吗？说完了好的。", 0, 2_500, "estimated")
        found = turns((0, 1_000, 0), (1_000, 2_500, 1)).spoken(segment, name)
        assert told(found) == [("说话人 1", "你说完了吗？"), ("说话人 2", "说完了好的。")]

    def test_a_short_assent_is_kept(self) -> None:
        segment = said("我们下周上线。嗯。然后再看。", 0, 5_500)
        found = turns((0, 3_000, 0), (3_000, 3_500, 1), (3_500, 5_500, 0)).spoken(segment, name)
        assert told(found) == [("说话人 1", "我们下周上线。"), ("说话人 2", "嗯。"), ("说话人 1", "然后再看。")]

    def test_a_cough_in_a_clause_cuts_nothing(self) -> None:
        segment = said("我们下周上线然后再看", 0, 2_000)
        assert told(turns((0, 2_000, 0), (900, 1_050, 1)).spoken(segment, name)) == [("说话人 1", segment.text)]

    def test_speech_at_once_stays_with_who_has_the_word(self) -> None:
        found = turns((0, 4_000, 0), (3_000, 3_800, 1)).spoken(said("我先说完这一句。", 0, 4_000), name)
        assert told(found) == [("说话人 1", "我先说完这一句。")]
        assert found[0].flags == ("overlap",)  # what the other said may be missing

    def test_what_is_said_at_once_is_flagged_where_it_is(self) -> None:
        told_apart = turns((0, 4_000, 0), (3_300, 8_000, 1), (7_900, 10_000, 0))
        found = told_apart.spoken(said("我先说完这一句。那我接着说我这一边的事。好的好的。", 0, 10_000), name)
        assert [one.speaker for one in found] == ["说话人 1", "说话人 2", "说话人 1"]
        assert [one.flags for one in found] == [(), ("overlap",), ()]

    def test_a_word_that_falls_in_is_no_doubt(self) -> None:
        """A 嗯 beside, and one who begins before the other has ended."""
        found = turns((0, 3_000, 0), (1_000, 1_400, 1), (2_800, 5_000, 1)).spoken(
            said("说完了。开始了。", 0, 5_000), name
        )
        assert {one.flags for one in found} == {()}

    def test_a_voice_is_not_at_once_with_itself(self) -> None:
        """Neighbouring windows may tell of it twice."""
        found = turns((0, 3_000, 0), (1_000, 4_000, 0)).spoken(said("只有一个人。", 0, 4_000), name)
        assert found[0].flags == ()

    def test_words_beside_all_turns_go_to_the_near_one(self) -> None:
        assert told(turns((0, 1_000, 5)).spoken(said("好的", 1_200, 1_600), name)) == [("说话人 6", "好的")]

    def test_where_nobody_speaks_it_stays_as_it_is(self) -> None:
        segment = said("好的", 60_000, 61_000)
        assert turns((0, 1_000, 0)).spoken(segment, name) == [segment] == Turns().spoken(segment, name)

    def test_without_words_it_goes_to_who_has_most_of_it(self) -> None:
        segment = Segment(start_ms=0, end_ms=4_000, text="没有时间的一句")
        assert told(turns((0, 1_500, 0), (1_500, 4_000, 1)).spoken(segment, name)) == [("说话人 2", segment.text)]

    @given(
        st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 3_000), st.integers(0, 3)), min_size=1, max_size=12),
        st.text("我你他，。会 ab", min_size=1, max_size=30).filter(lambda text: bool(text.strip("，。 "))),
    )
    def test_no_character_is_lost_and_times_go_forward(self, rows: list[tuple[int, int, int]], text: str) -> None:
        segment = said("会" + text.strip(), 500, 8_000)
        found = turns(*((start, start + length, voice) for start, length, voice in rows)).spoken(segment, name)
        assert "".join(one.text for one in found).replace(" ", "") == segment.text.replace(" ", "")
        edges = [ms for one in found for ms in (one.start_ms, one.end_ms)]
        assert edges == sorted(edges) and edges[0] == segment.start_ms and edges[-1] == segment.end_ms


class TestNames:
    def test_the_names_that_there_are_go_to_who_speaks_there(self) -> None:
        lines = [said("一", 0, 1_000, speaker="张工"), said("二", 1_000, 5_000, speaker="王总")]
        assert turns((0, 1_000, 1), (1_000, 5_000, 0)).named(lines, name) == {0: "王总", 1: "张工"}

    def test_no_two_voices_get_one_name(self) -> None:
        lines = [said("一", 0, 4_000, speaker="说话人 2")]
        found = turns((0, 1_000, 0), (1_000, 4_000, 1), (4_000, 5_000, 2)).named(lines, name)
        assert found == {0: "说话人 1", 1: "说话人 2", 2: "说话人 3"}


def manuscript(*segments: Segment) -> Manuscript:
    """Each segment in a clip of its own."""
    made = Manuscript()
    for clip, segment in enumerate(segments):
        made.hear(clip, [segment], 0)
    return made


def shown(made: Manuscript) -> list[tuple[str | None, str]]:
    return told([line.segment for line in made.lines])


class TestManuscript:
    TWO = turns((0, 2_000, 0), (2_000, 4_000, 1))

    def test_lines_that_are_there_and_those_to_come_get_speakers(self) -> None:
        made = manuscript(said("你说完了吗？说完了。", 0, 4_000))
        patch = made.tell_apart(turns((0, 2_500, 0), (2_500, 8_000, 1)), name)
        assert shown(made) == [("说话人 1", "你说完了吗？"), ("说话人 2", "说完了。")]
        assert {line.id for line in patch.put} == {line.id for line in made.lines}
        made.hear(1, [said("再说一句", 5_000, 6_000)], 0)
        assert shown(made)[-1] == ("说话人 2", "再说一句")

    def test_it_is_nothing_to_be_taken_back_where_there_was_nothing(self) -> None:
        made = manuscript(said("好", 0, 1_000))
        made.tell_apart(self.TWO, name)
        assert not made.can_undo and made.told_apart

    def test_a_new_name_holds_for_lines_to_come(self) -> None:
        made = manuscript(said("好", 0, 1_000))
        made.tell_apart(self.TWO, name)
        made.change([Rename("说话人 1", "张工|后端")])
        made.hear(1, [said("再说一句", 1_000, 1_900)], 0)
        assert {speaker for speaker, _ in shown(made)} == {"张工|后端"}
        made.undo()  # of what was heard there is no undoing: the name goes back
        made.hear(2, [said("还有", 1_900, 2_000)], 0)
        assert shown(made)[-1] == ("说话人 1", "还有")

    def test_two_that_were_made_one_stay_one(self) -> None:
        made = manuscript(said("好", 0, 1_000), said("对", 3_000, 4_000))
        made.tell_apart(self.TWO, name)
        made.change([Rename("说话人 2", "说话人 1")])
        made.hear(2, [said("再说一句", 2_000, 2_900)], 0)
        assert {speaker for speaker, _ in shown(made)} == {"说话人 1"}

    def test_what_a_person_changed_is_not_cut_and_who_a_person_named_stays(self) -> None:
        made = manuscript(said("你说完了吗？说完了。", 0, 4_000), said("嗯", 4_000, 4_500))
        first, second = made.lines
        made.change(
            [SetText(first.id, first.version, "你说完没有？说完了。"), SetSpeaker(second.id, second.version, "王总")]
        )
        made.tell_apart(turns((0, 2_500, 0), (2_500, 4_500, 1)), name)
        assert shown(made) == [("说话人 1", "你说完没有？说完了。"), ("王总", "嗯")]
        made.undo()  # the speakers
        made.undo()  # the person's own change
        assert shown(made) == [(None, "你说完了吗？说完了。"), (None, "嗯")]

    def test_told_apart_anew_names_follow_the_voices(self) -> None:
        made = manuscript(said("一二三四", 0, 4_000), said("五六", 4_000, 6_000))
        made.tell_apart(turns((0, 4_000, 0), (4_000, 6_000, 1)), name)
        made.change([Rename("说话人 1", "张工")])
        made.tell_apart(turns((0, 2_000, 0), (2_000, 4_000, 1), (4_000, 6_000, 2)), name)
        assert shown(made) == [("张工", "一二"), ("说话人 1", "三四"), ("说话人 2", "五六")]

    def test_a_line_over_two_clips_stays_whole(self) -> None:
        made = manuscript(said("一二", 0, 2_000), said("三四", 2_000, 4_000))
        line = made.lines[0]
        made.change([Merge(line.id, line.version)])
        made.tell_apart(self.TWO, name)
        assert [text for _, text in shown(made)] == ["一二三四"]

    def test_a_line_that_was_cut_keeps_its_cut(self) -> None:
        made = manuscript(said("一二三四", 0, 4_000))
        line = made.lines[0]
        made.change([Split(line.id, line.version, 1)])
        made.tell_apart(self.TWO, name)
        assert shown(made) == [("说话人 1", "一"), ("说话人 2", "二三四")]

    def test_states_that_were_kept_come_back_with_their_speakers(self) -> None:
        made = manuscript(said("你说完了吗？说完了。", 0, 4_000))
        made.tell_apart(turns((0, 2_500, 0), (2_500, 4_000, 1)), name)
        made.change([Rename("说话人 2", "王总")])
        state = made.state(0)
        assert state is not None
        again = manuscript(said("你说完了吗？说完了。", 0, 4_000))
        again.restore({0: state})
        assert shown(again) == shown(made)
        again.tell_apart(turns((0, 2_500, 1), (2_500, 4_000, 0)), name)
        assert shown(again) == shown(made)
