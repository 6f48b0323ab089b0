"""Confidence intervals of accuracies and of their paired differences, at 95 %."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgebert.verdict import Drop, Value

Z = 1.959963984540054  # the normal distribution's 97.5 % quantile
RESAMPLES = 10_000

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
    low, high = np.quantile(drawn, [0.025, 0.975])
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
