"""Pairs as BERT's NSP and ALBERT's SOP define them, read off the rows themselves."""

from collections import Counter

import numpy as np
import pytest

from edgebert.pretraining import pairs
from edgebert.pretraining.corpus import Corpus

ROOM = 12


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Five documents of six units of three pieces; piece 100 d + 10 u + k is the k-th of unit u of document d."""
    ids = [100 * d + 10 * u + k for d in range(5) for u in range(6) for k in range(3)]
    rows = [(6 * d + 4 * r, min(6 * d + 4 * r + 4, 6 * d + 6)) for d in range(5) for r in range(2)]
    return Corpus(
        ids=np.asarray(ids, dtype=np.uint16),
        units=np.arange(0, 91, 3),
        documents=np.arange(0, 31, 6),
        rows=np.asarray(rows),
        room=ROOM,
    )


def drawn(make: object, corpus: Corpus, row: int, count: int = 2000) -> list[pairs.Pair]:
    assert callable(make)
    random = np.random.default_rng(row)
    return [make(corpus, row, random) for _ in range(count)]


def row_pieces(corpus: Corpus, row: int) -> list[int]:
    return corpus.pieces(*corpus.rows[row]).tolist()


@pytest.mark.parametrize("row", [0, 3, 9])
def test_sop_is_the_same_two_segments_in_order_or_swapped(corpus: Corpus, row: int) -> None:
    found = drawn(pairs.sentence_order, corpus, row)
    whole = row_pieces(corpus, row)
    for pair in found:
        first, second = pair.first.tolist(), pair.second.tolist()
        assert (first + second if pair.label == 0 else second + first) == whole
        assert first
        assert second
    assert abs(np.mean([pair.label for pair in found]) - 0.5) < 0.05
    cuts = {tuple(sorted((len(pair.first), len(pair.second)))) for pair in found}
    assert len(cuts) == (2 if row % 2 == 0 else 1)  # of 4 units: 1 + 3, 2 + 2; of 2 units: 1 + 1


@pytest.mark.parametrize("row", [0, 3, 9])
def test_nsp_is_the_true_next_segment_or_one_of_another_document(corpus: Corpus, row: int) -> None:
    found = drawn(pairs.next_sentence, corpus, row)
    whole, own = row_pieces(corpus, row), row // 2
    elsewhere: Counter[int] = Counter()
    for pair in found:
        first, second = pair.first.tolist(), pair.second.tolist()
        assert whole[: len(first)] == first
        assert len(first) + len(second) <= ROOM
        if pair.label == 0:
            assert first + second == whole
            continue
        other = second[0] // 100
        elsewhere[other] += 1
        document = row_pieces(corpus, 2 * other) + row_pieces(corpus, 2 * other + 1)
        start = document.index(second[0])
        assert start % 3 == 0  # from the beginning of a unit
        assert document[start : start + len(second)] == second  # and on from there
        assert len(second) % 3 == 0  # whole units
    assert abs(np.mean([pair.label for pair in found]) - 0.5) < 0.05
    assert set(elsewhere) == set(range(5)) - {own}
    assert min(elsewhere.values()) > 0.2 * sum(elsewhere.values())  # each of the four alike


def test_a_unit_of_another_document_that_is_too_long_is_cut(corpus: Corpus) -> None:
    small = Corpus(corpus.ids, corpus.units, corpus.documents, corpus.rows, 11)
    for pair in drawn(pairs.next_sentence, small, 0, 300):
        if pair.label == 1:
            assert 1 <= len(pair.second) <= 11 - len(pair.first)
