"""export: a trained torch artifact becomes an fp32 graph file at the target's shapes, held against torch."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgebert import scoring
from edgebert.architectures import Architecture
from edgebert.artifact import Artifact
from edgebert.device import runtimes
from edgebert.emission import Emission
from edgebert.errors import EdgeBertError
from edgebert.formats import ExportShape
from edgebert.tasks import Task, forward_of

PARITY = 1e-3  # largest difference from torch, relative to the largest output; 1e-7 to 1e-5 is usual


def run(
    source: Artifact, task: Task, architecture: Architecture, form: ModuleType, shape: ExportShape, out: Path
) -> Artifact:
    """Write the graph to `out`. Raises EdgeBertError where its outputs are not torch's."""
    from edgebert.exportable import Checkpoint, Exportable

    model = task.model(source.folder, None, source.decoding).eval()
    compute = forward_of(task, model, architecture)
    blueprint = architecture.blueprint(model)
    emission = None if blueprint is None else Emission(blueprint, task.head(model, blueprint))
    read = Checkpoint(source.folder, task.NAME)
    module = Exportable(model, compute, architecture.INPUTS, task.OUTPUTS, task.PER_TOKEN, emission, read)
    signature = form.export(module, shape, out / form.FILE)
    artifact = source.model_copy(
        update={
            "form": form.GIVES,
            "file": form.FILE,
            "signature": signature,
            "buckets": shape.buckets,
            "precision": "fp32",
            "folder": out,
        }
    )
    _hold_against_torch(artifact, model, task, architecture)
    return artifact.write()


def _hold_against_torch(artifact: Artifact, model: Any, task: Task, architecture: Architecture) -> None:
    assert artifact.signature is not None
    opened = runtimes.open_model(str(artifact.folder), artifact.entry("fp32"))
    random = np.random.default_rng(0)
    lengths = [n for n in (artifact.buckets or [4, 17]) + [9] if not artifact.buckets or n <= artifact.buckets[-1]]
    asked = []
    for length in lengths:
        feeds = {tensor.name: np.ones((1, length), np.int64) for tensor in artifact.signature.inputs}
        feeds["input_ids"] = random.integers(5, model.config.vocab_size, (1, length))
        if "token_type_ids" in feeds:
            feeds["token_type_ids"][:] = 0
        asked.append(feeds)
    for number, expected in scoring.torch_outputs(model, task, architecture, asked):
        found = scoring.run_window(opened, asked[number])
        for name, truth in expected.items():
            gap = float(np.abs(found[name] - truth).max() / max(1.0, np.abs(truth).max()))
            if not gap < PARITY:
                raise EdgeBertError(
                    f"the exported file differs from torch by {gap:.2g} at {lengths[number]} tokens ({name})"
                )
