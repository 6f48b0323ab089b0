"""Two texts and one label: what is read of them, and which rows are faulty. Scores are classification's."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebert.data import Row
from edgebert.tasks import sentence_pairs as task
from edgebert.tokenization import Encoder

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"text": "x", "text_pair": "y", "label": "a"}, None),
        ({"text": "x", "text_pair": "y", "label": 1}, None),
        (
            {"text": "x", "sentence": "y", "label": "a"},
            "name it: [data.columns] text_pair =",
        ),
        ({"text": "x", "text_pair": " ", "label": "a"}, "text_pair is empty"),
        ({"text": 3, "text_pair": "y", "label": "a"}, "text is int, not text"),
        ({"text": "x", "text_pair": None, "label": "a"}, "text_pair is missing (null)"),
        ({"text": "x", "text_pair": "y", "label": ["a"]}, "must be one label"),
        ({"text": "x", "text_pair": "y"}, "no column 'label'"),
    ],
)
def test_a_faulty_row_is_told(row: Row, fault: str | None) -> None:
    found = task.fault(row)
    assert found is None if fault is None else fault in str(found)


def test_a_question_needs_both_texts() -> None:
    assert task.question("only one") is None
    assert task.question_fault({"text": "x", "text_pair": "y"}) is None
    assert task.question_fault({"text": "x"}) == "no column 'text_pair'; here are: text"


def test_both_texts_are_read_and_told_apart_by_their_type(toy_model: Path) -> None:
    encoder = Encoder(toy_model, 32, INPUTS)
    [window] = task.windows({"text": "a sunny day", "text_pair": "wet"}, encoder, {})
    assert window.feeds["token_type_ids"].tolist() == [[0, 0, 0, 0, 0, 1, 1]]
    assert not window.truncated


@pytest.mark.parametrize("longer", ["text", "text_pair"])
def test_the_longer_text_is_cut_and_the_shorter_kept(toy_model: Path, longer: str) -> None:
    encoder = Encoder(toy_model, 32, INPUTS)
    row = {"text": "wet day", "text_pair": "wet day", longer: "a sunny day " * 30}
    [window] = task.windows(row, encoder, {})
    ids, types = (window.feeds[name][0].tolist() for name in ("input_ids", "token_type_ids"))
    assert window.truncated and len(ids) == 32
    assert types.count(1 if longer == "text" else 0) == (3 if longer == "text" else 4)
