"""Ranks, reciprocal ranks and nearest passages against scikit-learn's and worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score

from edgebert import intervals
from edgebert.device import search
from edgebert.metrics import retrieval

Vectors = retrieval.Vectors


def unit(vectors: object) -> Vectors:
    found = np.asarray(vectors, np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def guesses(rows: int, passages: int, seed: int) -> tuple[Vectors, Vectors, retrieval.Numbers]:
    """Passages, queries that are near their own more often than not, and which that is."""
    random = np.random.default_rng(seed)
    known = unit(random.normal(size=(passages, 8)).round(1))
    right = random.integers(0, passages, rows)
    return unit(known[right] + random.normal(size=(rows, 8)) / 2), known, right


@pytest.mark.parametrize("seed", [0, 1])
def test_with_one_right_passage_the_mean_reciprocal_rank_is_scikit_learns_label_ranking(seed: int) -> None:
    queries, passages, right = guesses(60, 40, seed)
    passages[7] = passages[3]  # equal vectors: the right one comes last
    right[:5] = 3
    rank, nearest = retrieval.ranks(queries, passages, right)
    found = queries @ passages.T
    wanted = label_ranking_average_precision_score(np.eye(40)[right], found)
    assert (1.0 / rank).mean() == pytest.approx(wanted, abs=1e-9)
    assert (nearest == found.argmax(axis=1)).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, passages, right = guesses(50, 30, 2)
    whole = retrieval.ranks(queries, passages, right)
    monkeypatch.setattr(search, "_AT_ONCE", 7 * 30)
    assert [start for start, _ in search.products(queries, passages)] == list(range(0, 50, 7))
    for one, other in zip(whole, retrieval.ranks(queries, passages, right), strict=True):
        np.testing.assert_array_equal(one, other)


def test_vectors_that_are_all_alike_find_nothing() -> None:
    same = np.full((20, 4), 0.5, np.float32)
    rank, _ = retrieval.ranks(same, same, np.arange(20))
    assert (rank == 20).all() and retrieval.reciprocal(rank).sum() == 0


def test_ranks_below_the_tenth_count_nothing() -> None:
    assert retrieval.reciprocal(np.asarray([1, 2, 10, 11])).tolist() == [1.0, 0.5, 0.1, 0.0]


def test_passages_are_counted_once_in_the_order_of_the_rows() -> None:
    first, right = retrieval.distinct(["b", "a", "b", "c", "a"])
    assert (first.tolist(), right.tolist()) == ([0, 1, 3], [0, 1, 0, 2, 1])


def test_a_guess_is_worth_what_random_order_gives() -> None:
    assert retrieval.guessed(1) == 1.0
    assert retrieval.guessed(2) == pytest.approx((1 + 0.5) / 2)
    random = np.random.default_rng(0)
    drawn = retrieval.reciprocal(random.integers(1, 41, 200_000)).mean()
    assert retrieval.guessed(40) == pytest.approx(drawn, abs=2e-3)


def test_scores_of_a_worked_case() -> None:
    ranks = {
        "teacher": (np.asarray([1, 1, 2, 4]), np.asarray([0, 1, 0, 0])),
        "reference": (np.asarray([1, 1, 2, 4]), np.asarray([0, 1, 0, 0])),
        "shipped": (np.asarray([1, 2, 2, 20]), np.asarray([0, 3, 0, 0])),
    }
    mean, recall = retrieval.scores("mrr@10", "test", ranks)
    assert mean.teacher is not None and mean.teacher.value == (1 + 1 + 0.5 + 0.25) / 4
    assert mean.shipped is not None and mean.shipped.value == (1 + 0.5 + 0.5 + 0) / 4
    assert mean.drop is not None and mean.drop.points == pytest.approx(18.75)
    assert mean.drop.ci95[0] == 0, "no query is found better by the shipped model"
    assert mean.agreement is not None and mean.agreement.value == 0.75
    assert recall.shipped is not None and recall.shipped.value == 0.25
    assert recall.shipped.ci95 == intervals.wilson(1, 4)
    assert recall.drop is not None and recall.drop.points == 25
