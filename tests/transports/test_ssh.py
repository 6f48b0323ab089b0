"""A board over SSH, from the first run to the proof: a real sshd, and the board's Python emulated."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgebert import environments
from edgebert.errors import SurroundingsError
from tests.bad_input.test_recipes import Run, message
from tests.conftest import Built
from tests.transports.sshd import Board

pytestmark = pytest.mark.slow
QUICK = ("--rows", "8", "--sustained", "0", "--json")


def proof_of(done: subprocess.CompletedProcess[str], status: int = 0) -> dict[str, Any]:
    assert done.returncode == status, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def inodes(board: Board) -> dict[str, tuple[int, int]]:
    files = [path for path in board.kept.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def proofs(bundle: Path) -> list[Path]:
    return sorted((bundle.parent / "proof").rglob("*.json"))


def test_a_bundle_that_passes_on_its_board_is_proven(
    run_edgebert: Run, built: Built, board: Board, tmp_path: Path
) -> None:
    out = shutil.copytree(built.out, tmp_path / "out")
    bundle = out / "toy" / "raspberry-pi-5"
    found = proof_of(run_edgebert("validate", bundle, *board.on, "--sustained", "2", "--json"))
    assert found["passed"]
    assert found["valid"]
    assert found["evidence"] == {"accuracy": "device", "placement": "device", "latency": "device"}
    assert {one["which"] for one in found["latency"]} == {"shipped", "reference"}
    assert {one["evidence"] for one in found["latency"]} == {"device"}
    assert found["speedup"]["evidence"] == "device"
    assert found["sustained"]["runs"] > 0
    assert found["sustained"]["first_quarter_p50_ms"] > 0
    for moment in (found["conditions"]["before"], found["conditions"]["after"]):
        assert moment["temperatures_c"] == {"cpu-thermal": 48.0}
        assert moment["governors"] == ["ondemand"]
        assert set(moment["khz"]) == set(moment["max_khz"]) == {2400000}
    assert found["conditions"]["during"]
    assert all(sample["temperatures_c"] for sample in found["conditions"]["during"])
    assert found["host"]["board"].startswith("Raspberry Pi 5")
    assert "asimddp" in found["host"]["features"]
    assert found["comparison"]["same"] == found["comparison"]["compared"] > 0
    path = Path(found["proof"])
    assert path.parent == bundle.parent / "proof" / "raspberry-pi-5"
    assert path.name == found["measured_at"].replace(":", "") + "-ssh.json"
    assert json.loads(run_edgebert("show", bundle, "--json").stdout)["level"] == "device"
    again = run_edgebert("build", built.recipe, "-t", "raspberry-pi-5", "-o", out, "--json")
    assert proof_of(again)["targets"]["raspberry-pi-5"]["level"] == "device"


def test_nothing_is_sent_twice_and_clean_leaves_nothing(run_edgebert: Run, shipped: Path, board: Board) -> None:
    (board.home / "random.py").write_text("raise SystemExit('of the user, and not meant')\n", encoding="utf-8")
    proof_of(run_edgebert("validate", shipped, *board.on, *QUICK))
    before = inodes(board)
    assert {path.name.partition("-")[0] for path in board.kept.iterdir()} == {"code", "bundle"}
    proof_of(run_edgebert("validate", shipped, *board.on, *QUICK))
    assert inodes(board) == before
    proof_of(run_edgebert("validate", shipped, *board.on, *QUICK, "--clean"))
    assert not board.kept.exists()
    assert len(proofs(shipped)) == 3


def test_a_bundle_damaged_on_the_board_is_sent_again(run_edgebert: Run, shipped: Path, board: Board) -> None:
    proof_of(run_edgebert("validate", shipped, *board.on, *QUICK))
    (model,) = board.kept.glob("bundle-*/onnx/*.onnx")
    whole = model.read_bytes()
    model.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    proof_of(run_edgebert("validate", shipped, *board.on, *QUICK))
    assert model.read_bytes() == whole
    model.unlink()
    proof_of(run_edgebert("validate", shipped, *board.on, *QUICK))
    assert model.read_bytes() == whole


@pytest.mark.parametrize(
    ("latency_ms", "speedup", "status"), [("1e6", "1e-6", "pass"), ("1e-6", "1e6", "fail")], ids=["met", "missed"]
)
def test_gates_of_speed_are_judged_there(
    run_edgebert: Run, built: Built, board: Board, tmp_path: Path, latency_ms: str, speedup: str, status: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(built.out / ".store", out / ".store")
    gates = ("--set", f"gates.max_latency_p50_ms={latency_ms}", "--set", f"gates.min_speedup={speedup}")
    done = run_edgebert("build", built.recipe, "-t", "raspberry-pi-5", "-o", out, *gates)
    assert done.returncode == 0, done.stderr
    bundle = out / "toy" / "raspberry-pi-5"
    done = run_edgebert("validate", bundle, *board.on, "--sustained", "0", "--json")
    found = proof_of(done, 0 if status == "pass" else 1)
    checks = {check["name"]: check for check in found["checks"]}
    for name in ("latency_p50_ms", "speedup"):
        assert (checks[name]["status"], checks[name]["evidence"]) == (status, "device")
    assert found["passed"] == (status == "pass")
    shown = json.loads(run_edgebert("show", bundle, "--json").stdout)
    assert shown["level"] == ("device" if status == "pass" else "host")
    assert {check["status"] for check in shown["manifest"]["checks"] if check["name"] == "latency_p50_ms"} == {
        status
    }


def test_a_runtime_is_put_there_once_and_found_again(
    run_edgebert: Run, shipped: Path, board: Board, tmp_path: Path
) -> None:
    try:
        environments.board_runtime("onnxruntime", "3.11")
    except SurroundingsError as error:
        pytest.skip(str(error))
    (tmp_path / "empty").mkdir()
    board.python(modules=tmp_path / "empty")
    command = ("validate", shipped, *board.on, *QUICK)
    said = message(run_edgebert(*command), 4)
    mend = f"edgebert validate {shipped} --on ssh://pi5 --ssh-config {board.config} --install-runtime"
    assert f"ssh://pi5: its python3 has no onnxruntime; have it put in a folder of its own there: {mend}" in said
    assert not board.kept.exists()
    found = proof_of(run_edgebert(*command, "--install-runtime"))
    before = inodes(board)
    (runtime,) = board.kept.glob("runtime-*")
    assert runtime.name.startswith(f"runtime-onnxruntime-cp311-{found['runtime']['version']}-")
    assert proof_of(run_edgebert(*command))["runtime"] == found["runtime"]
    assert inodes(board) == before


def test_a_throttled_run_judges_nothing(run_edgebert: Run, shipped: Path, board: Board) -> None:
    board.tool("vcgencmd", "echo throttled=0x50005")
    done = run_edgebert("validate", shipped, *board.on, *QUICK)
    found = proof_of(done, 4)
    assert (found["valid"], found["passed"], found["checks"]) == (False, False, [])
    assert found["conditions"]["before"]["throttled"] == 0x50005
    assert "the board reports: under-voltage; the board reports: throttled" in done.stderr
    assert "check its power supply" in done.stderr
    assert [json.loads(path.read_text())["valid"] for path in proofs(shipped)] == [False]
    assert json.loads(run_edgebert("show", shipped, "--json").stdout)["level"] == "host"


def test_a_run_at_a_limited_clock_judges_nothing(run_edgebert: Run, shipped: Path, board: Board) -> None:
    for path in board.own_root().glob("sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq"):
        path.write_text("1500000\n")
    done = run_edgebert("validate", shipped, *board.on, *QUICK)
    found = proof_of(done, 4)
    assert (found["valid"], found["checks"]) == (False, [])
    assert "the clock is limited to 1500 of 2400 MHz (governor ondemand)" in done.stderr
    assert "set its governor to performance" in done.stderr


def test_another_board_than_the_bundles_is_refused_before_anything_is_sent(
    run_edgebert: Run, shipped: Path, board: Board
) -> None:
    board.python("cortex-a72")
    said = message(run_edgebert("validate", shipped, *board.on))
    assert len(said.splitlines()) == 1
    assert "ssh://pi5: that board is a 'Raspberry Pi 4 Model B Rev 1.4', not what raspberry-pi-5 is for" in said
    assert not board.kept.exists()
    assert not proofs(shipped)


def test_a_bundle_for_android_is_refused_before_anything_runs(
    run_edgebert: Run, built: Built, board: Board
) -> None:
    said = message(run_edgebert("validate", built.bundle("android-cpu"), *board.on))
    assert "android-cpu is for Android; use --on adb" in said
    assert len(said.splitlines()) == 1


def test_a_bundle_for_an_accelerator_is_no_more_proven_by_the_boards_cpu(
    run_edgebert: Run, built: Built, board: Board, tmp_path: Path
) -> None:
    name = "jetson-orin-nano"
    bundle = shutil.copytree(built.bundle(name), tmp_path / "out" / "toy" / name)
    (board.own_root() / "proc" / "device-tree" / "model").write_text("NVIDIA Jetson Orin Nano Developer Kit\n")
    found = proof_of(run_edgebert("validate", bundle, *board.on, *QUICK))
    assert "device" not in found["evidence"].values()
    assert {one["evidence"] for one in found["latency"]} <= {"host"}
    assert "ran in onnxruntime on the board's CPU" in " ".join(found["not_measured"].values())
    assert json.loads(run_edgebert("show", bundle, "--json").stdout)["level"] == "rules"
