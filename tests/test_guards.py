"""Guards: what is unbelievable, what only sounds so, and what is done about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from jiyao import audio, guards
from jiyao.errors import EngineError
from jiyao.recognition import Clip, EngineInfo, Flag, Hints, Recognition, Word
from jiyao.text import is_loop
from jiyao.timeline import SAMPLE_RATE, Span
from tests.conftest import SHARED, needs_shared

Answer = Callable[[Clip, Hints], Recognition]


def clip(seconds: float = 10.0, level: float = 0.1, start_s: float = 5.0) -> Clip:
    values = np.random.default_rng(3).normal(0, level, round(seconds * SAMPLE_RATE)).astype(np.float32)
    start = round(start_s * SAMPLE_RATE)
    return Clip(values, Span(start, start + len(values)))


class Double:
    """An engine that answers by a function and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[float, Hints]] = []

    def describe(self) -> EngineInfo:
        return EngineInfo("double", "double", "1", "cpu", "none")

    def recognize(self, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
        for index, one in enumerate(clips):
            self.asked.append((len(one.samples) / SAMPLE_RATE, hints))
            yield index, self.answer(one, hints)


def believed(engine: Double, one: Clip, hints: Hints = Hints()) -> Recognition:
    results = list(guards.recognize(engine, [one], hints))
    assert [index for index, _ in results] == [0]
    return results[0][1]


class TestLoop:
    @pytest.mark.parametrize(
        "text",
        [
            "花" * 20,
            "I think. " * 30,
            "那么那么那么那么那么那么那么",
            "我们去看一下吧，我们去看一下吧，我们去看一下吧，我们去看一下吧，",
            "像，像，像，像，像，像，像",
            "1000000000花花花花花花花花",
            "I think." * 2000,  # QwenLM/Qwen3-ASR #129
            "我觉得这个像" + "像" * 119,
            "Uh huh. " * 8,
        ],
    )
    def test_circles(self, text: str) -> None:
        assert is_loop(text)

    @pytest.mark.parametrize(
        "text",
        [
            "好好好，没问题。",
            "对对对对，就是这个。",
            "no no no no, that is not it",
            "哈哈哈哈哈哈",
            "一共是100000000000块",
            "再见再见再见",
            "三五八八八八七五五七",
            "1月2月3月4月5月6月7月8月",
            "大的、小的、远的、近的、好的、坏的、美的、丑的、新的、旧的",
        ],
    )
    def test_people_repeat_themselves(self, text: str) -> None:
        assert not is_loop(text)

    @needs_shared
    def test_what_the_real_model_writes_is_believed(self) -> None:
        """Real Qwen3-ASR output: tongue-twister, rap, lists, noise, Cantonese, a talk of 272 s."""
        seen = 0
        for log in sorted((SHARED / "golden").glob("sherpa_*.txt")):
            for text in re.findall(r'"text": ("(?:[^"\\]|\\.)*")', log.read_text(encoding="utf-8")):
                seen += 1
                assert not is_loop(json.loads(text)), log.name
        assert seen >= 8


@needs_shared
def test_nothing_that_the_real_model_writes_is_doubted() -> None:
    """Every text of the logs against the sound it is of: none loops, leaks or is too fast, with the terms given too."""
    seen = 0
    for log in sorted((SHARED / "golden").glob("sherpa_*.txt")):
        content = log.read_text(encoding="utf-8")
        given = re.search(r"qwen3-asr-hotwords=([^']*)'", content)
        hints = Hints(terms=tuple(given.group(1).split(",")) if given else ())
        for seconds, text in real_output(content):
            seen += 1
            assert guards.faults(Recognition(text, "zh"), clip(seconds), hints) == (), (log.name, text)
    assert seen > 90


def real_output(log: str) -> Iterator[tuple[float, str]]:
    """Seconds and text of each clip: of a whole file (one line of JSON), or of each stretch the VAD found."""
    for line in log.splitlines():
        if line.startswith('{"lang"'):
            yield float(re.findall(r"/ ([\d.]+) = ", log)[0]), json.loads(line)["text"]
        elif stretch := re.match(r"([\d.]+) -- ([\d.]+): (.+)", line):
            yield float(stretch.group(2)) - float(stretch.group(1)), stretch.group(3)


class TestFaults:
    def faults(self, text: str, one: Clip | None = None, hints: Hints = Hints(), *flags: Flag) -> tuple[Flag, ...]:
        return guards.faults(Recognition(text, "zh", flags=flags), one or clip(), hints)

    def test_nothing_said_is_no_fault(self) -> None:
        assert self.faults("", clip(level=0.0)) == ()

    def test_text_over_silence(self) -> None:
        assert self.faults("谢谢观看", clip(level=0.0)) == ("silence",)
        assert self.faults("谢谢观看", clip(level=0.01)) == ()

    @pytest.mark.parametrize("text", ["Uh huh.", "嗯。", "通义千问"])
    def test_text_over_the_noise_of_a_room(self, text: str) -> None:
        """A fan at -50 dBFS: too loud for silence, but it neither rises nor falls."""
        hints = Hints(terms=("通义千问", "RAG"))
        assert self.faults(text, clip(level=0.003), hints) == ("silence",)
        assert self.faults("通义千问 RAG", clip(level=0.003), hints) == ("leak", "silence")

    def test_a_quiet_voice_is_no_silence(self) -> None:
        one = clip(level=0.003)
        one.samples[:] *= np.repeat(np.tile(np.array([1.0, 0.3], np.float32), 50), 1600)  # syllables, 5 a second
        assert self.faults("嗯。", one) == ()

    @needs_shared
    def test_a_real_voice_far_away_is_no_silence(self) -> None:
        for name in ("funasr_far_2.flac", "funasr_far_3.flac", "ami_IB4002_clip.flac"):
            samples = audio.decode((SHARED / "audio" / name).read_bytes()).samples(Span(0, 5 * SAMPLE_RATE))
            quiet = samples * (10 ** (-50 / 20) / np.sqrt(np.mean(np.square(samples))))
            assert self.faults("嗯。", Clip(quiet.astype(np.float32), Span(0, len(quiet)))) == (), name

    def test_an_engine_that_cut_off_a_loop_and_has_nothing_left(self) -> None:
        assert self.faults("", None, Hints(), "loop") == ("loop",)
        assert self.faults("", None, Hints(), "truncated") == ("truncated",)
        assert self.faults("", None, Hints(), "silence") == ()

    def test_faster_than_anybody_speaks(self) -> None:
        assert self.faults("这句话太长了不可能在一秒钟之内说完" * 2, clip(seconds=1.0)) == ("unsure",)
        # a real tongue-twister has 130 characters in 11.4 s (shared/golden, fast1)
        tongue_twister = "放出来之后左手右手接一个慢动作右边再直接拉到车上面之后直接拉到这个轮胎上面再接过去"
        assert "unsure" not in self.faults(tongue_twister * 3, clip(seconds=11.4))
        assert "unsure" not in self.faults("早上好今天我们开会讨论预算", clip(seconds=1.5))

    def test_hints_that_come_back(self) -> None:
        hints = Hints(terms=("通义千问", "Llama-3-8B", "RAG"))
        assert self.faults("通义千问 Llama-3-8B RAG", hints=hints) == ("leak",)
        assert self.faults("通义千问、llama 3 8b。", hints=hints) == ("leak",)
        assert self.faults("通义千问", hints=hints) == ()  # one term may be all that was said
        assert self.faults("我们比较了通义千问和 Llama-3-8B，前者更稳定。", hints=hints) == ()

    def test_the_context_that_comes_back(self) -> None:
        hints = Hints(context="这是预算评审会议，主要讨论服务器采购。")
        assert self.faults("主要讨论服务器采购。", hints=hints) == ("leak",)
        assert self.faults("预算评审", hints=hints) == ()  # few words may well be said
        assert self.faults("今天主要讨论服务器采购。", hints=hints) == ()

    def test_what_the_engine_says_counts(self) -> None:
        assert self.faults("说到一半", None, Hints(), "truncated") == ("truncated",)
        assert self.faults("听不清", None, Hints(), "unsure") == ()  # noise heard again stays noise


class TestLadder:
    def test_a_good_text_is_heard_once(self) -> None:
        engine = Double(lambda c, h: Recognition("好。", "zh"))
        assert believed(engine, clip()).text == "好。"
        assert len(engine.asked) == 1

    def test_a_leak_is_heard_again_without_terms(self) -> None:
        hints = Hints(terms=("甲项目", "乙项目"), language="zh")
        engine = Double(lambda c, h: Recognition("甲项目乙项目" if h.terms else "嗯。", "zh"))
        assert believed(engine, clip(), hints).text == "嗯。"
        assert [h.terms for _, h in engine.asked] == [hints.terms, ()]
        assert engine.asked[1][1].language == "zh"

    def test_a_loop_is_halved_at_the_quietest_point(self) -> None:
        one = clip(seconds=10.0)
        one.samples[round(6.0 * SAMPLE_RATE) : round(6.2 * SAMPLE_RATE)] = 0

        def answer(part: Clip, hints: Hints) -> Recognition:
            if len(part.samples) == len(one.samples):
                return Recognition("那么" * 40, "zh")
            first = part.span.start == one.span.start
            return Recognition(
                "前半。" if first else "后半。", "zh", (Word("前半。" if first else "后半。", 100, 900),), 0.9
            )

        heard = believed(Double(answer), one)
        assert heard.text == "前半。后半。"
        assert [(word.start_ms, word.end_ms) for word in heard.words][0] == (100, 900)
        assert heard.words[1].start_ms == pytest.approx(6100 + 100, abs=60)
        assert heard.flags == ()

    def test_repetition_made_costly_is_the_last_step(self) -> None:
        engine = Double(lambda c, h: Recognition("终于好了。" if h.cautious else "那么" * 40, "zh"))
        assert believed(engine, clip()).text == "终于好了。"
        assert engine.asked[-1][1].cautious

    def test_a_list_heard_without_terms_too_was_said(self) -> None:
        """A roll call: the names are all in the terms, and all were spoken."""
        hints = Hints(terms=("张伟", "李娜"))
        engine = Double(lambda c, h: Recognition("张伟，李娜。", "zh"))
        heard = believed(engine, clip(), hints)
        assert (heard.text, heard.flags) == ("张伟，李娜。", ())
        assert len(engine.asked) == 2

    def test_a_loop_that_left_nothing_is_heard_again(self) -> None:
        engine = Double(lambda c, h: Recognition("都在。", "zh") if h.cautious else Recognition("", flags=("loop",)))
        assert believed(engine, clip()) == Recognition("都在。", "zh")
        nothing = Double(lambda c, h: Recognition("", flags=("loop",)))
        assert believed(nothing, clip()) == Recognition("", flags=("loop", "unsure"))

    def test_nothing_helps_keeps_the_best_and_says_so(self) -> None:
        engine = Double(
            lambda c, h: Recognition("那么" * (10 if h.cautious else 40), "zh", confidence=0.2 + 0.1 * h.cautious)
        )
        heard = believed(engine, clip())
        assert heard.text == "那么" * 10
        assert set(heard.flags) == {"loop", "unsure"}

    def test_an_empty_second_try_never_takes_the_text(self) -> None:
        engine = Double(lambda c, h: Recognition("" if h.cautious or len(c.samples) < 150_000 else "那么" * 40, "zh"))
        assert believed(engine, clip()).text == "那么" * 40

    def test_an_engine_that_dies_on_the_way_loses_no_text(self) -> None:
        def answer(part: Clip, hints: Hints) -> Recognition:
            if len(part.samples) < 150_000 or hints.cautious:
                raise EngineError("engine.failed", name="double", reason="out of memory")
            return Recognition("那么" * 40, "zh")

        results = []
        with pytest.raises(EngineError):
            for index, heard in guards.recognize(Double(answer), [clip()], Hints()):
                results.append((index, heard.text, heard.flags))
        assert results == [(0, "那么" * 40, ("loop", "unsure"))]
