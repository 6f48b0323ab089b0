"""Several labels of a text, or none, each told by words of its own."""

from __future__ import annotations

import random
from typing import Any

from tests import toy

TASK = "text-classification"
METRIC = "micro_f1"
FLOOR = 0.9
FINETUNE = {"epochs": 14}
QUESTIONS: list[Any] = ["a bright sunny day", {"text": "it is cold and wet"}, "a lot of it"]
KEYS = {"labels", "scores", "truncated"}


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Rows of no label up to three."""
    draw = random.Random(seed)
    found = []
    for i in range(count):
        labels = draw.sample(sorted(toy.WORDS), i % 4)
        words = draw.choices(toy.FILL, k=draw.randint(1, 4))
        for label in labels:
            words += draw.choices(toy.WORDS[label][:3], k=2)
        draw.shuffle(words)
        found.append({"text": " ".join(words), "label": labels})
    return found


def overlong() -> dict[str, Any]:
    """A row of more tokens than the model reads."""
    return {"text": "a warm and snowy day " * 20}
