"""The small rewrites of a graph leave its answers as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgebert.onnx_graph import drop_identities, products

WEIGHT = np.random.default_rng(0).random((8, 8), np.float32)


def model(nodes: Sequence[Any], outputs: Sequence[str] = ("y",)) -> Any:
    """A graph of x [n, 8], the constant w [8, 8] and float outputs."""
    graph = helper.make_graph(
        list(nodes),
        "by hand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 8]) for name in outputs],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(made: Any) -> list[NDArray[Any]]:
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).random((3, 8), np.float32)
    answers: list[NDArray[Any]] = session.run(None, {"x": x})
    return answers


def test_a_weight_behind_identities_is_seen_again() -> None:
    nodes = [
        helper.make_node("Identity", ["w"], ["same"]),
        helper.make_node("Identity", ["same"], ["again"]),
        helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
        helper.make_node("MatMul", ["h", "again"], ["y"], name="second"),
    ]
    made = model(nodes)
    before = run(made)
    assert products(made) == (["first"], ["second"])
    assert drop_identities(made)
    assert [node.op_type for node in made.graph.node] == ["MatMul", "MatMul"]
    assert products(made) == (["first", "second"], [])
    np.testing.assert_array_equal(run(made), before)
    assert not drop_identities(made)


def test_an_identity_that_makes_an_output_stays() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Identity", ["y"], ["z"]),
        helper.make_node("Identity", ["x"], ["unchanged"]),
    ]
    made = model(nodes, ["y", "z", "unchanged"])
    before = run(made)
    assert not drop_identities(made)
    for found, expected in zip(run(made), before, strict=True):
        np.testing.assert_array_equal(found, expected)
