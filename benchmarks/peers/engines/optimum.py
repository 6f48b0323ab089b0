"""Optimum: ORTModel's export and ORTQuantizer with its configuration for AVX512-VNNI, dynamic, per channel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.onnxruntime_fp32 import session

ENVIRONMENT = "optimum"
NEEDS: tuple[str, ...] = ()
FILES = ("model_quantized.onnx",)


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Export and quantize."""
    from optimum.onnxruntime import ORTModelForSequenceClassification, ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    ORTModelForSequenceClassification.from_pretrained(checkpoint, export=True).save_pretrained(made / "float")
    settings = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    ORTQuantizer.from_pretrained(made / "float").quantize(save_dir=made, quantization_config=settings)


def opened(made: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """Feeds to logits."""
    return session(made / FILES[0], threads)
