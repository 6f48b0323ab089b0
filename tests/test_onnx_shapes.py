"""What is computed from shapes alone becomes constant where that is proven, and nowhere else; answers stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgebert import onnx_shapes
from edgebert.formats import ExportShape, onnx as onnx_format
from edgebert.onnx_shapes import fold_shapes
from tests import toy

Size = int | str
TEXT: list[Size] = ["batch", "tokens", 8]
POSITIONS = 16


def const(name: str, value: Any) -> Any:
    """A Constant node, as the tracer writes them."""
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value, np.int64)))


def dim(of: str, number: int, out: str) -> list[Any]:
    """`out` [1] = dimension `number` of the tensor `of`, in the nodes that the tracer writes."""
    return [
        helper.make_node("Shape", [of], [f"{out}.shape"]),
        const(f"{out}.number", number),
        helper.make_node("Gather", [f"{out}.shape", f"{out}.number"], [f"{out}.scalar"]),
        const(f"{out}.axes", [0]),
        helper.make_node("Unsqueeze", [f"{out}.scalar", f"{out}.axes"], [out]),
    ]


def view(of: str, sizes: Sequence[Size], out: str, allowzero: int = 0) -> list[Any]:
    """`out` = `of` reshaped to `sizes`: numbers, or names of tensors [1]."""
    nodes, parts = [], []
    for number, size in enumerate(sizes):
        parts.append(size if isinstance(size, str) else f"{out}.{number}")
        nodes += [] if isinstance(size, str) else [const(parts[-1], [size])]
    nodes.append(helper.make_node("Concat", parts, [f"{out}.target"], axis=0))
    return [*nodes, helper.make_node("Reshape", [of, f"{out}.target"], [out], allowzero=allowzero)]


def model(
    nodes: Sequence[Any],
    inputs: dict[str, list[Size]],
    constants: dict[str, NDArray[Any]] | None = None,
    opset: int = 17,
    declared: list[Size] | None = None,
) -> Any:
    """A graph of float inputs (those named ids or target: int64) and the float output y of any shape."""
    kinds = {name: TensorProto.INT64 if name in ("ids", "target") else TensorProto.FLOAT for name in inputs}
    graph = helper.make_graph(
        list(nodes),
        "by hand",
        [helper.make_tensor_value_info(name, kinds[name], sizes) for name, sizes in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, declared)],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def ops(made: Any) -> dict[str, int]:
    """Nodes by type, constants apart."""
    return dict(Counter(node.op_type for node in made.graph.node if node.op_type != "Constant"))


def targets(made: Any) -> list[list[int] | None]:
    """Of each Reshape its target, None where that is computed."""
    made_of = {node.output[0]: node for node in made.graph.node if node.op_type == "Constant"}
    held = {name: numpy_helper.to_array(node.attribute[0].t).tolist() for name, node in made_of.items()}
    return [held.get(node.input[1]) for node in made.graph.node if node.op_type == "Reshape"]


def run(made: Any, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    answers: list[NDArray[Any]] = session.run(None, feeds)
    return answers


def heads(size: Size = -1) -> list[Any]:
    """y = x [batch, tokens, 8] as [batch, tokens, heads, 4], both dimensions read from x."""
    return [*dim("x", 0, "b"), *dim("x", 1, "t"), *view("x", ["b", "t", size, 4], "y")]


@pytest.mark.parametrize("size", [-1, 2])
def test_dimensions_of_the_tensor_itself_are_copied_and_the_rest_is_counted_out(size: int) -> None:
    made = model(heads(size), {"x": TEXT})
    expected = [run(made, {"x": np.random.rand(b, t, 8).astype(np.float32)})[0].shape for b, t in ((1, 3), (2, 1))]
    assert fold_shapes(made)
    assert ops(made) == {"Reshape": 1}
    assert targets(made) == [[0, 0, 2, 4]]
    found = [run(made, {"x": np.random.rand(b, t, 8).astype(np.float32)})[0].shape for b, t in ((1, 3), (2, 1))]
    assert found == expected == [(1, 3, 2, 4), (2, 1, 2, 4)]


def test_a_folded_target_tells_what_the_next_one_needs() -> None:
    back = [
        helper.make_node("Transpose", ["y4"], ["turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Transpose", ["turned"], ["again"], perm=[0, 2, 1, 3]),
        *view("again", ["b", "t", -1], "y"),
    ]
    made = model([*dim("x", 0, "b"), *dim("x", 1, "t"), *view("x", ["b", "t", -1, 4], "y4"), *back], {"x": TEXT})
    assert fold_shapes(made)
    assert ops(made) == {"Reshape": 2, "Transpose": 2}
    assert targets(made) == [[0, 0, 2, 4], [0, 0, 8]]


def test_the_result_says_whether_anything_changed() -> None:
    made = model(heads(), {"x": TEXT})
    assert fold_shapes(made)
    once = made.SerializeToString()
    assert not fold_shapes(made)
    assert made.SerializeToString() == once


def test_a_dimension_of_another_tensor_counts_where_it_is_known_to_be_the_same() -> None:
    nodes = [*dim("ids", 0, "b"), *dim("ids", 1, "t"), *view("x", ["b", "t", 2, 4], "y")]
    made = model(nodes, {"x": TEXT, "ids": ["batch", "tokens"]})
    assert fold_shapes(made)
    assert targets(made) == [[0, 0, 2, 4]]


@pytest.mark.parametrize("sizes", [["other", "tokens"], ["batch", "other"], ["any", "other"]])
def test_a_dimension_of_another_tensor_that_may_differ_is_left(sizes: list[Size]) -> None:
    nodes = [*dim("ids", 0, "b"), *dim("ids", 1, "t"), *view("x", ["b", "t", 8], "y")]
    made = model(nodes, {"x": TEXT, "ids": sizes})
    fold_shapes(made)
    assert targets(made) == [None]
    x = np.zeros((2, 3, 8), np.float32)
    assert run(made, {"x": x, "ids": np.zeros((2, 3), np.int64)})[0].shape == (2, 3, 8)
    assert run(made, {"x": x, "ids": np.zeros((3, 2), np.int64)})[0].shape == (3, 2, 8)


def test_a_dimension_that_moved_is_not_copied() -> None:
    nodes = [*dim("x", 0, "b"), *dim("x", 1, "t"), *view("x", ["t", "b", -1], "y")]
    made = model(nodes, {"x": TEXT})
    fold_shapes(made)
    assert targets(made) == [None]
    assert run(made, {"x": np.zeros((2, 3, 8), np.float32)})[0].shape == (3, 2, 8)


@pytest.mark.parametrize("declared", [None, TEXT])
def test_a_target_that_is_fed_is_left_whatever_the_graph_declares_of_its_output(
    declared: list[Size] | None,
) -> None:
    node = helper.make_node("Reshape", ["x", "target"], ["y"])
    made = model([node], {"x": TEXT, "target": [3]}, declared=declared)
    assert not fold_shapes(made)
    assert targets(made) == [None]


def test_a_target_that_depends_on_data_is_left() -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"]),
        *dim("places", 1, "count"),
        *view("x", ["count", 8], "y"),
    ]
    made = model(nodes, {"x": TEXT})
    fold_shapes(made)
    assert targets(made) == [None]
    assert run(made, {"x": np.eye(8, dtype=np.float32)[None]})[0].shape == (8, 8)


def test_a_target_whose_zeros_mean_zero_is_left() -> None:
    nodes = [*dim("x", 0, "b"), *dim("x", 1, "t"), *view("x", ["b", "t", 2, 4], "y", allowzero=1)]
    made = model(nodes, {"x": TEXT})
    fold_shapes(made)
    assert targets(made) == [None]


def test_before_opset_15_a_graph_is_left() -> None:
    made = model(heads(), {"x": TEXT}, opset=14)
    before = made.SerializeToString()
    assert not fold_shapes(made)
    assert made.SerializeToString() == before


def test_what_is_not_read_is_dropped() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Add", ["x", "w"], ["nobody"])]
    made = model(nodes, {"x": TEXT}, {"w": np.ones(8, np.float32)})
    assert fold_shapes(made)
    assert ops(made) == {"Relu": 1}
    assert not made.graph.initializer


def embedded(length_of: str = "ids", held: int = POSITIONS) -> list[Any]:
    """y = heads of (words[ids] + positions[0, : tokens of `length_of`]), as BERT's embeddings are traced."""
    return [
        helper.make_node("Gather", ["words", "ids"], ["x"]),
        const("columns", [list(range(held))]),
        *dim(length_of, 1, "length"),
        const("zero", [0]),
        const("one", [1]),
        helper.make_node("Slice", ["columns", "zero", "length", "one", "one"], ["first"]),
        helper.make_node("Gather", ["places", "first"], ["where"]),
        helper.make_node("Add", ["x", "where"], ["sum"]),
        *dim("ids", 0, "b"),
        *dim("ids", 1, "t"),
        *view("sum", ["b", "t", -1, 4], "y"),
    ]


TABLES = {
    "words": np.random.default_rng(0).random((99, 8), np.float32),
    "places": np.random.default_rng(1).random((POSITIONS, 8), np.float32),
}


@pytest.mark.parametrize("held", [1, POSITIONS])
def test_a_sum_with_positions_has_the_dimensions_of_the_words(held: int) -> None:
    made = model(embedded(held=held), {"ids": ["batch", "tokens"]}, TABLES)
    before = onnx.ModelProto.FromString(made.SerializeToString())
    assert fold_shapes(made)
    assert ops(made) == {"Gather": 2, "Shape": 1, "Slice": 1, "Add": 1, "Reshape": 1}
    assert targets(made) == [[0, 0, 2, 4]]
    for batch in (1, 3):
        for tokens in (1, 2, POSITIONS):
            ids = np.random.default_rng(tokens).integers(0, 99, (batch, tokens))
            np.testing.assert_array_equal(run(made, {"ids": ids})[0], run(before, {"ids": ids})[0])


def test_more_tokens_than_positions_fail_as_before() -> None:
    made = model(embedded(), {"ids": ["batch", "tokens"]}, TABLES)
    fold_shapes(made)
    with pytest.raises(Exception, match="Add"):
        run(made, {"ids": np.zeros((1, POSITIONS + 1), np.int64)})


def test_positions_as_many_as_another_tensor_has_prove_nothing() -> None:
    made = model(embedded("other"), {"ids": ["batch", "tokens"], "other": ["batch", "length"]}, TABLES)
    fold_shapes(made)
    assert targets(made) == [None]
    one_word_at_three: dict[str, NDArray[Any]] = {
        "ids": np.zeros((2, 1), np.int64),
        "other": np.zeros((2, 3), np.float32),
    }
    assert run(made, one_word_at_three)[0].shape == (2, 1, 6, 4)


NATURAL = ExportShape(opset=17, ir_version=8)
FIXED = ExportShape(opset=17, ir_version=8, batch=1, buckets=[32], dtype="int32")
LAYERS = 3


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The toy's graphs, with and without the fold, at natural length and at a fixed one."""
    from transformers import AutoModelForSequenceClassification

    folder = toy.write_model(tmp_path_factory.mktemp("toy"), layers=LAYERS)
    settings: dict[str, Any] = {"num_labels": 3, "attn_implementation": "eager"}
    torch_model = AutoModelForSequenceClassification.from_pretrained(folder, **settings).eval()
    found = {}
    for kind, shape in (("natural", NATURAL), ("fixed", FIXED)):
        for folds in (True, False):
            with pytest.MonkeyPatch.context() as patch:
                if not folds:
                    patch.setattr(onnx_shapes, "fold_shapes", lambda model: False)
                out = folder / f"{kind}-{folds}" / "model.onnx"
                onnx_format.export(toy.exportable(torch_model), shape, out)
            found[kind if folds else f"{kind}, unfolded"] = onnx.load(str(out))
    return found


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("tokens", [*range(1, 18), 33, 63, 64])
def test_the_toy_answers_bit_for_bit_as_before(batch: int, tokens: int, exported: dict[str, Any]) -> None:
    ids = np.random.default_rng(tokens).integers(5, 90, (batch, tokens))
    mask = (np.random.default_rng(batch).random((batch, tokens)) > 0.2).astype(np.int64)
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids % 2}
    found, expected = run(exported["natural"], feeds)[0], run(exported["natural, unfolded"], feeds)[0]
    assert found.shape == (batch, 3)
    np.testing.assert_array_equal(found, expected)


def test_the_toy_of_fixed_length_answers_bit_for_bit_as_before(exported: dict[str, Any]) -> None:
    ids = np.random.default_rng(0).integers(5, 90, (1, 32)).astype(np.int32)
    feeds = {"input_ids": ids, "attention_mask": (ids > 20).astype(np.int32), "token_type_ids": ids % 2}
    np.testing.assert_array_equal(run(exported["fixed"], feeds)[0], run(exported["fixed, unfolded"], feeds)[0])


def test_the_toys_graph_computes_no_target_and_has_few_nodes(exported: dict[str, Any]) -> None:
    unfolded, folded = ops(exported["natural, unfolded"]), ops(exported["natural"])
    assert unfolded["Concat"] == 4 * LAYERS, "the tracer writes other graphs; is the pass still needed?"
    assert targets(exported["natural"]) == [*[[0, 0, 2, 16]] * 3, [0, 0, 32]] * LAYERS
    assert folded.get("Concat", 0) == 0
    assert folded["Shape"] == 1
    assert folded["Gather"] == 4  # three tables and the [CLS] row
    assert folded["Unsqueeze"] == 2  # the mask's
    assert sum(folded.values()) <= 17 + 34 * LAYERS
    assert "Concat" not in ops(exported["fixed"])
    assert "Shape" not in ops(exported["fixed"])
