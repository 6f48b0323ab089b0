"""ONNX: one graph of standard operators, dynamic batch and length unless the target is of fixed shape."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from edgebert.artifact import Form, Signature
from edgebert.formats import ExportShape
from edgebert.onnx_inspection import inspect as inspect, signature
from edgebert.onnx_shapes import normalise

NAME = "onnx"
GIVES: Form = "onnx"
NEEDS = ("torch", "onnx", "onnxruntime")
EXTRA = "build"
ENVIRONMENT = ""
FILE = "onnx/model.onnx"


def fault(task: str) -> str | None:
    """None: every task's outputs can be written."""
    return None


def way(traced: str | None) -> str:
    """Emitted from the weights, or else traced."""
    return "emitted from the weights" if traced is None else f"traced: {traced}"


def export(module: Any, shape: ExportShape, out: Path) -> Signature:
    """Write an ONNX file of the pinned opset and IR version: emitted from the weights, or else traced."""
    import onnx

    out.parent.mkdir(parents=True, exist_ok=True)
    graph = _traced(module, shape, out) if module.emission is None else _emitted(module, shape)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(out))
    return signature(graph, module.per_token)


def _emitted(module: Any, shape: ExportShape) -> Any:
    from edgebert.emission.graph import emit

    tokens = shape.buckets[-1] if shape.batch is not None else None
    fixed = (shape.batch, tokens, shape.dtype, shape.opset, shape.ir_version)
    return emit(module.emission, module.inputs, module.outputs, *fixed)


def _traced(module: Any, shape: ExportShape, out: Path) -> Any:
    """The tracer is TorchScript's: the graphs of its successor are not fused by ONNX Runtime's optimizer."""
    import onnx
    import torch

    from edgebert.exportable import example

    inputs, outputs = module.inputs, module.outputs
    static = shape.batch is not None
    tokens = shape.buckets[-1] if shape.buckets else 16
    feeds = example(inputs, shape.batch or 2, tokens, getattr(torch, shape.dtype))
    by_token = {0: "batch", 1: "tokens"}
    free = by_token if module.per_token else {0: "batch"}
    axes = dict.fromkeys(inputs, by_token) | dict.fromkeys(outputs, free)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer announces its age, and every Python branch it passes
        torch.onnx.export(
            module,
            feeds,
            str(out),
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=shape.opset,
            dynamic_axes=None if static else axes,
            dynamo=False,
        )
    graph = onnx.load(str(out))
    normalise(graph, shape.ir_version)
    return graph
