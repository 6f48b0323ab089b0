"""Texts to token ids, by the model's own tokenizer.json: the same in training, calibration and prediction."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgebert.device.reading import ill_formed as ill_formed
from edgebert.errors import InputError

UNKNOWN = ("[UNK]", "<unk>")  # WordPiece's and SentencePiece's name for what they do not have

Feeds = dict[str, NDArray[np.int64]]


class Encoded(NamedTuple):
    """Token ids of one text: int64 [1, tokens] by input name, whether the text was cut, and whence each token is.

    `encoding` is the tokenizer's own: offsets in code points, word and sequence of each token.
    """

    feeds: Feeds
    truncated: bool
    encoding: Any


class Encoder:
    """A tokenizer that keeps at most `max_tokens` tokens, [CLS] and [SEP] among them, and never pads."""

    def __init__(self, folder: Path, max_tokens: int, inputs: Sequence[str]) -> None:
        from tokenizers import Tokenizer

        self._path = folder / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(self._path))
        except Exception as error:  # the library raises bare Exception for a faulty file
            raise InputError(f"{self._path}: not a tokenizer: {error}") from None
        self.max_tokens, self.inputs = max_tokens, list(inputs)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    @functools.cached_property
    def pieces(self) -> list[str]:
        """The vocabulary by number."""
        vocabulary = self._tokenizer.get_vocab()
        found = [""] * (max(vocabulary.values(), default=-1) + 1)
        for piece, number in vocabulary.items():
            found[number] = piece
        return found

    @functools.cached_property
    def unknown(self) -> set[int]:
        """The numbers of the pieces that stand for what the vocabulary does not have."""
        numbers = [self._tokenizer.token_to_id(piece) for piece in UNKNOWN]
        return {number for number in numbers if number is not None}

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Of the pieces of texts, the share that the vocabulary does not have; 0 where there are none."""
        pieces = [n for text in texts for n in self._tokenizer.encode(text, add_special_tokens=False).ids]
        return sum(number in self.unknown for number in pieces) / max(1, len(pieces))

    def is_sign(self, character: str) -> bool:
        """Whether a character is a punctuation mark or a symbol, as tables for devices tell it too."""
        return unicodedata.category(character)[0] in "PS"

    def number(self, piece: str) -> int:
        """The number of a piece. Raises InputError where the vocabulary lacks it."""
        number = self._tokenizer.token_to_id(piece)
        if number is None:
            raise InputError(f"{self._path}: the vocabulary has no piece '{piece}'")
        return int(number)

    def encode(self, text: str, pair: str | None = None) -> Encoded:
        """Token ids of a text, or of a pair of texts."""
        return self._encoded(self._tokenizer.encode(text, pair))

    def encode_words(self, words: Sequence[str]) -> Encoded:
        """Token ids of a text given as words; the encoding's `word_ids` number them."""
        return self._encoded(self._tokenizer.encode(list(words), is_pretokenized=True))

    def encode_windows(self, text: str, stride: int, question: str | None = None) -> list[Encoded]:
        """Token ids of a text of any length, in as many windows as it takes, each with the question before it.

        Neighbours share `stride` tokens of the text, but no more than half of what a window holds of it. A
        question of more than half a window is cut, which alone is told as `truncated`.
        """
        self._tokenizer.no_truncation()
        try:
            room = self.max_tokens - self._tokenizer.num_special_tokens_to_add(question is not None)
            asked, taken = (None, 0) if question is None else self._shortened(question, room // 2)
            strategy = "longest_first" if asked is None else "only_second"
            stride = min(stride, (room - taken) // 2)
            self._tokenizer.enable_truncation(self.max_tokens, stride=stride, strategy=strategy)
            first = self._tokenizer.encode(*((text,) if asked is None else (asked, text)))
        finally:
            self._tokenizer.enable_truncation(self.max_tokens)
        return [Encoded(self._feeds(one), asked != question, one) for one in (first, *first.overflowing)]

    def _shortened(self, text: str, limit: int) -> tuple[str, int]:
        """A text cut to at most `limit` pieces, and how many it has."""
        while len(pieces := self._tokenizer.encode(text, add_special_tokens=False)) > limit:
            text = text[: pieces.offsets[limit][0]]
        return text, len(pieces)

    def _encoded(self, encoding: Any) -> Encoded:
        return Encoded(self._feeds(encoding), bool(encoding.overflowing), encoding)

    def _feeds(self, encoding: Any) -> Feeds:
        known = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        return {name: np.asarray([known[name]], dtype=np.int64) for name in self.inputs}


def difference(one: Path, other: Path) -> str | None:
    """How the tokenizers of two model folders cut text otherwise; None where they do not, or one is not there."""
    import json

    files = [folder / "tokenizer.json" for folder in (one, other)]
    if not all(path.is_file() for path in files):
        return None
    first, second = (json.loads(path.read_text(encoding="utf-8")) for path in files)
    pieces = [_pieces(found) for found in (first, second)]
    if pieces[0] != pieces[1]:
        mine, theirs = len(pieces[0]), len(pieces[1])
        return f"{theirs} pieces instead of {mine}" if mine != theirs else "other pieces, or another order of them"
    strange = [part for part in ("normalizer", "pre_tokenizer") if first.get(part) != second.get(part)]
    return f"another {strange[0]}" if strange else None


def _pieces(found: dict[str, Any]) -> list[Any]:
    """The vocabulary in order: pieces by number, or a unigram's [piece, score]."""
    vocabulary = found["model"]["vocab"]
    return sorted(vocabulary, key=vocabulary.__getitem__) if isinstance(vocabulary, dict) else list(vocabulary)
