"""The student of the triple loss: it begins with layers of its teacher (Sanh et al. 2019, section 3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

# What BERT's parts are called in DistilBERT; {n} is the layer. Token types and pooler have no place there.
_LAYER = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}
_OUTSIDE = {
    "bert.embeddings.word_embeddings": "distilbert.embeddings.word_embeddings",
    "bert.embeddings.position_embeddings": "distilbert.embeddings.position_embeddings",
    "bert.embeddings.LayerNorm": "distilbert.embeddings.LayerNorm",
    "cls.predictions.transform.dense": "vocab_transform",
    "cls.predictions.transform.LayerNorm": "vocab_layer_norm",
    "cls.predictions.decoder": "vocab_projector",
}
_IN_LAYER = re.compile(r"^bert\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)$")


def fault(teacher: str, student: str) -> str | None:
    """Why a student of one architecture cannot begin with layers of a teacher of another, or None."""
    if student == teacher or (teacher, student) == ("bert", "distilbert"):
        return None
    fitting = "bert, distilbert" if teacher == "bert" else teacher
    return f"'{student}' cannot begin with layers of a teacher of architecture '{teacher}'; known: {fitting}"


def every_second(depth: int) -> list[int]:
    """The layers that a student begins with unless told otherwise: 0, 2, 4 ..."""
    return list(range(0, depth, 2))


def begin(teacher: Any, architecture: ModuleType, student: ModuleType, keep: Sequence[int] | None) -> Any:
    """A model for masked pieces with the teacher's embeddings, its layers `keep` and its head.

    `teacher` is an AutoModelForMaskedLM of `architecture`. Raises InputError for a layer that is not there.
    """
    from transformers import AutoModelForMaskedLM

    values = teacher.config.to_dict()
    depth = getattr(architecture.config(values), architecture.KEYS.layers)
    kept, weights = architecture.cut(values, teacher.state_dict(), keep or every_second(depth))
    if student.NAME != architecture.NAME:
        kept, weights = _as_distilbert(architecture.config(kept), weights)
    model = AutoModelForMaskedLM.from_config(student.config(kept))
    assert set(weights) == set(model.state_dict())
    model.load_state_dict(weights)
    return model


def _as_distilbert(config: Any, weights: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Config values and weights of the DistilBERT that computes what a BERT does for a first segment.

    The vector of the first token type is added to every position, where BERT adds it to every embedding.
    """
    values = {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_position_embeddings,
        "n_layers": config.num_hidden_layers,
        "n_heads": config.num_attention_heads,
        "dim": config.hidden_size,
        "hidden_dim": config.intermediate_size,
        "dropout": config.hidden_dropout_prob,
        "attention_dropout": config.attention_probs_dropout_prob,
        "activation": config.hidden_act,
        "pad_token_id": config.pad_token_id,
    }
    found = {}
    for name, tensor in weights.items():
        inside = _IN_LAYER.match(name)
        stem, _, last = name.rpartition(".")
        if inside is not None:
            found[f"distilbert.transformer.layer.{inside[1]}.{_LAYER[inside[2]]}.{inside[3]}"] = tensor
        elif stem in _OUTSIDE:
            found[f"{_OUTSIDE[stem]}.{last}"] = tensor
    positions = "distilbert.embeddings.position_embeddings.weight"
    found[positions] = found[positions] + weights["bert.embeddings.token_type_embeddings.weight"][0]
    return values, found
