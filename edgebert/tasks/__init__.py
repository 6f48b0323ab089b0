"""Tasks: the columns a row has, what is trained on it, and how answers are scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgebert.data import Row
from edgebert.verdict import Score

Outputs = dict[str, NDArray[np.float32]]


class Task(Protocol):
    """What a module in this folder offers."""

    NAME: str

    @property
    def COLUMNS(self) -> tuple[str, ...]:
        """Columns of a row."""

    METRIC: str

    @property
    def OUTPUTS(self) -> tuple[str, ...]:
        """Names of the output tensors."""

    def fault(self, row: Row) -> str | None:
        """What is wrong with a row, or None."""

    def group(self, row: Row) -> str:
        """What a held-out split is stratified by."""

    def texts(self, row: Row) -> tuple[str, str | None]:
        """The text, or pair of texts, that the model reads."""

    def labels(self, rows: list[Row]) -> list[str]:
        """The labels of the task, sorted."""

    def unknown(self, rows: list[Row], labels: list[str]) -> list[str]:
        """Labels of rows that `labels` lacks."""

    def model(self, folder: Path, labels: list[str] | None) -> Any:
        """The torch model with the task's head (a new head where `labels` are given)."""

    def targets(self, rows: list[Row], labels: list[str]) -> list[int]:
        """What training asks for, one class number a row."""

    def answers(self, outputs: Outputs) -> NDArray[np.int64]:
        """The class number each row's outputs [rows, ...] stand for."""

    def chance(self, rows: list[Row]) -> float:
        """The score of always giving the most frequent answer."""

    def scores(self, rows: list[Row], labels: list[str], split: str, answered: dict[str, Outputs]) -> list[Score]:
        """Scores of teacher, reference and shipped (keys of `answered`); the gated metric first."""
