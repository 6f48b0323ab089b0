"""Entities of one to three words; every second row is given as tokens and tags."""

from __future__ import annotations

import random
from typing import Any

from tests import toy

FLOOR = 0.9  # the metric that the shipped file must reach on test rows
QUESTIONS: list[Any] = ["a bright sunny day", {"text": "Today it is cold!"}, {"tokens": ["the", "wet", "puddle"]}]
KEYS = {"entities", "truncated"}  # of each answer


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Separable rows: filling with up to two entities in it."""
    draw = random.Random(seed)
    found = []
    for i in range(count):
        tokens, tags = draw.choices(toy.FILL, k=draw.randint(1, 4)), []
        tags = ["O"] * len(tokens)
        for slot in draw.sample(sorted(toy.WORDS), draw.randint(0, 2)):
            first, later = toy.WORDS[slot][:3], toy.WORDS[slot][3:]
            words = [draw.choice(first), *draw.sample(later, draw.randint(0, 2))]
            after = draw.choices(toy.FILL, k=draw.randint(1, 3))
            tokens += words + after
            tags += [f"B-{slot}"] + [f"I-{slot}"] * (len(words) - 1) + ["O"] * len(after)
        found.append({"tokens": tokens, "tags": tags} if i % 2 else _as_spans(tokens, tags))
    return found


def _as_spans(tokens: list[str], tags: list[str]) -> dict[str, Any]:
    spans: list[dict[str, Any]] = []
    end = 0
    for token, tag in zip(tokens, tags, strict=True):
        if tag.startswith("B-"):
            spans.append({"start": end, "end": end + len(token), "slot": tag[2:]})
        elif tag.startswith("I-"):
            spans[-1]["end"] = end + len(token)
        end += len(token) + 1
    return {"text": " ".join(tokens), "spans": spans}


def overlong() -> dict[str, Any]:
    """A row of more tokens than the model reads at once."""
    return {"text": "a warm and sunny day " * 20}
