"""torch.onnx.export and ONNX Runtime, fp32."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENVIRONMENT = None
NEEDS: tuple[str, ...] = ()
FILES = ("model.onnx",)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Export with free batch and length, traced: ONNX Runtime's fusions were written for such graphs."""
    import torch
    from transformers import AutoModelForSequenceClassification

    warnings.simplefilter("ignore")
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32).eval()
    model.config.return_dict = False
    ones = torch.ones(2, 16, dtype=torch.long)
    torch.onnx.export(
        model,
        (ones, ones, ones * 0),
        str(made / FILES[0]),
        input_names=list(INPUTS),
        output_names=["logits"],
        opset_version=17,
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in INPUTS},
        dynamo=False,
    )


def opened(made: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """Feeds to logits."""
    return session(made / FILES[0], threads)


def session(path: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """An ONNX Runtime session with its defaults, on so many threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    found = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = {one.name for one in found.get_inputs()}
    return lambda feeds: found.run(None, {name: feeds[name] for name in names})[0]
