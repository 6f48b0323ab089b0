"""Regression: the number that the file gives, in the scale of the labels it was trained on."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

from . import Decision


def answer(
    windows: Sequence[Mapping[str, Any]],
    row: Mapping[str, Any],
    labels: Sequence[str],
    settings: Mapping[str, Any],
) -> Dict[str, Any]:
    """`score`, from `logits` float32 [1]."""
    return {"score": float(windows[0]["outputs"]["logits"][0])}


def decisions(outputs: Mapping[str, Any], align: Mapping[str, Any], settings: Mapping[str, Any]) -> List[Decision]:
    """None: a number decides nothing, and a small difference is a small one."""
    return []


def right(answered: Mapping[str, Any], truth: Any) -> Optional[bool]:
    """Numbers are close or far, not right or wrong."""
    return None
