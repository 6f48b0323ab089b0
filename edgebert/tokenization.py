"""Texts to token ids, by the model's own tokenizer.json: the same in training, calibration and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import InputError

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

        path = folder / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for a faulty file
            raise InputError(f"{path}: not a tokenizer: {error}") from None
        self.max_tokens, self.inputs = max_tokens, list(inputs)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def encode(self, text: str, pair: str | None = None) -> Encoded:
        """Token ids of a text, or of a pair of texts."""
        return self._encoded(self._tokenizer.encode(text, pair))

    def encode_words(self, words: Sequence[str]) -> Encoded:
        """Token ids of a text given as words; the encoding's `word_ids` number them."""
        return self._encoded(self._tokenizer.encode(list(words), is_pretokenized=True))

    def _encoded(self, encoding: Any) -> Encoded:
        known = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        feeds = {name: np.asarray([known[name]], dtype=np.int64) for name in self.inputs}
        return Encoded(feeds, bool(encoding.overflowing), encoding)


def ill_formed(text: object) -> str | None:
    """Why a value cannot be given to a tokenizer as text, or None."""
    if text is None:
        return "is missing (null)"
    if not isinstance(text, str):
        return f"is {type(text).__name__}, not text"
    if not text.strip():
        return "is empty"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"is not well-formed Unicode (lone surrogate at character {error.start})"
    return None
