"""Answers of model files over rows, one window at a time as on the device, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.architectures import Architecture
from edgebert.data import Row
from edgebert.device import decoding as decoders
from edgebert.interpreters import OURS, Model, Python
from edgebert.tasks import Answer, Decoding, Outputs, Task, Window, forward_of
from edgebert.tokenization import Encoder, Feeds

FALSE_REJECTION = 0.05  # of dev rows in scope, at the out-of-scope threshold
TORCH_BATCH = 64  # windows of one length; few enough that per-token outputs fit into memory


@dataclass(frozen=True)
class Question:
    """A row and what the model reads of it."""

    row: Row
    windows: list[Window]


Decode = Callable[[Question, Sequence[Outputs]], Answer]


def questions(task: Task, encoder: Encoder, rows: Sequence[Row], decoding: Decoding) -> list[Question]:
    """The windows of each row."""
    return [Question(row, task.windows(row, encoder, decoding)) for row in rows]


def decoder(task: str, labels: Sequence[str], decoding: Decoding) -> Decode:
    """How the outputs of a question's windows become its answer: the device's own code."""

    def decode(question: Question, outputs: Sequence[Outputs]) -> Answer:
        pairs = zip(question.windows, outputs, strict=True)
        windows = [{"outputs": found, "align": window.align} for window, found in pairs]
        return decoders.answer(task, windows, question.row, labels, decoding)

    return decode


def answers_of(
    folder: Path,
    entry: dict[str, Any],
    asked: Sequence[Question],
    decode: Decode,
    tell: Callable[[], None],
    threads: int = 1,
    python: Python = OURS,
) -> list[Answer]:
    """Answers of a file, one window at a time: a file's ranges may depend on its batch."""
    found = []
    with python.open(folder, entry, threads) as model:
        for one in asked:
            found.append(decode(one, [run_window(model, window.feeds) for window in one.windows]))
            tell()
    return found


def outputs_of(
    folder: Path, entry: dict[str, Any], feeds: Sequence[Feeds], threads: int = 1, python: Python = OURS
) -> list[Outputs]:
    """Outputs of a file, one window at a time."""
    with python.open(folder, entry, threads) as model:
        return [run_window(model, one) for one in feeds]


def run_window(model: Model, feeds: Mapping[str, Any]) -> Outputs:
    """Outputs of one window, without the batch axis."""
    return {name: array[0] for name, array in model.run(feeds).items()}


def teacher_answers(
    model: Any,
    task: Task,
    architecture: Architecture,
    asked: Sequence[Question],
    decode: Decode,
    tell: Callable[[], None],
) -> list[Answer]:
    """Answers of a torch model, in batches of windows of like length without padding."""
    places = [(i, k) for i, one in enumerate(asked) for k in range(len(one.windows))]
    feeds = [window.feeds for one in asked for window in one.windows]
    waiting: dict[int, dict[int, Outputs]] = {}
    answered: dict[int, Answer] = {}
    for number, found in torch_outputs(model, task, architecture, feeds):
        i, k = places[number]
        waiting.setdefault(i, {})[k] = found
        if len(waiting[i]) == len(asked[i].windows):
            answered[i] = decode(asked[i], [outputs for _, outputs in sorted(waiting.pop(i).items())])
            tell()
    return [answered[i] for i in range(len(asked))]


def torch_outputs(
    model: Any, task: Task, architecture: Architecture, feeds: Sequence[Feeds]
) -> Iterator[tuple[int, Outputs]]:
    """(number, outputs) of each window of a torch model, those of like length together."""
    import torch

    compute = forward_of(task, model, architecture)
    by_length: dict[int, list[int]] = {}
    for i, one in enumerate(feeds):
        by_length.setdefault(one["input_ids"].shape[1], []).append(i)
    for same in by_length.values():
        for start in range(0, len(same), TORCH_BATCH):
            chunk = same[start : start + TORCH_BATCH]
            batch = {k: torch.from_numpy(np.concatenate([feeds[i][k] for i in chunk])) for k in feeds[0]}
            batch = {name: ids.to(model.device) for name, ids in batch.items()}
            with torch.inference_mode():
                outputs = compute(batch, batch["attention_mask"].float())
            arrays = {name: outputs[name].float().cpu().numpy() for name in task.OUTPUTS}
            for place, i in enumerate(chunk):
                yield i, {name: array[place] for name, array in arrays.items()}


def certainty(answers: Sequence[Answer]) -> NDArray[np.float64]:
    """The score of the likeliest label of each answer [rows]: what the out-of-scope threshold is held against."""
    return np.asarray([max(answer["scores"].values()) for answer in answers], np.float64)


def rejected(answer: Answer) -> bool:
    """Whether an answer says that no label fits."""
    return answer.get("in_scope") is False or answer.get("labels") == []


def threshold(dev: Sequence[Answer]) -> float:
    """The certainty below which a twentieth of the dev rows in scope lies."""
    return float(np.quantile(certainty(dev), FALSE_REJECTION, method="lower"))


def auroc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """The chance that a text in scope is more certain than one out of scope (ties count half)."""
    order = np.sort(outside)
    below = np.searchsorted(order, inside, side="left")
    up_to = np.searchsorted(order, inside, side="right")
    return float((below + up_to).sum() / (2 * len(inside) * len(outside)))
