"""From the logits at a mask to the likeliest pieces, and where what is masked stands among them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, softmax  # type: ignore[import-untyped]

from edgebert.device import decoding

TASK = "fill-mask"
LOGITS = np.asarray([0.5, 4.0, -2.0, 3.0, 3.5, 1.0], np.float32)
PIECES = ["[PAD]", "sun", "##s", "rain", "snow", "ice"]


def answer(row: dict[str, Any], labels: list[str] = PIECES, logits: Any = LOGITS, **align: Any) -> dict[str, Any]:
    windows = [{"outputs": {"logits": logits}, "align": align}]
    found = decoding.answer(TASK, windows, {"text": "a [MASK]", **row}, labels, {"top_k": 3})
    assert json.loads(json.dumps(found)) == found
    return found


def test_the_likeliest_pieces_are_told_with_their_probability() -> None:
    found = answer({})
    assert list(found) == ["tokens"]
    assert [one["token"] for one in found["tokens"]] == ["sun", "snow", "rain"]
    assert [one["id"] for one in found["tokens"]] == [1, 4, 3]
    assert [one["score"] for one in found["tokens"]] == pytest.approx(
        softmax(LOGITS.astype(float))[[1, 4, 3]].tolist()
    )


def test_without_the_vocabulary_pieces_are_told_by_number() -> None:
    found = answer({}, labels=[])
    assert [(one["token"], one["id"]) for one in found["tokens"]] == [(None, 1), (None, 4), (None, 3)]


@pytest.mark.parametrize(("number", "rank"), [(1, 0), (4, 1), (2, 5)])
def test_what_is_masked_is_ranked_whether_the_row_or_the_window_tells_it(number: int, rank: int) -> None:
    masked = {"token": PIECES[number], "id": number}
    by_row, by_window = answer({"masked": masked}), answer({}, masked=masked)
    assert by_row == by_window == answer({"masked": PIECES[number]}, masked=masked)
    assert by_row["masked"]["rank"] == rank
    assert by_row["masked"]["nll"] == pytest.approx(-log_softmax(LOGITS.astype(float))[number])


def test_a_word_of_several_pieces_is_never_found() -> None:
    assert answer({"masked": {"token": "suns", "id": None}})["masked"] == {
        "token": "suns",
        "rank": None,
        "nll": None,
    }


def test_of_logits_told_in_part_a_missing_one_is_below_the_others() -> None:
    told = np.where(LOGITS > 2, LOGITS, -np.inf).astype(np.float32)
    found = answer({"masked": {"token": "##s", "id": 2}}, logits=told)
    assert [one["id"] for one in found["tokens"]] == [1, 4, 3]
    assert found["masked"] == {"token": "##s", "rank": 3, "nll": None}
    [(decided, margin)] = decoding.decisions(TASK, {"logits": told}, {}, {})
    assert (decided, margin) == (1, 0.5)


def test_an_answer_is_right_where_its_first_piece_is_the_masked_one() -> None:
    assert decoding.right(TASK, answer({}), {"token": "sun", "id": 1}) is True
    assert decoding.right(TASK, answer({}, labels=[]), {"token": "snow", "id": 4}) is False
    assert decoding.right(TASK, answer({}), {"token": "suns", "id": None}) is False
