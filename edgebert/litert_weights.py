"""What the LiteRT quantizers share: a recipe of ai-edge-quantizer run over a file, and what stays float of it.

A file with four signatures holds each weight once, but tells its scales and names four times over: of an int8
ELECTRA-small a quarter in all. `compact` has every signature point to the same scales, and shortens the names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from edgebert.onnx_graph import select
from edgebert.tokenization import Feeds

TABLES = ("words", "types", "projection")
READ = ("FULLY_CONNECTED", "EMBEDDING_LOOKUP")  # operators whose constants are quantized


def products(path: Path) -> dict[str, int]:
    """Multiply-adds of the products with a constant operand, in the longest signature, by name.

    Of a file that is written from the weights the names are those of the ONNX graph, as `layer.0/ffn/up`, but for
    rounds of a shared layer, which are one product here; of another they are those of its modules.
    """
    graph, readers = max(_readers(path), key=lambda one: max(one[0].tensors[i].shape[-1] for i in one[0].inputs))
    found: Counter[str] = Counter()
    for kind, op in readers:
        if kind == READ[0]:
            out, weights = graph.tensors[op.outputs[0]], graph.tensors[op.inputs[1]]
            found[_named(graph, op)] += prod(out.shape[:-1]) * prod(weights.shape)
    return dict(found)


def kept_float(path: Path, patterns: Sequence[str]) -> list[dict[str, Any]]:
    """Rules that leave the products and tables of these names (shell style) as they are.

    Raises InputError for a pattern that matches nothing.
    """
    if not patterns:
        return []
    scopes: dict[str, set[str]] = {}
    for graph, readers in _readers(path):
        for _, op in readers:
            scope = graph.tensors[op.outputs[0]].name.decode().partition(";")[0]
            scopes.setdefault(_named(graph, op), set()).add(scope)
    named = sorted(scope for name in select(sorted(scopes), patterns) for scope in scopes[name])
    regex = f"^({'|'.join(map(re.escape, named))})(;|$)"
    return [{"regex": regex, "operation": name, "algorithm_key": "no_quantize", "op_config": {}} for name in READ]


def quantize(
    source: Path,
    recipe: Sequence[Mapping[str, Any]],
    keep_float: Sequence[str],
    out: Path,
    calibration: Mapping[str, Sequence[Feeds]] | None = None,
) -> None:
    """Write what the recipe makes of the file `source` to `out`, but for what is named in `keep_float`.

    `calibration`: feeds by signature, for recipes that take ranges of activations.
    """
    from ai_edge_quantizer import quantizer

    tool = quantizer.Quantizer(str(source))
    tool.load_quantization_recipe([*recipe, *kept_float(source, keep_float)])
    ranges = None if calibration is None else tool.calibrate(dict(calibration))
    out.parent.mkdir(parents=True, exist_ok=True)
    tool.quantize(ranges).export_model(str(out), overwrite=True)
    compact(out)


def _readers(path: Path) -> list[tuple[Any, list[tuple[str, Any]]]]:
    """Each subgraph with its operators of `READ` by kind."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    kinds = {getattr(schema.BuiltinOperator, name): name for name in READ}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return [
        (graph, [(kinds[codes[op.opcodeIndex]], op) for op in graph.operators if codes[op.opcodeIndex] in kinds])
        for graph in model.subgraphs
    ]


def _named(graph: Any, op: Any) -> str:
    """A product's or table's name for people: that of the ONNX graph where the file has the same parts."""
    if op.outputs[0] in graph.outputs:
        return "head/classifier"  # the last product of any head; its tensor is called as the file's output
    short = _short(graph.tensors[op.outputs[0]].name.decode())
    whole, _, inside = short.partition("/")
    if whole != "Lean":
        return short
    inside = re.sub(r"^layer_(\d+)", r"layer.\1", inside)
    return f"embeddings/{inside}" if inside in TABLES else re.sub("(attention|ffn|head)_", r"\1/", inside, count=1)


def compact(path: Path) -> None:
    """Write equal quantization parameters of a file once, and names of tensors without the classes they are of."""
    import numpy as np
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    known: dict[tuple[Any, ...], _Once] = {}
    for graph in model.subgraphs:
        asked_for = {*graph.inputs, *graph.outputs}
        for number, tensor in enumerate(graph.tensors):
            if tensor.quantization is not None:
                once = _Once(tensor.quantization)
                tensor.quantization = known.setdefault(once.content(), once)
            if number not in asked_for:
                tensor.name = _short(tensor.name.decode()).encode()
    for buffer in model.buffers:
        if buffer.data is not None:  # as an array: bytes are written one by one
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    flatbuffer_utils.write_model(model, str(path))


class _Once:
    """Quantization parameters that are written once, however many tensors point to them."""

    def __init__(self, parameters: Any) -> None:
        self._parameters = parameters
        self._place: int | None = None

    def content(self) -> tuple[Any, ...]:
        """All that they say, to be compared."""
        return tuple(
            (name, None if value is None else tuple(value) if hasattr(value, "__len__") else value)
            for name, value in vars(self._parameters).items()
        )

    def Pack(self, builder: Any) -> int:
        """The place in the file, as the flatbuffer library asks for it."""
        if self._place is None:
            self._place = int(self._parameters.Pack(builder))
        return self._place


def _short(name: str) -> str:
    """`pkg.Whole/pkg.Layer_layer_0/torch.nn.Linear_ffn_up;7` as `Whole/layer_0/ffn_up`."""
    parts = name.partition(";")[0].split("/")
    return "/".join(_attribute(part) for part in parts)


def _attribute(part: str) -> str:
    """What a module is called where it is used; the whole, which is used nowhere, is called as its class."""
    last = part.rpartition(".")[2]
    return last.partition("_")[2] or (last if last[:1].isupper() else part)
