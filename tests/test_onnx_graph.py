"""The small rewrites of a graph leave its answers as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgebert.onnx_graph import (
    drop_identities,
    drop_zero_points,
    part_tables,
    products,
    quantize_tables,
    share_tables,
)

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


@pytest.mark.parametrize("zero", [0, 3])
def test_zero_points_of_weights_are_left_out_where_they_are_zero(zero: int) -> None:
    made = model(
        [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["x.u8", "scale", "x.zero"]),
            helper.make_node("MatMulInteger", ["x.u8", "w.s8", "x.zero", "w.zero"], ["product"]),
            helper.make_node("Cast", ["product"], ["y"], to=TensorProto.FLOAT),
        ]
    )
    zeros = np.zeros(8, np.int8)
    zeros[-1] = zero
    made.graph.initializer.append(numpy_helper.from_array(zeros, "w.zero"))
    made.graph.initializer.append(numpy_helper.from_array((WEIGHT * 100).astype(np.int8), "w.s8"))
    before = run(made)
    assert drop_zero_points(made) == (zero == 0)
    assert len(made.graph.node[1].input) == (4 if zero else 3)
    assert ("w.zero" in {tensor.name for tensor in made.graph.initializer}) == bool(zero)
    np.testing.assert_array_equal(run(made), before)


def tied(**changed: Any) -> Any:
    """Rows of w are looked up by the first column of x, and compared with all rows of w."""
    attributes = {"transB": 1, **changed}
    nodes = [
        helper.make_node("Gather", ["w", "ids"], ["rows"], name="look up"),
        helper.make_node("Add", ["x", "rows"], ["h"]),
        helper.make_node("Gemm", ["h", "w", "b"], ["y"], name="compare", **attributes),
    ]
    made = model(nodes)
    made.graph.initializer.append(numpy_helper.from_array(np.asarray([0, 3, 7]), "ids"))
    made.graph.initializer.append(numpy_helper.from_array(WEIGHT[0], "b"))
    return made


def test_a_product_with_an_embedding_table_reads_the_rows_that_are_looked_up() -> None:
    made = tied()
    [before] = run(made)
    assert share_tables(made, [])
    quantize_tables(made, [])
    onnx.checker.check_model(made)
    held = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in made.graph.initializer}
    assert [name for name, (_, shape) in held.items() if shape == [8, 8]] == ["w.s8"]
    assert held["w.s8"][0] == TensorProto.INT8
    assert [node.op_type for node in made.graph.node if node.name == "compare"] == ["MatMulInteger"]
    [after] = run(made)
    np.testing.assert_allclose(after, before, rtol=0, atol=0.02 * np.abs(before).max())
    assert np.abs(after - before).max() > 0


def test_a_product_can_have_a_table_of_its_own() -> None:
    made = tied()
    [before] = run(made)
    assert part_tables(made)
    onnx.checker.check_model(made)
    assert [node.input[:2] for node in made.graph.node if node.name] == [["w", "ids"], ["h", "w.product"]]
    np.testing.assert_array_equal(run(made), [before])
    assert not part_tables(made)


@pytest.mark.parametrize(
    ("made", "kept_float"),
    [(tied(alpha=0.5), []), (tied(transA=1), []), (tied(), ["look up"]), (tied(), ["compare"])],
)
def test_a_product_that_is_another_or_stays_float_is_left_alone(made: Any, kept_float: list[str]) -> None:
    nodes = [node.SerializeToString() for node in made.graph.node]
    assert not share_tables(made, kept_float)
    assert [node.SerializeToString() for node in made.graph.node] == nodes
