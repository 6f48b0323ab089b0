"""Text classification: one label of several for a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgebert import classification
from edgebert.architectures import Architecture
from edgebert.data import Row
from edgebert.tables import Table
from edgebert.tasks import Answer, Decoding, Example, Window
from edgebert.tokenization import Encoder, ill_formed
from edgebert.verdict import Score

NAME = "text-classification"
COLUMNS = ("text", "label")
TRUTH = "label"
METRIC = "accuracy"
OUTPUTS = ("logits",)
PER_TOKEN = False
LABELLED = True
OUT_OF_SCOPE = True
TUNED = ()


class Settings(Table):
    """Nothing to set."""


def fault(row: Row) -> str | None:
    """What is wrong with a row to train on or score, or None."""
    for column in COLUMNS:
        if column not in row:
            return f"no column '{column}'; here are: {', '.join(row)}; name it: [data.columns] {column} = \"...\""
    if (wrong := ill_formed(row["text"])) is not None:
        return f"text {wrong}"
    return classification.label_fault(row["label"])


def question_fault(row: Row) -> str | None:
    """What is wrong with a row to answer, or None."""
    if "text" not in row:
        return f"no column 'text'; here are: {', '.join(row)}"
    wrong = ill_formed(row["text"])
    return None if wrong is None else f"text {wrong}"


def question(text: str) -> Row | None:
    """A text is a whole question."""
    return {"text": text}


def sample(text: str) -> Row:
    """A row without a label."""
    return {"text": text}


group = classification.group
truth = classification.truth
labels = classification.labels
labels_fault = classification.labels_fault
unknown = classification.unknown


def decoding(settings: Settings, rows: Sequence[Row]) -> Decoding:
    """Nothing beyond what every task has."""
    return {}


def windows(row: Row, encoder: Encoder, decoding: Decoding) -> list[Window]:
    """One window, cut at its end."""
    encoded = encoder.encode(row["text"])
    return [Window(encoded.feeds, truncated=encoded.truncated)]


def fitted(row: Row, encoder: Encoder, decoding: Decoding) -> Row:
    """The row itself: a row is one window."""
    return row


def model(folder: Path, labels: Sequence[str] | None, decoding: Decoding) -> Any:
    """A transformers model with a classification head."""
    return classification.model(folder, labels)


def forward(model: Any, feeds: Mapping[str, Any], mask: Any, architecture: Architecture) -> Mapping[str, Any]:
    """`logits`, float32 [batch, labels]."""
    return {"logits": model(**feeds).logits}


def examples(row: Row, encoder: Encoder, labels: Sequence[str], decoding: Decoding) -> list[Example]:
    """One example; its target is the class number, or -1 out of scope."""
    feeds = encoder.encode(row["text"]).feeds
    return [classification.example(feeds, row, labels)]


collate = classification.collate
loss = classification.loss


def tune(rows: Sequence[Row], answers: Sequence[Answer], decoding: Decoding) -> Decoding:
    """Nothing is tuned."""
    return {}


quality = classification.quality
chance = classification.chance


def scores(rows: Sequence[Row], split: str, answered: Mapping[str, Sequence[Answer]]) -> list[Score]:
    """Accuracy, macro-F1 and the worst class's recall; with few positives of two classes F1 and PR-AUC too."""
    return classification.scores(rows, split, answered)
