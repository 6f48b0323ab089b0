"""Question answering: the span of a context that answers a question, or that none does (SQuAD 1.1 and 2.0)."""

from __future__ import annotations

import math
import sys
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
from edgebert.device.decoding.question_answering import golds
from edgebert.device.reading import question_answering as reading
from edgebert.emission import Blueprint, Bottlenecks, Head
from edgebert.metrics import squad
from edgebert.plain import (
    labels as labels,
    labels_fault as labels_fault,
    misfit as misfit,
    places as places,
    unknown as unknown,
)
from edgebert.tables import Table
from edgebert.tasks import Answer, Decoding, Example, Window
from edgebert.tokenization import Encoder, ill_formed
from edgebert.training import soft_targets
from edgebert.verdict import Score

NAME = "question-answering"
COLUMNS = ("question", "context", "answers", "id")
TRUTH = "answers"
METRIC = "f1"
OUTPUTS = ("start_logits", "end_logits")
PER_TOKEN = True
LABELLED = False
OUT_OF_SCOPE = False


class Settings(Table):
    """How long contexts are read, and which spans may be answers."""

    doc_stride: int = Field(default=128, ge=0, le=512, description="tokens of the context that windows share")
    max_answer_tokens: int = Field(default=30, ge=1, le=512)
    n_best: int = Field(default=5, ge=1, le=100, description="spans that are listed and share the score")
    null_threshold: float | None = Field(
        default=None, description="lead at which no answer is given; None: tuned on dev where train lacks answers"
    )


def fault(row: Row) -> str | None:
    """What is wrong with a row to train on or score, or None."""
    if (wrong := question_fault(row)) is not None:
        return wrong
    if "answers" not in row:
        return f"no column 'answers'; here are: {', '.join(row)}; name it: [data.columns] answers = \"...\""
    return squad.fault(row["answers"], row["context"])


def question_fault(row: Row) -> str | None:
    """What is wrong with a row to answer, or None."""
    for column in ("question", "context"):
        if column not in row:
            here = ", ".join(row)
            return f"no column '{column}'; here are: {here}; name it: [data.columns] {column} = \"...\""
        if (wrong := ill_formed(row[column])) is not None:
            return f"{column} {wrong}"
    return None


def question(text: str) -> Row | None:
    """A text alone is no question: the context is missing."""
    return None


def sample(text: str) -> Row:
    """A row that asks about a sentence."""
    return {"question": "What is this about?", "context": text}


def group(row: Row) -> str:
    """What a held-out split is stratified by."""
    return "answered" if row["answers"]["text"] else "unanswered"


def truth(row: Row) -> Any:
    """The true answers, None where they are not known."""
    return row.get("answers")


def decoding(settings: Settings, rows: Sequence[Row]) -> Decoding:
    """The settings; `null_threshold` is None where no row lacks an answer, and absent where it is to be tuned."""
    found = settings.model_dump()
    if settings.null_threshold is None and any(not row["answers"]["text"] for row in rows):
        del found["null_threshold"]
    return found


def windows(row: Row, encoder: Encoder, decoding: Decoding) -> list[Window]:
    """As many windows as the context takes; `align` tells of its tokens: the first one, and their code points."""
    return reading.windows(row, encoder, decoding)


def fitted(row: Row, encoder: Encoder, decoding: Decoding) -> Row:
    """The row with so much of its context around the answer as one window holds; answers outside are dropped.

    Where none is left of those it had, the row has no truth.
    """
    held = windows(row, encoder, decoding)
    if len(held) == 1:
        return row
    places = [_place(window.align, row) for window in held]
    offsets = held[next((i for i, place in enumerate(places) if place is not None), 0)].align["offsets"]
    begin, end = offsets[0][0], offsets[-1][1]
    while len(windows({**row, "context": row["context"][begin:end]}, encoder, decoding)) > 1:
        offsets = offsets[:-1]  # a word cut in two may take more pieces than before
        end = offsets[-1][1]
    cut = {**row, "context": row["context"][begin:end]}
    if "answers" not in row:
        return cut
    pairs = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
    inside = [(text, start - begin) for text, start in pairs if begin <= start and start + len(text) <= end]
    if row["answers"]["text"] and not inside:
        return {name: value for name, value in cut.items() if name != "answers"}
    answers = {"text": [text for text, _ in inside], "answer_start": [start for _, start in inside]}
    return {**cut, "answers": answers}


def _place(align: Mapping[str, Any], row: Row) -> tuple[int, int] | None:
    """First and last token of the answer that most gave, among a window's; None where it is not all there."""
    answers = row.get("answers") or {"text": [], "answer_start": []}
    given = Counter(zip(answers["answer_start"], answers["text"], strict=True))
    if not given or not align["offsets"]:
        return None
    [((start, text), _)] = given.most_common(1)
    end, offsets = start + len(text), align["offsets"]
    if start < offsets[0][0] or end > offsets[-1][1]:
        return None
    first = next(i for i, (_, behind) in enumerate(offsets) if behind > start)
    last = max(i for i, (before, _) in enumerate(offsets) if before < end)
    return align["first"] + first, align["first"] + max(first, last)


def model(folder: Path, labels: Sequence[str] | None, decoding: Decoding) -> Any:
    """A transformers model with a start and an end logit for each token, in fp32 with plain attention."""
    import torch
    from transformers import AutoModelForQuestionAnswering

    return AutoModelForQuestionAnswering.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, attn_implementation="eager"
    )


def forward(model: Any, feeds: Mapping[str, Any], mask: Any, architecture: Architecture) -> Mapping[str, Any]:
    """`start_logits` and `end_logits`, float32 [batch, tokens]."""
    found = model(**feeds)
    return {"start_logits": found.start_logits, "end_logits": found.end_logits}


def head(model: Any, blueprint: Blueprint | Bottlenecks) -> Head:
    """A start and an end logit of every token."""
    return Head("tokens", (model.qa_outputs,), columns=True)


def examples(row: Row, encoder: Encoder, labels: Sequence[str], decoding: Decoding) -> list[Example]:
    """One a window; its target is the first and last token of the answer, [CLS] where it is not all there.

    Of several true answers the one that most gave is learned. The third number is how many tokens there are.
    """
    found = []
    for window in windows(row, encoder, decoding):
        ids = {name: array[0].tolist() for name, array in window.feeds.items()}
        first, last = _place(window.align, row) or (0, 0)
        found.append({**ids, "target": (first, last, len(ids["input_ids"]))})
    return found


def collate(targets: Sequence[Any], tokens: int) -> Any:
    """First and last token and number of tokens, int64 [batch, 3]."""
    import torch

    return torch.tensor(targets)


def loss(outputs: Mapping[str, Any], targets: Any) -> Any:
    """Mean cross-entropy of the first and of the last token, over a window's own tokens."""
    import torch

    first, last, lengths = targets.unbind(1)
    start, end = outputs["start_logits"], outputs["end_logits"]
    padding = torch.arange(start.shape[1], device=start.device)[None, :] >= lengths[:, None]
    losses = [
        torch.nn.functional.cross_entropy(logits.masked_fill(padding, float("-inf")), place)
        for logits, place in ((start, first), (end, last))
    ]
    return sum(losses) / 2


def soft_loss(
    outputs: Mapping[str, Any], taught: Mapping[str, Any], mask: Any, temperature: float, decoding: Decoding
) -> Any:
    """Where the answer starts and where it ends, each one position of several."""
    apart = [soft_targets.positions(outputs[name], taught[name], mask, temperature) for name in OUTPUTS]
    return sum(apart) / 2


def tuned(decoding: Decoding) -> tuple[str, ...]:
    """The lead at which no answer is given, where train has rows without one and the recipe does not set it."""
    return () if "null_threshold" in decoding else ("null_threshold",)


def tune(rows: Sequence[Row], answers: Sequence[Answer], decoding: Decoding) -> Decoding:
    """The null threshold of highest F1 on dev."""
    leads, answered, unanswered = [], [], []
    for row, one in zip(rows, answers, strict=True):
        null = next(told["score"] for told in one["n_best"] if told["start"] is None)
        best = next((told for told in one["n_best"] if told["start"] is not None), None)
        leads.append(_log(null) - _log(best["score"] if best else 0.0))
        answered.append(squad.f1(best["answer"] if best else "", row["answers"]["text"]))
        unanswered.append(squad.f1("", row["answers"]["text"]))
    return {"null_threshold": squad.best_threshold(leads, answered, unanswered)}


def _log(share: float) -> float:
    return math.log(max(share, sys.float_info.min))


def quality(rows: Sequence[Row], answers: Sequence[Answer]) -> float:
    """Mean F1."""
    return float(_f1s(rows, answers).mean())


def _f1s(rows: Sequence[Row], answers: Sequence[Answer]) -> NDArray[np.float64]:
    pairs = zip(rows, answers, strict=True)
    return np.asarray([squad.f1(one["answer"], row["answers"]["text"]) for row, one in pairs], np.float64)


def _hits(rows: Sequence[Row], answers: Sequence[Answer]) -> NDArray[np.bool_]:
    pairs = zip(rows, answers, strict=True)
    return np.asarray([squad.exact(one["answer"], row["answers"]["text"]) for row, one in pairs])


def chance(rows: Sequence[Row]) -> float:
    """The mean F1 of always giving the most frequent answer."""
    frequent = Counter(golds(row["answers"]["text"])[0] for row in rows).most_common(1)[0][0]
    return float(np.mean([squad.f1(frequent, row["answers"]["text"]) for row in rows]))


def scores(rows: Sequence[Row], split: str, answered: Mapping[str, Sequence[Answer]]) -> list[Score]:
    """F1 (bootstrap over questions) and exact match (Wilson); answers agree where their texts are the same."""
    tables = {which: _f1s(rows, answers)[:, None] for which, answers in answered.items()}
    f1 = intervals.of_sums(METRIC, split, tables, lambda sums: sums[:, 0] / len(rows))
    exact = Score(metric="em", split=split)
    hits = {which: _hits(rows, answers) for which, answers in answered.items()}
    for which, hit in hits.items():
        setattr(exact, which, intervals.proportion(hit))
    if "teacher" in hits and "shipped" in hits:
        exact.drop = intervals.paired_drop(hits["teacher"], hits["shipped"])
    if "reference" in answered and "shipped" in answered:
        pairs = zip(answered["reference"], answered["shipped"], strict=True)
        f1.agreement = intervals.proportion(np.asarray([one["answer"] == other["answer"] for one, other in pairs]))
    return [f1, exact]
