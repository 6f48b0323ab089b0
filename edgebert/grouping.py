"""How many rows are answered rightly, for each value of a column: a mean hides what a model cannot do at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgebert.data import Row
from edgebert.device import decoding
from edgebert.errors import nearest
from edgebert.intervals import wilson
from edgebert.tasks import Answer, Task
from edgebert.verdict import Value


def fault(task: Task, rows: Sequence[Row], column: str) -> str | None:
    """Why rows cannot be told apart by a column, or None."""
    known = {name for row in rows for name in row} - set(task.COLUMNS)
    if column not in known:
        others = nearest(column, known) if known else "there is none"
        return f"--by {column}: no such column beside the task's own; {others}"
    return None


def right(task: Task, rows: Sequence[Row], answers: Sequence[Answer], column: str) -> dict[str, dict[str, Any]]:
    """Share of rows whose whole answer is the true one, with Wilson's interval, by value; the worst first.

    A row without the column counts under "". Empty where the task's answers are not right or wrong.
    """
    hits: dict[str, list[bool]] = {}
    for row, answer in zip(rows, answers, strict=True):
        found = decoding.right(task.NAME, answer, task.truth(row))
        if found is not None:
            hits.setdefault(str(row.get(column, "")), []).append(found)
    shares = {
        value: Value(value=sum(some) / len(some), rows=len(some), ci95=wilson(sum(some), len(some)))
        for value, some in hits.items()
    }
    return {value: share.model_dump() for value, share in sorted(shares.items(), key=lambda one: one[1].value)}
