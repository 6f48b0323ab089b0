"""Hold what was measured of a bundle against the gates of its target."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from edgebert.manifest import ModelFile
from edgebert.measured import Measured
from edgebert.target import Target
from edgebert.verdict import Check, Evidence, Gates, Latency, Raced, Speedup, judge, weakest

FLOAT_PRODUCTS = ("fp32", "fp16", "int8_weights")  # precisions that promise no int8 product


def placement_evidence(target: Target) -> Evidence:
    """How it is known where the nodes run: a CPU file runs here as there, an accelerator's only by the rules."""
    return "host" if target.hardware.accelerator == "none" else "rules"


def level(target: Target) -> Evidence:
    """The weakest evidence among accuracy, placement and latency of a bundle that was only built."""
    return weakest(["host", placement_evidence(target)])


def speed_not_judged(target: Target) -> str | None:
    """Why this machine's speed says nothing of the target's, or None where it is of the target's own kind."""
    if target.hardware.accelerator != "none":
        return f"the {target.hardware.accelerator} of {target.name} is not in this machine"
    if target.hardware.arch != platform.machine():
        return f"this machine is {platform.machine()}, the target {target.hardware.arch}"
    if target.hardware.cpu:
        return f"this machine is not known to be a {target.hardware.cpu}"
    return None


def checks(target: Target, gates: Gates, found: Measured, default: str, raced: Raced | None = None) -> list[Check]:
    """Every check of a bundle whose default model is `default`; those that cannot be judged here say why.

    Where its file won a race, it may not be slower than fp32 on that evidence, unless a gate says otherwise.
    """
    judged: list[Check | None] = []
    unjudged = speed_not_judged(target)
    for file in found.files:
        judged += _accuracy(gates, file, found.chance, found.golden_diff[file.id])
        judged += _contents(gates, target, file, found.violations[file.id])
    if raced is not None and raced.evidence in ("device", "host"):
        gates = gates.over(Gates(min_speedup=1.0))
    judged += _speed(gates, found.latency, found.speedup, default, unjudged, raced)
    peak = found.peak_memory_mb.get(default)
    judged.append(
        judge(
            "peak_memory_mb",
            default,
            peak,
            gates.max_peak_memory_mb,
            "max",
            "host",
            "MB",
            not_judged=unjudged,
        )
    )
    judged += _accelerator(gates, target, default)
    judged.append(_instructions(gates, default, raced))
    return [check for check in judged if check is not None]


def _accuracy(gates: Gates, file: ModelFile, chance: float, golden_diff: float) -> list[Check | None]:
    score, name = file.scores[0], file.id
    judged: list[Check | None] = []
    if (drop := score.drop) is not None:
        worst = drop.ci95[1]
        judged.append(judge("drop_points", name, drop.points, gates.max_drop, "max", "host", "points", worst))
    if (same := score.agreement) is not None:
        judged.append(judge("agreement", name, same.value, gates.min_agreement, "min", "host", "", same.ci95[0]))
    if (base := score.reference) is not None:
        judged.append(judge("above_chance", name, base.value, chance, "min", "host", "", base.ci95[0]))
    limit = gates.golden_max_abs_diff
    judged.append(judge("golden_max_abs_diff", name, golden_diff, limit, "max", "host", "logits"))
    return judged


def _contents(gates: Gates, target: Target, file: ModelFile, violations: list[str]) -> list[Check | None]:
    judged: list[Check | None] = []
    name, count = file.id, float(len(violations))
    if file.precision not in FLOAT_PRODUCTS:
        share = gates.min_int8_matmul_share
        judged.append(judge("int8_matmul_share", name, file.int8_matmul_share, share, "min", "rules"))
    if target.format == "tflite":
        judged.append(judge("flex_ops", name, count, 0.0, "max", "rules", "operators"))
    elif target.hardware.accelerator != "none":
        rules = judge("graph_rules", name, count, 0.0, "max", "rules", "violations")
        reason = "; ".join(violations[:3]) or None
        judged.append(rules.model_copy(update={"reason": reason}) if rules else None)
    judged.append(judge("size_mb", name, file.bytes / 1e6, gates.max_size_mb, "max", "host", "MB"))
    each = file.bytes / file.parameters if file.parameters else None
    judged.append(judge("bytes_per_parameter", name, each, gates.max_bytes_per_parameter, "max", "host", "B"))
    return judged


def _speed(
    gates: Gates,
    latency: Sequence[Latency],
    speedups: Sequence[Speedup],
    model: str,
    unjudged: str | None,
    raced: Raced | None,
) -> list[Check | None]:
    """Speed-up and latency; the speed-up is that of the race where it was run on the target's own board."""
    ratio = next((s for s in speedups if s.model == model and s.against == "reference"), None)
    p50 = next(
        (x.p50_ms for x in latency if x.model == model and x.which == "shipped" and x.scope == "model"), None
    )
    faster = judge(
        "speedup",
        model,
        ratio.value if ratio else None,
        gates.min_speedup,
        "min",
        "host",
        "x",
        ratio.p10 if ratio else None,
        not_judged=unjudged,
    )
    if raced is not None and raced.evidence == "device":
        faster = judge("speedup", model, round(1 / raced.ratio, 4), gates.min_speedup, "min", "device", "x")
    return [
        faster,
        judge("latency_p50_ms", model, p50, gates.max_latency_p50_ms, "max", "host", "ms", not_judged=unjudged),
    ]


def _instructions(gates: Gates, model: str, raced: Raced | None) -> Check | None:
    most = gates.max_instruction_ratio
    if raced is not None and raced.evidence == "emulator":
        limit = 1.0 if most is None else most
        return judge("instruction_ratio", model, raced.ratio, limit, "max", "emulator")
    uncounted = "counted by `edgebert validate --on qemu`"
    return judge("instruction_ratio", model, None, most, "max", "host", not_judged=uncounted)


def _accelerator(gates: Gates, target: Target, model: str) -> list[Check | None]:
    reason = f"no compiler of {target.name} has seen this file"
    cpu_nodes = None if gates.max_cpu_nodes is None else float(gates.max_cpu_nodes)
    contexts = None if gates.max_contexts is None else float(gates.max_contexts)
    return [
        judge("cpu_nodes", model, None, cpu_nodes, "max", "rules", "nodes", not_judged=reason),
        judge("contexts", model, None, contexts, "max", "rules", "contexts", not_judged=reason),
    ]
