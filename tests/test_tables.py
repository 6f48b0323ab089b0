from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgebert import tables
from edgebert.calibration import Spec
from edgebert.errors import InputError
from edgebert.recipe import Recipe
from edgebert.tables import Table
from edgebert.target import Target
from edgebert.verdict import Gates

TARGET: dict[str, Any] = {
    "name": "board",
    "format": "onnx",
    "quantizer": "onnx_dynamic",
    "runtime": {"name": "onnxruntime", "version": ">=1.17"},
    "hardware": {"arch": "aarch64"},
}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name = ", "not TOML"),
        (b'name = "a"\nname = "b"\n', "line 2"),
        (b'name = "\xff"\n', "not UTF-8 at byte 8"),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_the_place(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        tables.read(path)
    assert str(path) in str(caught.value) and reason in str(caught.value)


@pytest.mark.parametrize(("name", "reason"), [("absent.toml", "no such file"), ("", "is a folder")])
def test_a_path_that_is_no_file_is_told(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        tables.read(tmp_path / name)


def test_a_path_below_a_file_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.toml").touch()
    with pytest.raises(InputError, match=r"a\.toml"):
        tables.read(tmp_path / "a.toml" / "b.toml")


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b'\xef\xbb\xbfname = "a"\n')
    assert tables.read(path) == {"name": "a"}


def test_merging_joins_tables_and_replaces_all_else() -> None:
    base = {"gates": {"max_drop": 1.0, "min_agreement": 0.9}, "quantizer": ["a", "b"], "opset": 17, "shape": 3}
    over = {"gates": {"max_drop": 2.0}, "quantizer": ["c"], "shape": {"batch": 1}}
    merged = tables.merge(base, over)
    assert merged == {
        "gates": {"max_drop": 2.0, "min_agreement": 0.9},
        "quantizer": ["c"],
        "opset": 17,
        "shape": {"batch": 1},
    }
    assert base["gates"] == {"max_drop": 1.0, "min_agreement": 0.9}, "the base is changed"
    assert over["gates"] == {"max_drop": 2.0}, "what is laid over is changed"


@pytest.mark.parametrize(
    ("model", "table", "fault"),
    [
        (Gates, {"max_dropp": 1}, "here: unknown key 'max_dropp'; did you mean 'max_drop'?"),
        (Gates, {"min_agreement": 1.5}, "here: min_agreement = 1.5: input should be less than or equal to 1"),
        (Gates, {"max_size_mb": "big"}, "here: max_size_mb = 'big': input should be a valid number"),
        (Spec, {}, "here: 'name' is missing"),
        (Spec, {"name": "a", "rows": 3}, "here: rows = 3: "),
        (Spec, {"name": "a", "source": "dev"}, "here: source = 'dev': "),
        (Target, {**TARGET, "runtime": {"name": "onnxruntime"}}, "here: 'runtime.version' is missing"),
        (Target, {**TARGET, "shape": {"token": [8]}}, "here: unknown key 'shape.token'; did you mean 'tokens'?"),
        (Target, {**TARGET, "hardware": {"arch": "arm64"}}, "here: hardware.arch = 'arm64': "),
        (Target, {**TARGET, "hardware": 3}, "here: hardware = 3: "),
        (Target, {**TARGET, "quantizer": []}, "here: quantizer = []: "),
        (Target, {**TARGET, "quantizer": "onnx_dynamc"}, "did you mean 'onnx_dynamic'?"),
        (Target, {**TARGET, "quantizer": ["onnx_dynamic", 3]}, "here: quantizer.1 = 3: "),
    ],
)
def test_a_fault_names_file_key_and_value(model: type[Table], table: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError) as caught:
        tables.parse(model, table, "here")
    assert len(caught.value.faults) == 1
    assert fault in caught.value.faults[0]


def test_an_unknown_key_below_a_free_name_is_answered_with_the_keys_of_its_table(tmp_path: Path) -> None:
    table = {"target": {"raspberry-pi-5": {"gates": {"max_sizemb": 3}}}}
    faults = tables.attempt(Recipe, table, "here")
    assert isinstance(faults, list)
    wanted = "here: unknown key 'target.raspberry-pi-5.gates.max_sizemb'; did you mean 'max_size_mb'?"
    assert wanted in faults


def test_keys_that_a_file_may_not_have_are_not_offered() -> None:
    faults = tables.attempt(Recipe, {"foldre": 1, "qqqqq": 2}, "here")
    assert isinstance(faults, list)
    unknown = [fault for fault in faults if "unknown key" in fault]
    assert len(unknown) == 2
    assert not [fault for fault in unknown if "folder" in fault.partition(";")[2]]


def test_all_faults_of_a_table_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        tables.parse(Gates, {"max_drop": "x", "min_agreement": 2, "max_contexts": 0, "more": 1}, "here")
    assert len(caught.value.faults) == 4


def test_a_parsed_table_cannot_be_changed() -> None:
    gates = tables.parse(Gates, {"max_drop": 1}, "here")
    assert gates.max_drop == 1.0
    with pytest.raises(ValidationError, match="frozen"):
        gates.max_drop = 2.0
