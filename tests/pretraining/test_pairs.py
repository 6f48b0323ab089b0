"""Pairs as BERT's NSP and ALBERT's SOP define them, read off the rows themselves."""

import itertools
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from edgebert.pretraining import pairs
from edgebert.pretraining.corpus import Corpus
from edgebert.pretraining.pairs import Pair

Make = Callable[[Corpus, int, np.random.Generator], Pair]
REACH = 3


def made(sizes: list[list[int]], room: int) -> Corpus:
    """Documents of units of these sizes; a piece is its place in the text. A row is a cut between two units."""
    flat = [size for document in sizes for size in document]
    documents = np.cumsum([0, *map(len, sizes)])
    starts = [unit for low, high in itertools.pairwise(documents) for unit in range(low + 1, high)]
    return Corpus(
        ids=np.arange(sum(flat), dtype=np.uint16),
        units=np.cumsum([0, *flat]),
        documents=documents,
        rows=np.asarray([(unit, unit + 1) for unit in starts]),
        room=room,
        reach=REACH,
    )


@pytest.fixture(scope="module")
def roomy() -> Corpus:
    """Five documents of six units of three pieces; every pair fits."""
    return made([[3] * 6] * 5, 100)


def drawn(make: Make, corpus: Corpus, row: int, count: int = 2000) -> list[Pair]:
    random = np.random.default_rng(row)
    return [make(corpus, row, random) for _ in range(count)]


def is_run(pieces: list[int]) -> bool:
    return pieces == list(range(pieces[0], pieces[0] + len(pieces)))


def document(piece: int) -> int:
    return piece // 18


@pytest.mark.parametrize("row", [0, 7, 24])
def test_sop_is_two_segments_that_follow_each_other_or_the_same_two_swapped(roomy: Corpus, row: int) -> None:
    cut = 3 * int(roomy.rows[row][0])
    found = drawn(pairs.sentence_order, roomy, row)
    for pair in found:
        ours = (pair.first.tolist(), pair.second.tolist())
        before, after = ours if pair.label == 0 else ours[::-1]
        assert is_run(before + after)
        assert after[0] == cut  # the end of a sentence and the beginning of the next
        assert {document(piece) for piece in before + after} == {document(cut)}
        assert len(before) % 3 == len(after) % 3 == 0
        assert 1 <= len(before) / 3 <= REACH
        assert 1 <= len(after) / 3 <= REACH
    assert abs(np.mean([pair.label for pair in found]) - 0.5) < 0.05
    assert max(Counter(len(pair.first) for pair in found).values()) < 0.8 * len(found)


@pytest.mark.parametrize("row", [0, 7, 24])
def test_nsp_is_the_true_next_segment_or_one_of_another_document(roomy: Corpus, row: int) -> None:
    cut = 3 * int(roomy.rows[row][0])
    found = drawn(pairs.next_sentence, roomy, row)
    elsewhere: Counter[int] = Counter()
    for pair in found:
        first, second = pair.first.tolist(), pair.second.tolist()
        assert is_run(first)
        assert first[-1] == cut - 1
        assert is_run(second)
        assert second[0] % 3 == len(second) % 3 == 0  # whole sentences
        assert len({document(piece) for piece in second}) == 1
        if pair.label == 0:
            assert second[0] == cut
        else:
            elsewhere[document(second[0])] += 1
    assert abs(np.mean([pair.label for pair in found]) - 0.5) < 0.05
    assert set(elsewhere) == set(range(5)) - {document(cut)}
    assert min(elsewhere.values()) > 0.2 * sum(elsewhere.values())  # each of the four alike


@pytest.mark.parametrize("make", [pairs.sentence_order, pairs.next_sentence])
def test_what_is_too_much_is_cut_off_the_longer_one_at_either_end(make: Make) -> None:
    corpus = made([[5, 40, 5, 40, 5, 40]] * 3, 20)
    for row in range(len(corpus.rows)):
        for pair in drawn(make, corpus, row, 50):
            first, second = pair.first.tolist(), pair.second.tolist()
            assert len(first) + len(second) <= corpus.room
            assert is_run(first)
            assert is_run(second)
            assert min(len(first), len(second)) in (5, 10)  # the shorter one is whole, or both are halves
    fronts = [pair.first[0] % 135 in (0, 5, 45, 50, 90, 95) for pair in drawn(make, corpus, 2, 400)]
    assert 0 < np.mean(fronts) < 1


def test_lengths_tell_nothing_of_the_order() -> None:
    """By a table of everything but the words: both lengths, and which sentences are cut at which end."""
    random = np.random.default_rng(4)
    corpus = made([random.geometric(0.08, 400).tolist() for _ in range(4)], 30)
    begins, ends = set(corpus.units.tolist()), set((corpus.units - 1).tolist())

    def seen(pair: Pair) -> tuple[object, ...]:
        return tuple(
            (min(len(one) // 4, 5), one[0] in begins, one[-1] in ends) for one in (pair.first, pair.second)
        )

    known: dict[tuple[object, ...], list[int]] = {}
    right = []
    for row in np.random.default_rng(1).integers(0, len(corpus.rows), 30_000):
        pair = pairs.sentence_order(corpus, int(row), random)
        votes = known.setdefault(seen(pair), [])
        right.append((sum(votes) * 2 > len(votes)) == pair.label)
        votes.append(pair.label)
    assert abs(np.mean(right[10_000:]) - 0.5) < 0.015  # four deviations
