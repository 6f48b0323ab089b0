"""Text classification: one label of several for a text."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert import intervals
from edgebert.data import Row
from edgebert.tasks import Outputs
from edgebert.tokenization import ill_formed
from edgebert.verdict import Score, Value

NAME = "text-classification"
COLUMNS = ("text", "label")
METRIC = "accuracy"
OUTPUTS = ("logits",)
RARE = 0.30  # below this share of positives accuracy flatters, and F1 and PR-AUC stand beside it


def fault(row: Row) -> str | None:
    """What is wrong with a row, or None."""
    for column in COLUMNS:
        if column not in row:
            return f"no column '{column}'; here are: {', '.join(row)}; name it: [data.columns] {column} = \"...\""
    if (wrong := ill_formed(row["text"])) is not None:
        return f"text {wrong}"
    if isinstance(row["label"], (list, dict, float)) or row["label"] is None:
        return f"label = {row['label']!r}; must be one label, a string or an integer"
    wrong = ill_formed(str(row["label"]))
    return None if wrong is None else f"label {wrong}"


def group(row: Row) -> str:
    """What a held-out split is stratified by."""
    return str(row["label"])


def texts(row: Row) -> tuple[str, str | None]:
    """The text that the model reads."""
    return row["text"], None


def labels(rows: list[Row]) -> list[str]:
    """The labels of the task, sorted."""
    return sorted({str(row["label"]) for row in rows})


def unknown(rows: list[Row], labels: list[str]) -> list[str]:
    """Labels of rows that `labels` lacks."""
    return sorted({str(row["label"]) for row in rows} - set(labels))


def model(folder: Path, labels: list[str] | None) -> Any:
    """A transformers model with a classification head, in fp32 with plain attention."""
    import torch
    from transformers import AutoModelForSequenceClassification

    head: dict[str, Any] = {}
    if labels is not None:
        head = {
            "num_labels": len(labels),
            "id2label": dict(enumerate(labels)),
            "label2id": {label: i for i, label in enumerate(labels)},
            "problem_type": "single_label_classification",
            "ignore_mismatched_sizes": True,
        }
    return AutoModelForSequenceClassification.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, attn_implementation="eager", **head
    )


def targets(rows: list[Row], labels: list[str]) -> list[int]:
    """Class numbers, one a row."""
    number = {label: i for i, label in enumerate(labels)}
    return [number[str(row["label"])] for row in rows]


def answers(outputs: Outputs) -> NDArray[np.int64]:
    """The winning class of each row's logits [rows, labels]."""
    return np.asarray(outputs["logits"].argmax(axis=1), np.int64)


def chance(rows: list[Row]) -> float:
    """The share of the most frequent label."""
    return Counter(str(row["label"]) for row in rows).most_common(1)[0][1] / len(rows)


def scores(rows: list[Row], labels: list[str], split: str, answered: dict[str, Outputs]) -> list[Score]:
    """Accuracy, macro-F1 and the worst class's recall; with few positives of two classes F1 and PR-AUC too."""
    truth = np.asarray(targets(rows, labels))
    given = {which: answers(outputs) for which, outputs in answered.items()}
    accuracy = Score(metric=METRIC, split=split)
    macro = Score(metric="macro_f1", split=split)
    worst = Score(metric="worst_class_recall", split=split)
    for which, answer in given.items():
        setattr(accuracy, which, intervals.proportion(answer == truth))
        setattr(
            macro,
            which,
            _resampled(lambda pick, a=answer: _macro_f1(truth[pick], a[pick], len(labels)), truth),
        )
        setattr(worst, which, _worst_recall(truth, answer))
    if "teacher" in given and "shipped" in given:
        accuracy.drop = intervals.paired_drop(given["teacher"] == truth, given["shipped"] == truth)
    if "reference" in given and "shipped" in given:
        accuracy.agreement = intervals.proportion(given["reference"] == given["shipped"])
    found = [accuracy, macro, worst]
    counts = np.bincount(truth, minlength=len(labels))
    if len(labels) == 2 and counts.min() < RARE * len(truth):
        found += _rare_scores(truth, int(counts.argmin()), split, answered)
    return found


def _rare_scores(truth: NDArray[np.int64], positive: int, split: str, answered: dict[str, Outputs]) -> list[Score]:
    f1, pr_auc = Score(metric="f1", split=split), Score(metric="pr_auc", split=split)
    hit = truth == positive
    for which, outputs in answered.items():
        chosen = answers(outputs) == positive
        certainty = outputs["logits"][:, positive] - outputs["logits"][:, 1 - positive]
        setattr(f1, which, _resampled(lambda pick, c=chosen: _f1(hit[pick], c[pick]), truth))
        setattr(pr_auc, which, _resampled(lambda pick, c=certainty: average_precision(hit[pick], c[pick]), truth))
    return [f1, pr_auc]


def _resampled(statistic: Any, truth: NDArray[np.int64]) -> Value:
    everything = np.arange(len(truth))
    interval = intervals.bootstrap(statistic, len(truth))
    return Value(value=statistic(everything), rows=len(truth), ci95=interval)


def _macro_f1(truth: NDArray[np.int64], answer: NDArray[np.int64], classes: int) -> float:
    """Mean F1 over the classes that occur in truth or answers, as scikit-learn defines it."""
    hits = np.bincount(truth[truth == answer], minlength=classes)
    both = np.bincount(truth, minlength=classes) + np.bincount(answer, minlength=classes)
    return float((2 * hits[both > 0] / both[both > 0]).mean())


def _f1(truth: NDArray[np.bool_], answer: NDArray[np.bool_]) -> float:
    both = int(truth.sum() + answer.sum())
    return 2 * int((truth & answer).sum()) / both if both else 0.0


def average_precision(truth: NDArray[np.bool_], certainty: NDArray[np.floating[Any]]) -> float:
    """Area under the precision-recall steps (no interpolation), as scikit-learn's average_precision_score."""
    order = np.argsort(-certainty, kind="stable")
    hit = truth[order]
    if not hit.any():
        return 0.0
    last_of_tie = np.append(np.diff(certainty[order]) != 0, True)
    found = np.cumsum(hit)[last_of_tie]
    precision = found / (np.flatnonzero(last_of_tie) + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / hit.sum())


def _worst_recall(truth: NDArray[np.int64], answer: NDArray[np.int64]) -> Value:
    classes = [truth == label for label in np.unique(truth)]
    worst = min(classes, key=lambda rows: float((answer[rows] == truth[rows]).mean()))
    return intervals.proportion(answer[worst] == truth[worst])
