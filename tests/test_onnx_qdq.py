"""Scales that were found elsewhere become Q/DQ nodes that compute what they say, and share what is shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgebert.onnx_qdq import Scales, matrix, quantizable, write_qdq

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(5, 8)).astype(np.float32)
W = RANDOM.normal(size=(8, 6)).astype(np.float32)
V = RANDOM.normal(size=(4, 8)).astype(np.float32)
BIAS = RANDOM.normal(size=4).astype(np.float32)


def model() -> Any:
    """Two products of the same x with the same W, and a Gemm of x with V, which lies the other way."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["one"], name="one"),
        helper.make_node("MatMul", ["x", "w"], ["two"], name="two"),
        helper.make_node("Gemm", ["x", "v", "bias"], ["three"], name="three", transB=1),
        helper.make_node("MatMul", ["one", "two.turned"], ["activations"], name="activations"),
    ]
    nodes.insert(2, helper.make_node("Transpose", ["two"], ["two.turned"], perm=[1, 0]))
    shapes = {"one": [5, 6], "two": [5, 6], "three": [5, 4], "activations": [5, 5]}
    ends = [value(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    constants = {"w": W, "v": V, "bias": BIAS}
    graph = helper.make_graph(
        nodes,
        "by hand",
        [value("x", TensorProto.FLOAT, [5, 8])],
        ends,
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def scales(weight: NDArray[np.float32]) -> Scales:
    """Of weights float32 [out, in]."""
    return Scales(float(np.ptp(X) / 255), round(-X.min() / np.ptp(X) * 255), np.abs(weight).max(axis=1) / 127)


def rounded(weight: NDArray[np.float32], found: Scales) -> tuple[NDArray[Any], NDArray[Any]]:
    """What x and weights [out, in] are after their trip through 8 bits."""
    whole = np.clip(np.rint(X / np.float32(found.activation)) + found.zero, 0, 255)
    wide = found.weight[:, None]
    return (whole - found.zero) * found.activation, np.clip(np.rint(weight / wide), -128, 127) * wide


def run(made: Any) -> list[NDArray[np.float32]]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    found: list[NDArray[np.float32]] = onnxruntime.InferenceSession(made.SerializeToString(), options).run(
        None, {"x": X}
    )
    return found


def test_products_compute_what_their_scales_say() -> None:
    made = model()
    write_qdq(made, {"one": scales(W.T), "two": scales(W.T), "three": scales(V)})
    onnx.checker.check_model(made, full_check=True)
    x, w = rounded(W.T, scales(W.T))
    _, v = rounded(V, scales(V))
    one, two, three, _ = run(made)
    np.testing.assert_allclose(one, x @ w.T, rtol=0, atol=1e-4)
    np.testing.assert_allclose(two, one, rtol=0, atol=0)
    np.testing.assert_allclose(three, x @ v.T + BIAS, rtol=0, atol=1e-4)


def test_what_products_share_is_quantized_once() -> None:
    made = model()
    write_qdq(made, {"one": scales(W.T), "two": scales(W.T), "three": scales(V)})
    kinds = [node.op_type for node in made.graph.node]
    assert (kinds.count("QuantizeLinear"), kinds.count("DequantizeLinear")) == (1, 3)
    stored = {tensor.name: tensor.data_type for tensor in made.graph.initializer if len(tensor.dims) == 2}
    assert stored == {"w.s8": TensorProto.INT8, "v.s8": TensorProto.INT8}


def test_products_that_are_not_named_stay_as_they_are() -> None:
    made, plain = model(), model()
    write_qdq(made, {"three": scales(V)})
    for found, expected in zip(run(made)[:2], run(plain)[:2], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_quantizable_are_the_products_of_activations_with_a_matrix() -> None:
    made = model()
    found = quantizable(made)
    assert [node.name for node in found] == ["one", "two", "three"]
    np.testing.assert_array_equal(matrix(made, found[0]), W.T)
    np.testing.assert_array_equal(matrix(made, found[2]), V)


@pytest.mark.parametrize("extreme", [-1e9, 1e9])
def test_weights_beyond_their_scale_are_cut_off(extreme: float) -> None:
    made = model()
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.where(W == W.max(), extreme, W), "w"))
    write_qdq(made, {"one": scales(W.T)})
    [whole] = [numpy_helper.to_array(one) for one in made.graph.initializer if one.name == "w.s8"]
    assert (whole.min() if extreme < 0 else whole.max()) == (-128 if extreme < 0 else 127)
