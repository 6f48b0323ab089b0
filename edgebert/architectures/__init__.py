"""Architectures: where a model's parts are, what it reads, and the sizes that were published of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from edgebert import members
from edgebert.emission import ACTIVATIONS, Block, Blueprint, Bottlenecks, Steps
from edgebert.errors import InputError, nearest

Values = dict[str, Any]  # of a config.json
Weights = dict[str, Any]  # tensors by name


@dataclass(frozen=True)
class Keys:
    """What an architecture calls its sizes in its config.

    `widths` are those that grow in proportion to the hidden size; the hidden size itself is the first of them.
    """

    layers: str
    heads: str
    widths: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """The linear modules of an encoder layer, and how many heads its attention has.

    `ffn` holds the matrices up and down of each feed-forward network in the order they are run.
    """

    query: Any
    key: Any
    value: Any
    out: Any
    heads: int
    ffn: tuple[tuple[Any, Any], ...]


def bert_parts(layer: Any, ffns: Sequence[Any]) -> Parts:
    """The parts of a layer that names them as BERT does; `ffns` have an `intermediate` and an `output` each."""
    attention = layer.attention.self
    return Parts(
        attention.query,
        attention.key,
        attention.value,
        layer.attention.output.dense,
        attention.num_attention_heads,
        tuple((ffn.intermediate.dense, ffn.output.dense) for ffn in ffns),
    )


def block(parts: Parts, attention_norm: Any, ffn_norm: Any, activation: str) -> Block:
    """A layer of one feed-forward network as it is emitted."""
    [(up, down)] = parts.ffn
    attention = (parts.query, parts.key, parts.value, parts.out, parts.heads)
    return Block(*attention, attention_norm, up, activation, down, ffn_norm)


def bert_blueprint(model: Any, layers: Sequence[Any], first: Steps, masked: Steps) -> Blueprint | None:
    """The blueprint of a model that names its parts as BERT does; None for an activation that is not emitted."""
    base, kind = model.base_model, model.config.hidden_act
    if kind not in ACTIVATIONS:
        return None
    tables = base.embeddings
    return Blueprint(
        tables.word_embeddings,
        tables.position_embeddings,
        tables.token_type_embeddings,
        tables.LayerNorm,
        getattr(base, "embeddings_project", None),
        tuple(
            block(bert_parts(one, (one,)), one.attention.output.LayerNorm, one.output.LayerNorm, kind)
            for one in layers
        ),
        model.config.hidden_size,
        first,
        masked,
    )


class Architecture(Protocol):
    """What a module in this folder offers.

    `HEAD` holds parts of the names of parameters that a task learns anew. A pooler is among them: some published
    models bring a trained one, others none, and a trained one is soon adapted.
    """

    NAME: str

    @property
    def MODEL_TYPES(self) -> tuple[str, ...]:
        """`model_type` values of the config files it reads."""

    @property
    def INPUTS(self) -> tuple[str, ...]:
        """Names of the input tensors, in order."""

    TOKENIZER: str  # "wordpiece" or "unigram"

    TRACED: str | None
    """Why its ONNX graphs are recorded by the tracer; None: they are emitted from the weights."""

    READS_PADDING: bool
    """Whether a token's vector depends on its neighbours', also where those are masked."""

    @property
    def HEAD(self) -> tuple[str, ...]:
        """Parts of the names of parameters that a task learns anew."""

    @property
    def PAIR_HEAD(self) -> str | None:
        """The module of an AutoModelForPreTraining that classifies pairs of segments; None: there is none."""

    @property
    def KEEP_FLOAT(self) -> tuple[str, ...]:
        """Patterns of names of an ONNX file's nodes that no quantizer may take, beside those of the recipe."""

    @property
    def KEYS(self) -> Keys:
        """What the config calls the sizes."""

    @property
    def SHAPES(self) -> Mapping[str, Mapping[str, Any]]:
        """Published sizes: config values by name, where they are not the library's defaults."""

    def config(self, values: Mapping[str, Any]) -> Any:
        """A transformers config with these values, the library's defaults otherwise."""

    def embeddings(self, model: Any) -> Any:
        """The torch module that holds word, position and type embeddings."""

    def layers(self, model: Any) -> Sequence[Any]:
        """The torch modules of the encoder's layers in order; a layer that is run many times is there once."""

    def parts(self, layer: Any) -> Parts:
        """Where the attention heads and feed-forward matrices of one of `layers` are."""

    def blueprint(self, model: Any) -> Blueprint | Bottlenecks | None:
        """What an ONNX graph is emitted from; None where the tracer has to record the model."""

    def masked_lm_head(self, model: Any, hidden: Any) -> Any:
        """Logits [..., vocabulary] of the masked-language head for the encoder's output [..., hidden].

        The model is an AutoModelForMaskedLM, or an AutoModelForPreTraining where there is a PAIR_HEAD.
        """

    def cut(
        self, values: Mapping[str, Any], weights: Mapping[str, Any], keep: Sequence[int]
    ) -> tuple[Values, Weights]:
        """Config values and weights of the model that has only the layers `keep`, from 0, in that order.

        Weights may be named as in the bare model or as in one with a head. Raises InputError for a layer that is
        not there or is named twice.
        """


def named(shape: str) -> tuple[str, Mapping[str, Any]]:
    """(architecture, config values) of a published size. Raises InputError for a name that is not known."""
    known = {name: member for member in _members() for name in member.SHAPES}
    if shape not in known:
        raise InputError(f"unknown shape '{shape}'; {nearest(shape, known)}")
    return known[shape].NAME, known[shape].SHAPES[shape]


def sized(architecture: Architecture, values: Mapping[str, Any], layers: int | None, hidden: int | None) -> Values:
    """Config values with another number of layers and another hidden size; None: as it is.

    All widths change in proportion, and a head keeps its size. Raises InputError where whole heads do not fill the
    hidden size.
    """
    keys, config = architecture.KEYS, architecture.config(values)
    found = {**values, keys.layers: layers or getattr(config, keys.layers)}
    if hidden is None:
        return found
    old = getattr(config, keys.widths[0])
    step = old // getattr(config, keys.heads)
    if hidden <= 0 or hidden % step:
        raise InputError(
            f"hidden = {hidden}: must be a multiple of {step}: this model has a head for every {step} of its {old}"
        )
    for key in (*keys.widths, keys.heads):
        found[key] = getattr(config, key) * hidden // old
    return found


def checked(keep: Sequence[int], depth: int) -> list[int]:
    """The numbers of layers to keep. Raises InputError where one is not below `depth`, or is named twice."""
    if strange := [number for number in keep if not 0 <= number < depth]:
        raise InputError(
            f"keep = {list(keep)}: the model has no layer {strange[0]}; its layers are 0 to {depth - 1}"
        )
    if not keep or len(set(keep)) < len(keep):
        raise InputError(f"keep = {list(keep)}: must name at least one layer, and none twice")
    return list(keep)


def without_layers(
    values: Mapping[str, Any], weights: Mapping[str, Any], keep: Sequence[int], key: str, path: str
) -> tuple[Values, Weights]:
    """Config values and weights with the layers `keep` alone; `key` counts them, `path` precedes their numbers."""
    place = re.compile(rf"(?:^|(?<=\.)){re.escape(path)}\.(\d+)(?=\.)")
    found = {}
    for name, tensor in weights.items():
        number = place.search(name)
        if number is None:
            found[name] = tensor
        elif int(number[1]) in keep:
            found[place.sub(f"{path}.{keep.index(int(number[1]))}", name)] = tensor
    return {**values, key: len(keep)}, found


def _members() -> list[ModuleType]:
    return [members.find("architectures", name) for name in members.names("architectures")]
