"""Q/DQ nodes with scales and zero points that were found elsewhere, written into an fp32 ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.onnx_graph import replace_nodes


@dataclass(frozen=True)
class Scales:
    """Of a product of activations and weights: u8 activations of one scale, s8 weights of one for each output.

    `weight` is float32 [out]; a quantized value q stands for scale * (q - zero), with zero 0 for weights.
    """

    activation: float
    zero: int
    weight: NDArray[np.float32]


def quantizable(model: Any) -> list[Any]:
    """The MatMul and Gemm nodes whose second operand, and no other, is a constant matrix."""
    matrices = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")]
    return [node for node in products if node.input[1] in matrices and node.input[0] not in matrices]


def matrix(model: Any, node: Any) -> NDArray[np.float32]:
    """The constant of one of the `quantizable` products as a Linear module has it: float32 [out, in]."""
    from onnx import numpy_helper

    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    found = numpy_helper.to_array(tensor)
    return np.ascontiguousarray(found if _axis(node) == 0 else found.T)


def write_qdq(model: Any, scales: Mapping[str, Scales]) -> None:
    """Quantize, in place, both operands of the products that `scales` names; their outputs stay float.

    Products that share an operand and its scales share its nodes and constants.
    """
    from onnx import helper, numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    made: set[str] = set()
    nodes = []

    def constant(name: str, array: NDArray[Any]) -> str:
        if name not in made:
            made.add(name)
            model.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def node(op: str, inputs: Sequence[str], output: str, **attributes: int) -> str:
        if output not in made:
            made.add(output)
            nodes.append(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    for one in model.graph.node:
        if (found := scales.get(one.name)) is not None and one.op_type in ("MatMul", "Gemm"):
            x, weight = one.input[:2]
            key = f"{x}.{np.float32(found.activation):.9g}.{found.zero}"
            scale = [
                constant(f"{key}.scale", np.asarray(found.activation, np.float32)),
                constant(f"{key}.zero", np.asarray(found.zero, np.uint8)),
            ]
            rounded = node("QuantizeLinear", [x, *scale], f"{key}.u8")
            one.input[0] = node("DequantizeLinear", [rounded, *scale], f"{key}.dequantized")
            axis = _axis(one)
            wide = np.expand_dims(found.weight, 1 - axis)
            whole = np.clip(np.rint(numpy_helper.to_array(constants[weight]) / wide), -128, 127).astype(np.int8)
            parts = [
                constant(f"{weight}.s8", whole),
                constant(f"{weight}.scale", found.weight.astype(np.float32)),
                constant(f"{weight}.zero", np.zeros(len(found.weight), np.int8)),
            ]
            one.input[1] = node("DequantizeLinear", parts, f"{weight}.dequantized", axis=axis)
        nodes.append(one)
    replace_nodes(model, nodes)


def _axis(node: Any) -> int:
    """The axis of a product's constant that its outputs are on."""
    turned = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if turned else 1
