"""How SQuAD compares an answer with the true ones: its official script of version 2, which tells of questions
without an answer too, and says the same as version 1 where all have one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edgebert.device.decoding.question_answering import golds, normalized


def f1(answer: str, truths: Sequence[str]) -> float:
    """The largest F1 of an answer's words against those of a true one; of no truths, whether it is empty."""
    return max(_overlap(normalized(answer).split(), gold.split()) for gold in golds(truths))


def _overlap(found: list[str], gold: list[str]) -> float:
    if not found or not gold:
        return float(found == gold)
    same = sum((Counter(found) & Counter(gold)).values())
    return 2 * same / (len(found) + len(gold))


def exact(answer: str, truths: Sequence[str]) -> bool:
    """Whether an answer is a true one, up to case, punctuation, articles and space."""
    return normalized(answer) in golds(truths)


def best_threshold(leads: Sequence[float], answered: Sequence[float], unanswered: Sequence[float]) -> float:
    """The lead of "no answer" above which giving none scores best, in the middle between two questions' leads.

    `answered` and `unanswered` are the scores of the questions with their best span and with no answer.
    """
    order = np.argsort(leads, kind="stable")
    ranked = np.asarray(leads, np.float64)[order]
    bounds = np.concatenate([[ranked[0] - 1], ranked, [ranked[-1] + 1]])
    with_span, without = np.asarray(answered)[order], np.asarray(unanswered)[order]
    # totals[k]: the k questions of the smallest leads are answered, the others are not
    totals = np.append(0, np.cumsum(with_span)) + np.append(np.cumsum(without[::-1])[::-1], 0)
    totals[bounds[:-1] == bounds[1:]] = -1  # questions of one lead cannot be told apart
    best = int(totals.argmax())
    return float((bounds[best] + bounds[best + 1]) / 2)
