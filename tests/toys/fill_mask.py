"""One word said several times, and one time hidden."""

from __future__ import annotations

import random
from typing import Any

from tests import toy

FLOOR = 0.9
QUESTIONS: list[Any] = ["warm [MASK] warm warm", {"text": "wet wet [MASK]"}]
KEYS = {"tokens", "truncated"}
FINETUNE: dict[str, Any] = {"epochs": 10}
SAID = [*toy.OUTSIDE, *(word for group in toy.WORDS.values() for word in group)]


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """The hidden word is one that stands around it."""
    draw = random.Random(seed)
    return [_row(draw, draw.randint(3, 6)) for _ in range(count)]


def _row(draw: random.Random, times: int) -> dict[str, Any]:
    word, place = draw.choice(SAID), draw.randrange(times)
    return {"text": " ".join("[MASK]" if i == place else word for i in range(times)), "masked": word}


def overlong() -> dict[str, Any]:
    """A row of more than the model reads at once."""
    return _row(random.Random(5), 60)
