"""Static int8 of an ONNX graph's matrix products: ranges are measured once, files written as often as asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebert.histograms import Method, measured
from edgebert.onnx_graph import products, select
from edgebert.static_ranges import Write, preprocessed, save, unheard
from edgebert.tokenization import Feeds


def prepared(
    model: Any, keep_float: Sequence[str], batches: Sequence[Feeds], ranges: Method, symmetric: bool
) -> Write:
    """What writes Q/DQ nodes on both operands of the products with a constant one, with scales of `batches`.

    Weights are s8 with a scale for each channel, activations s8 with zero point 0 where `symmetric`, else u8.
    Outputs of products stay float: LayerNorm, GELU and softmax are. Raises InputError for a name to keep float
    that is not there.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    ready = preprocessed(model)
    with_constant, without = products(ready)
    kept = select(with_constant, keep_float)
    first = {node.name: node.input[0] for node in ready.graph.node if node.name in with_constant}
    read = list(dict.fromkeys(first[name] for name in with_constant if name not in kept))
    found = measured(ready, read, batches, ranges)
    data = {n: TensorData(lowest=np.float32(low), highest=np.float32(high)) for n, (low, high) in found.items()}

    def write(more: Sequence[str], out: Path) -> None:
        taken = [name for name in with_constant if name not in kept and name not in more]
        copy = onnx.ModelProto()
        copy.CopyFrom(ready)
        tool = QDQQuantizer(
            copy,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, data),
            nodes_to_quantize=sorted(taken),
            nodes_to_exclude=[*without, *kept, *more],
            op_types_to_quantize=["MatMul", "Gemm"],  # preprocessing turns MatMul + Add into Gemm
            extra_options={
                "ActivationSymmetric": symmetric,
                "WeightSymmetric": True,
                "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],
            },
        )
        with unheard():
            tool.quantize_model()
        tool.model.topological_sort()
        save(tool.model.model, model.ir_version, out)

    return write
