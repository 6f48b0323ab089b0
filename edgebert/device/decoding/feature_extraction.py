"""Feature extraction: the vector of a text, of the length 1, as the file gives it."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from . import Decision

KEYS = {"text": "vector", "text_pair": "pair_vector"}


def answer(
    windows: Sequence[Mapping[str, Any]],
    row: Mapping[str, Any],
    labels: Sequence[str],
    settings: Mapping[str, Any],
) -> Dict[str, Any]:
    """`vector` of a row's `text` and `pair_vector` of its `text_pair`, from `sentence_embedding` float32 [size].

    A window's `align` names the column it was made of; where the row has no such text, there is no such key.
    """
    found = {}
    for window in windows:
        vector = np.asarray(window["outputs"]["sentence_embedding"], np.float64)
        found[KEYS[window["align"]["column"]]] = vector.tolist()
    return found


def decisions(outputs: Mapping[str, Any], align: Mapping[str, Any], settings: Mapping[str, Any]) -> List[Decision]:
    """None: a vector decides nothing by itself."""
    return []


def right(answered: Mapping[str, Any], truth: Any) -> Optional[bool]:
    """Which vectors are near is told beside others only."""
    return None
