"""Batches of examples of like length: padding is what a CPU computes in vain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

POOL = 50  # batches that are sorted by length together; transformers groups as many


class LengthBatches(torch.utils.data.Sampler[list[int]]):  # type: ignore[misc]  # torch is not read by mypy
    """Batches of examples of like length, others each epoch; of each batch, the share of one of the processes.

    The order depends on seed and epoch alone, so that a run that goes on sees what it would have seen.
    """

    epoch = 0

    def __init__(self, lengths: Sequence[int], size: int, seed: int, rank: int = 0, processes: int = 1) -> None:
        self._lengths = np.asarray(lengths)
        self._size, self._seed, self._rank, self._processes = size, seed, rank, processes

    def __len__(self) -> int:
        return math.ceil(len(self._lengths) / self._size)

    def __iter__(self) -> Iterator[list[int]]:
        draw = np.random.default_rng([self._seed, self.epoch])
        order = draw.permutation(len(self._lengths))
        batches = []
        for start in range(0, len(order), POOL * self._size):
            pool = order[start : start + POOL * self._size]
            pool = pool[np.argsort(-self._lengths[pool], kind="stable")]
            batches += [pool[i : i + self._size] for i in range(0, len(pool), self._size)]
        for number in draw.permutation(len(batches)):
            batch = batches[number]
            yield batch[self._rank % len(batch) :: self._processes].tolist()
