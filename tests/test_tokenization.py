from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from edgebert import tokenization
from edgebert.errors import InputError
from edgebert.tokenization import Encoder

ALL = ("input_ids", "attention_mask", "token_type_ids")
TEXTS = [
    ("the very warm sunny day", None),
    ("Wet, WET umbrella!", None),
    ("unknownword 🌧 ünïcödé", None),
    ("it is snow", "white and cold"),
    ("a " * 30, None),
    ("a " * 30, "and more " * 9),
    ("a", "of " * 40),
    ("\u200b", None),
]


@pytest.mark.parametrize(("text", "pair"), TEXTS)
@pytest.mark.parametrize("max_tokens", [8, 16, 64])
def test_ids_are_those_of_transformers(toy_model: Path, text: str, pair: str | None, max_tokens: int) -> None:
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(toy_model / "tokenizer.json"))
    wanted = theirs(text, pair, truncation=True, max_length=max_tokens, return_token_type_ids=True)
    found = Encoder(toy_model, max_tokens, ALL).encode(text, pair)
    assert {name: array[0].tolist() for name, array in found.feeds.items()} == {name: wanted[name] for name in ALL}
    whole = theirs(text, pair)["input_ids"]
    assert found.truncated is (len(whole) > max_tokens)


def test_feeds_are_one_row_of_integers_for_the_inputs_asked_for(toy_model: Path) -> None:
    feeds = Encoder(toy_model, 32, ("token_type_ids", "input_ids")).encode("the warm day").feeds
    assert list(feeds) == ["token_type_ids", "input_ids"]
    for array in feeds.values():
        assert array.shape == (1, 5) and array.dtype == np.int64


def test_a_text_that_just_fits_is_not_truncated(toy_model: Path) -> None:
    fits = Encoder(toy_model, 8, ALL).encode("the day is very warm today")
    cut = Encoder(toy_model, 8, ALL).encode("the day is very warm today here")
    assert (fits.truncated, cut.truncated) == (False, True)
    assert fits.feeds["input_ids"].shape == cut.feeds["input_ids"].shape == (1, 8)
    assert np.array_equal(fits.feeds["input_ids"], cut.feeds["input_ids"])


LONG = "the very warm sunny day and more snow of winter 🌧 wet rainy umbrella here " * 4


@pytest.mark.parametrize("question", ["is it very cold", None])
@pytest.mark.parametrize(("max_tokens", "stride"), [(16, 4), (24, 0), (24, 7), (24, 300)])
def test_windows_are_those_of_transformers(
    toy_model: Path, question: str | None, max_tokens: int, stride: int
) -> None:
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(toy_model / "tokenizer.json"))
    room = max_tokens - (2 if question is None else 7)
    wanted = theirs(
        *([LONG] if question is None else [question, LONG]),
        truncation=True if question is None else "only_second",
        max_length=max_tokens,
        stride=min(stride, room // 2),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )
    found = Encoder(toy_model, max_tokens, ALL).encode_windows(LONG, stride, question)
    assert len(found) > 2
    assert [one.feeds["input_ids"][0].tolist() for one in found] == wanted["input_ids"]
    assert [one.feeds["token_type_ids"][0].tolist() for one in found] == wanted["token_type_ids"]
    assert [one.encoding.offsets for one in found] == [list(map(tuple, row)) for row in wanted["offset_mapping"]]
    assert not any(one.truncated for one in found)


def test_only_a_question_of_more_than_half_a_window_is_cut(toy_model: Path) -> None:
    encoder = Encoder(toy_model, 16, ALL)  # 13 pieces beside the special ones: 6 for the question
    fits = encoder.encode_windows("warm day", 4, "is it very cold here now")
    cut = encoder.encode_windows("warm day", 4, "is it very cold here now today")
    assert [one.truncated for one in (*fits, *cut)] == [False, True]
    assert np.array_equal(fits[0].feeds["input_ids"], cut[0].feeds["input_ids"])
    [word] = encoder.encode_windows("warm day", 4, "unbelievablylongword")
    assert word.truncated and word.feeds["input_ids"].shape[1] <= 16
    assert encoder.encode("a " * 30).feeds["input_ids"].shape == (1, 16), "plain texts are cut as before"


def test_a_text_without_pieces_is_one_window(toy_model: Path) -> None:
    [one] = Encoder(toy_model, 16, ALL).encode_windows("\u200b", 4, "is it cold")
    assert one.encoding.tokens == ["[CLS]", "is", "it", "cold", "[SEP]", "[SEP]"]


def test_padding_and_truncation_of_the_file_itself_are_not_followed(toy_model: Path, tmp_path: Path) -> None:
    padded = Tokenizer.from_file(str(toy_model / "tokenizer.json"))
    padded.enable_padding(length=48)
    padded.enable_truncation(4)
    padded.save(str(tmp_path / "tokenizer.json"))
    wanted = Encoder(toy_model, 32, ALL).encode("the very warm sunny day")
    found = Encoder(tmp_path, 32, ALL).encode("the very warm sunny day")
    assert found.feeds["input_ids"].tolist() == wanted.feeds["input_ids"].tolist()
    assert not found.truncated


def test_pieces_are_known_by_number_and_by_name(toy_model: Path) -> None:
    encoder = Encoder(toy_model, 16, ALL)
    assert encoder.pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert all(encoder.number(piece) == i for i, piece in enumerate(encoder.pieces))
    assert encoder.unknown == {1}
    with pytest.raises(InputError, match=r"tokenizer.json: the vocabulary has no piece 'piece'"):
        encoder.number("piece")


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1", b"\xff\xfe"])
def test_a_faulty_tokenizer_is_told_with_its_path(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        Encoder(tmp_path, 32, ALL)
    assert str(caught.value).startswith(f"{tmp_path / 'tokenizer.json'}: not a tokenizer: ")


def test_a_truncated_tokenizer_is_told(toy_model: Path, tmp_path: Path) -> None:
    shutil.copy(toy_model / "tokenizer.json", tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a tokenizer"):
        Encoder(tmp_path, 32, ALL)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("a text", None),
        (" x ", None),
        ("🌧", None),
        ("\x00", None),
        ("", "is empty"),
        (" \t\n\u3000", "is empty"),
        (3, "is int, not text"),
        (["a"], "is list, not text"),
        (b"a", "is bytes, not text"),
        ("ab\ud800c", "is not well-formed Unicode (lone surrogate at character 2)"),
    ],
)
def test_only_well_formed_text_is_text(value: object, fault: str | None) -> None:
    assert tokenization.ill_formed(value) == fault


def test_a_missing_text_is_told_in_the_words_of_the_data() -> None:
    fault = tokenization.ill_formed(None)
    assert fault is not None
    assert "NoneType" not in fault, "null in JSON, an empty cell in Parquet: nobody writes NoneType there"
