"""Pairs of texts, the first or the second of them about sun and the other about rain."""

from __future__ import annotations

import random
from typing import Any

from tests import toy

FLOOR = 0.9
QUESTIONS: list[Any] = [{"text": "a sunny day", "text_pair": "wet and rainy"}]
KEYS = {"label", "score", "scores", "truncated"}
FINETUNE: dict[str, Any] = {"epochs": 14}


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """The label says which text is the sunny one."""
    draw = random.Random(seed)
    found = []
    for i in range(count):
        texts = [_about(draw, "sun"), _about(draw, "rain")]
        label = "second" if i % 2 else "first"
        text, pair = reversed(texts) if i % 2 else texts
        found.append({"text": text, "text_pair": pair, "label": label})
    return found


def _about(draw: random.Random, weather: str) -> str:
    words = [*draw.choices(toy.FILL, k=draw.randint(0, 2)), draw.choice(toy.WORDS[weather])]
    draw.shuffle(words)
    return " ".join(words)


def overlong() -> dict[str, Any]:
    """A row of more tokens than the model reads."""
    return {"text": "a warm and sunny day " * 20, "text_pair": "a cloud"}
