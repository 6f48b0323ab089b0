"""Accuracy control gives precision back where it helps, as little as holds the gates, and tells what it did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from edgebert import accuracy_control, members, quiet, scoring
from edgebert.accuracy_control import Control, Guard, Limits
from edgebert.artifact import Artifact
from edgebert.formats import ExportShape
from edgebert.onnx_graph import products
from edgebert.quantizers import Settings, onnx_dynamic
from edgebert.stages import export, load
from edgebert.tokenization import Encoder
from edgebert.verdict import Drop, Gates, Score, Value
from tests import toy

TASK = members.find("tasks", "text-classification")
BERT = members.find("architectures", "bert")
LABELS = sorted(toy.WORDS)
RUINED = "layer.1/ffn/down"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A classifier of random weights as an fp32 graph."""
    room = tmp_path_factory.mktemp("control")
    (room / "loaded").mkdir()
    loaded = load.run(toy.write_model(room / "source"), "bert", room / "loaded")
    torch.manual_seed(2)
    model = TASK.model(loaded.folder, LABELS, {})
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter) * 0.2
    model.save_pretrained(room / "model")
    loaded.copy_tokenizer(room / "model")
    update = {"task": TASK.NAME, "labels": LABELS, "max_tokens": 32, "folder": room / "model"}
    shape = ExportShape(opset=17, ir_version=8)
    with quiet.into(room / "log"):
        form = members.find("formats", "onnx")
        return export.run(loaded.model_copy(update=update).write(), TASK, BERT, form, shape, room / "onnx")


@pytest.fixture(scope="module")
def asked(source: Artifact) -> list[scoring.Question]:
    encoder = Encoder(source.folder.parent / "model", 32, BERT.INPUTS)
    return scoring.questions(TASK, encoder, toy.rows(90, 4), {})


def rounding(bits: dict[str, int]) -> Any:
    """A quantizer that rounds the weights of each product to so many bits; 12 where none are named."""

    def apply(path: Path, settings: Settings, batches: Sequence[Any], out: Path) -> None:
        model = onnx.load(str(path))
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.name in products(model)[0] and node.name not in settings.keep_float:
                weight = numpy_helper.to_array(constants[node.input[1]])
                step = np.abs(weight).max() / (2 ** (bits.get(node.name, 12) - 1) - 1)
                rounded = np.rint(weight / step) * step
                constants[node.input[1]].CopyFrom(numpy_helper.from_array(rounded, node.input[1]))
        out.parent.mkdir(parents=True)
        onnx.save(model, str(out))

    about = {"FILE": "onnx/low.onnx", "PRECISION": "int8", "EQUALIZE": True, "prepare": None}
    return SimpleNamespace(apply=apply, tensors=onnx_dynamic.tensors, **about)


def controlled(
    quantizer: Any,
    source: Artifact,
    asked: list[scoring.Question],
    share: float | None,
    room: Path,
    each: float | None = None,
) -> tuple[dict[str, Any], Path]:
    guard = Guard(TASK, LABELS, {}, asked, Limits(None, 0.97, share, each))
    (room / "work").mkdir()
    (room / "out").mkdir()
    found = Control(source, quantizer, guard, [], room / "work", lambda *_: None).run(Settings(), room / "out")
    return found, room / "out" / quantizer.FILE


def test_a_file_that_holds_its_gates_is_left_as_it_is(
    source: Artifact, asked: list[scoring.Question], tmp_path: Path
) -> None:
    quantizer = rounding({})
    found, path = controlled(quantizer, source, asked, None, tmp_path)
    quantizer.apply(source.path, Settings(), [], tmp_path / "plain" / "file")
    assert found == {}
    assert path.read_bytes() == (tmp_path / "plain" / "file").read_bytes()


def test_the_product_that_does_the_harm_is_given_back_and_no_other(
    source: Artifact, asked: list[scoring.Question], tmp_path: Path
) -> None:
    found, path = controlled(rounding({RUINED: 2}), source, asked, None, tmp_path)
    assert found["given_back"] == [RUINED]
    assert found["holds"]
    assert found["rows"] == 90
    assert found["dev"]["before"]["agreement"] < 0.97 <= found["dev"]["after"]["agreement"]
    [weight] = [n.input[1] for n in onnx.load(str(path)).graph.node if n.name == RUINED]
    assert len(np.unique(weight_of(path, weight))) > 100  # two bits have three values


def weight_of(path: Path, name: str) -> Any:
    [tensor] = [one for one in onnx.load(str(path)).graph.initializer if one.name == name]
    return numpy_helper.to_array(tensor)


def test_what_the_share_of_int8_forbids_is_not_given_back(
    source: Artifact, asked: list[scoring.Question], tmp_path: Path
) -> None:
    found, path = controlled(rounding({RUINED: 2}), source, asked, 0.999, tmp_path)
    assert not found["holds"]
    assert found.get("given_back", []) == []
    assert path.is_file()


def test_what_the_size_of_the_file_forbids_is_not_given_back(
    source: Artifact, asked: list[scoring.Question], tmp_path: Path
) -> None:
    """A file in which a product that stays float is larger by its weights' fourfold."""
    rough = rounding({RUINED: 2})

    def apply(path: Path, settings: Settings, batches: Sequence[Any], out: Path) -> None:
        rough.apply(path, settings, batches, out)
        model = onnx.load(str(out))
        model.doc_string = "." * 20_000 * len(settings.keep_float)
        onnx.save(model, str(out))

    quantizer = SimpleNamespace(**{**vars(rough), "apply": apply})
    (tmp_path / "plain").mkdir()
    rough.apply(source.path, Settings(), [], tmp_path / "plain" / "work" / "file")
    size = (tmp_path / "plain" / "work" / "file").stat().st_size
    for spare, given in ((10_000, []), (30_000, [RUINED])):
        room = tmp_path / str(spare)
        room.mkdir()
        each = (size + spare) / source.parameters
        found, path = controlled(quantizer, source, asked, None, room, each)
        assert found.get("given_back", []) == given
        assert path.stat().st_size <= each * source.parameters


@pytest.mark.parametrize("equalizes", [True, False])
def test_ranges_are_measured_once_for_each_graph_that_is_tried(
    source: Artifact, asked: list[scoring.Question], tmp_path: Path, equalizes: bool
) -> None:
    """A quantizer that prepares: its graphs are the fp32 one, and the equalized one where control may do that."""
    rough, prepared, written = rounding({RUINED: 2}), [], []

    def prepare(path: Path, settings: Settings, batches: Sequence[Any]) -> Any:
        prepared.append(path)

        def write(more: Sequence[str], out: Path) -> None:
            written.append(list(more))
            rough.apply(path, settings.keeping(more), batches, out)

        return write

    quantizer = SimpleNamespace(**{**vars(rough), "apply": None, "prepare": prepare, "EQUALIZE": equalizes})
    found, _ = controlled(quantizer, source, asked, None, tmp_path)
    assert found["given_back"] == [RUINED]
    assert prepared[0] == source.path
    assert len(prepared) == 1 + equalizes
    sizes = onnx_dynamic.tensors(source.path)
    assert {one for names in written for one in names} == set(sizes)
    assert len(written) > len(sizes)


def score(agreement: float, rows: int) -> Score:
    return Score(metric="accuracy", split="dev", agreement=Value(value=agreement, rows=rows, ci95=(0.0, 1.0)))


@pytest.mark.parametrize(
    ("agreement", "rows", "holds"), [(0.98, 100, False), (0.99, 100, True), (0.975, 1200, True)]
)
def test_agreement_is_held_with_a_standard_error_to_spare(agreement: float, rows: int, holds: bool) -> None:
    guard = Guard(TASK, LABELS, {}, [], Limits(None, 0.97, None))
    assert guard.holds(score(agreement, rows)) == holds


@pytest.mark.parametrize(
    ("upper", "agreement", "safe"), [(0.9, 0.99, True), (1.1, 0.99, False), (0.9, 0.98, False)]
)
def test_what_leaves_a_doubt_is_not_safe(upper: float, agreement: float, safe: bool) -> None:
    guard = Guard(TASK, LABELS, {}, [], Limits(1.0, 0.97, None))
    told = score(agreement, 500).model_copy(update={"drop": Drop(points=0.2, ci95=(-0.5, upper))})
    assert guard.holds(told)
    assert guard.safe(told) == safe


def test_without_control_or_gates_there_is_nothing_to_hold() -> None:
    gates = Gates(max_drop=1.0, min_agreement=0.97, min_int8_matmul_share=0.95)
    assert accuracy_control.limits(gates, onnx_dynamic) == Limits(1.0, 0.97, 0.95)
    assert accuracy_control.limits(gates, members.find("quantizers", "litert_fp16")) is None
    assert accuracy_control.limits(Gates(), onnx_dynamic) is None


def test_the_same_dev_rows_are_asked_in_every_build() -> None:
    rows: list[Any] = [{"text": str(number)} for number in range(1000)]
    found = accuracy_control.sampled(rows)
    assert len(found) == accuracy_control.ROWS
    assert found == accuracy_control.sampled(rows)
    assert found == sorted(found, key=lambda row: int(row["text"]))
    assert accuracy_control.sampled(rows[:5]) == rows[:5]
