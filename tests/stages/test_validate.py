"""What a run on a device proves: devices played here answer as the host does, otherwise, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from edgebert import data, members, opening, proof, scoring
from edgebert.device import bundle as bundles, decoding, runtimes
from edgebert.errors import MissingExtraError
from edgebert.proof import ASPECTS, Instructions, Proof
from edgebert.references import Shipped
from edgebert.stages import validate
from edgebert.stages.validate import Work
from edgebert.transports import Job, Observation, Options
from edgebert.verdict import Check, CheckName
from tests.conftest import Built
from tests.device.test_selftest import change_golden, told_in_part
from tests.test_rescoring import JETSON, PHONE, PI, alone, step

Logits = list[float]
HOST = {"board": "a played board", "cpu": "a cpu", "cores": 4}


def device(change: Callable[[int, Logits], Logits] = lambda _, logits: logits, **played: Any) -> Any:
    """A transport whose device gives the host's logits after `change` has seen each row's."""

    def run(address: str, job: Job, options: Options) -> Observation:
        model = runtimes.open_model(str(job.bundle), job.entry)
        golden = [row["ids"] for row in bundles.golden(str(job.bundle), job.golden)]
        answers = [
            {
                "logits": change(
                    i, model.run({name: np.asarray([ids]) for name, ids in row.items()})["logits"][0].tolist()
                )
            }
            for i, row in enumerate([*golden, *job.rows])
        ]
        found = {
            "outputs": answers[: len(golden)],
            "further": answers[len(golden) :],
            "samples": {"shipped": [2.0, 3.0, 4.0]} if job.rounds else {},
            "start_up": {"load_ms": 5.0, "first_ms": 6.0, "peak_memory_mb": 70.0},
            "host": HOST,
            "runtime": {"name": "onnxruntime", "version": "1.24.2"},
            "conditions": {"before": {}, "during": [], "after": {}},
            "slowed": [],
            **played.get("found", {}),
        }
        evidence = played.get("evidence", dict.fromkeys(ASPECTS, "device"))
        return Observation("played", found, evidence, played.get("instructions"))

    return SimpleNamespace(NAME="played", TIMED=played.get("timed", True), SUSTAINED=False, USES=(), run=run)


def work(folder: Path, transport: Any, model: str = "", **changed: Any) -> Work:
    manifest = opening.read_manifest(folder)
    entry = bundles.model_entry(manifest.model_dump(by_alias=True), model)
    plain = Work(
        shipped=Shipped(folder, manifest, entry),
        transport=transport,
        address="",
        options=Options(),
        golden=0,
        rows=[],
        data=None,
        reference=None,
        threads=1,
        sustained_s=0,
        limit_s=60,
    )
    return replace(plain, **changed)


def run(folder: Path, transport: Any, model: str = "", **changed: Any) -> Proof:
    return validate.run(work(folder, transport, model, **changed), lambda *_: None)


def statuses(found: Proof) -> dict[str, str]:
    return {check.name: check.status for check in found.checks}


@pytest.fixture
def copy(built: Built, tmp_path: Path) -> Path:
    """The ONNX bundle on another machine, without a store beside it."""
    return alone(built, PI, tmp_path)


@pytest.mark.parametrize(("target", "model"), [(PI, ""), (PHONE, ""), (JETSON, "int8")])
def test_a_device_that_answers_as_the_host_passes(built: Built, target: str, model: str) -> None:
    folder = built.bundle(target)
    found = run(folder, device(), model)
    rows = len(bundles.golden(str(folder)))
    assert found.comparison is not None
    assert (found.comparison.rows, found.comparison.largest) == (rows, 0)
    assert 0 < found.comparison.compared == found.comparison.same <= rows
    assert found.comparison.against == "a host run of the same file"
    assert statuses(found) == {"golden_max_abs_diff": "pass", "agreement": "pass"}
    assert {check.evidence for check in found.checks} == {"device"}
    assert (found.passed, found.valid, found.rows, found.data) == (True, True, rows, None)
    assert (found.digest, found.target, found.model) == (opening.digest(folder), target, model or "int8")
    assert found.score is not None
    assert (found.score, found.score.rows) == (found.host_score, rows)


def test_outputs_beyond_the_tolerance_fail_though_all_answers_agree(copy: Path) -> None:
    tolerance = bundles.golden(str(copy), 1)[0]["tolerance"]
    found = run(copy, device(lambda i, logits: [value + 3 * tolerance * (i == 5) for value in logits]))
    assert statuses(found) == {"golden_max_abs_diff": "fail", "agreement": "pass"}
    assert found.comparison is not None
    assert found.comparison.largest == pytest.approx(3 * tolerance, rel=1e-3)
    assert not found.passed
    assert found.valid


@pytest.mark.parametrize(("differ", "passed"), [(0, True), (3, False)])
def test_golden_rows_that_are_tokenized_otherwise_there_fail(copy: Path, differ: int, passed: bool) -> None:
    found = run(copy, device(found={"tokenizer": {"rows": 64, "differ": differ}}))
    assert found.tokenizer == {"rows": 64, "differ": differ}
    assert found.passed is passed


def test_other_answers_fail(copy: Path) -> None:
    found = run(copy, device(lambda _, logits: logits[::-1]))
    assert statuses(found) == {"golden_max_abs_diff": "fail", "agreement": "fail"}
    assert found.comparison is not None
    assert found.comparison.same < found.comparison.compared
    assert found.score is not None and found.host_score is not None
    assert found.score.value < found.host_score.value


def test_each_files_own_tolerance_counts(built: Built) -> None:
    row = bundles.golden(str(built.bundle(JETSON)), 1)[0]
    own, default = row["others"]["int8"]["tolerance"], row["tolerance"]
    assert own != default
    found = run(built.bundle(JETSON), device(), "int8")
    assert found.comparison is not None
    assert found.comparison.tolerance == own


def test_a_golden_row_that_was_not_recorded_so_fails_though_device_and_host_agree(copy: Path) -> None:
    own = {"model": "int8", "measured": 7.0, "limit": 0.1, "bound": "max", "unit": "", "reason": None}
    passing = {**own, "name": "agreement", "status": "pass", "bound": "min"}
    failing = {**own, "name": "golden_max_abs_diff", "status": "fail"}
    found = run(copy, device(found={"checks": [failing, passing]}))
    assert statuses(found) == {"golden_max_abs_diff": "fail", "agreement": "pass"}
    assert (found.checks[0].measured, found.checks[0].evidence) == (7.0, "device")
    assert "recorded in golden.jsonl" in (found.checks[0].reason or "")
    assert not found.passed


def swap_best(logits: Logits) -> Logits:
    """The best two exchanged: the answer changes by the least that changes it."""
    first, second = sorted(range(len(logits)), key=lambda i: -logits[i])[:2]
    swapped = list(logits)
    swapped[first], swapped[second] = logits[second], logits[first]
    return swapped


def test_near_ties_are_not_compared_and_all_others_are(copy: Path) -> None:
    margins = sorted(decoding.margin(row["outputs"]["logits"]) for row in bundles.golden(str(copy)))
    tolerance = (margins[4] + margins[5]) / 2
    change_golden(copy, lambda row: row.update(tolerance=tolerance))

    def turn(i: int, logits: Logits) -> Logits:
        return swap_best(logits) if decoding.margin(logits) <= tolerance else logits

    found = run(copy, device(turn))
    assert found.comparison is not None
    assert found.comparison.compared == found.comparison.same == len(margins) - 5
    assert 0 < (found.comparison.largest or 0) <= tolerance
    assert statuses(found) == {"golden_max_abs_diff": "pass", "agreement": "pass"}
    found = run(copy, device(lambda _, logits: swap_best(logits)))
    assert found.comparison is not None
    assert found.comparison.same == 0
    assert statuses(found)["agreement"] == "fail"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_outputs_that_are_not_finite_fail_with_that_reason(copy: Path, value: float) -> None:
    found = run(copy, device(lambda i, logits: [value] * 3 if i == 2 else logits))
    [wrong] = [check for check in found.checks if check.name == "golden_max_abs_diff"]
    assert (wrong.status, wrong.measured) == ("fail", None)
    assert wrong.reason == "the device gave outputs that are not finite"
    assert not found.passed
    kept = proof.write(found, copy)
    assert proof.read(copy, PI, found.digest) == [found]
    assert "Infinity" not in kept.read_text() and "NaN" not in kept.read_text()


def test_a_device_that_gives_no_outputs_is_judged_by_the_rest(copy: Path) -> None:
    found = run(copy, device(found={"outputs": None, "further": None}, evidence={"latency": "device"}))
    assert (found.comparison, found.score, found.host_score, found.checks) == (None, None, None, [])
    assert [one.evidence for one in found.latency] == ["device"]
    assert found.passed


def test_a_slowed_run_judges_nothing_and_passes_nothing(copy: Path) -> None:
    found = run(copy, device(lambda _, logits: logits[::-1], found={"slowed": ["throttled"]}))
    assert (found.valid, found.passed, found.checks, found.slowed) == (False, False, [], ["throttled"])


LIMITS: dict[CheckName, float] = {"latency_p50_ms": 2.5, "peak_memory_mb": 80.0, "speedup": 2.0}


def with_limits(folder: Path, limits: dict[CheckName, float]) -> Any:
    """A bundle that was built with these gates, which nobody could judge then."""
    one = work(folder, None).shipped
    added = [
        Check(
            name=name, model="int8", measured=None, limit=limit, bound="max", unit="", status="not_judged",
            reason="not here", evidence="host",
        )
        for name, limit in limits.items()
    ]  # fmt: skip
    checks = [*one.manifest.checks, *added]
    return replace(one, manifest=one.manifest.model_copy(update={"checks": checks}))


def test_speed_and_memory_are_judged_on_the_board(copy: Path) -> None:
    shipped = with_limits(copy, LIMITS)
    found = run(copy, device(), shipped=shipped)
    assert statuses(found) == {
        "golden_max_abs_diff": "pass",
        "agreement": "pass",
        "latency_p50_ms": "fail",
        "speedup": "not_judged",
        "peak_memory_mb": "pass",
    }
    [speed] = [check for check in found.checks if check.name == "speedup"]
    assert "--reference" in (speed.reason or "")
    assert (found.passed, found.peak_memory_mb) == (False, 70.0)
    [one] = found.latency
    assert (one.p50_ms, one.runs, one.load_ms, one.host) == (3.0, 3, 5.0, "a played board, 4 cores")
    samples = {"shipped": [2.0, 2.0, 2.0], "reference": [5.0, 6.0, 7.0]}
    faster = run(copy, device(found={"samples": samples}), shipped=shipped)
    assert set(statuses(faster).values()) == {"pass"}
    assert faster.speedup is not None
    assert (faster.speedup.value, faster.speedup.evidence) == (3.0, "device")
    barely = run(copy, device(found={"samples": {**samples, "reference": [1.0, 6.0, 7.0]}}), shipped=shipped)
    assert statuses(barely)["speedup"] == "pass_point"


@pytest.mark.parametrize("evidence", [{}, {"accuracy": "host"}, dict.fromkeys(ASPECTS, "emulator")])
def test_elsewhere_they_are_told_and_not_judged(copy: Path, evidence: dict[str, str]) -> None:
    found = run(copy, device(evidence=evidence), shipped=with_limits(copy, LIMITS))
    rest = [check for check in found.checks if check.name in LIMITS]
    assert {check.status for check in rest} == {"not_judged"}
    assert {check.reason for check in rest} == {"only a run on the board itself tells"}
    assert found.passed


def test_what_is_not_timed_has_no_speed(copy: Path) -> None:
    found = run(copy, device(timed=False), shipped=with_limits(copy, LIMITS))
    assert set(statuses(found)) == {"golden_max_abs_diff", "agreement"}
    assert (found.latency, found.speedup, found.peak_memory_mb, found.conditions) == ([], None, None, None)


@pytest.mark.parametrize(("ratio", "status"), [(0.5, "pass"), (0.7, "fail"), (None, "not_judged")])
def test_the_instruction_ratio_is_held_against_its_gate(copy: Path, ratio: float | None, status: str) -> None:
    counted = Instructions(rows=1, tokens=[7], shipped={"dot": 5.0}, ratio=ratio)
    transport = device(timed=False, instructions=counted)
    found = run(copy, transport, shipped=with_limits(copy, {"instruction_ratio": 0.6}))
    [check] = [check for check in found.checks if check.name == "instruction_ratio"]
    assert (check.status, check.measured, check.evidence) == (status, ratio, "emulator")
    assert ("--reference" in (check.reason or "")) is (ratio is None)
    assert found.passed is (status != "fail")
    assert "instruction_ratio" not in statuses(run(copy, transport))
    elsewhere = device(timed=False, instructions=counted, evidence={})
    [check] = run(copy, elsewhere, shipped=with_limits(copy, {"instruction_ratio": 0.6})).checks[2:]
    assert (check.name, check.status) == ("instruction_ratio", "not_judged")
    assert found.instructions == counted


def test_rows_of_a_data_file_are_answered_and_scored_beside_the_golden_ones(built: Built, copy: Path) -> None:
    task = members.find("tasks", "text-classification")
    split = data.read(built.recipe.parent / "test.jsonl", {}, task.fault)
    golden = len(bundles.golden(str(copy)))
    seen: list[int] = []

    def note(i: int, logits: Logits) -> Logits:
        seen.append(i)
        return logits

    found = run(copy, device(note), rows=split.rows[:30], data=split.sha256)
    assert len(seen) == found.rows == golden + 30
    assert found.data == split.sha256
    assert found.score is not None
    assert found.score.rows == golden + 30
    change_golden(copy, lambda row: row.update(label=None))
    assert run(copy, device()).score is None
    alone_scored = run(copy, device(), rows=split.rows[:30], data=split.sha256).score
    assert alone_scored is not None
    assert alone_scored.rows == 30


def test_a_device_that_differs_on_a_row_of_the_data_alone_fails(built: Built, copy: Path) -> None:
    rows = [{"text": "the day is sunny and bright", "label": "sun"}]
    last = len(bundles.golden(str(copy)))
    found = run(copy, device(lambda i, logits: [v + (i == last) for v in logits]), rows=rows, data="s")
    assert statuses(found) == {"golden_max_abs_diff": "fail", "agreement": "pass"}


def test_the_first_golden_rows_are_replayed_where_fewer_are_asked_for(copy: Path) -> None:
    found = run(copy, device(), golden=7)
    assert found.rows == 7
    assert found.comparison is not None and found.comparison.rows == 7


def no_runtime(*_: object, **__: object) -> None:
    raise runtimes.RuntimeMissing("onnxruntime is not here")


def test_a_few_rows_are_no_evidence_of_accuracy(copy: Path) -> None:
    many, few = run(copy, device()), run(copy, device(), golden=63)
    assert "accuracy" in many.evidence
    assert "accuracy" not in few.evidence
    assert few.evidence["placement"] == many.evidence["placement"]
    assert few.not_measured["level"] == "63 rows are no evidence of accuracy; 64 are"
    assert few.passed


def test_without_a_runtime_here_the_recorded_outputs_stand_for_the_host(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "outputs_of", no_runtime)
    found = run(copy, device())
    assert found.comparison is not None
    assert found.comparison.against == "the outputs recorded in golden.jsonl"
    assert (found.comparison.largest or 0) <= found.comparison.tolerance
    assert found.passed
    assert not run(copy, device(lambda _, logits: logits[::-1])).passed
    with pytest.raises(MissingExtraError, match="comparing rows of --data"):
        run(copy, device(), rows=[{"text": "a sunny day", "label": "sun"}], data="s")


def in_part(seen: Observation) -> Observation:
    """What a device tells that leaves the smallest logit of each row out."""
    rows, at = [*seen.found["outputs"], *seen.found["further"]], []
    for row in rows:
        at.append({"logits": sorted(np.argsort(row["logits"])[1:].tolist())})
        row["logits"] = [row["logits"][i] for i in at[-1]["logits"]]
    seen.found["at"] = at
    return seen


def test_a_device_may_tell_long_outputs_in_part(copy: Path) -> None:
    def telling(change: Callable[[int, Logits], Logits]) -> Any:
        whole = device(change)
        return SimpleNamespace(**{**vars(whole), "run": lambda *asked: in_part(whole.run(*asked))})

    alike = run(copy, telling(lambda _, logits: logits))
    assert alike.passed and alike.comparison is not None and alike.comparison.rows >= 64
    assert alike.score == alike.host_score
    assert not run(copy, telling(lambda _, logits: [5 * value for value in logits])).passed


def test_what_is_recorded_in_part_is_compared_where_it_is(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_golden(copy, told_in_part)
    monkeypatch.setattr(scoring, "outputs_of", no_runtime)
    alike = run(copy, device())
    assert alike.passed and alike.score == alike.host_score
    assert not run(copy, device(lambda _, logits: [5 * value for value in logits])).passed


def test_what_could_not_be_measured_has_its_reason(built: Built, copy: Path) -> None:
    assert set(run(copy, device()).not_measured) == {"speedup"}
    assert set(run(copy, device(timed=False)).not_measured) == {"instruction_ratio"}
    assert run(copy, device(), reference=step(built, PI, "export")).not_measured == {}


def test_the_job_names_the_reference_and_the_ids_of_the_rows(built: Built, copy: Path) -> None:
    seen: list[Job] = []
    played = device()

    def noted(address: str, job: Job, options: Options) -> Observation:
        seen.append(job)
        return cast(Observation, played.run(address, job, options))

    transport = SimpleNamespace(NAME="played", TIMED=True, SUSTAINED=False, USES=(), run=noted)
    rows = [{"text": "a sunny day", "label": "sun"}]
    run(copy, transport, reference=step(built, PI, "export"), rows=rows, data="s", threads=2, sustained_s=3)
    [job] = seen
    asked = job.request("/there", "/reference", golden=1)
    assert (asked["bundle"], asked["threads"], asked["sustained_s"], asked["golden"]) == ("/there", 2, 3, 1)
    assert asked["reference"]["folder"] == "/reference"
    assert asked["reference"]["entry"]["file"].endswith(".onnx")
    assert [len(row["input_ids"]) for row in asked["rows"]] == [5]
    assert job.request("/there", None)["reference"] is None


def test_nothing_is_written(built: Built, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(built.bundle(PI), tmp_path / "toy" / PI))
    run(folder, device())
    assert list(folder.parent.iterdir()) == [folder]
    assert opening.read_manifest(folder)
