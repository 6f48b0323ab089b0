"""Architectures: where a model's parts are, and what it reads."""

from __future__ import annotations

from typing import Any, Protocol


class Architecture(Protocol):
    """What a module in this folder offers.

    `HEAD` holds parts of the names of parameters that a task learns anew, not from the pre-trained model.
    """

    NAME: str

    @property
    def MODEL_TYPES(self) -> tuple[str, ...]:
        """`model_type` values of the config files it reads."""

    @property
    def INPUTS(self) -> tuple[str, ...]:
        """Names of the input tensors, in order."""

    TOKENIZER: str

    @property
    def HEAD(self) -> tuple[str, ...]:
        """Parts of the names of parameters that a task learns anew."""

    def embeddings(self, model: Any) -> Any:
        """The torch module that holds word, position and type embeddings."""
