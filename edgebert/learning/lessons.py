"""What a model learns of a task: examples of rows, batches of them, and the score on dev."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from edgebert import scoring
from edgebert.architectures import Architecture
from edgebert.data import Row, Splits
from edgebert.tasks import Decoding, Example, Task
from edgebert.tokenization import Encoder

SHOWN = 40  # characters of a row in its name


class Numbered(NamedTuple):
    """An example, what a message calls the row it is of, and the tokens whose outputs count (None: all)."""

    name: str
    example: Example
    places: list[int] | None = None


@dataclass(frozen=True)
class Lesson:
    """What is learned: a task's rows, by the labels they have."""

    task: Task
    architecture: Architecture
    splits: Splits
    labels: list[str]
    decoding: Decoding

    def examples(self, rows: Sequence[Row], encoder: Encoder) -> list[Example]:
        """What is trained on."""
        return [one for row in rows for one in self.task.examples(row, encoder, self.labels, self.decoding)]

    def numbered(self, rows: Sequence[Row], encoder: Encoder) -> list[Numbered]:
        """What is trained on, each with its row's number, from 1, and beginning."""
        return [
            Numbered(f"row {number} ({str(next(iter(row.values())))[:SHOWN]!r})", one)
            for number, row in enumerate(rows, 1)
            for one in self.examples([row], encoder)
        ]

    def forward(self, model: Any, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        """Output tensors [batch, ...] by name for a batch of ids as `collate` makes them."""
        return self.task.forward(model, feeds, feeds["attention_mask"].float(), self.architecture)

    def collate(self, examples: Sequence[Example]) -> dict[str, Any]:
        """A batch of ids, and under `target` what the task makes of the targets.

        What examples have beside them follows all of them, in their order.
        """
        batch = padded([*examples, *(other for one in examples for other in one.get("beside", []))])
        tokens = batch["input_ids"].shape[1]
        return {**batch, "target": self.task.collate([one["target"] for one in examples], tokens)}


def padded(examples: Sequence[Example]) -> dict[str, Any]:
    """Ids padded with zeros to the longest example: int64 tensors [batch, tokens] by input name."""
    import torch

    length = max(len(one["input_ids"]) for one in examples)
    return {
        name: torch.tensor([one[name] + [0] * (length - len(one[name])) for one in examples])
        for name in examples[0]
        if name not in ("beside", "target")
    }


class DevScore:
    """(quality, minus mean loss) of a model on the dev split: the loss decides between epochs of equal quality."""

    def __init__(self, lesson: Lesson, encoder: Encoder) -> None:
        self.lesson = lesson
        self.rows = lesson.splits.dev.rows
        self.asked = scoring.questions(lesson.task, encoder, self.rows, lesson.decoding)
        self.decode = scoring.decoder(lesson.task.NAME, lesson.labels, lesson.decoding)
        self.examples = sorted(lesson.examples(self.rows, encoder), key=lambda one: len(one["input_ids"]))

    def __call__(self, model: Any) -> tuple[float, float]:
        """Score the model as it is; it is left in training mode."""
        task, architecture = self.lesson.task, self.lesson.architecture
        model.eval()
        answers = scoring.teacher_answers(model, task, architecture, self.asked, self.decode, lambda: None)
        found = (task.quality(self.rows, answers), -self._loss(model))
        model.train()
        return found

    def _loss(self, model: Any) -> float:
        import torch

        task, total = self.lesson.task, 0.0
        with torch.inference_mode():
            for chunk in np.array_split(np.arange(len(self.examples)), math.ceil(len(self.examples) / 64)):
                batch = self.lesson.collate([self.examples[i] for i in chunk])
                batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
                target = batch.pop("target")
                total += float(task.loss(self.lesson.forward(model, batch), target)) * len(chunk)
        return total / len(self.examples)
