"""OpenVINO with NNCF's accuracy control: what changes the answers of fp32 goes back to float, worst first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from engines.openvino import FILES as MODEL, opened as opened

ENVIRONMENT = "openvino"
NEEDS = ("onnxruntime_fp32",)
FILES = MODEL
MAX_DROP = 0.003  # share of the texts whose answer may change


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Quantize, calibrated and judged on the same texts: none of them is scored in the comparison."""
    import nncf
    import openvino

    model = openvino.convert_model(str(made.parent / NEEDS[0] / "model.onnx"))
    float_model = openvino.Core().compile_model(model, "CPU")
    wanted = [int(np.argmax(float_model(feeds)[0])) for feeds in texts]
    judged = [{**feeds, "wanted": answer} for feeds, answer in zip(texts, wanted, strict=True)]

    def agreement(candidate: Any, rows: Iterable[dict[str, Any]]) -> tuple[float, list[float]]:
        same = []
        for row in rows:
            feeds = {name: array for name, array in row.items() if name != "wanted"}
            same.append(float(np.argmax(candidate(feeds)[0]) == row["wanted"]))
        return float(np.mean(same)), same

    quantized = nncf.quantize_with_accuracy_control(
        model,
        nncf.Dataset(texts),
        nncf.Dataset(judged),
        agreement,
        max_drop=MAX_DROP,
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(texts),
    )
    openvino.save_model(quantized, str(made / FILES[0]))
