"""Provenance: what a bundle was made from and with, without any path, host or user of the machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgebert import fingerprint, sources
from edgebert.project import Project
from edgebert.steps import Step


def of(project: Project, steps: Mapping[str, Step]) -> dict[str, Any]:
    """The provenance of a bundle; `steps` are those whose folders later verbs look for in the store."""
    recipe = project.recipe
    packages = (
        "torch",
        "transformers",
        "tokenizers",
        "onnx",
        "onnxruntime",
        "litert_torch",
        "ai_edge_quantizer",
    )
    written = recipe.model_dump(mode="json", exclude={"folder"}, exclude_none=True)
    return {
        "versions": {
            "edgebert": fingerprint.versions(["edgebert"]).get("edgebert", ""),
            "python": platform.python_version(),
            **fingerprint.versions((*packages, "ai_edge_litert", "numpy")),
        },
        "source": {
            "model": portable(recipe.model.source),
            "sha256": sources.fingerprint(project.source).get(sources.WEIGHTS),
            "licence": sources.licence(project.source),
        },
        "data": project.splits.digests(),
        "recipe": portable(written),
        "seed": recipe.seed,
        "steps": {name: step.key for name, step in steps.items()},
    }


def portable(value: Any) -> Any:
    """Absolute paths in a recipe's values cut to their last part: they name this machine and its user."""
    if isinstance(value, dict):
        return {key: portable(one) for key, one in value.items()}
    if isinstance(value, list):
        return [portable(one) for one in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return Path(value).name
    return value
