"""Confidence intervals of accuracies and of their paired differences, at 95 %."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.verdict import Drop, Score, Value

Z = 1.959963984540054  # the normal distribution's 97.5 % quantile
RESAMPLES = 10_000
_DRAWN_AT_ONCE = 2_000_000  # of the bootstrap's counts, for the memory's sake

Interval = tuple[float, float]


def wilson(hits: int, rows: int) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22:209)."""
    if rows == 0:
        return (0.0, 1.0)
    share, square = hits / rows, Z * Z / rows
    centre = share + square / 2
    reach = Z * math.sqrt(share * (1 - share) / rows + square / (4 * rows))
    low, high = (centre - reach) / (1 + square), (centre + reach) / (1 + square)
    # The limits are exact at the ends; rounding would leave 1 - 1e-16.
    return (0.0 if hits == 0 else low, 1.0 if hits == rows else high)


def tango(only_first: int, only_second: int, rows: int) -> Interval:
    """Tango's score interval of the difference of two paired proportions (Tango 1998, Stat. Med. 17:891).

    `only_first` rows are right in the first model alone, `only_second` in the second alone; the difference is
    first minus second. Exact where no row differs, unlike Wald's interval, which would have no width there.
    """
    if rows == 0:
        return (-1.0, 1.0)
    estimate = (only_first - only_second) / rows

    def score(delta: float) -> float:
        a = 2 * rows
        b = -only_first - only_second + (2 * rows - only_first + only_second) * delta
        c = -only_second * delta * (1 - delta)
        second_alone = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = rows * (2 * second_alone + delta * (1 - delta))
        gap = only_first - only_second - rows * delta
        if variance <= 0:
            return math.copysign(math.inf, gap) if gap else 0.0
        return gap / math.sqrt(variance)

    return (_crossing(score, Z, -1.0, estimate), _crossing(score, -Z, estimate, 1.0))


def _crossing(score: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Where a falling function meets `level` between `low` and `high`, by bisection."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > level else (low, middle)
    return (low + high) / 2


def bootstrap(statistic: Callable[[NDArray[np.int64]], float], rows: int, resamples: int = RESAMPLES) -> Interval:
    """The percentile bootstrap of any statistic of row numbers (int64 [rows]), seed 0.

    Paired by construction: give a statistic that looks at both models' answers of the drawn rows.
    """
    random = np.random.default_rng(0)
    drawn = [statistic(random.integers(0, rows, rows)) for _ in range(resamples)]
    return _middle(np.asarray(drawn))


def draws(rows: int) -> Iterator[NDArray[np.float64]]:
    """How often each row is drawn in each of the bootstrap's resamples, float64 [some of them, rows], seed 0.

    Every call draws the same, so statistics of several models on these draws are paired.
    """
    random = np.random.default_rng(0)
    for first in range(0, RESAMPLES, most := max(1, _DRAWN_AT_ONCE // rows)):
        count = min(most, RESAMPLES - first)
        numbers = random.integers(0, rows, (count, rows)) + rows * np.arange(count)[:, None]
        yield np.bincount(numbers.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float64)


def resampled(table: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Sums of a table's columns [rows, columns] in each of the bootstrap's resamples [RESAMPLES, columns]."""
    return np.concatenate([drawn @ table for drawn in draws(len(table))])


def paired(
    metric: str, split: str, rows: int, found: Mapping[str, tuple[float, NDArray[np.floating[Any]]]]
) -> Score:
    """The score of several models: the value of each and its values in the bootstrap's resamples [RESAMPLES].

    The models are teacher, reference and shipped; the drop is from the first to the last, paired.
    """
    score = Score(metric=metric, split=split)
    for which, (value, sampled) in found.items():
        setattr(score, which, Value(value=value, rows=rows, ci95=_middle(sampled)))
    if "teacher" in found and "shipped" in found:
        (before, earlier), (after, later) = found["teacher"], found["shipped"]
        score.drop = Drop(points=100 * (before - after), ci95=_middle(100 * (earlier - later)))
    return score


def of_sums(
    metric: str,
    split: str,
    tables: Mapping[str, NDArray[np.floating[Any]]],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Score:
    """The score of models whose metric follows from sums over rows: F1 from counts, a mean from values.

    `tables` hold what is summed, [rows, columns] by model; `statistic` takes sums [some, columns] to [some].
    """
    drawn = dict(zip(tables, np.split(resampled(np.hstack(list(tables.values()))), len(tables), 1), strict=True))
    found = {
        which: (float(statistic(table.sum(0, dtype=np.float64)[None])[0]), statistic(drawn[which]))
        for which, table in tables.items()
    }
    return paired(metric, split, len(next(iter(tables.values()))), found)


def _middle(sampled: NDArray[np.floating[Any]]) -> Interval:
    low, high = np.quantile(sampled, [0.025, 0.975])
    return (float(low), float(high))


def proportion(hits: NDArray[np.bool_]) -> Value:
    """The share of true entries of hits [rows], with Wilson's interval."""
    count, rows = int(hits.sum()), len(hits)
    return Value(value=count / rows if rows else 0.0, rows=rows, ci95=wilson(count, rows))


def paired_drop(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Drop:
    """How many points the share of hits fell from before [rows] to after [rows], with Tango's interval."""
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    low, high = tango(lost, won, len(before))
    return Drop(points=100 * (lost - won) / len(before), ci95=(100 * low, 100 * high))
