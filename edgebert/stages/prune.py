"""prune: the trained model, made smaller by one pruner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from edgebert import artifact
from edgebert.artifact import Artifact
from edgebert.tables import Table


def run(model: Artifact, pruner: ModuleType, settings: Table, texts: Sequence[str], out: Path) -> Artifact:
    """Write the pruned model to `out`. Raises InputError."""
    told = pruner.apply(model, settings, texts, out)
    found = artifact.read(out)
    return found.model_copy(update={"pruning": {**model.pruning, pruner.NAME: told}}).write()
