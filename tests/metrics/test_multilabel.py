"""Several labels of a text: micro- and macro-F1 against scikit-learn's, thresholds, agreement, intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as some
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from edgebert.data import Row
from edgebert.device import decoding
from edgebert.metrics import multilabel
from edgebert.verdict import Score, Value

LABELS = ["a", "b", "c", "d"]
Shares = NDArray[np.float64]


def guesses(rows: int, seed: int, held: list[float]) -> tuple[list[Row], Shares]:
    """Rows whose labels hold with the given shares, and probabilities that are right more often than not."""
    random = np.random.default_rng(seed)
    holds = random.random((rows, len(held))) < held
    shares = np.clip(random.normal(0.35 + 0.3 * holds, 0.2), 0.01, 0.99).round(2)
    labels = [[LABELS[i] for i in np.flatnonzero(one)] for one in holds]
    return [{"text": f"row {i}", "label": one} for i, one in enumerate(labels)], shares


def answers(shares: Shares, thresholds: list[float] | None = None) -> list[dict[str, Any]]:
    """The decoder's answers to probabilities [rows, labels]."""
    how = {"multi_label": True, "thresholds": thresholds}
    names, found = LABELS[: shares.shape[1]], []
    for logits in np.log(shares / (1 - shares)):
        found.append(decoding.answer("text-classification", [{"outputs": {"logits": logits}}], {}, names, how))
    return found


def truth_of(rows: list[Row], count: int) -> NDArray[np.bool_]:
    return np.asarray([[name in row["label"] for name in LABELS[:count]] for row in rows])


def scored(rows: list[Row], **given: Shares) -> dict[str, Score]:
    answered = {which: answers(shares) for which, shares in given.items()}
    return {score.metric: score for score in multilabel.scores(rows, "test", answered)}


def micro_f1(truth: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> float:
    """2 TP / (2 TP + FP + FN) over all rows and labels."""
    return float(2 * (truth & chosen).sum() / (truth.sum() + chosen.sum()))


def value(score: Score, which: str = "shipped") -> float:
    found: Value = getattr(score, which)
    low, high = found.ci95
    assert 0 <= low <= found.value <= high <= 1
    return found.value


@pytest.mark.parametrize("held", [[0.5, 0.5], [0.3, 0.05, 0.6, 0.2], [0.4, 0.1, 0.3]])
def test_scores_are_scikit_learns(held: list[float]) -> None:
    rows, shares = guesses(150, 3, held)
    truth, chosen = truth_of(rows, len(held)), shares >= 0.5
    found = scored(rows, shipped=shares)
    assert next(iter(found)) == multilabel.METRIC
    assert value(found["micro_f1"]) == pytest.approx(f1_score(truth, chosen, average="micro"), abs=1e-12)
    assert value(found["macro_f1"]) == pytest.approx(f1_score(truth, chosen, average="macro"), abs=1e-12)
    each = f1_score(truth, chosen, average=None)
    assert value(found["worst_label_f1"]) == pytest.approx(min(each), abs=1e-12)
    assert multilabel.quality(rows, answers(shares)) == value(found["micro_f1"])


def test_a_label_that_neither_holds_nor_is_answered_is_no_part_of_macro_f1_nor_the_worst() -> None:
    rows, shares = guesses(80, 4, [0.5, 0.3])
    beside = np.column_stack([shares, np.full(80, 0.01)])
    wanted = f1_score(truth_of(rows, 2), shares >= 0.5, average="macro")
    found = scored(rows, shipped=beside)
    assert value(found["macro_f1"]) == pytest.approx(wanted, abs=1e-12)
    assert value(found["worst_label_f1"]) > 0


def test_the_intervals_are_those_of_drawing_rows_again() -> None:
    rows, shares = guesses(60, 5, [0.5, 0.3])
    truth, chosen = truth_of(rows, 2), shares >= 0.5
    random = np.random.default_rng(7)
    drawn = [random.integers(0, 60, 60) for _ in range(5000)]
    wanted = np.quantile([micro_f1(truth[one], chosen[one]) for one in drawn], [0.025, 0.975])
    shipped = scored(rows, shipped=shares)["micro_f1"].shipped
    assert shipped is not None
    assert shipped.ci95 == pytest.approx(wanted, abs=0.01)


def test_the_drop_is_paired_and_agreement_is_of_whole_sets() -> None:
    rows, shares = guesses(100, 6, [0.5, 0.3])
    flipped = shares.copy()
    flipped[:10, 0] = 1 - flipped[:10, 0]
    same = scored(rows, teacher=shares, reference=shares, shipped=shares)["micro_f1"]
    assert same.drop is not None and (same.drop.points, same.drop.ci95) == (0.0, (0.0, 0.0))
    found = scored(rows, teacher=shares, reference=shares, shipped=flipped)["micro_f1"]
    assert found.agreement is not None and found.agreement.value == pytest.approx(0.9)
    assert found.drop is not None
    assert found.drop.points == pytest.approx(100 * (value(found, "teacher") - value(found)))
    low, high = found.drop.ci95
    assert low < found.drop.points < high < 20, "rows that both models answer alike cancel out"


@settings(deadline=None, max_examples=15)
@given(some.integers(0, 1000), some.sampled_from([[0.5, 0.5], [0.2, 0.6, 0.05, 0.3]]))
def test_tuned_thresholds_are_at_least_as_good_as_any_common_one(seed: int, held: list[float]) -> None:
    rows, shares = guesses(70, seed, held)
    truth = truth_of(rows, len(held))
    if not truth.any():
        return
    found = multilabel.tune(rows, answers(shares))
    tuned = multilabel.quality(rows, answers(shares, found))
    for common in np.arange(0.005, 1, 0.01):
        assert tuned >= micro_f1(truth, shares >= common) - 1e-12


def test_a_label_of_few_rows_has_the_threshold_of_all() -> None:
    rows, shares = guesses(300, 8, [0.4, 0.01, 0.01, 0.4])
    found = multilabel.tune(rows, answers(shares))
    assert truth_of(rows, 4).sum(0)[1] < multilabel.FEWEST
    assert found[1] == found[2]
    assert len({found[0], found[1], found[3]}) == 3


def test_chance_is_the_best_answer_that_is_always_the_same() -> None:
    rows: list[Row] = [{"text": "x", "label": label} for label in (["a", "b"], ["a"], [], ["a", "c"])]
    truth = truth_of(rows, 3)
    constant = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    best = max(f1_score(truth, np.asarray([one] * 4), average="micro") for one in constant)
    assert multilabel.chance(rows) == pytest.approx(best)
    assert multilabel.chance([{"text": "x", "label": []}]) == 0


def test_targets_have_a_number_for_each_label_and_none_holds_out_of_scope() -> None:
    feeds = {"input_ids": np.zeros((1, 3), np.int64)}
    rows: list[Row] = [{"label": ["c", "a"]}, {"label": []}, {"text": "x"}]
    targets = [multilabel.example(feeds, row, LABELS[:3])["target"] for row in rows]
    assert targets == [[1.0, 0.0, 1.0], [0.0] * 3, [0.0] * 3]


def test_the_loss_is_the_mean_cross_entropy_of_rows_and_labels() -> None:
    import torch

    logits = torch.tensor([[2.0, -1.0], [0.5, 0.0]])
    target = multilabel.collate([[1.0, 0.0], [0.0, 1.0]])
    shares = torch.sigmoid(logits)
    wanted = -(torch.log(shares) * target + torch.log(1 - shares) * (1 - target)).mean()
    assert float(multilabel.loss({"logits": logits}, target)) == pytest.approx(float(wanted), abs=1e-6)
