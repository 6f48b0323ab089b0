"""One label of several: what tasks that end in such a label share, from rows to scores.

A row's truth is its `label`, a string or an integer; an answer has `label`, `scores` by label and perhaps
`in_scope`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert import intervals
from edgebert.data import Row
from edgebert.tokenization import Feeds, ill_formed
from edgebert.verdict import Score, Value

METRIC = "accuracy"
PROBLEM = "single_label_classification"  # transformers' name of it
RARE = 0.30  # below this share of positives accuracy flatters, and F1 and PR-AUC stand beside it
OUTLIER_WEIGHT = 0.5  # of the out-of-scope rows' loss; Hendrycks et al. 2019, "Outlier Exposure", section 4

Answers = Sequence[Mapping[str, Any]]


def label_fault(label: object) -> str | None:
    """Why a value is no label, or None."""
    if isinstance(label, (list, dict, float)) or label is None:
        return f"label = {label!r}; must be one label, a string or an integer"
    wrong = ill_formed(str(label))
    return None if wrong is None else f"label {wrong}"


def group(row: Row) -> str:
    """What a held-out split is stratified by."""
    return str(row["label"])


def truth(row: Row) -> str | None:
    """The label of a row, None where it has none."""
    return None if row.get("label") is None else str(row["label"])


def labels(rows: Sequence[Row]) -> list[str]:
    """The labels of the task, sorted."""
    return sorted({str(row["label"]) for row in rows})


def labels_fault(labels: Sequence[str]) -> str | None:
    """Why these labels cannot be trained on, or None."""
    return None if len(labels) > 1 else f"only one label, '{labels[0]}'; a classifier needs two"


def unknown(rows: Sequence[Row], labels: Sequence[str]) -> list[str]:
    """Labels of rows that `labels` lacks."""
    return sorted({str(row["label"]) for row in rows} - set(labels))


def new_head(labels: Sequence[str]) -> dict[str, Any]:
    """What transformers is told of a head that is to be learned: its labels, in their order."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
        "ignore_mismatched_sizes": True,
    }


def model(folder: Path, labels: Sequence[str] | None, problem: str = PROBLEM) -> Any:
    """A transformers model with a classification head, in fp32 with plain attention."""
    import torch
    from transformers import AutoModelForSequenceClassification

    head = {} if labels is None else {**new_head(labels), "problem_type": problem}
    return AutoModelForSequenceClassification.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, attn_implementation="eager", **head
    )


def example(feeds: Feeds, row: Row, labels: Sequence[str]) -> dict[str, Any]:
    """Token ids of a row as lists, and its class number, -1 where the row has no label (it is out of scope)."""
    known = truth(row)
    number = -1 if known is None else labels.index(known)
    return {name: array[0].tolist() for name, array in feeds.items()} | {"target": number}


def collate(targets: Sequence[int], tokens: int) -> Any:
    """Class numbers int64 [batch]."""
    import torch

    return torch.tensor(targets)


def loss(outputs: Mapping[str, Any], targets: Any) -> Any:
    """Cross-entropy on rows in scope, and a flat distribution asked for on rows out of scope."""
    import torch

    log_shares = torch.log_softmax(outputs["logits"], dim=-1)
    inside = targets >= 0
    picked = log_shares.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    found = -(picked * inside).sum() / inside.sum().clamp(min=1)
    if not inside.all():
        found = found - OUTLIER_WEIGHT * (log_shares.mean(-1) * ~inside).sum() / (~inside).sum()
    return found


def quality(rows: Sequence[Row], answers: Answers) -> float:
    """Accuracy."""
    return float(
        np.mean([answer["label"] == str(row["label"]) for row, answer in zip(rows, answers, strict=True)])
    )


def chance(rows: Sequence[Row]) -> float:
    """The share of the most frequent label."""
    return Counter(str(row["label"]) for row in rows).most_common(1)[0][1] / len(rows)


def scores(rows: Sequence[Row], split: str, answered: Mapping[str, Answers]) -> list[Score]:
    """Accuracy, macro-F1 and the worst class's recall; with few positives of two classes F1 and PR-AUC too.

    Answers agree where label and scope are the same.
    """
    names = sorted(next(iter(answered.values()))[0]["scores"])
    number = {label: i for i, label in enumerate(names)}
    truth = np.asarray([number[str(row["label"])] for row in rows])
    given = {which: np.asarray([number[one["label"]] for one in found]) for which, found in answered.items()}
    accuracy = Score(metric=METRIC, split=split)
    macro = Score(metric="macro_f1", split=split)
    worst = Score(metric="worst_class_recall", split=split)
    for which, answer in given.items():
        setattr(accuracy, which, intervals.proportion(answer == truth))
        setattr(
            macro,
            which,
            _resampled(lambda pick, a=answer: _macro_f1(truth[pick], a[pick], len(names)), truth),
        )
        setattr(worst, which, _worst_recall(truth, answer))
    if "teacher" in given and "shipped" in given:
        accuracy.drop = intervals.paired_drop(given["teacher"] == truth, given["shipped"] == truth)
    if "reference" in given and "shipped" in given:
        scope = {which: np.asarray([one.get("in_scope") is False for one in answered[which]]) for which in given}
        same = (given["reference"] == given["shipped"]) & (scope["reference"] == scope["shipped"])
        accuracy.agreement = intervals.proportion(same)
    found = [accuracy, macro, worst]
    counts = np.bincount(truth, minlength=len(names))
    if len(names) == 2 and counts.min() < RARE * len(truth):
        found += _rare_scores(truth, names[int(counts.argmin())], number, split, answered)
    return found


def _rare_scores(
    truth: NDArray[np.int64],
    positive: str,
    number: Mapping[str, int],
    split: str,
    answered: Mapping[str, Answers],
) -> list[Score]:
    f1, pr_auc = Score(metric="f1", split=split), Score(metric="pr_auc", split=split)
    hit = truth == number[positive]
    for which, answers in answered.items():
        chosen = np.asarray([one["label"] == positive for one in answers])
        certainty = np.asarray([one["scores"][positive] for one in answers])
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
