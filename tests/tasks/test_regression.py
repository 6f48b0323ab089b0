"""Numbers for texts: faulty rows, the scale of labels, scores, agreement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert.data import Row
from edgebert.tasks import regression as task
from edgebert.verdict import Score

ROWS: list[Row] = [{"text": f"row {i}", "label": label} for i, label in enumerate((4, -2.5, "0.5", 1e1, 3))]


def answers(numbers: list[float]) -> list[dict[str, Any]]:
    return [{"score": number} for number in numbers]


def scored(rows: list[Row], **given: list[float]) -> dict[str, Score]:
    answered = {which: answers(numbers) for which, numbers in given.items()}
    return {score.metric: score for score in task.scores(rows, "test", answered)}


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"text": "x", "label": 1}, None),
        ({"text": "x", "label": -0.5}, None),
        ({"text": "x", "label": "2.5e-1"}, None),
        ({"text": "x", "text_pair": "y", "label": 0}, None),
        ({"text": "x", "score": 1}, "here are: text, score; name it: [data.columns] label ="),
        ({"text": "x", "label": "high"}, "label = 'high'; must be a number"),
        ({"text": "x", "label": True}, "must be a number"),
        ({"text": "x", "label": float("nan")}, "must be a number"),
        ({"text": "x", "label": "inf"}, "must be a number"),
        ({"text": "x", "label": 10**400}, "must be a number"),
        ({"text": "x", "label": None}, "must be a number"),
        ({"text": "x", "label": [1]}, "must be a number"),
        ({"text": "x", "text_pair": "", "label": 1}, "text_pair is empty"),
    ],
)
def test_a_faulty_row_is_told(row: Row, fault: str | None) -> None:
    found = task.fault(row)
    assert found is None if fault is None else fault in str(found)


def test_the_scale_is_that_of_the_labels() -> None:
    assert task.decoding(task.Settings(), ROWS) == {
        "pairs": False,
        "label_mean": pytest.approx(3.0),
        "label_scale": pytest.approx(np.std([4, -2.5, 0.5, 10, 3])),
    }


def test_rows_are_texts_or_pairs_throughout() -> None:
    pair: Row = {"text": "x", "text_pair": "y", "label": 1.0}
    single = task.decoding(task.Settings(), ROWS)
    pairs = task.decoding(task.Settings(), [pair, {**pair, "label": 2.0}])
    assert pairs["pairs"] is True and task.misfit([pair], pairs) is None
    told = task.misfit([*ROWS, pair], single)
    assert told == "row 6 of 6: text_pair is there, and texts alone are expected"
    assert task.misfit([{"text": "x"}], pairs) == "text_pair is missing: pairs are expected"


def test_labels_that_are_all_equal_teach_nothing() -> None:
    rows: list[Row] = [{"text": "x", "label": 3}, {"text": "y", "label": "3.0"}]
    told = task.misfit(rows, task.decoding(task.Settings(), rows))
    assert told == "every label of train is 3: there is nothing to learn"


def test_scores_of_a_worked_case() -> None:
    found = scored(ROWS, shipped=[3.5, -1.0, 0.0, 8.0, 4.0])
    assert next(iter(found)) == task.METRIC
    values = {name: score.shipped.value for name, score in found.items() if score.shipped is not None}
    assert values["spearman"] == pytest.approx(0.9)  # 1 - 6 * (1 + 1) / (5 * 24), of ranks 4 1 2 5 3 and 3 1 2 5 4
    assert values["mean_absolute_error"] == pytest.approx((0.5 + 1.5 + 0.5 + 2 + 1) / 5)
    assert values["pearson"] == pytest.approx(np.corrcoef([4, -2.5, 0.5, 10, 3], [3.5, -1, 0, 8, 4])[0, 1])


def test_agreement_is_of_the_range_of_the_labels_and_the_drop_is_paired() -> None:
    reference = [4.0, -2.5, 0.5, 10.0, 3.0]
    found = scored(ROWS, teacher=reference, reference=reference, shipped=[4.0, -2.5, 0.5, 10.0, 4.25])
    agreement, drop = found["spearman"].agreement, found["spearman"].drop
    assert agreement is not None and agreement.value == pytest.approx(1 - 1.25 / 5 / 12.5)
    assert agreement.ci95[0] < agreement.value < agreement.ci95[1] == 1
    assert drop is not None and drop.points == pytest.approx(10.0) and drop.ci95[0] == 0
    assert found["mean_absolute_error"].drop is None


def test_agreement_of_labels_without_a_range_counts_what_is_equal() -> None:
    rows: list[Row] = [{"text": "x", "label": 1}, {"text": "y", "label": 1}]
    found = scored(rows, reference=[1.0, 2.0], shipped=[1.0, 2.5])["spearman"].agreement
    assert found is not None and found.value == 0.5


def test_the_head_gives_numbers_in_the_scale_of_the_labels_and_keeps_it(toy_model: Path, tmp_path: Path) -> None:
    import torch

    decoding = {"pairs": False, "label_mean": 100.0, "label_scale": 20.0}
    feeds = {"input_ids": torch.tensor([[2, 9, 3]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    model = task.model(toy_model, [], decoding).eval()
    with torch.inference_mode():
        plain = model(**feeds).logits
        found = task.forward(model, feeds, feeds["attention_mask"], None)["logits"]  # type: ignore[arg-type]
        model.save_pretrained(tmp_path)
        again = task.forward(task.model(tmp_path, None, decoding).eval(), feeds, None, None)  # type: ignore[arg-type]
    assert found.shape == (1, 1)
    assert torch.allclose(found, 100 + 20 * plain) and torch.equal(again["logits"], found)


def test_a_head_of_several_numbers_is_refused(toy_model: Path, tmp_path: Path) -> None:
    from edgebert.metrics import classification

    classification.model(toy_model, ["a", "b", "c"]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="its head gives 3 numbers, not one"):
        task.model(tmp_path, None, {})


def test_the_loss_does_not_depend_on_the_scale_of_the_labels() -> None:
    import torch

    small = task.loss({"logits": torch.tensor([[1.0], [2.0]])}, task.collate([[2.0, 1.0], [4.0, 1.0]], 3))
    large = task.loss({"logits": torch.tensor([[50.0], [100.0]])}, task.collate([[100.0, 50.0], [200.0, 50.0]], 3))
    assert float(small) == float(large) == 2.5


def test_a_students_distance_from_its_teacher_does_not_depend_on_the_scale_either() -> None:
    import torch

    outputs, taught = {"logits": torch.tensor([[50.0], [100.0]])}, {"logits": torch.tensor([[100.0], [200.0]])}
    assert float(task.soft_loss(outputs, taught, None, 2.0, {"label_scale": 50.0})) == 2.5
