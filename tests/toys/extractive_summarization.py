"""Texts of short sentences, of which those about one group of words are the summary."""

from __future__ import annotations

import random
from typing import Any

from tests import toy

FLOOR = 0.9  # the metric that the shipped file must reach on test rows
QUESTIONS: list[Any] = [
    "It is sunny today. A bright day! The day is wet?\nmore puddle here",
    {"sentences": ["it is warm", "the umbrella is wet", "a lot of rain"]},
    {"text": "See. More."},
]
KEYS = {"sentences", "truncated"}  # of each answer
FINETUNE = {"epochs": 12, "max_tokens": 64}


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Separable rows: two of four to six sentences are about the sun, in words that no other has."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        told = [_sentence(draw, "sun") for _ in range(2)]
        others = [_sentence(draw, draw.choice(["rain", "snow"])) for _ in range(draw.randint(2, 4))]
        sentences = draw.sample([*told, *others], len(told) + len(others))
        summary = " ".join(one for one in sentences if one in told)
        found.append({"sentences": sentences, "summary": summary})
    return found


def _sentence(draw: random.Random, group: str) -> str:
    return " ".join(draw.sample(toy.FILL, draw.randint(1, 3)) + draw.sample(toy.WORDS[group], 2))


def overlong() -> dict[str, Any]:
    """A text of more tokens than the model reads at once."""
    return {"text": "a warm and sunny day. " * 20}
