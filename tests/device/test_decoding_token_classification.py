"""From tags to entities, as conlleval reads them, and from outputs of windows to an answer."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgebert.device import decoding
from edgebert.device.decoding.token_classification import chunks, text_of, well_formed

LABELS = ["B-x", "B-y", "I-x", "I-y", "O"]
TASK = "token-classification"
TAGS = st.lists(st.sampled_from(["O", *(f"{kind}-{slot}" for kind in "BIES" for slot in "xy")]), max_size=9)


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("", []),
        ("O O", []),
        ("B-x I-x O", [("x", 0, 1)]),
        ("B-x B-x I-x", [("x", 0, 0), ("x", 1, 2)]),
        ("B-x I-y", [("x", 0, 0), ("y", 1, 1)]),
        ("I-x I-x O I-y", [("x", 0, 1), ("y", 3, 3)]),  # IOB1
        ("I-x B-x", [("x", 0, 0), ("x", 1, 1)]),  # IOB1: B- only between two of one kind
        ("O I-x O", [("x", 1, 1)]),  # ill-formed in IOB2
        ("B-x I-x E-x S-x S-y", [("x", 0, 2), ("x", 3, 3), ("y", 4, 4)]),  # IOBES
        ("E-x E-x", [("x", 0, 0), ("x", 1, 1)]),
        ("S-x I-x", [("x", 0, 0), ("x", 1, 1)]),
        ("B-creative-work I-creative-work", [("creative-work", 0, 1)]),
    ],
)
def test_entities_are_those_of_conlleval(tags: str, entities: list[tuple[str, int, int]]) -> None:
    assert chunks(tags.split()) == entities


def ends(before: str, tag: str) -> bool:
    """conlleval's endOfChunk, for tags that may be IOBES."""
    (kind, _, slot), (next_kind, _, next_slot) = before.partition("-"), tag.partition("-")
    if kind in ("E", "S"):
        return True
    if kind in ("B", "I") and next_kind in ("B", "S", "O"):
        return True
    return kind != "O" and slot != next_slot


def starts(before: str, tag: str) -> bool:
    """conlleval's startOfChunk."""
    (kind, _, slot), (next_kind, _, next_slot) = before.partition("-"), tag.partition("-")
    if next_kind in ("B", "S"):
        return True
    if kind in ("E", "S", "O") and next_kind in ("E", "I"):
        return True
    return next_kind != "O" and slot != next_slot


@given(TAGS)
def test_entities_begin_and_end_where_conlleval_says(tags: list[str]) -> None:
    padded = ["O", *tags, "O"]
    pairs = list(itertools.pairwise(padded))
    found = chunks(tags)
    assert [first for _, first, _ in found] == [i for i, pair in enumerate(pairs) if starts(*pair)]
    assert [last + 1 for _, _, last in found] == [i for i, pair in enumerate(pairs) if ends(*pair)]
    assert [slot for slot, _, _ in found] == [tags[first][2:] for _, first, _ in found]


@given(TAGS)
def test_well_formed_tags_of_entities_lead_back_to_them(tags: list[str]) -> None:
    found = chunks(tags)
    again = ["O"] * len(tags)
    for slot, first, last in found:
        again[first : last + 1] = [f"B-{slot}"] + [f"I-{slot}"] * (last - first)
    assert chunks(again) == found


@given(st.lists(st.lists(st.floats(0, 5), min_size=5, max_size=5), min_size=1, max_size=5))
def test_the_best_well_formed_tags_are_those_of_trying_them_all(logits: list[list[float]]) -> None:
    shares = decoding.softmax(logits)
    best = {}
    for tags in itertools.product(range(len(LABELS)), repeat=len(logits)):
        named = ["O", *(LABELS[tag] for tag in tags)]
        if all(two[1][0] != "I" or two[0][1:] == two[1][1:] for two in itertools.pairwise(named)):
            best[tags] = np.log(shares[np.arange(len(tags)), tags]).sum()
    found = tuple(well_formed(shares, LABELS))
    assert found in best
    assert best[found] == pytest.approx(max(best.values()))


def test_a_slot_without_a_beginning_among_the_labels_may_begin_anywhere() -> None:
    shares = np.asarray([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    assert well_formed(shares, ["I-x", "I-y", "O"]) == [0, 1]
    assert well_formed(shares[:, :1], ["O"]) == [0, 0]


def window(tags: list[str], words: list[list[int]], sure: float = 9.0) -> dict[str, Any]:
    """The window of a text whose words are of one piece, between [CLS] and [SEP], which say B-y."""
    logits = np.zeros((len(tags) + 2, len(LABELS)), np.float32)
    for i, tag in enumerate(["B-y", *tags, "B-y"]):
        logits[i, LABELS.index(tag)] = sure
    return {"outputs": {"logits": logits}, "align": {"words": words}}


def entities(windows: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    found = decoding.answer(TASK, windows, row, LABELS, {})
    assert list(found) == ["entities"]
    assert json.loads(json.dumps(found)) == found
    return list(found["entities"])


def test_entities_have_the_offsets_and_the_words_of_the_users_text() -> None:
    row = {"text": "to  New York, 😀 Rome!"}
    words = [[1, 0, 2], [2, 4, 7], [3, 8, 12], [4, 12, 13], [5, 14, 15], [6, 16, 20], [7, 20, 21]]
    found = entities([window(["O", "B-x", "I-x", "O", "O", "B-y", "O"], words)], row)
    assert [(one["label"], one["start"], one["end"], one["text"]) for one in found] == [
        ("x", 4, 12, "New York"),
        ("y", 16, 20, "Rome"),
    ]
    share = np.exp(9) / (np.exp(9) + 4)
    assert [one["score"] for one in found] == pytest.approx([share, share])


def test_a_score_is_the_mean_over_the_entitys_words() -> None:
    one = window(["B-x", "I-x"], [[1, 0, 1], [2, 2, 3]])
    one["outputs"]["logits"][2] = [0, 0, 1, 0, 0]
    shares = np.exp(9) / (np.exp(9) + 4), np.e / (np.e + 4)
    [found] = entities([one], {"tokens": ["a", "b"]})
    assert found["score"] == pytest.approx(np.mean(shares))


def test_ill_formed_tags_are_mended_by_what_is_likely() -> None:
    row = {"text": "a b c"}
    words = [[1, 0, 1], [2, 2, 3], [3, 4, 5]]
    one = window(["O", "I-x", "I-x"], words)
    one["outputs"]["logits"][2, LABELS.index("B-x")] = 8
    [found] = entities([one], row)
    assert (found["text"], found["label"]) == ("b c", "x")
    assert found["score"] == pytest.approx((np.e**8 / (np.e**8 + np.e**9 + 3) + np.e**9 / (np.e**9 + 4)) / 2)
    one["outputs"]["logits"][2] = [-5, -5, 1, -5, 0]
    one["outputs"]["logits"][3] = [0, 0, 1, 0, 0.9]
    assert entities([one], row) == [], "rather none than one that begins inside"
    as_they_are = decoding.answer(TASK, [one], row, LABELS, {"well_formed": False})
    assert [found["text"] for found in as_they_are["entities"]] == ["b c"]


def test_pieces_that_begin_no_word_decide_nothing() -> None:
    row = {"text": "unlikely"}
    assert entities([window(["O", "B-x", "B-y"], [[1, 0, 8]])], row) == []
    assert entities([window(["B-x"], [])], row) == []


def test_a_word_in_two_windows_is_read_where_more_is_around_it() -> None:
    row = {"text": "a b c d e f"}
    first = window(["O", "O", "O", "B-x"], [[1, 0, 1], [2, 2, 3], [3, 4, 5], [4, 6, 7]])
    second = window(["B-y", "O", "O", "O"], [[1, 4, 5], [2, 6, 7], [3, 8, 9], [4, 10, 11]])
    assert entities([first, second], row) == [], "c is read in the first, d in the second window"
    second["outputs"]["logits"][2, LABELS.index("B-y")] = 10
    assert [one["text"] for one in entities([first, second], row)] == ["d"]


def test_an_entity_goes_on_from_one_window_to_the_next() -> None:
    row = {"text": "a b c d"}
    first, second = window(["O", "B-x"], [[1, 0, 1], [2, 2, 3]]), window(["I-x", "O"], [[1, 4, 5], [2, 6, 7]])
    assert [one["text"] for one in entities([first, second], row)] == ["b c"]


def test_each_word_is_a_decision_with_its_margin() -> None:
    one = window(["B-x", "O", "I-y"], [[1, 0, 1], [3, 2, 3]])
    one["outputs"]["logits"][3] = [0, 0, 0, 2.5, 1]
    found = decoding.decisions(TASK, one["outputs"], one["align"], {})
    assert found == [(LABELS.index("B-x"), 9.0), (LABELS.index("I-y"), 1.5)]


def test_the_text_is_the_one_that_offsets_are_of() -> None:
    both = {"text": "a  b", "tokens": ["a", "b"]}
    assert text_of({"tokens": ["a", "b"]}) == "a b"
    assert text_of(both) == "a  b"
    assert text_of({**both, "tags": ["O", "O"]}) == "a b"


def test_right_is_every_entity_and_no_other() -> None:
    truth = [{"start": 0, "end": 3, "slot": "x"}]
    good = {"label": "x", "start": 0, "end": 3, "text": "abc", "score": 0.5}
    for found, right in (
        ([good], True),
        ([], False),
        ([{**good, "end": 2}], False),
        ([good, good | {"start": 1}], False),
    ):
        assert decoding.right(TASK, {"entities": found}, truth) is right
    assert decoding.right(TASK, {"entities": []}, []) is True
