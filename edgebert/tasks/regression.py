"""Regression: a number for a text or for a pair of texts, such as how much two sentences mean the same.

The head learns numbers of mean 0 and deviation 1. Mean and scale of the labels stand in the model's config, and
the graph applies them: files give numbers of the user's own scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert import intervals
from edgebert.architectures import Architecture
from edgebert.data import Row, columns_fault, texts_fault
from edgebert.device.reading import regression as reading
from edgebert.emission import Blueprint, Bottlenecks, Head
from edgebert.metrics import classification, correlation
from edgebert.plain import (
    group as group,
    labels as labels,
    labels_fault as labels_fault,
    places as places,
    tune as tune,
    tuned as tuned,
    unknown as unknown,
)
from edgebert.tables import Table
from edgebert.tasks import Answer, Decoding, Example, Window
from edgebert.tokenization import Encoder
from edgebert.training import soft_targets
from edgebert.verdict import Score, Value

NAME = "regression"
COLUMNS = ("text", "text_pair", "label")
TRUTH = "label"
METRIC = "spearman"
OUTPUTS = ("logits",)  # what Optimum and transformers.js call it
PER_TOKEN = False
LABELLED = False
OUT_OF_SCOPE = False


class Settings(Table):
    """Nothing to set."""


def fault(row: Row) -> str | None:
    """What is wrong with a row to train on or score, or None."""
    if (wrong := columns_fault(row, ("text", "label")) or question_fault(row)) is not None:
        return wrong
    if _number(row["label"]) is None:
        return f"label = {row['label']!r}; must be a number"
    return None


def _number(label: object) -> float | None:
    """A label as a number, text of a CSV file too; None where it is none."""
    if isinstance(label, bool) or not isinstance(label, (int, float, str)):
        return None
    try:
        found = float(label)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def question_fault(row: Row) -> str | None:
    """What is wrong with a row to answer, or None."""
    return texts_fault(row, ("text", "text_pair") if "text_pair" in row else ("text",))


def question(text: str) -> Row | None:
    """A text is a whole question, where the model was trained on texts alone."""
    return {"text": text}


def sample(text: str) -> Row:
    """A row without a label: a sentence beside itself."""
    return {"text": text, "text_pair": text}


def truth(row: Row) -> float | None:
    """The label as a number, None where it has none."""
    return _number(row.get("label"))


def decoding(settings: Settings, rows: Sequence[Row]) -> Decoding:
    """Whether rows are `pairs`, and mean and standard deviation of their labels."""
    known = _labels(rows)
    pairs = 2 * sum("text_pair" in row for row in rows) > len(rows)
    return {"pairs": pairs, "label_mean": float(known.mean()), "label_scale": float(known.std())}


def misfit(rows: Sequence[Row], decoding: Decoding) -> str | None:
    """The first row of one text where pairs are expected, or the other way round; or labels that are all equal."""
    wanted = "is missing: pairs are expected" if decoding["pairs"] else "is there, and texts alone are expected"
    for number, row in enumerate(rows, 1):
        if ("text_pair" in row) is not decoding["pairs"]:
            return f"{f'row {number} of {len(rows)}: ' if len(rows) > 1 else ''}text_pair {wanted}"
    if not decoding["label_scale"]:
        return f"every label of train is {decoding['label_mean']:g}: there is nothing to learn"
    return None


def windows(row: Row, encoder: Encoder, decoding: Decoding) -> list[Window]:
    """One window, of pairs the longer text cut first."""
    return reading.windows(row, encoder, decoding)


def fitted(row: Row, encoder: Encoder, decoding: Decoding) -> Row:
    """The row itself: a row is one window."""
    return row


def model(folder: Path, labels: Sequence[str] | None, decoding: Decoding) -> Any:
    """A transformers model with a head of one number."""
    found = classification.model(folder, None if labels is None else [NAME], NAME)
    if found.config.num_labels != 1:
        raise ValueError(f"its head gives {found.config.num_labels} numbers, not one")
    if labels is not None:
        found.config.label_mean, found.config.label_scale = decoding["label_mean"], decoding["label_scale"]
    return found


def forward(model: Any, feeds: Mapping[str, Any], mask: Any, architecture: Architecture) -> Mapping[str, Any]:
    """`logits`, float32 [batch, 1], in the scale of the labels."""
    scale, mean = _range(model)
    return {"logits": model(**feeds).logits * scale + mean}


def _range(model: Any) -> tuple[float, float]:
    """(scale, mean) of the labels the model was trained on."""
    return getattr(model.config, "label_scale", 1.0), getattr(model.config, "label_mean", 0.0)


def head(model: Any, blueprint: Blueprint | Bottlenecks) -> Head:
    """A number of the first token, at the scale of the labels."""
    scale, mean = _range(model)
    return Head("first", blueprint.first, scale=scale, shift=mean)


def examples(row: Row, encoder: Encoder, labels: Sequence[str], decoding: Decoding) -> list[Example]:
    """One example; its target is the label and the scale in which errors are counted."""
    feeds = windows(row, encoder, decoding)[0].feeds
    target = [truth(row), decoding["label_scale"]]
    return [{name: array[0].tolist() for name, array in feeds.items()} | {"target": target}]


def collate(targets: Sequence[Sequence[float]], tokens: int) -> Any:
    """Labels and scales, float32 [batch, 2]."""
    import torch

    return torch.tensor(targets, dtype=torch.float32)


def loss(outputs: Mapping[str, Any], targets: Any) -> Any:
    """The mean squared error of labels of deviation 1."""
    return (((outputs["logits"][:, 0] - targets[:, 0]) / targets[:, 1]) ** 2).mean()


def soft_loss(
    outputs: Mapping[str, Any], taught: Mapping[str, Any], mask: Any, temperature: float, decoding: Decoding
) -> Any:
    """Squared differences of numbers of deviation 1."""
    return soft_targets.values(outputs["logits"], taught["logits"]) / decoding["label_scale"] ** 2


def quality(rows: Sequence[Row], answers: Sequence[Answer]) -> float:
    """Spearman's rank correlation."""
    return correlation.of(correlation.spearman, _labels(rows), _given(answers))


def chance(rows: Sequence[Row]) -> float:
    """The correlation of numbers that know nothing."""
    return 0.0


def scores(rows: Sequence[Row], split: str, answered: Mapping[str, Sequence[Answer]]) -> list[Score]:
    """Spearman's and Pearson's correlation, and the mean absolute error in the scale of the labels.

    Agreement is 1 minus the mean absolute difference as a share of the range of these labels.
    """
    known = _labels(rows)
    given = {which: _given(answers) for which, answers in answered.items()}
    found = []
    for name, kind in ((METRIC, correlation.spearman), ("pearson", correlation.pearson)):
        both = {
            w: (correlation.of(kind, known, x), correlation.resampled(kind, known, x)) for w, x in given.items()
        }
        found.append(intervals.paired(name, split, len(rows), both))
    errors = {which: np.abs(numbers - known)[:, None] for which, numbers in given.items()}
    error = intervals.of_sums("mean_absolute_error", split, errors, lambda sums: sums[:, 0] / len(rows))
    error.drop = None  # of an error points say nothing
    if {"reference", "shipped"} <= given.keys():
        found[0].agreement = _agreement(given["reference"], given["shipped"], float(np.ptp(known)))
    return [*found, error]


def _agreement(first: NDArray[np.float64], second: NDArray[np.float64], extent: float) -> Value | None:
    apart = np.abs(first - second)[:, None]
    if not extent:  # labels that are all equal have no range
        apart, extent = (apart > 0).astype(np.float64), 1.0
    return intervals.of_sums(
        "agreement", "", {"shipped": apart}, lambda sums: np.maximum(0.0, 1 - sums[:, 0] / len(first) / extent)
    ).shipped


def _labels(rows: Sequence[Row]) -> NDArray[np.float64]:
    return np.asarray([truth(row) for row in rows], np.float64)


def _given(answers: Sequence[Answer]) -> NDArray[np.float64]:
    return np.asarray([answer["score"] for answer in answers], np.float64)
