"""What the LiteRT quantizers share: a recipe of ai-edge-quantizer run over a file, and what it cannot do.

A file with four signatures holds each weight once, but tells its scales and names four times over: of an int8
ELECTRA-small a quarter in all. `compact` has every signature point to the same scales, and shortens the names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebert.errors import InputError


def refuse_kept_float(quantizer: str, patterns: Sequence[str]) -> None:
    """Raise InputError where tensors were to stay float: a recipe names operators, not tensors."""
    if patterns:
        raise InputError(f"[quantize] keep_float: {quantizer} cannot keep single tensors float yet; remove it")


def quantize(source: Path, recipe: list[dict[str, Any]], out: Path) -> None:
    """Write what the recipe makes of the file `source` to `out`."""
    from ai_edge_quantizer import quantizer

    tool = quantizer.Quantizer(str(source))
    tool.load_quantization_recipe(recipe)
    out.parent.mkdir(parents=True, exist_ok=True)
    tool.quantize().export_model(str(out), overwrite=True)
    compact(out)


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
