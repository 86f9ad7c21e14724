"""Is this Recognition believable? If not: heard again in other ways; the best is kept, and says what is wrong with it.

In:  an engine, clips, hints. Out: what the engine yields.
Faults: loop (text in circles) · leak (the hints came back as text) · truncated (the engine said so) · silence (text
        over sound that is none) · speed nobody speaks at. Low confidence alone is none: noise heard again stays noise.
Ladder: without terms → in two halves, cut at the quietest point → with repetition made costly → the best, `unsure`.
From: failure patterns of Qwen3-ASR and Whisper in public issue threads (MODEL.md); what is legitimate (好好好, 对对对,
      counting, rap) from real outputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from jiyao.errors import EngineError
from jiyao.recognition import Clip, Engine, Flag, Hints, Recognition
from jiyao.segmentation import inside, quietest_point
from jiyao.text import is_han, is_loop, join
from jiyao.timeline import SAMPLE_RATE, Samples, Span, to_ms

_LEAKED_TERMS, _LEAKED_SHARE = 2, 0.8  # so many different terms that make up so much of the text
# Han characters or Latin words (a word counts twice) a second; a tongue-twister has 12, and a clip may begin mid-word
_MAX_UNITS_PER_S, _SPEED_SLACK = 18.0, 4
_LEAKED_LETTERS = 8  # so much of the context, and nothing else
_SILENCE_RMS = 10 ** (-60 / 20)  # -60 dBFS: below any microphone's own noise
# a room is louder, up to -45 dBFS or so, but even: its frames differ by 2-3 dB, those of real speech by 4.7 and more
_QUIET_RMS, _EVEN = 10 ** (-45 / 20), 10 ** (3.5 / 20)
_FRAME = SAMPLE_RATE * 30 // 1000
_WORD = re.compile(r"[^\W_]+")
_MIN_HALF_S = 2.0  # shorter halves hold no sentence


def faults(heard: Recognition, clip: Clip, hints: Hints) -> tuple[Flag, ...]:
    """What makes this text unbelievable for this clip, in the order of the flags' own list; empty: nothing."""
    if not heard.text:
        # an engine that cuts loops off itself may be left with nothing
        return tuple(flag for flag in heard.flags if flag in ("loop", "truncated"))
    found: list[Flag] = []
    if "loop" in heard.flags or is_loop(heard.text):
        found.append("loop")
    if "leak" in heard.flags or _is_leak(heard.text, hints):
        found.append("leak")
    if "truncated" in heard.flags:
        found.append("truncated")
    if _is_silent(clip.samples):
        found.append("silence")
    if _units(heard.text) > _SPEED_SLACK + _MAX_UNITS_PER_S * len(clip.samples) / SAMPLE_RATE:
        found.append("unsure")
    return tuple(found)


def recognize(engine: Engine, clips: Sequence[Clip], hints: Hints) -> Iterator[tuple[int, Recognition]]:
    """`engine.recognize`, every result believable or flagged; each clip once, in the engine's order."""
    for index, heard in engine.recognize(clips, hints):
        if not faults(heard, clips[index], hints):
            yield index, heard
            continue
        try:
            best = _best(engine, clips[index], hints, heard)
        except (EngineError, KeyboardInterrupt):
            # the text that is there must not be lost to the attempt to better it
            yield index, _flagged(heard, faults(heard, clips[index], hints))
            raise
        yield index, best


def _best(engine: Engine, clip: Clip, hints: Hints, first: Recognition) -> Recognition:
    """The first believable one of the ladder; else, of all, the one with the fewest faults, then the surest."""
    candidates = [(first, faults(first, clip, hints))]
    for again in _ladder(engine, clip, hints):
        # heard without hints: what looks like them was said
        wrong = faults(again, clip, _without_terms(hints))
        if again.text and not wrong:
            return again
        candidates.append((again, wrong))
    # an empty text is no better than a doubtful one: a person can still hear what was meant
    worded = [candidate for candidate in candidates if candidate[0].text] or candidates[:1]
    return _flagged(*min(worded, key=lambda c: (len(c[1]), -(c[0].confidence or 0.0))))


def _without_terms(hints: Hints) -> Hints:
    return replace(hints, terms=(), context="")


def _ladder(engine: Engine, clip: Clip, hints: Hints) -> Iterator[Recognition]:
    bare = _without_terms(hints)
    if bare != hints:
        yield _once(engine, clip, bare)
    halved = _halved(engine, clip, bare)
    if halved is not None:
        yield halved
    yield _once(engine, clip, replace(bare, cautious=True))


def _flagged(heard: Recognition, wrong: tuple[Flag, ...]) -> Recognition:
    return replace(heard, flags=tuple(dict.fromkeys((*wrong, *heard.flags, "unsure"))))


def _once(engine: Engine, clip: Clip, hints: Hints) -> Recognition:
    return next(iter(engine.recognize([clip], hints)))[1]


def _halved(engine: Engine, clip: Clip, hints: Hints) -> Recognition | None:
    """Both halves, heard one by one and put together; None when the clip is too short to halve."""
    margin = round(_MIN_HALF_S * SAMPLE_RATE)
    if len(clip.samples) < 3 * margin:
        return None
    point = quietest_point(clip.samples, margin, len(clip.samples) - margin)
    left, right = Span(clip.span.start, clip.span.start + point), Span(clip.span.start + point, clip.span.end)
    halves = [
        Clip(clip.samples[:point], left, inside(clip.speech, left)),
        Clip(clip.samples[point:], right, inside(clip.speech, right)),
    ]
    heard = dict(engine.recognize(halves, hints))
    first, second = heard[0], heard[1]
    offset_ms = to_ms(point)
    moved = [replace(w, start_ms=w.start_ms + offset_ms, end_ms=w.end_ms + offset_ms) for w in second.words]
    # words of one half alone would drop the other's text
    words = (*first.words, *moved) if first.words and moved or not (first.text and second.text) else ()
    longer = max(first, second, key=lambda half: len(half.text))
    sure = [half.confidence for half in (first, second) if half.text and half.confidence is not None]
    return Recognition(
        text=join((first.text, second.text)),
        language=longer.language,
        words=words,
        confidence=min(sure) if sure else None,
        flags=tuple(dict.fromkeys((*first.flags, *second.flags))),
        timing="estimated" if "estimated" in (first.timing, second.timing) else "measured",
    )


def _is_leak(text: str, hints: Hints) -> bool:
    """Is the text little more than a list of the hints? One term alone may well be all that was said."""
    letters = "".join(_WORD.findall(text.lower()))
    if len(letters) >= _LEAKED_LETTERS and letters in "".join(_WORD.findall(hints.context.lower())):
        return True
    rest, found = letters, 0
    for term in sorted(("".join(_WORD.findall(term.lower())) for term in hints.terms), key=len, reverse=True):
        if term and term in rest:
            rest, found = rest.replace(term, ""), found + 1
    return found >= _LEAKED_TERMS and len(rest) <= (1 - _LEAKED_SHARE) * len(letters)


def _is_silent(samples: Samples) -> bool:
    """No sound, or nothing but the even noise of a quiet room."""
    loudness = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
    if loudness < _SILENCE_RMS or len(samples) < _FRAME:
        return loudness < _SILENCE_RMS
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    low, high = np.percentile(np.sqrt(np.mean(np.square(frames), axis=1)), (10, 95))
    return loudness < _QUIET_RMS and bool(high < _EVEN * low)


def _units(text: str) -> int:
    """How much was said: Han characters, and Latin words twice."""
    han = sum(map(is_han, text))
    latin = re.findall(r"[^\W_]+", "".join(" " if is_han(c) else c for c in text))
    return han + 2 * len(latin)
