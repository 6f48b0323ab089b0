"""ELECTRA (Clark et al. 2020): BERT trained to tell replaced words; its discriminator is what tasks start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgebert.architectures import (
    Keys,
    Parts,
    Values,
    Weights,
    bert_blueprint,
    bert_parts,
    checked,
    without_layers,
)
from edgebert.emission import Blueprint, Steps

NAME = "electra"
MODEL_TYPES = ("electra",)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENIZER = "wordpiece"
READS_PADDING = False
TRACED: str | None = None
HEAD = ("classifier.", "qa_outputs.")
PAIR_HEAD: str | None = None
KEEP_FLOAT = ()
KEYS = Keys("num_hidden_layers", "num_attention_heads", ("hidden_size", "intermediate_size"))


def _shape(hidden: int, heads: int, embedding: int) -> Mapping[str, int]:
    return {
        "num_hidden_layers": 12,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        "embedding_size": embedding,
    }


SHAPES = {  # Clark et al. 2020, table 6: the discriminators
    "electra-small": _shape(256, 4, 128),
    "electra-base": _shape(768, 12, 768),
}


def config(values: Mapping[str, Any]) -> Any:
    """A transformers config with these values, the library's defaults otherwise."""
    from transformers import ElectraConfig

    return ElectraConfig.from_dict(dict(values))


def embeddings(model: Any) -> Any:
    """The module that holds word, position and type embeddings; their projection is beside it."""
    return model.base_model.embeddings


def layers(model: Any) -> Sequence[Any]:
    """The modules of the encoder's layers."""
    return list(model.base_model.encoder.layer)


def parts(layer: Any) -> Parts:
    """Where the attention heads and feed-forward matrices of a layer are."""
    return bert_parts(layer, (layer,))


def blueprint(model: Any) -> Blueprint | None:
    """What an ONNX graph is emitted from."""
    first: Steps = ()
    masked: Steps = ()
    if hasattr(getattr(model, "classifier", None), "out_proj"):
        first = (model.classifier.dense, "gelu", model.classifier.out_proj)
    if hasattr(model, "generator_predictions"):
        head = model.generator_predictions
        masked = (head.dense, "gelu", head.LayerNorm, model.generator_lm_head)
    return bert_blueprint(model, layers(model), first, masked)


def masked_lm_head(model: Any, hidden: Any) -> Any:
    """Logits [..., vocabulary] of ElectraForMaskedLM for hidden states [..., hidden]."""
    return model.generator_lm_head(model.generator_predictions(hidden))


def cut(values: Mapping[str, Any], weights: Mapping[str, Any], keep: Sequence[int]) -> tuple[Values, Weights]:
    """The model that has only the layers `keep`."""
    kept = checked(keep, config(values).num_hidden_layers)
    return without_layers(values, weights, kept, KEYS.layers, "encoder.layer")
