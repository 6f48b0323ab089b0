"""torch.onnx.export and onnxruntime.quantization.quantize_dynamic, s8 weights per channel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.onnxruntime_fp32 import FILES as FLOAT, session

ENVIRONMENT = None
NEEDS = ("onnxruntime_fp32",)
FILES = ("model_quantized.onnx",)


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Quantize the other engine's export."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)
    source = made.parent / NEEDS[0] / FLOAT[0]
    quantize_dynamic(str(source), str(made / FILES[0]), weight_type=QuantType.QInt8, per_channel=True)


def opened(made: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """Feeds to logits."""
    return session(made / FILES[0], threads)
