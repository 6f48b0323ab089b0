"""The encoder of MobileBERT: narrow layers between wide residuals, and norms that are folded into products.

Its NoNorm is x * weight + bias. Behind a product alone it is the product's own scale and bias; behind a residual
the residual alone is multiplied by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebert.emission import Bottleneck, Bottlenecks, Product
from edgebert.emission.attention import MASK, MASK_ROW, attend, by_head, chosen, mask_scores
from edgebert.emission.builder import Builder
from edgebert.emission.embeddings import placed, words
from edgebert.emission.operators import Floats, activation, array, linear, norm


class BottleneckEncoder:
    """Writes an encoder's nodes; `tokens` is the fixed length of the texts, None where it is free."""

    def __init__(self, build: Builder, blueprint: Bottlenecks, tokens: int | None) -> None:
        self._build, self._blueprint, self._tokens = build, blueprint, tokens

    def states(self, rows: str | None = None) -> str:
        """Write all layers: float32 [batch, tokens, hidden]; with `rows`, of one token: see `encoder.Encoder`."""
        mask_scores(self._build)
        x = self._embeddings()
        for run, block in enumerate(self._blueprint.blocks):
            last = run == len(self._blueprint.blocks) - 1
            x = self._layer(x, block, f"layer.{run}", rows if last else None)
        return x

    def _embeddings(self) -> str:
        build, blueprint = self._build, self._blueprint
        x = words(build, blueprint.words)
        if blueprint.trigram:
            following = self._shifted(x, 1, np.iinfo(np.int64).max, [0, 0, 0, 0, 1, 0], "embeddings/following")
            preceding = self._shifted(x, 0, -1, [0, 1, 0, 0, 0, 0], "embeddings/preceding")
            x = build.node("Concat", [following, x, preceding], "embeddings/three", axis=2)
        if blueprint.transformation is not None:
            x = linear(build, x, [blueprint.transformation], "embeddings/transformation")
        x = placed(build, x, blueprint.positions, blueprint.types, self._tokens)
        return self._normed(x, blueprint.norm, "embeddings/norm")

    def _shifted(self, x: str, start: int, end: int, pads: list[int], name: str) -> str:
        """x [batch, tokens, size] from token `start` to `end`, then zeros for the tokens that are missing."""
        build = self._build
        part = build.node("Slice", [x, build.integers(start), build.integers(end), build.integers(1)], name)
        return build.node("Pad", [part, build.integers(*pads)], f"{name}.padded")

    def _layer(self, x: str, block: Bottleneck, name: str, rows: str | None) -> str:
        build = self._build
        own = x if rows is None else chosen(build, x, rows, f"{name}/row")
        narrow, own_narrow = x, own
        if block.entry is not None:
            narrow = self._scaled(x, block.entry, f"{name}/entry")
            own_narrow = narrow if rows is None else chosen(build, narrow, rows, f"{name}/entry.row")
        asks = {"hidden": x, "narrow": narrow}.get(block.attention_reads)
        if asks is None:
            assert block.shared is not None
            asks = self._scaled(x, block.shared, f"{name}/shared")
        tells = narrow if block.attention_reads == "narrow" else x
        attended = self._attention(asks, tells, block, f"{name}/attention", rows)
        x = self._added(attended, block.out, own_narrow, block.attention_norm, f"{name}/attention/out")
        for number, (up, down, normed) in enumerate(block.ffns):
            ffn = f"{name}/ffn.{number}"
            active = activation(build, linear(build, x, [up], f"{ffn}/up"), block.activation, f"{ffn}/activation")
            x = self._added(active, down, x, normed, f"{ffn}/down")
        if block.exit is None:
            return x
        dense, normed = block.exit
        return self._added(x, dense, own, normed, f"{name}/exit")

    def _attention(self, asks: str, tells: str, block: Bottleneck, name: str, rows: str | None) -> str:
        build, heads = self._build, block.heads
        width = block.query.weight.shape[0]
        size = width // heads
        scale = float(1.0 / np.sqrt(size))
        if rows is None:
            both = linear(build, asks, [block.query, block.key], f"{name}/query_key", scales=[scale, 1.0])
            both = by_head(build, both, 2 * heads, size, f"{name}/query_key")
            names = [f"{name}/query", f"{name}/key"]
            query, key = build.nodes("Split", [both, build.integers(heads, heads)], names, axis=1)
        else:
            one = chosen(build, asks, rows, f"{name}/asks.row")
            query = linear(build, one, [block.query], f"{name}/query", scales=[scale])
            query = by_head(build, query, heads, size, f"{name}/query")
            key = by_head(build, linear(build, asks, [block.key], f"{name}/key"), heads, size, f"{name}/key")
        value = by_head(build, linear(build, tells, [block.value], f"{name}/value"), heads, size, f"{name}/value")
        return attend(build, query, key, value, width, MASK if rows is None else MASK_ROW, name)

    def _scaled(self, x: str, part: Product, name: str) -> str:
        """A product and its norm."""
        dense, normed = part
        if _is_layer_norm(normed):
            return norm(self._build, linear(self._build, x, [dense], name), normed, f"{name}/norm")
        return linear(self._build, x, [dense], name, fold=_factors(normed))

    def _added(self, x: str, dense: Any, residual: str, normed: Any, name: str) -> str:
        """The norm of a product plus a residual."""
        build = self._build
        if _is_layer_norm(normed):
            total = build.node("Add", [linear(build, x, [dense], name), residual], f"{name}.sum")
            return norm(build, total, normed, f"{name}/norm")
        product = linear(build, x, [dense], name, fold=_factors(normed))
        factor = build.constant(f"{name}.residual.weight", array(normed.weight))
        return build.node(
            "Add", [product, build.node("Mul", [residual, factor], f"{name}.residual")], f"{name}.sum"
        )

    def _normed(self, x: str, module: Any, name: str) -> str:
        build = self._build
        if _is_layer_norm(module):
            return norm(build, x, module, name)
        scaled = build.node("Mul", [x, build.constant(f"{name}.weight", array(module.weight))], f"{name}.scaled")
        return build.node("Add", [scaled, build.constant(f"{name}.bias", array(module.bias))], name)


def _factors(normed: Any) -> tuple[Floats, Floats]:
    """What x * weight + bias multiplies by and adds."""
    return array(normed.weight), array(normed.bias)


def _is_layer_norm(module: Any) -> bool:
    return hasattr(module, "normalized_shape")
