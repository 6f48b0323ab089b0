"""Look-ups of words, positions and types."""

from __future__ import annotations

from typing import Any

from edgebert.emission.builder import Builder
from edgebert.emission.operators import array

WORDS = "embeddings/words.weight"


def words(build: Builder, table: Any) -> str:
    """The words' rows: [batch, tokens, size]."""
    return build.node("Gather", [build.constant(WORDS, array(table.weight)), "input_ids"], "embeddings/words")


def placed(build: Builder, x: str, positions: Any, types: Any | None, tokens: int | None) -> str:
    """x [batch, tokens, size] plus the rows of its places and types; `tokens`: the fixed length, or None."""
    table = array(positions.weight)
    if tokens is not None:
        places = build.constant("embeddings/positions.weight", table[:tokens])
    else:
        whole = build.constant("embeddings/positions.weight", table)
        length = build.node("Shape", ["input_ids"], "embeddings/length", start=1, end=2)
        places = build.node("Slice", [whole, build.integers(0), length, build.integers(0)], "embeddings/positions")
    x = build.node("Add", [x, places], "embeddings/placed")
    if types is None:
        return x
    kinds = build.constant("embeddings/types.weight", array(types.weight))
    kinds = build.node("Gather", [kinds, "token_type_ids"], "embeddings/types")
    return build.node("Add", [x, kinds], "embeddings/typed")
