"""Pairs of segments: next sentence prediction (BERT) and sentence order prediction (ALBERT), which differ.

NSP asks whether the second segment follows the first or comes from another document, which the topic gives away.
SOP asks in which order two segments stand that always follow each other.

How many sentences a segment has is drawn without a look at them. Filling a row until it is full and cutting off
what is too much, as both papers do, puts long sentences at one end, and lengths alone then tell the order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgebert.pretraining.corpus import Corpus

IN_ORDER, NOT_IN_ORDER = 0, 1  # the classes of both heads in transformers


class Pair(NamedTuple):
    """Two segments, int64 [pieces] each, and the class of the pair."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    label: int


def next_sentence(corpus: Corpus, row: int, random: np.random.Generator) -> Pair:
    """Two segments that follow each other or, half of the time, one and sentences of a random other document.

    Devlin et al. 2018, section 3.1, task 2. The corpus must have two documents.
    """
    cut = _cut(corpus, row, random)
    if random.random() < 0.5:
        return Pair(*_around(corpus, cut, cut, random), IN_ORDER)
    other = _elsewhere(corpus, corpus.document_of(cut), random)
    return Pair(*_around(corpus, cut, other, random), NOT_IN_ORDER)


def sentence_order(corpus: Corpus, row: int, random: np.random.Generator, swapped: bool | None = None) -> Pair:
    """Two segments that follow each other or, half of the time, the same two swapped; `swapped` asks for either.

    Lan et al. 2019, section 3.1.
    """
    cut = _cut(corpus, row, random)
    before, after = _around(corpus, cut, cut, random)
    chance = bool(random.random() < 0.5)
    if chance if swapped is None else swapped:
        return Pair(after, before, NOT_IN_ORDER)
    return Pair(before, after, IN_ORDER)


def _cut(corpus: Corpus, row: int, random: np.random.Generator) -> int:
    """The unit of a row before which to cut; it is never the first of its document."""
    return int(random.integers(*corpus.rows[row]))


def _elsewhere(corpus: Corpus, own: int, random: np.random.Generator) -> int:
    """A unit of another document, each document alike."""
    other = int(random.integers(0, len(corpus.documents) - 2))
    other += other >= own
    return int(random.integers(*corpus.documents[other : other + 2]))


def _around(
    corpus: Corpus, left: int, right: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(some units before `left`, some from `right` on), each of one document; no more than a segment."""
    back, forth = (int(count) for count in random.integers(1, corpus.reach + 1, size=2))
    low = int(corpus.documents[corpus.document_of(left)])
    high = int(corpus.documents[corpus.document_of(right) + 1])
    before = corpus.pieces(max(low, left - back), left)
    after = corpus.pieces(right, min(high, right + forth))
    return _fitted(before, after, corpus.room, random)


def _fitted(
    one: NDArray[np.int64], other: NDArray[np.int64], room: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both segments without what is too much: the longer is cut, then both alike, at front or back by chance."""
    excess = max(0, len(one) + len(other) - room)
    longer = min(excess, abs(len(one) - len(other)))
    odd = int(random.random() < 0.5)
    cuts = [(excess - longer + odd) // 2, (excess - longer + 1 - odd) // 2]
    cuts[len(other) > len(one)] += longer
    found = []
    for segment, cut in zip((one, other), cuts, strict=True):
        front = int(random.binomial(cut, 0.5))
        found.append(segment[front : len(segment) - (cut - front)])
    return found[0], found[1]
