"""Extractive summarization: the sentences of a text that say most of it, chosen by the encoder.

As in BERTSUM (Liu and Lapata 2019, "Text Summarization with Pretrained Encoders", section 3.1) every sentence
begins with its own [CLS] and segments alternate. A sentence's logit is the mean of its tokens', not that of its
[CLS], which says nothing amid a text before it is trained, and few rows do not train it: with a MiniLM and the 112
documents of `recipes/data/summaries`, after four epochs at 2e-4, ROUGE-L on dev is .286 with the mean, .235 with
[CLS] and .194 by chance. A long text is read in several windows of whole sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgebert import intervals
from edgebert.architectures import Architecture
from edgebert.data import Row
from edgebert.device.decoding.extractive_summarization import sentences_of
from edgebert.device.reading import extractive_summarization as reading
from edgebert.emission import Blueprint, Bottlenecks, Head
from edgebert.metrics import rouge
from edgebert.plain import (
    group as group,
    labels as labels,
    labels_fault as labels_fault,
    tune as tune,
    tuned as tuned,
    unknown as unknown,
)
from edgebert.tables import Table
from edgebert.tasks import Answer, Decoding, Example, Window
from edgebert.tokenization import Encoder, ill_formed
from edgebert.training import soft_targets
from edgebert.verdict import Score

NAME = "extractive-summarization"
COLUMNS = ("text", "sentences", "summary")
TRUTH = "summary"
METRIC = "rougeL"
OUTPUTS = ("logits",)
PER_TOKEN = True
LABELLED = False
OUT_OF_SCOPE = False

DRAWS = 10  # random choices in each text, for the score of a guess


class Settings(Table):
    """How long summaries are."""

    sentences: int | None = Field(default=None, ge=1, le=100, description="None: as the training summaries have")


def question_fault(row: Row) -> str | None:
    """What is wrong with a row to answer, or None."""
    if "sentences" not in row:
        if "text" not in row:
            return f"no column 'sentences' or 'text'; here are: {', '.join(row)}"
        wrong = ill_formed(row["text"])
        return None if wrong is None else f"text {wrong}"
    sentences = row["sentences"]
    if not isinstance(sentences, list) or not sentences:
        shown = repr(sentences) if len(repr(sentences)) < 60 else f"{repr(sentences)[:57]}..."
        hint = "; call a plain text `text`: it is split into sentences" if isinstance(sentences, str) else ""
        return f"sentences = {shown}; must be a list of texts{hint}"
    for i, sentence in enumerate(sentences):
        if (wrong := ill_formed(sentence)) is not None:
            return f"sentences[{i}] {wrong}"
    return None


def fault(row: Row) -> str | None:
    """What is wrong with a row to train on or score, or None."""
    if TRUTH not in row:
        return f"no column 'summary'; here are: {', '.join(row)}; name it: [data.columns] summary = \"...\""
    if (wrong := ill_formed(row["summary"])) is not None:
        return f"summary {wrong}"
    if not rouge.words(row["summary"]):
        return "summary has no word in it"
    return question_fault(row)


def question(text: str) -> Row | None:
    """A text is a whole question."""
    return {"text": text}


def sample(text: str) -> Row:
    """A text of one sentence."""
    return {"sentences": [text]}


def truth(row: Row) -> str | None:
    """The summary of a row, None where it has none."""
    return row.get("summary")


def decoding(settings: Settings, rows: Sequence[Row]) -> Decoding:
    """How many sentences are chosen: by default as many as a training summary is long, in the median."""
    usual = int(np.median([_length(row) for row in rows]).round())
    return {"sentences": usual if settings.sentences is None else settings.sentences}


def _length(row: Row) -> int:
    """The length of a row's summary, in sentences of the mean length of its text's."""
    sentences = sentences_of(row)
    words = sum(len(rouge.words(one)) for one in sentences)
    return max(1, round(len(rouge.words(row["summary"])) * len(sentences) / max(1, words)))


def misfit(rows: Sequence[Row], decoding: Decoding) -> str | None:
    """Why there is nothing to choose in any row with a summary, or None."""
    lengths = [len(sentences_of(row)) for row in rows if TRUTH in row]
    longest = max(lengths, default=0)
    if not lengths or longest > decoding["sentences"]:
        return None
    return f"no text has more than {longest} sentences, and {decoding['sentences']} are chosen: nothing to learn"


def windows(row: Row, encoder: Encoder, decoding: Decoding) -> list[Window]:
    """As many windows of whole sentences as the text needs; a sentence longer than a window is cut to one."""
    return reading.windows(row, encoder, decoding)


def fitted(row: Row, encoder: Encoder, decoding: Decoding) -> Row:
    """The sentences of the first window, with the whole summary."""
    count = len(windows(row, encoder, decoding)[0].align["sentences"])
    known = {TRUTH: row[TRUTH]} if TRUTH in row else {}
    return {"sentences": sentences_of(row)[:count], **known}


def model(folder: Path, labels: Sequence[str] | None, decoding: Decoding) -> Any:
    """A transformers model with one logit for each token."""
    import torch
    from transformers import AutoModelForTokenClassification

    head = {} if labels is None else {"num_labels": 1, "ignore_mismatched_sizes": True}
    return AutoModelForTokenClassification.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, attn_implementation="eager", **head
    )


def forward(model: Any, feeds: Mapping[str, Any], mask: Any, architecture: Architecture) -> Mapping[str, Any]:
    """`logits`, float32 [batch, tokens]."""
    return {"logits": model(**feeds).logits.squeeze(-1)}


def head(model: Any, blueprint: Blueprint | Bottlenecks) -> Head:
    """A logit of every token."""
    return Head("tokens", (model.classifier,), columns=True)


def examples(row: Row, encoder: Encoder, labels: Sequence[str], decoding: Decoding) -> list[Example]:
    """An example for each window; its target numbers each token's sentence there, negative if not chosen."""
    chosen = rouge.oracle(sentences_of(row), row["summary"], decoding["sentences"])
    found = []
    for window in windows(row, encoder, decoding):
        feeds = {name: array[0].tolist() for name, array in window.feeds.items()}
        target: list[int] = []
        for i, (begin, end, number) in enumerate(window.align["sentences"], 1):
            target += [i if number in chosen else -i] * (end - begin)
        found.append({**feeds, "target": target})
    return found


def collate(targets: Sequence[list[int]], tokens: int) -> Any:
    """The number of each token's sentence from 1, negative if it should not be chosen; int64 [batch, tokens]."""
    import torch

    return torch.tensor([one + [0] * (tokens - len(one)) for one in targets])


def loss(outputs: Mapping[str, Any], targets: Any) -> Any:
    """Binary cross-entropy, the mean over sentences."""
    import torch

    # [batch, tokens, sentences]: 1 where the token is of the sentence
    within = torch.nn.functional.one_hot(targets.abs())[..., 1:].to(outputs["logits"].dtype)
    tokens = within.sum(dim=1)
    logits = (within * outputs["logits"][..., None]).sum(dim=1) / tokens.clamp(min=1)
    chosen = (within * (targets > 0)[..., None]).sum(dim=1).clamp(max=1)
    known = tokens > 0
    return torch.nn.functional.binary_cross_entropy_with_logits(logits[known], chosen[known])


def places(align: Mapping[str, Any]) -> list[int] | None:
    """All: every token is in a sentence."""
    return None


def soft_loss(
    outputs: Mapping[str, Any], taught: Mapping[str, Any], mask: Any, temperature: float, decoding: Decoding
) -> Any:
    """What each token brings to its sentence's mean."""
    return soft_targets.token_values(outputs["logits"], taught["logits"], mask)


def quality(rows: Sequence[Row], answers: Sequence[Answer]) -> float:
    """The mean ROUGE-L."""
    pairs = zip(answers, rows, strict=True)
    return float(np.mean([rouge.rouge_l(_words(answer), rouge.words(row["summary"])) for answer, row in pairs]))


def chance(rows: Sequence[Row]) -> float:
    """The mean ROUGE-L of sentences drawn at random, as many as each summary is long.

    What a model that learned nothing reaches. The first sentences are no such measure: they are the point of a
    news item, and a choice like any other elsewhere.
    """
    random = np.random.default_rng(0)
    found = []
    for row in rows:
        sentences, summary = [rouge.words(one) for one in sentences_of(row)], rouge.words(row["summary"])
        for _ in range(DRAWS):
            drawn = random.permutation(len(sentences))[: _length(row)]
            found.append(rouge.rouge_l([word for i in sorted(drawn) for word in sentences[i]], summary))
    return float(np.mean(found))


def scores(rows: Sequence[Row], split: str, answered: Mapping[str, Sequence[Answer]]) -> list[Score]:
    """ROUGE-L, ROUGE-1 and ROUGE-2, means over texts; answers agree where the same sentences are chosen."""
    truths = [rouge.words(row["summary"]) for row in rows]
    found = {which: [_words(answer) for answer in answers] for which, answers in answered.items()}
    metrics = (
        (METRIC, rouge.rouge_l),
        ("rouge1", lambda one, other: rouge.rouge_n(one, other, 1)),
        ("rouge2", lambda one, other: rouge.rouge_n(one, other, 2)),
    )
    scores = []
    for metric, of in metrics:
        tables = {
            which: np.asarray([(of(one, truth), 1) for one, truth in zip(given, truths, strict=True)], np.float64)
            for which, given in found.items()
        }
        scores.append(intervals.of_sums(metric, split, tables, _mean))
    if "reference" in answered and "shipped" in answered:
        pairs = zip(answered["reference"], answered["shipped"], strict=True)
        same = [_chosen(one) == _chosen(other) for one, other in pairs]
        scores[0].agreement = intervals.proportion(np.asarray(same))
    return scores


def _words(answer: Answer) -> list[str]:
    return [word for one in answer["sentences"] for word in rouge.words(one["text"])]


def _chosen(answer: Answer) -> list[int]:
    return [one["index"] for one in answer["sentences"]]


def _mean(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return sums[:, 0] / sums[:, 1]
