"""Answers that are lists: one line for each entity, sentence or piece that was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

COLUMNS = {  # of each kind of answer, by the key that holds the list
    "entities": ("label", "text", "start", "end", "score"),
    "sentences": ("index", "text", "score"),
}


def kind(answers: Sequence[dict[str, Any]]) -> str | None:
    """The key of the lists that these answers are, or None."""
    return next((key for key in COLUMNS if answers and key in answers[0]), None)


def listed(key: str, answers: Sequence[dict[str, Any]]) -> Table:
    """A line for each part of each answer, numbered by its row."""
    table = Table("row", *COLUMNS[key], "", header_style="bold", box=box.SIMPLE_HEAD)
    for number, answer in enumerate(answers, 1):
        note = "text was cut" if answer["truncated"] else ""
        for place, part in enumerate(answer[key]):
            cells = [_cell(part[name]) for name in COLUMNS[key]]
            table.add_row("" if place else str(number), *cells, "" if place else note)
        if not answer[key]:
            table.add_row(str(number), Text(f"no {key}", style="dim"), *[""] * (len(COLUMNS[key]) - 1), note)
    return table


def _cell(value: Any) -> Text:
    return Text(f"{value:.3f}" if isinstance(value, float) else str(value))
