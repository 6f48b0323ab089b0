"""Olive's flow for BERT on a CPU: conversion, ONNX Runtime's fusions of transformers, dynamic int8 per channel."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.onnxruntime_fp32 import session

ENVIRONMENT = "olive"
NEEDS: tuple[str, ...] = ()
FILES = ("model.onnx",)


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Run the workflow."""
    from olive.workflows import run

    run(
        {
            "input_model": {"type": "HfModel", "model_path": str(checkpoint), "task": "text-classification"},
            "systems": {
                "host": {
                    "type": "LocalSystem",
                    "accelerators": [{"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}],
                }
            },
            "passes": {
                "conversion": {"type": "OnnxConversion", "target_opset": 17},
                "fusion": {"type": "OrtTransformersOptimization", "model_type": "bert"},
                "quantization": {"type": "OnnxDynamicQuantization", "per_channel": True},
            },
            "host": "host",
            "target": "host",
            "cache_dir": str(made / "cache"),
            "output_dir": str(made),
        }
    )
    shutil.rmtree(made / "cache")  # the fp32 models between the passes


def opened(made: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """Feeds to logits."""
    return session(made / FILES[0], threads)
