"""Ranges of activations from histograms that grow in place: memory does not depend on how many texts are run.

ONNX Runtime's percentile and entropy calibration keep every activation of every text until the end. Here each
tensor has one histogram of fixed size; a value outside it doubles its width, and pairs of bins become one, which
loses nothing that a bin twice as wide would have kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgebert.static_ranges import activations
from edgebert.tokenization import Feeds

Method = Literal["minmax", "percentile", "entropy"]
Range = tuple[float, float]
BINS = 4096  # over [-limit, limit]
PERCENT = 99.99  # of the values that "percentile" keeps
LEVELS = 128  # of |x| in 8 bits
CANDIDATES = 256  # thresholds that "entropy" tries
_FIRST_LIMIT = 2.0**-10


class Histogram:
    """Counts of a tensor's values in equal bins between -limit and limit, and its least and largest value."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.limit, self.least, self.largest = _FIRST_LIMIT, np.inf, -np.inf

    def add(self, values: NDArray[np.float32]) -> None:
        """Count values of any shape. Raises ValueError where one is not finite."""
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(low + high):
            raise ValueError("holds values that are not finite")
        self.least, self.largest = min(self.least, low), max(self.largest, high)
        while self.limit < max(-low, high):
            self._widen()
        self.counts += np.histogram(values, BINS, (-self.limit, self.limit))[0]

    def _widen(self) -> None:
        """Twice the limit: pairs of bins become the middle half."""
        pairs = self.counts.reshape(-1, 2).sum(axis=1)
        self.counts[:] = 0
        self.counts[BINS // 4 : BINS // 4 + len(pairs)] = pairs
        self.limit *= 2

    def range(self, method: Method) -> Range:
        """(lowest, highest) value that 8 bits are to tell apart; what is outside is cut off."""
        if method == "minmax":
            return self.least, self.largest
        threshold = None if method == "percentile" else self._least_divergence()
        if threshold is not None:
            return max(self.least, -threshold), min(self.largest, threshold)
        shares = np.cumsum(self.counts) / self.counts.sum()
        edges = np.linspace(-self.limit, self.limit, BINS + 1)
        tail = (1 - PERCENT / 100) / 2
        low = edges[np.searchsorted(shares, tail)]
        high = edges[np.searchsorted(shares, 1 - tail) + 1]
        return max(self.least, float(low)), min(self.largest, float(high))

    def _least_divergence(self) -> float:
        """The threshold whose LEVELS levels of |x| tell most of its distribution.

        Migacz 2017, "8-bit inference with TensorRT": the least Kullback-Leibler divergence of the clipped
        distribution from the quantized one, over thresholds.
        """
        counts = (self.counts[BINS // 2 :] + self.counts[: BINS // 2][::-1]).astype(np.float64)
        whole = int(np.flatnonzero(counts)[-1]) + 1
        if whole <= LEVELS:
            return float(whole / len(counts) * self.limit)
        tried = np.unique(np.linspace(LEVELS, whole, CANDIDATES).round().astype(int))
        best = min(tried, key=lambda kept: _divergence(counts, int(kept)))
        return float(best / len(counts) * self.limit)


def _divergence(counts: NDArray[np.float64], kept: int) -> float:
    """KL(clipped | quantized) where the first `kept` bins of |x| are cut into LEVELS levels."""
    clipped = counts[:kept].copy()
    clipped[-1] += counts[kept:].sum()
    level = np.arange(kept) * LEVELS // kept
    there = counts[:kept] > 0
    sums = np.bincount(level, counts[:kept], LEVELS)
    sizes = np.maximum(np.bincount(level, there, LEVELS), 1)
    quantized = np.where(there, (sums / sizes)[level], 0.0)
    if not quantized.sum():
        return np.inf
    p, q = clipped / clipped.sum(), quantized / quantized.sum()
    both = (p > 0) & (q > 0)
    lost = p[(p > 0) & (q == 0)].sum()  # mass that no level stands for
    return float((p[both] * np.log(p[both] / q[both])).sum() + lost * np.log(1 / 1e-9))


def measured(model: Any, names: Sequence[str], batches: Sequence[Feeds], method: Method) -> dict[str, Range]:
    """The range of each named tensor of an ONNX model over the batches, one text at a time."""
    found = {name: Histogram() for name in names}
    for name, values in activations(model, names, batches):
        found[name].add(values)
    return {name: histogram.range(method) for name, histogram in found.items()}
