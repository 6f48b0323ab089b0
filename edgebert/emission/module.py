"""The emitted computation as a torch module: what formats are converted from that take modules, not graphs.

It does what `emission.graph` writes: one product for queries, keys and values, the last layer for one token where
a task reads one. Bottlenecks are not written this way; those models are converted as transformers runs them.

LiteRT's int8 MiniLM of 32 tokens takes 36.0 million instructions on a Cortex-A76 instead of 42.3, and 94.2 instead
of 109.2 on a Cortex-A72.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from edgebert.emission import Block, Blueprint, Emission, Head, Parted
from edgebert.emission.attention import MASKED

_GELU = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}


def written(emission: Emission | None) -> bool:
    """Whether a module can be written for a model."""
    return emission is not None and isinstance(emission.blueprint, Blueprint)


class Lean(torch.nn.Module):  # type: ignore[misc]  # torch is not read by mypy here
    """Integers [batch, tokens] by name, or in the order of `inputs`, to the tensors of `outputs`.

    Modules of the model are used as they are, so that what is shared stays shared; products that are merged are
    made once for all their runs.
    """

    def __init__(self, emission: Emission, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__()
        assert isinstance(emission.blueprint, Blueprint)
        self.inputs, self.outputs = inputs, outputs
        blueprint, self.head = emission.blueprint, emission.head
        self.words, self.positions, self.types = blueprint.words, blueprint.positions, blueprint.types
        self.norm, self.projection = blueprint.norm, blueprint.projection
        one = self.head.reads in ("first", "masked")
        last = blueprint.blocks[-1] if one else None
        alone = last is not None and sum(block.query is last.query for block in blueprint.blocks) == 1
        known: dict[int, Layer] = {}
        for number, block in enumerate(blueprint.blocks):
            if id(block.query) not in known:
                apart = alone and number == len(blueprint.blocks) - 1
                known[id(block.query)] = Layer(block, apart)
        for number, layer in enumerate(known.values()):  # files name tensors after attributes
            self.add_module(f"layer_{number}", layer)
        self.order = [f"layer_{list(known).index(id(block.query))}" for block in blueprint.blocks]
        for number, step in enumerate(self.head.steps):
            if isinstance(step, torch.nn.Module):
                ends = number == len(self.head.steps) - 1
                self.add_module("head_classifier" if ends else f"head_{number}", step)
        self.eval()

    def forward(self, *tensors: torch.Tensor, **named: torch.Tensor) -> Any:
        """Outputs in order."""
        feeds = named or dict(zip(self.inputs, tensors, strict=True))
        mask = feeds["attention_mask"].to(torch.float32)
        scores = (1.0 - mask)[:, None, None, :] * MASKED
        x = self.words(feeds["input_ids"]) + self.positions.weight[: mask.shape[1]]
        if self.types is not None:
            x = x + self.types(feeds["token_type_ids"])
        x = self.norm(x)
        if self.projection is not None:
            x = self.projection(x)
        for run, name in enumerate(self.order):
            last = run == len(self.order) - 1
            x = self.get_submodule(name)(x, scores, self._row(feeds) if last else None)
        return self._outputs(self._read(x, mask, feeds))

    def _row(self, feeds: dict[str, torch.Tensor]) -> Any:
        """What the last layer is computed for: "first", weights [batch, 1, tokens] of the first mask, or None."""
        if self.head.reads == "first":
            return "first"
        return _first_mask(feeds["input_ids"], self.head)[:, None] if self.head.reads == "masked" else None

    def _read(self, x: torch.Tensor, mask: torch.Tensor, feeds: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.head.reads == "tokens":
            return x
        if self.head.reads == "mean":
            mean = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1.0)
            return mean / (mean * mean).sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
        x = x[:, 0]
        if self.head.reads == "masked":  # what has no mask gives the head nothing
            x = x * _first_mask(feeds["input_ids"], self.head).sum(1, keepdim=True)
        return x

    def _outputs(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        for step in self.head.steps:
            x = _step(x, step)
        if self.head.steps and (self.head.scale, self.head.shift) != (1.0, 0.0):
            x = x * self.head.scale + self.head.shift
        if self.head.columns:
            return tuple(x[..., number] for number in range(len(self.outputs)))
        return (x,)


class Layer(torch.nn.Module):  # type: ignore[misc]
    """A layer; `apart` keeps queries, which one token asks, from the product of keys and values."""

    def __init__(self, block: Block, apart: bool) -> None:
        super().__init__()
        self.heads, self.kind, self.apart = block.heads, block.activation, apart
        scale = float((block.query.weight.shape[0] // block.heads) ** -0.5)
        if apart:
            self.attention_query = _merged([block.query], [scale])
            self.attention_key_value = _merged([block.key, block.value], [1.0, 1.0])
        else:
            self.attention_qkv = _merged([block.query, block.key, block.value], [scale, 1.0, 1.0])
        self.attention_out, self.attention_norm = block.out, block.attention_norm
        self.ffn_up, self.ffn_down, self.ffn_norm = block.up, block.down, block.ffn_norm

    def forward(self, x: torch.Tensor, scores: torch.Tensor, row: Any) -> torch.Tensor:
        """[batch, tokens, hidden], or [batch, 1, hidden] of the row that is asked for."""
        own = x if row is None else _chosen(x, row)
        if self.apart:
            parts = (self.attention_query(own), *self.attention_key_value(x).chunk(2, dim=-1))
        else:
            parts = self.attention_qkv(x).chunk(3, dim=-1)
        query, key, value = (self._by_head(one) for one in parts)
        if row is not None and not self.apart:
            query = _chosen(query.transpose(1, 2).flatten(2), row).unflatten(2, (self.heads, -1)).transpose(1, 2)
        shares = torch.softmax(query @ key.transpose(2, 3) + scores, dim=-1)
        mixed = (shares @ value).transpose(1, 2).flatten(2)
        x = self.attention_norm(self.attention_out(mixed) + own)
        return self.ffn_norm(self.ffn_down(_activated(self.ffn_up(x), self.kind)) + x)

    def _by_head(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


def _merged(modules: list[Any], scales: list[float]) -> torch.nn.Linear:
    """Linear modules side by side, each times its scale."""
    pairs = list(zip(modules, scales, strict=True))
    weight = torch.cat([one.weight.detach() * scale for one, scale in pairs])
    bias = torch.cat([_bias(one) * scale for one, scale in pairs])
    found = torch.nn.Linear(weight.shape[1], weight.shape[0])
    found.weight, found.bias = torch.nn.Parameter(weight), torch.nn.Parameter(bias)
    return found


def _bias(module: Any) -> torch.Tensor:
    rows = module.weight.shape[0]
    return torch.zeros(rows) if module.bias is None else module.bias.detach()


def _chosen(x: torch.Tensor, row: Any) -> torch.Tensor:
    """[batch, 1, hidden] of x [batch, tokens, hidden]."""
    return x[:, :1] if isinstance(row, str) else row @ x


def _first_mask(ids: torch.Tensor, head: Head) -> torch.Tensor:
    """1 at the first masked piece of each text, 0 elsewhere: float32 [batch, tokens]."""
    masks = (ids == head.mask_number).to(torch.float32)
    return masks * (masks.cumsum(1) < 1.5).to(torch.float32)


def _activated(x: torch.Tensor, kind: str) -> torch.Tensor:
    if kind in _GELU:
        return functional.gelu(x, approximate=_GELU[kind])
    return torch.relu(x) if kind == "relu" else torch.tanh(x)


def _step(x: torch.Tensor, step: Any) -> torch.Tensor:
    if isinstance(step, str):
        return _activated(x, step)
    if isinstance(step, Parted):
        size = step.table.in_features
        return step.table(x[..., :size]) + x[..., size:] @ step.others
    found: torch.Tensor = step(x)
    return found
