"""Extractive summarization: the sentences with the highest scores, in the order of the text.

A sentence's logit is the mean of its tokens'. `align` has `sentences`: [its first token, the first after it, its
number in the text] of each sentence in the window. `settings` have `sentences`: how many are chosen.
"""

import re
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from . import Decision

MARK = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”’）]*")
LAST_WORD = re.compile(r"[\w.]*$")
ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st sr jr rev gen col capt lt sgt sen rep gov vs cf al fig no vol approx dept est inc ltd "
    "co corp jan feb mar apr jun jul aug sep sept oct nov dec".split()
)


def split(text: str) -> List[str]:
    """The sentences of a plain text.

    A line break ends a sentence. So do . ! ? and … with closing quotes and brackets where white space and no
    lower-case letter follows, but for a full stop after a single letter, a word with a full stop in it (U.S.) or a
    known abbreviation; and so do 。！？ anywhere.
    """
    found = []
    for line in text.splitlines():
        begin = 0
        for mark in MARK.finditer(line):
            if not _goes_on(line, mark):
                found.append(line[begin : mark.end()])
                begin = mark.end()
        found.append(line[begin:])
    return [one.strip() for one in found if one.strip()]


def _goes_on(line: str, mark: Any) -> bool:
    """Whether the sentence goes on after a mark."""
    if mark.group()[0] in "。！？":
        return False
    if line[mark.end() :].lstrip()[:1].islower():
        return True
    if mark.group() != ".":
        return False
    [word] = LAST_WORD.findall(line[: mark.start()])[:1]
    return (len(word) == 1 and word.isalpha()) or "." in word or word.lower() in ABBREVIATIONS


def sentences_of(row: Mapping[str, Any]) -> List[str]:
    """The sentences of a row: its own, or those of its plain text."""
    return list(row["sentences"]) if "sentences" in row else split(row["text"])


def answer(
    windows: Sequence[Mapping[str, Any]],
    row: Mapping[str, Any],
    labels: Sequence[str],
    settings: Mapping[str, Any],
) -> Dict[str, Any]:
    """`sentences` with their number from 0 and their probability, from logits float32 [tokens] of each window."""
    logits: Dict[int, float] = {}
    for window in windows:
        logits.update(_logits(window["outputs"], window["align"]))
    best = sorted(logits, key=lambda number: (-logits[number], number))[: settings["sentences"]]
    texts = sentences_of(row)
    found = [{"index": i, "text": texts[i], "score": _probability(logits[i])} for i in sorted(best)]
    return {"sentences": found}


def _logits(outputs: Mapping[str, Any], align: Mapping[str, Any]) -> Dict[int, float]:
    """The logit of each sentence of a window by its number in the text."""
    tokens = np.asarray(outputs["logits"], np.float64)
    return {number: float(tokens[begin:end].mean()) for begin, end, number in align["sentences"]}


def _probability(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.float64(logit)))) if logit > -700 else 0.0


def decisions(outputs: Mapping[str, Any], align: Mapping[str, Any], settings: Mapping[str, Any]) -> List[Decision]:
    """Which sentences are chosen, and the lead of the last of them over the next; none where all are chosen."""
    logits = np.asarray(list(_logits(outputs, align).values()), np.float64)
    count = settings["sentences"]
    if len(logits) <= count:
        return []
    order = np.argsort(-logits, kind="stable")
    return [(sorted(order[:count].tolist()), float(logits[order[count - 1]] - logits[order[count]]))]


def right(answered: Mapping[str, Any], truth: Any) -> Optional[bool]:
    """No summary is the only right one."""
    return None
