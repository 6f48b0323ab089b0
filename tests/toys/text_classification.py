"""Labels that a few words tell."""

from __future__ import annotations

from typing import Any

from tests import toy

FLOOR = 0.9  # the metric that the shipped file must reach on test rows
QUESTIONS: list[Any] = ["a bright sunny day", {"text": "it is cold and white"}]  # what `predict` takes
KEYS = {"label", "score", "scores", "in_scope", "truncated"}  # of each answer


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Separable rows."""
    return list(toy.rows(count, seed))


def overlong() -> dict[str, Any]:
    """A row of more tokens than the model reads."""
    return {"text": "a warm and sunny day " * 20}
