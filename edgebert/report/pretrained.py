"""The table that a pre-training ends with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def summary(found: Mapping[str, Any]) -> RenderableType:
    """The held-out figures by step, and where the model is."""
    pair = next((name for name in ("sop_accuracy", "nsp_accuracy") if found[name] is not None), None)
    table = Table(title=found["name"], title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("step", "perplexity", *([f"{pair[:3].upper()} accuracy (95 %)"] if pair else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found["held_out"]:
        table.add_row(str(one["step"]), f"{one['perplexity']:.1f}", *([_with_interval(one[pair])] if pair else []))
    rows = found["text"]["valid"]["rows"]
    legend = f"perplexity of the masked pieces of {rows} held-out segments, masked alike in every run."
    first, last = found["perplexity"]["first"], found["perplexity"]["last"]
    change = (
        f"From a tenth of the training to its end: {first:.1f} to {last:.1f} ({100 * (last / first - 1):+.0f} %)."
    )
    started = "" if found["from"] == "random weights" else f" Begun with the weights of the {found['from']}."
    model = f"{found['architecture']}, {found['parameters']:,} parameters: {found['model']}"
    return Group(
        table, Text(f"{legend} {change}{started}", style="dim"), Text(model), Text(f"curve: {found['log']}")
    )


def _with_interval(value: Mapping[str, Any]) -> str:
    return f"{value['value']:.3f} ({value['ci95'][0]:.3f}-{value['ci95'][1]:.3f})"
