"""Subtitles: a transcript cut into cues that can be read while they are shown, as SubRip and WebVTT.

A cue is one line of at most 21 full-width characters (Latin text: up to two lines of 42 half-width ones), lasts at most
6 s, and ends at punctuation where it can, else at the widest gap between words. Where every cut costs something, the
cheapest set of cuts is found by dynamic programming over a segment: a greedy cutter leaves one-word cues behind.
Limits: Netflix Timed Text Style Guides (Chinese, English) and research/peers.md 2A row 16.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from jiyao.exports.options import ExportOptions, label, one_line
from jiyao.exports.reading import notes
from jiyao.text import ends_sentence, is_han, width
from jiyao.timeline import clock_ms
from jiyao.transcript import Segment, Transcript

MAX_WIDTH = 21.0  # full-width characters a line
MAX_MS = 6_000  # a longer cue stands still while the speech goes on
MIN_MS = 1_000  # a shorter one flashes by; the silence after it lends the rest

# Costs of a cut, in cues: one cue more is cheaper than one cut in the middle of a phrase
_MID_PHRASE = 3.0
_GAP_GAIN, _FULL_GAIN_MS = 2.0, 400  # a pause of this length between words is nearly as good as a comma
_AFTER_MARK = {**dict.fromkeys("，,；;：:—…", 0.2), **dict.fromkeys("、”’）】》〉」』)", 0.9)}
_SHORT, _SHORT_WIDTH = 1.0, 4.0
_SENTENCE_INSIDE = 1.2
_SECOND_LINE = 1.2
_TERM_SPLIT = 0.8  # between two Latin words amid Chinese, often one term
_UNEVEN = 0.5

_NO_START = "，。、；：？！”’）】》〉」』…—·％々ー,.;:?!)]}%"  # never first in a line (CLREQ 3.1.3)
_NO_END = "（【《〈「『“‘([{·"  # never last
_BREAK_AFTER = "，。、；：？！”’）】》〉」』…—"
_NUMERALS = "零〇一二三四五六七八九十百千万亿萬億两兩几幾点點"
# without a dictionary of words, these few tell good places from bad ones in speech that has no punctuation
_SUFFIXES = "的了们們吗嗎呢吧啊呀嘛啦喇着著过過得地嘅咗哋㗎"  # belong to the word before
_PARTICLES = "了吗嗎呢吧啊呀嘛啦喇㗎"  # often end a clause
_STARTERS = tuple(
    "但是 所以 因为 因為 如果 然后 然後 而且 还有 還有 那么 那麼 我们 我們 你们 你們 他们 他們 大家 "
    "这个 這個 那个 那個 就是 并且 並且 或者 以及 不过 不過 另外 首先 其次 最后 最後 同时 同時 "
    "这样 這樣 我哋 你哋 佢哋 嗰個 即係 但係 同埋 跟住".split()
)
_TAILS = tuple("之间 之間 之前 之后 之後 以前 以后 以後 以上 以下 左右 时候 時候".split())  # belong to what they follow
_ENGLISH_STARTERS = frozenset("and but because so that which when where if then or who while".split())
_ENGLISH_LEANERS = frozenset("the a an of to in on for with at by from and or is are was we i".split())


@dataclass(frozen=True)
class Cue:
    """What is shown at once: one or two lines, times in ms from the recording's start."""

    start_ms: int
    end_ms: int
    speaker: str
    lines: tuple[str, ...]


def write_srt(transcript: Transcript, options: ExportOptions) -> bytes:
    """SubRip, UTF-8, LF. The speaker stands before the text where he changes.

    SubRip has no escapes: what a player would take for a tag or an arrow gets a full-width bracket instead.
    """
    cues = cut(transcript, options, _disarm, labels=True)
    blocks = [
        f"{number}\n{clock_ms(cue.start_ms, ',')} --> {clock_ms(cue.end_ms, ',')}\n" + "\n".join(cue.lines) + "\n"
        for number, cue in enumerate(cues, start=1)
    ]
    return "\n".join(blocks).encode()


def write_vtt(transcript: Transcript, options: ExportOptions) -> bytes:
    """WebVTT (W3C), UTF-8, LF. Speakers as voice tags; notes on the source as NOTE blocks."""
    blocks = ["WEBVTT\n"]
    blocks += [f"NOTE\n{_escape(note)}\n" for note in notes(transcript, options.language)]
    for cue in cut(transcript, options):
        voice = f"<v {_escape(cue.speaker)}>" if cue.speaker else ""
        payload = "\n".join(_escape(line) for line in cue.lines)
        blocks.append(f"{clock_ms(cue.start_ms)} --> {clock_ms(cue.end_ms)}\n{voice}{payload}\n")
    return "\n".join(blocks).encode()


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _disarm(text: str) -> str:
    """`text`, of the same length, without SubRip's tags (`<i>`, `{\\an8}`) and without an arrow."""
    text = re.sub(r"<(?=[A-Za-z/!])", "＜", text)
    return re.sub(r"\{(?=\\)", "｛", text).replace("-->", "--＞")


def cut(
    transcript: Transcript,
    options: ExportOptions | None = None,
    disarm: Callable[[str], str] = str,
    labels: bool = False,
) -> list[Cue]:
    """The transcript as cues in order, never overlapping. `disarm` may replace characters, one by one, beforehand.

    `labels`: the speaker's name is written into the first cue of his turn, and the lines leave room for it.
    """
    options = options or ExportOptions()
    cues: list[Cue] = []
    before = ""
    for segment in sorted(transcript.segments, key=lambda s: s.start_ms):
        text = disarm(one_line(segment.text))
        if not text:
            continue
        speaker = one_line(segment.speaker) if options.speakers else ""
        shown = label(disarm(speaker), options.language) if labels and speaker not in ("", before) else ""
        cues += _Cutter(segment, text, width(shown)).cues(speaker, shown)
        before = speaker
    return _apart(cues, transcript.source.duration_ms)


def _apart(cues: list[Cue], duration_ms: int) -> list[Cue]:
    """Cues in order of time, each shown for at least MIN_MS where the next one, or the recording's end, leaves room."""
    ordered = sorted(cues, key=lambda cue: cue.start_ms)
    # at least 1 ms for each: players drop a cue that ends where it starts
    starts = list(accumulate((cue.start_ms for cue in ordered), lambda last, start: max(start, last + 1)))
    result = []
    for index, (cue, start) in enumerate(zip(ordered, starts, strict=True)):
        room = starts[index + 1] if index + 1 < len(starts) else max(duration_ms, cue.end_ms, start + 1)
        result.append(replace(cue, start_ms=start, end_ms=min(max(cue.end_ms, start + MIN_MS), room)))
    return result


class _Cutter:
    """One segment's text in pieces that stay whole, when each is spoken, and the cheapest way to cut between them."""

    def __init__(self, segment: Segment, text: str, label_width: float) -> None:
        self.text = text
        self.label_width = label_width
        self.widths = [0.0, *accumulate(width(c) for c in text)]
        self.pieces = list(self._pieces())
        times = _times(segment, text)
        self.starts = [times[start][0] for start, _ in self.pieces]
        self.ends = [times[end - 1][1] for _, end in self.pieces]
        self.han = [0, *accumulate(any(map(is_han, text[start:end])) for start, end in self.pieces)]
        sentences = (ends_sentence(text[start:end]) for start, end in self.pieces)
        self.sentences = [0, *accumulate(sentences)]
        self.cut_costs = [self._cut_cost(index) for index in range(1, len(self.pieces))] + [0.0]

    def cues(self, speaker: str, label: str) -> Iterator[Cue]:
        for first, last in self._cheapest():
            lines = self._lines(first, last)
            if first == 0 and label:
                inline = label + lines[0]
                lines = (inline, *lines[1:]) if width(inline) <= MAX_WIDTH else (label.rstrip(), *lines)
            start, end = self.starts[first], self.ends[last - 1]
            yield Cue(start, min(end, start + MAX_MS), speaker, lines)

    def _pieces(self) -> Iterator[tuple[int, int]]:
        """(start, end) of what no cut divides, without spaces; what is wider than a whole line is cut all the same."""
        start = 0
        for end in range(1, len(self.text) + 1):
            if end < len(self.text) and not may_break(self.text, end) and self._width(start, end + 1) <= MAX_WIDTH:
                continue
            if self.text[start:end] != " ":
                yield start, end
            start = end

    def _width(self, start: int, end: int) -> float:
        return self.widths[end] - self.widths[start]

    def _slice(self, first: int, last: int) -> str:
        return self.text[self.pieces[first][0] : self.pieces[last - 1][1]]

    def _span_width(self, first: int, last: int) -> float:
        return self._width(self.pieces[first][0], self.pieces[last - 1][1])

    def _lines(self, first: int, last: int) -> tuple[str, ...]:
        """Pieces first...last as one line, or as two if they are Latin text; () if they do not fit."""
        if self._span_width(first, last) <= MAX_WIDTH:
            return (self._slice(first, last),)
        if self.han[last] > self.han[first]:
            return ()
        room = MAX_WIDTH - (self.label_width if first == 0 else 0.0)
        breaks = [
            (abs(self._span_width(first, k) - self._span_width(k, last)) + 4 * self.cut_costs[k - 1], k)
            for k in range(first + 1, last)
            if self._span_width(first, k) <= room and self._span_width(k, last) <= MAX_WIDTH
        ]
        if not breaks:
            return ()
        _, best = min(breaks)
        return self._slice(first, best), self._slice(best, last)

    def _cheapest(self) -> list[tuple[int, int]]:
        """The cuts of least total cost, as (first piece, one past the last) of each cue."""
        count = len(self.pieces)
        best: list[tuple[float, int]] = [(0.0, 0)] + [(float("inf"), 0)] * count
        for last in range(1, count + 1):
            for first in range(last - 1, -1, -1):
                cost = self._cost(first, last)
                if cost is None:
                    break
                best[last] = min(best[last], (best[first][0] + cost, first))
        cuts = []
        last = count
        while last:
            first = best[last][1]
            cuts.append((first, last))
            last = first
        return cuts[::-1]

    def _cost(self, first: int, last: int) -> float | None:
        """The cost of a cue and of the cut after it; None if it is too wide or too long, as all wider ones are."""
        duration_ms = self.ends[last - 1] - self.starts[first]
        span_width = self._span_width(first, last)
        if last - first > 1 and (duration_ms > MAX_MS or not self._lines(first, last)):
            return None
        # a speaker's label that does not fit beside the text stands above it
        two_lines = span_width + (self.label_width if first == 0 else 0.0) > MAX_WIDTH
        whole = first == 0 and last == len(self.pieces)
        short = not whole and (span_width < _SHORT_WIDTH or duration_ms < MIN_MS)
        inside = self.sentences[last - 1] - self.sentences[first]
        return (
            1.0
            + self.cut_costs[last - 1]
            + _UNEVEN * (span_width / MAX_WIDTH) ** 2
            + _SHORT * short
            + _SECOND_LINE * two_lines
            + _SENTENCE_INSIDE * inside
        )

    def _cut_cost(self, index: int) -> float:
        """The cost of a cut before piece `index`: none at a sentence end, most inside a phrase without any gap."""
        (start, end), (after, after_end) = self.pieces[index - 1], self.pieces[index]
        left, right = self.text[start:end], self.text[after:after_end]
        if ends_sentence(left):
            return 0.0
        if left[-1] in _AFTER_MARK:
            return _AFTER_MARK[left[-1]]
        gap_ms = min(max(self.starts[index] - self.ends[index - 1], 0), _FULL_GAIN_MS)
        cost = _MID_PHRASE - _GAP_GAIN * gap_ms / _FULL_GAIN_MS
        across = self.text[end - 1 : after + 1]
        if right[0] in _SUFFIXES or across in _STARTERS + _TAILS or left.lower() in _ENGLISH_LEANERS:
            cost += 1.0
        elif self.text.startswith(_TAILS, after):
            cost += 1.0
        elif self.han[-1] and not is_han(left[-1]) and not is_han(right[0]):
            cost += _TERM_SPLIT
        elif self.text.startswith(_STARTERS, after) or right.lower() in _ENGLISH_STARTERS or left[-1] in _PARTICLES:
            cost -= 0.6
        return cost


def may_break(text: str, index: int) -> bool:
    """May a line end before text[index]? Never inside a Latin word or a number, nor between a number and its unit."""
    before, after = text[index - 1], text[index]
    if before == " " or after == " ":
        return True
    if after in _NO_START or before in _NO_END or unicodedata.category(after) in ("Mn", "Mc", "Me", "Cf"):
        return False
    if is_han(before):
        if is_han(after):
            return not (before in _NUMERALS and after in _NUMERALS)
        return not (before == "第" and after.isdigit())
    if before in _BREAK_AFTER or after in _NO_END:
        return True
    return is_han(after) and not (before.isdigit() or before in "%％")


def _times(segment: Segment, text: str) -> list[tuple[int, int]]:
    """(start, end) in ms of each character of `text`; a space has its neighbour's.

    From the words where they spell the text; else (no words, or an edited text) the segment's time shared out by width.
    """
    spoken = [("".join(one_line(word.text).split()), word.start_ms, word.end_ms) for word in segment.words]
    letters = "".join(one_line(segment.text).split())
    if "".join(word for word, _, _ in spoken) != letters:
        spoken = [(letters, segment.start_ms, segment.end_ms)]
    flow: list[tuple[int, int]] = []
    earliest = segment.start_ms
    for word, start_ms, end_ms in spoken:
        start = min(max(start_ms, earliest), segment.end_ms)
        end = min(max(end_ms, start), segment.end_ms)
        total = width(word)
        edges = [start, *(start + round((end - start) * part / total) for part in accumulate(width(c) for c in word))]
        flow += zip(edges, edges[1:], strict=False)
        earliest = end
    waiting = iter(flow)
    times: list[tuple[int, int]] = []
    for character in text:
        times.append(times[-1] if character == " " else next(waiting))
    return times
