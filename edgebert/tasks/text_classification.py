"""Text classification: one label of several for a text; where rows have lists, every label that holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgebert.architectures import Architecture
from edgebert.data import Row, columns_fault, texts_fault
from edgebert.device.reading import text_classification as reading
from edgebert.emission import Blueprint, Bottlenecks, Head
from edgebert.metrics import classification, multilabel
from edgebert.plain import places as places
from edgebert.tables import Table
from edgebert.tasks import Answer, Decoding, Example, Window
from edgebert.tokenization import Encoder
from edgebert.training import soft_targets
from edgebert.verdict import Score

NAME = "text-classification"
COLUMNS = ("text", "label")
TRUTH = "label"
METRIC = "accuracy"
OUTPUTS = ("logits",)
PER_TOKEN = False
LABELLED = True
OUT_OF_SCOPE = True


class Settings(Table):
    """Nothing to set."""


def fault(row: Row) -> str | None:
    """What is wrong with a row to train on or score, or None."""
    if (wrong := columns_fault(row, COLUMNS) or question_fault(row)) is not None:
        return wrong
    if isinstance(row["label"], list):
        return multilabel.label_fault(row["label"])
    return classification.label_fault(row["label"])


def question_fault(row: Row) -> str | None:
    """What is wrong with a row to answer, or None."""
    return texts_fault(row, ("text",))


def question(text: str) -> Row | None:
    """A text is a whole question."""
    return {"text": text}


def sample(text: str) -> Row:
    """A row without a label."""
    return {"text": text}


def truth(row: Row) -> Any:
    """The label of a row, or the list of its labels; None where it has neither."""
    return multilabel.truth(row) if isinstance(row.get("label"), list) else classification.truth(row)


def _each(row: Row) -> list[str]:
    """The labels of a row, which may be one or a list."""
    found = truth(row)
    return found if isinstance(found, list) else [found]


def group(row: Row) -> str:
    """What a held-out split is stratified by: all labels of a row together."""
    return ", ".join(_each(row))


def labels(rows: Sequence[Row]) -> list[str]:
    """The labels of the task, sorted."""
    return sorted({label for row in rows for label in _each(row)})


def labels_fault(labels: Sequence[str]) -> str | None:
    """Why these labels cannot be trained on, or None."""
    return classification.labels_fault(labels) if labels else "no row has a label"


def unknown(rows: Sequence[Row], labels: Sequence[str]) -> list[str]:
    """Labels of rows that `labels` lacks."""
    return sorted({label for row in rows for label in _each(row)} - set(labels))


def decoding(settings: Settings, rows: Sequence[Row]) -> Decoding:
    """`multi_label` where rows, most of them, have lists of labels: the others are misfits then."""
    lists = sum(isinstance(row["label"], list) for row in rows)
    return {"multi_label": True} if 2 * lists > len(rows) else {}


def misfit(rows: Sequence[Row], decoding: Decoding) -> str | None:
    """The first row with one label where lists are expected, or the other way round."""
    lists = bool(decoding.get("multi_label"))
    wanted = 'lists of labels are expected: ["..."]' if lists else "one label a row is expected, not a list"
    for number, row in enumerate(rows, 1):
        if "label" in row and isinstance(row["label"], list) is not lists:
            return f"row {number} of {len(rows)}: label = {row['label']!r}, where {wanted}"
    return None


def windows(row: Row, encoder: Encoder, decoding: Decoding) -> list[Window]:
    """One window, cut at its end."""
    return reading.windows(row, encoder, decoding)


def fitted(row: Row, encoder: Encoder, decoding: Decoding) -> Row:
    """The row itself: a row is one window."""
    return row


def model(folder: Path, labels: Sequence[str] | None, decoding: Decoding) -> Any:
    """A transformers model with a classification head."""
    several = decoding.get("multi_label")
    return classification.model(folder, labels, multilabel.PROBLEM if several else classification.PROBLEM)


def forward(model: Any, feeds: Mapping[str, Any], mask: Any, architecture: Architecture) -> Mapping[str, Any]:
    """`logits`, float32 [batch, labels]."""
    return {"logits": model(**feeds).logits}


def head(model: Any, blueprint: Blueprint | Bottlenecks) -> Head:
    """Classes of the first token."""
    return Head("first", blueprint.first)


def examples(row: Row, encoder: Encoder, labels: Sequence[str], decoding: Decoding) -> list[Example]:
    """One example; its target is the class number, -1 out of scope, or a number 0 or 1 for each of several."""
    feeds = encoder.encode(row["text"]).feeds
    one = multilabel if decoding.get("multi_label") else classification
    return [one.example(feeds, row, labels)]


def collate(targets: Sequence[Any], tokens: int) -> Any:
    """Class numbers int64 [batch], or 0 and 1 as float32 [batch, labels]."""
    if isinstance(targets[0], list):
        return multilabel.collate(targets)
    return classification.collate(targets, tokens)


def loss(outputs: Mapping[str, Any], targets: Any) -> Any:
    """Cross-entropy, of each label by itself where several may hold."""
    one = multilabel if targets.is_floating_point() else classification
    return one.loss(outputs, targets)


def tuned(decoding: Decoding) -> tuple[str, ...]:
    """The thresholds of labels, where several may hold."""
    return ("thresholds",) if decoding.get("multi_label") else ()


def soft_loss(
    outputs: Mapping[str, Any], taught: Mapping[str, Any], mask: Any, temperature: float, decoding: Decoding
) -> Any:
    """One label of several, or several that each hold or not."""
    distance = soft_targets.labels if decoding.get("multi_label") else soft_targets.classes
    return distance(outputs["logits"], taught["logits"], temperature)


def tune(rows: Sequence[Row], answers: Sequence[Answer], decoding: Decoding) -> Decoding:
    """The thresholds by which micro-F1 is highest."""
    return {"thresholds": multilabel.tune(rows, answers)}


def quality(rows: Sequence[Row], answers: Sequence[Answer]) -> float:
    """Accuracy; micro-F1 where several labels may hold."""
    if "labels" in answers[0]:
        return multilabel.quality(rows, answers)
    return classification.quality(rows, answers)


def chance(rows: Sequence[Row]) -> float:
    """The score of the best answer that is always the same."""
    if isinstance(rows[0]["label"], list):
        return multilabel.chance(rows)
    return classification.chance(rows)


def scores(rows: Sequence[Row], split: str, answered: Mapping[str, Sequence[Answer]]) -> list[Score]:
    """Accuracy and what stands beside it, or micro-F1 where several labels may hold."""
    if "labels" in next(iter(answered.values()))[0]:
        return multilabel.scores(rows, split, answered)
    return classification.scores(rows, split, answered)
