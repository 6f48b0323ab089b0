from __future__ import annotations

from typing import Literal

import pytest
from pydantic import ValidationError

from edgebert import verdict
from edgebert.verdict import Check, Evidence, Gates, Status, judge

Bound = Literal["max", "min"]


def check(status: Status) -> Check:
    return Check(
        name="size_mb",
        model="int8",
        measured=23.1234567,
        limit=30.0,
        bound="max",
        unit="MB",
        status=status,
        evidence="host",
    )


@pytest.mark.parametrize(
    ("measured", "limit", "bound", "worst", "status"),
    [
        (0.9, 1.0, "max", None, "pass"),
        (1.0, 1.0, "max", None, "pass"),
        (1.1, 1.0, "max", None, "fail"),
        (-0.5, 0.0, "max", None, "pass"),
        (0.9, 1.0, "max", 1.0, "pass"),
        (0.9, 1.0, "max", 1.2, "pass_point"),
        (1.1, 1.0, "max", 0.9, "fail"),
        (0.98, 0.97, "min", None, "pass"),
        (0.97, 0.97, "min", 0.97, "pass"),
        (0.98, 0.97, "min", 0.96, "pass_point"),
        (0.96, 0.97, "min", 0.99, "fail"),
        (None, 1.0, "max", None, "fail"),
        (None, 1.0, "min", None, "fail"),
        (float("nan"), 1.0, "max", None, "fail"),
        (float("nan"), 1.0, "min", None, "fail"),
        (float("inf"), 1.0, "max", None, "fail"),
    ],
)
def test_a_figure_is_held_against_its_limit(
    measured: float | None, limit: float, bound: Bound, worst: float | None, status: Status
) -> None:
    found = judge("drop_points", "int8", measured, limit, bound, "host", "points", worst)
    assert found is not None
    assert (found.status, found.limit, found.evidence) == (status, limit, "host")


def test_where_there_is_no_limit_there_is_no_check() -> None:
    assert judge("size_mb", "int8", 3.0, None, "max", "host", not_judged="another machine") is None


@pytest.mark.parametrize("measured", [0.5, 5.0, None])
def test_what_the_evidence_cannot_tell_neither_passes_nor_fails(measured: float | None) -> None:
    found = judge("latency_p50_ms", "int8", measured, 1.0, "max", "host", not_judged="another machine")
    assert found is not None
    assert (found.status, found.reason) == ("not_judged", "another machine")
    assert verdict.holds([found]) and verdict.holds([found], strict=True)


@pytest.mark.parametrize(
    ("statuses", "plain", "strict"),
    [
        ([], True, True),
        (["pass", "not_judged"], True, True),
        (["pass", "pass_point"], True, False),
        (["pass", "fail"], False, False),
        (["not_judged", "pass_point", "fail"], False, False),
    ],
)
def test_a_failed_check_blocks_and_strict_asks_for_the_whole_interval(
    statuses: list[Status], plain: bool, strict: bool
) -> None:
    checks = [check(status) for status in statuses]
    assert verdict.holds(checks) is plain
    assert verdict.holds(checks, strict=True) is strict


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [
        (["device"], "device"),
        (["device", "emulator"], "emulator"),
        (["host", "emulator", "device"], "host"),
        (["device", "rules", "host"], "rules"),
    ],
)
def test_the_weakest_evidence_counts(levels: list[Evidence], wanted: Evidence) -> None:
    assert verdict.weakest(levels) == wanted
    assert verdict.weakest(reversed(levels)) == wanted


def test_gates_laid_over_others_win_where_they_are_set() -> None:
    base = Gates(max_drop=1.0, min_agreement=0.97, max_cpu_nodes=3)
    laid = Gates(max_drop=2.5, max_cpu_nodes=0).over(base)
    assert (laid.max_drop, laid.min_agreement, laid.max_cpu_nodes) == (2.5, 0.97, 0)
    assert Gates().over(base) == base
    assert base.over(Gates()) == base


@pytest.mark.parametrize(
    "gates",
    [
        {"min_agreement": 1.01},
        {"max_size_mb": 0},
        {"max_drop": float("nan")},
        {"min_agreement": float("nan")},
        {"max_contexts": 0},
        {"min_speedup": -1},
        {"max_latency": 5},
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(gates: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Gates.model_validate(gates)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, "size_mb (int8): 23.12 MB, must be <= 30 MB [pass, host]"),
        ({"bound": "min", "status": "fail"}, "size_mb (int8): 23.12 MB, must be >= 30 MB [fail, host]"),
        (
            {"measured": None, "unit": "", "status": "not_judged", "reason": "no board"},
            "size_mb (int8): not measured, must be <= 30 [not_judged, host]: no board",
        ),
    ],
)
def test_a_check_is_told_in_one_line(changes: dict[str, object], wanted: str) -> None:
    assert check("pass").model_copy(update=changes).describe() == wanted
