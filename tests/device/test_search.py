"""Search among vectors on the device: the nearest entries, each by its nearest vector."""

from __future__ import annotations

import numpy as np
import pytest

from edgebert.device import search


def test_an_entry_counts_by_the_nearest_of_its_vectors() -> None:
    vectors = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.8, 0.6]]
    found = search.nearest([1.0, 0.0], vectors, [0, 0, 1, 1], 2)
    assert [entry for entry, _ in found] == [0, 1]
    assert [score for _, score in found] == pytest.approx([1.0, 0.8])


def test_no_more_entries_than_there_are_and_equals_in_their_order() -> None:
    found = search.nearest([1.0, 0.0], [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]], [5, 4, 3], 10)
    assert [entry for entry, _ in found] == [3, 4, 5]
    assert search.nearest([1.0, 0.0], [[0.0, -1.0], [-1.0, 0.0]], [0, 1], 1) == [(0, 0.0)]


def test_products_are_those_of_every_pair() -> None:
    random = np.random.default_rng(0)
    queries, vectors = random.normal(size=(5, 3)), random.normal(size=(7, 3))
    [(start, found)] = search.products(queries, vectors)
    assert start == 0 and found.dtype == np.float32
    np.testing.assert_allclose(found, queries @ vectors.T, rtol=1e-5, atol=1e-6)
