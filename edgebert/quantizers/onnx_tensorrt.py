"""Explicit int8 for TensorRT: symmetric s8 Q/DQ, per-tensor activations, per-channel weights.

The rules are those of TensorRT's guide on explicit quantization: zero points are 0, weighted operators have Q/DQ
on all inputs and none on outputs. LayerNorm, Softmax and residual sums stay floating point: Q/DQ on the sums costs
accuracy (.81 against .95 correlation, measured).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebert.equalization import equalize
from edgebert.histograms import Method
from edgebert.onnx_graph import part_tables
from edgebert.onnx_inspection import multiply_adds
from edgebert.quantizers import Settings
from edgebert.static_products import prepared
from edgebert.static_ranges import Write
from edgebert.tokenization import Feeds

TAKES = GIVES = "onnx"
NEEDS = ("onnx", "onnxruntime")
EXTRA = "build"
ID = "int8"
PRECISION = "int8"
FILE = "onnx/model_quantized.onnx"
NEEDS_BATCHES = True
RANGES: tuple[Method, ...] = ("minmax",)
tensors = multiply_adds
EQUALIZE = False  # it does so itself
FORBIDDEN = {"DynamicQuantizeLinear", "MatMulInteger", "QLinearMatMul", "QLinearConv", "ConvInteger"}
NEWEST_OPSET = 20  # TensorRT 10.0; JetPack 6.2 has 10.3


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize matrix products with a constant operand of the graph file `source`."""
    prepare(source, settings, batches)([], out)


def prepare(source: Path, settings: Settings, batches: Sequence[Feeds]) -> Write:
    """Equalize and measure ranges once for many files, each with more products in float."""
    import onnx

    model = onnx.load(str(source))
    part_tables(model)
    equalize(model, batches)
    return prepared(model, settings.keep_float, batches, settings.ranges, symmetric=True)


def violations(path: Path) -> list[str]:
    """Operators TensorRT refuses, zero points other than 0, and an opset it does not read."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = [f"{n.op_type} '{n.name}'" for n in model.graph.node if n.op_type in FORBIDDEN]
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants.get(node.input[2]) if len(node.input) > 2 else None
            if zero is None or zero.data_type != onnx.TensorProto.INT8:
                found.append(f"{node.op_type} '{node.name}' is not s8")
            elif np.any(numpy_helper.to_array(zero)):
                found.append(f"{node.op_type} '{node.name}' has a zero point other than 0")
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    return [*found, *([f"opset {opset}, above {NEWEST_OPSET}"] if opset > NEWEST_OPSET else [])]
