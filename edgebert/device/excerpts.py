"""Long outputs told in part: logits of a whole vocabulary would fill golden.jsonl with what decides nothing.

A vector of more than `MOST` values is told at the places of the largest of them and at places evenly apart. `at`
holds these places by output name, and leaves out the outputs that are told whole.
"""

from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

MOST = 4096
LARGEST, SPREAD = 64, 64

At = Mapping[str, Sequence[int]]


def places(outputs: Mapping[str, Any]) -> Dict[str, List[int]]:
    """Where the long ones among one window's outputs are told."""
    found = {}
    for name, array in outputs.items():
        if array.ndim == 1 and array.size > MOST:
            largest = np.argsort(-array, kind="stable")[:LARGEST]
            spread = np.arange(SPREAD) * array.size // SPREAD
            found[name] = [int(place) for place in np.union1d(largest, spread)]
    return found


def cut(outputs: Mapping[str, Any], at: At) -> Dict[str, Any]:
    """The values that are told: arrays of the outputs' own shapes, vectors of those told in part."""
    return {name: array[np.asarray(at[name])] if name in at else array for name, array in outputs.items()}


def filled(told: Mapping[str, Any], at: At, shapes: Mapping[str, Any]) -> Dict[str, Any]:
    """Outputs float32 from told values; what is not told is -inf, below all that is.

    `shapes` are those of the outputs; one that is told whole keeps its values' own where none is given.
    """
    found = {}
    for name, values in told.items():
        if name in at:
            found[name] = np.full(shapes[name], -np.inf, np.float32)
            found[name][np.asarray(at[name])] = values
        else:
            array = np.asarray(values, np.float32)
            found[name] = array.reshape(shapes.get(name, array.shape))
    return found


def gap(told: Mapping[str, Any], outputs: Mapping[str, Any], at: At) -> float:
    """Largest absolute difference of outputs from the values told of them; inf where one is not finite."""
    here = cut(outputs, at)
    gaps = [float(np.abs(np.ravel(values) - here[name].ravel()).max()) for name, values in told.items()]
    return max(gaps) if np.isfinite(gaps).all() else float("inf")
