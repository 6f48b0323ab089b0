"""How SQuAD writes answers and compares them: as its official script of version 2 does, which tells of questions
without an answer too, and says the same as version 1 where all have one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edgebert.device.decoding.question_answering import golds, normalized
from edgebert.tokenization import ill_formed


def fault(answers: object, context: str) -> str | None:
    """Why answers are none of SQuAD's, or None."""
    if not isinstance(answers, dict) or not all(
        isinstance(answers.get(k), list) for k in ("text", "answer_start")
    ):
        return (
            f"answers = {str(answers)[:60]}; must be an object {{text: [...], answer_start: [...]}}, "
            "empty lists where the context does not answer"
        )
    texts, starts = answers["text"], answers["answer_start"]
    if len(texts) != len(starts):
        return f"answers has {len(texts)} texts and {len(starts)} starts"
    for number, (text, start) in enumerate(zip(texts, starts, strict=True)):
        if (wrong := ill_formed(text)) is not None:
            return f"answers.text[{number}] {wrong}"
        if not isinstance(start, int) or isinstance(start, bool):
            return f"answers.answer_start[{number}] = {start!r}; must be a whole number, in characters"
        if start < 0 or context[start : start + len(text)] != text:
            return f"answers.answer_start[{number}] = {start}: {_there(context, start, text)}"
    return None


def _there(context: str, start: int, text: str) -> str:
    """What is at a place where an answer should be, and where that is."""
    if not 0 <= start < len(context):
        found = f"the context ends at {len(context)}"
    else:
        found = f"the context reads {context[start : start + len(text)]!r} there, not {text!r}"
    place = context.find(text)
    return f"{found}; it is at {place} (in characters)" if place >= 0 else f"{found}, which is nowhere in it"


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
