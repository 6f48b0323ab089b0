"""How many sunny words a text has, told as degrees."""

from __future__ import annotations

import random
from typing import Any

from tests import toy

FLOOR = 0.9
QUESTIONS: list[Any] = ["a bright sunny day", {"text": "it is cold and white"}]
KEYS = {"score", "truncated"}
FINETUNE: dict[str, Any] = {"epochs": 14}


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Sunny words make it warmer, snowy words colder."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        warm, cold = draw.randint(0, 3), draw.randint(0, 3)
        words = draw.choices(toy.FILL, k=2) + draw.choices(toy.WORDS["sun"], k=warm)
        words += draw.choices(toy.WORDS["snow"], k=cold)
        draw.shuffle(words)
        found.append({"text": " ".join(words), "label": 15.0 + 10 * (warm - cold)})
    return found


def overlong() -> dict[str, Any]:
    """A row of more tokens than the model reads."""
    return {"text": "a warm and sunny day " * 20}
