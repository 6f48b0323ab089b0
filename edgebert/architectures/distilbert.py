"""DistilBERT (Sanh et al. 2019): BERT with every second layer, without token types and without a pooler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgebert.architectures import Keys, Parts, Values, Weights, checked, without_layers

NAME = "distilbert"
MODEL_TYPES = ("distilbert",)
INPUTS = ("input_ids", "attention_mask")
TOKENIZER = "wordpiece"
READS_PADDING = False
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


def masked_lm_head(model: Any, hidden: Any) -> Any:
    """Logits [..., vocabulary] of DistilBertForMaskedLM for hidden states [..., hidden]."""
    changed = model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
    return model.vocab_projector(changed)


def cut(values: Mapping[str, Any], weights: Mapping[str, Any], keep: Sequence[int]) -> tuple[Values, Weights]:
    """The model that has only the layers `keep`."""
    kept = checked(keep, config(values).num_hidden_layers)
    return without_layers(values, weights, kept, KEYS.layers, "transformer.layer")
