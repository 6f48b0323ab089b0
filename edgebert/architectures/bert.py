"""BERT (Devlin et al. 2018), and the models of its shape: MiniLM, TinyBERT."""

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

NAME = "bert"
MODEL_TYPES = ("bert",)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENIZER = "wordpiece"
READS_PADDING = False
TRACED: str | None = None
HEAD = ("classifier.", "qa_outputs.", "pooler.")
PAIR_HEAD = "cls.seq_relationship"
KEEP_FLOAT = ()
KEYS = Keys("num_hidden_layers", "num_attention_heads", ("hidden_size", "intermediate_size"))


def _shape(layers: int, hidden: int, heads: int, ffn: int) -> Mapping[str, int]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": ffn,
    }


SHAPES = {
    "bert-tiny": _shape(2, 128, 2, 512),  # to medium: Turc et al. 2019, "Well-Read Students Learn Better"
    "bert-mini": _shape(4, 256, 4, 1024),
    "bert-small": _shape(4, 512, 8, 2048),
    "bert-medium": _shape(8, 512, 8, 2048),
    "bert-base": _shape(12, 768, 12, 3072),  # Devlin et al. 2018, section 3
    "bert-large": _shape(24, 1024, 16, 4096),
    "minilm-l6-h384": _shape(6, 384, 12, 1536),  # Wang et al. 2020, "MiniLM", and its model cards
    "minilm-l12-h384": _shape(12, 384, 12, 1536),
    "tinybert-4": _shape(4, 312, 12, 1200),  # Jiao et al. 2019, "TinyBERT", section 4.2
    "tinybert-6": _shape(6, 768, 12, 3072),
}


def config(values: Mapping[str, Any]) -> Any:
    """A transformers config with these values, the library's defaults otherwise."""
    from transformers import BertConfig

    return BertConfig.from_dict(dict(values))


def embeddings(model: Any) -> Any:
    """The module that holds word, position and type embeddings."""
    return model.base_model.embeddings


def layers(model: Any) -> Sequence[Any]:
    """The modules of the encoder's layers."""
    return list(model.base_model.encoder.layer)


def parts(layer: Any) -> Parts:
    """Where the attention heads and feed-forward matrices of a layer are."""
    return bert_parts(layer, (layer,))


def blueprint(model: Any) -> Blueprint | None:
    """What an ONNX graph is emitted from."""
    pooler = model.base_model.pooler
    first: Steps = (
        (pooler.dense, "tanh", model.classifier) if pooler is not None and hasattr(model, "classifier") else ()
    )
    masked: Steps = ()
    if hasattr(model, "cls"):
        head = model.cls.predictions
        masked = (head.transform.dense, model.config.hidden_act, head.transform.LayerNorm, head.decoder)
    return bert_blueprint(model, layers(model), first, masked)


def masked_lm_head(model: Any, hidden: Any) -> Any:
    """Logits [..., vocabulary] of BertForMaskedLM for hidden states [..., hidden]."""
    return model.cls.predictions(hidden)


def cut(values: Mapping[str, Any], weights: Mapping[str, Any], keep: Sequence[int]) -> tuple[Values, Weights]:
    """The model that has only the layers `keep`."""
    kept = checked(keep, config(values).num_hidden_layers)
    return without_layers(values, weights, kept, KEYS.layers, "encoder.layer")
