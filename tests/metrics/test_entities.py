"""Rows with entities: their faults, their spans, and the words that carry tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from edgebert.device.reading import token_classification as reading
from edgebert.device.reading.token_classification import Word
from edgebert.metrics import entities
from edgebert.metrics.entities import Span
from edgebert.tokenization import Encoder

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
SPAN = {"start": 2, "end": 5, "slot": "x"}


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"tokens": ["a", "b"], "tags": ["B-x", "O"]}, None),
        ({"tokens": ["a", " "], "tags": ["I-x", "S-y"]}, None),
        ({"tokens": ["a"], "tags": ["O"], "text": 7}, None),
        ({"text": "a bcd", "spans": []}, None),
        ({"text": "a bcd", "spans": [SPAN, {"start": 0, "end": 1, "slot": "y"}]}, None),
        ({"text": "a bcd"}, "no column 'tags' or 'spans'; here are: text; name them: [data.columns]"),
        ({"tags": ["O"], "text": "a"}, "'tags' without 'tokens'; here are: tags, text"),
        ({"spans": [], "tokens": ["a"]}, "'spans' without 'text'"),
        ({"tokens": ["a", "b"], "tags": ["O"]}, "2 tokens and 1 tags; every token needs its tag"),
        ({"tokens": ["a"], "tags": ["X-y"]}, "tags[0] = 'X-y'; must be O, or B- or I-"),
        ({"tokens": ["a", "b"], "tags": ["O", "B-"]}, "tags[1] = 'B-'"),
        ({"tokens": ["a"], "tags": ["b-x"]}, "tags[0] = 'b-x'"),
        ({"tokens": ["a"], "tags": [3]}, "tags[0] = 3"),
        ({"tokens": ["a"], "tags": "O"}, "tags = 'O'; must be a list of tags; CSV has no lists"),
        ({"tokens": "a b", "tags": ["O"]}, "tokens = 'a b'; must be a list of words; CSV has no lists"),
        ({"tokens": [], "tags": []}, "tokens = []; must be a list of words"),
        ({"tokens": ["a", 1], "tags": ["O", "O"]}, "tokens[1] is int, not text"),
        ({"tokens": ["a", None], "tags": ["O", "O"]}, "tokens[1] is missing (null)"),
        ({"tokens": ["a", "\ud800"], "tags": ["O", "O"]}, "tokens[1] is not well-formed Unicode"),
        ({"tokens": ["", " "], "tags": ["O", "O"]}, "tokens are all empty"),
        ({"text": " ", "spans": []}, "text is empty"),
        ({"text": "a", "spans": None}, "spans = None; must be a list of {start, end, slot}"),
        ({"text": "a", "spans": "[]"}, "CSV has no lists"),
        ({"text": "a", "spans": [3]}, "spans[0] = 3; must be {start, end, slot}"),
        ({"text": "abc", "spans": [{"start": 0, "end": 1}]}, "spans[0] has no 'slot'; here are: start, end"),
        ({"text": "abc", "spans": [SPAN | {"start": 1.0}]}, "spans[0] start = 1.0; must be a whole number"),
        ({"text": "abc", "spans": [SPAN | {"end": True}]}, "spans[0] end = True"),
        ({"text": "abc", "spans": [SPAN | {"slot": ""}]}, "spans[0] slot is empty"),
        ({"text": "abc", "spans": [SPAN]}, "spans[0] (2-5 x) is outside its text, which has 3 characters"),
        ({"text": "abc", "spans": [SPAN | {"start": -1, "end": 1}]}, "spans[0] (-1-1 x) is outside its text"),
        ({"text": "abcdef", "spans": [SPAN | {"end": 2}]}, "spans[0] (2-2 x) has nothing in it"),
        ({"text": "abcdef", "spans": [SPAN | {"end": 1}]}, "start must be below end"),
        ({"text": "ab   f", "spans": [SPAN]}, "spans[0] (2-5 x) holds nothing but spaces"),
        (
            {"text": "abcdefgh", "spans": [SPAN, {"start": 0, "end": 3, "slot": "y"}]},
            "spans[0] (2-5 x) overlaps spans[1] (0-3 y)",
        ),
    ],
)
def test_a_faulty_row_is_told(row: dict[str, Any], fault: str | None) -> None:
    found = entities.fault(row)
    assert found is None if fault is None else fault in str(found)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"text": "a"}, None),
        ({"tokens": ["a", "b"]}, None),
        ({"words": ["a"]}, "no column 'text' or 'tokens'; here are: words"),
        ({"text": "a", "tags": ["O"]}, "'tags' without 'tokens'; here are: text, tags"),
        ({"text": ""}, "text is empty"),
        ({"tokens": [""]}, "tokens are all empty"),
    ],
)
def test_a_faulty_question_is_told(row: dict[str, Any], fault: str | None) -> None:
    found = entities.question_fault(row)
    assert found is None if fault is None else fault in str(found)


def test_tags_become_spans_of_the_tokens_joined_by_single_spaces() -> None:
    row = {"tokens": ["in", "New", "York", "😀", "Rome"], "tags": ["O", "B-loc", "I-loc", "O", "I-loc"]}
    found = entities.spans_of(row)
    assert found == [Span(3, 11, "loc"), Span(14, 18, "loc")]
    text = "in New York 😀 Rome"
    assert [text[one.start : one.end] for one in found] == ["New York", "Rome"]


def test_spans_come_in_the_order_of_the_text_without_spaces_at_their_ends() -> None:
    spans = [{"start": 5, "end": 9, "slot": "y"}, {"start": 0, "end": 3, "slot": "x "}]
    assert entities.spans_of({"text": " ab  cd  ", "spans": spans}) == [Span(1, 3, "x"), Span(5, 7, "y")]
    tokens = {"tokens": [" ab ", "c"], "tags": ["B-x", "O"]}
    assert entities.spans_of(tokens) == [Span(1, 3, "x")]


def test_a_row_to_answer_has_no_known_entities() -> None:
    assert entities.spans_of({"text": "a"}) == []
    assert not entities.known({"text": "a"})
    assert entities.known({"text": "a", "spans": []})


def read(model: Path, text: str, max_tokens: int = 64, stride: int = 0) -> list[str]:
    encoder = Encoder(model, max_tokens, INPUTS)
    windows = encoder.encode_windows(text, stride)
    return [text[word.start : word.end] for word in reading.words_of(text, windows, encoder)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the warm day", ["the", "warm", "day"]),
        ("zzz, today!", ["zzz", ",", "today", "!"]),
        ("u.s. it's", ["u", ".", "s", ".", "it", "'", "s"]),
        ("  the\n day ", ["the", "day"]),
        ("the_day_ _ a-b _it", ["the_day_", "_", "a", "-", "b", "_it"]),
        ("5pm 23rd", ["5pm", "23rd"]),
        ("Ünder ½ \u200d 😀😀", ["Ünder", "½", "😀😀"]),  # the two symbols are one unknown piece
        ("東京 タワー", ["東", "京", "タワー"]),
    ],
)
def test_words_are_those_of_the_pre_tokenizer_with_marks_and_symbols_apart(
    toy_model: Path, text: str, words: list[str]
) -> None:
    assert read(toy_model, text) == words


@settings(deadline=None, max_examples=60)
@given(text=st.text("ab .,-_zé東😀\u0301", min_size=1, max_size=60), stride=st.integers(0, 4))
def test_windows_do_not_change_the_words(toy_model: Path, text: str, stride: int) -> None:
    assert read(toy_model, text, 10, stride) == read(toy_model, text, 512)


def test_every_word_has_its_first_piece_in_a_window(toy_model: Path) -> None:
    text = "today zzzzzz warm zz the day of puddle zzzz"
    encoder = Encoder(toy_model, 10, INPUTS)
    windows = encoder.encode_windows(text, 3)
    words = reading.words_of(text, windows, encoder)
    found = [reading.places(text, window, words) for window in windows]
    assert {word for window in found for _, word in window} == set(words)
    for window, here in zip(windows, found, strict=True):
        for place, word in here:
            assert window.encoding.offsets[place][0] == word.start
            assert not window.encoding.tokens[place].startswith("##")


@pytest.mark.parametrize(
    ("spans", "tags"),
    [
        ([], ["O"] * 5),
        ([(3, 10, "x")], ["O", "B-x", "I-x", "O", "O"]),
        ([(3, 6, "x"), (7, 10, "x")], ["O", "B-x", "B-x", "O", "O"]),
        ([(4, 8, "x")], ["O", "B-x", "I-x", "O", "O"]),  # ends within words: takes the whole of them
        ([(3, 5, "x"), (5, 10, "y")], ["O", "B-x", "B-y", "O", "O"]),  # one word for two: the first has it
    ],
)
def test_the_first_word_of_a_span_has_b_and_the_others_i(
    spans: list[tuple[int, int, str]], tags: list[str]
) -> None:
    words = [Word(0, 2), Word(3, 6), Word(7, 10), Word(11, 12), Word(13, 15)]
    assert entities.tags_of(words, [Span(*span) for span in spans]) == tags
