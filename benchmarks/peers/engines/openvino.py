"""OpenVINO with NNCF's post-training int8 for transformers, calibrated on 128 texts; any length in one model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

ENVIRONMENT = "openvino"
NEEDS = ("onnxruntime_fp32",)
FILES = ("model.xml", "model.bin")


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Convert the export and quantize it."""
    import nncf
    import openvino

    model = openvino.convert_model(str(made.parent / NEEDS[0] / "model.onnx"))
    rows = texts[:128]
    quantized = nncf.quantize(
        model,
        nncf.Dataset(rows),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(rows),
    )
    openvino.save_model(quantized, str(made / FILES[0]))


def opened(made: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """Feeds to logits."""
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(str(made / FILES[0]), "CPU", settings(threads))
    request = compiled.create_infer_request()
    return lambda feeds: request.infer(feeds)[0]


def settings(threads: int) -> dict[str, Any]:
    """One text at a time on so many threads."""
    return {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
