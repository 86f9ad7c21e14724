"""Which stretches are the same voice, and how many voices there are.

In:  an embedding for every stretch that is long enough, and how like itself a voice is in this recording.
Out: a number for every stretch. Average linkage over cosine similarity; the cut is where the recording's own voices
     would come apart: recordings differ far more than voices do (a dry studio 0.85, a telephone 0.5), so that no
     fixed number fits both (LOG.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]  # float32 [n, 192], each of length 1
Labels = npt.NDArray[np.intp]  # [n], 0, 1, 2 …

MOST_VOICES = 20
MOST = 4_000  # stretches that are compared each with each: 64 MB, four hours; of more, the longest

_USUAL = 0.6  # how like itself a voice is where the recording tells nothing
_PERCENTILE = 35  # of the likenesses: below the middle, above the stretches that hold two voices after all
_USUAL_WEIGHT = 4  # measured pairs that count as much
_SHARE = 0.87  # two halves of one sentence are nearer than two sentences of one voice
_SMALL_S = 2.5  # a voice heard for less than this is rather one of the others on a bad day
_NEAR_SHARE = 0.6  # unless it is less like them than this share of the cut


def cut_at(likeness: Sequence[float]) -> float:
    """The similarity under which two groups are two voices. `likeness`: of two halves of a stretch, for several."""
    if not likeness:
        return _SHARE * _USUAL
    low = float(np.percentile(likeness, _PERCENTILE))
    return _SHARE * (low * len(likeness) + _USUAL * _USUAL_WEIGHT) / (len(likeness) + _USUAL_WEIGHT)


def voices_of(vectors: Vectors, seconds: npt.NDArray[np.float64], cut: float, count: int | None) -> Labels:
    """[n]. `seconds`: how long each stretch is; `count`: of voices, None: as many as there are."""
    order = merges(1 - vectors @ vectors.T)
    if count is not None:
        return _joined(len(vectors), order[: max(0, len(vectors) - count)])
    labels = _joined(len(vectors), [one for one in order if one[2] <= 1 - cut])
    while labels.max() > 0:
        centres = centres_of(vectors, seconds, labels)
        alike = centres @ centres.T - 2 * np.eye(len(centres))
        totals = np.bincount(labels, weights=seconds)
        near = (totals < _SMALL_S) & (alike.max(axis=1) > cut * _NEAR_SHARE)
        if not near.any():
            break
        small = min(np.flatnonzero(near), key=lambda label: totals[label])
        labels = _numbered(np.where(labels == small, alike[small].argmax(), labels))
    return labels if labels.max() < MOST_VOICES else voices_of(vectors, seconds, cut, MOST_VOICES)


def centres_of(vectors: Vectors, seconds: npt.NDArray[np.float64], labels: Labels) -> Vectors:
    """float32 [voices, 192]: the mean direction of each voice, longer stretches counting more."""
    sums = np.zeros((labels.max() + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors * seconds[:, None].astype(np.float32))
    centres: Vectors = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return centres


def merges(distances: npt.NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """(one, another, height), the lowest first: what average linkage joins; each named by a member. [n, n] is used up.

    Nearest-neighbour chains (Murtagh 1983): n² steps. Checked against scipy, which would be 110 MB for this alone.
    """
    n = len(distances)
    sizes = np.ones(n)
    np.fill_diagonal(distances, np.inf)
    found: list[tuple[int, int, float]] = []
    chain: list[int] = []
    left = set(range(n))
    while len(left) > 1:
        if not chain:
            chain = [min(left)]
        while True:
            row = distances[chain[-1]]
            nearest = int(row.argmin())
            if len(chain) > 1 and row[chain[-2]] <= row[nearest]:
                break
            chain.append(nearest)
        one, other = chain.pop(), chain.pop()
        found.append((one, other, float(distances[one, other])))
        mixed = (sizes[one] * distances[one] + sizes[other] * distances[other]) / (sizes[one] + sizes[other])
        mixed[one] = np.inf
        distances[one], distances[:, one] = mixed, mixed
        distances[other], distances[:, other] = np.inf, np.inf
        sizes[one] += sizes[other]
        left.discard(other)
    return sorted(found, key=lambda merge: merge[2])


def _joined(n: int, order: Sequence[tuple[int, int, float]]) -> Labels:
    group = list(range(n))

    def root(one: int) -> int:
        while group[one] != one:
            group[one] = one = group[group[one]]
        return one

    for one, other, _ in order:
        group[root(other)] = root(one)
    return _numbered(np.array([root(one) for one in range(n)]))


def _numbered(labels: npt.NDArray[np.intp]) -> Labels:
    """0, 1, 2 … in the order in which they first come."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    ranks: Labels = np.argsort(np.argsort(first))
    return ranks[inverse]
