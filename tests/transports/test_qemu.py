"""The emulator's transport without the emulator: what is counted, how it is summed up, how two workers end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgebert import environments, opening
from edgebert.device import bundle as bundles
from edgebert.emulation import userland
from edgebert.errors import SurroundingsError
from edgebert.transports import Job, Options, qemu
from tests.conftest import Built

PI = "raspberry-pi-5"


def line(mark: int, **classes: int) -> dict[str, int]:
    return {"mark": mark, **classes}


def test_the_cheaper_run_of_each_row_counts_and_rows_are_averaged() -> None:
    order = [("shipped", 3), ("shipped", 3), ("shipped", 8), ("shipped", 8)]
    lines = [line(1, dot=10, load=9), line(2, dot=10, load=5), line(3, dot=30, load=5), line(4, dot=30, load=7)]
    found = qemu.summary(qemu.means(order, lines), [5, 9])
    assert found.shipped == {"dot": 20.0, "load": 5.0}
    assert (found.reference, found.ratio, found.rows, found.tokens) == (None, None, 2, [5, 9])


def test_the_ratio_is_of_all_instructions_of_both_files() -> None:
    order = [("shipped", 3), ("reference", 3)]
    counts = qemu.means(order, [line(1, dot=30, load=20), line(2, float_mac=90, load=10)])
    found = qemu.summary(counts, [5])
    assert found.reference == {"float_mac": 90.0, "load": 10.0}
    assert found.ratio == 0.5


def test_rows_of_every_length_are_counted(built: Built) -> None:
    folder = built.bundle(PI)
    chosen = qemu.counted_rows(folder)
    golden = bundles.golden(str(folder))
    lengths = [len(golden[i]["ids"]["input_ids"]) for i in chosen]
    everything = sorted(len(row["ids"]["input_ids"]) for row in golden)
    assert len(set(chosen)) == qemu.COUNTED_ROWS
    assert lengths == sorted(lengths)
    assert everything[0] <= lengths[0] < lengths[-1] <= everything[-1]
    assert lengths[1] <= everything[len(everything) // 2] <= lengths[2]


WORKER = """
import json, os, sys, time
asked = json.loads(sys.stdin.readline())
if sys.argv[-1] == "count":
    open({pids!r}, "a").write(f"{{os.getpid()}}\\n")
    {count}
while not os.path.exists({pids!r}): time.sleep(0.01)
{run}
"""
RESULT = {
    "outputs": [],
    "further": [],
    "host": {"board": "Raspberry Pi 5 Model B Rev 1.0", "cpu": "x"},
    "slowed": [],
}
ANSWERED = f"print(json.dumps({{'result': json.loads({json.dumps(json.dumps(RESULT))})}}))"


@pytest.fixture
def job(built: Built) -> Job:
    folder = built.bundle(PI)
    manifest = opening.read_manifest(folder)
    entry = bundles.model_entry(manifest.model_dump(by_alias=True))
    return Job(folder, manifest, entry, 1, [], None, 1, 0, 0, 60, lambda *_: None)


def play(place: Path, monkeypatch: pytest.MonkeyPatch, count: str, run: str) -> Path:
    """Let both workers be small programs of this machine; the file with the counting one's process id."""
    pids = place / "pids"
    code = WORKER.format(pids=str(pids), count=count, run=run)
    monkeypatch.setattr(environments, "place_of", lambda _: place)
    monkeypatch.setattr(userland, "command", lambda *_: [sys.executable, "-c", code])
    userland.counter(place).touch()
    return pids


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ("sys.exit('no such thing')", "status 1: no such thing"),
        ("print('onnxruntime is not there', file=sys.stderr); sys.exit(4)", "onnxruntime is not there"),
        ("os.kill(os.getpid(), 9)", "the run was killed there"),
    ],
)
def test_a_failure_of_one_worker_does_not_wait_for_the_other(
    job: Job, run: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    begin: Any = subprocess.Popen

    def noted(*arguments: Any, **more: Any) -> Any:
        started.append(begin(*arguments, **more))
        return started[-1]

    play(tmp_path, monkeypatch, "time.sleep(600)", run)
    monkeypatch.setattr(subprocess, "Popen", noted)
    with pytest.raises((SurroundingsError, RuntimeError), match=told):
        qemu.run("", job, Options())
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)


def test_a_failure_of_the_counting_is_told(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(tmp_path, monkeypatch, "sys.exit('cannot count')", ANSWERED)
    with pytest.raises(RuntimeError, match="cannot count"):
        qemu.run("", job, Options())


def test_without_plugins_it_answers_and_says_what_was_not_counted(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(tmp_path, monkeypatch, "", ANSWERED).touch()
    userland.counter(tmp_path).unlink()
    seen = qemu.run("", job, Options())
    assert seen.instructions is None
    assert "loads no plugins" in seen.not_measured["instruction_ratio"]
    assert seen.evidence == {"accuracy": "emulator", "placement": "emulator"}
    assert "nothing tells of the file's speed" in seen.not_measured["level"]


def test_no_board_is_named_as_none_ran_it_and_another_cpu_is_no_evidence(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(tmp_path, monkeypatch, "", ANSWERED).touch()
    userland.counter(tmp_path).unlink()
    seen = qemu.run("cortex-a53", job, Options())
    assert (seen.transport, seen.evidence) == ("qemu:cortex-a53", {})
    assert "cortex-a53 is not the CPU of raspberry-pi-5" in seen.not_measured["level"]
    assert (seen.found["host"]["board"], seen.found["host"]["cpu"]) == (None, "cortex-a53 under qemu-aarch64")
