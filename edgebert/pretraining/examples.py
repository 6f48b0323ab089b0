"""Examples to train on and to be measured on: each a pure function of seed and number, whoever asks for it when.

So any number of processes share a step's batch without a word, a run that was killed goes on with the very next
example, and nothing of it needs to be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgebert.pretraining import pairs
from edgebert.pretraining.corpus import Corpus
from edgebert.pretraining.masking import NOT_ASKED, mask
from edgebert.pretraining.vocabulary import Pieces

Sentence = Literal["nsp", "sop", "none"]
Example = dict[str, Any]
Asks = Literal["both", "masked", "pair"]
SPECIAL = {"nsp": 3, "sop": 3, "none": 2}  # special pieces of a segment
HELD_OUT = 0  # the seed of held-out masks and pairs: the same in every recipe, so that perplexities compare


def example(
    corpus: Corpus,
    row: int,
    pieces: Pieces,
    sentence: Sentence,
    random: np.random.Generator,
    swapped: bool | None = None,
    asks: Asks = "both",
) -> Example:
    """One row with its special pieces: input_ids, token_type_ids, labels int64 [tokens], and `sentence`.

    `sentence` is the class of the pair (0: in order; 1: another document, or swapped). `swapped` is the order of
    segments that "sop" is to take, by chance where it is None. Labels, and the class, are NOT_ASKED where `asks`
    leaves them out; a row that asks for its pair alone has no masks.
    """
    if sentence == "none":
        segments, label = [corpus.pieces(*(int(unit) for unit in corpus.rows[row]))], NOT_ASKED
    else:
        if sentence == "sop":
            pair = pairs.sentence_order(corpus, row, random, swapped)
        else:
            pair = pairs.next_sentence(corpus, row, random)
        segments, label = [pair.first, pair.second], pair.label
    ids = np.concatenate([[pieces.cls], *(part for one in segments for part in (one, [pieces.sep]))])
    types = np.repeat([0, 1][: len(segments)], [len(one) + 1 for one in segments])
    hidden = ids.astype(np.int64)
    labels = np.full_like(hidden, NOT_ASKED)
    if asks != "pair":
        hidden, labels = mask(hidden, pieces, random)
    types = np.concatenate([[0], types]).astype(np.int64)
    label = NOT_ASKED if asks == "masked" else label
    return {"input_ids": hidden, "token_type_ids": types, "labels": labels, "sentence": label}


class Showing(NamedTuple):
    """How an epoch shows a row: what is asked, and whether "sop" is to swap it (None: by chance)."""

    asks: Asks
    swapped: bool | None = None


def showings(sentence: Sentence, whole: bool) -> tuple[Showing, ...]:
    """How an epoch shows each row, one after the other; with `whole`, pairs are asked of rows without masks."""
    if sentence == "none":
        return (Showing("masked"),)
    orders = (False, True) if sentence == "sop" else (None,)
    if whole:
        return Showing("masked"), *(Showing("pair", swapped) for swapped in orders)
    return tuple(Showing("both", swapped) for swapped in orders)


class Training:
    """The examples of a whole training: epoch after epoch, each in an order and with masks of its own.

    `limit` is how many there are; rows are shuffled by numbers alone (8 bytes a row in memory). "sop" shows each
    pair in both orders, one after the other: what a pair is about then weighs alike on both sides of the loss, and
    only order is left to learn (docs/pretraining.md has what that changes). `whole`: see `showings`.
    """

    def __init__(
        self, corpus: Corpus, pieces: Pieces, sentence: Sentence, seed: int, limit: int, whole: bool = False
    ) -> None:
        self.corpus, self.pieces, self.sentence, self.seed, self.limit = corpus, pieces, sentence, seed, limit
        self._showings = showings(sentence, whole)
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return self.limit

    def row(self, number: int) -> tuple[int, int]:
        """(epoch, row of the corpus) of an example."""
        epoch, place = divmod(number // len(self._showings), len(self.corpus.rows))
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.corpus.rows))
            self._order = epoch, order
        return epoch, int(self._order[1][place])

    def __getitem__(self, number: int) -> Example:
        epoch, row = self.row(number)
        random = np.random.default_rng([self.seed, epoch, row])
        asks, swapped = self._showings[number % len(self._showings)]
        return example(self.corpus, row, self.pieces, self.sentence, random, swapped, asks)


class HeldOut:
    """The held-out rows, their masks and pairs fixed; with `whole`, masked rows, then all pairs without masks."""

    def __init__(self, corpus: Corpus, pieces: Pieces, sentence: Sentence, whole: bool = False) -> None:
        self.corpus, self.pieces, self.sentence = corpus, pieces, sentence
        self._asks: tuple[Asks, ...] = ("masked", "pair") if whole else ("both",)

    def __len__(self) -> int:
        return len(self._asks) * len(self.corpus.rows)

    def __getitem__(self, number: int) -> Example:
        part, row = divmod(number, len(self.corpus.rows))
        random = np.random.default_rng([HELD_OUT, row])
        return example(self.corpus, row, self.pieces, self.sentence, random, asks=self._asks[part])


def collate(examples: Sequence[Example], pad: int) -> dict[str, Any]:
    """A batch padded to its longest example: int64 [batch, tokens] tensors, `sentence` int64 [batch]."""
    import torch

    length = max(len(one["input_ids"]) for one in examples)
    fill = {"input_ids": pad, "attention_mask": 0, "token_type_ids": 0, "labels": NOT_ASKED}
    batch = {name: np.full((len(examples), length), value, dtype=np.int64) for name, value in fill.items()}
    for number, one in enumerate(examples):
        size = len(one["input_ids"])
        batch["attention_mask"][number, :size] = 1
        for name in ("input_ids", "token_type_ids", "labels"):
            batch[name][number, :size] = one[name]
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    return {**tensors, "sentence": torch.tensor([one["sentence"] for one in examples])}
