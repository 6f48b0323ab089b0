"""Token classification: entities from the tags of words.

A word is decided by its first piece. `align` has `words`: [position of the first piece, start, end] of each word
that begins in the window, in code points of the row's text.
"""

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from . import Decision, margin, softmax


def text_of(row: Mapping[str, Any]) -> str:
    """The text that the model reads: of a row given as words, those joined by single spaces.

    A row with `tags` is its `tokens`, whatever else it has; otherwise `text` wins where both are there.
    """
    if "text" in row and "tags" not in row:
        return str(row["text"])
    return " ".join(row["tokens"])


def chunks(tags: Sequence[str]) -> List[Tuple[str, int, int]]:
    """(slot, first, last) of each entity in tags, however ill-formed: O, or B-, I-, E- or S- and a slot.

    The rule of conlleval (Tjong Kim Sang and Buchholz 2000): an entity goes on where I or E follows B or I of the
    same slot, and every other tag but O begins one. So it reads IOB1, IOB2 and IOBES alike.
    """
    found = []  # type: List[Tuple[str, int, int]]
    before = ("O", "")
    for i, tag in enumerate(tags):
        kind, _, slot = tag.partition("-")
        if kind in ("I", "E") and before in (("B", slot), ("I", slot)):
            found[-1] = (slot, found[-1][1], i)
        elif kind != "O":
            found.append((slot, i, i))
        before = (kind, slot)
    return found


def well_formed(shares: Any, labels: Sequence[str]) -> List[int]:
    """The most probable tags of words in which I- and E- follow B- or I- of their slot, from probabilities
    [words, labels]: the path of the largest product (Viterbi), all other steps being alike.

    A slot that has no B- among the labels may begin with I-.
    """
    parts = [label.partition("-") for label in labels]
    inner = np.asarray([kind in ("I", "E") and "B-" + slot in labels for kind, _, slot in parts])
    opened = [[kind in ("B", "I") and slot == other for _, _, other in parts] for kind, _, slot in parts]
    barred = np.where(inner & ~np.asarray(opened), -np.inf, 0.0)
    logs = np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    path, back = logs[0] + np.where(inner, -np.inf, 0.0), []
    for row in logs[1:]:
        reached = path[:, None] + barred
        back.append(reached.argmax(axis=0))
        path = reached.max(axis=0) + row
    found = [int(path.argmax())]
    for step in reversed(back):
        found.append(int(step[found[-1]]))
    return found[::-1]


def answer(
    windows: Sequence[Mapping[str, Any]],
    row: Mapping[str, Any],
    labels: Sequence[str],
    settings: Mapping[str, Any],
) -> Dict[str, Any]:
    """`entities` in the order of the text, from logits float32 [tokens, labels] of each window.

    A word in two windows is read in the one that shows more around it. Its tag is that of the best well-formed
    tags, or with `well_formed` false its own best. An entity's score is the mean probability of its words' tags.
    """
    text, read = text_of(row), {}  # type: str, Dict[Tuple[int, int], Tuple[int, Any]]
    for window in windows:
        logits = np.asarray(window["outputs"]["logits"])
        for position, start, end in window["align"]["words"]:
            around = min(position, len(logits) - 1 - position)
            if around > read.get((start, end), (-1, None))[0]:
                read[start, end] = (around, logits[position])
    if not read:
        return {"entities": []}
    words = sorted(read)
    shares = softmax(np.stack([read[word][1] for word in words]))
    formed = settings.get("well_formed", True)
    best = well_formed(shares, labels) if formed else shares.argmax(axis=1).tolist()
    sure = shares[np.arange(len(words)), best]
    return {
        "entities": [
            {
                "label": slot,
                "start": words[first][0],
                "end": words[last][1],
                "text": text[words[first][0] : words[last][1]],
                "score": float(sure[first : last + 1].mean()),
            }
            for slot, first, last in chunks([labels[i] for i in best])
        ]
    }


def decisions(outputs: Mapping[str, Any], align: Mapping[str, Any], settings: Mapping[str, Any]) -> List[Decision]:
    """The winning tag of each word by itself, and its lead over the second."""
    logits = np.asarray(outputs["logits"])
    return [(int(logits[p].argmax()), margin(logits[p])) for p, _, _ in align["words"]]


def right(answered: Mapping[str, Any], truth: Any) -> Optional[bool]:
    """Whether the entities are exactly the true spans."""
    found = {(one["start"], one["end"], one["label"]) for one in answered["entities"]}
    return found == {(one["start"], one["end"], one["slot"]) for one in truth}
