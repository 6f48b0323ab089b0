"""Architectures: where a model's parts are, and what it reads."""

from __future__ import annotations

from typing import Any, Protocol


class Architecture(Protocol):
    """What a module in this folder offers.

    `HEAD` holds parts of the names of parameters that a task learns anew, not from the pre-trained model.
    """

    NAME: str
    MODEL_TYPES: tuple[str, ...]
    INPUTS: tuple[str, ...]
    TOKENIZER: str
    HEAD: tuple[str, ...]

    def embeddings(self, model: Any) -> Any:
        """The torch module that holds word, position and type embeddings."""
