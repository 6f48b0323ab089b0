"""What a student is taught on: every text of a row, once."""

from __future__ import annotations

from pathlib import Path

from edgebert import members
from edgebert.architectures import bert
from edgebert.data import Row, Split, Splits
from edgebert.learning.lessons import Lesson
from edgebert.learning.syllabus import Syllabus
from edgebert.tokenization import Encoder


def test_texts_that_are_learned_together_are_taught_each_by_itself(toy_model: Path) -> None:
    rows: list[Row] = [
        {"text": "sunny", "text_pair": "warm light day"},
        {"text": "bright day", "text_pair": "wet"},
    ]
    nothing, train = Split([], "", ""), Split(rows, "", "")
    task = members.find("tasks", "feature-extraction")
    decoding = task.decoding(task.Settings(), rows)
    lesson = Lesson(task, bert, Splits(train, nothing, nothing), [], decoding)
    found = Syllabus(lesson, [{"text": "cold"}]).examples(Encoder(toy_model, 32, bert.INPUTS))
    assert [len(one.example["input_ids"]) for one in found] == [3, 5, 4, 3, 3]
    assert all(set(one.example) == set(bert.INPUTS) for one in found), "no target, nothing beside"
    assert [one.name[:5] for one in found[:4]] == ["row 1", "row 1", "row 2", "row 2"]
