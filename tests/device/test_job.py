"""The worker of a device job: what it does with a request, and that it ends with whoever asked."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgebert import artifact
from edgebert.device import bundle as bundles, job, runtimes, selftest
from tests.conftest import ROOT, Built
from tests.device.test_bundle import change_manifest
from tests.test_rescoring import step

PI, PHONE, JETSON = "raspberry-pi-5", "android-cpu", "jetson-orin-nano"
Done = subprocess.CompletedProcess[str]


def request(bundle: Path, **changed: Any) -> dict[str, Any]:
    nothing = {
        "model": "",
        "golden": 4,
        "rows": [],
        "reference": None,
        "threads": 1,
        "rounds": 0,
        "sustained_s": 0,
    }
    return {"bundle": str(bundle), **nothing, **changed}


def reference(built: Built, target: str) -> dict[str, Any]:
    one = artifact.read(step(built, target, "export"))
    return {"folder": str(one.folder), "entry": one.entry("reference")}


def work(asked: dict[str, Any], verb: str = "run", before: str = "") -> Done:
    """Run the worker to its end, with standard input left open; `before` is code that runs in it first."""
    code = f"import runpy, sys\n{before}\nrunpy.run_module('edgebert.device.job', run_name='__main__')"
    command = [sys.executable, *(("-c", code) if before else ("-m", "edgebert.device.job")), verb]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        said, complaints = process.stdout.read(), process.stderr.read()
        return subprocess.CompletedProcess(command, process.wait(), said, complaints)


def lines(done: Done) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("target", [PI, PHONE])
def test_golden_and_further_rows_are_answered_and_progress_is_told(target: str, built: Built) -> None:
    folder = built.bundle(target)
    golden = bundles.golden(str(folder))
    further = [golden[20]["ids"], golden[9]["ids"]]
    *told, last = lines(work(request(folder, golden=5, rows=further)))
    found = last["result"]
    assert told == [{"done": i, "total": 7} for i in range(1, 8)]
    assert len(found["outputs"]) == 5
    for answer, row in zip(
        [*found["outputs"], *found["further"]], [*golden[:5], golden[20], golden[9]], strict=True
    ):
        assert np.allclose(answer["logits"], row["outputs"]["logits"], rtol=0, atol=row["tolerance"])
    assert found["passed"]
    assert found["rows"] == 5
    assert found["samples"] == {"shipped": []}
    assert (found["latency"], found["sustained"]) == (None, None)
    assert found["start_up"]["load_ms"] > 0
    assert 0 < found["start_up"]["before_mb"] <= found["start_up"]["peak_memory_mb"]
    assert set(found["conditions"]) == {"before", "during", "after"}


def test_the_reference_is_timed_beside_the_shipped_file_and_without_one_it_alone(built: Built) -> None:
    folder = built.bundle(PI)
    both = lines(work(request(folder, rounds=3, reference=reference(built, PI))))[-1]["result"]
    assert {which: len(values) for which, values in both["samples"].items()} == {"shipped": 12, "reference": 12}
    assert both["samples"]["shipped"] != both["samples"]["reference"]
    assert both["latency"]["runs"] == 12
    alone = lines(work(request(folder, rounds=2)))[-1]["result"]
    assert {which: len(values) for which, values in alone["samples"].items()} == {"shipped": 8}


def test_no_rounds_load_no_reference(built: Built) -> None:
    absent = {"folder": "/nowhere", "entry": {}}
    assert lines(work(request(built.bundle(PI), reference=absent)))[-1]["result"]["passed"]


def test_a_sustained_run_tells_its_progress_and_both_its_ends(built: Built) -> None:
    *told, last = lines(work(request(built.bundle(PI), sustained_s=1.2)))
    found = last["result"]["sustained"]
    assert found["seconds"] >= 1.2
    assert found["runs"] > 16
    assert 0 < found["p50_ms"] <= found["p90_ms"] <= found["p99_ms"]
    assert min(found["first_quarter_p50_ms"], found["last_quarter_p50_ms"]) > 0
    assert {"done": 1, "total": 1} in told[4:]


def test_the_model_that_is_named_is_run(built: Built) -> None:
    found = lines(work(request(built.bundle(JETSON), model="int8", rounds=1)))[-1]["result"]
    assert found["latency"]["model"] == "int8"
    assert {check["model"] for check in found["checks"]} == {"int8"}


def test_a_job_ends_when_nobody_waits_for_it_any_more(built: Built) -> None:
    command = [sys.executable, "-m", "edgebert.device.job", "run"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request(built.bundle(PI), sustained_s=600)) + "\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"done": 1, "total": 4}
    assert process.poll() is None
    process.stdin.close()
    assert process.wait() == job.ABANDONED
    process.stdout.close()


@pytest.mark.parametrize("sent", ["", '{"bundle": "/cut/off'])
def test_a_request_that_never_comes_whole_is_not_begun(sent: str) -> None:
    command = [sys.executable, "-m", "edgebert.device.job", "run"]
    done = subprocess.run(command, cwd=ROOT, input=sent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (job.ABANDONED, "", "")


def damaged(bundle: Path, room: Path) -> dict[str, Any]:
    copy = Path(shutil.copytree(bundle, room / "copy"))
    (copy / "vocab.txt").write_text("x")
    return request(copy)


def unreadable(bundle: Path, room: Path) -> dict[str, Any]:
    copy = Path(shutil.copytree(bundle, room / "copy"))
    (copy / "onnx" / "model_quantized.onnx").write_bytes(b"\x08\x08")
    change_manifest(copy, lambda _: None)
    return request(copy)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (damaged, "'vocab.txt' was changed"),
        (unreadable, "'onnx/model_quantized.onnx' cannot be loaded"),
        (lambda bundle, _: request(bundle, model="int4"), "no model 'int4' in this bundle; known: int8"),
    ],
)
def test_a_faulty_bundle_ends_with_2_and_one_line(make: Any, told: str, bundle: Path, tmp_path: Path) -> None:
    done = work(make(bundle, tmp_path))
    assert (done.returncode, done.stdout) == (selftest.WRONG_INPUT, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_runtime_ends_with_4_and_the_command_that_installs_it(bundle: Path) -> None:
    done = work(request(bundle), before="sys.modules['onnxruntime'] = None")
    assert (done.returncode, done.stdout) == (selftest.SURROUNDINGS, "")
    assert "python3 -m pip install onnxruntime" in done.stderr


def test_a_bug_ends_with_3_and_its_traceback(bundle: Path) -> None:
    done = work(request(bundle, rows=[{"no_such_input": [1, 2]}]))
    assert done.returncode == selftest.BUG
    assert "Traceback" in done.stderr
    assert "input_ids" in done.stderr
    assert '"result"' not in done.stdout


def test_the_mark_of_the_instruction_counter_has_no_effect_of_its_own() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert ctypes.CDLL(None).getpriority(job.MARK, 1) == -1
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_counted_rows_run_between_marks_that_their_order_tells(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, golden = built.bundle(PI), bundles.golden(str(built.bundle(PI)))
    seen: list[tuple[str, Any]] = []
    mark = SimpleNamespace(getpriority=lambda which, number: seen.append((f"mark {which:x}", number)))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: mark)

    def opened(where: str, entry: dict[str, Any], threads: int) -> Any:
        assert threads == 1
        which = "shipped" if where == str(folder) else "reference"
        return SimpleNamespace(run=lambda feeds: seen.append((which, feeds["input_ids"][0].tolist())))

    monkeypatch.setattr(runtimes, "open_model", opened)
    told: list[tuple[int, int]] = []
    files = [["shipped", str(folder), {}], ["reference", "elsewhere", {}]]
    asked = {"files": files, "rows": [golden[i]["ids"] for i in (7, 2)]}
    order = job.count(asked, lambda *at: told.append(at))["order"]
    expected: list[tuple[str, Any]] = []
    number = 0
    for which in ("shipped", "reference"):
        for row, chosen in enumerate((7, 2)):
            one = (which, golden[chosen]["ids"]["input_ids"])
            expected.append(one)  # to warm up
            for _ in range(job.COUNTED):
                number += 1
                expected += [("mark eb", 0), one, ("mark eb", number)]
                assert order[number - 1] == [which, row]
    assert seen == expected
    assert len(order) == number
    assert told == [(i, 4) for i in range(1, 5)]


def test_counting_natively_counts_nothing_and_ends_well(built: Built) -> None:
    folder = built.bundle(PHONE)
    entry = bundles.model_entry(bundles.read(str(folder)), "")
    row = bundles.golden(str(folder))[3]["ids"]
    done = work({"files": [["shipped", str(folder), entry]], "rows": [row]}, "count")
    assert lines(done) == [{"done": 1, "total": 1}, {"result": {"order": [["shipped", 0]] * job.COUNTED}}]


def test_files_are_timed_side_by_side_and_the_board_says_what_it_is(built: Built) -> None:
    shipped = str(built.bundle(PI))
    one, other = reference(built, PI), {"folder": shipped, "entry": bundles.model_entry(bundles.read(shipped), "")}
    rows = [row["ids"] for row in bundles.golden(shipped, 4)]
    asked = {"contenders": {"reference": one, "onnx_dynamic": other}, "rows": rows, "threads": 1, "seconds": 0.1}
    done = work({**asked, "board": "Raspberry Pi 5"}, "race")
    assert done.returncode == 0, done.stderr
    found = lines(done)[-1]["result"]
    assert set(found["samples"]) == {"reference", "onnx_dynamic"}
    [count, same] = [len(samples) for samples in found["samples"].values()]
    assert count == same >= len(rows)
    assert all(time > 0 for samples in found["samples"].values() for time in samples)
    assert (found["evidence"], found["slowed"]) == ("host", [])
    assert found["runtime"]["name"] == "onnxruntime"
    assert found["conditions"]["before"]


@pytest.mark.parametrize(
    ("board", "model", "there"),
    [
        ("Raspberry Pi 5", "Raspberry Pi 5 Model B Rev 1.0", True),
        ("Raspberry Pi 5", "Raspberry Pi 4 Model B Rev 1.4", False),
        ("Raspberry Pi 5", None, False),
        (None, "Raspberry Pi 5 Model B Rev 1.0", False),
    ],
)
def test_a_board_is_known_by_what_it_says_of_itself(board: str | None, model: str | None, there: bool) -> None:
    assert selftest.on_board(board, {"board": model}) == there
