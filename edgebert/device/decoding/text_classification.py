"""Text classification: the label with the largest logit, or every label above its threshold."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from . import Decision, margin, one_label, sigmoid

THRESHOLD = 0.5  # of every label, until thresholds are tuned


def answer(
    windows: Sequence[Mapping[str, Any]],
    row: Mapping[str, Any],
    labels: Sequence[str],
    settings: Mapping[str, Any],
) -> Dict[str, Any]:
    """Label, its probability `score`, `scores` of all labels, and `in_scope`, from logits float32 [labels].

    `in_scope` says whether the score reaches the out-of-scope threshold, None where the bundle has none. With
    `multi_label` set: `labels`, those whose probability reaches their threshold, best first, and `scores`.
    """
    logits = windows[0]["outputs"]["logits"]
    if settings.get("multi_label"):
        return _several(sigmoid(logits), labels, settings)
    found = one_label(logits, labels)
    threshold = settings.get("threshold")
    found["in_scope"] = None if threshold is None else bool(found["score"] >= threshold)
    return found


def _several(shares: Any, labels: Sequence[str], settings: Mapping[str, Any]) -> Dict[str, Any]:
    holds = np.flatnonzero(shares >= _thresholds(settings, len(shares))).tolist()
    best_first = sorted(holds, key=lambda i: -float(shares[i]))
    return {
        "labels": [{"label": labels[i], "score": float(shares[i])} for i in best_first],
        "scores": {label: float(value) for label, value in zip(labels, shares)},
    }


def _thresholds(settings: Mapping[str, Any], count: int) -> Any:
    return np.asarray(settings.get("thresholds") or [THRESHOLD] * count, np.float64)


def decisions(outputs: Mapping[str, Any], align: Mapping[str, Any], settings: Mapping[str, Any]) -> List[Decision]:
    """The winning class and its lead over the second; or of each label whether it holds, and how firmly."""
    logits = np.asarray(outputs["logits"], np.float64)
    if not settings.get("multi_label"):
        return [(int(logits.argmax()), margin(logits))]
    shares = np.clip(_thresholds(settings, len(logits)), 1e-9, 1 - 1e-9)
    limits = np.log(shares / (1 - shares))
    return [(bool(gap >= 0), abs(float(gap))) for gap in logits - limits]


def right(answered: Mapping[str, Any], truth: Any) -> Optional[bool]:
    """Whether the label, or the set of labels, is the true one."""
    if "labels" in answered:
        return bool({one["label"] for one in answered["labels"]} == set(truth))
    return bool(answered["label"] == truth)
