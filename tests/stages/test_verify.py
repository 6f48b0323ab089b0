"""verify: what it tells of texts that no label fits; its life is the contract tests'."""

from __future__ import annotations

from typing import Any

import pytest

from edgebert.stages import verify


def single(score: float, in_scope: bool | None) -> dict[str, Any]:
    return {"label": "a", "score": score, "scores": {"a": score, "b": 1 - score}, "in_scope": in_scope}


def several(a: float, b: float) -> dict[str, Any]:
    scores = {"a": a, "b": b}
    return {"labels": [{"label": k, "score": v} for k, v in scores.items() if v >= 0.5], "scores": scores}


def test_texts_out_of_scope_are_told_by_the_threshold() -> None:
    inside = [single(0.9, True), single(0.8, True), single(0.6, False), single(0.95, True)]
    found = verify._out_of_scope(0.7, inside, [single(0.55, False), single(0.85, True)])
    assert found is not None
    assert (found.threshold, found.rows, found.false_rejection, found.false_acceptance) == (0.7, 2, 0.25, 0.5)
    assert found.auroc == pytest.approx((4 + 2) / 8)


def test_with_several_labels_a_text_is_out_of_scope_where_none_holds() -> None:
    inside = [several(0.9, 0.1), several(0.4, 0.3), several(0.2, 0.7), several(0.6, 0.9)]
    found = verify._out_of_scope(None, inside, [several(0.1, 0.2), several(0.1, 0.55)])
    assert found is not None
    assert (found.threshold, found.false_rejection, found.false_acceptance) == (None, 0.25, 0.5)
    assert found.auroc == pytest.approx((4 + 3) / 8)


def test_nothing_is_told_of_scope_where_no_row_has_a_label() -> None:
    assert verify._out_of_scope(None, [], [several(0.1, 0.2)]) is None
