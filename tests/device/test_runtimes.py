"""A file is opened in its own runtime; inputs are bound by name and padded to what the file takes."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgebert.device import bundle as bundles, runtimes
from tests.conftest import ROOT, Built

TARGETS = ["raspberry-pi-5", "android-cpu", "jetson-orin-nano"]
Ids = dict[str, NDArray[np.int64]]


def opened(folder: Path, model: str = "", threads: int = 1) -> tuple[Any, dict[str, Any]]:
    entry = bundles.model_entry(bundles.read(str(folder)), model)
    return runtimes.open_model(str(folder), entry, threads), entry


def golden_feeds(folder: Path, rows: int) -> list[Ids]:
    return [
        {name: np.asarray([ids]) for name, ids in row["ids"].items()} for row in bundles.golden(str(folder), rows)
    ]


def by_hand(folder: Path, tokens: int | str, elements: int) -> dict[str, Any]:
    """The entry of a graph that says 10 x sum(first) + sum(second): inputs that are not alike."""
    shape = [1, tokens]
    inputs = [helper.make_tensor_value_info(name, elements, shape) for name in ("first", "second")]
    output = helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 1])
    nodes = [
        helper.make_node("Mul", ["first", "ten"], ["tenfold"]),
        helper.make_node("Add", ["tenfold", "second"], ["both"]),
        helper.make_node("Cast", ["both"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["float", "axis"], ["sum"]),
    ]
    dtype = helper.tensor_dtype_to_np_dtype(elements)
    constants = [numpy_helper.from_array(np.asarray(10, dtype), "ten")]
    constants += [numpy_helper.from_array(np.asarray([1], np.int64), "axis")]
    graph = helper.make_graph(nodes, "by hand", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    given = [
        {"name": name, "shape": [1, None if isinstance(tokens, str) else tokens]} for name in ("first", "second")
    ]
    return {"format": "onnx", "file": "model.onnx", "signature": {"inputs": given}, "session": {}}


@pytest.mark.parametrize("elements", [TensorProto.INT32, TensorProto.INT64])
@pytest.mark.parametrize("tokens", ["tokens", 8])
def test_inputs_are_bound_by_name_cast_and_padded(tokens: int | str, elements: int, tmp_path: Path) -> None:
    model = runtimes.open_model(str(tmp_path), by_hand(tmp_path, tokens, elements))
    first, second = np.asarray([[1, 2, 3]]), np.asarray([[4, 0, 0]])
    for feeds in ({"first": first, "second": second}, {"second": second, "first": first}):
        found = model.run(feeds)
        assert list(found) == ["sum"]
        assert found["sum"].dtype == np.float32
        assert found["sum"].tolist() == [[64.0]]


def test_a_session_entry_of_the_manifest_reaches_the_runtime(tmp_path: Path) -> None:
    entry = {**by_hand(tmp_path, 8, TensorProto.INT64), "session": {"session.load_model_format": "ORT"}}
    with pytest.raises(Exception, match="ORT model verification failed"):
        runtimes.open_model(str(tmp_path), entry)


@pytest.mark.parametrize("kind", ["onnx of fixed length", "tflite"])
def test_more_tokens_than_the_file_holds_are_refused_with_both_numbers(
    kind: str, built: Built, tmp_path: Path
) -> None:
    if kind == "tflite":
        model, entry = opened(built.bundle("android-cpu"))
        names, most = [tensor["name"] for tensor in entry["signature"]["inputs"]], entry["buckets"][-1]
    else:
        model = runtimes.open_model(str(tmp_path), by_hand(tmp_path, 8, TensorProto.INT64))
        names, most = ["first", "second"], 8
    with pytest.raises(ValueError, match=rf"{most + 1} tokens; .*{most}"):
        model.run({name: np.ones((1, most + 1), np.int64) for name in names})


def test_padding_adds_zeros_behind() -> None:
    padded = runtimes.pad({"ids": np.asarray([[5, 6]]), "mask": np.asarray([[1, 1]])}, 4)
    assert {name: array.tolist() for name, array in padded.items()} == {
        "ids": [[5, 6, 0, 0]],
        "mask": [[1, 1, 0, 0]],
    }


@pytest.mark.parametrize("target", TARGETS)
def test_every_file_repeats_its_golden_outputs(target: str, built: Built) -> None:
    folder = built.bundle(target)
    for entry in bundles.read(str(folder))["models"]:
        model, _ = opened(folder, entry["id"])
        for row, feeds in zip(bundles.golden(str(folder), 16), golden_feeds(folder, 16), strict=True):
            expected = row.get("others", {}).get(entry["id"], row)["outputs"]["logits"]
            np.testing.assert_allclose(model.run(feeds)["logits"][0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
def test_more_threads_give_the_same_answers(target: str, built: Built) -> None:
    folder = built.bundle(target)
    (one, _), (two, _) = opened(folder, threads=1), opened(folder, threads=2)
    for feeds in golden_feeds(folder, 8):
        np.testing.assert_allclose(one.run(feeds)["logits"], two.run(feeds)["logits"], rtol=0, atol=1e-4)


def test_a_tflite_text_runs_in_the_smallest_bucket_that_holds_it(built: Built) -> None:
    from ai_edge_litert.interpreter import Interpreter

    folder = built.bundle("android-cpu")
    model, entry = opened(folder)
    plain = Interpreter(model_path=str(folder / entry["file"]))
    small, large = entry["buckets"]
    for tokens, bucket in ((3, small), (small, small), (small + 1, large), (large, large)):
        feeds = {name: np.ones((1, tokens), np.int64) for name in ("input_ids", "attention_mask")}
        feeds["token_type_ids"] = np.zeros((1, tokens), np.int64)
        padded = {name: array.astype(np.int32) for name, array in runtimes.pad(feeds, bucket).items()}
        expected = plain.get_signature_runner(f"tokens_{bucket}")(**padded)
        np.testing.assert_allclose(model.run(feeds)["logits"], expected["output_0"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("target", "module", "package"),
    [
        ("raspberry-pi-5", "onnxruntime", "onnxruntime"),
        ("android-cpu", "ai_edge_litert.interpreter", "ai-edge-litert"),
    ],
)
def test_a_missing_runtime_is_named_with_the_command_that_installs_it(
    target: str, module: str, package: str, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = bundles.model_entry(bundles.read(str(built.bundle(target))))
    assert runtimes.versions(entry)["version"] == metadata.version(package)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(runtimes.RuntimeMissing, match=f"pip install {package}"):
        runtimes.open_model(str(built.bundle(target)), entry)


@pytest.mark.parametrize("target", TARGETS)
def test_opening_a_model_prints_nothing(target: str, built: Built) -> None:
    folder = built.bundle(target)
    code = (
        "import sys, numpy as np\nfrom edgebert.device import bundle, runtimes\n"
        "folder = sys.argv[1]\nentry = bundle.model_entry(bundle.read(folder))\n"
        "model = runtimes.open_model(folder, entry)\nrow = bundle.golden(folder, 1)[0]\n"
        "model.run({name: np.asarray([ids]) for name, ids in row['ids'].items()})\n"
        "print('still heard', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert done.stderr == "still heard\n"


def tflite_entry(built: Built) -> dict[str, Any]:
    return bundles.model_entry(bundles.read(str(built.bundle("android-cpu"))))


def test_a_file_for_tflite_runtime_runs_in_litert_where_that_is_not_installed(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, plain = built.bundle("android-cpu"), tflite_entry(built)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    entry = {**plain, "runtime": "tflite-runtime"}
    assert runtimes.versions(entry) == {"name": "litert", "version": metadata.version("ai-edge-litert")}
    [feeds] = golden_feeds(folder, 1)
    found, expected = (runtimes.open_model(str(folder), one).run(feeds)["logits"] for one in (entry, plain))
    np.testing.assert_array_equal(found, expected)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(runtimes.RuntimeMissing, match="pip install tflite-runtime"):
        runtimes.open_model(str(folder), entry)


@pytest.mark.parametrize("entry", [{}, {"runtime": ""}, {"runtime": "litert"}])
def test_any_other_tflite_file_runs_in_litert_alone(
    entry: dict[str, str], built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {key: value for key, value in tflite_entry(built).items() if key != "runtime"}
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", sys)  # not an interpreter at all
    assert runtimes.versions({**plain, **entry})["name"] == "litert"
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(runtimes.RuntimeMissing, match="pip install ai-edge-litert"):
        runtimes.open_model(str(built.bundle("android-cpu")), {**plain, **entry})


@pytest.mark.parametrize("target", TARGETS)
def test_a_manifest_names_the_runtime_of_the_targets_profile(target: str, built: Built) -> None:
    from edgebert import target as targets

    for entry in bundles.read(str(built.bundle(target)))["models"]:
        assert entry["runtime"] == targets.load(target).runtime.name
