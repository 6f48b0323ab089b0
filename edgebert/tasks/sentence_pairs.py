"""Sentence pairs: one label of several for two texts, such as whether the one answers or implies the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgebert.architectures import Architecture
from edgebert.data import Row, columns_fault, texts_fault
from edgebert.device.reading import sentence_pairs as reading
from edgebert.emission import Blueprint, Bottlenecks, Head
from edgebert.metrics import classification
from edgebert.plain import misfit as misfit, places as places, tune as tune, tuned as tuned
from edgebert.tables import Table
from edgebert.tasks import Answer, Decoding, Example, Window
from edgebert.tokenization import Encoder
from edgebert.training import soft_targets
from edgebert.verdict import Score

NAME = "sentence-pairs"
COLUMNS = ("text", "text_pair", "label")
TRUTH = "label"
METRIC = "accuracy"
OUTPUTS = ("logits",)
PER_TOKEN = False
LABELLED = True
OUT_OF_SCOPE = False


class Settings(Table):
    """Nothing to set."""


def fault(row: Row) -> str | None:
    """What is wrong with a row to train on or score, or None."""
    wrong = columns_fault(row, COLUMNS) or question_fault(row)
    return wrong or classification.label_fault(row["label"])


def question_fault(row: Row) -> str | None:
    """What is wrong with a row to answer, or None."""
    return texts_fault(row, ("text", "text_pair"))


def question(text: str) -> Row | None:
    """A text alone is no pair."""
    return None


def sample(text: str) -> Row:
    """A row without a label: a sentence beside itself."""
    return {"text": text, "text_pair": text}


group = classification.group
truth = classification.truth
labels = classification.labels
labels_fault = classification.labels_fault
unknown = classification.unknown


def decoding(settings: Settings, rows: Sequence[Row]) -> Decoding:
    """Nothing beyond what every task has."""
    return {}


def windows(row: Row, encoder: Encoder, decoding: Decoding) -> list[Window]:
    """One window of both texts, the longer of them cut first."""
    return reading.windows(row, encoder, decoding)


def fitted(row: Row, encoder: Encoder, decoding: Decoding) -> Row:
    """The row itself: a row is one window."""
    return row


def model(folder: Path, labels: Sequence[str] | None, decoding: Decoding) -> Any:
    """A transformers model with a classification head."""
    return classification.model(folder, labels)


def forward(model: Any, feeds: Mapping[str, Any], mask: Any, architecture: Architecture) -> Mapping[str, Any]:
    """`logits`, float32 [batch, labels]."""
    return {"logits": model(**feeds).logits}


def head(model: Any, blueprint: Blueprint | Bottlenecks) -> Head:
    """Classes of the first token."""
    return Head("first", blueprint.first)


def examples(row: Row, encoder: Encoder, labels: Sequence[str], decoding: Decoding) -> list[Example]:
    """One example; its target is the class number."""
    return [classification.example(windows(row, encoder, decoding)[0].feeds, row, labels)]


collate = classification.collate
loss = classification.loss


def soft_loss(
    outputs: Mapping[str, Any], taught: Mapping[str, Any], mask: Any, temperature: float, decoding: Decoding
) -> Any:
    """One label of several."""
    return soft_targets.classes(outputs["logits"], taught["logits"], temperature)


quality = classification.quality
chance = classification.chance


def scores(rows: Sequence[Row], split: str, answered: Mapping[str, Sequence[Answer]]) -> list[Score]:
    """Accuracy, macro-F1 and the worst class's recall; with few positives of two classes F1 and PR-AUC too."""
    return classification.scores(rows, split, answered)
