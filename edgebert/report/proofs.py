"""What `validate` found, for people."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgebert.proof import Instructions, Proof
from edgebert.report import cells
from edgebert.verdict import Latency


def found_there(found: Proof, path: Path) -> RenderableType:
    """What `validate` found."""
    lines: list[RenderableType] = [cells.checks(found.checks)]
    if found.score is not None and found.host_score is not None:
        lines.append(
            f"score {cells.with_interval(found.score)} on {found.score.rows} rows; "
            f"here {found.host_score.value:.3f}"
        )
    if (compared := found.comparison) is not None:
        largest = "not finite" if compared.largest is None else f"{compared.largest:.3g}"
        lines.append(
            f"{compared.same} of {compared.compared} rows answered as by {compared.against} (of {compared.rows}, "
            f"those whose margin exceeds the tolerance {compared.tolerance:.3g}); largest difference "
            f"{largest}"
        )
    if (cut := found.tokenizer) is not None:
        differ = f"{cut['differ']} not as here" if cut["differ"] else "all as here"
        lines.append(f"{cut['rows']} golden rows tokenized by the bundle's own code: {differ}")
    if (counted := found.instructions) is not None:
        lines.append(_counts(counted))
    for one in found.latency:
        p90, p99 = cells.milliseconds(one.p90_ms), cells.milliseconds(one.p99_ms)
        times = f"{one.which}: p50 {one.p50_ms:.2f} ms, p90 {p90}, p99 {p99}"
        lines.append(f"{times}; {one.threads} threads, {one.runs} runs{_length(one)}, evidence {one.evidence}")
    if (ratio := found.speedup) is not None:
        lines.append(f"{ratio.value:.2f}x the reference's speed ({ratio.p10:.2f} to {ratio.p90:.2f})")
    if (long := found.sustained) is not None:
        ends = ""
        if "first_quarter_p50_ms" in long:
            ends = f"; first quarter {long['first_quarter_p50_ms']:.2f}, last {long['last_quarter_p50_ms']:.2f}"
        lines.append(f"sustained {long['seconds']:.0f} s: p50 {long['p50_ms']:.2f} ms{ends}")
    lines += [Text(f"{name} not measured: {why}", style="dim") for name, why in found.not_measured.items()]
    lines.append(said(found))
    return Group(*lines, Text(f"proof: {path}", style="dim"))


def said(found: Proof) -> Text:
    """One line of a proof: where, with what, to which end."""
    runtime = f"{found.runtime['name']} {found.runtime['version']}"
    machine = found.host.get("board") or found.host.get("cpu") or ""
    evidence = ", ".join(sorted(set(found.evidence.values()))) or "none for this target"
    outcome = ("passed", "green") if found.passed else ("failed", "bold red")
    if not found.valid:
        outcome = (f"invalid: {'; '.join(found.slowed)}", "yellow")
    ratio = found.instructions.ratio if found.instructions else None
    counted = f", instruction ratio {ratio:.3f}" if ratio is not None else ""
    where = f"{found.transport} {found.measured_at}: {machine}, {runtime}, {found.rows} rows{counted}"
    said = f"{where}, evidence {evidence}: "
    return Text.assemble(said, outcome)


def _counts(found: Instructions) -> Table:
    """Millions of instructions of one inference, by class."""
    files = {"shipped": found.shipped, "reference": found.reference or {}}
    table = Table("instructions (10^6)", *found.shipped, "all", header_style="bold", box=box.SIMPLE_HEAD)
    for which, classes in files.items():
        if classes:
            figures = [f"{value / 1e6:.2f}" for value in [*classes.values(), sum(classes.values())]]
            table.add_row(which, *figures)
    if found.ratio is not None:
        lengths = ", ".join(map(str, found.tokens))
        table.caption = f"ratio {found.ratio:.3f}: one inference, mean of golden rows of {lengths} tokens"
    return table


def _length(one: Latency) -> str:
    return "" if one.lengths == "natural" else f" of {one.lengths} tokens"
