"""Pairs of segments: next sentence prediction (BERT) and sentence order prediction (ALBERT), which differ.

NSP asks whether the second segment follows the first or comes from another document, which the topic gives away.
SOP asks in which order two segments stand that always follow each other.
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
    """Two segments that follow each other or, half of the time, one and a run of sentences of another document.

    Devlin et al. 2018, section 3.1, task 2. The corpus must have two documents.
    """
    first, end = (int(unit) for unit in corpus.rows[row])
    split = int(random.integers(first + 1, end))
    before = corpus.pieces(first, split)
    if random.random() < 0.5:
        return Pair(before, corpus.pieces(split, end), IN_ORDER)
    return Pair(
        before, _elsewhere(corpus, corpus.document_of(first), corpus.room - len(before), random), NOT_IN_ORDER
    )


def sentence_order(corpus: Corpus, row: int, random: np.random.Generator) -> Pair:
    """Two segments that follow each other or, half of the time, the same two swapped.

    Lan et al. 2019, section 3.1.
    """
    first, end = (int(unit) for unit in corpus.rows[row])
    split = int(random.integers(first + 1, end))
    before, after = corpus.pieces(first, split), corpus.pieces(split, end)
    if random.random() < 0.5:
        return Pair(before, after, IN_ORDER)
    return Pair(after, before, NOT_IN_ORDER)


def _elsewhere(corpus: Corpus, own: int, room: int, random: np.random.Generator) -> NDArray[np.int64]:
    """At most `room` pieces of another document, from the beginning of one of its units."""
    other = int(random.integers(0, len(corpus.documents) - 2))
    other += other >= own
    low, high = (int(unit) for unit in corpus.documents[other : other + 2])
    start = int(random.integers(low, high))
    end = (
        int(np.searchsorted(corpus.units[start : high + 1], corpus.units[start] + room, side="right")) - 1 + start
    )
    return corpus.pieces(start, max(end, start + 1))[:room]
