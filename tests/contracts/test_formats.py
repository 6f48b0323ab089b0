"""Every format writes what torch computes, at every length and under padding, and tells what is in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgebert import artifact, environments, members
from edgebert.artifact import Artifact, Graph
from edgebert.device import runtimes
from edgebert.errors import SurroundingsError
from edgebert.formats import ExportShape, onnx as onnx_format
from edgebert.stages import export
from tests.conftest import Built

LONGEST = 32
NATURAL = ExportShape(opset=17, ir_version=8)
FIXED = ExportShape(opset=17, ir_version=8, batch=1, buckets=[LONGEST], dtype="int32")
OURS = ["onnx", "onnx of fixed length", "tflite"]
APART = ["optimum"]  # made in an environment of its own
FORMS = [*OURS, *(pytest.param(name, marks=pytest.mark.slow) for name in APART)]


@pytest.fixture(scope="module")
def trained(built: Built) -> Artifact:
    return artifact.read(next((built.out / ".store").glob("finetune-*")))


@pytest.fixture(scope="module")
def torch_model(trained: Artifact) -> Any:
    return members.find("tasks", "text-classification").model(trained.folder, None, {}).eval()


def exported_again(trained: Artifact, shape: ExportShape, out: Path, form: str = "onnx") -> Artifact:
    task, bert = members.find("tasks", "text-classification"), members.find("architectures", "bert")
    return export.run(trained, task, bert, members.find("formats", form), shape, out)


@pytest.fixture(scope="module")
def exported(built: Built, trained: Artifact, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    found = [artifact.read(folder) for folder in (built.out / ".store").glob("export-*")]
    fixed = exported_again(trained, FIXED, tmp_path_factory.mktemp("fixed"))
    return {str(one.form): one for one in found} | {"onnx of fixed length": fixed}


@pytest.fixture(scope="module")
def file(
    request: pytest.FixtureRequest,
    exported: dict[str, Artifact],
    trained: Artifact,
    tmp_path_factory: pytest.TempPathFactory,
) -> Artifact:
    """The trained toy in one of the forms; skips where a format's environment is absent."""
    if request.param in exported:
        return exported[request.param]
    try:
        environments.python_of(members.find("formats", request.param).ENVIRONMENT)
    except SurroundingsError as error:
        pytest.skip(str(error))
    return exported_again(trained, NATURAL, tmp_path_factory.mktemp("apart"), request.param)


def feeds(tokens: int, seed: int = 0) -> dict[str, NDArray[np.int64]]:
    ids = np.random.default_rng(seed).integers(5, 90, (1, tokens))
    ids[0, 0], ids[0, -1] = 2, 3
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def logits(one: Artifact, given: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = runtimes.open_model(str(one.folder), one.entry("fp32")).run(given)["logits"]
    return found


def test_every_format_is_tested(exported: dict[str, Artifact]) -> None:
    assert [name for name in members.names("formats") if members.find("formats", name).ENVIRONMENT] == APART
    assert {str(one.form) for one in exported.values()} | set(APART) == set(members.names("formats"))
    assert set(exported) == set(OURS)


@pytest.mark.parametrize("name", members.names("formats"))
def test_the_format_named_as_a_form_gives_it_and_takes_every_task(name: str) -> None:
    form = members.find("formats", name)
    own = members.find("formats", form.GIVES)
    assert own.GIVES == form.GIVES
    tasks = [members.public("tasks", task) for task in members.names("tasks")]
    assert [task for task in tasks if own.fault(task)] == []


@pytest.mark.parametrize("tokens", [2, 9, 16, 17, LONGEST])
@pytest.mark.parametrize("file", FORMS, indirect=True)
def test_a_file_computes_what_torch_does(file: Artifact, tokens: int, torch_model: Any) -> None:
    import torch

    given = feeds(tokens, seed=tokens)
    with torch.inference_mode():
        expected = torch_model(**{name: torch.from_numpy(ids) for name, ids in given.items()}).logits.numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(logits(file, given), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("file", FORMS, indirect=True)
def test_what_is_masked_changes_nothing(file: Artifact) -> None:
    given = feeds(9)
    padded = runtimes.pad(given, LONGEST)
    scribbled = {**padded, "input_ids": padded["input_ids"].copy()}
    scribbled["input_ids"][0, 9:] = 7
    expected = logits(file, given)
    for other in (padded, scribbled):
        np.testing.assert_allclose(logits(file, other), expected, rtol=0, atol=1e-5)


def test_the_rows_of_a_batch_are_answered_alike_alone_and_together(exported: dict[str, Artifact]) -> None:
    alone = [feeds(12, seed) for seed in range(3)]
    together = {name: np.concatenate([one[name] for one in alone]) for name in alone[0]}
    expected = np.concatenate([logits(exported["onnx"], one) for one in alone])
    np.testing.assert_allclose(logits(exported["onnx"], together), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("opset", "ir_version"), [(17, 8), (17, 9), (18, 8)])
def test_onnx_is_written_in_the_versions_that_were_asked_for(
    opset: int, ir_version: int, trained: Artifact, tmp_path: Path
) -> None:
    one = exported_again(trained, ExportShape(opset=opset, ir_version=ir_version), tmp_path)
    graph = onnx_format.inspect(one.path)
    assert (graph.opset, graph.ir_version) == (opset, ir_version)
    assert one.signature is not None
    assert [tensor.name for tensor in one.signature.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
    assert all(tensor.shape == [None, None] for tensor in one.signature.inputs)


def test_the_same_model_is_exported_to_the_same_bytes(trained: Artifact, tmp_path: Path) -> None:
    first, second = (exported_again(trained, FIXED, (tmp_path / str(i))).path for i in range(2))
    assert first.read_bytes() == second.read_bytes()


def test_an_fp32_onnx_file_lists_its_operators_and_constants(exported: dict[str, Artifact]) -> None:
    graph = onnx_format.inspect(exported["onnx"].path)
    assert graph.ops["LayerNormalization"] == 5  # one after the embeddings, two in each of two layers
    assert sum(graph.ops.values()) == len(onnx.load(str(exported["onnx"].path)).graph.node)
    assert graph.int8_matmul_share == 0
    assert len(graph.kept_float) == 4 + 5 + 2  # queries apart in the last layer; the pooler and the classifier
    assert graph.flex_ops == 0


def test_an_fp32_tflite_file_lists_its_operators_and_constants(exported: dict[str, Artifact]) -> None:
    graph = members.find("formats", "tflite").inspect(exported["tflite"].path)
    signatures = len(exported["tflite"].buckets)
    assert graph.ops["FULLY_CONNECTED"] == signatures * (4 + 5 + 2)  # queries of the last layer are apart
    assert graph.ops["SOFTMAX"] == signatures * 2
    assert (graph.opset, graph.ir_version, graph.flex_ops) == (None, None, 0)
    assert graph.int8_matmul_share == 0
    assert len(graph.kept_float) == 4 + 5 + 2


def test_the_buckets_of_a_tflite_file_share_its_weights(exported: dict[str, Artifact]) -> None:
    from ai_edge_litert.tools import flatbuffer_utils

    one = exported["tflite"]
    assert len(one.buckets) > 1
    buffers = flatbuffer_utils.read_model(str(one.path)).buffers
    held = sum(len(buffer.data) for buffer in buffers if buffer.data is not None)
    assert held < 1.5 * 4 * one.parameters


def graph_of(nodes: Sequence[Any], constants: dict[str, NDArray[Any]], path: Path) -> Graph:
    """What `inspect` tells of a graph made by hand: float x [1, tokens, 8] to float y."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes),
        "by hand",
        [value("x", TensorProto.FLOAT, [1, "tokens", 8])],
        [value("y", TensorProto.FLOAT, ["any", "of", "these"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return onnx_format.inspect(path)


def test_the_int8_share_is_that_of_the_multiply_adds(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w.s8", "scale"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "w.s8": np.ones((8, 6), np.int8),
        "scale": np.asarray(0.5, np.float32),
        "v": np.ones((6, 2), np.float32),
    }
    graph = graph_of(nodes, constants, tmp_path / "any.onnx")
    assert graph.int8_matmul_share == pytest.approx(48 / (48 + 12), abs=1e-6)
    assert graph.kept_float == ["v"]


def test_a_product_of_two_activations_counts_for_nothing(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "turned"], ["y"]),
    ]
    graph = graph_of(nodes, {}, tmp_path / "any.onnx")
    assert graph.kept_float == []
    assert graph.ops == {"MatMul": 1, "Transpose": 1}


WEIGHT = np.ones((8, 6), np.float32)
UNFOLDED: dict[str, tuple[list[Any], dict[str, NDArray[Any]]]] = {
    "transposed": ([helper.make_node("Transpose", ["w"], ["v"])], {"w": WEIGHT.T.copy()}),
    "constant node": ([helper.make_node("Constant", [], ["v"], value=numpy_helper.from_array(WEIGHT))], {}),
    "scaled": ([helper.make_node("Mul", ["w", "two"], ["v"])], {"w": WEIGHT, "two": np.asarray(2, np.float32)}),
    "of fp16": ([helper.make_node("Cast", ["w"], ["v"], to=TensorProto.FLOAT)], {"w": WEIGHT.astype(np.float16)}),
}


@pytest.mark.parametrize("kind", UNFOLDED)
def test_a_float_product_whose_constant_is_not_folded_is_not_overlooked(kind: str, tmp_path: Path) -> None:
    before, constants = UNFOLDED[kind]
    nodes = [*before, helper.make_node("MatMul", ["x", "v"], ["y"])]
    graph = graph_of(nodes, constants, tmp_path / "any.onnx")
    assert len(graph.kept_float) == 1
    assert graph.int8_matmul_share == 0
