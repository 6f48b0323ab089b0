"""Static int8 for ONNX Runtime's CPU kernels: Q/DQ nodes, u8 activations of measured ranges, s8 weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgebert.histograms import Method, measured
from edgebert.onnx_gelu import tanh_gelu
from edgebert.onnx_graph import (
    embedding_tables,
    products,
    quantize_tables,
    select,
    share_tables,
)
from edgebert.onnx_inspection import multiply_adds
from edgebert.quantizers import Settings
from edgebert.static_ranges import calibrated
from edgebert.tokenization import Feeds

TAKES = GIVES = "onnx"
NEEDS = ("onnx", "onnxruntime")
EXTRA = "build"
ID = "int8"
PRECISION = "int8"
FILE = "onnx/model_quantized.onnx"
NEEDS_BATCHES = True
RANGES: tuple[Method, ...] = ("minmax", "percentile", "entropy")
tensors = multiply_adds


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize matrix products and embedding tables of the graph file `source`.

    Weights have a scale for each channel. Outputs of products stay float: LayerNorm, GELU and softmax are.
    """
    import onnx

    def quantize(ready: Path, _: object, exclude: list[str], to: Path) -> None:
        from onnxruntime.quantization import CalibrationMethod, QuantType
        from onnxruntime.quantization.calibrate import TensorData, TensorsData
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        prepared = onnx.load(str(ready))
        taken = set(products(prepared)[0]) - set(exclude)
        read = list(dict.fromkeys(node.input[0] for node in prepared.graph.node if node.name in taken))
        ranges = {
            name: TensorData(lowest=np.float32(low), highest=np.float32(high))
            for name, (low, high) in measured(prepared, read, batches, settings.ranges).items()
        }
        tool = QDQQuantizer(
            prepared,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
            nodes_to_quantize=sorted(taken),
            nodes_to_exclude=exclude,
            op_types_to_quantize=["MatMul", "Gemm"],  # preprocessing turns MatMul + Add into Gemm
            extra_options={
                "WeightSymmetric": True,
                "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],
            },
        )
        tool.quantize_model()
        tool.model.save_model_to_file(str(to), False)

    model = onnx.load(str(source))
    kept_float = select([*products(model)[0], *embedding_tables(model)], settings.keep_float)
    share_tables(model, kept_float)
    tanh_gelu(model)
    quantize_tables(model, kept_float)
    named = set(products(model)[0])
    calibrated(model, [name for name in kept_float if name in named], batches, out, quantize)


def violations(path: Path) -> list[str]:
    """None are known: ONNX Runtime's CPU provider runs every operator it loads."""
    return []
