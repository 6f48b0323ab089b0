"""What a recipe's `[prune]` asks for: a table for each pruner."""

from __future__ import annotations

from pydantic import Field

from edgebert.tables import Table


class Vocabulary(Table):
    """Which pieces stay beside those of the train and dev texts, all single characters and the special ones."""

    general: int = Field(
        default=3500, ge=0, description="words from the head of the vocabulary, where the frequent ones are"
    )
    corpus: list[str] = Field(default_factory=list, description="files of text, whose pieces stay as well")
    max_unknown: float = Field(
        default=0.02, ge=0, le=1, description="of the pieces of train and dev texts; above it nothing is built"
    )


class Prune(Table):
    """What is taken out of the trained model."""

    vocabulary: Vocabulary | None = None
