"""A teacher's outputs for a list of examples, computed once and kept on disk as half-precision arrays.

One file an array. What is there for each token is written without padding, one example after the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

INDEX = "index.json"


class Writer:
    """Arrays for examples of these lengths, filled in any order."""

    def __init__(self, folder: Path, lengths: Sequence[int], about: Mapping[str, Any]) -> None:
        self._folder, self._starts = folder, _starts(lengths)
        self._arrays: dict[str, NDArray[np.float16]] = {}
        self._lengths, self._about, self._per_token = list(lengths), dict(about), dict[str, bool]()

    def write(self, name: str, numbers: Sequence[int], values: NDArray[np.float32], per_token: bool) -> None:
        """Values [examples, ...] or, `per_token`, [examples, tokens, ...] of the examples with these numbers."""
        if name not in self._arrays:
            self._per_token[name] = per_token
            shape = (
                (int(self._starts[-1]), *values.shape[2:])
                if per_token
                else (len(self._starts) - 1, *values.shape[1:])
            )
            path = self._folder / f"{name}.npy"
            self._arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        for place, number in enumerate(numbers):
            if per_token:
                start, end = self._starts[number], self._starts[number + 1]
                self._arrays[name][start:end] = values[place, : end - start]
            else:
                self._arrays[name][number] = values[place]

    def finish(self) -> None:
        """Write what is still in memory."""
        for array in self._arrays.values():
            array.flush()  # type: ignore[attr-defined]
        index = {"lengths": self._lengths, "about": self._about, "per_token": self._per_token}
        (self._folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


class Taught:
    """What a `Writer` wrote, read from disk as batches ask for it."""

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        self.lengths: list[int] = index["lengths"]
        self.about: dict[str, Any] = index["about"]
        self._starts = _starts(self.lengths)
        self._per_token: dict[str, bool] = index["per_token"]
        self._arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in self._per_token}

    def batch(self, numbers: Sequence[int]) -> dict[str, NDArray[np.float32]]:
        """Arrays [batch, ...] or [batch, tokens, ...] for these examples, padded with zeros to the longest."""
        tokens = max(self.lengths[number] for number in numbers)
        found = {}
        for name, array in self._arrays.items():
            if not self._per_token[name]:
                found[name] = array[list(numbers)].astype(np.float32)
                continue
            found[name] = np.zeros((len(numbers), tokens, *array.shape[1:]), np.float32)
            for place, number in enumerate(numbers):
                start, end = self._starts[number], self._starts[number + 1]
                found[name][place, : end - start] = array[start:end]
        return found


def _starts(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))])
