"""BERT (Devlin et al. 2018), and the models of its shape: MiniLM, TinyBERT."""

from __future__ import annotations

from typing import Any

NAME = "bert"
MODEL_TYPES = ("bert",)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENIZER = "wordpiece"
HEAD = ("classifier.", "pooler.")


def embeddings(model: Any) -> Any:
    """The module that holds word, position and type embeddings."""
    return model.base_model.embeddings
