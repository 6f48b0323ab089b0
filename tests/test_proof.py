"""Proofs beside a bundle: kept whole and for ever, and merged so that each aspect says what it rests on."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from edgebert import opening, proof
from edgebert.manifest import Manifest
from edgebert.proof import ASPECTS, Comparison, Proof
from edgebert.verdict import Check, CheckName, Evidence, Latency, Speedup, Status, holds
from tests.conftest import Built

PI, JETSON = "raspberry-pi-5", "jetson-orin-nano"
EVERYTHING: dict[str, Evidence] = dict.fromkeys(ASPECTS, "device")
RUNTIME = {"name": "onnxruntime", "version": "1.24.2"}


def check(name: CheckName, status: Status, evidence: Evidence = "device", model: str = "int8") -> Check:
    return Check(
        name=name,
        model=model,
        measured=None if status == "not_judged" else 0.5,
        limit=1.0,
        bound="max",
        unit="",
        status=status,
        evidence=evidence,
    )


def latency(evidence: Evidence, p50_ms: float = 1.0) -> Latency:
    figures = {"p50_ms": p50_ms, "p90_ms": p50_ms + 1, "p99_ms": p50_ms + 2, "threads": 1, "runs": 3}
    said = {"model": "int8", "which": "shipped", "scope": "model", "lengths": "natural", "host": "a board"}
    return Latency.model_validate({**said, **figures, "evidence": evidence, "measured_at": "then"})


def speedup(evidence: Evidence, value: float) -> Speedup:
    return Speedup(
        model="int8", against="reference", lengths="natural", value=value, p10=value, p90=value, evidence=evidence
    )


def made(at: int = 0, **changed: Any) -> Proof:
    """A proof of a second of its own."""
    checks = changed.get("checks", [])
    plain: dict[str, Any] = {
        "schema": proof.SCHEMA,
        "bundle": "toy",
        "target": PI,
        "digest": "d" * 64,
        "model": "int8",
        "transport": "ssh:pi@board",
        "evidence": EVERYTHING,
        "passed": holds(checks),
        "valid": True,
        "slowed": [],
        "data": None,
        "rows": 64,
        "score": None,
        "host_score": None,
        "comparison": None,
        "checks": checks,
        "latency": [],
        "speedup": None,
        "peak_memory_mb": None,
        "sustained": None,
        "instructions": None,
        "host": {"board": "a board"},
        "runtime": RUNTIME,
        "conditions": None,
        "samples": {},
        "not_measured": {},
        "seconds": 1.0,
        "measured_at": f"2026-01-02T03:04:{at:02}Z",
    }
    return Proof.model_validate({**plain, **changed})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a bundle would be."""
    (tmp_path / "toy" / PI).mkdir(parents=True)
    return tmp_path / "toy" / PI


def test_a_proof_is_read_as_it_was_written(folder: Path) -> None:
    one = made(checks=[check("agreement", "pass")], latency=[latency("device")], speedup=speedup("device", 2.0))
    path = proof.write(one, folder)
    assert path == folder.parent / "proof" / PI / "2026-01-02T030400Z-ssh.json"
    assert proof.read(folder, PI, one.digest) == [one]
    assert json.loads(path.read_text())["schema"] == proof.SCHEMA


def test_a_bundle_that_failed_keeps_its_proofs_at_the_targets_name(folder: Path) -> None:
    failed = folder.with_name(f"{PI}.failed")
    failed.mkdir()
    proof.write(made(), failed)
    assert proof.read(folder, PI, "d" * 64) == [made()]


def test_several_of_one_second_are_all_kept_in_their_order(folder: Path) -> None:
    several = [made(rows=rows) for rows in range(1, 13)]
    paths = [proof.write(one, folder) for one in several]
    assert len(set(paths)) == 12
    assert proof.read(folder, PI, "d" * 64) == several


def test_many_who_write_at_once_replace_nobody(folder: Path) -> None:
    threads = [threading.Thread(target=proof.write, args=(made(rows=rows), folder)) for rows in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.rows for one in proof.read(folder, PI, "d" * 64)} == set(range(20))


def test_a_file_system_without_hard_links_will_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    path = proof.write(made(), folder)
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="No space left"):
        proof.write(made(), folder)
    assert list((folder.parent / "proof" / PI).iterdir()) == []


def test_proofs_of_another_bundle_and_files_that_are_none_are_passed_over(folder: Path) -> None:
    proof.write(made(1), folder)
    proof.write(made(2, digest="e" * 64), folder)
    place = folder.parent / "proof" / PI
    whole = json.loads((place / "2026-01-02T030401Z-ssh.json").read_text())
    (place / "cut.json").write_text(json.dumps(whole)[:100])
    (place / "binary.json").write_bytes(b"\xff\xfe\x00")
    (place / "list.json").write_text("[]")
    (place / "empty.json").write_text("")
    (place / "lacking.json").write_text(json.dumps({k: v for k, v in whole.items() if k != "checks"}))
    (place / "odd.json").write_text(json.dumps({**whole, "evidence": {"accuracy": "hearsay"}}))
    (place / ".draft-1").write_text(json.dumps(whole))
    (place / "folder.json").mkdir()
    (place / "later.json").write_text(json.dumps({**whole, "measured_at": "2026-02-02T03:04:05Z", "new": 1}))
    found = proof.read(folder, PI, "d" * 64)
    assert [one.measured_at for one in found] == ["2026-01-02T03:04:01Z", "2026-02-02T03:04:05Z"]


def test_where_none_were_written_there_are_none(folder: Path) -> None:
    assert proof.read(folder, PI, "d" * 64) == []


def test_a_proof_of_outputs_that_are_not_finite_can_be_read_again(folder: Path) -> None:
    compared = Comparison(
        rows=1, compared=1, same=0, largest=None, tolerance=0.1, against="a host run of the same file"
    )
    one = made(comparison=compared, checks=[check("golden_max_abs_diff", "fail")])
    proof.write(one, folder)
    assert proof.read(folder, PI, one.digest) == [one]
    assert not one.passed


@pytest.fixture(scope="module")
def manifest(built: Built) -> Manifest:
    """The toy's manifest, as built: of level host."""
    found = opening.read_manifest(built.bundle(PI))
    assert (found.level, found.default_model) == ("host", "int8")
    return found


def level(manifest: Manifest, *proofs: Proof) -> Evidence:
    return proof.merge(manifest, proofs).level


def everything(evidence: Evidence) -> dict[str, Evidence]:
    return dict.fromkeys(ASPECTS, evidence)


def test_without_proofs_nothing_changes(manifest: Manifest) -> None:
    assert proof.merge(manifest, []) == manifest


@pytest.mark.parametrize("evidence", ["emulator", "device"])
def test_a_passed_proof_of_every_aspect_raises_the_level(manifest: Manifest, evidence: Evidence) -> None:
    assert level(manifest, made(evidence=everything(evidence))) == evidence


def test_the_level_is_that_of_the_weakest_aspect(manifest: Manifest) -> None:
    emulated, timed = made(1, evidence=everything("emulator")), made(2, evidence={"latency": "device"})
    assert level(manifest, timed) == "host"
    assert level(manifest, emulated, timed) == "emulator"
    assert level(manifest, emulated, made(3, evidence={"accuracy": "device", "placement": "device"})) == "emulator"
    rest = made(4, evidence={"accuracy": "device", "placement": "device"})
    assert level(manifest, emulated, timed, rest) == "device"


def test_a_run_that_tells_the_latency_alone_does_not_hide_one_that_told_everything(manifest: Manifest) -> None:
    assert level(manifest, made(1), made(2, evidence={"latency": "device"})) == "device"


def test_a_host_run_does_not_lower_what_was_raised(manifest: Manifest) -> None:
    assert level(manifest, made(1), made(2, evidence=everything("host"))) == "device"


FAILED = check("agreement", "fail")


def test_a_failed_proof_raises_nothing_and_fails_the_bundle(manifest: Manifest) -> None:
    merged = proof.merge(manifest, [made(checks=[FAILED])])
    assert merged.level == "host"
    assert FAILED in merged.checks
    assert holds(manifest.checks) and not holds(merged.checks)


def test_a_failure_counts_until_the_same_evidence_judges_it_again(manifest: Manifest) -> None:
    passed = made(1, checks=[check("agreement", "pass")])
    failed = made(2, checks=[FAILED])
    assert level(manifest, passed, failed) == "host"
    assert not holds(proof.merge(manifest, [passed, failed]).checks)
    again = made(3, checks=[check("agreement", "pass")])
    assert level(manifest, passed, failed, again) == "device"
    assert holds(proof.merge(manifest, [passed, failed, again]).checks)
    emulated = made(4, evidence=everything("emulator"), checks=[check("agreement", "pass", "emulator")])
    assert not holds(proof.merge(manifest, [failed, emulated]).checks)


def test_a_run_that_could_not_judge_a_check_does_not_undo_its_failure(manifest: Manifest) -> None:
    slow = made(1, checks=[check("speedup", "fail"), check("agreement", "pass")])
    without = made(2, checks=[check("speedup", "not_judged"), check("agreement", "pass")])
    merged = proof.merge(manifest, [slow, without])
    assert [(c.status, c.evidence) for c in merged.checks if c.name == "speedup"] == [("fail", "device")]


def test_a_few_rows_do_not_undo_a_failure_of_many_but_may_add_one(manifest: Manifest) -> None:
    few: dict[str, Evidence] = {"placement": "device", "latency": "device"}
    good, bad = check("agreement", "pass"), check("agreement", "fail")
    after = proof.merge(manifest, [made(0, checks=[bad]), made(1, checks=[good], evidence=few, rows=1)])
    assert not holds(after.checks)
    after = proof.merge(manifest, [made(0, checks=[good]), made(1, checks=[bad], evidence=few, rows=1)])
    assert not holds(after.checks)
    after = proof.merge(manifest, [made(0, checks=[bad]), made(1, checks=[good])])
    assert holds(after.checks)


def test_a_run_that_was_slowed_counts_for_nothing(manifest: Manifest) -> None:
    slowed = made(2, valid=False, passed=False, slowed=["throttled"], latency=[latency("device")])
    assert proof.merge(manifest, [slowed]) == manifest
    assert level(manifest, made(1), slowed) == "device"


def test_a_run_that_is_evidence_of_nothing_counts_for_nothing(manifest: Manifest) -> None:
    other_cpu = made(evidence={}, checks=[check("agreement", "fail", "host")], passed=False)
    assert proof.merge(manifest, [other_cpu]) == manifest


def test_a_file_that_is_not_the_default_raises_nothing_but_its_failures_count(manifest: Manifest) -> None:
    other = made(model="fp16", checks=[check("agreement", "fail", model="fp16")])
    merged = proof.merge(manifest, [made(1, model="fp16")])
    assert merged.level == "host"
    assert not holds(proof.merge(manifest, [other]).checks)


def test_an_open_check_gives_way_to_its_verdict_and_one_judged_here_stays_beside_it(manifest: Manifest) -> None:
    is_open = check("latency_p50_ms", "not_judged", "host")
    before = manifest.model_copy(update={"checks": [*manifest.checks, is_open]})
    judged = [check("latency_p50_ms", "pass"), check("agreement", "pass")]
    merged = proof.merge(before, [made(checks=judged)])
    assert is_open not in merged.checks
    assert merged.checks == [*manifest.checks, *judged]
    of_other_file = made(checks=[check("latency_p50_ms", "pass", model="fp16")])
    assert is_open in proof.merge(before, [of_other_file]).checks
    still_open = made(checks=[check("latency_p50_ms", "not_judged")])
    assert proof.merge(before, [still_open]).checks == before.checks


def test_the_newest_figures_of_each_kind_of_evidence_are_added(manifest: Manifest) -> None:
    proofs = [
        made(1, latency=[latency("device", 9)], speedup=speedup("device", 1.0)),
        made(2, evidence=everything("emulator")),
        made(3, latency=[latency("device", 5)], speedup=speedup("device", 2.0)),
        made(4, evidence=everything("host"), latency=[latency("host", 1)]),
        made(5),
    ]
    merged = proof.merge(manifest, proofs)
    added = merged.latency[len(manifest.latency) :]
    assert [(one.evidence, one.p50_ms) for one in added] == [("device", 5), ("host", 1)]
    assert merged.latency[: len(manifest.latency)] == manifest.latency
    assert [one.value for one in merged.speedup[len(manifest.speedup) :]] == [2.0]


def test_what_is_known_by_rules_alone_stays_so_where_a_cpu_stood_in(built: Built) -> None:
    gpu = opening.read_manifest(built.bundle(JETSON))
    assert gpu.level == "rules"
    stood_in = made(model=gpu.default_model, evidence={"accuracy": "host"})
    assert level(gpu, stood_in) == "rules"
    assert level(gpu, made(model=gpu.default_model)) == "device"
