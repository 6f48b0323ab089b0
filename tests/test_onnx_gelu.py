"""GELU is found as the tracer writes it, rewritten within its bound, and made one node by ONNX Runtime."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgebert.onnx_gelu import tanh_gelu

BOUND = 4.8e-4
X = np.linspace(-12, 12, 200_001, dtype=np.float32)[None]


def gelu(one: float = 1.0, root: float = math.sqrt(2), of: str = "h", turned: bool = False) -> Any:
    """h = -x, y = -h (erf(`of` / `root`) + `one`) / 2; operands in the tracer's order or `turned`."""

    def pair(a: str, b: str) -> list[str]:
        return [b, a] if turned else [a, b]

    nodes = [
        helper.make_node("Neg", ["x"], ["h"]),
        helper.make_node("Div", [of, "root"], ["scaled"]),
        helper.make_node("Erf", ["scaled"], ["erf"]),
        helper.make_node("Add", pair("erf", "one"), ["gate"]),
        helper.make_node("Mul", pair("h", "gate"), ["product"]),
        helper.make_node("Mul", pair("product", "half"), ["gelu"]),
        helper.make_node("Neg", ["gelu"], ["y"]),
    ]
    constants = {"root": root, "one": one, "half": 0.5}
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "n"])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(made: Any) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    y: NDArray[np.float32] = session.run(None, {"x": X})[0]
    return y


@pytest.mark.parametrize("turned", [False, True])
def test_it_is_within_its_bound_of_the_exact_one(turned: bool) -> None:
    made = gelu(turned=turned)
    exact = run(made)
    assert tanh_gelu(made)
    onnx.checker.check_model(made)
    assert "Erf" not in {node.op_type for node in made.graph.node}
    assert 1e-4 < np.abs(run(made) - exact).max() < BOUND
    assert not tanh_gelu(made)


@pytest.mark.parametrize("changes", [{"one": 0.5}, {"root": 1.5}, {"of": "x"}])
def test_what_only_looks_like_it_is_left(changes: dict[str, Any]) -> None:
    made = gelu(**changes)
    before = made.SerializeToString()
    assert not tanh_gelu(made)
    assert made.SerializeToString() == before


def test_onnx_runtime_makes_one_node_of_it(tmp_path: Path) -> None:
    made = gelu()
    tanh_gelu(made)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    optimized = onnx.load(options.optimized_model_filepath)
    assert sorted(node.op_type for node in optimized.graph.node) == ["FastGelu", "Neg", "Neg"]
