"""Outputs of model files over rows, one text at a time as on the device, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.data import Row
from edgebert.device import decoding
from edgebert.interpreters import OURS, Python
from edgebert.tasks import Outputs, Task
from edgebert.tokenization import Encoder, Feeds

FALSE_REJECTION = 0.05  # of dev rows in scope, at the out-of-scope threshold


def encode(encoder: Encoder, task: Task, rows: Sequence[Row]) -> list[Feeds]:
    """Token ids of each row, int64 [1, tokens] by input name."""
    return [encoder.encode(*task.texts(row)).feeds for row in rows]


def outputs_of(
    folder: Path,
    entry: dict[str, Any],
    feeds: Sequence[Feeds],
    tell: Callable[[], None],
    threads: int = 1,
    python: Python = OURS,
) -> Outputs:
    """Outputs [rows, ...] of a file by name, one row at a time: a file's ranges may depend on its batch."""
    found: dict[str, list[NDArray[np.float32]]] = {}
    with python.open(folder, entry, threads) as model:
        for one in feeds:
            for name, array in model.run(one).items():
                found.setdefault(name, []).append(array)
            tell()
    return {name: np.concatenate(arrays) for name, arrays in found.items()}


def teacher_outputs(model: Any, names: Sequence[str], feeds: Sequence[Feeds], tell: Callable[[], None]) -> Outputs:
    """Outputs [rows, ...] of a torch model, in batches of like length without padding."""
    import torch

    found: dict[str, list[Any]] = {name: [None] * len(feeds) for name in names}
    by_length: dict[int, list[int]] = {}
    for i, one in enumerate(feeds):
        by_length.setdefault(one["input_ids"].shape[1], []).append(i)
    with torch.inference_mode():
        for same in by_length.values():
            for start in range(0, len(same), 64):
                chunk = same[start : start + 64]
                batch = {k: torch.from_numpy(np.concatenate([feeds[i][k] for i in chunk])) for k in feeds[0]}
                outputs = model(**batch)
                for name in names:
                    for i, row in zip(chunk, outputs[name].numpy(), strict=True):
                        found[name][i] = row
                for _ in chunk:
                    tell()
    return {name: np.stack(rows) for name, rows in found.items()}


def certainty(outputs: Outputs) -> NDArray[np.float64]:
    """The winner's probability of each row [rows]: what the out-of-scope threshold is held against."""
    found: NDArray[np.float64] = decoding.softmax(outputs["logits"]).max(axis=1)
    return found


def threshold(dev: Outputs) -> float:
    """The certainty below which a twentieth of the dev rows in scope lies."""
    return float(np.quantile(certainty(dev), FALSE_REJECTION, method="lower"))


def auroc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """The chance that a text in scope is more certain than one out of scope (ties count half)."""
    order = np.sort(outside)
    below = np.searchsorted(order, inside, side="left")
    up_to = np.searchsorted(order, inside, side="right")
    return float((below + up_to).sum() / (2 * len(inside) * len(outside)))
