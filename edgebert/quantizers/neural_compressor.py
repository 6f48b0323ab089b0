"""Static int8 with the scales of Intel's neural-compressor, written as Q/DQ nodes into the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebert.histograms import Method
from edgebert.onnx_gelu import tanh_gelu
from edgebert.onnx_graph import embedding_tables, products, quantize_tables, select, share_tables
from edgebert.onnx_inspection import multiply_adds
from edgebert.onnx_qdq import Scales, matrix, quantizable, write_qdq
from edgebert.quantizers import Settings
from edgebert.static_ranges import Write, activations, outputs, save
from edgebert.tokenization import Feeds

TAKES = GIVES = "onnx"
NEEDS = ("torch", "onnx", "onnxruntime", "neural_compressor")
EXTRA = "neural-compressor"
ID = "int8"
PRECISION = "int8"
FILE = "onnx/model_quantized.onnx"
NEEDS_BATCHES = True
RANGES: tuple[Method, ...] = ()  # its tuning chooses how
tensors = multiply_adds
EQUALIZE = True


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize matrix products and embedding tables of the graph file `source`.

    Of neural-compressor's settings that one is taken whose file comes nearest to the fp32 outputs on the batches.
    """
    prepare(source, settings, batches)([], out)


def prepare(source: Path, settings: Settings, batches: Sequence[Feeds]) -> Write:
    """Tune once for many files, each with more products in float; the scales of the others stay the tuned ones."""
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
        named = dict(zip([node.name for node in taken], scales, strict=True))
        given = np.concatenate([found.ravel() for found in outputs(_written(model, named), batches)])
        return float(given @ expected / (np.linalg.norm(given) * np.linalg.norm(expected)))

    best = dict(zip([node.name for node in taken], tuned(modules, texts, merit), strict=True))

    def write(more: Sequence[str], out: Path) -> None:
        if shared := [name for name in more if name not in best]:  # with a table: another graph
            anew = prepare(source, settings.keeping(shared), batches)
            return anew([name for name in more if name in best], out)
        rest = {name: scales for name, scales in best.items() if name not in more}
        return save(_written(model, rest), model.ir_version, out)

    return write


def _first(reads: Sequence[int]) -> list[int]:
    """A product that reads each of the activations."""
    return [list(reads).index(number) for number in range(max(reads) + 1)]


def _written(model: Any, scales: Mapping[str, Scales]) -> Any:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    write_qdq(copy, scales)
    return copy


def violations(path: Path) -> list[str]:
    """None are known: ONNX Runtime's CPU provider runs every operator it loads."""
    return []
