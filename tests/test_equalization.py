"""Equalized products give what they gave before, and weights that are read twice are stored once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgebert.equalization import equalize

DRAW = np.random.default_rng(0)
IDS = [{"ids": DRAW.integers(0, 20, (1, 6))} for _ in range(4)]
TABLE = (DRAW.normal(size=(20, 8)) * np.logspace(-1, 1, 8)).astype(np.float32)  # channels of unlike size
WEIGHTS = {name: DRAW.normal(size=(8, 8)).astype(np.float32) for name in ("v", "w")}


def model(products: Sequence[tuple[str, str, str]]) -> Any:
    """ids int64 [1, tokens] looked up as x [1, tokens, 8], then products (input, weights, output) to y."""
    nodes = [helper.make_node("Gather", ["table", "ids"], ["x"], name="look-up")]
    nodes += [helper.make_node("MatMul", [x, w], [y], name=f"/{y}") for x, w, y in products]
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "tokens"])],
        [helper.make_tensor_value_info(products[-1][2], TensorProto.FLOAT, [1, "tokens", 8])],
        [numpy_helper.from_array(array, name) for name, array in {"table": TABLE, **WEIGHTS}.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def outputs(made: Any) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, feeds)[0] for feeds in IDS])


def matrices(made: Any) -> list[str]:
    return sorted(tensor.name for tensor in made.graph.initializer if len(tensor.dims) == 2)


def test_the_products_stay_and_their_inputs_become_even() -> None:
    made = model([("x", "w", "h"), ("h", "v", "y")])
    before = outputs(made)
    equalize(made, IDS)
    np.testing.assert_allclose(outputs(made), before, rtol=1e-4)
    factors = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer if t.name.endswith(".factor")}
    tops = np.abs(TABLE).max(axis=0)
    assert len(factors) == 2
    even = tops * factors["/h.factor"]
    assert even.max() / even.min() < 0.2 * tops.max() / tops.min()


def test_weights_that_two_inputs_share_are_stored_once() -> None:
    made = model([("x", "w", "h"), ("h", "v", "i"), ("i", "w", "j"), ("j", "v", "y")])
    before = outputs(made)
    equalize(made, IDS)
    np.testing.assert_allclose(outputs(made), before, rtol=1e-4)
    assert matrices(made) == ["table", "v.even", "w.even"]


def test_an_input_that_two_weights_share_is_divided_once() -> None:
    made = model([("x", "w", "h"), ("x", "v", "i"), ("h", "w", "y")])
    before = outputs(made)
    equalize(made, IDS)
    np.testing.assert_allclose(outputs(made), before, rtol=1e-4)
    assert [node.op_type for node in made.graph.node].count("Mul") == 2  # x and h
    assert matrices(made) == ["table", "v.even", "w.even"]
