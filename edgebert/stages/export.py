"""export: a trained torch artifact becomes an fp32 graph file at the target's shapes, held against torch."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgebert.architectures import Architecture
from edgebert.artifact import Artifact
from edgebert.device import runtimes
from edgebert.errors import EdgeBertError
from edgebert.formats import ExportShape
from edgebert.tasks import Task

PARITY = 1e-3  # largest difference from torch, relative to the largest output; 1e-7 to 1e-5 is usual


def run(
    source: Artifact, task: Task, architecture: Architecture, form: ModuleType, shape: ExportShape, out: Path
) -> Artifact:
    """Write the graph to `out`. Raises EdgeBertError where its outputs are not torch's."""
    model = task.model(source.folder, None).eval()
    path = out / form.FILE
    signature = form.export(model, architecture.INPUTS, task.OUTPUTS, shape, path)
    artifact = source.model_copy(
        update={
            "form": form.NAME,
            "file": form.FILE,
            "signature": signature,
            "buckets": shape.buckets,
            "precision": "fp32",
            "folder": out,
        }
    )
    _hold_against_torch(artifact, model, task)
    return artifact.write()


def _hold_against_torch(artifact: Artifact, model: Any, task: Task) -> None:
    import torch

    assert artifact.signature is not None
    opened = runtimes.open_model(str(artifact.folder), artifact.entry("fp32"))
    random = np.random.default_rng(0)
    for length in (artifact.buckets or [4, 17]) + [9]:
        if artifact.buckets and length > artifact.buckets[-1]:
            continue
        feeds = {tensor.name: np.ones((1, length), np.int64) for tensor in artifact.signature.inputs}
        feeds["input_ids"] = random.integers(5, model.config.vocab_size, (1, length))
        if "token_type_ids" in feeds:
            feeds["token_type_ids"][:] = 0
        with torch.inference_mode():
            expected = model(**{name: torch.from_numpy(ids) for name, ids in feeds.items()})
        found = opened.run(feeds)
        for name in task.OUTPUTS:
            truth = expected[name].numpy()
            gap = float(np.abs(found[name] - truth).max() / max(1.0, np.abs(truth).max()))
            if not gap < PARITY:
                raise EdgeBertError(
                    f"the exported file differs from torch by {gap:.2g} at {length} tokens ({name})"
                )
