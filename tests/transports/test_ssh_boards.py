"""Boards that cannot run a bundle, and bundles that do not arrive: each is told before or instead of a run."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import pytest

from edgebert import device
from tests.bad_input.test_recipes import Run, message
from tests.disks import Disk
from tests.transports.sshd import Board

pytestmark = pytest.mark.slow
QUICK = ("--rows", "8", "--sustained", "0")
FACTS = {
    "python": [3, 11, 2],
    "bits": 64,
    "arch": "aarch64",
    "kernel": "6.1.21-v8+",
    "board": "Raspberry Pi 5 Model B Rev 1.0",
    "features": [],
    "memory_available_mb": 3000,
    "disk_free_mb": 9000,
    "here": [],
    "packages": {"onnxruntime": "1.20.0", "numpy": "2.0.0"},
}


def told(run: Run, bundle: Path, board: Board, *wanted: str) -> str:
    """The one line that a run ends with, with status 4; nothing was sent and nothing proven."""
    said = message(run("validate", bundle, *board.on, *QUICK), 4)
    assert len(said.splitlines()) == 1
    assert said.startswith("edgebert: ssh://pi5: ")
    assert all(part in said for part in wanted), said
    assert not list((bundle.parent / "proof").rglob("*.json"))
    return said


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"python": [3, 7, 3], "packages": {}}, ["Python 3.7.3 is too old, 3.8 or newer is needed"]),
        ({"python": [3, 5, 1], "packages": {}}, ["Python 3.5.1 is too old", "Raspberry Pi OS 11 or newer"]),
        ({"bits": 32}, ["its Python is a 32-bit program; install the 64-bit system image"]),
        ({"arch": "armv7l", "bits": 32}, ["that machine is armv7l, raspberry-pi-5 needs aarch64"]),
        ({"packages": {"numpy": "2.0.0"}}, ["its python3 has no onnxruntime", "--install-runtime"]),
        ({"packages": {}}, ["its python3 has no onnxruntime"]),
        ({"packages": {"onnxruntime": "1.20.0"}}, ["its python3 has no numpy", "--install-runtime"]),
        (
            {"packages": {"onnxruntime": "1.10.0", "numpy": "1.21.0"}},
            ["its python3 has onnxruntime 1.10.0, the bundle needs >=1.17,<2"],
        ),
        ({"packages": {"onnxruntime-gpu": "1.10.0", "numpy": "1.21.0"}}, ["has onnxruntime 1.10.0"]),
        ({"packages": {"onnxruntime": "2-nv.5", "numpy": "2.0.0"}}, ["has onnxruntime 2-nv.5, the bundle needs"]),
        (
            {
                "packages": {},
                "here": ["runtime-onnxruntime-cp39-1.19.2-0123", "runtime-onnxruntime-cp311-1.9.0-01"],
            },
            ["its python3 has no onnxruntime"],
        ),
    ],
)
def test_a_board_that_does_not_fit_is_told(
    run_edgebert: Run, shipped: Path, board: Board, changed: dict[str, Any], wanted: list[str]
) -> None:
    board.tool("python3", f"cat <<'END'\n{json.dumps({**FACTS, **changed})}\nEND")
    told(run_edgebert, shipped, board, *wanted)


@pytest.mark.parametrize(
    "answer",
    ["", "Python is not installed", "42", "[]", "{}", '{"python": 3}'],
    ids=lambda text: text or "nothing",
)
def test_an_answer_that_is_none_is_told(run_edgebert: Run, shipped: Path, board: Board, answer: str) -> None:
    board.tool("python3", f"cat <<'END'\n{answer}\nEND")
    told(run_edgebert, shipped, board, "answered with something else than asked", repr(answer))


def test_no_python_at_all(run_edgebert: Run, shipped: Path, board: Board) -> None:
    (board.folder / "bin" / "python3").unlink()
    told(run_edgebert, shipped, board, "there is no python3; install it: sudo apt-get install python3")


@pytest.mark.skipif(platform.machine() == "aarch64", reason="this machine's own Python is a board's here")
def test_another_instruction_set(run_edgebert: Run, shipped: Path, board: Board) -> None:
    board.tool("python3", f'exec {sys.executable} "$@"')
    told(run_edgebert, shipped, board, f"that machine is {platform.machine()}, raspberry-pi-5 needs aarch64")
    assert not board.kept.exists()


def test_a_runtime_that_is_installed_and_broken(run_edgebert: Run, shipped: Path, board: Board) -> None:
    modules = board.modules()
    (modules / "onnxruntime").unlink()
    (modules / "onnxruntime").mkdir()
    (modules / "onnxruntime" / "__init__.py").write_text("raise ImportError('libomp.so.5 is missing')\n")
    told(run_edgebert, shipped, board, "libomp.so.5 is missing", "or have it put there: --install-runtime")


def test_a_shell_that_prints_is_tolerated(run_edgebert: Run, shipped: Path, board: Board) -> None:
    (board.home / ".bashrc").write_text("echo Welcome; echo 'no mail' >&2\n", encoding="utf-8")
    board.python(before='echo "{}"; echo "{\\"done\\": 1}"; echo "3 updates" ; echo careful >&2')
    done = run_edgebert("validate", shipped, *board.on, *QUICK, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"]


def test_a_shell_whose_print_hides_the_answer_is_told(run_edgebert: Run, shipped: Path, board: Board) -> None:
    board.python(before="printf Welcome")
    told(run_edgebert, shipped, board, "something else than asked ('Welcome{", "does its shell print at login?")


def test_a_disk_that_is_too_small_is_told_before_anything_is_sent(
    run_edgebert: Run, shipped: Path, board: Board, small_disk: Disk
) -> None:
    disk = small_disk("900k")
    (board.home / ".cache").symlink_to(disk)
    said = told(run_edgebert, shipped, board, "0 MB are free on its disk, ", " MB are needed; free some space")
    assert " 0 MB are needed" not in said
    assert not list(disk.iterdir())
    (board.home / ".cache").unlink()  # some space was found
    assert run_edgebert("validate", shipped, *board.on, *QUICK).returncode == 0


def test_a_disk_that_fills_up_meanwhile_is_told_and_can_be_cleaned(
    run_edgebert: Run, shipped: Path, board: Board, small_disk: Disk
) -> None:
    code = len(list(Path(device.__path__[0]).rglob("*.py")))
    disk = small_disk(f"64m,nr_inodes={code + 11}")  # room for the code, not for the bundle beside it
    (board.home / ".cache").symlink_to(disk)
    wanted = ("no space left on its disk; free some space, or remove what EdgeBERT left: --clean",)
    told(run_edgebert, shipped, board, *wanted)
    assert [path.name.partition("-")[0] for path in board.kept.iterdir()] == ["code"]
    message(run_edgebert("validate", shipped, *board.on, *QUICK, "--clean"), 4)
    assert not list(disk.iterdir())
    (board.home / ".cache").unlink()
    assert run_edgebert("validate", shipped, *board.on, *QUICK).returncode == 0


def test_what_is_damaged_on_the_way_is_told_and_not_kept(run_edgebert: Run, shipped: Path, board: Board) -> None:
    whole = (board.folder / "bin" / "python3").rename(board.folder / "bin" / "whole")
    board.tool("python3", f'case "$*" in *" receive "*) tr a b | {whole} "$@";; *) exec {whole} "$@";; esac')
    told(run_edgebert, shipped, board, "damaged on the way: its sha256 is ", "run the same command again")
    assert not list(board.kept.iterdir())
    board.python()
    assert run_edgebert("validate", shipped, *board.on, *QUICK).returncode == 0
