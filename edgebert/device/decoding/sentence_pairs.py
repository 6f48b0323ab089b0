"""Sentence pairs: the label with the largest logit."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from . import Decision, margin, one_label


def answer(
    windows: Sequence[Mapping[str, Any]],
    row: Mapping[str, Any],
    labels: Sequence[str],
    settings: Mapping[str, Any],
) -> Dict[str, Any]:
    """Label, its probability `score` and `scores` of all labels, from logits float32 [labels]."""
    return one_label(windows[0]["outputs"]["logits"], labels)


def decisions(outputs: Mapping[str, Any], align: Mapping[str, Any], settings: Mapping[str, Any]) -> List[Decision]:
    """The winning class and its lead over the second."""
    logits = np.asarray(outputs["logits"])
    return [(int(logits.argmax()), margin(logits))]


def right(answered: Mapping[str, Any], truth: Any) -> Optional[bool]:
    """Whether the label is the true one."""
    return bool(answered["label"] == truth)
