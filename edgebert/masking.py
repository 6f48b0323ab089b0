"""Masked language modelling (Devlin et al. 2018, section 3.1): which pieces are hidden, and behind what."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from edgebert.lines import MASK as MASK
from edgebert.tokenization import Encoder

SHARE = 0.15  # of the ordinary pieces of a text
MASKED, REPLACED = 0.8, 0.1  # of those: hidden behind [MASK], behind a random piece; the rest stays as it is
NOT_ASKED = -100  # the label of a piece that is not to be predicted, as everywhere in transformers

Ids = NDArray[np.int64]


def mask(ids: Ids, candidates: Ids, number: int, pieces: int, random: np.random.Generator) -> tuple[Ids, Ids]:
    """(pieces with some hidden, labels), both int64 [tokens].

    At least one of the places in `candidates` is chosen, where there is one. `number` is the mask's own, `pieces`
    the size of the vocabulary that random ones are drawn from.
    """
    hidden, labels = ids.copy(), np.full_like(ids, NOT_ASKED)
    chosen = random.permutation(candidates)[: max(1, round(SHARE * len(candidates)))]
    labels[chosen] = ids[chosen]
    fate = random.random(len(chosen))
    hidden[chosen[fate < MASKED]] = number
    replaced = chosen[(fate >= MASKED) & (fate < MASKED + REPLACED)]
    hidden[replaced] = random.integers(pieces, size=len(replaced))
    return hidden, labels


def seed_of(text: str) -> int:
    """A number that follows from a text alone: what is hidden in it is the same everywhere and always."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def words(text: str, encoder: Encoder) -> list[tuple[int, int, int]]:
    """First code point, the one behind the last, and number of each word that is a single known piece."""
    encoding = encoder.encode(text).encoding
    pieces = Counter(encoding.word_ids)
    found = []
    for word, number, (start, end) in zip(encoding.word_ids, encoding.ids, encoding.offsets, strict=True):
        if word is None or pieces[word] > 1 or number in encoder.unknown:
            continue
        start += len(text[start:end]) - len(text[start:end].lstrip())  # some count the space before a word to it
        if any(map(str.isalnum, text[start:end])):
            found.append((start, end, number))
    return found
