"""Tasks: the columns a row has, what the model reads of it, what is trained, and how answers are scored.

How outputs become an answer is the device's own code, `edgebert.device.decoding`, one module for each task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgebert.architectures import Architecture
from edgebert.data import Row
from edgebert.device.reading import Window as Window
from edgebert.emission import Blueprint, Bottlenecks, Head
from edgebert.tables import Table
from edgebert.tokenization import Encoder
from edgebert.verdict import Score

Outputs = dict[str, NDArray[np.float32]]  # of one window, by name, without the batch axis
Answer = dict[str, Any]  # what `predict` tells of a row, but for `truncated`
Decoding = dict[str, Any]  # the manifest's `decoding`: what the decoder goes by
Example = dict[str, Any]  # ids by input name (lists of ints), `target`; `beside`: ids of what is read with them


class Task(Protocol):
    """What a module in this folder offers."""

    NAME: str

    @property
    def COLUMNS(self) -> tuple[str, ...]:
        """Columns that a row may have."""

    TRUTH: str
    """The column that training and scoring need and a row to be answered lacks."""

    METRIC: str

    @property
    def OUTPUTS(self) -> tuple[str, ...]:
        """Names of the output tensors."""

    PER_TOKEN: bool
    """Whether outputs are [batch, tokens, ...]."""

    LABELLED: bool
    """Whether the model's config names the labels that answers are of."""

    OUT_OF_SCOPE: bool
    """Whether texts that no label fits can be told by the certainty of an answer (its `score`)."""

    @property
    def Settings(self) -> type[Table]:
        """The recipe's `[decoding]`, with its defaults."""

    def fault(self, row: Row) -> str | None:
        """What is wrong with a row to train on or score, or None."""

    def question_fault(self, row: Row) -> str | None:
        """What is wrong with a row to answer, or None."""

    def question(self, text: str) -> Row | None:
        """Plain text as a row to answer; None where a text alone is no question."""

    def sample(self, text: str) -> Row:
        """A row to run, for ranges and golden rows, made of a sentence that belongs to no data set."""

    def group(self, row: Row) -> str:
        """What a held-out split is stratified by."""

    def truth(self, row: Row) -> Any:
        """The row's truth as golden rows hold it, JSON; None where it has none."""

    def labels(self, rows: Sequence[Row]) -> list[str]:
        """The labels of the task, sorted; empty where it has none."""

    def labels_fault(self, labels: Sequence[str]) -> str | None:
        """Why these labels cannot be trained on, or None."""

    def unknown(self, rows: Sequence[Row], labels: Sequence[str]) -> list[str]:
        """Labels of rows that `labels` lacks."""

    def decoding(self, settings: Any, rows: Sequence[Row]) -> Decoding:
        """What the decoder goes by, from the recipe's settings and the training rows."""

    def misfit(self, rows: Sequence[Row], decoding: Decoding) -> str | None:
        """Why rows, each sound by itself, cannot be learned, scored or answered under this decoding, or None.

        Rows to answer come one by one and without the truth.
        """

    def windows(self, row: Row, encoder: Encoder, decoding: Decoding) -> list[Window]:
        """What the model reads of a row."""

    def fitted(self, row: Row, encoder: Encoder, decoding: Decoding) -> Row:
        """The row, cut to what one window holds: golden rows are of one."""

    def model(self, folder: Path, labels: Sequence[str] | None, decoding: Decoding) -> Any:
        """The torch model with the task's head in fp32, plain attention (a new head where `labels` are given)."""

    def forward(
        self, model: Any, feeds: Mapping[str, Any], mask: Any, architecture: Architecture
    ) -> Mapping[str, Any]:
        """Output tensors [batch, ...] by name.

        `feeds` are for the model as they are; `mask` is float32 [batch, tokens], 1 where a token is.
        """

    def head(self, model: Any, blueprint: Blueprint | Bottlenecks) -> Head:
        """What `forward` makes of the encoder's states, for a graph that is emitted."""

    def examples(self, row: Row, encoder: Encoder, labels: Sequence[str], decoding: Decoding) -> list[Example]:
        """What is trained on: ids as lists by input name and `target`; a row without truth is out of scope."""

    def collate(self, targets: Sequence[Any], tokens: int) -> Any:
        """Targets of a batch padded to `tokens`, as what `loss` takes."""

    def loss(self, outputs: Mapping[str, Any], targets: Any) -> Any:
        """The training loss, a scalar tensor."""

    def tuned(self, decoding: Decoding) -> tuple[str, ...]:
        """Names of what `tune` finds; empty: the dev split is not run for it."""

    def places(self, align: Mapping[str, Any]) -> list[int] | None:
        """The tokens of a window whose outputs mean something, by what it tells decoding; None: all."""

    def soft_loss(
        self,
        outputs: Mapping[str, Any],
        taught: Mapping[str, Any],
        mask: Any,
        temperature: float,
        decoding: Decoding,
    ) -> Any:
        """How far outputs are from a teacher's, a scalar tensor (see `edgebert.training.soft_targets`).

        `taught` has the teacher's output tensors by name, padded as `outputs` are; `mask` is float32
        [batch, tokens], 1 where an output counts (see `places`).
        """

    def tune(self, rows: Sequence[Row], answers: Sequence[Answer], decoding: Decoding) -> Decoding:
        """What the dev split's answers of the shipped file set (see `tuned`)."""

    def quality(self, rows: Sequence[Row], answers: Sequence[Answer]) -> float:
        """The metric alone, 0..1: what chooses between epochs."""

    def chance(self, rows: Sequence[Row]) -> float:
        """The score of always giving the most frequent answer."""

    def scores(self, rows: Sequence[Row], split: str, answered: Mapping[str, Sequence[Answer]]) -> list[Score]:
        """Scores of teacher, reference and shipped (keys of `answered`); the gated metric first."""


def forward_of(
    task: Task, model: Any, architecture: Architecture
) -> Callable[[Mapping[str, Any], Any], Mapping[str, Any]]:
    """The task's `forward` for one model: (feeds, mask) to output tensors by name."""
    return lambda feeds, mask: task.forward(model, feeds, mask, architecture)
