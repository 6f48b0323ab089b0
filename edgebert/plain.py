"""What a task answers to questions that do not concern it: no labels, nothing tuned, every output counts.

A task takes from here by name what holds for it, and writes the rest itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]


def group(row: Mapping[str, Any]) -> str:
    """All rows are of one kind, so that a held-out split is stratified by nothing."""
    return ""


def labels(rows: Rows) -> list[str]:
    """None: answers are of no fixed set."""
    return []


def labels_fault(labels: Sequence[str]) -> str | None:
    """Nothing is wrong with none."""
    return None


def unknown(rows: Rows, labels: Sequence[str]) -> list[str]:
    """None."""
    return []


def misfit(rows: Rows, decoding: Mapping[str, Any]) -> str | None:
    """Rows that are sound one by one are so together."""
    return None


def places(align: Mapping[str, Any]) -> list[int] | None:
    """All: outputs are of the whole text, or of every token alike."""
    return None


def tuned(decoding: Mapping[str, Any]) -> tuple[str, ...]:
    """Nothing is tuned."""
    return ()


def tune(rows: Rows, answers: Rows, decoding: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing is tuned."""
    return {}
