"""Fill-mask: the likeliest pieces of the vocabulary for the one that is masked."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from . import Decision, margin, softmax


def answer(
    windows: Sequence[Mapping[str, Any]],
    row: Mapping[str, Any],
    labels: Sequence[str],
    settings: Mapping[str, Any],
) -> Dict[str, Any]:
    """The `top_k` likeliest pieces with their probability, from logits float32 [vocabulary] at the mask.

    `labels` are the vocabulary; where it is not at hand, a piece is told by its number alone. Where the masked
    piece is known, to the row or to the window's `align`, `masked` has its rank, from 0, and its negative
    log-likelihood `nll` in nats; both are None for a word of several pieces, which no single one fills.
    """
    logits = np.asarray(windows[0]["outputs"]["logits"], np.float64)
    shares = softmax(logits)
    best = np.argsort(-logits, kind="stable")[: int(settings["top_k"])]
    tokens = [{"token": labels[i] if labels else None, "id": int(i), "score": float(shares[i])} for i in best]
    masked = row.get("masked")
    if not isinstance(masked, dict):
        masked = windows[0]["align"].get("masked")
    return {"tokens": tokens} if masked is None else {"tokens": tokens, "masked": _found(masked, logits)}


def decisions(outputs: Mapping[str, Any], align: Mapping[str, Any], settings: Mapping[str, Any]) -> List[Decision]:
    """The likeliest piece and its lead over the second."""
    logits = np.asarray(outputs["logits"])
    return [(int(logits.argmax()), margin(logits))]


def right(answered: Mapping[str, Any], truth: Any) -> Optional[bool]:
    """Whether the likeliest piece is the masked one."""
    return bool(answered["tokens"][0]["id"] == truth["id"])


def _found(masked: Mapping[str, Any], logits: Any) -> Dict[str, Any]:
    number = masked["id"]
    if number is None:
        return {"token": masked["token"], "rank": None, "nll": None}
    rank = int((logits > logits[number]).sum())
    told = np.isfinite(logits[number])  # an output told in part may leave it out
    nll = float(logits.max() - logits[number] + np.log(np.exp(logits - logits.max()).sum())) if told else None
    return {"token": masked["token"], "rank": rank, "nll": nll}
