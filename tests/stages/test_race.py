"""Files of one model beside each other: what is asked of the ground, and what is made of its figures."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgebert import artifact, planning, recipe as recipes, target as targets
from edgebert.artifact import Artifact
from edgebert.errors import SurroundingsError
from edgebert.races import Ground
from edgebert.stages import race
from edgebert.transports import Options, local, qemu
from tests.conftest import Built

PI = targets.load("raspberry-pi-5")
EMULATED = Ground(evidence="emulator", on="cortex-a76")
FEEDS = [
    {name: np.ones((1, length), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    for length in (9, 4, 20, 6, 12, 5)
]


@pytest.fixture
def files(built: Built, tmp_path: Path) -> tuple[dict[str, Artifact], Artifact]:
    """Two quantized files, the same twice, and the fp32 one."""
    store = built.out / ".store"
    steps = planning.plan(recipes.load(built.recipe), [PI.name], store).steps()
    folders = {one.stage: store / f"{one.stage}-{one.key}" for one in steps}
    made, reference = artifact.read(folders["quantize"]), artifact.read(folders["export"])
    copy = made.model_copy(update={"folder": shutil.copytree(made.folder, tmp_path / "copy")})
    return {"onnx_dynamic": made, "onnx_static": copy}, reference


def counted(found: dict[str, float] | None, asked: list[Any]) -> Any:
    def count(*arguments: Any) -> Any:
        asked.extend(arguments)
        return found and {name: {"dot": value / 2, "load": value / 2} for name, value in found.items()}

    return count


def test_counts_decide_on_an_emulated_cpu(
    files: tuple[dict[str, Artifact], Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entrants, reference = files
    asked: list[Any] = []
    counts = {"onnx_dynamic": 80.0, "onnx_static": 60.0, "reference": 100.0}
    monkeypatch.setattr(qemu, "counted", counted(counts, asked))
    found = race.run(entrants, reference, FEEDS, PI, EMULATED, tmp_path, lambda *_: None)
    assert found.quantizer == "onnx_static"
    assert found.ratios == {"onnx_dynamic": 0.8, "onnx_static": 0.6}
    assert (found.evidence, found.on, found.failed) == ("emulator", "cortex-a76", [])
    assert race.read(tmp_path) == found
    names = [(name, folder) for name, folder, _ in asked[0]]
    assert names == [(name, str(one.folder)) for name, one in {**entrants, "reference": reference}.items()]
    assert [len(row["input_ids"]) for row in asked[1]] == [4, 6, 9, 20]
    assert asked[2:4] == ["cortex-a76", "onnxruntime"]


def test_a_file_that_fails_its_gates_on_dev_does_not_win(
    files: tuple[dict[str, Artifact], Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entrants, reference = files
    entrants["onnx_static"] = entrants["onnx_static"].model_copy(update={"control": {"holds": False}})
    counts = {"onnx_dynamic": 80.0, "onnx_static": 60.0, "reference": 100.0}
    monkeypatch.setattr(qemu, "counted", counted(counts, []))
    found = race.run(entrants, reference, FEEDS, PI, EMULATED, tmp_path, lambda *_: None)
    assert (found.quantizer, found.failed) == ("onnx_dynamic", ["onnx_static"])


def test_an_emulator_that_cannot_count_is_told(
    files: tuple[dict[str, Artifact], Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu, "counted", counted(None, []))
    with pytest.raises(SurroundingsError, match="counts no instructions"):
        race.run(*files, FEEDS, PI, EMULATED, tmp_path, lambda *_: None)


def test_times_decide_on_the_targets_own_kind(
    files: tuple[dict[str, Artifact], Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race, "SECONDS", 0.2)
    ground = Ground(evidence="host", on="this one")
    found = race.run(*files, FEEDS, targets.load("x86-64"), ground, tmp_path, lambda *_: None)
    assert found.quantizer in found.ratios
    assert set(found.ratios) == {"onnx_dynamic", "onnx_static"}
    assert all(ratio > 0 for ratio in found.ratios.values())


def board(**said: Any) -> race.Place:
    """A board on which static int8 is fastest; `said` is what it tells otherwise."""
    times = {"onnx_dynamic": [2.0, 4.0], "onnx_static": [1.0, 2.0], "reference": [4.0, 8.0]}
    host = {"board": "Raspberry Pi 5 Model B Rev 1.0", "cpu": "Cortex-A76"}
    found = {
        "samples": times,
        "slowed": [],
        "host": host,
        "evidence": "device",
        "runtime": {"name": "onnxruntime"},
    }
    asked: list[Any] = []

    def run(address: str, contest: Any, options: Options) -> dict[str, Any]:
        asked.append((address, contest, options))
        return {**found, **said}

    return race.Place(SimpleNamespace(race=run, asked=asked), "//pi@board", Options())  # type: ignore[arg-type]


ON_BOARD = Ground(evidence="device", on="Raspberry Pi 5")


def test_times_on_the_targets_board_decide_and_its_model_is_recorded(
    files: tuple[dict[str, Artifact], Artifact], tmp_path: Path
) -> None:
    place = board()
    found = race.run(*files, FEEDS, PI, ON_BOARD, tmp_path, lambda *_: None, place)
    assert (found.quantizer, found.evidence, found.on) == (
        "onnx_static",
        "device",
        "Raspberry Pi 5 Model B Rev 1.0",
    )
    assert found.ratios == {"onnx_dynamic": 0.5, "onnx_static": 0.25}
    [(address, contest, _)] = place.transport.asked
    assert address == "//pi@board"
    request = contest.request({name: f"there/{name}" for name in contest.files})
    assert list(request["contenders"]) == ["onnx_dynamic", "onnx_static", "reference"]
    assert request["contenders"]["reference"]["folder"] == "there/reference"
    assert request["board"] == "Raspberry Pi 5"
    assert [len(row["input_ids"]) for row in request["rows"]] == [4, 5, 6, 9, 12, 20]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"evidence": "host", "host": {"board": None}}, "says nothing of what board it is, so its times are no"),
        ({"evidence": "host", "host": {"board": "Other 7"}}, "says 'Other 7', so its times are no evidence of"),
        (
            {"slowed": ["the board reports: throttled"]},
            "the run judges nothing: the board reports: throttled; cool",
        ),
    ],
)
def test_a_run_that_is_no_evidence_pins_nothing(
    files: tuple[dict[str, Artifact], Artifact], tmp_path: Path, said: dict[str, Any], told: str
) -> None:
    with pytest.raises(SurroundingsError, match="nothing was pinned") as raised:
        race.run(*files, FEEDS, PI, ON_BOARD, tmp_path, lambda *_: None, board(**said))
    assert told in str(raised.value)
    assert not list(tmp_path.glob(race.FILE))


def test_this_machine_is_a_board_only_where_it_is_the_targets(
    files: tuple[dict[str, Artifact], Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race, "SECONDS", 0.2)
    place = race.Place(local, "", Options())
    with pytest.raises(SurroundingsError, match="no evidence of raspberry-pi-5"):
        race.run(*files, FEEDS, PI, ON_BOARD, tmp_path, lambda *_: None, place)
