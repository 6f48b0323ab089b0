"""How well numbers follow others: rank and linear correlation, and both in the bootstrap's resamples.

A row that is drawn several times counts as several rows of equal values, as if the resample were written out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgebert import intervals

Numbers = NDArray[np.float64]
Kind = Callable[[Numbers, Numbers, Numbers], Numbers]


def spearman(first: Numbers, second: Numbers, drawn: Numbers) -> Numbers:
    """Spearman's rank correlation [some] of numbers [rows] by how often rows were `drawn` [some, rows].

    Equal values share the average of their ranks; 0 where all are equal.
    """
    return _correlation(_ranks(first, drawn), _ranks(second, drawn), drawn)


def pearson(first: Numbers, second: Numbers, drawn: Numbers) -> Numbers:
    """Pearson's correlation [some] of numbers [rows] by how often rows were `drawn` [some, rows].

    0 where all are equal.
    """
    return _correlation((first - first.mean())[None], (second - second.mean())[None], drawn)


def of(kind: Kind, first: Numbers, second: Numbers) -> float:
    """The correlation of numbers [rows] as they are."""
    return float(kind(first, second, np.ones((1, len(first))))[0])


def resampled(kind: Kind, first: Numbers, second: Numbers) -> Numbers:
    """The correlation in each of the bootstrap's resamples."""
    return np.concatenate([kind(first, second, drawn) for drawn in intervals.draws(len(first))])


def _ranks(numbers: Numbers, drawn: Numbers) -> Numbers:
    """Rank of each row in each resample [some, rows], 1 for the lowest, average ranks of equal values."""
    different, group = np.unique(numbers, return_inverse=True)
    order = np.argsort(group, kind="stable")
    begins = np.searchsorted(group[order], np.arange(len(different)))
    sizes = np.add.reduceat(drawn[:, order], begins, axis=1)
    return (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, group]


def _correlation(first: Numbers, second: Numbers, drawn: Numbers) -> Numbers:
    """Pearson's correlation [some] of [some or 1, rows] by how often each row was drawn."""
    total = drawn.sum(axis=1, keepdims=True)
    first = first - (drawn * first).sum(axis=1, keepdims=True) / total
    second = second - (drawn * second).sum(axis=1, keepdims=True) / total
    weighted = drawn * first
    together = (weighted * second).sum(axis=1)
    spread = (weighted * first).sum(axis=1) * (drawn * second * second).sum(axis=1)
    flat = spread <= 0
    return np.asarray(np.where(flat, 0.0, together / np.sqrt(np.where(flat, 1.0, spread))))
