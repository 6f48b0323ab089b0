"""DistilBERT (Sanh et al. 2019): BERT with every second layer, without token types and without a pooler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgebert.architectures import Keys, Parts, Values, Weights, block, checked, without_layers
from edgebert.emission import ACTIVATIONS, Blueprint, Steps

NAME = "distilbert"
MODEL_TYPES = ("distilbert",)
INPUTS = ("input_ids", "attention_mask")
TOKENIZER = "wordpiece"
READS_PADDING = False
TRACED: str | None = None
HEAD = ("classifier.", "qa_outputs.")  # the first is also the end of pre_classifier
PAIR_HEAD: str | None = None
KEEP_FLOAT = ()
KEYS = Keys("n_layers", "n_heads", ("dim", "hidden_dim"))
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "distilbert-base": {
        "n_layers": 6,
        "dim": 768,
        "n_heads": 12,
        "hidden_dim": 3072,
    },  # Sanh et al. 2019, section 3
}


def config(values: Mapping[str, Any]) -> Any:
    """A transformers config with these values, the library's defaults otherwise."""
    from transformers import DistilBertConfig

    return DistilBertConfig.from_dict(dict(values))


def embeddings(model: Any) -> Any:
    """The module that holds word and position embeddings."""
    return model.base_model.embeddings


def layers(model: Any) -> Sequence[Any]:
    """The modules of the encoder's layers."""
    return list(model.base_model.transformer.layer)


def parts(layer: Any) -> Parts:
    """Where the attention heads and feed-forward matrices of a layer are."""
    attention = layer.attention
    return Parts(
        attention.q_lin,
        attention.k_lin,
        attention.v_lin,
        attention.out_lin,
        attention.n_heads,
        ((layer.ffn.lin1, layer.ffn.lin2),),
    )


def blueprint(model: Any) -> Blueprint | None:
    """What an ONNX graph is emitted from."""
    tables, kind = embeddings(model), model.config.activation
    if kind not in ACTIVATIONS:
        return None
    first: Steps = ()
    masked: Steps = ()
    if hasattr(model, "pre_classifier"):
        first = (model.pre_classifier, "relu", model.classifier)
    if hasattr(model, "vocab_transform"):
        masked = (model.vocab_transform, kind, model.vocab_layer_norm, model.vocab_projector)
    return Blueprint(
        tables.word_embeddings,
        tables.position_embeddings,
        None,
        tables.LayerNorm,
        None,
        tuple(block(parts(one), one.sa_layer_norm, one.output_layer_norm, kind) for one in layers(model)),
        model.config.dim,
        first,
        masked,
    )


def masked_lm_head(model: Any, hidden: Any) -> Any:
    """Logits [..., vocabulary] of DistilBertForMaskedLM for hidden states [..., hidden]."""
    changed = model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
    return model.vocab_projector(changed)


def cut(values: Mapping[str, Any], weights: Mapping[str, Any], keep: Sequence[int]) -> tuple[Values, Weights]:
    """The model that has only the layers `keep`."""
    kept = checked(keep, config(values).num_hidden_layers)
    return without_layers(values, weights, kept, KEYS.layers, "transformer.layer")
