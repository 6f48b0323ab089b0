"""Tables that need nothing but the data: targets, and what is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from edgebert.target import Target


def targets(found: Sequence[Target]) -> Table:
    """The shipped profiles."""
    table = Table("target", "what", "format", "quantizer", "runtime", header_style="bold", box=box.SIMPLE_HEAD)
    for one in found:
        runtime = f"{one.runtime.name} {one.runtime.version}"
        table.add_row(one.name, one.description, one.format, ", ".join(one.quantizer), runtime)
    return table


def examination(report: dict[str, Any]) -> Table:
    """What `doctor` found."""
    table = Table("part", "state", "what it is for, or what mends it", header_style="bold", box=box.SIMPLE_HEAD)
    for part in report["parts"]:
        colour = {"ready": "[green]ready[/]", "absent": "[yellow]absent[/]"}[part["state"]]
        table.add_row(escape(part["name"]), colour, escape(part["about"]))
    return table


def exported(found: dict[str, Any]) -> str:
    """What `export-client` wrote, and what to do with it."""
    lines = [f"{found['client']} client in {found['out']}: {found['files']} files, {found['bytes'] / 1e6:.1f} MB"]
    return escape("\n".join([*lines, *(f"  {line}" for line in found["next"])]))
