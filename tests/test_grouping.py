"""Rows that are right, by the values of a column."""

from typing import Any

import pytest

from edgebert import grouping, members
from edgebert.intervals import wilson

CLASSES, TWO_TEXTS = (members.find("tasks", name) for name in ("text-classification", "regression"))
ROWS: list[dict[str, Any]] = [
    {"text": "a", "label": ["x"], "kind": "plain"},
    {"text": "b", "label": [], "kind": "plain"},
    {"text": "c", "label": ["x", "y"], "kind": "odd"},
    {"text": "d", "label": ["y"]},
]


def said(*labels: str) -> dict[str, Any]:
    return {"labels": [{"label": label, "score": 0.9} for label in labels]}


def test_the_share_of_each_value_comes_worst_first() -> None:
    answers = [said("x"), said("x"), said("y"), said("y")]
    found = grouping.right(CLASSES, ROWS, answers, "kind")
    assert [(name, one["value"], one["rows"]) for name, one in found.items()] == [
        ("odd", 0.0, 1),
        ("plain", 0.5, 2),
        ("", 1.0, 1),
    ]
    assert found["plain"]["ci95"] == wilson(1, 2)


def test_answers_that_are_not_right_or_wrong_are_not_counted() -> None:
    rows = [{"text": "a", "text_pair": "b", "label": 1.0, "kind": "plain"}]
    assert grouping.right(TWO_TEXTS, rows, [{"score": 1.0}], "kind") == {}


@pytest.mark.parametrize(("column", "told"), [("kinds", "did you mean 'kind'?"), ("label", "known: kind")])
def test_a_column_that_is_not_there_is_told(column: str, told: str) -> None:
    assert grouping.fault(CLASSES, ROWS, "kind") is None
    assert told in str(grouping.fault(CLASSES, ROWS, column))
