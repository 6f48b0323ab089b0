"""Feature extraction: a vector for a text, near the vectors of the passages that answer it.

The vector is the mean of the last hidden states over the tokens, of the length 1, and both are part of the graph
(Reimers and Gurevych 2019, "Sentence-BERT", section 3). A row's passage is read as a window of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from edgebert.architectures import Architecture
from edgebert.data import Row, columns_fault, texts_fault
from edgebert.device.reading import feature_extraction as reading
from edgebert.emission import Blueprint, Bottlenecks, Head
from edgebert.metrics import retrieval
from edgebert.plain import (
    group as group,
    labels as labels,
    labels_fault as labels_fault,
    misfit as misfit,
    places as places,
    tune as tune,
    tuned as tuned,
    unknown as unknown,
)
from edgebert.tables import Table
from edgebert.tasks import Answer, Decoding, Example, Window
from edgebert.tokenization import Encoder, Feeds
from edgebert.training import soft_targets
from edgebert.verdict import Score

NAME = "feature-extraction"
COLUMNS = ("text", "text_pair")
TRUTH = "text_pair"
METRIC = f"mrr@{retrieval.DEPTH}"
OUTPUTS = ("sentence_embedding",)  # what sentence-transformers calls it
PER_TOKEN = False
LABELLED = False
OUT_OF_SCOPE = False
SCALE = 20.0  # of cosines in the loss, as sentence-transformers has it


class Settings(Table):
    """What some encoders want to read before a text."""

    query_prefix: str = Field(default="", description="before every text")
    passage_prefix: str = Field(default="", description="before every text_pair")


def fault(row: Row) -> str | None:
    """What is wrong with a row to train on or score, or None."""
    return columns_fault(row, COLUMNS) or texts_fault(row, COLUMNS)


def question_fault(row: Row) -> str | None:
    """What is wrong with a row to answer, or None: it has a text, a passage or both."""
    given = [column for column in COLUMNS if column in row]
    return texts_fault(row, given or ("text",))


def question(text: str) -> Row | None:
    """A text is a whole question."""
    return {"text": text}


def sample(text: str) -> Row:
    """A row without a passage."""
    return {"text": text}


def truth(row: Row) -> Any:
    """The passage, None where the row has none."""
    return row.get("text_pair")


def decoding(settings: Settings, rows: Sequence[Row]) -> Decoding:
    """The settings."""
    return settings.model_dump()


def windows(row: Row, encoder: Encoder, decoding: Decoding) -> list[Window]:
    """A window of the text and one of the passage, each where the row has it, cut at its end."""
    return reading.windows(row, encoder, decoding)


def fitted(row: Row, encoder: Encoder, decoding: Decoding) -> Row:
    """The row with one of its texts: its own, where it has one."""
    return {name: value for name, value in row.items() if name != "text_pair" or "text" not in row}


def model(folder: Path, labels: Sequence[str] | None, decoding: Decoding) -> Any:
    """A transformers encoder in fp32 with plain attention, without the pooler that no vector passes."""
    import torch
    from transformers import AutoModel

    found = AutoModel.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, attn_implementation="eager"
    )
    if getattr(found, "pooler", None) is not None:
        found.pooler = None
    return found


def forward(model: Any, feeds: Mapping[str, Any], mask: Any, architecture: Architecture) -> Mapping[str, Any]:
    """`sentence_embedding`, float32 [batch, hidden], of the length 1."""
    states = model(**feeds).last_hidden_state * mask[:, :, None]
    mean = states.sum(1) / mask.sum(1, keepdim=True).clamp(min=1.0)
    return {"sentence_embedding": mean / (mean * mean).sum(-1, keepdim=True).clamp(min=1e-12).sqrt()}


def head(model: Any, blueprint: Blueprint | Bottlenecks) -> Head:
    """The mean over the tokens, of length 1."""
    return Head("mean")


def examples(row: Row, encoder: Encoder, labels: Sequence[str], decoding: Decoding) -> list[Example]:
    """The text, its passage beside it; the target is a number that equal passages share."""
    query, passage = (_lists(window.feeds) for window in windows(row, encoder, decoding))
    digest = hashlib.blake2b(row["text_pair"].encode(), digest_size=8).digest()
    return [{**query, "beside": [passage], "target": int.from_bytes(digest, "big", signed=True)}]


def _lists(feeds: Feeds) -> dict[str, Any]:
    return {name: array[0].tolist() for name, array in feeds.items()}


def collate(targets: Sequence[int], tokens: int) -> Any:
    """Numbers of passages int64 [batch]."""
    import torch

    return torch.tensor(targets)


def loss(outputs: Mapping[str, Any], targets: Any) -> Any:
    """Each text must find its passage among those of the batch, and each passage its text.

    Multiple negatives ranking (Henderson et al. 2017, "Efficient Natural Language Response Suggestion", section
    4.4), in both directions; another row's equal passage is no negative.
    """
    import torch

    texts, passages = outputs["sentence_embedding"].split(len(targets))
    equal = (targets[:, None] == targets[None]) & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    found = (SCALE * texts @ passages.T).masked_fill(equal, float("-inf"))
    right = torch.arange(len(targets), device=targets.device)
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(found, right) + cross_entropy(found.T, right)) / 2


def soft_loss(
    outputs: Mapping[str, Any], taught: Mapping[str, Any], mask: Any, temperature: float, decoding: Decoding
) -> Any:
    """How far vectors point apart."""
    return soft_targets.vectors(outputs["sentence_embedding"], taught["sentence_embedding"])


def quality(rows: Sequence[Row], answers: Sequence[Answer]) -> float:
    """The mean reciprocal rank of the passages."""
    return float(retrieval.reciprocal(_ranked(rows, answers)[0]).mean())


def chance(rows: Sequence[Row]) -> float:
    """The score of passages in random order."""
    return retrieval.guessed(len({row["text_pair"] for row in rows}))


def scores(rows: Sequence[Row], split: str, answered: Mapping[str, Sequence[Answer]]) -> list[Score]:
    """Mean reciprocal rank and recall at 1, among all distinct passages of these rows."""
    ranked = {which: _ranked(rows, answers) for which, answers in answered.items()}
    return retrieval.scores(METRIC, split, ranked)


def _ranked(rows: Sequence[Row], answers: Sequence[Answer]) -> tuple[retrieval.Numbers, retrieval.Numbers]:
    first, right = retrieval.distinct([row["text_pair"] for row in rows])
    queries = np.asarray([answer["vector"] for answer in answers], np.float32)
    passages = np.asarray([answers[i]["pair_vector"] for i in first], np.float32)
    return retrieval.ranks(queries, passages, right)
