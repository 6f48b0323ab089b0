"""How figures are written in tables and lines: values with their intervals, checks with their status."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from edgebert.verdict import Check, Drop, Value

_STYLE = {"pass": "green", "pass_point": "yellow", "fail": "bold red", "not_judged": "dim"}


def checks(found: Sequence[Check]) -> Table:
    """One line a check."""
    table = Table(
        "check", "file", "measured", "limit", "status", "evidence", "why", header_style="bold", box=box.SIMPLE_HEAD
    )
    for check in found:
        sign = "<=" if check.bound == "max" else ">="
        measured = "-" if check.measured is None else f"{check.measured:.4g} {check.unit}".strip()
        limit = "-" if check.limit is None else f"{sign} {check.limit:.4g}"
        status = Text(check.status, _STYLE[check.status])
        table.add_row(check.name, check.model, measured, limit, status, check.evidence, check.reason or "")
    return table


def number(value: Value | None) -> str:
    """The value alone."""
    return "-" if value is None else f"{value.value:.3f}"


def with_interval(value: Value | None) -> str:
    """The value and its 95 % interval."""
    return "-" if value is None else f"{value.value:.3f} ({value.ci95[0]:.3f}-{value.ci95[1]:.3f})"


def drop(drop: Drop | None) -> str:
    """Points and their 95 % interval."""
    return "-" if drop is None else f"{drop.points:.2f} ({drop.ci95[0]:.2f} to {drop.ci95[1]:.2f})"


def milliseconds(value: float | None) -> str:
    """To a hundredth; - where a runner told none."""
    return "-" if value is None else f"{value:.2f}"
