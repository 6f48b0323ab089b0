"""`python BUNDLE`: the self-test that travels in a bundle, run as on a board."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert import opening
from edgebert.device import bundle as bundles, measure
from tests.conftest import ROOT, Built
from tests.device.test_bundle import change_manifest, reseal

TARGETS = ["raspberry-pi-5", "android-cpu", "jetson-orin-nano"]
KEYS = {
    "schema", "bundle", "digest", "target", "passed", "checks", "latency", "host", "runtime", "rows", "score",
    "agreement", "evidence",
}  # fmt: skip
QUICK = ("--rows", "8", "--runs", "1")
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def copied(built: Built, tmp_path: Path) -> Callable[[str], Path]:
    return lambda target: Path(shutil.copytree(built.bundle(target), tmp_path / "board" / target))


def python(*arguments: str | Path, cwd: Path) -> Done:
    """A fresh interpreter that may write byte code and knows no checkout of ours."""
    hidden = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONPYCACHEPREFIX")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def selftest(folder: Path, *options: str | Path) -> Done:
    return python(folder, *options, cwd=folder.parent)


def verdict_of(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def change_golden(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    rows = [json.loads(line) for line in (folder / "golden.jsonl").read_text().splitlines()]
    for row in rows:
        change(row)
    (folder / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reseal(folder)


def told_in_part(row: dict[str, Any]) -> None:
    """Leave the first logit out of a golden row; where it is the largest, the last."""
    logits = row["outputs"]["logits"]
    left_out = 0 if max(logits) > logits[0] else len(logits) - 1
    at = [i for i in range(len(logits)) if i != left_out]
    row["at"] = {"logits": at}
    for outputs in (row["outputs"], row["reference"]):
        outputs["logits"] = [outputs["logits"][i] for i in at]


@pytest.mark.parametrize("target", TARGETS)
def test_outputs_that_are_told_in_part_are_held_against_what_is_told(
    target: str, copied: Callable[[str], Path]
) -> None:
    folder = copied(target)
    change_golden(folder, told_in_part)
    verdict = verdict_of(selftest(folder))
    assert verdict["passed"] and verdict["agreement"] == 1

    def shift(row: dict[str, Any]) -> None:
        row["outputs"]["logits"][1] += 3 * row["tolerance"]

    change_golden(folder, shift)
    assert not verdict_of(selftest(folder))["passed"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_bundle_passes_and_says_what_was_measured(target: str, copied: Callable[[str], Path]) -> None:
    folder = copied(target)
    done = selftest(folder)
    verdict = verdict_of(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(verdict) >= KEYS
    assert verdict["passed"] is True
    assert verdict["target"] == target
    assert verdict["bundle"] == "toy"
    assert verdict["schema"] == bundles.SCHEMA
    assert verdict["digest"] == hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    assert {check["name"] for check in verdict["checks"]} == {"golden_max_abs_diff", "agreement"}
    assert {check["status"] for check in verdict["checks"]} == {"pass"}
    assert verdict["rows"] == len(bundles.golden(str(folder))) >= 64
    assert verdict["agreement"] == 1
    assert verdict["score"] > 0.8
    assert 0 < verdict["latency"]["p50_ms"] <= verdict["latency"]["p90_ms"] <= verdict["latency"]["p99_ms"]
    assert verdict["runtime"]["name"] == ("litert" if target == "android-cpu" else "onnxruntime")
    board = measure.host()["board"] or ""
    named = bundles.read(str(folder))["target"]["board"]
    assert verdict["evidence"] == ("device" if named and named in board else "host")


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_in_the_bundle_changes_and_no_cache_is_left(target: str, copied: Callable[[str], Path]) -> None:
    folder = copied(target)
    before = contents(folder)
    assert selftest(folder, *QUICK).returncode == 0
    assert contents(folder) == before
    assert not list(folder.rglob("__pycache__"))


def test_the_options_are_heeded(copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder, written = copied("jetson-orin-nano"), tmp_path / "verdict.json"
    options = ("--rows", "5", "--runs", "4", "--threads", "2", "--model", "int8", "--json-out", written)
    done = selftest(folder, *options)
    verdict = verdict_of(done)
    assert done.returncode == 0
    assert verdict["rows"] == 5
    assert (verdict["latency"]["runs"], verdict["latency"]["threads"]) == (20, 2)
    assert verdict["latency"]["model"] == "int8"
    assert {check["model"] for check in verdict["checks"]} == {"int8"}
    assert json.loads(written.read_text()) == verdict


def test_a_text_is_answered_and_a_row_that_cannot_be_is_named(copied: Callable[[str], Path]) -> None:
    folder = copied("raspberry-pi-5")
    done = selftest(folder, "warm today", '{"text": "[SEP] puddle"}')
    assert (done.returncode, done.stderr) == (0, "")
    assert verdict_of(done)["predictions"] == opening.open_bundle(folder).predict(["warm today", "[SEP] puddle"])
    done = selftest(folder, "fine", " ", '{"txt": "x"}')
    assert (done.returncode, done.stdout) == (2, "")
    assert "row 2: text is empty" in done.stderr
    assert "row 3: no column 'text'; here are: txt" in done.stderr


def test_a_tokenizer_that_cuts_otherwise_fails(copied: Callable[[str], Path]) -> None:
    folder = copied("raspberry-pi-5")
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    pieces[-3:-1] = pieces[-2:-4:-1]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    reseal(folder)
    done = selftest(folder, "--runs", "0")
    assert done.returncode == 1
    assert verdict_of(done)["tokenizer"]["differ"] > 0
    assert all(check["status"] == "pass" for check in verdict_of(done)["checks"])


def test_without_options_the_default_model_is_tested(copied: Callable[[str], Path]) -> None:
    verdict = verdict_of(selftest(copied("jetson-orin-nano"), *QUICK))
    assert verdict["latency"]["model"] == "fp16"
    assert verdict["latency"]["runs"] == 8


def test_the_installed_device_code_comes_to_the_same_verdict(copied: Callable[[str], Path]) -> None:
    folder = copied("raspberry-pi-5")
    own = verdict_of(selftest(folder, *QUICK))
    ours = verdict_of(python("-m", "edgebert.device", folder, *QUICK, cwd=ROOT))
    for key in KEYS - {"latency"}:
        assert ours[key] == own[key]


def test_outputs_that_are_not_the_recorded_ones_fail(copied: Callable[[str], Path]) -> None:
    folder = copied("raspberry-pi-5")

    def raise_all(row: dict[str, Any]) -> None:
        row["outputs"]["logits"] = [value + 3 * row["tolerance"] for value in row["outputs"]["logits"]]

    change_golden(folder, raise_all)
    done = selftest(folder, *QUICK)
    verdict = verdict_of(done)
    assert (done.returncode, verdict["passed"]) == (1, False)
    found = {check["name"]: check for check in verdict["checks"]}
    assert (found["golden_max_abs_diff"]["status"], found["agreement"]["status"]) == ("fail", "pass")
    assert found["golden_max_abs_diff"]["measured"] > found["golden_max_abs_diff"]["limit"] > 0


def test_answers_that_are_not_the_recorded_ones_fail(copied: Callable[[str], Path]) -> None:
    folder = copied("android-cpu")
    change_golden(folder, lambda row: row["outputs"].update(logits=row["outputs"]["logits"][::-1]))
    done = selftest(folder)
    verdict = verdict_of(done)
    assert (done.returncode, verdict["passed"]) == (1, False)
    assert {check["status"] for check in verdict["checks"]} == {"fail"}
    assert verdict["agreement"] < 1


def test_a_difference_within_the_tolerance_passes(copied: Callable[[str], Path]) -> None:
    folder = copied("raspberry-pi-5")

    def raise_a_little(row: dict[str, Any]) -> None:
        row["outputs"]["logits"] = [value + 0.5 * row["tolerance"] for value in row["outputs"]["logits"]]

    change_golden(folder, raise_a_little)
    done = selftest(folder, *QUICK)
    assert (done.returncode, verdict_of(done)["passed"]) == (0, True)


def test_rows_without_labels_have_no_score(copied: Callable[[str], Path]) -> None:
    folder = copied("raspberry-pi-5")
    change_golden(folder, lambda row: row.update(label=None))
    done = selftest(folder, *QUICK)
    assert (done.returncode, verdict_of(done)["score"]) == (0, None)


WRONG: dict[str, tuple[Callable[[Path], object], tuple[str, ...], str]] = {
    "a changed file": (lambda f: (f / "vocab.txt").write_text("x"), (), "'vocab.txt' was changed"),
    "an unlisted file": (lambda f: (f / "more.txt").write_text("x"), (), "'more.txt'"),
    "a newer schema": (lambda f: change_manifest(f, lambda m: m.update(schema=99)), (), "upgrade EdgeBERT"),
    "sums that are no text": (lambda f: (f / "SHA256SUMS").write_bytes(b"\xff\n"), (), "SHA256SUMS"),
    "an unknown model": (lambda _: None, ("--model", "int4"), "no model 'int4' in this bundle; known: int8"),
    "a negative number of rows": (lambda _: None, ("--rows", "-1"), "must be 0 or more"),
    "a negative number of runs": (lambda _: None, ("--runs", "-1"), "must be 0 or more"),
    "no threads": (lambda _: None, ("--threads", "0"), "must be 1 or more"),
    "rows that are no number": (lambda _: None, ("--rows", "many"), "argument --rows: .*'many'"),
    "an unknown option": (lambda _: None, ("--fast",), "--fast"),
    "a place that is not there": (lambda _: None, ("--json-out", "no/such/folder/v.json"), "no/such/folder"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_user_got_wrong_ends_with_2_and_no_traceback(kind: str, copied: Callable[[str], Path]) -> None:
    damage, options, told = WRONG[kind]
    folder = copied("raspberry-pi-5")
    damage(folder)
    done = selftest(folder, *QUICK, *options)
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
    assert told.split(".*")[0] in done.stderr
    assert told.split(".*")[-1] in done.stderr
    assert "_natural" not in done.stderr


def test_a_folder_that_is_no_bundle_ends_with_2(tmp_path: Path) -> None:
    for folder, told in ((tmp_path, "no bundle here"), (tmp_path / "absent", "is not a folder")):
        done = python("-m", "edgebert.device", folder, cwd=ROOT)
        assert (done.returncode, done.stdout) == (2, "")
        assert told in done.stderr


def test_a_missing_runtime_ends_with_4_and_the_command_that_installs_it(copied: Callable[[str], Path]) -> None:
    folder = copied("raspberry-pi-5")
    code = (
        "import runpy, sys\nsys.modules['onnxruntime'] = None\nsys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = python("-c", code, folder, cwd=folder.parent)
    assert (done.returncode, done.stdout) == (4, "")
    assert "python3 -m pip install onnxruntime" in done.stderr
