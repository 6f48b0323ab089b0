"""Token classification: the entities in a text, named or slots of an intent, from a tag for each word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgebert import intervals
from edgebert.architectures import Architecture
from edgebert.data import Row
from edgebert.device.decoding.token_classification import text_of
from edgebert.device.reading import token_classification as reading
from edgebert.emission import Blueprint, Bottlenecks, Head
from edgebert.metrics import classification, entities
from edgebert.metrics.entities import OUTSIDE, Span
from edgebert.plain import misfit as misfit, tune as tune, tuned as tuned
from edgebert.tables import Table
from edgebert.tasks import Answer, Decoding, Example, Window
from edgebert.tokenization import Encoder
from edgebert.training import soft_targets
from edgebert.verdict import Score

NAME = "token-classification"
COLUMNS = ("text", "spans", "tokens", "tags")
TRUTH = "spans"
METRIC = "entity_f1"
OUTPUTS = ("logits",)
PER_TOKEN = True
LABELLED = True
OUT_OF_SCOPE = False

IGNORED = -100  # the target of pieces that begin no word, as transformers writes it
GUESSED = re.compile(r"\w+|[^\w\s]")  # words, for the score of a guess


class Settings(Table):
    """How long texts are read, and their tags."""

    doc_stride: int = Field(default=32, ge=0, le=256, description="tokens that windows of a long text share")
    well_formed: bool = Field(
        default=True, description="I- begins no entity; false for a trained source in which it may (IOB1)"
    )


fault = entities.fault
question_fault = entities.question_fault


def question(text: str) -> Row | None:
    """A text is a whole question."""
    return {"text": text}


def sample(text: str) -> Row:
    """A row whose entities nobody knows."""
    return {"text": text}


def group(row: Row) -> str:
    """The slots that occur in the row."""
    return ",".join(sorted({span.slot for span in entities.spans_of(row)}))


def truth(row: Row) -> list[dict[str, Any]] | None:
    """The spans of a row, None where they are not known."""
    return [span._asdict() for span in entities.spans_of(row)] if entities.known(row) else None


def labels(rows: Sequence[Row]) -> list[str]:
    """O, and B- and I- of every slot, sorted."""
    slots = {span.slot for row in rows for span in entities.spans_of(row)}
    return sorted({OUTSIDE} | {f"{kind}-{slot}" for kind in "BI" for slot in slots})


def labels_fault(labels: Sequence[str]) -> str | None:
    """Why these labels cannot be trained on, or None."""
    return None if len(labels) > 1 else "no row has an entity, so there is nothing to learn"


def unknown(rows: Sequence[Row], labels: Sequence[str]) -> list[str]:
    """Labels of rows that `labels` lacks: B- and the slot."""
    known = {label.partition("-")[2] for label in labels}
    found = {span.slot for row in rows for span in entities.spans_of(row)}
    return sorted(f"B-{slot}" for slot in found - known)


def decoding(settings: Settings, rows: Sequence[Row]) -> Decoding:
    """The settings as they are."""
    return settings.model_dump()


def windows(row: Row, encoder: Encoder, decoding: Decoding) -> list[Window]:
    """As many overlapping windows as the text needs; nothing is cut."""
    return reading.windows(row, encoder, decoding)


def fitted(row: Row, encoder: Encoder, decoding: Decoding) -> Row:
    """The text of the row, cut between words and before an entity that the window ends in, and its spans."""
    text, spans = text_of(row), entities.spans_of(row)
    (_, here), *more = reading.read(text_of(row), encoder, decoding)
    if more:
        end = here[-1].start if here else 0  # the last word may go on in the next window
        end = min([end, *(span.start for span in spans if span.start < end < span.end)])
        text = text[:end].rstrip() or text.lstrip()[:1]
    kept = [span._asdict() for span in spans if span.end <= len(text)]
    return {"text": text, "spans": kept} if entities.known(row) else {"text": text}


def model(folder: Path, labels: Sequence[str] | None, decoding: Decoding) -> Any:
    """A transformers model with a classification head for each token."""
    import torch
    from transformers import AutoModelForTokenClassification

    head = {} if labels is None else classification.new_head(labels)
    return AutoModelForTokenClassification.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, attn_implementation="eager", **head
    )


def forward(model: Any, feeds: Mapping[str, Any], mask: Any, architecture: Architecture) -> Mapping[str, Any]:
    """`logits`, float32 [batch, tokens, labels]."""
    return {"logits": model(**feeds).logits}


def head(model: Any, blueprint: Blueprint | Bottlenecks) -> Head:
    """Classes of every token."""
    return Head("tokens", (model.classifier,))


def examples(row: Row, encoder: Encoder, labels: Sequence[str], decoding: Decoding) -> list[Example]:
    """An example for each window; its target is a class number for each token, of the first piece of words."""
    read = reading.read(text_of(row), encoder, decoding)
    words = sorted({word for _, here in read for word in here})
    tags = dict(zip(words, entities.tags_of(words, entities.spans_of(row)), strict=True))
    found = []
    for window, here in read:
        feeds = {name: array[0].tolist() for name, array in window.feeds.items()}
        target = [IGNORED] * len(feeds["input_ids"])
        for (place, _, _), word in zip(window.align["words"], here, strict=True):
            target[place] = labels.index(tags[word])
        found.append({**feeds, "target": target})
    return found


def collate(targets: Sequence[list[int]], tokens: int) -> Any:
    """Class numbers int64 [batch, tokens]."""
    import torch

    return torch.tensor([one + [IGNORED] * (tokens - len(one)) for one in targets])


def loss(outputs: Mapping[str, Any], targets: Any) -> Any:
    """Cross-entropy, the mean over words."""
    import torch

    logits = outputs["logits"].flatten(0, 1)
    summed = torch.nn.functional.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return summed / (targets != IGNORED).sum().clamp(min=1)


def places(align: Mapping[str, Any]) -> list[int] | None:
    """The first pieces of words."""
    return [place for place, *_ in align["words"]]


def soft_loss(
    outputs: Mapping[str, Any], taught: Mapping[str, Any], mask: Any, temperature: float, decoding: Decoding
) -> Any:
    """One label of several for the first piece of each word."""
    return soft_targets.token_classes(outputs["logits"], taught["logits"], mask, temperature)


def quality(rows: Sequence[Row], answers: Sequence[Answer]) -> float:
    """Micro F1 over entities."""
    true = [set(entities.spans_of(row)) for row in rows]
    counts = _counts(true, [_given(answer) for answer in answers])
    return float(_f1(counts.sum(axis=0)[None])[0])


def chance(rows: Sequence[Row]) -> float:
    """F1 of taking every word for an entity of the one most frequent slot; no entities at all would score 0."""
    single: Counter[str] = Counter()
    words = true = 0
    for row in rows:
        text, spans = text_of(row), entities.spans_of(row)
        words += len(GUESSED.findall(text))
        true += len(spans)
        single.update(span.slot for span in spans if GUESSED.fullmatch(text[span.start : span.end]))
    hits = max(single.values(), default=0)
    return 2 * hits / (words + true) if words else 0.0


def scores(rows: Sequence[Row], split: str, answered: Mapping[str, Sequence[Answer]]) -> list[Score]:
    """Micro F1, precision and recall over entities, and the F1 of the slot that fares worst.

    As conlleval defines them: an entity counts where both its ends and its slot are the true ones. Answers agree
    where the row's entities are all the same.
    """
    true = [set(entities.spans_of(row)) for row in rows]
    given = {which: [_given(answer) for answer in answers] for which, answers in answered.items()}
    counts = {which: _counts(true, found) for which, found in given.items()}
    f1 = intervals.of_sums(METRIC, split, counts, _f1)
    if "reference" in given and "shipped" in given:
        same = [one == other for one, other in zip(given["reference"], given["shipped"], strict=True)]
        f1.agreement = intervals.proportion(np.asarray(same))
    precision = intervals.of_sums("precision", split, counts, _precision)
    recall = intervals.of_sums("recall", split, counts, _recall)
    return [f1, precision, recall, *_worst(split, true, given)]


def _given(answer: Answer) -> set[Span]:
    return {Span(one["start"], one["end"], one["label"]) for one in answer["entities"]}


def _counts(true: Sequence[set[Span]], found: Sequence[set[Span]]) -> NDArray[np.float64]:
    """Hits, answers and truths of each row [rows, 3]."""
    pairs = zip(true, found, strict=True)
    return np.asarray([(len(one & other), len(other), len(one)) for one, other in pairs], np.float64)


def _f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 of sums of counts [some, 3]; 0 where nothing is true and nothing was answered."""
    return 2 * sums[:, 0] / np.maximum(sums[:, 1] + sums[:, 2], 1)


def _precision(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return sums[:, 0] / np.maximum(sums[:, 1], 1)


def _recall(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return sums[:, 0] / np.maximum(sums[:, 2], 1)


def _worst(split: str, true: Sequence[set[Span]], given: Mapping[str, Sequence[set[Span]]]) -> list[Score]:
    """The F1 of one slot, of several that occur: that in which the shipped file fares worst."""
    slots = sorted({span.slot for one in true for span in one})
    if len(slots) < 2:
        return []
    tables = {
        slot: {
            which: _counts([_of(one, slot) for one in true], [_of(one, slot) for one in found])
            for which, found in given.items()
        }
        for slot in slots
    }
    worst = min(slots, key=lambda slot: float(_f1(tables[slot]["shipped"].sum(axis=0)[None])[0]))
    return [intervals.of_sums("worst_slot_f1", split, tables[worst], _f1)]


def _of(spans: set[Span], slot: str) -> set[Span]:
    return {span for span in spans if span.slot == slot}
