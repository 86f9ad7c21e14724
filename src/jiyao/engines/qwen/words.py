"""Decoded tokens to words, with confidence, and with times where the model has none: shared out over the speech.

In:  the text of each token, its probability, the clip with its VAD spans.
Out: Words that join to the tidied text; times in ms from the clip's start, none in a pause.
From: Qwen3-ASR gives no times (MODEL.md). Within a few seconds people keep a steady pace, and they breathe where commas
     stand: so the words are dealt out to the VAD spans by length and punctuation, and within a span by syllables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from unicodedata import category, east_asian_width

from jiyao.recognition import Clip, Word
from jiyao.text import ends_sentence, is_han, lay_out, tidy

_SMALL_KANA = frozenset("ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶー")
_WIDE_MARKS = frozenset("“”‘’…—·・")
_OPENING = frozenset("（【《〈「『“‘〔［｛([{<￥$€£#@¥")
_COMMAS = ("，", ",", "、", "：", ":", "；", ";")

# How long a character lasts, in syllables: a Han character is one; English has three letters to a syllable
_LETTER, _CAPITAL, _SHORTEST = 0.35, 0.8, 0.5
_SPELLED = 5  # up to so many capitals are read one by one: API
_READ_MARKS = {"%": 3.0, "％": 3.0}  # 百分之, per cent

_SLIVER_MS = 40  # a shorter stretch of speech is the edge of one that was cut: no word stands in it
_SENTENCE_GAIN_MS, _COMMA_GAIN_MS = 1_000.0, 700.0  # what it is worth, in the cost below, that a pause falls there
_REACH_MS, _BARE_REACH_MS = 4_000, 1_200  # further off it is not sought, at a mark and between two bare words

_Place = tuple[int, int]


def words_of(pieces: Sequence[str], probabilities: Sequence[float] | None, clip: Clip) -> tuple[Word, ...]:
    """Words of one clip; `join` of their texts is `tidy` of the pieces' text.

    `pieces`: the text of each token, "" where a token only begins a character that the next one completes.
    `probabilities`: of each token, 0…1. A word's confidence is the geometric mean over the tokens that hold its
    letters (its likelihood whatever the number of its tokens, made as the clip's own confidence is): one doubtful token
    shows. All characters of one token share its probability. Punctuation does not count: a comma may well be doubtful.

    Times are estimates. They run forward, none is empty, the last word ends with the last stretch of speech; only more
    words than milliseconds (no speech is like that) make empty ones.
    """
    text = tidy("".join(pieces))
    places = _joining(text, _split(text))
    confidences = _confidences(pieces, probabilities, text, places)
    texts = [text[start:end] for start, end in places]
    times = _shared_out(texts, _speech_ms(clip))
    return tuple(
        Word(word, start_ms, end_ms, confidence)
        for word, (start_ms, end_ms), confidence in zip(texts, times, confidences, strict=True)
    )


# text to words


def _split(text: str) -> list[_Place]:
    """Where each word of a tidied text stands: letters that belong together, closing marks after, opening marks before.

    A Han character, a hiragana with its small kana, a katakana word, else what stands between spaces.
    """
    cores = _cores(text)
    if not cores:
        return [(0, len(text))] if text else []
    edges = [0]
    quotes = text.count('"', 0, cores[0][1])
    for (_, end), (start, next_end) in pairwise(cores):
        opening = start
        while opening > end and (text[opening - 1] in _OPENING or (text[opening - 1] == '"' and quotes % 2 == 0)):
            opening -= 1
        quotes += text.count('"', end, next_end)
        edges.append(opening)
    places = []
    for start, end in pairwise((*edges, len(text))):
        raw = text[start:end]
        start += len(raw) - len(raw.lstrip())
        places.append((start, start + len(raw.strip())))
    return places


def _cores(text: str) -> list[_Place]:
    """The stretches of letters and digits that become words, marks inside a Latin word with them."""
    cores: list[tuple[int, int, str]] = []
    for index in range(len(text)):
        kind = _kind(text, index)
        if kind == "gap":
            continue
        before = cores[-1][2] if cores and cores[-1][1] == index else ""
        if (kind == before and kind in ("run", "katakana")) or (kind == "small" and before in ("han", "katakana")):
            cores[-1] = (cores[-1][0], index + 1, before)
        else:
            cores.append((index, index + 1, "han" if kind == "small" else kind))
    return [(start, end) for start, end, _ in cores if any(c.isalnum() for c in text[start:end])]


def _kind(text: str, index: int) -> str:
    c = text[index]
    if c == "’" and text[index - 1 : index].isalpha() and text[index + 1 : index + 2].isalpha():
        return "gap" if is_han(text[index - 1]) or is_han(text[index + 1]) else "run"  # don’t
    if c.isspace() or c in _WIDE_MARKS:
        return "gap"
    if is_han(c):
        if c in _SMALL_KANA or category(c) == "Mn":
            return "small"
        return "katakana" if "\u30a1" <= c <= "\u30ff" else "han"
    return "gap" if east_asian_width(c) in "WF" and not c.isalnum() else "run"


def _joining(text: str, places: list[_Place]) -> list[_Place]:
    """`places` so that `join` of the words gives `text`: where it would set a space (`25°C`), they are one word."""
    while len(places) > 1:
        joined, landed = lay_out(text[start:end] for start, end in places)
        if joined == text:
            break
        wrong = next((i for i, place in enumerate(places) if i and landed[i] != place), len(places) - 1)
        places = [*places[: wrong - 1], (places[wrong - 1][0], places[wrong][1]), *places[wrong + 1 :]]
    return places


def _confidences(
    pieces: Sequence[str], probabilities: Sequence[float] | None, text: str, places: Sequence[_Place]
) -> list[float | None]:
    if probabilities is None:
        return [None] * len(places)
    # tidying moves spaces and widens marks: the n-th visible character stays the n-th
    tokens: list[list[int]] = []
    waiting: list[int] = []
    for token, piece in enumerate(pieces):
        waiting.append(token)  # a token without text holds the first bytes of the next one's character
        visible = len("".join(piece.split()))
        if visible:
            tokens += [waiting] * visible
            waiting = []
    logs = [math.log(min(1.0, max(probability, 1e-9))) for probability in probabilities]
    behind: list[list[int]] = []
    spent = 0
    for character in text:
        behind.append([] if character == " " else tokens[spent])
        spent += character != " "
    confidences: list[float | None] = []
    for start, end in places:
        letters = [i for i in range(start, end) if text[i].isalnum()] or range(start, end)
        used = sorted({token for i in letters for token in behind[i]})
        confidences.append(round(math.exp(sum(logs[token] for token in used) / len(used)), 3))
    return confidences


# words to times


def _speech_ms(clip: Clip) -> list[_Place]:
    """The clip's stretches of speech that are long enough for a word; the whole clip where there is none."""
    return [(start, end) for start, end in clip.speech_ms() if end - start >= _SLIVER_MS] or [(0, clip.duration_ms)]


def _shared_out(texts: Sequence[str], spans: Sequence[_Place]) -> list[_Place]:
    """(start, end) in ms of each word: which words stand in which span, then by syllables within it."""
    han = any(is_han(c) for word in texts for c in word)
    weights = [_syllables(word, han) for word in texts]
    cuts = _cuts(texts, weights, spans)
    if any(last - first > end - start for (first, last), (start, end) in zip(pairwise(cuts), spans, strict=True)):
        cuts, spans = [0, len(texts)], [(spans[0][0], spans[-1][1])]  # more words than ms: nothing is right here
    times: list[_Place] = []
    for (first, last), (start, end) in zip(pairwise(cuts), spans, strict=True):
        times += _within(weights[first:last], start, end)
    return times


def _within(weights: Sequence[float], start: int, end: int) -> list[_Place]:
    total = sum(weights)
    edges = [start, *(start + round((end - start) * part / total) for part in accumulate(weights))]
    count = len(weights)
    if count <= end - start:  # room for 1 ms each
        for index in range(1, count + 1):
            edges[index] = max(edges[index], edges[index - 1] + 1)
        for index in range(count, 0, -1):
            edges[index] = min(edges[index], end - (count - index))
    return list(pairwise(edges))


def _cuts(texts: Sequence[str], weights: Sequence[float], spans: Sequence[_Place]) -> list[int]:
    """How the words are dealt out: words[cuts[i]:cuts[i + 1]] stand in spans[i]; the last span is never empty.

    Of all ways the one where every span's pace is nearest to the clip's and the pauses fall at punctuation, by dynamic
    programming over the pauses.
    """
    speech_ms = sum(end - start for start, end in spans)
    reached = [0.0, *accumulate(weights)]
    at_ms = [speech_ms * part / reached[-1] for part in reached] if weights else [0.0]
    gains = [0.0, *(_gain(word) for word in texts)]
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [0])}  # words dealt out so far → cost, cuts
    pause_ms = 0
    for place, (start, end) in enumerate(spans):
        length = end - start
        pause_ms += length
        last = place == len(spans) - 1
        near = [len(texts)] if last else _near(at_ms, gains, pause_ms)
        step: dict[int, tuple[float, list[int]]] = {}
        for after in near:
            choices = [
                (cost + (at_ms[after] - at_ms[before] - length) ** 2 / (length + 1_000), before)
                for before, (cost, _) in best.items()
                if before <= after and not (last and before == after and texts)
            ]
            if choices:
                cost, before = min(choices)
                step[after] = (cost - gains[after] * (not last), [*best[before][1], after])
        # nothing in reach lies after what is dealt out already: this stretch gets no word
        best = step or {before: (cost, [*cuts, before]) for before, (cost, cuts) in best.items()}
    return min(best.values())[1]


def _near(at_ms: Sequence[float], gains: Sequence[float], pause_ms: float) -> list[int]:
    """Numbers of words after which the pause may fall: all within reach, or else the nearest; never the last word."""
    numbers = range(max(1, len(at_ms) - 1))
    reach = {True: _REACH_MS, False: _BARE_REACH_MS}
    near = [number for number in numbers if abs(at_ms[number] - pause_ms) <= reach[gains[number] > 0]]
    return near or [min(numbers, key=lambda number: abs(at_ms[number] - pause_ms))]


def _gain(word: str) -> float:
    if ends_sentence(word):
        return _SENTENCE_GAIN_MS
    return _COMMA_GAIN_MS if word.endswith(_COMMAS) else 0.0


def _syllables(word: str, han: bool) -> float:
    """About how long a word takes to say, in Mandarin syllables; `han`: in a Chinese sentence."""
    capitals = sum(c.isupper() for c in word)
    spelled = capitals <= _SPELLED and not any(c.islower() for c in word)
    total = 0.0
    for index, c in enumerate(word):
        if c == "." and word[index - 1 : index].isdigit() and word[index + 1 : index + 2].isdigit():
            total += 1.0  # 点, point
        elif not c.isalnum():
            total += _READ_MARKS.get(c, 0.0) if han else 0.0
        elif c in _SMALL_KANA:
            total += 0.5
        elif is_han(c) or c.isdigit() or "\uac00" <= c <= "\ud7a3":
            total += 1.0
        else:
            total += _CAPITAL if spelled and c.isupper() else _LETTER
    return max(total, _SHORTEST)
