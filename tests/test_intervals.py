from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize, special, stats  # type: ignore[import-untyped]

from edgebert import intervals

COUNTS = [(0, 1), (1, 1), (0, 20), (20, 20), (1, 20), (37, 120), (119, 120), (2400, 5000)]
PAIRED = [(12, 2, 50), (2, 12, 50), (0, 0, 30), (1, 0, 100), (0, 1, 100), (9, 9, 40), (30, 5, 36), (3, 8, 1000)]


@pytest.mark.parametrize(("hits", "rows"), COUNTS)
def test_wilson_is_scipys(hits: int, rows: int) -> None:
    wanted = stats.binomtest(hits, rows).proportion_ci(method="wilson")
    assert intervals.wilson(hits, rows) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_wilson_ends_exactly_at_the_ends() -> None:
    assert intervals.wilson(0, 77)[0] == 0.0
    assert intervals.wilson(77, 77)[1] == 1.0
    assert intervals.wilson(0, 0) == (0.0, 1.0)


def test_tango_gives_the_known_limits_of_fifty_pairs() -> None:
    assert intervals.tango(12, 2, 50) == pytest.approx((0.0611, 0.3447), abs=5e-5)


def likelihood_score(first: int, second: int, rows: int, delta: float) -> float:
    """The score of `delta`, its nuisance parameter found by maximizing the multinomial likelihood."""

    def unlikelihood(p: float) -> float:
        same = special.xlogy(rows - first - second, 1 - 2 * p - delta)
        return -float(special.xlogy(first, p + delta) + special.xlogy(second, p) + same)

    bounds = (max(0.0, -delta), (1 - delta) / 2)
    p = optimize.minimize_scalar(unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return float((first - second - rows * delta) / math.sqrt(rows * (2 * p + delta * (1 - delta))))


@pytest.mark.parametrize(("first", "second", "rows"), PAIRED)
def test_tangos_limits_are_where_the_likelihood_score_is_critical(first: int, second: int, rows: int) -> None:
    low, high = intervals.tango(first, second, rows)
    assert likelihood_score(first, second, rows, low) == pytest.approx(intervals.Z, abs=1e-3)
    assert likelihood_score(first, second, rows, high) == pytest.approx(-intervals.Z, abs=1e-3)


@pytest.mark.parametrize(("first", "second", "rows"), [*PAIRED, (50, 0, 50), (0, 50, 50), (1, 0, 1)])
def test_tango_holds_the_estimate_and_mirrors(first: int, second: int, rows: int) -> None:
    low, high = intervals.tango(first, second, rows)
    assert -1 <= low <= (first - second) / rows <= high <= 1
    assert low < high
    assert intervals.tango(second, first, rows) == pytest.approx((-high, -low), abs=1e-9)


def test_tango_has_a_width_where_no_row_differs() -> None:
    reach = intervals.Z**2 / (30 + intervals.Z**2)  # the closed form of that case
    assert intervals.tango(0, 0, 30) == pytest.approx((-reach, reach), abs=1e-9)
    assert intervals.tango(0, 0, 0) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("rows", "first_alone", "second_alone"), [(40, 0.15, 0.05), (60, 0.1, 0.1), (80, 0.06, 0.03), (60, 0.3, 0.1)]
)
def test_tango_covers_the_truth_about_95_times_of_100(rows: int, first_alone: float, second_alone: float) -> None:
    truth, covered = first_alone - second_alone, 0.0
    shares = [first_alone, second_alone, 1 - first_alone - second_alone]
    for first in range(rows + 1):
        for second in range(rows + 1 - first):
            chance = stats.multinomial.pmf([first, second, rows - first - second], rows, shares)
            if chance > 1e-7:
                low, high = intervals.tango(first, second, rows)
                covered += chance * (low <= truth <= high)
    assert 0.935 <= covered <= 0.975


@pytest.fixture
def sample() -> NDArray[np.float64]:
    return np.random.default_rng(5).exponential(size=200)


def test_the_bootstrap_is_scipys_percentile_bootstrap(sample: NDArray[np.float64]) -> None:
    wanted = stats.bootstrap((sample,), np.mean, method="percentile", n_resamples=10_000, rng=1)
    found = intervals.bootstrap(lambda pick: float(sample[pick].mean()), len(sample))
    width = wanted.confidence_interval.high - wanted.confidence_interval.low
    assert found == pytest.approx(tuple(wanted.confidence_interval), abs=0.05 * width)


def test_the_bootstrap_gives_the_same_twice(sample: NDArray[np.float64]) -> None:
    def once() -> tuple[float, float]:
        return intervals.bootstrap(lambda pick: float(np.median(sample[pick])), len(sample), 500)

    first = once()
    np.random.random(100)
    assert once() == first


def test_the_bootstrap_draws_rows_with_replacement() -> None:
    drawn: list[NDArray[np.int64]] = []

    def keep(pick: NDArray[np.int64]) -> float:
        drawn.append(pick)
        return 0.0

    assert intervals.bootstrap(keep, 30, 200) == (0.0, 0.0)
    assert len(drawn) == 200 and all(len(pick) == 30 for pick in drawn)
    assert set(np.concatenate(drawn).tolist()) == set(range(30))
    assert all(len(np.unique(pick)) < 30 for pick in drawn)


def test_a_proportion_carries_its_rows_and_interval() -> None:
    value = intervals.proportion(np.array([True] * 9 + [False]))
    assert (value.value, value.rows, value.ci95) == (0.9, 10, intervals.wilson(9, 10))


def test_a_drop_is_in_points_and_positive_where_rows_were_lost() -> None:
    before = np.array([True] * 40 + [False] * 10)
    after = np.array([False] * 12 + [True] * 28 + [True] * 2 + [False] * 8)
    drop = intervals.paired_drop(before, after)
    assert drop.points == pytest.approx(20.0)
    assert drop.ci95 == pytest.approx((6.11, 34.47), abs=5e-3)
    assert intervals.paired_drop(after, before).points == pytest.approx(-20.0)
    assert intervals.paired_drop(before, before).points == 0.0
