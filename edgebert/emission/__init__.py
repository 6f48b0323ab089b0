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

    A layer that is run many times is there many times. `words`, `positions` and `types` are Embedding modules,
    `width` is the hidden size. `first` and `masked` are the steps (see `Head`) from the state of the first or the
    masked token to the logits, of a model that has such a head.
    """

    words: Any
    positions: Any
    types: Any | None
    norm: Any
    projection: Any | None
    blocks: tuple[Block, ...]
    width: int
    first: Steps = ()
    masked: Steps = ()


Product = tuple[Any, Any]  # a Linear and the norm behind it: LayerNorm, or x * weight + bias


@dataclass(frozen=True)
class Bottleneck:
    """The torch modules of a layer that works narrower than what goes through it (Sun et al. 2020).

    entry and exit: to the narrow width and back; shared: what queries and keys are made of. attention_reads says
    what that is: the "shared" product, the "narrow" entry, which values are made of too, or the "hidden" states.
    ffns: up, down and norm of each feed-forward network.
    """

    entry: Product | None
    shared: Product | None
    attention_reads: Literal["shared", "narrow", "hidden"]
    query: Any
    key: Any
    value: Any
    heads: int
    out: Any
    attention_norm: Any
    ffns: tuple[tuple[Any, Any, Any], ...]
    activation: str
    exit: Product | None


@dataclass(frozen=True)
class Bottlenecks:
    """The torch modules of an encoder of bottlenecks; see `Blueprint`. trigram: words join their neighbours."""

    words: Any
    trigram: bool
    transformation: Any | None
    positions: Any
    types: Any
    norm: Any
    blocks: tuple[Bottleneck, ...]
    width: int
    first: Steps = ()
    masked: Steps = ()


@dataclass(frozen=True)
class Parted:
    """A Linear whose first inputs are a module's and whose others are a weight [others, out] of their own."""

    table: Any
    others: Any


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

    blueprint: Blueprint | Bottlenecks
    head: Head
