"""Rank and linear correlation against scipy's, ties included, as they are and drawn again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as some
from scipy import stats  # type: ignore[import-untyped]

from edgebert import intervals
from edgebert.metrics import correlation

PAIRS = some.lists(some.tuples(some.integers(-4, 4), some.integers(-4, 4)), min_size=3, max_size=30)


@settings(deadline=None)
@given(PAIRS, some.integers(0, 99))
def test_both_are_scipys_with_ties_too_and_of_rows_drawn_several_times(
    pairs: list[tuple[int, int]], seed: int
) -> None:
    first, second = np.asarray(pairs, np.float64).T
    assume(len(set(first)) > 1 and len(set(second)) > 1)
    numbers = np.random.default_rng(seed).integers(0, len(pairs), len(pairs))
    drawn = np.bincount(numbers, minlength=len(pairs))[None].astype(np.float64)
    for kind, theirs in ((correlation.spearman, stats.spearmanr), (correlation.pearson, stats.pearsonr)):
        assert correlation.of(kind, first, second) == pytest.approx(theirs(first, second)[0], abs=1e-9)
        if np.ptp(first[numbers]) and np.ptp(second[numbers]):
            wanted = theirs(first[numbers], second[numbers])[0]
            assert kind(first, second, drawn)[0] == pytest.approx(wanted, abs=1e-9)


def test_spearman_shares_the_ranks_of_equal_values() -> None:
    first, second = np.asarray([1.0, 2.0, 2.0, 3.0]), np.asarray([10.0, 20.0, 30.0, 30.0])
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3.5, 3.5: covariance 3.75, spreads 4.5 and 4.5
    assert correlation.of(correlation.spearman, first, second) == pytest.approx(3.75 / 4.5)


@pytest.mark.parametrize("kind", [correlation.spearman, correlation.pearson])
def test_numbers_that_are_all_equal_follow_nothing(kind: correlation.Kind) -> None:
    assert correlation.of(kind, np.arange(5.0), np.full(5, 0.1)) == 0
    assert correlation.of(kind, np.full(5, 1e9), np.arange(5.0)) == 0


def test_large_means_cost_no_digits() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 50))
    found = correlation.of(correlation.pearson, first + 1e7, second - 1e7)
    assert found == pytest.approx(stats.pearsonr(first, second)[0], abs=1e-6)


@pytest.mark.parametrize("kind", [correlation.spearman, correlation.pearson])
def test_resamples_give_the_interval_of_drawing_rows_again(kind: correlation.Kind) -> None:
    random = np.random.default_rng(1)
    first = random.normal(size=80)
    second = first + random.normal(size=80)
    found = correlation.resampled(kind, first, second)
    theirs = stats.spearmanr if kind is correlation.spearman else stats.pearsonr
    draws = [random.integers(0, 80, 80) for _ in range(1000)]
    wanted = np.quantile([theirs(first[one], second[one])[0] for one in draws], [0.025, 0.975])
    assert found.shape == (intervals.RESAMPLES,)
    assert np.quantile(found, [0.025, 0.975]) == pytest.approx(wanted, abs=0.03)
