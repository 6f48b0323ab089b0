"""How well queries find their passages by vectors: rank of the right passage, nearest passage.

A row is a query and the passage that answers it; all distinct passages of the rows are searched. Vectors have the
length 1, so that their product is the cosine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgebert import intervals
from edgebert.device import search
from edgebert.verdict import Score

DEPTH = 10  # below this rank a passage counts as not found

Vectors = NDArray[np.float32]
Numbers = NDArray[np.int64]


def distinct(passages: Sequence[str]) -> tuple[Numbers, Numbers]:
    """(rows [passages] in which each distinct passage comes first, number [rows] of each row's passage)."""
    first: dict[str, int] = {}
    for row, passage in enumerate(passages):
        first.setdefault(passage, row)
    number = {passage: i for i, passage in enumerate(first)}
    return np.asarray(list(first.values())), np.asarray([number[passage] for passage in passages])


def ranks(queries: Vectors, passages: Vectors, right: Numbers) -> tuple[Numbers, Numbers]:
    """(rank of each query's right passage, from 1, number of the nearest passage), both [queries].

    Of passages that are equally near, the right one comes last: vectors that are all alike find nothing.
    """
    rank, nearest = [], []
    for start, found in search.products(queries, passages):
        own = found[np.arange(len(found)), right[start : start + len(found)]]
        rank.append((found >= own[:, None]).sum(axis=1))
        nearest.append(found.argmax(axis=1))
    return np.concatenate(rank), np.concatenate(nearest)


def reciprocal(rank: Numbers) -> NDArray[np.float64]:
    """1 / rank [queries], 0 below DEPTH."""
    return np.asarray(np.where(rank <= DEPTH, 1.0 / rank, 0.0))


def guessed(passages: int) -> float:
    """The mean reciprocal rank of passages in random order."""
    return float(sum(1.0 / rank for rank in range(1, min(DEPTH, passages) + 1)) / passages)


def scores(metric: str, split: str, ranked: Mapping[str, tuple[Numbers, Numbers]]) -> list[Score]:
    """Mean reciprocal rank and recall at 1 of several models, from what `ranks` gives.

    Models agree where the nearest passage is the same.
    """
    tables = {which: reciprocal(rank)[:, None] for which, (rank, _) in ranked.items()}
    rows = len(next(iter(tables.values())))
    mean = intervals.of_sums(metric, split, tables, lambda sums: sums[:, 0] / rows)
    if {"reference", "shipped"} <= ranked.keys():
        mean.agreement = intervals.proportion(ranked["reference"][1] == ranked["shipped"][1])
    recall = Score(metric="recall@1", split=split)
    for which, (rank, _) in ranked.items():
        setattr(recall, which, intervals.proportion(rank == 1))
    if {"teacher", "shipped"} <= ranked.keys():
        recall.drop = intervals.paired_drop(ranked["teacher"][0] == 1, ranked["shipped"][0] == 1)
    return [mean, recall]
