"""What a student is to be: cut, sized or published; the layers that are compared; what cannot be."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from edgebert import members
from edgebert.distillation import Distil, Student, Weights
from edgebert.errors import InputError
from edgebert.learning import students
from edgebert.learning.students import Blueprint

BERT: Any = members.find("architectures", "bert")
SIX: dict[str, Any] = {
    "num_hidden_layers": 6,
    "hidden_size": 384,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "vocab_size": 1000,
    "max_position_embeddings": 64,
}


def drawn(**student: Any) -> Blueprint:
    return students.draw(Student(**student), BERT, SIX)


def settled(**distil: Any) -> Distil:
    settings = Distil(**distil)
    return students.settled(settings, students.draw(settings.student, BERT, SIX), 6, 384)


@pytest.mark.parametrize(
    ("layers", "depth", "kept"),
    [(3, 6, [0, 2, 5]), (6, 6, [0, 1, 2, 3, 4, 5]), (6, 12, [0, 2, 4, 7, 9, 11]), (2, 6, [0, 5]), (1, 6, [5])],
)
def test_layers_are_spread_with_first_and_last(layers: int, depth: int, kept: list[int]) -> None:
    assert students.spread(layers, depth) == kept


def test_layers_alone_are_cut_from_the_teacher() -> None:
    blueprint = drawn(layers=3)
    assert (blueprint.keep, blueprint.depth, blueprint.width) == ([0, 2, 5], 3, 384)
    assert drawn(keep=[0, 1, 5]).keep == [0, 1, 5]


def test_another_width_starts_from_nothing() -> None:
    blueprint = drawn(layers=4, hidden=192)
    assert (blueprint.keep, blueprint.depth, blueprint.width) == (None, 4, 192)
    assert (blueprint.values["num_attention_heads"], blueprint.values["vocab_size"]) == (6, 1000)


def test_a_published_shape_reads_the_teachers_pieces() -> None:
    blueprint = drawn(shape="tinybert-4")
    assert (blueprint.architecture, blueprint.depth, blueprint.width) == ("bert", 4, 312)
    assert (blueprint.values["vocab_size"], blueprint.values["max_position_embeddings"]) == (1000, 64)
    assert drawn(shape="albert-base-v2").architecture == "albert"


def test_what_is_left_open_is_settled_by_the_student() -> None:
    cut, narrow = settled(student={"keep": [0, 2, 5]}), settled(student={"shape": "tinybert-4"})
    assert (cut.loss.hidden, cut.loss.relation, cut.freeze_embeddings) == (1, 0, True)
    assert cut.layer_map == [(0, 0), (1, 2), (2, 5)]
    assert (narrow.loss.hidden, narrow.loss.relation, narrow.freeze_embeddings) == (0, 1, False)
    assert narrow.layer_map == [(0, 0), (1, 2), (2, 3), (3, 5)]
    own = settled(student={"layers": 3}, layer_map=[[2, 5]], freeze_embeddings=False, loss={"relation": 2})
    assert (own.layer_map, own.freeze_embeddings, own.loss.relation) == ([(2, 5)], False, 2)


@pytest.mark.parametrize(
    ("distil", "told"),
    [
        ({"student": {"layers": 7}}, "the teacher has only 6 layers"),
        ({"student": {"keep": [0, 6]}}, "no layer 6; its layers are 0 to 5"),
        ({"student": {"shape": "tinybert4"}}, "unknown shape 'tinybert4'; did you mean 'tinybert-4'?"),
        ({"student": {"hidden": 100}}, "hidden = 100: must be a multiple of 32"),
        ({"layer_map": [[0, 0], [3, 5]]}, "the student has no layer 3; its layers are 0 to 2"),
        ({"layer_map": [[0, 6]]}, "the teacher has no layer 6; its layers are 0 to 5"),
        (
            {"student": {"shape": "tinybert-4"}, "loss": {"hidden": 1}},
            "the student is 312 wide and its teacher 384, so their hidden states cannot be compared",
        ),
    ],
)
def test_what_cannot_be_is_told(distil: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        settled(**distil)


@pytest.mark.parametrize("student", [{}, {"layers": 3, "keep": [0]}, {"shape": "bert-tiny", "hidden": 64}])
def test_a_student_is_named_in_one_way(student: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="must be one of"):
        Student(**student)


def test_something_must_weigh() -> None:
    with pytest.raises(ValidationError, match="must weigh something above 0"):
        Weights(soft=0)
