"""From start and end logits to a span of the context: the best one of all windows, or none."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as some
from scipy.special import softmax  # type: ignore[import-untyped]

from edgebert.device import decoding

TASK = "question-answering"
CONTEXT = "We 🌧 see  ünï snow, here"
OFFSETS = [[0, 2], [3, 4], [5, 8], [10, 13], [14, 18], [18, 19], [20, 24]]
FIRST = 3  # [CLS], a word of the question, [SEP]
SETTINGS = {"max_answer_tokens": 3, "n_best": 4, "null_threshold": None}


def window(start: dict[int, float], end: dict[int, float], first: int = 0, count: int = 7) -> dict[str, Any]:
    """Logits of tokens of the context by their numbers in it (-1: [CLS]), others -20, question and padding 50."""
    outputs = {}
    for name, named in (("start_logits", start), ("end_logits", end)):
        logits = np.full(FIRST + count + 1, 50.0, np.float32)
        logits[FIRST : FIRST + count] = -20
        for token, value in named.items():
            logits[0 if token < 0 else FIRST + token - first] = value
        outputs[name] = logits
    return {"outputs": outputs, "align": {"first": FIRST, "offsets": OFFSETS[first : first + count]}}


def answer(*windows: dict[str, Any], **settings: Any) -> dict[str, Any]:
    row = {"question": "what", "context": CONTEXT}
    found = decoding.answer(TASK, windows, row, [], {**SETTINGS, **settings})
    assert json.loads(json.dumps(found)) == found
    for one in (found, *found["n_best"]):
        assert one["start"] is None or CONTEXT[one["start"] : one["end"]] == one["answer"]
    return found


def test_the_answer_is_cut_from_the_context_by_code_points() -> None:
    found = answer(window({3: 5.0}, {4: 4.0}))
    assert (found["answer"], found["start"], found["end"]) == ("ünï snow", 10, 18)


def test_neither_question_nor_padding_nor_a_span_that_ends_before_it_starts_is_an_answer() -> None:
    found = answer(window({4: 9.0, 1: 3.0}, {0: 9.0, 1: 2.0}))
    assert found["answer"] == "🌧", "start 4 and end 0 are the largest, but in the wrong order"


def test_an_answer_is_no_longer_than_it_may_be() -> None:
    logits = window({1: 9.0, 3: 1.0}, {4: 9.0})
    assert answer(logits)["answer"] == "ünï snow"
    assert answer(logits, max_answer_tokens=4)["answer"] == "🌧 see  ünï snow"


def test_the_score_is_the_share_of_the_best_spans() -> None:
    found = answer(window({1: 5.0, 2: 4.0}, {2: 3.0}), n_best=2)
    assert [one["answer"] for one in found["n_best"]] == ["🌧 see", "see"]
    assert [one["score"] for one in found["n_best"]] == pytest.approx(softmax([8.0, 7.0]).tolist())
    assert found["score"] == found["n_best"][0]["score"]


def test_the_best_span_of_all_windows_wins_and_one_that_two_windows_hold_counts_once() -> None:
    one, other = window({3: 5.0}, {3: 2.0}, count=5), window({3: 6.0, 6: 3.0}, {3: 3.0, 6: 3.0}, first=2, count=5)
    found = answer(one, other, n_best=2)
    assert [told["answer"] for told in found["n_best"]] == ["ünï", "here"]
    assert [told["score"] for told in found["n_best"]] == pytest.approx(softmax([9.0, 6.0]).tolist())
    assert answer(other, one, n_best=2) == found


@pytest.mark.parametrize(
    ("threshold", "text"), [(-2.0, ""), (-0.5, "see"), (0.0, "see"), (5.0, "see"), (None, "see")]
)
def test_no_answer_is_given_where_its_lead_exceeds_the_threshold(threshold: float | None, text: str) -> None:
    found = answer(window({-1: 2.0, 2: 3.0}, {-1: 3.0, 2: 3.0}), null_threshold=threshold, n_best=1)
    assert found["answer"] == text
    assert (found["start"] is None) == (found["end"] is None) == (text == "")
    shares = [1.0] if threshold is None else softmax([6.0, 5.0]).tolist()
    assert [one["score"] for one in found["n_best"]] == pytest.approx(shares)
    assert found["score"] == pytest.approx(shares[0 if text else 1])


def test_an_answer_is_missing_only_where_no_window_speaks_against_it() -> None:
    sure, unsure = window({-1: 9.0, 1: 1.0}, {-1: 9.0, 1: 1.0}), window({-1: 0.0, 2: 2.0}, {-1: 0.0, 2: 2.0})
    assert answer(sure, null_threshold=0.0)["answer"] == ""
    assert answer(sure, unsure, null_threshold=0.0)["answer"] == "see"


def test_before_a_threshold_is_tuned_it_is_zero() -> None:
    settings = {name: value for name, value in SETTINGS.items() if name != "null_threshold"}
    row = {"question": "what", "context": CONTEXT}
    for null, text in ((2.6, ""), (2.4, "see")):
        logits = window({-1: null, 2: 2.5}, {-1: null, 2: 2.5})
        assert decoding.answer(TASK, [logits], row, [], settings)["answer"] == text


def test_white_space_that_a_tokenizer_counts_to_a_word_is_no_part_of_the_answer() -> None:
    logits = window({0: 5.0}, {0: 5.0})
    logits["align"]["offsets"] = [[4, 10]]
    assert answer(logits)["answer"] == "see"


def test_a_context_without_tokens_has_no_answer() -> None:
    empty = window({-1: 1.0}, {-1: 1.0}, count=0)
    assert answer(empty) == {"answer": "", "start": None, "end": None, "score": 0.0, "n_best": []}
    assert answer(empty, null_threshold=3.0)["n_best"] == [
        {"answer": "", "start": None, "end": None, "score": 1.0}
    ]
    assert decoding.decisions(TASK, empty["outputs"], empty["align"], SETTINGS) == []


logits = some.lists(some.floats(-9, 9, width=32), min_size=8, max_size=8)


@given(logits, logits, some.integers(1, 9), some.sampled_from([None, 0.0, -3.0]))
def test_the_answer_is_the_best_of_all_spans_there_are(
    start: list[float], end: list[float], longest: int, threshold: float | None
) -> None:
    one = window({i - 1: value for i, value in enumerate(start)}, {i - 1: value for i, value in enumerate(end)})
    found = answer(one, max_answer_tokens=longest, null_threshold=threshold)
    spans = [(i, j) for i in range(7) for j in range(i, min(7, i + longest))]
    best = max(start[i + 1] + end[j + 1] for i, j in spans)
    if threshold is not None and start[0] + end[0] - best > threshold:
        assert found["answer"] == ""
    else:
        (i,) = [n for n, (first, _) in enumerate(OFFSETS) if first == found["start"]]
        (j,) = [n for n, (_, behind) in enumerate(OFFSETS) if behind == found["end"]]
        assert (i, j) in spans
        assert start[i + 1] + end[j + 1] == best


@given(logits, logits, some.sampled_from([None, 0.0]), some.lists(some.floats(-1, 1), min_size=16, max_size=16))
def test_noise_of_less_than_half_the_margin_never_changes_the_decision(
    start: list[float], end: list[float], threshold: float | None, noise: list[float]
) -> None:
    settings = {**SETTINGS, "null_threshold": threshold}
    values = np.asarray([start, end])
    [(decided, margin)] = decide(values, settings)
    assert margin >= 0
    [(again, _)] = decide(values + 0.49 * min(margin, 100) * np.asarray(noise).reshape(2, 8), settings)
    assert margin < 1e-6 or decided == again


def decide(values: Any, settings: dict[str, Any]) -> list[tuple[Any, float]]:
    outputs = {"start_logits": values[0], "end_logits": values[1]}
    return decoding.decisions(TASK, outputs, {"first": 1, "offsets": OFFSETS}, settings)


@pytest.mark.parametrize(
    ("given", "truths", "right"),
    [
        ("the Snow!", ["snow"], True),
        ("snow", [], False),
        ("", [], True),
        ("", ["snow"], False),
        ("ice", ["a", "ice"], True),
    ],
)
def test_an_answer_is_right_as_squad_compares_it(given: str, truths: list[str], right: bool) -> None:
    assert decoding.right(TASK, {"answer": given}, {"text": truths, "answer_start": [0] * len(truths)}) is right
