"""Tables of what `predict` answered, one for each kind of answer that is no label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text


def spans(answers: Sequence[dict[str, Any]]) -> Table:
    """One line a question: the answer, where it is in the context and how sure that is."""
    table = Table("answer", "characters", "score", "", header_style="bold", box=box.SIMPLE_HEAD)
    for answer in answers:
        found = answer["start"] is not None
        text = Text(answer["answer"]) if found else Text("no answer in this context", style="dim")
        place = f"{answer['start']}-{answer['end']}" if found else ""
        notes = "question was cut" if answer["truncated"] else ""
        table.add_row(text, place, f"{answer['score']:.3f}", notes)
    return table
