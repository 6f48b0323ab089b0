"""What the LiteRT quantizers store: weights and embedding tables, in which type, and how the products run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert import artifact, litert_weights, members, quiet
from edgebert.artifact import Artifact
from edgebert.errors import InputError
from edgebert.formats import tflite
from edgebert.onnx_inspection import multiply_adds
from edgebert.quantizers import Settings
from tests.conftest import Built

STORED = {
    "litert_dynamic": "INT8",
    "litert_static": "INT8",
    "litert_weight_only": "INT8",
    "litert_fp16": "FLOAT16",
    "litert_fp32": "FLOAT32",
}
WIDENED = ("litert_weight_only", "litert_fp16")


@pytest.fixture(scope="module")
def source(built: Built) -> Artifact:
    found = [artifact.read(folder) for folder in (built.out / ".store").glob("export-*")]
    [one] = [one for one in found if one.form == "tflite"]
    return one


@pytest.fixture(scope="module")
def files(source: Artifact, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("litert")
    made = {name: folder / name / "model.tflite" for name in STORED}
    for name, path in made.items():
        quantized(name, source.path, path)
    return made


def quantized(name: str, source: Path, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with quiet.into(out.parent / "log"):
        members.find("quantizers", name).apply(source, Settings(), texts(), out)


def texts() -> list[dict[str, Any]]:
    """Ids to take ranges of."""
    draw = np.random.default_rng(0)
    rows = [draw.integers(5, 40, (1, length)) for length in (4, 9, 14, 20)]
    return [
        {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        for ids in rows
    ]


def read(path: Path) -> Any:
    from ai_edge_litert.tools import flatbuffer_utils

    return flatbuffer_utils.read_model(str(path))


def weights(model: Any) -> Iterator[tuple[str, Any, bool]]:
    """Each constant that products and lookups read: the operator, the tensor, whether it is widened first."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    for graph in model.subgraphs:
        before = {op.outputs[0]: op.inputs[0] for op in graph.operators if codes[op.opcodeIndex] == "DEQUANTIZE"}
        for op in graph.operators:
            if (operator := codes[op.opcodeIndex]) in ("FULLY_CONNECTED", "EMBEDDING_LOOKUP"):
                index = op.inputs[1]
                yield operator, graph.tensors[before.get(index, index)], index in before


@pytest.mark.parametrize("name", STORED)
def test_every_weight_and_every_embedding_table_is_stored_in_the_files_type(
    name: str, files: dict[str, Path]
) -> None:
    from ai_edge_litert import schema_py_generated as schema

    found = list(weights(read(files[name])))
    assert {operator for operator, *_ in found} == {"FULLY_CONNECTED", "EMBEDDING_LOOKUP"}
    assert {tensor.type for _, tensor, _ in found} == {getattr(schema.TensorType, STORED[name])}
    assert {widened for *_, widened in found} == {name in WIDENED}


@pytest.mark.parametrize("name", ["litert_dynamic", "litert_static", "litert_weight_only"])
def test_int8_weights_have_a_scale_for_each_channel(name: str, files: dict[str, Path]) -> None:
    for _, tensor, _ in weights(read(files[name])):
        assert len(tensor.quantization.scale) == tensor.shape[0]
        assert not np.any(tensor.quantization.zeroPoint)


def test_products_of_widened_weights_are_not_counted_as_int8(files: dict[str, Path]) -> None:
    shares = {name: tflite.inspect(path).int8_matmul_share for name, path in files.items()}
    assert shares == {name: float(name in ("litert_dynamic", "litert_static")) for name in STORED}
    kept = {name: len(tflite.inspect(path).kept_float) for name, path in files.items()}
    assert kept["litert_dynamic"] == kept["litert_weight_only"] == 0
    assert kept["litert_fp16"] == kept["litert_fp32"] == 4 + 5 + 2  # queries apart in the last layer


def test_fp32_is_the_file_as_exported(files: dict[str, Path], source: Artifact) -> None:
    assert files["litert_fp32"].read_bytes() == source.path.read_bytes()


def test_products_are_named_as_in_the_onnx_graph(source: Artifact, built: Built) -> None:
    found = [artifact.read(folder) for folder in (built.out / ".store").glob("export-*")]
    [other] = [one for one in found if one.form == "onnx"]
    ours, theirs = litert_weights.products(source.path), multiply_adds(other.path)
    assert set(ours) == set(theirs)
    rounds = [name for name in ours if name.startswith("layer.0/")]
    assert len({ours[name] / theirs[name] for name in rounds}) == 1, "the same work, at another length"


@pytest.mark.parametrize("name", ["litert_dynamic", "litert_static", "litert_weight_only"])
def test_a_kept_product_is_float_in_every_signature(name: str, source: Artifact, tmp_path: Path) -> None:
    out = tmp_path / "model.tflite"
    keep = Settings(keep_float=["layer.1/ffn/*", "embeddings/words"])
    with quiet.into(tmp_path / "log"):
        members.find("quantizers", name).apply(source.path, keep, texts(), out)
    model = read(out)
    floats = [(kind, tuple(tensor.shape)) for kind, tensor, _ in weights(model) if tensor.type == 0]
    assert len(floats) == 3 * len(model.subgraphs)
    assert {kind for kind, _ in floats} == {"FULLY_CONNECTED", "EMBEDDING_LOOKUP"}


def test_static_ranges_are_those_of_texts_that_a_signature_holds(source: Artifact) -> None:
    from edgebert.quantizers import litert_static

    found = litert_static._by_signature(source.path, texts())
    assert {name: len(rows) for name, rows in found.items()} == {"tokens_16": 3, "tokens_32": 4}
    for name, rows in found.items():
        assert {ids.shape for row in rows for ids in row.values()} == {(1, int(name.split("_")[1]))}
        assert {ids.dtype for row in rows for ids in row.values()} == {np.dtype(np.int32)}
    [only] = litert_static._by_signature(source.path, texts()[3:])["tokens_16"]
    assert only["attention_mask"].all(), "longer texts are cut where no other is there"


@pytest.mark.parametrize("operator", ["FULLY_CONNECTED", "EMBEDDING_LOOKUP"])
def test_a_weight_that_fp16_cannot_hold_is_told_by_name(operator: str, source: Artifact, tmp_path: Path) -> None:
    from ai_edge_litert.tools import flatbuffer_utils

    model = read(source.path)
    tensor = next(tensor for kind, tensor, _ in weights(model) if kind == operator)
    values = np.frombuffer(model.buffers[tensor.buffer].data, np.float32).copy()
    values[0] = 1e6
    model.buffers[tensor.buffer].data = values.view(np.uint8)
    flatbuffer_utils.write_model(model, str(tmp_path / "large.tflite"))
    with pytest.raises(InputError, match="holds values above 65504, which fp16 cannot"):
        quantized("litert_fp16", tmp_path / "large.tflite", tmp_path / "out" / "model.tflite")
    assert not (tmp_path / "out" / "model.tflite").exists()


@pytest.mark.parametrize("name", ["litert_dynamic", "litert_weight_only"])
def test_the_scales_of_a_weight_are_stored_once_for_all_signatures(name: str, files: dict[str, Path]) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAsModel(files[name].read_bytes(), 0)
    assert model.SubgraphsLength() > 1
    places: dict[int, set[int]] = {}
    for graph in (model.Subgraphs(i) for i in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(i) for i in range(graph.TensorsLength())):
            scales = tensor.Quantization()
            if scales is not None and scales.ScaleLength() > 1:
                places.setdefault(tensor.Buffer(), set()).add(scales._tab.Pos)
    assert len(places) >= 4 + 5 + 2  # products of both layers, the pooler and the word embeddings
    assert {len(found) for found in places.values()} == {1}


@pytest.mark.parametrize("name", ["litert_dynamic", "litert_weight_only", "litert_fp16"])
def test_names_tell_where_a_tensor_is_and_not_of_which_classes(
    name: str, files: dict[str, Path], source: Artifact
) -> None:
    before, after = read(source.path), read(files[name])
    names = [tensor.name.decode() for graph in after.subgraphs for tensor in graph.tensors]
    assert {"Lean/layer_0/attention_qkv", "Lean/layer_1/ffn_up", "Lean/head_0"} <= set(names)
    assert not [one for one in names if "torch.nn" in one or "transformers." in one or "edgebert." in one]
    for old, new in zip(before.subgraphs, after.subgraphs, strict=True):
        for place in ("inputs", "outputs"):
            kept = [new.tensors[i].name for i in getattr(new, place)]
            assert kept == [old.tensors[i].name for i in getattr(old, place)]
