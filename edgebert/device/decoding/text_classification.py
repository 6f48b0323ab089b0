"""Text classification: the label with the largest logit, or every label above its threshold."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from . import Decision, margin, softmax


def answer(
    windows: Sequence[Mapping[str, Any]],
    row: Mapping[str, Any],
    labels: Sequence[str],
    settings: Mapping[str, Any],
) -> Dict[str, Any]:
    """Label, its probability `score`, `scores` of all labels, and `in_scope`, from logits float32 [labels].

    `in_scope` says whether the score reaches the out-of-scope threshold, None where the bundle has none.
    """
    shares = softmax(windows[0]["outputs"]["logits"])
    best = int(shares.argmax())
    threshold = settings.get("threshold")
    return {
        "label": labels[best],
        "score": float(shares[best]),
        "scores": {label: float(value) for label, value in zip(labels, shares)},
        "in_scope": None if threshold is None else bool(shares[best] >= threshold),
    }


def decisions(outputs: Mapping[str, Any], align: Mapping[str, Any], settings: Mapping[str, Any]) -> List[Decision]:
    """The winning class and its lead over the second."""
    logits = np.asarray(outputs["logits"])
    return [(int(logits.argmax()), margin(logits))]


def right(answered: Mapping[str, Any], truth: Any) -> Optional[bool]:
    """Whether the label is the true one."""
    return bool(answered["label"] == truth)
