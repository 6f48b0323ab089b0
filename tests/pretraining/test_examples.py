"""Examples are pure functions of seed and number; every epoch has every row once."""

from typing import Any

import numpy as np
import pytest

from edgebert.pretraining import corpus, examples, text, vocabulary
from edgebert.pretraining.corpus import Corpus
from edgebert.pretraining.examples import HeldOut, Training, collate
from edgebert.pretraining.masking import NOT_ASKED
from edgebert.pretraining.vocabulary import Pieces
from tests.pretraining import prose


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Pieces]:
    """The toy's encoded text and its pieces."""
    folder = tmp_path_factory.mktemp("made")
    path = prose.write(folder / "text.txt", 60, 1)
    vocabulary.train("wordpiece", 100, True, lambda: text.contents([path]), folder / "t", 32)
    corpus.write([path], vocabulary.opened(folder / "t"), 29, True, folder / "c", lambda *_: None)
    return corpus.read(folder / "c"), vocabulary.pieces(folder / "t")


def same(one: examples.Example, other: examples.Example) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def training(made: tuple[Corpus, Pieces], seed: int = 1) -> Training:
    return Training(*made, "sop", seed, 200)


def test_an_example_is_the_same_whoever_asks_and_when(made: tuple[Corpus, Pieces]) -> None:
    one, other = training(made), training(made)
    backwards = {number: other[number] for number in reversed(range(200))}
    assert all(same(one[number], backwards[number]) for number in range(200))


def test_another_seed_gives_other_examples(made: tuple[Corpus, Pieces]) -> None:
    one, other = training(made), training(made, seed=2)
    assert sum(same(one[number], other[number]) for number in range(60)) < 10


def test_every_epoch_has_every_row_once_in_another_order_with_other_masks(made: tuple[Corpus, Pieces]) -> None:
    found, rows = Training(*made, "nsp", 1, 200), len(made[0].rows)
    orders = [[found.row(epoch * rows + place)[1] for place in range(rows)] for epoch in range(3)]
    assert all(sorted(order) == list(range(rows)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    first, again = found[orders[0].index(5)], found[rows + orders[1].index(5)]
    assert not same(first, again)


def test_sop_shows_each_pair_in_both_orders_one_after_the_other(made: tuple[Corpus, Pieces]) -> None:
    found, rows, sep = training(made), len(made[0].rows), made[1].sep
    assert sorted(found.row(number)[1] for number in range(0, 2 * rows, 2)) == list(range(rows))
    for number in range(0, 60, 2):
        segments = []
        for one in (found[number], found[number + 1]):
            whole: Any = np.where(one["labels"] == NOT_ASKED, one["input_ids"], one["labels"])
            first, second = np.split(whole[1:-1], np.flatnonzero(whole[1:-1] == sep))
            segments.append((first.tolist(), second[1:].tolist()))
        assert segments[0] == segments[1][::-1]
        assert [found[number]["sentence"], found[number + 1]["sentence"]] == [0, 1]
        assert not np.array_equal(found[number]["labels"], found[number + 1]["labels"])


def test_whole_pairs_are_shown_beside_masked_rows_that_ask_for_no_order(made: tuple[Corpus, Pieces]) -> None:
    found, rows = Training(*made, "sop", 1, 200, whole=True), len(made[0].rows)
    assert sorted(found.row(number)[1] for number in range(0, 3 * rows, 3)) == list(range(rows))
    for number in range(0, 60, 3):
        masked, pair, swapped = (found[number + place] for place in range(3))
        assert (masked["labels"] != NOT_ASKED).any()
        assert [one["sentence"] for one in (masked, pair, swapped)] == [NOT_ASKED, 0, 1]
        assert sorted(pair["input_ids"]) == sorted(swapped["input_ids"])
        for one in (pair, swapped):
            assert (one["labels"] == NOT_ASKED).all()
            assert made[1].mask not in one["input_ids"]


def test_held_out_whole_pairs_follow_the_masked_rows_of_every_recipe(made: tuple[Corpus, Pieces]) -> None:
    masked, both = HeldOut(*made, "sop"), HeldOut(*made, "sop", whole=True)
    rows = len(masked)
    assert len(both) == 2 * rows
    for row in range(rows):
        first, second = both[row], both[rows + row]
        assert all(np.array_equal(first[name], masked[row][name]) for name in ("input_ids", "labels"))
        assert (first["sentence"], second["sentence"]) == (NOT_ASKED, masked[row]["sentence"])
        assert (second["labels"] == NOT_ASKED).all()


def test_the_special_pieces_and_types_are_where_bert_has_them(made: tuple[Corpus, Pieces]) -> None:
    pieces = made[1]
    for number in range(50):
        one = training(made)[number]
        whole: Any = np.where(one["labels"] == NOT_ASKED, one["input_ids"], one["labels"])
        ends = np.flatnonzero(whole == pieces.sep)
        assert whole[0] == pieces.cls
        assert (whole == pieces.cls).sum() == 1
        assert len(ends) == 2
        assert ends[1] == len(whole) - 1 <= 31
        assert one["token_type_ids"].tolist() == [0] * (ends[0] + 1) + [1] * (ends[1] - ends[0])


def test_without_pairs_there_is_one_segment(made: tuple[Corpus, Pieces]) -> None:
    one = Training(*made, "none", 1, 10)[3]
    assert (one["token_type_ids"] == 0).all()
    assert (one["input_ids"] == made[1].sep).sum() == 1


def test_held_out_rows_are_fixed(made: tuple[Corpus, Pieces]) -> None:
    one, other = HeldOut(*made, "sop"), HeldOut(*made, "sop")
    assert len(one) == len(made[0].rows)
    assert all(same(one[row], other[row]) for row in range(len(one)))
    assert len({one[row]["sentence"] for row in range(20)}) == 2


def test_a_batch_is_padded_with_what_nothing_looks_at(made: tuple[Corpus, Pieces]) -> None:
    found = [training(made)[number] for number in range(20)]
    found[0] = {name: value[:5] if name != "sentence" else value for name, value in found[0].items()}
    batch = collate(found, pad=9)
    longest = max(len(one["input_ids"]) for one in found)
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == {
        **dict.fromkeys(("input_ids", "attention_mask", "token_type_ids", "labels"), (20, longest)),
        "sentence": (20,),
    }
    assert batch["attention_mask"].sum(1).tolist() == [len(one["input_ids"]) for one in found]
    outside = batch["attention_mask"] == 0
    assert (batch["input_ids"][outside] == 9).all()
    assert (batch["labels"][outside] == NOT_ASKED).all()
    assert batch["labels"][1, : len(found[1]["labels"])].tolist() == found[1]["labels"].tolist()
