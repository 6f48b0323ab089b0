"""Dynamic int8 for ONNX Runtime's CPU kernels: s8 weights per channel, u8 activations ranged at run time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from edgebert.histograms import Method
from edgebert.onnx_gelu import tanh_gelu
from edgebert.onnx_graph import (
    drop_zero_points,
    embedding_tables,
    gemm_to_matmul,
    products,
    quantize_tables,
    select,
    share_tables,
)
from edgebert.onnx_inspection import multiply_adds
from edgebert.quantizers import Settings
from edgebert.tokenization import Feeds

TAKES = GIVES = "onnx"
NEEDS = ("onnx", "onnxruntime")
EXTRA = "build"
ID = "int8"
PRECISION = "int8"
FILE = "onnx/model_quantized.onnx"
NEEDS_BATCHES = False
RANGES: tuple[Method, ...] = ()
tensors = multiply_adds
EQUALIZE = True
prepare = None


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize matrix products and embedding tables of the graph file `source`."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(str(source))
    kept_float = select([*products(model)[0], *embedding_tables(model)], settings.keep_float)
    share_tables(model, kept_float)
    gemm_to_matmul(model)
    tanh_gelu(model)
    quantize_tables(model, kept_float)
    _, without = products(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.WARNING)  # it advises a preprocessing that this graph does not need
    try:
        quantize_dynamic(
            model,
            str(out),
            op_types_to_quantize=["MatMul"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_exclude=[*without, *kept_float],
        )
    finally:
        logging.disable(logging.NOTSET)
    written = onnx.load(str(out))
    drop_zero_points(written)
    written.ir_version = model.ir_version
    onnx.save(written, str(out))


def violations(path: Path) -> list[str]:
    """None are known: ONNX Runtime's CPU provider runs every operator it loads."""
    return []
