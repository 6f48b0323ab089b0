"""From a model's raw outputs to answers, the same on every device."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np


def softmax(logits: Any) -> Any:
    """Probabilities of logits, over the last axis, computed in float64."""
    shifted = np.asarray(logits, np.float64)
    shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def text_classification(
    outputs: Mapping[str, Any], labels: Sequence[str], threshold: Optional[float] = None
) -> List[Dict[str, Any]]:
    """One answer a row from `outputs["logits"]` (float32 [rows, labels]).

    `score` is the winner's probability; `in_scope` says whether it reaches the out-of-scope threshold, None
    where the bundle has none.
    """
    answers = []
    for row in softmax(outputs["logits"]):
        best = int(row.argmax())
        score = float(row[best])
        answers.append(
            {
                "label": labels[best],
                "score": score,
                "scores": {label: float(value) for label, value in zip(labels, row)},
                "in_scope": None if threshold is None else bool(score >= threshold),
            }
        )
    return answers


def decode(task: str, outputs: Mapping[str, Any], labels: Sequence[str], decoding: Mapping[str, Any]) -> Any:
    """Answers of a task, by its name in the manifest."""
    if task == "text-classification":
        return text_classification(outputs, labels, decoding.get("threshold"))
    raise ValueError("this EdgeBERT does not decode the task '%s'" % task)


def margin(outputs: Mapping[str, Any]) -> float:
    """How far the best logit of one row is above the second: what noise must exceed to change the answer."""
    top = np.sort(np.asarray(outputs["logits"], np.float64).ravel())[-2:]
    return float(top[-1] - top[0]) if top.size == 2 else float("inf")
