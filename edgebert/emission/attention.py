"""Attention, and the choice of single tokens, as every encoder here writes them."""

from __future__ import annotations

from edgebert.emission.builder import Builder

MASKED = -50.0  # beside any attention score that occurs exp(-50) is 0 in float32


def mask_scores(build: Builder) -> str:
    """What is added to the scores of a text: float32 [batch, 1, 1, tokens], 0 where a token is."""
    mask = build.node("Cast", ["attention_mask"], "mask/float", to=1)
    inverse = build.node("Sub", [build.number(1.0), mask], "mask/inverse")
    masked = build.node("Mul", [inverse, build.number(MASKED)], "mask/scores")
    return build.node("Unsqueeze", [masked, build.integers(1, 2)], "mask")


def by_head(build: Builder, x: str, heads: int, size: int, name: str) -> str:
    """[batch, tokens, heads * size] as [batch, heads, tokens, size]."""
    parted = build.node("Reshape", [x, build.integers(0, 0, heads, size)], f"{name}.parted")
    return build.node("Transpose", [parted], f"{name}.heads", perm=[0, 2, 1, 3])


def chosen(build: Builder, x: str, rows: str, name: str, axis: int = 1) -> str:
    """x [batch, tokens, hidden], or [batch, heads, tokens, size] with axis 2, of one token a text.

    `rows` is "first" or a float32 [batch, 1, tokens] with a 1 at the token.
    """
    if rows == "first":
        return build.node("Slice", [x, build.integers(0), build.integers(1), build.integers(axis)], name)
    if axis == 2:
        rows = build.node("Unsqueeze", [rows, build.integers(1)], f"{name}.choice")
    return build.node("MatMul", [rows, x], name)


def attend(build: Builder, query: str, key: str, value: str, width: int, mask: str, name: str) -> str:
    """[batch, tokens of query, width] of [batch, heads, tokens, size] each; queries are scaled already."""
    turned = build.node("Transpose", [key], f"{name}/key.turned", perm=[0, 1, 3, 2])
    scores = build.node("MatMul", [query, turned], f"{name}/scores")
    scores = build.node("Add", [scores, mask], f"{name}/masked")
    shares = build.node("Softmax", [scores], f"{name}/shares", axis=-1)
    mixed = build.node("MatMul", [shares, value], f"{name}/mixed")
    beside = build.node("Transpose", [mixed], f"{name}/beside", perm=[0, 2, 1, 3])
    return build.node("Reshape", [beside, build.integers(0, 0, width)], name)
