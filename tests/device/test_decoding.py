"""From outputs to answers: probabilities, the out-of-scope threshold, margins."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import scipy.special  # type: ignore[import-untyped]
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from edgebert.device import decoding

LABELS = ["rain", "snow", "sun"]
LOGITS = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(2, 6)), elements=st.floats(-100, 100, width=32)
)


def answer(logits: list[float], threshold: float | None = None) -> dict[str, Any]:
    windows = [{"outputs": {"logits": np.asarray(logits, np.float32)}, "align": {}}]
    return decoding.answer("text-classification", windows, {}, LABELS, {"threshold": threshold})


@given(LOGITS)
def test_softmax_is_scipys(logits: NDArray[np.float32]) -> None:
    expected = scipy.special.softmax(logits.astype(np.float64), axis=-1)
    np.testing.assert_allclose(decoding.softmax(logits), expected, rtol=1e-12, atol=1e-15)


@given(LOGITS)
def test_probabilities_sum_to_one_and_rank_as_the_logits_do(logits: NDArray[np.float32]) -> None:
    found = decoding.softmax(logits)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-12)
    best = np.take_along_axis(found, logits.argmax(axis=-1)[:, None], axis=-1)[:, 0]
    assert (best == found.max(axis=-1)).all()


@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_large_logits_do_not_overflow(scale: float) -> None:
    np.testing.assert_array_equal(decoding.softmax(np.asarray([scale, -scale, 0], np.float32)), [1, 0, 0])


def test_an_answer_names_the_winner_and_the_probability_of_every_label() -> None:
    found = answer([1.0, 3.0, 2.0])
    assert found["label"] == "snow"
    expected = scipy.special.softmax([1.0, 3.0, 2.0])
    assert list(found["scores"]) == LABELS
    assert list(found["scores"].values()) == pytest.approx(expected.tolist())
    assert found["score"] == max(found["scores"].values())
    assert json.loads(json.dumps(found)) == found


def several(logits: list[float], thresholds: list[float] | None = None) -> dict[str, Any]:
    windows = [{"outputs": {"logits": np.asarray(logits, np.float32)}, "align": {}}]
    settings = {"multi_label": True, "thresholds": thresholds}
    return decoding.answer("text-classification", windows, {}, LABELS, settings)


@given(LOGITS)
def test_sigmoid_is_scipys(logits: NDArray[np.float32]) -> None:
    expected = scipy.special.expit(logits.astype(np.float64))
    np.testing.assert_allclose(decoding.sigmoid(logits), expected, rtol=1e-9, atol=1e-15)


def test_every_label_above_its_threshold_holds_the_surest_first() -> None:
    found = several([1.0, -3.0, 2.0])
    assert [one["label"] for one in found["labels"]] == ["sun", "rain"]
    assert list(found["scores"].values()) == pytest.approx(scipy.special.expit([1.0, -3.0, 2.0]).tolist())
    assert found["labels"][0]["score"] == found["scores"]["sun"]
    assert [one["label"] for one in several([1.0, -3.0, 2.0], [0.8, 0.04, 0.9])["labels"]] == ["snow"]
    assert several([-1.0, -3.0, -2.0])["labels"] == []
    assert json.loads(json.dumps(found)) == found


def test_each_label_is_decided_by_how_far_its_logit_is_from_the_thresholds() -> None:
    outputs = {"logits": np.asarray([1.0, -3.0, 2.0], np.float32)}
    settings = {"multi_label": True, "thresholds": [0.5, 0.5, scipy.special.expit(2.5)]}
    found = decoding.decisions("text-classification", outputs, {}, settings)
    assert [one[0] for one in found] == [True, False, False]
    assert [one[1] for one in found] == pytest.approx([1.0, 3.0, 0.5])
    certain = {**settings, "thresholds": [0.0, 1.0, 0.5]}
    assert [one[0] for one in decoding.decisions("text-classification", outputs, {}, certain)] == [
        True,
        False,
        True,
    ]


def test_a_set_of_labels_is_right_in_any_order_and_only_whole() -> None:
    answered = {"labels": [{"label": "sun", "score": 0.9}, {"label": "rain", "score": 0.8}]}
    assert decoding.right("text-classification", answered, ["rain", "sun"]) is True
    assert decoding.right("text-classification", answered, ["rain"]) is False
    assert decoding.right("text-classification", {"labels": []}, []) is True


def test_in_scope_is_told_against_the_threshold_and_unknown_without_one() -> None:
    logits = [0.0, 2.0, 0.0]
    score = answer(logits)["score"]
    assert answer(logits)["in_scope"] is None
    assert answer(logits, threshold=score)["in_scope"] is True
    assert answer(logits, threshold=np.nextafter(score, 1))["in_scope"] is False
    assert answer(logits, threshold=0.0)["in_scope"] is True


def test_a_task_of_a_newer_version_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="does not decode the task 'poetry'"):
        decoding.answer("poetry", [], {}, LABELS, {})


@given(arrays.arrays(np.float32, st.integers(2, 6), elements=st.floats(-100, 100, width=32)))
def test_noise_of_less_than_half_the_margin_never_changes_the_winner(logits: NDArray[np.float32]) -> None:
    margin = decoding.margin(logits)
    best = int(logits.argmax())
    noisy = logits.astype(np.float64) + 0.49 * margin
    noisy[best] = float(logits[best]) - 0.49 * margin
    assert margin >= 0
    assert noisy[best] == noisy.max()


def test_the_margin_is_between_the_best_two() -> None:
    assert decoding.margin([1.0, 5.0, 3.5, -9.0]) == 1.5
    assert decoding.margin([2.0, 2.0]) == 0
    assert decoding.margin([0.3]) == float("inf")


def test_outputs_are_the_same_where_firm_decisions_are() -> None:
    def same(expected: list[float], found: list[float], tolerance: float) -> bool | None:
        first, second = ({"logits": np.asarray(one, np.float32)} for one in (expected, found))
        return decoding.same("text-classification", first, second, {}, {}, tolerance)

    assert same([3.0, 1.0, 0.0], [1.5, 1.0, 0.0], 0.5) is True
    assert same([3.0, 1.0, 0.0], [1.0, 1.5, 0.0], 0.5) is False
    assert same([1.4, 1.0, 0.0], [1.0, 1.5, 0.0], 0.5) is None, "a lead within the tolerance tells nothing"


def test_an_answer_is_right_where_it_is_the_true_label() -> None:
    assert decoding.right("text-classification", answer([1.0, 3.0, 2.0]), "snow") is True
    assert decoding.right("text-classification", answer([1.0, 3.0, 2.0]), "sun") is False
