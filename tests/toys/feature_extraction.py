"""Questions of one kind of word and passages of others about the same."""

from __future__ import annotations

import random
from typing import Any

from tests import toy

FLOOR = 0.8
QUESTIONS: list[Any] = ["a bright sunny day", {"text": "it is cold and white"}]
KEYS = {"vector", "truncated"}


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """A question has two words of filling and names two things; its passage names them too, among more filling."""
    draw = random.Random(seed)
    named = [word for words in (*toy.WORDS.values(), toy.OUTSIDE) for word in words]
    found = []
    for _ in range(count):
        things = draw.sample(named, 2)
        found.append({"text": _with(draw, things, 1), "text_pair": _with(draw, things, 2)})
    return found


def _with(draw: random.Random, things: list[str], filling: int) -> str:
    words = [*things, *draw.choices(toy.FILL, k=filling)]
    draw.shuffle(words)
    return " ".join(words)


def overlong() -> dict[str, Any]:
    """A row of more tokens than the model reads."""
    return {"text": "a warm and sunny day " * 20}
