"""A damaged or forged bundle: refused by everything that would read it, with what is wrong with which file."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.test_recipes import Run, message

Ask = Callable[[Path], subprocess.CompletedProcess[str]]
MODEL = "onnx/model_quantized.onnx"


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, free to be damaged."""
    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


@pytest.fixture(params=["show", "predict", "self-test"])
def ask(request: pytest.FixtureRequest, run_edgebert: Run) -> Ask:
    """Each of the commands that read a bundle."""
    asks: dict[str, Ask] = {
        "show": lambda folder: run_edgebert("show", folder),
        "predict": lambda folder: run_edgebert("predict", folder, "a sunny day"),
        "self-test": self_test,
    }
    return asks[request.param]


def self_test(folder: Path) -> subprocess.CompletedProcess[str]:
    """The installed device code judging a bundle."""
    command = [sys.executable, "-m", "edgebert.device", str(folder), "--runs", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def seal(folder: Path) -> None:
    """Write SHA256SUMS anew, as a forger would."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def forge(folder: Path, name: str, content: str | bytes) -> None:
    """Replace a file and hide the traces."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    seal(folder)


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and hide the traces."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    forge(folder, "manifest.json", json.dumps(manifest))


def move_tensors_out(folder: Path, location: str, value_first: bool = False) -> None:
    """Keep the model's tensors at `location`; a protobuf parser takes the entry's two fields in either order."""
    import onnx

    file = folder / MODEL
    model = onnx.load(str(file))
    aside = file.with_name("tensors")
    onnx.save(model, str(file), save_as_external_data=True, location=aside.name, size_threshold=0)
    model = onnx.load(str(file), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    key, value = b"\x0a\x08location", bytes([0x12, len(location)]) + location.encode()
    content = model.SerializeToString()
    assert key + value in content
    file.write_bytes(content.replace(key + value, value + key) if value_first else content)
    aside.rename(file.parent / location)
    seal(folder)


def test_an_untouched_copy_is_accepted(copy: Path, ask: Ask) -> None:
    sums = (copy / "SHA256SUMS").read_text()
    seal(copy)
    assert (copy / "SHA256SUMS").read_text() == sums
    done = ask(copy)
    assert done.returncode == 0, done.stderr


def turn_one_bit(folder: Path) -> None:
    content = bytearray((folder / MODEL).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / MODEL).write_bytes(content)


def link_a_file_to_its_own_content(folder: Path) -> None:
    outside = folder.parent / "config.json"
    (folder / "config.json").rename(outside)
    (folder / "config.json").symlink_to(outside)


def list_a_file_outside(folder: Path) -> None:
    (folder.parent / "x").write_text("x")
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(f"{hashlib.sha256(b'x').hexdigest()}  ../x\n")


def list_an_absolute_path(folder: Path) -> None:
    (folder.parent / "x").write_text("x")
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(f"{hashlib.sha256(b'x').hexdigest()}  {folder.parent / 'x'}\n")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bit": (turn_one_bit, f"'{MODEL}' was changed"),
    "extra file": (lambda b: (b / "onnx" / "extra.onnx").write_text(""), "'onnx/extra.onnx'"),
    "link": (lambda b: (b / "passwords").symlink_to("/etc/passwd"), "'passwords' is a link"),
    "linked folder": (lambda b: (b / "more").symlink_to(b / "onnx"), "'more' is a link"),
    "linked file": (link_a_file_to_its_own_content, "'config.json' is a link"),
    "missing file": (lambda b: (b / "tokenizer.json").unlink(), "'tokenizer.json' is missing"),
    "missing manifest": (lambda b: (b / "manifest.json").unlink(), "manifest.json"),
    "missing sums": (lambda b: (b / "SHA256SUMS").unlink(), "no SHA256SUMS"),
    "path upwards": (list_a_file_outside, "SHA256SUMS line"),
    "absolute path": (list_an_absolute_path, "SHA256SUMS line"),
    "binary sums": (lambda b: (b / "SHA256SUMS").write_bytes(b"\xff\xfe\x00"), "SHA256SUMS"),
    "newer schema": (lambda b: change_manifest(b, lambda m: m.update(schema=99)), "schema 99"),
    "no schema": (lambda b: change_manifest(b, lambda m: m.pop("schema")), "schema"),
    "no models": (lambda b: change_manifest(b, lambda m: m.pop("models")), "models"),
    "manifest is a list": (lambda b: forge(b, "manifest.json", "[]"), "manifest.json"),
    "manifest is cut": (lambda b: forge(b, "manifest.json", '{"schema": 1'), "manifest.json"),
    "external data": (lambda b: move_tensors_out(b, "w"), f"'{MODEL}' keeps tensors outside"),
    "external data outside": (lambda b: move_tensors_out(b, "../../w"), f"'{MODEL}' keeps tensors outside"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_is_refused(copy: Path, ask: Ask, damage: str) -> None:
    change, wanted = DAMAGES[damage]
    change(copy)
    said = message(ask(copy))
    assert all(part in said for part in (str(copy), wanted)), said
    assert "pydantic" not in said


@pytest.mark.parametrize("location", ["w", "../../w"])
def test_external_data_in_another_spelling_is_refused(copy: Path, ask: Ask, location: str) -> None:
    move_tensors_out(copy, location, value_first=True)
    assert MODEL in message(ask(copy))


def test_external_data_of_a_file_by_another_name_is_refused(copy: Path, ask: Ask) -> None:
    move_tensors_out(copy, "w")
    (copy / MODEL).rename(copy / "onnx" / "model.bin")
    change_manifest(copy, lambda manifest: manifest["models"][0].update(file="onnx/model.bin"))
    assert "onnx/model.bin" in message(ask(copy))


@pytest.mark.parametrize("file", ["../model.onnx", "onnx/../../model.onnx", "{parent}/model.onnx"])
def test_a_model_file_outside_the_bundle_is_refused(copy: Path, run_edgebert: Run, file: str) -> None:
    shutil.copyfile(copy / MODEL, copy.parent / "model.onnx")
    place = file.format(parent=copy.parent)
    change_manifest(copy, lambda manifest: manifest["models"][0].update(file=place))
    for done in (run_edgebert("predict", copy, "a sunny day"), self_test(copy)):
        assert place in message(done)


@pytest.mark.parametrize("content", [b"", b"no protobuf", b"\x08\x08"])
def test_a_model_that_cannot_be_loaded_is_told(copy: Path, run_edgebert: Run, content: bytes) -> None:
    forge(copy, MODEL, content)
    for done in (run_edgebert("predict", copy, "a sunny day"), self_test(copy)):
        assert MODEL in message(done)


@pytest.mark.parametrize("content", ["", "{\n", '{"ids": {}}\n'])
def test_golden_rows_that_cannot_be_read_are_told(copy: Path, content: str) -> None:
    forge(copy, "golden.jsonl", content)
    assert "golden.jsonl" in message(self_test(copy))


def test_a_tokenizer_that_cannot_be_read_is_told(copy: Path, run_edgebert: Run) -> None:
    forge(copy, "tokenizer.json", "{}")
    assert str(copy / "tokenizer.json") in message(run_edgebert("predict", copy, "a sunny day"))


@pytest.mark.parametrize("place", ["nowhere", ".", "a file"])
def test_a_folder_that_is_no_bundle_is_told(tmp_path: Path, run_edgebert: Run, place: str) -> None:
    (tmp_path / "a file").write_text("")
    said = message(run_edgebert("predict", tmp_path / place, "a sunny day"))
    assert str(tmp_path / place) in said
    done = self_test(tmp_path / place)
    assert done.returncode == 2
    assert str(tmp_path / place) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_the_bundle_does_not_have_is_told(bundle: Path, run_edgebert: Run) -> None:
    said = message(run_edgebert("predict", bundle, "a sunny day", "--model", "int9"))
    assert all(part in said for part in ("'int9'", "int8")), said
