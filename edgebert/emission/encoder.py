"""The encoder: embeddings, merged attention, feed-forward networks, and a last layer of the rows that are read."""

from __future__ import annotations

import numpy as np

from edgebert.emission import Block, Blueprint
from edgebert.emission.builder import Builder
from edgebert.emission.operators import activation, array, linear, norm

MASKED = -50.0  # beside any attention score that occurs exp(-50) is 0 in float32


class Encoder:
    """Writes an encoder's nodes.

    `tokens` is the fixed length of the texts, None where it is free. Residuals are added by Sum where it is free:
    ONNX Runtime fuses Add and LayerNormalization into a kernel that takes a multiple of the time of both
    (13.1 against 11.8 ms of a MiniLM at 128 tokens), and compilers of fixed shapes expect Add.
    """

    def __init__(self, build: Builder, blueprint: Blueprint, tokens: int | None) -> None:
        self._build, self._blueprint, self._tokens = build, blueprint, tokens
        self._residual = "Sum" if tokens is None else "Add"
        unique = list(dict.fromkeys(id(block.query) for block in blueprint.blocks))
        self._shared = len(unique) < len(blueprint.blocks)
        self._number = {one: number for number, one in enumerate(unique)}

    def states(self, rows: str | None = None) -> str:
        """Write all layers: float32 [batch, tokens, hidden].

        With `rows`, a float32 [batch, 1, tokens] choice of one token a text, or "first", the last layer is
        computed for that token alone, and the result is [batch, 1, hidden].
        """
        build = self._build
        mask = build.node("Cast", ["attention_mask"], "mask/float", to=1)
        inverse = build.node("Sub", [build.number(1.0), mask], "mask/inverse")
        masked = build.node("Mul", [inverse, build.number(MASKED)], "mask/scores")
        mask = build.node("Unsqueeze", [masked, build.integers(1, 2)], "mask")
        x = self._embeddings()
        for run, block in enumerate(self._blueprint.blocks):
            last = run == len(self._blueprint.blocks) - 1
            x = self._layer(x, block, run, mask, rows if last else None)
        return x

    def _embeddings(self) -> str:
        build, blueprint = self._build, self._blueprint
        words = build.constant("embeddings/words.weight", array(blueprint.words.weight))
        x = build.node("Gather", [words, "input_ids"], "embeddings/words")
        table = array(blueprint.positions.weight)
        if self._tokens is not None:
            places = build.constant("embeddings/positions.weight", table[: self._tokens])
        else:
            whole = build.constant("embeddings/positions.weight", table)
            length = build.node("Shape", ["input_ids"], "embeddings/length", start=1, end=2)
            zero = build.integers(0)
            places = build.node("Slice", [whole, zero, length, zero], "embeddings/positions")
        x = build.node("Add", [x, places], "embeddings/placed")
        if blueprint.types is not None:
            kinds = build.constant("embeddings/types.weight", array(blueprint.types.weight))
            kinds = build.node("Gather", [kinds, "token_type_ids"], "embeddings/types")
            x = build.node("Add", [x, kinds], "embeddings/typed")
        x = norm(build, x, blueprint.norm, "embeddings/norm")
        if blueprint.projection is not None:
            x = linear(build, x, [blueprint.projection], "embeddings/projection")
        return x

    def _layer(self, x: str, block: Block, run: int, mask: str, rows: str | None) -> str:
        build, name = self._build, f"layer.{run}"
        kept = f"layer.shared.{self._number[id(block.query)]}" if self._shared else name
        own = x if rows is None else self._chosen(x, rows, f"{name}/row")
        attended = self._attention(x, own, block, run, f"{kept}/attention", mask, rows)
        out = linear(build, attended, [block.out], f"{name}/attention/out", f"{kept}/attention/out")
        x = self._added(out, own, block.attention_norm, f"{name}/attention/norm", f"{kept}/attention/norm")
        up = linear(build, x, [block.up], f"{name}/ffn/up", f"{kept}/ffn/up")
        active = activation(build, up, block.activation, f"{name}/ffn/activation")
        down = linear(build, active, [block.down], f"{name}/ffn/down", f"{kept}/ffn/down")
        return self._added(down, x, block.ffn_norm, f"{name}/ffn/norm", f"{kept}/ffn/norm")

    def _chosen(self, x: str, rows: str, name: str, axis: int = 1) -> str:
        """x [batch, tokens, hidden], or [batch, heads, tokens, size] with axis 2, of one token a text."""
        build = self._build
        if rows == "first":
            return build.node("Slice", [x, build.integers(0), build.integers(1), build.integers(axis)], name)
        if axis == 2:
            rows = build.node("Unsqueeze", [rows, build.integers(1)], f"{name}.choice")
        return build.node("MatMul", [rows, x], name)

    def _added(self, x: str, residual: str, module: object, name: str, kept: str) -> str:
        return norm(
            self._build, self._build.node(self._residual, [x, residual], f"{name}.sum"), module, name, kept
        )

    def _attention(self, x: str, own: str, block: Block, run: int, kept: str, mask: str, rows: str | None) -> str:
        """Attention of the tokens `own` to all of `x`: [batch, own tokens, hidden]."""
        build, heads, name = self._build, block.heads, f"layer.{run}/attention"
        size = block.query.weight.shape[0] // heads
        query, key, value = self._query_key_value(x, own, block, size, name, kept, rows)
        turned = build.node("Transpose", [key], f"{name}/key.turned", perm=[0, 1, 3, 2])
        scores = build.node("MatMul", [query, turned], f"{name}/scores")
        scores = build.node("Add", [scores, mask], f"{name}/masked")
        shares = build.node("Softmax", [scores], f"{name}/shares", axis=-1)
        mixed = build.node("MatMul", [shares, value], f"{name}/mixed")
        beside = build.node("Transpose", [mixed], f"{name}/beside", perm=[0, 2, 1, 3])
        return build.node("Reshape", [beside, build.integers(0, 0, heads * size)], name)

    def _query_key_value(
        self, x: str, own: str, block: Block, size: int, name: str, kept: str, rows: str | None
    ) -> tuple[str, str, str]:
        """[batch, heads, tokens, size] each, queries scaled by 1 / sqrt(size) in their weights.

        Queries of one token are a product of their own, unless other runs read the merged weights too: those are
        in the file once.
        """
        build, heads = self._build, block.heads
        scale = float(1.0 / np.sqrt(size))
        if rows is not None and not self._shared:
            query = linear(build, own, [block.query], f"{name}/query", f"{kept}/query", [scale])
            query = self._by_head(query, heads, size, f"{name}/query")
            both = linear(build, x, [block.key, block.value], f"{name}/key_value", f"{kept}/key_value")
            both = self._by_head(both, 2 * heads, size, f"{name}/key_value")
            parts = build.integers(heads, heads)
            key, value = build.nodes("Split", [both, parts], [f"{name}/key", f"{name}/value"], axis=1)
            return query, key, value
        modules = [block.query, block.key, block.value]
        merged = linear(build, x, modules, f"{name}/qkv", f"{kept}/qkv", [scale, 1.0, 1.0])
        merged = self._by_head(merged, 3 * heads, size, f"{name}/qkv")
        names = [f"{name}/{part}" for part in ("query", "key", "value")]
        query, key, value = build.nodes("Split", [merged, build.integers(heads, heads, heads)], names, axis=1)
        if rows is not None:
            query = self._chosen(query, rows, f"{name}/query.row", axis=2)
        return query, key, value

    def _by_head(self, x: str, heads: int, size: int, name: str) -> str:
        """[batch, tokens, heads * size] as [batch, heads, tokens, size]."""
        build = self._build
        parted = build.node("Reshape", [x, build.integers(0, 0, heads, size)], f"{name}.parted")
        return build.node("Transpose", [parted], f"{name}.heads", perm=[0, 2, 1, 3])
