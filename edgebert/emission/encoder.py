"""The encoder of BERT: merged attention, feed-forward networks, a last layer of the rows that are read."""

from __future__ import annotations

import numpy as np

from edgebert.emission import Block, Blueprint
from edgebert.emission.attention import MASK, MASK_ROW, attend, by_head, chosen, mask_scores
from edgebert.emission.builder import Builder
from edgebert.emission.embeddings import placed, words
from edgebert.emission.operators import activation, linear, norm


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

        With `rows` (see `attention.chosen`) the last layer is computed for that token alone: [batch, 1, hidden].
        """
        mask_scores(self._build)
        x = self._embeddings()
        for run, block in enumerate(self._blueprint.blocks):
            last = run == len(self._blueprint.blocks) - 1
            x = self._layer(x, block, run, rows if last else None)
        return x

    def _embeddings(self) -> str:
        build, blueprint = self._build, self._blueprint
        x = placed(build, words(build, blueprint.words), blueprint.positions, blueprint.types, self._tokens)
        x = norm(build, x, blueprint.norm, "embeddings/norm")
        if blueprint.projection is not None:
            x = linear(build, x, [blueprint.projection], "embeddings/projection")
        return x

    def _layer(self, x: str, block: Block, run: int, rows: str | None) -> str:
        build, name = self._build, f"layer.{run}"
        kept = f"layer.shared.{self._number[id(block.query)]}" if self._shared else name
        own = x if rows is None else chosen(build, x, rows, f"{name}/row")
        parts = self._query_key_value(x, own, block, f"{name}/attention", f"{kept}/attention", rows)
        mask = MASK if rows is None else MASK_ROW
        attended = attend(build, *parts, block.query.weight.shape[0], mask, f"{name}/attention")
        out = linear(build, attended, [block.out], f"{name}/attention/out", f"{kept}/attention/out")
        x = self._added(out, own, block.attention_norm, f"{name}/attention/norm", f"{kept}/attention/norm")
        up = linear(build, x, [block.up], f"{name}/ffn/up", f"{kept}/ffn/up")
        active = activation(build, up, block.activation, f"{name}/ffn/activation")
        down = linear(build, active, [block.down], f"{name}/ffn/down", f"{kept}/ffn/down")
        return self._added(down, x, block.ffn_norm, f"{name}/ffn/norm", f"{kept}/ffn/norm")

    def _added(self, x: str, residual: str, module: object, name: str, kept: str) -> str:
        return norm(
            self._build, self._build.node(self._residual, [x, residual], f"{name}.sum"), module, name, kept
        )

    def _query_key_value(
        self, x: str, own: str, block: Block, name: str, kept: str, rows: str | None
    ) -> tuple[str, str, str]:
        """[batch, heads, size, tokens] each, queries scaled by 1 / sqrt(size) in their weights.

        Queries of one token are a product of their own, unless other runs read the merged weights too: those are
        in the file once.
        """
        build, heads = self._build, block.heads
        size = block.query.weight.shape[0] // heads
        scale = float(1.0 / np.sqrt(size))
        if rows is not None and not self._shared:
            query = linear(build, own, [block.query], f"{name}/query", f"{kept}/query", [scale])
            query = by_head(build, query, heads, size, f"{name}/query")
            both = linear(build, x, [block.key, block.value], f"{name}/key_value", f"{kept}/key_value")
            both = by_head(build, both, 2 * heads, size, f"{name}/key_value")
            parts = build.integers(heads, heads)
            key, value = build.nodes("Split", [both, parts], [f"{name}/key", f"{name}/value"], axis=1)
            return query, key, value
        modules = [block.query, block.key, block.value]
        merged = linear(build, x, modules, f"{name}/qkv", f"{kept}/qkv", [scale, 1.0, 1.0])
        merged = by_head(build, merged, 3 * heads, size, f"{name}/qkv")
        names = [f"{name}/{part}" for part in ("query", "key", "value")]
        query, key, value = build.nodes("Split", [merged, build.integers(heads, heads, heads)], names, axis=1)
        if rows is not None:
            query = chosen(build, query, rows, f"{name}/query.row", heads=True)
        return query, key, value
