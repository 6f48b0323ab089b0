"""ALBERT (Lan et al. 2019): one layer run many times, and embeddings narrower than the layer.

Its published models are of two versions, which differ in activation and dropout and not in their sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgebert.architectures import Keys, Parts, Values, Weights, block, checked
from edgebert.emission import ACTIVATIONS, Blueprint, Steps
from edgebert.errors import InputError

NAME = "albert"
MODEL_TYPES = ("albert",)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENIZER = "unigram"
READS_PADDING = False
TRACED: str | None = None
HEAD = ("classifier.", "qa_outputs.", "pooler.")
PAIR_HEAD = "sop_classifier"
KEEP_FLOAT = ()
KEYS = Keys("num_hidden_layers", "num_attention_heads", ("hidden_size", "intermediate_size"))


def _shape(layers: int, hidden: int, heads: int, version: int, dropout: float = 0.0) -> Mapping[str, Any]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        "hidden_act": "gelu" if version == 1 else "gelu_new",
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
    }


SHAPES = {  # Lan et al. 2019, table 1; heads, activation and dropout: the published configs
    "albert-base-v1": _shape(12, 768, 12, 1, 0.1),
    "albert-large-v1": _shape(24, 1024, 16, 1, 0.1),
    "albert-xlarge-v1": _shape(24, 2048, 16, 1, 0.1),
    "albert-xxlarge-v1": _shape(12, 4096, 64, 1),
    "albert-base-v2": _shape(12, 768, 12, 2),
    "albert-large-v2": _shape(24, 1024, 16, 2),
    "albert-xlarge-v2": _shape(24, 2048, 16, 2),
    "albert-xxlarge-v2": _shape(12, 4096, 64, 2),
}


def config(values: Mapping[str, Any]) -> Any:
    """A transformers config with these values, the library's defaults otherwise."""
    from transformers import AlbertConfig

    return AlbertConfig.from_dict(dict(values))


def embeddings(model: Any) -> Any:
    """The module that holds word, position and type embeddings; the encoder widens them."""
    return model.base_model.embeddings


def layers(model: Any) -> Sequence[Any]:
    """The layer that is shared, once; several where the config has groups of layers."""
    groups = model.base_model.encoder.albert_layer_groups
    return [layer for group in groups for layer in group.albert_layers]


def parts(layer: Any) -> Parts:
    """Where the attention heads and feed-forward matrices of a layer are."""
    attention = layer.attention
    return Parts(
        attention.query,
        attention.key,
        attention.value,
        attention.dense,
        attention.num_attention_heads,
        ((layer.ffn, layer.ffn_output),),
    )


def blueprint(model: Any) -> Blueprint | None:
    """What an ONNX graph is emitted from: the layers as they are run, one and the same many times."""
    base, kind = model.base_model, model.config.hidden_act
    if kind not in ACTIVATIONS:
        return None
    groups = [list(group.albert_layers) for group in base.encoder.albert_layer_groups]
    runs = [
        layer
        for run in range(model.config.num_hidden_layers)
        for layer in groups[run * len(groups) // model.config.num_hidden_layers]
    ]
    first: Steps = ()
    masked: Steps = ()
    if base.pooler is not None and hasattr(model, "classifier"):
        first = (base.pooler, "tanh", model.classifier)
    if hasattr(model, "predictions"):
        head = model.predictions
        masked = (head.dense, kind, head.LayerNorm, head.decoder)
    return Blueprint(
        base.embeddings.word_embeddings,
        base.embeddings.position_embeddings,
        base.embeddings.token_type_embeddings,
        base.embeddings.LayerNorm,
        base.encoder.embedding_hidden_mapping_in,
        tuple(block(parts(one), one.attention.LayerNorm, one.full_layer_layer_norm, kind) for one in runs),
        model.config.hidden_size,
        first,
        masked,
    )


def masked_lm_head(model: Any, hidden: Any) -> Any:
    """Logits [..., vocabulary] of AlbertForMaskedLM for hidden states [..., hidden]."""
    return model.predictions(hidden)


def cut(values: Mapping[str, Any], weights: Mapping[str, Any], keep: Sequence[int]) -> tuple[Values, Weights]:
    """The model that runs its shared layer `len(keep)` times. Raises InputError where not all are shared."""
    found = config(values)
    kept = checked(keep, found.num_hidden_layers)
    if found.num_hidden_groups != 1:
        raise InputError(
            f"keep: this ALBERT has {found.num_hidden_groups} groups of layers, and only a single one can be cut"
        )
    return {**values, KEYS.layers: len(kept)}, dict(weights)
