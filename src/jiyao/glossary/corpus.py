"""What jieba's dictionary knows of words: parts of speech, and how often its corpus has them."""

from __future__ import annotations

import math

from jiyao.glossary import words

Tagged = list[tuple[str, str]]  # words of a line with their parts of speech (ICTCLAS: n, vn, nr, …)

_SIZE = 60_101_967  # words in the corpus that jieba's frequencies come from


def tagged(line: str, guess: bool = False) -> Tagged:
    """The most probable cut; `guess`: unknown words by their shape too, names above all."""
    import rjieba

    found: Tagged = rjieba.tag(line, guess)
    return found


def frequency(word: str) -> int:
    """How often the corpus of 60 million words has this one; 0 for a word that is not in the dictionary."""
    import rjieba

    return int(rjieba.suggest_freq(word)) if words.is_han_word(word) else 0


def surprise_bits(word: str) -> float:
    """How little one expects this word: 10 for 工作, 22 for 灰度."""
    return -math.log2(max(frequency(word), 1) / _SIZE)
