"""Writing a client: what does not fit is told before anything is written, and a folder is replaced as a whole."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from edgebert import exporting, members
from edgebert.clients import Checked
from edgebert.errors import InputError, MissingExtraError, NotTrustedError
from tests.conftest import Built
from tests.device.test_bundle import change_manifest

TASKS = ("text-classification",)


class Client:
    """A client of one file, and what it serves."""

    ABOUT, MOST = "a test's", 1
    FORMATS, TASKS, RUNTIMES = ("onnx",), TASKS, ("onnxruntime",)
    NEEDS: ClassVar[dict[str, str]] = {}
    fails = False

    def write(self, bundles: Sequence[Checked], out: Path) -> list[str]:
        (out / "onnx").mkdir()
        for name in ("manifest.json", "onnx/model_quantized.onnx"):
            shutil.copyfile(bundles[0].folder / name, out / name)
        if self.fails:
            raise InputError("these do not go together")
        return ["open it"]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    found = Client()
    monkeypatch.setattr(members, "find", lambda family, name: found)
    return found


@pytest.fixture
def pi(built: Built, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built.bundle("raspberry-pi-5"), tmp_path / "bundle"))


def test_a_client_is_written_and_told(client: Client, pi: Path, tmp_path: Path) -> None:
    found = exporting.export([pi], "test", tmp_path / "app")
    assert (tmp_path / "app" / "onnx" / "model_quantized.onnx").is_file()
    assert (found["files"], found["next"], found["client"]) == (2, ["open it"], "test")
    assert found["bytes"] == sum(
        (pi / name).stat().st_size for name in ("manifest.json", "onnx/model_quantized.onnx")
    )


def test_an_earlier_export_is_replaced_as_a_whole_and_nothing_else_is(
    client: Client, pi: Path, tmp_path: Path
) -> None:
    out = tmp_path / "app"
    exporting.export([pi], "test", out)
    (out / "left").write_text("over")
    exporting.export([pi], "test", out)
    assert not (out / "left").exists()
    client.fails = True
    with pytest.raises(InputError, match="do not go together"):
        exporting.export([pi], "test", out)
    assert (out / "manifest.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app", "bundle"]


def test_a_folder_of_the_user_is_left_alone(client: Client, pi: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="was not written by export-client"):
        exporting.export([pi], "test", out)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="was not written by export-client"):
        exporting.export([pi], "test", tmp_path / "file")


@pytest.mark.parametrize(
    ("serves", "told"),
    [
        ({"TASKS": ("regression",)}, "its task is text-classification; the test client serves regression"),
        ({"FORMATS": ("tflite",)}, "its file is onnx; the test client opens tflite"),
        ({"RUNTIMES": ("litert",)}, "it is for onnxruntime; the test client runs litert"),
        ({"MOST": 0}, "takes 1 to 0 bundles at once, 1 were given"),
    ],
)
def test_a_bundle_that_a_client_does_not_serve_is_named(
    serves: dict[str, Any], told: str, client: Client, pi: Path, tmp_path: Path
) -> None:
    for name, value in serves.items():
        setattr(client, name, value)
    with pytest.raises(InputError, match=told):
        exporting.export([pi], "test", tmp_path / "app")
    assert not (tmp_path / "app").exists()


def test_bundles_without_a_table_say_why(client: Client, pi: Path, tmp_path: Path) -> None:
    change_manifest(pi, lambda told: told.update(tokenizer={"table": None, "reason": "its model is BPE"}))
    with pytest.raises(InputError, match="cannot be put into a table: its model is BPE"):
        exporting.export([pi], "test", tmp_path / "app")
    change_manifest(pi, lambda told: told.pop("tokenizer"))
    with pytest.raises(InputError, match=r"an older EdgeBERT made it.*build it again"):
        exporting.export([pi], "test", tmp_path / "app")


def test_a_package_that_is_absent_is_named_with_the_extra_that_brings_it(
    client: Client, pi: Path, tmp_path: Path
) -> None:
    client.NEEDS = {"no_such_package": "tflite"}  # type: ignore[misc]
    with pytest.raises(MissingExtraError, match=r"export-client test \(no_such_package\) needs the 'tflite' part"):
        exporting.export([pi], "test", tmp_path / "app")


def test_a_changed_bundle_is_refused(client: Client, pi: Path, tmp_path: Path) -> None:
    (pi / "vocab.txt").write_text("x")
    with pytest.raises(NotTrustedError, match=r"'vocab\.txt' was changed"):
        exporting.export([pi], "test", tmp_path / "app")


def test_an_unknown_client_is_told_with_the_nearest(pi: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown client 'webb'"):
        exporting.export([pi], "webb", tmp_path / "app")
