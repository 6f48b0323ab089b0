from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as some
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, recall_score

from edgebert import intervals
from edgebert.data import Row
from edgebert.device import decoding
from edgebert.metrics import classification
from edgebert.tasks import text_classification as task
from edgebert.verdict import Score

LABELS = ["a", "b", "c", "d"]
Logits = NDArray[np.float32]


def guesses(rows: int, classes: int, seed: int, shares: list[float] | None = None) -> tuple[list[Row], Logits]:
    """Rows with labels drawn by `shares`, and logits that are right more often than not."""
    random = np.random.default_rng(seed)
    truth = random.choice(classes, rows, p=shares)
    logits = random.normal(size=(rows, classes)).round(1).astype(np.float32)
    logits[np.arange(rows), truth] += 1
    return [{"text": f"row {i}", "label": LABELS[label]} for i, label in enumerate(truth)], logits


def scored(rows: list[Row], labels: list[str], **answered: Logits) -> dict[str, Score]:
    given = {which: answers(logits, labels) for which, logits in answered.items()}
    return {score.metric: score for score in task.scores(rows, "test", given)}


def answers(logits: Logits, labels: list[str], threshold: float | None = None) -> list[dict[str, Any]]:
    """The decoder's answers to rows of logits."""
    settings = {"threshold": threshold}
    return [decoding.answer(task.NAME, [{"outputs": {"logits": row}}], {}, labels, settings) for row in logits]


def numbers(rows: list[Row], labels: list[str]) -> list[int]:
    """The class number of each row, as it is trained on."""
    feeds = {"input_ids": np.zeros((1, 3), np.int64)}
    return [classification.example(feeds, row, labels)["target"] for row in rows]


def shipped(score: Score) -> float:
    assert score.shipped is not None
    low, high = score.shipped.ci95
    assert 0 <= low <= score.shipped.value <= high <= 1
    return score.shipped.value


@pytest.mark.parametrize(
    ("classes", "shares"), [(2, None), (3, [0.9, 0.09, 0.01]), (4, [0.4, 0.3, 0.3, 0.0]), (4, None)]
)
def test_scores_of_several_classes_are_scikit_learns(classes: int, shares: list[float] | None) -> None:
    rows, logits = guesses(150, classes, seed=classes, shares=shares)
    truth, answer = numbers(rows, LABELS[:classes]), logits.argmax(axis=1)
    found = scored(rows, LABELS[:classes], shipped=logits)
    assert shipped(found["accuracy"]) == pytest.approx((np.asarray(truth) == answer).mean(), abs=1e-12)
    assert shipped(found["macro_f1"]) == pytest.approx(f1_score(truth, answer, average="macro"), abs=1e-12)
    recalls = recall_score(truth, answer, labels=sorted(set(truth)), average=None)
    assert shipped(found["worst_class_recall"]) == pytest.approx(min(recalls), abs=1e-12)


def test_a_class_that_neither_occurs_nor_is_answered_is_no_part_of_macro_f1() -> None:
    rows, logits = guesses(80, 2, seed=3)
    beside = np.column_stack([logits, np.full(80, -99, np.float32)])
    wanted = f1_score(numbers(rows, LABELS[:2]), logits.argmax(axis=1), average="macro")
    assert shipped(scored(rows, LABELS[:3], shipped=beside)["macro_f1"]) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("positive", [0, 1])
def test_rare_positives_get_f1_and_pr_auc_as_scikit_learn_has_them(positive: int) -> None:
    shares = [0.15, 0.85] if positive == 0 else [0.85, 0.15]
    rows, logits = guesses(200, 2, seed=7, shares=shares)
    truth = np.asarray(numbers(rows, LABELS[:2]))
    found = scored(rows, LABELS[:2], shipped=logits)
    certainty = decoding.softmax(logits)[:, positive]
    wanted = f1_score(truth, logits.argmax(axis=1), pos_label=positive)
    assert shipped(found["f1"]) == pytest.approx(wanted, abs=1e-12)
    wanted = average_precision_score(truth == positive, certainty)
    assert shipped(found["pr_auc"]) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("shares", "more"), [([0.5, 0.5], False), ([0.35, 0.65], False), ([0.2, 0.8], True)])
def test_f1_and_pr_auc_stand_beside_accuracy_where_it_flatters(shares: list[float], more: bool) -> None:
    rows, logits = guesses(200, 2, seed=1, shares=shares)
    found = scored(rows, LABELS[:2], shipped=logits)
    assert next(iter(found)) == "accuracy", "the gated metric comes first"
    assert (found.keys() >= {"f1", "pr_auc"}) is more


@settings(deadline=None)
@given(some.lists(some.tuples(some.booleans(), some.integers(-3, 3)), min_size=1, max_size=40))
def test_average_precision_is_scikit_learns_with_ties_too(pairs: list[tuple[bool, int]]) -> None:
    truth, certainty = np.array([hit for hit, _ in pairs]), np.array([sure for _, sure in pairs], np.float32)
    wanted = float(average_precision_score(truth, certainty)) if truth.any() else 0.0
    assert classification.average_precision(truth, certainty) == pytest.approx(wanted, abs=1e-12)


def test_drop_is_teacher_minus_shipped_and_agreement_is_with_the_reference() -> None:
    rows: list[Row] = [{"text": "x", "label": "a"}] * 50
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    teacher = np.array([right] * 40 + [wrong] * 10, np.float32)
    reference = np.array([right] * 35 + [wrong] * 15, np.float32)
    answer = np.array([wrong] * 12 + [right] * 30 + [wrong] * 8, np.float32)
    found = scored(rows, ["a", "b"], teacher=teacher, reference=reference, shipped=answer)["accuracy"]
    assert found.teacher is not None and found.reference is not None and found.shipped is not None
    assert (found.teacher.value, found.reference.value, found.shipped.value) == (0.8, 0.7, 0.6)
    assert found.drop is not None and found.drop.points == pytest.approx(20.0)
    assert found.drop.ci95 == pytest.approx((6.11, 34.47), abs=5e-3)
    assert found.agreement is not None
    assert found.agreement.value == pytest.approx((50 - 12 - 7) / 50)
    assert found.agreement.ci95 == intervals.wilson(31, 50)


def test_without_a_teacher_or_reference_there_is_no_drop_and_no_agreement() -> None:
    rows, logits = guesses(30, 2, seed=0)
    found = scored(rows, ["a", "b"], shipped=logits)["accuracy"]
    assert found.drop is None and found.agreement is None and found.teacher is None


def test_a_row_that_only_one_model_takes_for_out_of_scope_is_a_disagreement() -> None:
    rows: list[Row] = [{"text": "x", "label": "a"}] * 4
    reference = np.asarray([[3, 0], [3, 0], [1, 0], [1, 0]], np.float32)
    shipped = np.asarray([[3, 0], [1, 0], [3, 0], [1, 0]], np.float32)
    given = {"reference": answers(reference, ["a", "b"], 0.9), "shipped": answers(shipped, ["a", "b"], 0.9)}
    [score, *_] = task.scores(rows, "test", given)
    assert score.agreement is not None and score.agreement.value == 0.5
    assert score.shipped is not None and score.shipped.value == 1


def test_a_row_without_a_label_is_trained_as_out_of_scope() -> None:
    assert numbers([{"text": "x"}, {"text": "x", "label": "b"}], ["a", "b"]) == [-1, 1]


def test_the_worst_class_is_the_one_most_often_missed() -> None:
    rows: list[Row] = [{"text": "x", "label": label} for label in "aaaabbbbcc"]
    answer = np.eye(3, dtype=np.float32)[[0, 0, 0, 0, 1, 0, 0, 0, 2, 0]]
    worst = scored(rows, ["a", "b", "c"], shipped=answer)["worst_class_recall"].shipped
    assert worst is not None
    assert (worst.value, worst.rows, worst.ci95) == (0.25, 4, intervals.wilson(1, 4))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"text": "x", "label": "a"}, None),
        ({"text": "x", "label": 0}, None),
        ({"text": "x", "label": "a", "more": [1]}, None),
        ({"label": "a"}, "no column 'text'; here are: label"),
        ({"text": "x", "intent": "a"}, "here are: text, intent; name it: [data.columns] label ="),
        ({"text": "  ", "label": "a"}, "text is empty"),
        ({"text": ["x"], "label": "a"}, "text is list, not text"),
        ({"text": "x", "label": ["a", "b"]}, None),
        ({"text": "x", "label": []}, None),
        ({"text": "x", "label": ["a", None]}, "label = ['a', None]; must hold labels"),
        ({"text": "x", "label": [["a"]]}, "must hold labels"),
        ({"text": "x", "label": ["a", ""]}, "a label is empty"),
        ({"text": "x", "label": {"a": 1}}, "must be one label"),
        ({"text": "x", "label": 0.5}, "must be one label"),
        ({"text": "x", "label": None}, "must be one label"),
        ({"text": "x", "label": " "}, "label is empty"),
        ({"text": "x", "label": "\ud800"}, "label "),
    ],
)
def test_a_faulty_row_is_told(row: Row, fault: str | None) -> None:
    found = task.fault(row)
    assert found is None if fault is None else fault in str(found)


def test_labels_are_sorted_texts_and_strangers_are_named() -> None:
    rows: list[Row] = [{"text": "x", "label": label} for label in ("b", 10, "a", 2, "b")]
    assert task.labels(rows) == ["10", "2", "a", "b"]
    assert numbers(rows, task.labels(rows)) == [3, 0, 2, 1, 3]
    assert task.unknown(rows, ["a", "b", "c"]) == ["10", "2"]
    assert Counter(map(task.group, rows))["b"] == 2


def test_rows_are_of_one_label_each_or_of_lists_throughout() -> None:
    one: list[Row] = [{"text": "x", "label": "a"}, {"text": "x", "label": "b"}]
    lists: list[Row] = [{"text": "x", "label": ["a"]}, {"text": "x", "label": []}]
    assert task.decoding(task.Settings(), one) == {}
    assert task.decoding(task.Settings(), [*lists, one[0]]) == {"multi_label": True}
    assert task.misfit(one, {}) is None and task.misfit(lists, {"multi_label": True}) is None
    told = task.misfit([*lists, *one], {"multi_label": True})
    assert told == """row 3 of 4: label = 'a', where lists of labels are expected: ["..."]"""
    assert "row 1 of 2: label = ['a'], where one label a row is expected" in str(task.misfit(lists, {}))


def test_labels_of_lists_are_counted_one_by_one_and_stratified_together() -> None:
    rows: list[Row] = [{"text": "x", "label": label} for label in (["b", "a"], [], ["a", "b", "a"], [3])]
    assert task.labels(rows) == ["3", "a", "b"]
    assert task.unknown(rows, ["a"]) == ["3", "b"]
    assert [task.group(row) for row in rows] == ["a, b", "", "a, b", "3"]
    assert task.labels_fault(task.labels([{"text": "x", "label": []}])) == "no row has a label"


def test_chance_is_the_share_of_the_most_frequent_label() -> None:
    assert task.chance([{"text": "x", "label": label} for label in "aabac"]) == 0.6


def test_a_new_head_has_the_labels_and_a_trained_one_keeps_its_own(toy_model: Path, tmp_path: Path) -> None:
    model = task.model(toy_model, LABELS[:3], {})
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.classifier.out_features == 3
    model.save_pretrained(tmp_path)
    again = task.model(tmp_path, None, {})
    assert again.config.id2label == model.config.id2label
    assert np.array_equal(again.classifier.weight.detach().numpy(), model.classifier.weight.detach().numpy())
