"""Pruners: a trained model becomes one of fewer parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from edgebert.artifact import Artifact
from edgebert.tables import Table


class Pruner(Protocol):
    """What a module in this folder offers; `NAME` is the key of its table in `[prune]`."""

    NAME: str

    def about(self, settings: Table) -> str:
        """What it will do, in a few words."""

    def apply(self, model: Artifact, settings: Table, texts: Sequence[str], out: Path) -> dict[str, Any]:
        """Write the pruned model, with its tokenizer, to `out`; what was done, for the manifest.

        `texts` are those of the train and dev rows, and of what the settings name. Raises InputError.
        """
