"""From a model's raw outputs to answers, the same on every device: one module for each task.

A module offers `answer(windows, row, labels, settings)`, `decisions(outputs, align, settings)` and
`right(answer, truth)`. A window is what the model reads at once: most rows are one, a long context is several. It
is a mapping of `outputs` (float32 arrays by name, without the batch axis) and `align` (what the tokenizer knew of
its tokens, as JSON holds it). `settings` are the manifest's `decoding`.
"""

import importlib
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

Decision = Tuple[Any, float]  # what was decided, and how far noise must shift an output to change it


def answer(
    task: str,
    windows: Sequence[Mapping[str, Any]],
    row: Mapping[str, Any],
    labels: Sequence[str],
    settings: Mapping[str, Any],
) -> Dict[str, Any]:
    """The answer to one row, from the outputs of its windows, by the task's name in the manifest."""
    found = _module(task).answer(windows, row, labels, settings)
    return found  # type: ignore[no-any-return]


def decisions(
    task: str, outputs: Mapping[str, Any], align: Mapping[str, Any], settings: Mapping[str, Any]
) -> List[Decision]:
    """What the outputs of one window decide, each with its margin; empty where a task decides nothing."""
    found = _module(task).decisions(outputs, align, settings)
    return found  # type: ignore[no-any-return]


def right(task: str, answered: Mapping[str, Any], truth: Any) -> Optional[bool]:
    """Whether an answer is the one a golden row's `label` asks for; None where a task has no such notion."""
    found = _module(task).right(answered, truth)
    return found  # type: ignore[no-any-return]


def same(
    task: str,
    expected: Mapping[str, Any],
    found: Mapping[str, Any],
    align: Mapping[str, Any],
    settings: Mapping[str, Any],
    tolerance: float,
) -> Optional[bool]:
    """Whether outputs of one window decide what `expected` does, decisions within the tolerance apart.

    None where every decision is within it: such a row tells nothing.
    """
    pairs = zip(decisions(task, expected, align, settings), decisions(task, found, align, settings))
    firm = [one[0] == other[0] for one, other in pairs if one[1] > tolerance]
    return all(firm) if firm else None


def one_label(logits: Any, labels: Sequence[str]) -> Dict[str, Any]:
    """The label with the largest of logits [labels], its probability `score`, and `scores` of all labels."""
    shares = softmax(logits)
    best = int(shares.argmax())
    scores = {label: float(value) for label, value in zip(labels, shares)}
    return {"label": labels[best], "score": float(shares[best]), "scores": scores}


def softmax(logits: Any) -> Any:
    """Probabilities of logits, over the last axis, in float64; NaN where a faulty device gave infinity."""
    shifted = np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore"):
        shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def sigmoid(logits: Any) -> Any:
    """The probability of each of some logits by itself, computed in float64."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))  # no exponential that overflows


def margin(logits: Any) -> float:
    """How far the best of some logits [n] is above the second: what noise must exceed to change the winner."""
    top = np.sort(np.asarray(logits, np.float64).ravel())[-2:]
    with np.errstate(invalid="ignore"):  # a faulty device may give infinite logits
        return float(top[-1] - top[0]) if top.size == 2 else float("inf")


def _module(task: str) -> Any:
    name = task.replace("-", "_")
    try:
        return importlib.import_module("." + name, __name__)
    except ModuleNotFoundError as error:
        if error.name != __name__ + "." + name:
            raise
        raise ValueError("this EdgeBERT does not decode the task '%s'" % task) from None
