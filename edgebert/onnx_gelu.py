"""GELU by tanh instead of erf, for graphs that round its result to 8 bits right after.

0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) is within 4.8e-4 of GELU (Hendrycks and Gimpel 2016): a fiftieth of
the step of 8 bits over a range of 6. On ARM, ONNX Runtime's kernel for it takes half the instructions of the exact
one: of an int8 MiniLM, 5 % less in all at 11 tokens. Its optimizer makes one node of the form written here.
"""

from __future__ import annotations

import math
from typing import Any

from edgebert.onnx_graph import constants, drop_unread

_CONSTANTS = {"three": 3.0, "cubic": 0.044715, "root": math.sqrt(2 / math.pi), "one": 1.0, "half": 0.5}


def tanh_gelu(model: Any) -> bool:
    """Rewrite every x (erf(x / sqrt(2)) + 1) 0.5 of `model`; whether there was any."""
    import numpy as np
    from onnx import numpy_helper

    made = {name: node for node in model.graph.node for name in node.output}
    scalars = _scalars(model)
    nodes, changed = [], False
    for node in model.graph.node:
        x = _argument(node, made, scalars)
        nodes += [node] if x is None else _by_tanh(x, node)
        changed |= x is not None
    if changed:
        for name, value in _CONSTANTS.items():
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), f"gelu/{name}"))
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        drop_unread(model)
    return changed


def _by_tanh(x: str, node: Any) -> list[Any]:
    """Nodes that make of `x` what `node` made."""
    from onnx import helper

    y = node.output[0]
    steps = [
        ("Pow", x, "gelu/three", "cube"),
        ("Mul", f"{y}.cube", "gelu/cubic", "bent"),
        ("Add", x, f"{y}.bent", "sum"),
        ("Mul", f"{y}.sum", "gelu/root", "scaled"),
        ("Tanh", f"{y}.scaled", None, "tanh"),
        ("Add", f"{y}.tanh", "gelu/one", "gate"),
        ("Mul", x, "gelu/half", "half"),
    ]
    nodes = [
        helper.make_node(op, [one, other] if other else [one], [f"{y}.{to}"], name=f"{node.name}.{to}")
        for op, one, other, to in steps
    ]
    return [*nodes, helper.make_node("Mul", [f"{y}.half", f"{y}.gate"], [y], name=node.name)]


def _argument(node: Any, made: dict[str, Any], scalars: dict[str, float]) -> str | None:
    """x, where `node` makes x (erf(x / sqrt(2)) + 1) 0.5."""
    product = made.get(_other(node, "Mul", 0.5, scalars))
    if product is None or product.op_type != "Mul":
        return None
    for x, gate in (product.input, reversed(product.input)):
        erf = made.get(_other(made.get(gate), "Add", 1.0, scalars))
        if erf is not None and erf.op_type == "Erf":
            scaled = made.get(erf.input[0])
            if x in (_other(scaled, "Div", math.sqrt(2), scalars), _other(scaled, "Mul", math.sqrt(0.5), scalars)):
                return str(x)
    return None


def _other(node: Any, op: str, value: float, scalars: dict[str, float]) -> str:
    """What `node` combines with the constant `value` by the operator `op`; "" where it does not."""
    if node is None or node.op_type != op:
        return ""
    one, other = node.input
    if math.isclose(scalars.get(other, 0.0), value, rel_tol=1e-6):
        return str(one)
    return str(other) if op != "Div" and math.isclose(scalars.get(one, 0.0), value, rel_tol=1e-6) else ""


def _scalars(model: Any) -> dict[str, float]:
    """Constants of one float, by name."""
    from onnx import TensorProto, numpy_helper

    return {
        name: float(numpy_helper.to_array(tensor).item())
        for name, tensor in constants(model).items()
        if tensor.data_type == TensorProto.FLOAT and math.prod(tensor.dims) == 1
    }
