"""Streaming histograms: the ranges of all values, in memory that does not grow with them."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgebert.histograms import BINS, Histogram, measured
from edgebert.tokenization import Feeds


def filled(parts: list[np.ndarray]) -> Histogram:
    found = Histogram()
    for part in parts:
        found.add(part.astype(np.float32))
    return found


def draws(scales: list[float]) -> list[np.ndarray]:
    """Values with outliers on one side; later parts are wider, so that the histogram has to grow."""
    random = np.random.default_rng(0)
    return [scale * random.standard_normal(20_000) + (random.random(20_000) < 1e-5) * 40 for scale in scales]


def test_the_least_and_the_largest_value_are_kept_exactly() -> None:
    parts = draws([0.01, 1, 3])
    whole = np.concatenate(parts).astype(np.float32)
    assert filled(parts).range("minmax") == (whole.min(), whole.max())


def test_every_value_is_counted_however_often_the_histogram_grew() -> None:
    parts = draws([1e-5, 0.01, 1, 30])
    found = filled(parts)
    assert found.counts.sum() == sum(len(part) for part in parts)
    edges = np.linspace(-found.limit, found.limit, BINS + 1)
    at_once = np.histogram(np.concatenate(parts).astype(np.float32), edges)[0]
    assert (
        np.abs(found.counts - at_once).max() <= 1e-3 * at_once.max()
    )  # values on an edge may fall to either side


def test_percentiles_are_those_of_the_values_to_a_bin() -> None:
    parts = draws([1, 2, 3])
    found, whole = filled(parts), np.concatenate(parts)
    width = 2 * found.limit / BINS
    for mine, exact in zip(found.range("percentile"), np.percentile(whole, [0.005, 99.995]), strict=True):
        assert abs(mine - exact) <= 2 * width
    assert found.range("percentile")[1] < found.range("minmax")[1]


def test_entropy_cuts_off_outliers_and_keeps_what_has_none() -> None:
    random = np.random.default_rng(1)
    bulk = random.standard_normal(200_000)
    outlying = filled([bulk, np.full(3, 60.0)])
    low, high = outlying.range("entropy")
    assert 2.5 < high < 12
    assert low == pytest.approx(bulk.min(), rel=1e-6)  # nothing is there to be cut off
    even = filled([random.uniform(-1, 1, 200_000)])
    assert even.range("entropy") == pytest.approx((-1, 1), abs=0.02)


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_a_constant_has_a_range(method: str) -> None:
    low, high = filled([np.full(10, 0.5)]).range(method)  # type: ignore[arg-type]
    assert low <= 0.5 <= high


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        Histogram().add(np.array([1.0, np.nan], np.float32))


def peak(model: object, rows: int, method: str) -> int:
    """The most bytes of Python and numpy that measuring so many texts takes at a time."""
    draw = np.random.default_rng(0)
    text: Feeds = {"x": draw.integers(0, 9, (1, 16))}
    batches = [text] * rows
    tracemalloc.start()
    measured(model, ["y"], batches, method)  # type: ignore[arg-type]
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_a_hundred_times_the_texts_take_no_more_memory(method: str, tmp_path: Path) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT), helper.make_node("Neg", ["y"], ["z"])]
    values = [
        helper.make_tensor_value_info(name, kind, [1, 16])
        for name, kind in (("x", TensorProto.INT64), ("z", TensorProto.FLOAT))
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    peak(model, 100, method)  # what libraries keep from the first calls
    few, many = peak(model, 100, method), peak(model, 10_000, method)
    assert many < few + 160_000  # kept activations alone would be 640,000 bytes more
