"""From plain text to sentences, and from scores to those that are chosen."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgebert.device import decoding
from edgebert.device.decoding.extractive_summarization import sentences_of, split

TASK = "extractive-summarization"
TWO = {"sentences": 2}


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("One line\nanother.\n\n  a third \n", ["One line", "another.", "a third"]),
        ("Wait... what? \"Yes.\" (No.) 'Maybe.' End", ["Wait... what?", '"Yes."', "(No.)", "'Maybe.'", "End"]),
        ("Well… Yes!? No.", ["Well…", "Yes!?", "No."]),
        ("Mr. Smith met Dr. Jones. They left.", ["Mr. Smith met Dr. Jones.", "They left."]),
        ("J. R. R. Tolkien wrote. Cf. Fig. 3 too.", ["J. R. R. Tolkien wrote.", "Cf. Fig. 3 too."]),
        ("The U.S. Senate voted. It won by 3.5 points.", ["The U.S. Senate voted.", "It won by 3.5 points."]),
        ("See example.com or e.g. this one. 5 came.", ["See example.com or e.g. this one.", "5 came."]),
        ("It cost 5. Then it rained.", ["It cost 5.", "Then it rained."]),
        ("He said no! and left.", ["He said no! and left."]),
        ("今日は雨。明日は「晴れ！」たぶん？はい", ["今日は雨。", "明日は「晴れ！」", "たぶん？", "はい"]),
        ("Ünter. Été. Ää", ["Ünter.", "Été.", "Ää"]),
    ],
)
def test_a_text_is_split_after_marks_and_lines(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


@given(st.text("aB. !?…\n\"'(U.S)5。", max_size=40))
def test_splitting_loses_nothing_but_white_space(text: str) -> None:
    found = split(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(one and one == one.strip() for one in found)


def test_a_rows_own_sentences_are_not_split_again() -> None:
    assert sentences_of({"sentences": ["One. Two."], "text": "Three. Four."}) == ["One. Two."]
    assert sentences_of({"text": "Three. Four."}) == ["Three.", "Four."]


def window(logits: dict[int, float], first: int = 0) -> dict[str, Any]:
    """A window whose sentences begin at these positions; their tokens differ, and what follows scores higher."""
    ends = [*list(logits)[1:], max(logits) + 3]
    outputs = np.full(ends[-1] + 2, 50, np.float32)
    for (begin, logit), end in zip(logits.items(), ends, strict=True):
        outputs[begin:end] = logit + 5 * np.linspace(-1, 1, end - begin)
    spans = [[begin, end, first + i] for i, (begin, end) in enumerate(zip(logits, ends, strict=True))]
    return {"outputs": {"logits": outputs}, "align": {"sentences": spans}}


def chosen(windows: list[dict[str, Any]], settings: dict[str, Any]) -> list[tuple[int, str, float]]:
    found = decoding.answer(TASK, windows, {"sentences": ["A.", "B.", "C.", "D.", "E."]}, [], settings)
    assert list(found) == ["sentences"]
    assert json.loads(json.dumps(found)) == found
    return [(one["index"], one["text"], one["score"]) for one in found["sentences"]]


def test_the_best_sentences_come_in_the_order_of_the_text() -> None:
    found = chosen([window({0: -1.0, 4: 2.0, 7: 0.5, 9: 3.0, 12: -2.0})], TWO)
    assert [one[:2] for one in found] == [(1, "B."), (3, "D.")]
    assert [one[2] for one in found] == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-3))])


def test_sentences_of_all_windows_are_compared() -> None:
    windows = [window({0: 0.1, 3: -1.0, 6: -3.0}), window({0: 0.2, 5: -0.5}, first=3)]
    assert [index for index, _, _ in chosen(windows, TWO)] == [0, 3]
    assert [index for index, _, _ in chosen(windows, {"sentences": 9})] == [0, 1, 2, 3, 4]


def test_of_equal_sentences_the_first_are_chosen() -> None:
    assert [index for index, _, _ in chosen([window({0: 1.0, 3: 2.0, 6: 1.0, 9: 1.0})], TWO)] == [0, 1]


def test_scores_stay_probabilities_however_large_the_logits() -> None:
    found = chosen([window({0: -1e30, 3: 1e30})], TWO)
    assert [score for _, _, score in found] == [0.0, 1.0]


def test_the_decision_is_which_sentences_with_the_lead_over_the_next() -> None:
    one = window({0: -1.0, 4: 2.0, 7: 0.5, 9: 3.0})
    assert decoding.decisions(TASK, one["outputs"], one["align"], TWO) == [([1, 3], 1.5)]
    assert decoding.decisions(TASK, one["outputs"], one["align"], {"sentences": 4}) == []


def test_no_summary_is_the_only_right_one() -> None:
    assert decoding.right(TASK, {"sentences": []}, "a summary") is None
