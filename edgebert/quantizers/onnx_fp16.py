"""fp16 for GPUs: half-precision weights and products, with LayerNorm and Softmax as fp32 islands.

No accuracy control: BERT's answers in it are those of fp32 (agreement 1.000 on the demo), and weights beyond its
range are refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from edgebert.errors import InputError
from edgebert.histograms import Method
from edgebert.onnx_graph import embedding_tables, products, select
from edgebert.quantizers import Settings
from edgebert.tokenization import Feeds

TAKES = GIVES = "onnx"
NEEDS = ("onnx", "onnxruntime")
EXTRA = "build"
ID = "fp16"
PRECISION = "fp16"
FILE = "onnx/model_fp16.onnx"
NEEDS_BATCHES = False
RANGES: tuple[Method, ...] = ()
tensors = None
EQUALIZE = False
prepare = None
ISLANDS = ["LayerNormalization", "Softmax"]  # sums over many terms, which half precision rounds or overflows


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Convert the graph file `source`; inputs and outputs keep their types."""
    import numpy as np
    import onnx
    from onnx import numpy_helper
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    model = onnx.load(str(source))
    limit = float(np.finfo(np.float16).max)
    for tensor in model.graph.initializer:
        if (
            tensor.data_type == onnx.TensorProto.FLOAT
            and np.abs(numpy_helper.to_array(tensor)).max(initial=0) > limit
        ):
            raise InputError(f"'{tensor.name}' holds values above {limit:g}, which fp16 cannot")
    with_constant, _ = products(model)
    kept_float = select([*with_constant, *embedding_tables(model)], settings.keep_float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of every constant too small for fp16
        half = convert_float_to_float16(
            model,
            keep_io_types=True,
            node_block_list=kept_float,
            op_block_list=[*DEFAULT_OP_BLOCK_LIST, *ISLANDS],
            disable_shape_infer=False,
        )
    half.ir_version = model.ir_version
    del half.graph.value_info[:]
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(half, str(out))


def violations(path: Path) -> list[str]:
    """None are known for a graph of standard operators without quantization."""
    return []
