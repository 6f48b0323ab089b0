"""How answers that are lists are shown to people."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from edgebert.report import answers as answers_of, terminal

ROME = {"label": "city", "start": 3, "end": 7, "text": "[b]Rome", "score": 0.98765}
MAY = {"label": "date", "start": 11, "end": 14, "text": "May", "score": 0.5}


def lines(answers: list[dict[str, Any]]) -> list[list[str]]:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(terminal.predictions(answers))
    return [line.split() for line in capture.get().splitlines() if line.strip() and "─" not in line]


def test_each_entity_has_a_line_and_a_row_without_any_says_so() -> None:
    found = lines([{"entities": [ROME, MAY], "truncated": False}, {"entities": [], "truncated": True}])
    assert found == [
        ["row", "label", "text", "start", "end", "score"],
        ["1", "city", "[b]Rome", "3", "7", "0.988"],
        ["date", "May", "11", "14", "0.500"],
        ["2", "no", "entities", "text", "was", "cut"],
    ]


def test_sentences_are_listed_with_their_number() -> None:
    sentence = {"index": 4, "text": "It rained.", "score": 0.25}
    assert lines([{"sentences": [sentence], "truncated": True}])[1] == [
        "1",
        "4",
        "It",
        "rained.",
        "0.250",
        "text",
        "was",
        "cut",
    ]


def test_a_span_is_told_with_its_place_and_score_and_its_absence_in_words() -> None:
    found = {"answer": "[snow]", "start": 9, "end": 15, "score": 0.75, "n_best": [], "truncated": True}
    none: dict[str, Any] = {
        "answer": "",
        "start": None,
        "end": None,
        "score": 0.5,
        "n_best": [],
        "truncated": False,
    }
    told = lines([found, none])
    assert told[1] == ["[snow]", "9-15", "0.750", "question", "was", "cut"]
    assert told[2] == ["no", "answer", "in", "this", "context", "0.500"]


def test_labels_have_no_table_of_their_own() -> None:
    assert answers_of.table([{"label": "a", "score": 1.0, "truncated": False}]) is None
    assert answers_of.table([]) is None


def test_numbers_are_told_to_four_digits() -> None:
    assert lines([{"score": 1234.5678, "truncated": False}, {"score": -0.5, "truncated": True}]) == [
        ["score"],
        ["1235"],
        ["-0.5", "text", "was", "cut"],
    ]


def test_several_labels_stand_in_one_line() -> None:
    both = [{"label": "toxic", "score": 0.75}, {"label": "insult", "score": 0.5}]
    found = lines([{"labels": both, "truncated": False}, {"labels": [], "truncated": False}])
    assert found[1:] == [["toxic,", "insult", "0.750,", "0.500"], ["none"]]


def test_vectors_are_told_by_their_size_and_first_numbers() -> None:
    found = lines([{"vector": [0.5, -0.25] * 16, "pair_vector": [1.0] + [0.0] * 31, "truncated": False}])
    assert found[1:] == [
        ["text", "32", *["0.500", "-0.250"] * 4],
        ["text_pair", "32", "1.000", *["0.000"] * 7],
    ]


def test_a_faqs_entries_stand_by_their_question_and_what_fits_nothing_says_so() -> None:
    match = {"index": 4, "question": "How?", "answer": "[b] So. " * 60, "score": 0.75}
    console = Console(width=100)
    with console.capture() as capture:
        found = [
            {"question": "how", "matches": [match], "truncated": False},
            {"question": "why", "matches": [], "truncated": True},
        ]
        console.print(answers_of.matches(found))
    told = capture.get()
    assert "4: How?" in told and "[b] So." in told and "…" in told and "0.750" in told
    assert "nothing fits" in told and "question was cut" in told


def test_pieces_are_told_line_by_line() -> None:
    tokens = [{"token": "##s", "id": 7, "score": 0.75}, {"token": "[x]", "id": 9, "score": 0.125}]
    assert lines([{"tokens": tokens, "truncated": True}])[1:] == [
        ["1", "##s", "0.750", "text", "was", "cut"],
        ["[x]", "0.125"],
    ]
