"""A race of files on a board: over a real sshd, on an emulated Python that says it is a Raspberry Pi 5."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.test_recipes import Run, message
from tests.conftest import Built
from tests.transports.sshd import HOST, Board
from tests.transports.test_ssh_boards import FACTS

pytestmark = pytest.mark.slow
PI = "raspberry-pi-5"


@pytest.fixture
def project(built: Built, tmp_path: Path) -> Path:
    """The toy's recipe, beside a copy of all that its build wrote."""
    shutil.copytree(built.out, tmp_path / "out")
    return shutil.copytree(built.recipe.parent, tmp_path / "project", symlinks=True) / built.recipe.name


def arguments(board: Board, recipe: Path, *more: str) -> list[str | Path]:
    there = ["--race-on", f"ssh://{HOST}", "--ssh-config", str(board.config), "--set", "quantize.race=true"]
    return ["build", recipe, "-t", PI, "-o", recipe.parents[1] / "out", *there, *more]


def lock_of(recipe: Path) -> Path:
    return recipe.with_name("toy.lock.toml")


def test_the_winner_on_the_board_is_pinned_and_nothing_raced_stays_there(
    run_edgebert: Run, board: Board, project: Path
) -> None:
    done = run_edgebert(*arguments(board, project, "--set", "gates.min_speedup=0.001", "--json"))
    assert done.returncode == 0, done.stderr
    pin = tomllib.loads(lock_of(project).read_text())["target"][PI]
    assert (pin["evidence"], pin["on"]) == ("device", "Raspberry Pi 5 Model B Rev 1.0")
    assert set(pin["ratios"]) == {"onnx_dynamic", "onnx_static"}
    assert all(ratio > 0 for ratio in pin["ratios"].values())
    assert HOST not in lock_of(project).read_text()
    assert {path.name.partition("-")[0] for path in board.kept.iterdir()} == {"code"}
    checks: list[dict[str, Any]] = json.loads(done.stdout)["targets"][PI]["checks"]
    [speedup] = [check for check in checks if check["name"] == "speedup"]
    assert speedup["evidence"] == "device"
    assert speedup["measured"] == pytest.approx(1 / pin["ratios"][pin["quantizer"]], rel=1e-3)


def refused(run: Run, board: Board, recipe: Path, status: int) -> str:
    """The one line that a race ends with; nothing is pinned, and nothing of it stays on the board."""
    said = message(run(*arguments(board, recipe), COLUMNS="300"), status)
    assert len(said.splitlines()) == 1
    assert not lock_of(recipe).exists()
    assert not list(board.kept.glob("race-*"))
    return said


def test_a_throttled_board_pins_nothing(run_edgebert: Run, board: Board, project: Path) -> None:
    board.tool("vcgencmd", "echo throttled=0x50005")
    said = refused(run_edgebert, board, project, 4)
    assert "the run judges nothing: the board reports: under-voltage" in said
    assert said.endswith("nothing was pinned")


def test_another_board_pins_nothing(run_edgebert: Run, board: Board, project: Path) -> None:
    board.python("cortex-a72")
    said = refused(run_edgebert, board, project, 2)
    assert "that board is a 'Raspberry Pi 4 Model B Rev 1.4', not what raspberry-pi-5 is for" in said


def test_a_machine_that_is_no_board_pins_nothing(run_edgebert: Run, board: Board, project: Path) -> None:
    (board.own_root() / "proc" / "device-tree" / "model").unlink()
    assert "says nothing of what board it is, so its times are no evidence" in refused(
        run_edgebert, board, project, 4
    )


def test_a_board_without_a_runtime_is_told_with_the_command_that_mends_it(
    run_edgebert: Run, board: Board, project: Path
) -> None:
    board.tool("python3", f"cat <<'END'\n{json.dumps({**FACTS, 'packages': {'numpy': '2.0.0'}})}\nEND")
    said = refused(run_edgebert, board, project, 4)
    assert "its python3 has no onnxruntime; have it put in a folder of its own there: the same command" in said
