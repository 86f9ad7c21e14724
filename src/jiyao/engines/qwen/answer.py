"""What both Qwen engines make of the tokens that the model wrote: a Recognition."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jiyao.engines.qwen.prompt import QwenTokenizer, parse
from jiyao.engines.qwen.words import words_of
from jiyao.recognition import Clip, Flag, Hints, Recognition
from jiyao.text import join, tidy

PENALTY = 1.1
"""Hints.cautious: what was written before is worth so much less; 1.05 to 1.15 is what users of Qwen3-ASR report as
helpful (MODEL.md)."""


@dataclass(frozen=True)
class Decoded:
    """`ids` without the end mark and, for each, log p of the token; `truncated`: no end mark within the budget."""

    ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    truncated: bool


def recognition(answer: Decoded, tokenizer: QwenTokenizer, clip: Clip, hints: Hints) -> Recognition:
    """Text, language, words with estimated times, and confidences (exp of the mean log p of what is text)."""
    flags: tuple[Flag, ...] = ("truncated",) if answer.truncated else ()
    language, text = parse(tokenizer.decode(answer.ids), hints.language)
    if not text:
        return Recognition("", None, flags=flags, timing="estimated")
    places = tokenizer.text_places(answer.ids)
    log_ps = [answer.log_probabilities[place] for place in places]
    pieces = tokenizer.pieces([answer.ids[place] for place in places])
    words = words_of(pieces, [math.exp(log_p) for log_p in log_ps], clip)
    confidence = round(math.exp(min(0.0, sum(log_ps) / len(log_ps))), 3) if log_ps else None
    text = join(word.text for word in words) if words else tidy(text)
    return Recognition(text, language, words, confidence, flags, timing="estimated")
