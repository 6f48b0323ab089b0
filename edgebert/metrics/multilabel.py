"""Labels that hold of a text, any number of them: what such a classifier shares, from rows to scores.

A row's truth is its `label`, a list of strings or integers, [] where none holds; an answer has `labels`
[{label, score}] and `scores` by label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert import intervals
from edgebert.data import Row
from edgebert.tokenization import Feeds, ill_formed
from edgebert.verdict import Score

METRIC = "micro_f1"
PROBLEM = "multi_label_classification"  # transformers' name of it
FEWEST = 10  # dev rows of a label that may set its threshold; that of a rarer one is common to all

Answers = Sequence[Mapping[str, Any]]


def label_fault(label: Sequence[object]) -> str | None:
    """Why a list is none of labels, or None."""
    for one in label:
        if not isinstance(one, (str, int)):
            return f"label = {label!r}; must hold labels, strings or integers"
        if (wrong := ill_formed(str(one))) is not None:
            return f"a label {wrong}"
    return None


def truth(row: Row) -> list[str] | None:
    """The labels of a row, sorted; None where it has no list of them (it is out of scope)."""
    label = row.get("label")
    return sorted({str(one) for one in label}) if isinstance(label, list) else None


def example(feeds: Feeds, row: Row, labels: Sequence[str]) -> dict[str, Any]:
    """Token ids of a row as lists, and 1.0 for each label that holds; out of scope none does."""
    holding = truth(row) or []
    target = [float(label in holding) for label in labels]
    return {name: array[0].tolist() for name, array in feeds.items()} | {"target": target}


def collate(targets: Sequence[Sequence[float]]) -> Any:
    """Targets float32 [batch, labels]."""
    import torch

    return torch.tensor(targets, dtype=torch.float32)


def loss(outputs: Mapping[str, Any], targets: Any) -> Any:
    """Binary cross-entropy, the mean over rows and labels."""
    import torch

    return torch.nn.functional.binary_cross_entropy_with_logits(outputs["logits"], targets)


def tune(rows: Sequence[Row], answers: Answers) -> list[float]:
    """Thresholds in the order of the answers' labels, by which micro-F1 of these rows is highest.

    One for all labels first; then each label that enough rows have gets its own, the others' answers given.
    """
    names = list(answers[0]["scores"])
    holds = _truth(rows, names)
    certainty = np.asarray([list(answer["scores"].values()) for answer in answers], np.float64)
    common = _threshold(holds.ravel(), certainty.ravel(), 0, int(holds.sum()))
    found = np.full(len(names), common)
    for i in np.flatnonzero(holds.sum(0) >= FEWEST):
        others = np.arange(len(names)) != i
        chosen = (certainty >= found)[:, others]
        hits = int((chosen & holds[:, others]).sum())
        found[i] = _threshold(holds[:, i], certainty[:, i], hits, int(chosen.sum() + holds.sum()))
    return [float(value) for value in found]


def _threshold(holds: NDArray[np.bool_], certainty: NDArray[np.float64], hits: int, others: int) -> float:
    """The threshold by which F1 is highest, midway between the values [values] it parts.

    `hits` of other labels, and `others`: how many labels hold, or are answered beside these.
    """
    order = np.argsort(-certainty, kind="stable")
    ranked = certainty[order]
    taken = np.arange(len(ranked) + 1)
    found = 2 * (hits + np.append(0, np.cumsum(holds[order]))) / np.maximum(1, others + taken)
    parts = np.append(np.append(True, np.diff(ranked) != 0), True)  # equal values go together
    best = int(np.where(parts, found, -1).argmax())
    edges = np.concatenate([[1.0], ranked, [0.0]])
    return float((edges[best] + edges[best + 1]) / 2)


def quality(rows: Sequence[Row], answers: Answers) -> float:
    """Micro-F1."""
    names = list(answers[0]["scores"])
    holds, chosen = _truth(rows, names), _chosen(answers, names)
    return float(_f1(np.asarray([[(holds & chosen).sum(), holds.sum() + chosen.sum()]]))[0, 0])


def chance(rows: Sequence[Row]) -> float:
    """Micro-F1 of always giving the same labels, the best such set: the most frequent ones."""
    counts = np.asarray([n for _, n in Counter(one for row in rows for one in truth(row) or []).most_common()])
    if not counts.size:
        return 0.0
    taken = np.arange(1, len(counts) + 1)
    return float((2 * np.cumsum(counts) / (counts.sum() + taken * len(rows))).max())


def scores(rows: Sequence[Row], split: str, answered: Mapping[str, Answers]) -> list[Score]:
    """Micro-F1, macro-F1 over the labels that occur in truth or answers, and F1 of the worst label that is true.

    Answers agree where their labels are the same. Intervals are the bootstrap's, by row.
    """
    names = sorted(next(iter(answered.values()))[0]["scores"])
    holds = _truth(rows, names)
    chosen = {which: _chosen(found, names) for which, found in answered.items()}
    tables = {w: np.hstack([holds & one, holds.astype(int) + one]).astype(float) for w, one in chosen.items()}
    micro = intervals.of_sums(METRIC, split, tables, lambda sums: _f1(_over_labels(sums))[:, 0])
    macro = intervals.of_sums("macro_f1", split, tables, _macro_f1)
    if {"reference", "shipped"} <= chosen.keys():
        micro.agreement = intervals.proportion((chosen["reference"] == chosen["shipped"]).all(axis=1))
    return [micro, macro, _worst(split, holds, tables)]


def _worst(split: str, holds: NDArray[np.bool_], tables: Mapping[str, NDArray[np.float64]]) -> Score:
    """F1 of the label on which each model is worst."""
    score = Score(metric="worst_label_f1", split=split)
    known = np.flatnonzero(holds.any(axis=0))
    for which, table in tables.items():
        if known.size:
            each = _f1(table.sum(axis=0)[None])[0]
            worst = int(known[each[known].argmin()])
            own = table[:, [worst, worst + holds.shape[1]]]
            one = intervals.of_sums(score.metric, split, {which: own}, lambda sums: _f1(sums)[:, 0])
            setattr(score, which, getattr(one, which))
    return score


def _f1(sums: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """F1 [some, labels] from hits and, behind them, labels true and answered [some, 2 * labels]; 0 where none."""
    hits, both = np.split(np.asarray(sums, np.float64), 2, axis=1)
    return np.asarray(2 * hits / np.maximum(both, 1), np.float64)


def _over_labels(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    hits, both = np.split(sums, 2, axis=1)
    return np.stack([hits.sum(axis=1), both.sum(axis=1)], axis=1)


def _macro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    occurs = np.split(sums, 2, axis=1)[1] > 0
    found: NDArray[np.float64] = _f1(sums).sum(axis=1) / np.maximum(occurs.sum(axis=1), 1)
    return found


def _truth(rows: Sequence[Row], names: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each label holds of each row [rows, labels]."""
    return np.asarray([[name in holding for name in names] for holding in map(truth, rows) if holding is not None])


def _chosen(answers: Answers, names: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each label is answered [rows, labels]."""
    given = [{one["label"] for one in answer["labels"]} for answer in answers]
    return np.asarray([[name in labels for name in names] for labels in given])
