"""Batches of like length, and each process's share of them."""

import math

import pytest

from edgebert.training.batches import LengthBatches


def test_every_example_is_in_one_batch_of_an_epoch_and_batches_are_of_like_length() -> None:
    lengths = [1 + (i * 7919) % 97 for i in range(1003)]
    batches = LengthBatches(lengths, 16, seed=1)
    found = list(batches)
    assert sorted(i for batch in found for i in batch) == list(range(1003))
    assert len(found) == len(batches) == math.ceil(1003 / 16)
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in found)
    assert padded < 1.05 * sum(lengths)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = LengthBatches([5] * 100, 8, seed)
        batches.epoch = epoch
        return list(batches)

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


@pytest.mark.parametrize("rows", [96, 97, 101])
def test_processes_share_each_batch(rows: int) -> None:
    lengths = [1 + i % 9 for i in range(rows)]
    whole = list(LengthBatches(lengths, 8, seed=1))
    first, second = (list(LengthBatches(lengths, 8, seed=1, rank=rank, processes=2)) for rank in (0, 1))
    assert len(first) == len(second) == len(whole)
    for batch, one, other in zip(whole, first, second, strict=True):
        assert set(one) | set(other) == set(batch)
        assert one and other and abs(len(one) - len(other)) <= 1
