"""Emission: the ONNX graph of a model written from its weights, not taken from a tracer.

What a tracer records is how the model's authors wrote it down: three products where one does, shapes computed at
run time, every token of the last layer where only the first is read. Here an architecture says where its weights
are (`Blueprint`), a task what it reads of the encoder (`Head`), and `emission.graph` writes the fewest operators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Steps = tuple[Any, ...]
Reads = Literal["first", "masked", "mean", "tokens"]
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "tanh")


@dataclass(frozen=True)
class Block:
    """The torch modules of an encoder layer that normalises behind each residual.

    query, key, value, out, up, down: Linear; attention_norm, ffn_norm: LayerNorm; `activation`: see ACTIVATIONS.
    """

    query: Any
    key: Any
    value: Any
    out: Any
    heads: int
    attention_norm: Any
    up: Any
    activation: str
    down: Any
    ffn_norm: Any


@dataclass(frozen=True)
class Blueprint:
    """The torch modules of an encoder: embedding tables, their norm and projection, and layers as they are run.

    A layer that is run many times is there many times. `words`, `positions` and `types` are Embedding modules.
    `first` and `masked` are the steps (see `Head`) from the first or the masked token's state to the logits, of a
    model that has such a head.
    """

    words: Any
    positions: Any
    types: Any | None
    norm: Any
    projection: Any | None
    blocks: tuple[Block, ...]
    first: Steps = ()
    masked: Steps = ()


@dataclass(frozen=True)
class Head:
    """What becomes of the encoder's states, in steps: torch's Linear or LayerNorm, or the name of an activation.

    reads: "first" token's state, that of the first "masked" one, the unit "mean" over tokens, or all "tokens".
    columns: each column of the last product is an output [batch, tokens] of its own. scale and shift are applied
    to the last product. mask_number: the piece that "masked" looks for.
    """

    reads: Reads
    steps: Steps = ()
    columns: bool = False
    scale: float = 1.0
    shift: float = 0.0
    mask_number: int | None = None


@dataclass(frozen=True)
class Emission:
    """A model that can be emitted."""

    blueprint: Blueprint
    head: Head
