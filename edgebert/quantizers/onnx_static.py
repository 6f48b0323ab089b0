"""Static int8 for ONNX Runtime's CPU kernels: Q/DQ nodes, u8 activations of measured ranges, s8 weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebert.histograms import Method
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
RANGES: tuple[Method, ...] = ("minmax", "percentile", "entropy")
tensors = multiply_adds
EQUALIZE = True


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize matrix products and embedding tables of the graph file `source`.

    Weights have a scale for each channel. Outputs of products stay float: LayerNorm, GELU and softmax are.
    """
    prepare(source, settings, batches)([], out)


def prepare(source: Path, settings: Settings, batches: Sequence[Feeds]) -> Write:
    """Measure ranges once for many files, each with more products in float."""
    import onnx

    model = onnx.load(str(source))
    kept_float = select([*products(model)[0], *embedding_tables(model)], settings.keep_float)
    share_tables(model, kept_float)
    tanh_gelu(model)
    quantize_tables(model, kept_float)
    named = set(products(model)[0])
    kept = [name for name in kept_float if name in named]
    write = prepared(model, kept, batches, settings.ranges, symmetric=False)

    def unshared(more: Sequence[str], out: Path) -> None:
        if shared := [name for name in more if name not in named]:  # with a table: another graph, other ranges
            anew = prepare(source, settings.keeping(shared), batches)
            return anew([name for name in more if name in named], out)
        return write(more, out)

    return unshared


def violations(path: Path) -> list[str]:
    """None are known: ONNX Runtime's CPU provider runs every operator it loads."""
    return []
