"""MobileBERT (Sun et al. 2020): 24 narrow layers between wide residuals, several small FFNs in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgebert.architectures import Keys, Parts, Values, Weights, bert_parts, checked, without_layers
from edgebert.emission import Blueprint

NAME = "mobilebert"
MODEL_TYPES = ("mobilebert",)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENIZER = "wordpiece"
READS_PADDING = True  # embeddings of three neighbouring words are joined
TRACED: str | None = "bottlenecks and stacked feed-forward networks are not emitted yet"
HEAD = ("classifier.", "qa_outputs.", "pooler.")  # the published models have a pooler without weights
PAIR_HEAD = "cls.seq_relationship"
KEEP_FLOAT = ()
KEYS = Keys(
    "num_hidden_layers", "num_attention_heads", ("hidden_size", "intra_bottleneck_size", "intermediate_size")
)
_BOTH = {
    "num_hidden_layers": 24,
    "hidden_size": 512,
    "intra_bottleneck_size": 128,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "embedding_size": 128,
    "normalization_type": "no_norm",
    "hidden_act": "relu",
    "classifier_activation": False,
}
SHAPES: Mapping[str, Mapping[str, Any]] = {  # Sun et al. 2020, table 1, and the published configs
    "mobilebert": {**_BOTH, "num_feedforward_networks": 4, "key_query_shared_bottleneck": True},
    "mobilebert-tiny": {
        **_BOTH,
        "num_feedforward_networks": 2,
        "use_bottleneck_attention": True,
        "key_query_shared_bottleneck": False,
    },
}


def config(values: Mapping[str, Any]) -> Any:
    """A transformers config with these values, the library's defaults otherwise."""
    from transformers import MobileBertConfig

    return MobileBertConfig.from_dict(dict(values))


def embeddings(model: Any) -> Any:
    """The module that holds word, position and type embeddings and the product over three neighbouring words."""
    return model.base_model.embeddings


def layers(model: Any) -> Sequence[Any]:
    """The modules of the encoder's layers."""
    return list(model.base_model.encoder.layer)


def parts(layer: Any) -> Parts:
    """Where the attention heads and feed-forward matrices of a layer are."""
    return bert_parts(layer, (*getattr(layer, "ffn", ()), layer))


def blueprint(model: Any) -> Blueprint | None:
    """None: the tracer records it (see TRACED)."""
    return None


def masked_lm_head(model: Any, hidden: Any) -> Any:
    """Logits [..., vocabulary] of MobileBertForMaskedLM for hidden states [..., hidden]."""
    return model.cls.predictions(hidden)


def cut(values: Mapping[str, Any], weights: Mapping[str, Any], keep: Sequence[int]) -> tuple[Values, Weights]:
    """The model that has only the layers `keep`."""
    kept = checked(keep, config(values).num_hidden_layers)
    return without_layers(values, weights, kept, KEYS.layers, "encoder.layer")
