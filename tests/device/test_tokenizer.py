"""The device's tokenizer against the model's own, token for token, and what it says of files that are none."""

from __future__ import annotations

import functools
import io
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer as Original

from edgebert import tokenizer_table
from edgebert.device.characters import TableUnreadable
from edgebert.device.tokenizer import TABLE, VOCABULARY, Tokenizer
from edgebert.tokenization import Encoded, Encoder
from tests import stress

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
NAMES = [*stress.tokenizers(), "albert, charsmap"]
NO_MARKS = ("\u302e", "\u302f", "\U0001d165", "\U0001d16d", "\U0001d172", "\U0001d15e", "\U00016ff0", "\u2581")


@functools.cache
def charsmap() -> bytes:
    """The normalization that published ALBERTs come with, as sentencepiece makes it."""
    trainer = pytest.importorskip("sentencepiece").SentencePieceTrainer
    chance, words = random.Random(1), [f"{a}{b}" for a in "abcdefgh" for b in "aeiou"]
    lines = (" ".join(chance.choice(words) for _ in range(12)) for _ in range(300))
    model = io.BytesIO()
    trainer.train(
        sentence_iterator=lines,
        model_writer=model,
        vocab_size=60,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return _field(_field(model.getvalue(), 3), 2)  # ModelProto.normalizer_spec.precompiled_charsmap


def _field(message: bytes, wanted: int) -> bytes:
    """The last field of a number in a Protocol Buffers message, of those that are bytes."""
    at, found = 0, b""

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(message):
        key = number()
        size = {1: 8, 5: 4}.get(key & 7) or number()
        if key & 7 == 2:
            found = message[at : at + size] if key >> 3 == wanted else found
            at += size
        elif key & 7:
            at += size
    return found


@functools.cache
def folder(name: str) -> Path:
    """A folder with a kind's tokenizer.json, and its table."""
    text = stress.albert(charsmap()) if name == "albert, charsmap" else stress.tokenizers()[name]
    made = Path(tempfile.mkdtemp(prefix="edgebert-"))
    (made / "tokenizer.json").write_text(text, encoding="utf-8")
    tokenizer_table.write(made / "tokenizer.json", made)
    return made


def original(name: str) -> Original:
    tokenizer = Original.from_file(str(folder(name) / "tokenizer.json"))
    tokenizer.no_truncation()
    return tokenizer


def differences(name: str, texts: Iterable[str]) -> list[str]:
    """Texts that the two tokenizers cut otherwise, or whose tokens they place otherwise."""
    theirs, ours = original(name), Tokenizer(str(folder(name)), 1 << 30, INPUTS)
    found = []
    for text in texts:
        expected = theirs.encode(text, add_special_tokens=False)
        placed = ours.placed(text)
        same = ours.ids(text) == expected.ids == [one[0] for one in placed]
        if same and not any(mark in text for mark in NO_MARKS) and text.isprintable():
            same = [one[1:3] for one in placed] == expected.offsets
            same = same and [one[3] for one in placed] == expected.word_ids
        if not same:
            found.append(ascii(text))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_no_token_differs_on_texts_that_are_hard(name: str) -> None:
    assert len(stress.stress()) >= 300
    assert differences(name, stress.stress()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_token_differs_on_random_texts(name: str) -> None:
    assert differences(name, stress.random_texts(20_000)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", stress.WHOLE_UNICODE)
def test_no_token_differs_on_any_code_point(name: str) -> None:
    theirs, ours = original(name), Tokenizer(str(folder(name)), 1 << 30, INPUTS)
    wrong = [t for t in stress.code_points() if ours.ids(t) != theirs.encode(t, add_special_tokens=False).ids]
    assert list(map(ascii, wrong)) == []


def alike(one: Encoded, other: object) -> bool:
    """Whether two encodings feed the same and were cut alike."""
    feeds, truncated = other[0], other[1]  # type: ignore[index]
    same = all(np.array_equal(one.feeds[name], feeds[name]) for name in INPUTS)
    return same and one.truncated == truncated


@pytest.mark.parametrize("most", [8, 9, 17, 64])
@pytest.mark.parametrize("name", ["uncased", "albert"])
def test_texts_are_cut_where_the_original_cuts_them(name: str, most: int) -> None:
    theirs, ours = Encoder(folder(name), most, INPUTS), Tokenizer(str(folder(name)), most, INPUTS)
    chance = random.Random(most)
    words = ["the", "living", "room", "unaffable", "[MASK]", "café", "中文", "x", "it's"]
    for _ in range(100):
        text, pair = (" ".join(chance.choices(words, k=chance.randint(0, 30))) for _ in range(2))
        assert alike(theirs.encode(text), ours.encode(text))
        assert alike(theirs.encode(text, pair), ours.encode(text, pair))
        for stride in (0, 3, 1000):
            for question in (None, pair):
                expected = theirs.encode_windows(text, stride, question)
                found = ours.encode_windows(text, stride, question)
                assert len(found) == len(expected)
                for one, other in zip(expected, found, strict=True):
                    assert alike(one, other)
                    assert other.encoding is not None
                    assert other.encoding.offsets == one.encoding.offsets
                    assert other.encoding.word_ids == one.encoding.word_ids
                    assert other.encoding.sequence_ids == one.encoding.sequence_ids


def test_a_megabyte_of_text_is_cut() -> None:
    ours = Tokenizer(str(folder("uncased")), 16, INPUTS)
    found = ours.encode("the living room `` " * 55_000)
    assert found.truncated
    assert found.feeds["input_ids"].shape == (1, 16)


def test_pieces_have_the_numbers_of_the_original() -> None:
    ours, theirs = Tokenizer(str(folder("albert")), 16, INPUTS), original("albert")
    assert ours.pieces == [theirs.id_to_token(i) for i in range(theirs.get_vocab_size())]
    assert ours.number("[MASK]") == theirs.token_to_id("[MASK]")


@pytest.mark.parametrize("count", [0, 3, 5, 9, 40, 1000])
def test_a_table_that_is_cut_short_is_told(count: int, tmp_path: Path) -> None:
    table = (folder("uncased") / TABLE).read_bytes()
    (tmp_path / TABLE).write_bytes(table[:count])
    (tmp_path / VOCABULARY).write_bytes((folder("uncased") / VOCABULARY).read_bytes())
    with pytest.raises(TableUnreadable, match=r"tokenizer\.bin: is "):
        Tokenizer(str(tmp_path), 16, INPUTS)


def test_a_table_of_a_newer_version_is_told(tmp_path: Path) -> None:
    table = bytearray((folder("uncased") / TABLE).read_bytes())
    table[4] += 1
    (tmp_path / TABLE).write_bytes(table)
    (tmp_path / VOCABULARY).write_bytes((folder("uncased") / VOCABULARY).read_bytes())
    with pytest.raises(TableUnreadable, match="version 2; this EdgeBERT reads 1"):
        Tokenizer(str(tmp_path), 16, INPUTS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableUnreadable, match=r"tokenizer\.bin: No such file"):
        Tokenizer(str(tmp_path), 16, INPUTS)
