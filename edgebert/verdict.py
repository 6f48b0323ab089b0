"""Gates, checks and the verdict of one bundle."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, Field

from edgebert.tables import Table

Evidence = Literal["device", "emulator", "host", "rules"]
EVIDENCE: tuple[Evidence, ...] = ("rules", "host", "emulator", "device")  # weakest first
Status = Literal["pass", "pass_point", "fail", "not_judged"]
CheckName = Literal[
    "drop_points",
    "agreement",
    "above_chance",
    "size_mb",
    "bytes_per_parameter",
    "speedup",
    "latency_p50_ms",
    "int8_matmul_share",
    "golden_max_abs_diff",
    "peak_memory_mb",
    "cpu_nodes",
    "contexts",
    "flex_ops",
    "graph_rules",
    "instruction_ratio",
]


class Gates(Table):
    """Limits a bundle must keep; None: the figure is not gated. Points are hundredths of the metric."""

    max_drop: float | None = Field(default=None, ge=-100, le=100, description="points, shipped below teacher")
    min_agreement: float | None = Field(default=None, ge=0, le=1)
    max_size_mb: float | None = Field(default=None, gt=0, description="10^6 bytes, each model file")
    max_bytes_per_parameter: float | None = Field(default=None, gt=0)
    min_speedup: float | None = Field(default=None, gt=0, description="reference's time over shipped's")
    max_latency_p50_ms: float | None = Field(default=None, gt=0)
    min_int8_matmul_share: float | None = Field(default=None, ge=0, le=1)
    golden_max_abs_diff: float | None = Field(default=None, ge=0)
    max_peak_memory_mb: float | None = Field(default=None, gt=0)
    max_cpu_nodes: int | None = Field(default=None, ge=0)
    max_contexts: int | None = Field(default=None, ge=1)
    max_instruction_ratio: float | None = Field(default=None, gt=0, description="shipped's over the reference's")

    def over(self, base: Gates) -> Gates:
        """These gates laid on `base`: what is set here wins."""
        return base.model_copy(update=self.model_dump(exclude_none=True))


BUILT_IN = Gates(max_drop=1.0, min_agreement=0.97, golden_max_abs_diff=1e-4)


class Value(BaseModel):
    """A score with the rows it was measured on and its 95 % interval."""

    value: float
    rows: int
    ci95: tuple[float, float]


class Drop(BaseModel):
    """Teacher minus shipped, in points, with its paired 95 % interval."""

    points: float
    ci95: tuple[float, float]


class Score(BaseModel):
    """One metric of one model file on one split."""

    metric: str
    split: str
    teacher: Value | None = None
    unpruned: Value | None = None
    reference: Value | None = None
    shipped: Value | None = None
    drop: Drop | None = None
    agreement: Value | None = None


class Latency(BaseModel):
    """Percentiles of single inferences, in milliseconds; None: what measured them tells no such percentile."""

    model: str
    which: Literal["shipped", "reference", "unpruned"]
    scope: Literal["model", "end_to_end"]
    lengths: Literal["natural"] | int
    threads: int
    p50_ms: float
    p90_ms: float | None
    p99_ms: float | None
    load_ms: float | None = None
    first_ms: float | None = None
    runs: int
    evidence: Evidence
    host: str
    measured_at: str


class Speedup(BaseModel):
    """The reference's time over the shipped file's, paired text by text."""

    model: str
    against: Literal["reference", "unpruned"]
    lengths: Literal["natural"] | int
    value: float
    p10: float
    p90: float
    evidence: Evidence


class Raced(Table):
    """What a race of a profile's quantizers found.

    `ratios`: what each file takes of what the fp32 file takes, in time (device, host) or instructions (emulator),
    by quantizer; `on` is the model of the board, or the CPU; `failed` are those whose file does not hold its gates
    on dev, which cannot win.
    """

    quantizer: str
    evidence: Literal["device", "emulator", "host"]
    on: str
    ratios: dict[str, float] = Field(min_length=1)
    failed: list[str] = Field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Of the winner."""
        return self.ratios[self.quantizer]


class Check(BaseModel):
    """One measured figure against its limit."""

    name: CheckName
    model: str
    measured: float | None
    limit: float | None
    bound: Literal["max", "min"]
    unit: str
    status: Status
    reason: str | None = None
    evidence: Evidence

    def describe(self) -> str:
        """One line for people."""
        sign = "<=" if self.bound == "max" else ">="
        unit = f" {self.unit}" if self.unit else ""
        measured = "not measured" if self.measured is None else f"{self.measured:.4g}{unit}"
        text = f"{self.name} ({self.model}): {measured}, must be {sign} {self.limit:.4g}{unit}"
        return f"{text} [{self.status}, {self.evidence}]" + (f": {self.reason}" if self.reason else "")


class Verdict(BaseModel):
    """What became of one target."""

    target: str
    passed: bool
    level: Evidence
    checks: list[Check]
    bundle: str | None = None
    digest: str | None = None


def judge(
    name: CheckName,
    model: str,
    measured: float | None,
    limit: float | None,
    bound: Literal["max", "min"],
    evidence: Evidence,
    unit: str = "",
    worst: float | None = None,
    not_judged: str | None = None,
) -> Check | None:
    """Hold a figure against a limit; None where there is no limit.

    `worst` is the unfavourable end of the figure's interval: an estimate that holds while its interval does not
    is `pass_point`. `not_judged` is the reason why the evidence at hand cannot tell.
    """
    if limit is None:
        return None
    holds = measured is not None and (measured <= limit if bound == "max" else measured >= limit)
    status: Status = "pass" if holds else "fail"
    if holds and worst is not None and not (worst <= limit if bound == "max" else worst >= limit):
        status = "pass_point"
    if not_judged is not None:
        status = "not_judged"
    return Check(
        name=name,
        model=model,
        measured=measured,
        limit=limit,
        bound=bound,
        unit=unit,
        status=status,
        reason=not_judged,
        evidence=evidence,
    )


def weakest(levels: Iterable[Evidence]) -> Evidence:
    """The weakest of several kinds of evidence."""
    return min(levels, key=EVIDENCE.index)


def holds(checks: Iterable[Check], strict: bool = False) -> bool:
    """Whether no judged check failed; `strict` also refuses estimates whose interval does not hold."""
    bad = {"fail", "pass_point"} if strict else {"fail"}
    return all(check.status not in bad for check in checks)
