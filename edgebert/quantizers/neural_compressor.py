"""Static int8 with the scales of Intel's neural-compressor, written as Q/DQ nodes into the graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebert.histograms import Method
from edgebert.onnx_gelu import tanh_gelu
from edgebert.onnx_graph import embedding_tables, products, quantize_tables, select, share_tables
from edgebert.onnx_qdq import Scales, matrix, quantizable, write_qdq
from edgebert.quantizers import Settings
from edgebert.static_ranges import activations, outputs
from edgebert.tokenization import Feeds

TAKES = GIVES = "onnx"
NEEDS = ("torch", "onnx", "onnxruntime", "neural_compressor")
EXTRA = "neural-compressor"
ID = "int8"
PRECISION = "int8"
FILE = "onnx/model_quantized.onnx"
NEEDS_BATCHES = True
RANGES: tuple[Method, ...] = ()  # its tuning chooses how
tensors = None


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize matrix products and embedding tables of the graph file `source`.

    Of neural-compressor's settings that one is taken whose file comes nearest to the fp32 outputs on the batches.
    """
    import onnx

    from edgebert.product_scales import Products, tuned

    fp32 = onnx.load(str(source))
    model = onnx.load(str(source))
    kept_float = select([*products(model)[0], *embedding_tables(model)], settings.keep_float)
    share_tables(model, kept_float)
    tanh_gelu(model)
    quantize_tables(model, kept_float)
    taken = [node for node in quantizable(model) if node.name not in kept_float]
    read = list(dict.fromkeys(node.input[0] for node in taken))
    weights = {name: matrix(model, node) for node in taken for name in [node.input[1]]}
    modules = Products([weights[node.input[1]] for node in taken], [read.index(node.input[0]) for node in taken])
    expected = np.concatenate([found.ravel() for found in outputs(fp32, batches)])

    def texts() -> Iterator[list[Any]]:
        found = activations(model, read, batches)
        for _ in batches:
            yield [next(found)[1].reshape(-1, modules.linears[at].in_features) for at in _first(modules.reads)]

    def merit(scales: list[Scales]) -> float:
        """Cosine of the outputs with fp32's."""
        given = np.concatenate([found.ravel() for found in outputs(_written(model, taken, scales), batches)])
        return float(given @ expected / (np.linalg.norm(given) * np.linalg.norm(expected)))

    best = _written(model, taken, tuned(modules, texts, merit))
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(best, str(out))


def _first(reads: Sequence[int]) -> list[int]:
    """A product that reads each of the activations."""
    return [list(reads).index(number) for number in range(max(reads) + 1)]


def _written(model: Any, taken: Sequence[Any], scales: Sequence[Scales]) -> Any:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    write_qdq(copy, {node.name: found for node, found in zip(taken, scales, strict=True)})
    return copy


def violations(path: Path) -> list[str]:
    """None are known: ONNX Runtime's CPU provider runs every operator it loads."""
    return []
