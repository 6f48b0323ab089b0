"""The same OpenVINO model compiled for fixed lengths; a text is padded to the next one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from engines.openvino import FILES as MODEL, settings

ENVIRONMENT = "openvino"
NEEDS = ("openvino",)
FILES: tuple[str, ...] = ()  # the other engine's
BUCKETS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Nothing of its own."""


def opened(made: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """Feeds to logits."""
    import openvino

    core = openvino.Core()
    requests = {}
    for tokens in BUCKETS:
        model = core.read_model(str(made.parent / NEEDS[0] / MODEL[0]))
        model.reshape({one: [1, tokens] for one in model.inputs})
        requests[tokens] = core.compile_model(model, "CPU", settings(threads)).create_infer_request()

    def run(feeds: dict[str, Any]) -> Any:
        length = feeds["input_ids"].shape[1]
        tokens = next(one for one in BUCKETS if one >= length)
        return requests[tokens].infer({n: np.pad(a, ((0, 0), (0, tokens - length))) for n, a in feeds.items()})[0]

    return run
