"""Texts to token ids, by the model's own tokenizer.json: the same in training, calibration and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import InputError

Feeds = dict[str, NDArray[np.int64]]


class Encoded(NamedTuple):
    """Token ids of one text: int64 [1, tokens] by input name, and whether the text was cut."""

    feeds: Feeds
    truncated: bool


class Encoder:
    """A tokenizer that keeps at most `max_tokens` tokens, [CLS] and [SEP] among them, and never pads."""

    def __init__(self, folder: Path, max_tokens: int, inputs: Sequence[str]) -> None:
        from tokenizers import Tokenizer

        path = folder / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for a faulty file
            raise InputError(f"{path}: not a tokenizer: {error}") from None
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._inputs = list(inputs)

    def encode(self, text: str, pair: str | None = None) -> Encoded:
        """Token ids of a text, or of a pair of texts."""
        encoding = self._tokenizer.encode(text, pair)
        known = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        feeds = {name: np.asarray([known[name]], dtype=np.int64) for name in self._inputs}
        return Encoded(feeds, bool(encoding.overflowing))


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
