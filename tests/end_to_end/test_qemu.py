"""Bundles for ARM boards in the real emulator, through the command line: answers, evidence, instructions."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgebert import environments, opening, pipeline, planning, races, recipe as recipes, target as targets
from edgebert.device import bundle as bundles
from edgebert.emulation import userland
from edgebert.errors import SurroundingsError
from tests import toy
from tests.conftest import Built
from tests.device.test_bundle import change_manifest
from tests.device.test_selftest import change_golden, contents
from tests.test_jobs import alive, wait_until
from tests.test_validation import workers

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PI_4, PI_5, PHONE, LEGACY = "raspberry-pi-4", "raspberry-pi-5", "android-cpu", "tflite-runtime-2.14"
TARGETS = {PI_4: "cortex-a72", PI_5: "cortex-a76", PHONE: "cortex-a76", LEGACY: "cortex-a72"}
HIDDEN = 128  # at 32 the matrix products are a tenth of the work
GATES = "".join(
    f'\n[target."{name}".gates]\nmax_instruction_ratio = {0.95 if name in (PI_5, PHONE) else 2.0}\n'
    for name in TARGETS
)


@dataclass(frozen=True)
class Emulated:
    """A bundle that was validated in the emulator: how the command ended, and its proof."""

    bundle: Path
    status: int
    proof: dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def emulator() -> Path:
    """The userland; where it is absent the tests say how to get it."""
    try:
        environments.place_of(LEGACY)
        return environments.place_of("qemu")
    except SurroundingsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The toy project with a model that is large enough for its matrix products to show, and gates on them."""
    folder = tmp_path_factory.mktemp("larger")
    model = toy.write_model(folder / "model", hidden=HIDDEN)
    recipe = toy.write_project(folder / "project", model, list(TARGETS))
    recipe.write_text(recipe.read_text(encoding="utf-8") + GATES, encoding="utf-8")
    out = folder / "out"
    plan = planning.plan(recipes.load(recipe), None, out / ".store")
    return Built(recipe, out, pipeline.run(plan, out, pipeline.Unwatched()))


def validate(run: Run, bundle: Path, *options: str | Path, on: str = "qemu") -> Emulated:
    done = run("validate", bundle, "--on", on, *options, "--json")
    assert done.returncode in (0, 1), done.stderr
    return Emulated(bundle, done.returncode, json.loads(done.stdout))


@pytest.fixture(scope="module")
def validated(larger: Built, run_edgebert: Run) -> dict[str, Emulated]:
    """Every bundle, validated once in whole."""
    return {name: validate(run_edgebert, larger.bundle(name)) for name in TARGETS}


@pytest.fixture
def copy(larger: Built, tmp_path: Path) -> Path:
    """A copy of the Pi 5's bundle with the store beside it, free to be changed."""
    out = Path(shutil.copytree(larger.out, tmp_path / "out", ignore=shutil.ignore_patterns("proof", PI_4, PHONE)))
    return out / "toy" / PI_5


def counts(found: Emulated) -> dict[str, Any]:
    if found.proof["instructions"] is None:  # a QEMU without plugins leaves the rest to be tested
        pytest.skip(f"this {userland.QEMU} loads no plugins")
    told: dict[str, Any] = found.proof["instructions"]
    return told


@pytest.mark.parametrize("target", TARGETS)
def test_a_bundle_passes_on_its_own_cpu(target: str, validated: dict[str, Emulated]) -> None:
    found = validated[target]
    proof, rows = found.proof, len(bundles.golden(str(found.bundle)))
    assert (found.status, proof["passed"], proof["valid"]) == (0, True, True)
    assert proof["transport"] == f"qemu:{TARGETS[target]}"
    assert set(proof["evidence"].values()) == {"emulator"}
    assert set(proof["evidence"]) == {"accuracy", "placement", "latency"}
    assert proof["host"]["board"] is None
    assert proof["host"]["arch"] == "aarch64"
    assert proof["comparison"]["rows"] == proof["rows"] == rows
    assert proof["comparison"]["same"] == proof["comparison"]["compared"] > 0
    assert 0 < proof["comparison"]["largest"] <= proof["comparison"]["tolerance"], (
        "another machine rounds otherwise"
    )
    assert proof["score"]["rows"] == rows
    judged = {check["name"]: check["status"] for check in proof["checks"]}
    assert judged["golden_max_abs_diff"] == judged["agreement"] == "pass"
    assert {check["evidence"] for check in proof["checks"]} == {"emulator"}


@pytest.mark.parametrize("target", TARGETS)
def test_it_tells_no_milliseconds(target: str, validated: dict[str, Emulated]) -> None:
    proof = validated[target].proof
    assert (proof["latency"], proof["speedup"], proof["sustained"]) == ([], None, None)
    assert (proof["peak_memory_mb"], proof["conditions"], proof["samples"]) == (None, None, {"shipped": []})


@pytest.mark.parametrize("target", TARGETS)
def test_show_tells_the_level_and_the_bundle_is_as_it_was(
    target: str, validated: dict[str, Emulated], run_edgebert: Run
) -> None:
    folder = validated[target].bundle
    shown = json.loads(run_edgebert("show", folder, "--json").stdout)
    assert shown["level"] == "emulator"
    assert [proof["digest"] for proof in shown["proofs"]] == [opening.digest(folder)]
    assert opening.read_manifest(folder).level == "host"


def test_dot_products_are_executed_where_the_cpu_has_them(validated: dict[str, Emulated]) -> None:
    plain, with_dot, phone = (counts(validated[name]) for name in (PI_4, PI_5, PHONE))
    assert plain["shipped"]["dot"] == 0
    assert with_dot["shipped"]["dot"] > 10_000 < phone["shipped"]["dot"]
    assert plain["shipped"]["int_mac"] > 10 * with_dot["shipped"]["int_mac"] > 0
    for found in (plain, with_dot, phone):
        assert found["reference"]["dot"] == found["reference"]["int_mac"] == 0
        assert found["reference"]["float_mac"] > 2 * found["shipped"]["float_mac"] > 0
        assert (
            min(found[which][kind] for which in ("shipped", "reference") for kind in ("load", "store", "branch"))
            > 0
        )


def test_the_ratio_is_reported_and_judged(validated: dict[str, Emulated]) -> None:
    for name, found in validated.items():
        told = counts(found)
        ratio = sum(told["shipped"].values()) / sum(told["reference"].values())
        assert told["ratio"] == pytest.approx(ratio, abs=1e-3)
        assert told["rows"] == len(told["tokens"]) == 4
        [check] = [check for check in found.proof["checks"] if check["name"] == "instruction_ratio"]
        assert (check["measured"], check["status"]) == (told["ratio"], "pass")
        shown = opening.read_manifest(found.bundle).checks
        assert [c.status for c in shown if c.name == "instruction_ratio"] == ["not_judged"], name
    assert counts(validated[PI_5])["ratio"] < counts(validated[PI_4])["ratio"]


def test_the_counts_are_repeatable(validated: dict[str, Emulated], copy: Path, run_edgebert: Run) -> None:
    first = counts(validated[PI_5])
    again = counts(validate(run_edgebert, copy, "--rows", "1"))
    assert again["tokens"] == first["tokens"], "the counted rows do not depend on --rows"
    for which in ("shipped", "reference"):
        total = sum(first[which].values())
        assert sum(again[which].values()) == pytest.approx(total, rel=0.02)
        assert again[which]["dot"] == first[which]["dot"]


def test_another_cpu_is_emulated_and_is_no_evidence_of_the_target(copy: Path, run_edgebert: Run) -> None:
    found = validate(run_edgebert, copy, "--rows", "2", on="qemu:cortex-a53")
    assert (found.status, found.proof["passed"]) == (0, True)
    assert found.proof["evidence"] == {}
    assert counts(found)["shipped"]["dot"] == 0
    judged = {check["name"]: check["status"] for check in found.proof["checks"]}
    assert judged["instruction_ratio"] == "not_judged", "the gate is that of another CPU"
    assert "cortex-a53 is not the CPU" in found.proof["not_measured"]["level"]
    shown = json.loads(run_edgebert("show", copy, "--json").stdout)
    assert (shown["level"], len(shown["proofs"])) == ("host", 1)


def test_a_race_is_decided_by_what_the_emulator_counts(larger: Built, tmp_path: Path, run_edgebert: Run) -> None:
    folder = shutil.copytree(larger.recipe.parent, tmp_path / "project", symlinks=True)
    out = shutil.copytree(larger.out, tmp_path / "out", ignore=shutil.ignore_patterns("toy"))
    recipe = folder / larger.recipe.name
    arguments = ("build", recipe, "-t", PI_5, "-o", out, "--set", "quantize.race=true", "--json")
    done = run_edgebert(*arguments)
    assert done.returncode == 0, done.stderr
    pin = races.pinned(recipes.load(recipe), targets.load(PI_5))
    assert pin is not None
    assert (pin.evidence, pin.on) == ("emulator", "cortex-a76")
    assert set(pin.ratios) == {"onnx_dynamic", "onnx_static"}
    assert all(0.1 < ratio < 1.0 for ratio in pin.ratios.values())
    assert pin.ratio <= min(pin.ratios.values()) + races.MARGIN
    manifest = opening.read_manifest(out / "toy" / PI_5)
    [check] = [one for one in manifest.checks if one.name == "instruction_ratio"]
    assert (check.measured, check.evidence, check.status) == (pin.ratio, "emulator", "pass")
    again = run_edgebert(*arguments)
    assert json.loads(again.stdout) == json.loads(done.stdout), "what is pinned is built from the store"


def test_golden_rows_that_nobody_computed_fail_there(copy: Path, run_edgebert: Run) -> None:
    def turn(row: dict[str, Any]) -> None:
        first, *others = row["outputs"]["logits"]
        row["outputs"]["logits"] = [*others, first]

    change_golden(copy, turn)
    found = validate(run_edgebert, copy, "--rows", "4")
    assert (found.status, found.proof["passed"]) == (1, False)
    failed = {check["name"] for check in found.proof["checks"] if check["status"] == "fail"}
    assert failed == {"golden_max_abs_diff", "agreement"}
    shown = json.loads(run_edgebert("show", copy, "--json").stdout)
    assert shown["level"] == "host"


def test_more_instructions_than_the_gate_allows_fail(copy: Path, larger: Built, run_edgebert: Run) -> None:
    def lower(manifest: dict[str, Any]) -> None:
        [gate] = [check for check in manifest["checks"] if check["name"] == "instruction_ratio"]
        gate["limit"] = 0.1

    change_manifest(copy, lower)
    before = contents(copy)
    done = run_edgebert("validate", copy, "--on", "qemu", "--rows", "1")
    assert done.returncode == 1, done.stderr
    assert "instruction_ratio" in done.stdout
    assert "instructions (10^6)" in done.stdout
    assert contents(copy) == before
    shown = json.loads(run_edgebert("show", copy, "--json").stdout)
    assert [c["status"] for c in shown["manifest"]["checks"] if c["name"] == "instruction_ratio"] == ["fail"]


def test_an_interrupt_leaves_no_worker_and_no_proof(copy: Path) -> None:
    command = [sys.executable, "-m", "edgebert", "validate", str(copy), "--on", "qemu"]
    before = contents(copy.parent)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: process.poll() is not None or len(workers(process.pid)) == 2)
        pids = workers(process.pid)
        process.send_signal(signal.SIGINT)  # to the command alone, unlike Ctrl-C
        answered, told = process.communicate()
    assert (process.returncode, answered, len(pids)) == (130, "", 2), told
    assert "interrupted" in told and "Traceback" not in told
    wait_until(lambda: not any(map(alive, pids)))
    assert contents(copy.parent) == before


def test_rows_of_a_file_are_answered_there(copy: Path, larger: Built, run_edgebert: Run) -> None:
    data = larger.recipe.parent / "test.jsonl"
    found = validate(run_edgebert, copy, "--data", data, "--rows", "5")
    rows = len(bundles.golden(str(copy))) + 5
    assert found.proof["rows"] == found.proof["score"]["rows"] == rows
    assert found.status == 0
