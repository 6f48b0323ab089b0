from __future__ import annotations

import platform
from typing import Any

import pytest

from edgebert import judgement, target as targets, verdict
from edgebert.artifact import Signature
from edgebert.intervals import wilson
from edgebert.manifest import ModelFile
from edgebert.measured import Measured
from edgebert.target import Target
from edgebert.verdict import Check, Drop, Gates, Latency, Score, Speedup, Value

GATES = Gates(
    max_drop=1.0,
    min_agreement=0.97,
    golden_max_abs_diff=1e-4,
    max_size_mb=30,
    max_bytes_per_parameter=1.1,
    min_int8_matmul_share=0.95,
)
SPEED = Gates(min_speedup=1.5, max_latency_p50_ms=20, max_peak_memory_mb=200)
RATIO = Speedup(model="int8", against="reference", lengths="natural", value=2, p10=1.8, p90=2.2, evidence="host")


def value(hits: int, rows: int = 10_000) -> Value:
    return Value(value=hits / rows, rows=rows, ci95=wilson(hits, rows))


def score(**changes: Any) -> Score:
    found = Score(metric="accuracy", split="test", reference=value(9000), agreement=value(9900))
    found.drop = Drop(points=0.2, ci95=(-0.1, 0.5))
    return found.model_copy(update=changes)


def model_file(**changes: Any) -> ModelFile:
    found = ModelFile(
        id="int8",
        file="onnx/model_quantized.onnx",
        format="onnx",
        precision="int8",
        bytes=23_000_000,
        parameters=22_700_000,
        opset=17,
        ir_version=8,
        ops={},
        int8_matmul_share=1.0,
        kept_float=[],
        session={},
        signature=Signature(inputs=[], outputs=[]),
        placement={},
        scores=[score()],
    )
    return found.model_copy(update=changes)


def latency(**changes: Any) -> Latency:
    found = Latency(
        model="int8",
        which="shipped",
        scope="model",
        lengths="natural",
        threads=1,
        p50_ms=10.0,
        p90_ms=12.0,
        p99_ms=15.0,
        runs=100,
        evidence="host",
        host="a machine",
        measured_at="2026-01-01T00:00:00Z",
    )
    return found.model_copy(update=changes)


def measured(file: ModelFile | None = None, **changes: Any) -> Measured:
    file = file or model_file()
    found = Measured(
        files=[file],
        latency=[latency(which="reference", p50_ms=50.0), latency(scope="end_to_end", p50_ms=40.0), latency()],
        speedup=[RATIO],
        peak_memory_mb={"int8": 120.0},
        golden_diff={file.id: 0.0},
        violations={file.id: []},
        decoding={},
        out_of_scope=None,
        chance=0.4,
        test_scored=1,
    )
    return found.model_copy(update=changes)


def judged(target: Target, gates: Gates, found: Measured, default: str = "int8") -> dict[str, Check]:
    checks = judgement.checks(target, gates, found, default)
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def own_kind() -> Target:
    """A CPU target of this machine's own architecture, of no CPU in particular."""
    target = targets.load("arm-cpu")
    return target.model_copy(update={"hardware": target.hardware.model_copy(update={"arch": platform.machine()})})


def other_arch() -> Target:
    return targets.load("x86-64" if platform.machine() == "aarch64" else "raspberry-pi-5")


def test_a_bundle_within_its_gates_passes_every_check() -> None:
    checks = judged(targets.load("raspberry-pi-5"), GATES, measured())
    assert set(checks) == {
        "drop_points",
        "agreement",
        "above_chance",
        "golden_max_abs_diff",
        "int8_matmul_share",
        "size_mb",
        "bytes_per_parameter",
    }
    assert {check.status for check in checks.values()} == {"pass"}
    assert checks["size_mb"].measured == 23.0


@pytest.mark.parametrize(
    ("found", "failed"),
    [
        (measured(model_file(scores=[score(drop=Drop(points=1.2, ci95=(0.8, 1.6)))])), {"drop_points"}),
        (measured(model_file(scores=[score(agreement=value(9600))])), {"agreement"}),
        (measured(model_file(scores=[score(reference=value(3000))])), {"above_chance"}),
        (measured(golden_diff={"int8": 0.01}), {"golden_max_abs_diff"}),
        (measured(model_file(int8_matmul_share=0.9)), {"int8_matmul_share"}),
        (measured(model_file(bytes=31_000_000, parameters=31_000_000)), {"size_mb"}),
        (measured(model_file(parameters=11_000_000)), {"bytes_per_parameter"}),
        (measured(model_file(parameters=0)), {"bytes_per_parameter"}),
    ],
)
def test_a_figure_beyond_its_gate_fails_its_own_check(found: Measured, failed: set[str]) -> None:
    checks = judged(targets.load("raspberry-pi-5"), GATES, found)
    assert {name for name, check in checks.items() if check.status == "fail"} == failed


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"drop": Drop(points=0.8, ci95=(0.3, 1.3))}, "drop_points"),
        ({"agreement": value(98, 100)}, "agreement"),
        ({"reference": value(45, 100)}, "above_chance"),
    ],
)
def test_an_estimate_whose_interval_does_not_hold_passes_as_a_point(changes: dict[str, Any], name: str) -> None:
    checks = judged(targets.load("raspberry-pi-5"), GATES, measured(model_file(scores=[score(**changes)])))
    assert {n for n, check in checks.items() if check.status == "pass_point"} == {name}
    assert verdict.holds(checks.values()) and not verdict.holds(checks.values(), strict=True)


def test_only_the_gated_metric_is_judged() -> None:
    bad = score(metric="macro_f1", drop=Drop(points=50, ci95=(40, 60)), agreement=value(0))
    checks = judged(targets.load("raspberry-pi-5"), GATES, measured(model_file(scores=[score(), bad])))
    assert verdict.holds(checks.values(), strict=True)


@pytest.mark.parametrize("precision", judgement.FLOAT_PRODUCTS)
def test_a_file_of_float_products_is_not_asked_for_its_int8_share(precision: str) -> None:
    found = measured(model_file(precision=precision, int8_matmul_share=0.0))
    assert "int8_matmul_share" not in judged(targets.load("raspberry-pi-5"), GATES, found)


@pytest.mark.parametrize(
    ("name", "check"),
    [("android-cpu", "flex_ops"), ("jetson-orin-nano", "graph_rules"), ("qualcomm-htp", "graph_rules")],
)
def test_a_violation_of_the_targets_rules_fails(name: str, check: str) -> None:
    target = targets.load(name)
    assert judged(target, GATES, measured())[check].status == "pass"
    found = judged(target, GATES, measured(violations={"int8": ["FlexErf", "a dynamic shape"]}))[check]
    assert (found.status, found.measured, found.evidence) == ("fail", 2.0, "rules")


def test_a_broken_graph_rule_is_named() -> None:
    found = measured(violations={"int8": [f"rule {i}" for i in range(9)]})
    assert "rule 0" in str(judged(targets.load("qualcomm-htp"), GATES, found)["graph_rules"].reason)


def test_speed_is_judged_on_a_machine_of_the_targets_own_kind() -> None:
    checks = judged(own_kind(), SPEED, measured())
    assert (checks["speedup"].status, checks["speedup"].measured) == ("pass", 2.0)
    assert (checks["latency_p50_ms"].status, checks["latency_p50_ms"].measured) == ("pass", 10.0)
    assert (checks["peak_memory_mb"].status, checks["peak_memory_mb"].measured) == ("pass", 120.0)
    slow = measured(latency=[latency(p50_ms=30.0)], speedup=[], peak_memory_mb={"int8": 300.0})
    assert {check.status for check in judged(own_kind(), SPEED, slow).values() if check.unit} == {"fail"}


def test_a_speedup_that_most_texts_do_not_reach_passes_as_a_point() -> None:
    ratio = RATIO.model_copy(update={"value": 1.6, "p10": 1.2})
    beside = RATIO.model_copy(update={"against": "unpruned", "value": 9.0})
    checks = judged(own_kind(), SPEED, measured(speedup=[beside, ratio]))
    assert (checks["speedup"].status, checks["speedup"].measured) == ("pass_point", 1.6)


def with_cpu() -> Target:
    hardware = own_kind().hardware.model_copy(update={"cpu": "cortex-a76"})
    return own_kind().model_copy(update={"hardware": hardware})


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (other_arch(), f"this machine is {platform.machine()}"),
        (targets.load("jetson-orin-nano"), "the gpu of jetson-orin-nano"),
        (targets.load("qualcomm-htp"), "the npu of qualcomm-htp"),
        (with_cpu(), "cortex-a76"),
    ],
)
def test_speed_of_another_machine_is_not_judged_and_says_why(target: Target, reason: str) -> None:
    checks = judged(target, SPEED, measured(latency=[latency(p50_ms=9999.0)]))
    for name in ("speedup", "latency_p50_ms", "peak_memory_mb"):
        assert checks[name].status == "not_judged"
        assert reason in str(checks[name].reason)


def test_what_only_a_vendors_compiler_can_tell_is_not_judged() -> None:
    checks = judged(targets.load("qualcomm-htp"), Gates(max_cpu_nodes=0, max_contexts=1), measured())
    for name in ("cpu_nodes", "contexts"):
        assert (checks[name].status, checks[name].measured) == ("not_judged", None)
        assert "qualcomm-htp" in str(checks[name].reason)


def test_every_file_that_ships_is_judged() -> None:
    second = model_file(id="fp16", precision="fp16", scores=[score(agreement=value(9000))])
    found = measured(
        files=[model_file(), second], golden_diff={"int8": 0.0, "fp16": 0.0}, violations={"int8": [], "fp16": []}
    )
    checks = judgement.checks(targets.load("jetson-orin-nano"), GATES, found, "int8")
    assert [(check.name, check.model) for check in checks if check.status == "fail"] == [("agreement", "fp16")]


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("raspberry-pi-5", "host"),
        ("android-cpu", "host"),
        ("jetson-orin-nano", "rules"),
        ("qualcomm-htp", "rules"),
    ],
)
def test_the_level_of_a_build_is_what_this_machine_can_tell(name: str, level: str) -> None:
    assert judgement.level(targets.load(name)) == level
