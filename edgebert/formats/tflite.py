"""TFLite: built-in operators only, one signature for each length bucket, weights shared between them."""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

from edgebert.artifact import Form, Graph, Signature, Tensor
from edgebert.formats import ExportShape
from edgebert.litert_sharing import unfolded

NAME = "tflite"
GIVES: Form = "tflite"
NEEDS = ("torch", "litert_torch", "ai_edge_litert")
EXTRA = "tflite"
ENVIRONMENT = ""
FILE = "model.tflite"


def fault(task: str) -> str | None:
    """None: every task's outputs can be written."""
    return None


def way(traced: str | None) -> str:
    """Always by the one converter."""
    return "converted by litert-torch"


def export(module: Any, shape: ExportShape, out: Path) -> Signature:
    """Convert with litert-torch what computes what `module` does; signature `tokens_N` reads int32 [1, N]."""
    import litert_torch
    import torch

    from edgebert.emission.module import Lean, written
    from edgebert.exportable import example

    inputs, per_token = module.inputs, module.per_token
    if written(module.emission):
        module = Lean(module.emission, inputs, module.outputs)
    converter = litert_torch.Converter()
    for tokens in shape.buckets:
        feeds = dict(zip(inputs, example(inputs, 1, tokens, torch.int32), strict=True))
        converter.add_signature(f"tokens_{tokens}", module, sample_kwargs=feeds)
    out.parent.mkdir(parents=True, exist_ok=True)
    with unfolded(module, feeds):
        converter.convert().export(str(out))
    with torch.inference_mode():
        shapes = [list(tensor.shape) for tensor in module(**feeds)]
    if per_token:
        shapes = [[shape[0], None, *shape[2:]] for shape in shapes]
    return Signature(
        inputs=[Tensor(name=name, dtype="int32", shape=[1, None]) for name in inputs],
        outputs=[
            Tensor(name=name, dtype="float32", shape=shape, per_token=per_token)
            for name, shape in zip(module.outputs, shapes, strict=True)
        ],
    )


def inspect(path: Path) -> Graph:
    """Operators, int8 share by multiply-adds in the longest signature, weights that are not stored as int8.

    A product is int8 where it reads int8 weights itself: behind a DEQUANTIZE it is a float product of the same
    weights.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    named = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    custom = {i for i, code in enumerate(codes) if code == schema.BuiltinOperator.CUSTOM}
    used = Counter(op.opcodeIndex for graph in model.subgraphs for op in graph.operators)
    longest = max(model.subgraphs, key=lambda graph: max(int(t.shape[-1]) for t in _inputs(graph)))
    work: Counter[bool] = Counter()
    kept_float = []
    widened = {
        op.outputs[0]: longest.tensors[op.inputs[0]]
        for op in longest.operators
        if codes[op.opcodeIndex] == schema.BuiltinOperator.DEQUANTIZE
    }
    for op in longest.operators:
        if codes[op.opcodeIndex] not in (
            schema.BuiltinOperator.FULLY_CONNECTED,
            schema.BuiltinOperator.BATCH_MATMUL,
        ):
            continue
        weights = widened.get(op.inputs[1], longest.tensors[op.inputs[1]])
        if not _is_constant(model, weights):
            continue
        is_int8 = weights.type == schema.TensorType.INT8
        rows = prod(longest.tensors[op.outputs[0]].shape[:-1])
        work[is_int8 and op.inputs[1] not in widened] += prod(weights.shape) * rows
        if not is_int8:
            kept_float.append(weights.name.decode())
    return Graph(
        ops=dict(sorted(Counter({named[codes[i]]: n for i, n in used.items()}).items())),
        int8_matmul_share=round(work[True] / work.total(), 6) if work else 0.0,
        kept_float=sorted(kept_float),
        opset=None,
        ir_version=None,
        flex_ops=sum(used[i] for i in custom),
    )


def foreign(path: Path) -> list[str]:
    """A line where the file holds operators outside TFLite's own set: they need Flex or an app's own kernel."""
    count = inspect(path).flex_ops
    return [f"{count} operators outside TFLite's own set"] if count else []


def infinite(path: Path) -> list[str]:
    """Names of fp16 constants that hold an infinity, once for each signature."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    halves = [t for graph in model.subgraphs for t in graph.tensors if t.type == schema.TensorType.FLOAT16]
    held = [(t, model.buffers[t.buffer].data) for t in halves]
    return [t.name.decode() for t, data in held if data is not None and np.isinf(np.frombuffer(data, "<f2")).any()]


def _inputs(graph: Any) -> list[Any]:
    return [graph.tensors[i] for i in graph.inputs]


def _is_constant(model: Any, tensor: Any) -> bool:
    buffer = model.buffers[tensor.buffer]
    return buffer.data is not None or bool(getattr(buffer, "size", 0))
