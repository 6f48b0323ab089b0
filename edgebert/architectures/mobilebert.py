"""MobileBERT (Sun et al. 2020): 24 narrow layers between wide residuals, several small FFNs in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from edgebert.architectures import Keys, Parts, Values, Weights, bert_parts, checked, without_layers
from edgebert.emission import ACTIVATIONS, Bottleneck, Bottlenecks, Parted, Steps

NAME = "mobilebert"
MODEL_TYPES = ("mobilebert",)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENIZER = "wordpiece"
READS_PADDING = True  # embeddings of three neighbouring words are joined
TRACED: str | None = None
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


def blueprint(model: Any) -> Bottlenecks | None:
    """What an ONNX graph is emitted from."""
    base, values = model.base_model, model.config
    if values.hidden_act not in ACTIVATIONS:
        return None
    tables = base.embeddings
    first: Steps = ()
    masked: Steps = ()
    if base.pooler is not None and hasattr(model, "classifier"):
        first = ((base.pooler.dense, "tanh") if base.pooler.do_activate else ()) + (model.classifier,)
    if hasattr(model, "cls"):
        head = model.cls.predictions
        changed = (head.transform.dense, values.hidden_act, head.transform.LayerNorm)
        masked = (*changed, Parted(head.decoder, head.dense.weight))
    return Bottlenecks(
        tables.word_embeddings,
        values.trigram_input,
        tables.embedding_transformation if values.trigram_input or not _wide(values) else None,
        tables.position_embeddings,
        tables.token_type_embeddings,
        tables.LayerNorm,
        tuple(_block(layer, values) for layer in layers(model)),
        values.hidden_size,
        first,
        masked,
    )


def _wide(values: Any) -> bool:
    """Whether word embeddings are as wide as the hidden states."""
    return bool(values.embedding_size == values.hidden_size)


def _block(layer: Any, values: Any) -> Bottleneck:
    attention = layer.attention
    entry = shared = after = None
    reads: Literal["shared", "narrow", "hidden"] = "hidden"
    if values.use_bottleneck:
        entry = (layer.bottleneck.input.dense, layer.bottleneck.input.LayerNorm)
        after = (layer.output.bottleneck.dense, layer.output.bottleneck.LayerNorm)
        if values.use_bottleneck_attention:
            reads = "narrow"
        elif values.key_query_shared_bottleneck:
            reads = "shared"
            shared = (layer.bottleneck.attention.dense, layer.bottleneck.attention.LayerNorm)
    ffns = (*getattr(layer, "ffn", ()), layer)
    return Bottleneck(
        entry,
        shared,
        reads,
        attention.self.query,
        attention.self.key,
        attention.self.value,
        attention.self.num_attention_heads,
        attention.output.dense,
        attention.output.LayerNorm,
        tuple((ffn.intermediate.dense, ffn.output.dense, ffn.output.LayerNorm) for ffn in ffns),
        values.hidden_act,
        after,
    )


def masked_lm_head(model: Any, hidden: Any) -> Any:
    """Logits [..., vocabulary] of MobileBertForMaskedLM for hidden states [..., hidden]."""
    return model.cls.predictions(hidden)


def cut(values: Mapping[str, Any], weights: Mapping[str, Any], keep: Sequence[int]) -> tuple[Values, Weights]:
    """The model that has only the layers `keep`."""
    kept = checked(keep, config(values).num_hidden_layers)
    return without_layers(values, weights, kept, KEYS.layers, "encoder.layer")
