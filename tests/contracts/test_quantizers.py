"""Every quantizer takes the trained toy through the same life, at natural length and at a fixed one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgebert import accuracy_control, artifact, members, quiet, scoring, target
from edgebert.artifact import Artifact
from edgebert.errors import InputError
from edgebert.formats import ExportShape
from edgebert.judgement import FLOAT_PRODUCTS
from edgebert.quantizers import Settings
from edgebert.stages import export, verify
from edgebert.tasks import Outputs
from edgebert.tokenization import Encoder, Feeds
from tests import toy
from tests.conftest import Built, skip_without

FIXED_LENGTH = 32
NEEDS_FIXED_LENGTH = {"onnx_qnn"}  # the NPU's compiler takes no other
FLOAT_ALREADY = {"litert_fp32"}
TAKES = {name: str(members.find("quantizers", name).TAKES) for name in members.names("quantizers")}
CASES = [
    (name, length)
    for name, form in TAKES.items()
    for length in (("buckets",) if form == "tflite" else ("natural", "fixed"))
    if not (name in NEEDS_FIXED_LENGTH and length == "natural")
]
BY_NAME = dict(reversed(CASES))
CONTROLLED = [name for name in BY_NAME if members.find("quantizers", name).tensors is not None]


@dataclass(frozen=True)
class Toy:
    """The trained toy: rows to answer, texts to calibrate with, fp32 files by how long their texts may be."""

    exported: dict[str, Artifact]
    rows: list[Feeds]
    batches: list[Feeds]


@dataclass(frozen=True)
class Quantized:
    """What a quantizer made of an fp32 file, twice over."""

    quantizer: ModuleType
    source: Artifact
    shipped: Artifact
    again: Path


@pytest.fixture(scope="module")
def trained(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    store = built.out / ".store"
    model = artifact.read(next(store.glob("finetune-*")))
    bert = members.find("architectures", model.architecture)
    found = [artifact.read(folder) for folder in store.glob("export-*")]
    exported = {"buckets" if one.form == "tflite" else "natural": one for one in found}
    shape = ExportShape(opset=17, ir_version=8, batch=1, buckets=[FIXED_LENGTH], dtype="int32")
    task, form = members.find("tasks", "text-classification"), members.find("formats", "onnx")
    exported["fixed"] = export.run(model, task, bert, form, shape, tmp_path_factory.mktemp("fixed"))
    encoder = Encoder(model.folder, model.max_tokens, bert.INPUTS)
    rows, batches = (
        [encoder.encode(row["text"]).feeds for row in toy.rows(count, seed)] for count, seed in ((60, 9), (64, 1))
    )
    return Toy(exported, rows, batches)


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def quantized(request: pytest.FixtureRequest, trained: Toy, tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    name, length = request.param
    quantizer, source = members.find("quantizers", name), trained.exported[length]
    folder, other = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp(name)
    for out in (folder, other):
        apply(quantizer, source, Settings(), trained, out / quantizer.FILE)
    update = {"file": quantizer.FILE, "precision": quantizer.PRECISION, "folder": folder}
    return Quantized(quantizer, source, source.model_copy(update=update), other / quantizer.FILE)


def apply(quantizer: ModuleType, source: Artifact, settings: Settings, trained: Toy, out: Path) -> None:
    """Quantize as the pipeline does: what the libraries print goes to a log."""
    skip_without(quantizer)
    out.parent.mkdir(parents=True, exist_ok=True)
    with quiet.into(out.parent / "log"):
        quantizer.apply(source.path, settings, trained.batches, out)


def outputs(one: Artifact, rows: list[Feeds]) -> Outputs:
    return {"logits": toy.logits_of(scoring.outputs_of(one.folder, one.entry("any"), rows))}


def inputs_and_outputs(one: Artifact) -> Any:
    """Names, types and shapes, as the file itself tells them."""
    if one.form == "onnx":
        import onnx

        return members.find("formats", "onnx").signature(onnx.load(str(one.path)))
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_path=str(one.path)).get_signature_list()


def test_the_same_input_gives_the_same_bytes(quantized: Quantized) -> None:
    assert quantized.again.read_bytes() == quantized.shipped.path.read_bytes()


def test_the_file_answers_as_the_fp32_file_does(quantized: Quantized, trained: Toy) -> None:
    expected = outputs(quantized.source, trained.rows)["logits"]
    found = outputs(quantized.shipped, trained.rows)["logits"]
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    assert len(set(expected.argmax(axis=1))) == 3, "the toy has learned nothing; agreement would mean nothing"
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.9
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_the_share_of_int8_products_is_that_of_the_precision(quantized: Quantized) -> None:
    graph = members.find("formats", quantized.quantizer.GIVES).inspect(quantized.shipped.path)
    if quantized.quantizer.PRECISION in FLOAT_PRODUCTS:
        assert graph.int8_matmul_share == 0
    else:
        assert graph.int8_matmul_share >= 0.95
        assert graph.kept_float == []


def test_inputs_and_outputs_keep_names_types_and_shapes(quantized: Quantized) -> None:
    assert inputs_and_outputs(quantized.shipped) == inputs_and_outputs(quantized.source)


def test_the_targets_compiler_is_not_known_to_refuse_the_file(quantized: Quantized) -> None:
    assert quantized.quantizer.violations(quantized.shipped.path) == []


def test_the_file_keeps_the_ir_version_that_the_target_reads(quantized: Quantized) -> None:
    form = members.find("formats", quantized.quantizer.GIVES)
    found, given = form.inspect(quantized.shipped.path), form.inspect(quantized.source.path)
    assert found.ir_version == given.ir_version


@pytest.mark.parametrize("name", BY_NAME)
def test_keep_float_that_matches_nothing_is_an_input_error(name: str, trained: Toy, tmp_path: Path) -> None:
    quantizer, source = members.find("quantizers", name), trained.exported[BY_NAME[name]]
    with pytest.raises(InputError, match="keep_float"):
        apply(quantizer, source, Settings(keep_float=["nothing_is_called_so*"]), trained, tmp_path / "any")


@pytest.mark.parametrize("pattern", ["head/classifier", "*classifier*"])
@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - FLOAT_ALREADY))
def test_keep_float_keeps_what_its_pattern_names(name: str, pattern: str, trained: Toy, tmp_path: Path) -> None:
    quantizer, source = members.find("quantizers", name), trained.exported[BY_NAME[name]]
    out = tmp_path / quantizer.FILE
    apply(quantizer, source, Settings(keep_float=[pattern]), trained, out)
    assert stored_in_fp32(quantizer.GIVES, out) == {"head/classifier"}
    found = source.model_copy(update={"file": quantizer.FILE, "folder": tmp_path})
    assert np.isfinite(outputs(found, trained.rows[:3])["logits"]).all()


@pytest.mark.parametrize("name", CONTROLLED)
def test_precision_is_given_back_to_one_product_and_taken_of_no_other(
    name: str, trained: Toy, tmp_path: Path
) -> None:
    quantizer, source = members.find("quantizers", name), trained.exported[BY_NAME[name]]
    skip_without(quantizer)
    one, files = "layer.0/ffn/up", {"one": ["layer.0/ffn/up"], "none": []}
    with quiet.into(tmp_path / "log"):
        write = accuracy_control.writer(quantizer, source.path, Settings(), trained.batches)
        for folder, given in files.items():
            write(given, tmp_path / folder / quantizer.FILE)
    apply(quantizer, source, Settings(), trained, tmp_path / "plain" / quantizer.FILE)
    paths = {folder: tmp_path / folder / quantizer.FILE for folder in (*files, "plain")}
    assert paths["none"].read_bytes() == paths["plain"].read_bytes()
    form, sizes = members.find("formats", quantizer.GIVES), quantizer.tensors(source.path)
    graphs = {folder: form.inspect(path) for folder, path in paths.items()}
    assert graphs["none"].kept_float == []
    assert len(graphs["one"].kept_float) == 1, "each signature's weights, and no other's"
    lost = graphs["none"].int8_matmul_share - graphs["one"].int8_matmul_share
    assert lost == pytest.approx(sizes[one] / sum(sizes.values()), abs=0.02)
    assert quantizer.violations(paths["one"]) == []
    shipped = source.model_copy(update={"file": quantizer.FILE, "folder": tmp_path / "one"})
    expected, found = outputs(source, trained.rows)["logits"], outputs(shipped, trained.rows)["logits"]
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    if name != "onnx_qnn":  # floats leave its NPU: 16-bit weights do not
        assert letters(stored_in_fp32(quantizer.GIVES, paths["one"])) == letters({one})


def test_what_the_npu_gives_back_has_weights_of_16_bits(trained: Toy, tmp_path: Path) -> None:
    import onnx

    quantizer, one = members.find("quantizers", "onnx_qnn"), "layer.0/ffn/up"
    with quiet.into(tmp_path / "log"):
        write = quantizer.prepare(trained.exported["fixed"].path, Settings(), trained.batches)
        write([one], tmp_path / "one.onnx")
    model = onnx.load(str(tmp_path / "one.onnx"))
    made = {name: node for node in model.graph.node for name in node.output}
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Gemm":
            wanted = onnx.TensorProto.INT16 if node.name == one else onnx.TensorProto.INT8
            assert kinds[made[node.input[1]].input[0]] == wanted
    assert stored_in_fp32("onnx", tmp_path / "one.onnx") == set()


@pytest.mark.parametrize("name", CONTROLLED)
def test_every_product_that_counts_can_be_named_to_stay_float(name: str, trained: Toy, tmp_path: Path) -> None:
    """As keep_float has it, at the target's kind of length: preprocessing must not have renamed them."""
    quantizer, source = members.find("quantizers", name), trained.exported[dict(CASES)[name]]
    names = list(quantizer.tensors(source.path))
    if name == "neural_compressor":
        names = names[:-1]  # it tunes nothing where nothing is left
    apply(quantizer, source, Settings(keep_float=names), trained, tmp_path / quantizer.FILE)
    assert letters(stored_in_fp32(quantizer.GIVES, tmp_path / quantizer.FILE)) == letters(names)


def letters(names: Iterable[str]) -> set[str]:
    """Names of products without what TFLite writes otherwise: "Lean/layer_0/ffn_up" for "layer.0/ffn/up"."""
    return {re.sub("[^a-z0-9]", "", name.removeprefix("Lean/")) for name in names}


def stored_in_fp32(form: str, path: Path) -> set[str]:
    """Names of those products whose constant is stored in fp32; TFLite: in the longest signature."""
    import onnx
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    if form == "onnx":
        model = onnx.load(str(path))
        floats = {one.name for one in model.graph.initializer if one.data_type == onnx.TensorProto.FLOAT}
        products = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")]
        return {node.name for node in products if floats & set(node.input[:2])}
    file = flatbuffer_utils.read_model(str(path))
    codes = [code.builtinCode for code in file.operatorCodes]
    graph = max(file.subgraphs, key=lambda one: one.tensors[one.inputs[0]].shape[-1])
    products = [op for op in graph.operators if codes[op.opcodeIndex] == schema.BuiltinOperator.FULLY_CONNECTED]
    constants = [(op, graph.tensors[op.inputs[1]]) for op in products]
    return {
        "head/classifier" if op.outputs[0] in graph.outputs else graph.tensors[op.outputs[0]].name.decode()
        for op, weights in constants
        if weights.type == schema.TensorType.FLOAT32 and file.buffers[weights.buffer].data is not None
    }


def test_every_quantizer_of_a_shipped_target_is_tested_at_the_targets_kind_of_length() -> None:
    for one in (target.load(name) for name in target.names()):
        fixed = "buckets" if one.format == "tflite" else "fixed" if one.shape.tokens else "natural"
        assert {(name, fixed) for name in one.quantizer} <= set(CASES)


@pytest.mark.parametrize("name", BY_NAME)
def test_verify_knows_how_far_the_precision_may_round(name: str) -> None:
    assert members.find("quantizers", name).PRECISION in verify.TOLERANCE


def test_all_precisions_for_tflite_can_ship_together() -> None:
    made = [members.find("quantizers", name) for name, form in TAKES.items() if form == "tflite"]
    files = {(one.ID, one.FILE, one.PRECISION) for one in made}  # dynamic and static int8 are one or the other
    assert {one.ID for one in made} == {"int8", "int8_weights", "fp16", "fp32"}
    assert len(files) == len({name for name, *_ in files}) == len({file for _, file, _ in files})
