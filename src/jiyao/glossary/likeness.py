"""How alike two stretches sound: a weighted edit distance over phones (Wagner and Fischer 1974), 0…1.

What Chinese speakers and recognisers mix up costs little: aspiration (b/p, d/t, g/k), n/l, z/zh (one phone already),
-n/-ng, f/h, r/l, helping vowels between consonants. The weights are set by ear and by the starter's own mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

_CHEAP = {
    "bp": 0.25, "dt": 0.25, "gk": 0.25, "jq": 0.3, "zc": 0.3, "nl": 0.2, "nN": 0.1, "fh": 0.35, "rl": 0.3, "sx": 0.3,
    "zj": 0.3, "cq": 0.3, "zs": 0.4, "cs": 0.4, "jx": 0.5, "qx": 0.4, "mn": 0.4, "mN": 0.5, "gh": 0.5, "kh": 0.5,
    "gj": 0.5, "kq": 0.5, "wf": 0.5, "wu": 0.0, "yi": 0.0, "wb": 0.5, "yv": 0.2, "hx": 0.6, "zd": 0.6, "ct": 0.6,
    "yj": 0.6,    "ae": 0.35, "ei": 0.35, "ou": 0.25, "ao": 0.4, "eo": 0.4, "iv": 0.15, "uv": 0.4, "eu": 0.5,
}  # fmt: skip
_MIXED_UP = {pair: cost for both, cost in _CHEAP.items() for pair in (both, both[::-1])}
_VOWELS, _GLIDES = frozenset("aeiouv"), frozenset("yw")
_OTHER_VOWEL, _OTHER_KIND = 0.6, 1.2
_LEFT_OUT = {**dict.fromkeys("aeiouv", 0.45), "y": 0.2, "w": 0.3, "n": 0.4, "N": 0.4, "r": 0.5, "l": 0.6, "h": 0.7}


def weight(phones: str) -> float:
    """What it costs to leave all of it out."""
    return sum(_LEFT_OUT.get(phone, 1.0) for phone in phones)


@lru_cache(maxsize=1024)
def _swap(one: str, other: str) -> float:
    if one == other:
        return 0.0
    known = _MIXED_UP.get(one + other)
    if known is not None:
        return known
    vowels = (one in _VOWELS or one in _GLIDES) + (other in _VOWELS or other in _GLIDES)
    return {0: 1.0, 1: _OTHER_KIND, 2: _OTHER_VOWEL}[vowels]


def likenesses(term: str, stretch: Sequence[str]) -> Iterator[float]:
    """How like `term` the first, the first two, the first three, … of `stretch` sound together. Both are phones."""
    whole = weight(term)
    left_out = [_LEFT_OUT.get(phone, 1.0) for phone in term]
    row = [0.0]
    for cost in left_out:
        row.append(row[-1] + cost)
    heard = 0.0
    for unit in stretch:
        for phone in unit:
            extra = _LEFT_OUT.get(phone, 1.0)
            heard += extra
            before, row[0] = row[0], row[0] + extra
            for place, wanted in enumerate(term):
                best = before + _swap(wanted, phone)
                before = row[place + 1]
                best = min(best, before + extra, row[place] + left_out[place])
                row[place + 1] = best
        yield max(0.0, 1 - row[-1] / max(whole, heard))


_FOLDED = str.maketrans("ptkzcsjqxnlNmrfhoeuyvw", "bdgzzzzzznnnnnhhuauiiu")


def folded(phones: str) -> str:
    """What sounds roughly alike is equal: for an index."""
    return phones.translate(_FOLDED)
