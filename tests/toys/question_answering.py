"""Things that are named among filling, or are not: one kind of word is the answer, and some contexts take several
windows."""

from __future__ import annotations

import random
from typing import Any

from tests import toy

FLOOR = 0.9
QUESTIONS: list[Any] = [{"question": "what is here?", "context": "We see a lot of carpet, piano and more."}]
KEYS = {"answer", "start", "end", "score", "n_best", "truncated"}
FINETUNE: dict[str, Any] = {"epochs": 8}
RECIPE = """
[decoding]
doc_stride = 8
"""


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """One or two words in a row are the answer; a quarter of the contexts has none."""
    draw = random.Random(seed)
    return [_row(draw, i, draw.randint(4, 12) if i % 5 else draw.randint(30, 40)) for i in range(count)]


def _row(draw: random.Random, number: int, length: int) -> dict[str, Any]:
    words = draw.choices(toy.FILL, k=length)
    place, answer = draw.randint(0, length), draw.sample(toy.OUTSIDE, draw.randint(1, 2))
    found = {"text": [" ".join(answer)], "answer_start": [len(" ".join([*words[:place], ""]))]}
    if number % 4 == 0:
        answer, found = [], {"text": [], "answer_start": []}
    context = " ".join([*words[:place], *answer, *words[place:]])
    return {"id": str(number), "question": "what is here", "context": context, "answers": found}


def overlong() -> dict[str, Any]:
    """A row of more than the model reads at once."""
    return _row(random.Random(5), 1, 60)
