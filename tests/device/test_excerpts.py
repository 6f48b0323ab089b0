"""Long outputs are told in part, and what is told is held against all of what is computed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies as some

from edgebert.device import excerpts

LONG = np.random.default_rng(0).normal(size=30_522).astype(np.float32)
TOKENS = np.random.default_rng(1).normal(size=(512, 17)).astype(np.float32)
SHORT = np.arange(150, dtype=np.float32)


def test_only_a_long_vector_is_told_in_part() -> None:
    at = excerpts.places({"logits": LONG, "tokens": TOKENS, "short": SHORT, "full": LONG[: excerpts.MOST]})
    assert set(at) == {"logits"}
    assert excerpts.places({"short": SHORT}) == {}


def test_the_largest_values_are_told_and_others_evenly_apart() -> None:
    places = excerpts.places({"logits": LONG})["logits"]
    assert set(np.argsort(LONG)[-excerpts.LARGEST :].tolist()) <= set(places)
    assert max(np.diff([0, *places, LONG.size])) <= LONG.size / excerpts.SPREAD + 1
    assert len(places) <= excerpts.LARGEST + excerpts.SPREAD
    assert places == sorted(set(places))
    assert json.loads(json.dumps(places)) == places


def test_what_is_told_is_where_it_was_and_the_rest_is_below_it() -> None:
    outputs = {"logits": LONG, "short": SHORT}
    at = excerpts.places(outputs)
    told = {name: array.tolist() for name, array in excerpts.cut(outputs, at).items()}
    again = excerpts.filled(told, at, {"logits": LONG.shape})
    assert again["logits"].dtype == np.float32
    assert again["logits"].argmax() == LONG.argmax()
    assert np.array_equal(again["logits"][at["logits"]], LONG[at["logits"]])
    assert np.isneginf(np.delete(again["logits"], at["logits"])).all()
    assert np.array_equal(again["short"], SHORT)
    assert excerpts.gap(told, outputs, at) == 0


@given(some.integers(0, 30_521), some.sampled_from([0.5, float("nan"), float("inf"), float("-inf")]))
def test_a_gap_is_seen_where_values_are_told(place: int, change: float) -> None:
    at = {"logits": [0, 7, place]}
    told = {"logits": LONG[at["logits"]].tolist(), "short": SHORT.tolist()}
    other = LONG.copy()
    other[place] += np.float32(change)
    found = excerpts.gap(told, {"logits": other, "short": SHORT}, at)
    assert found == pytest.approx(0.5, abs=1e-6) if change == 0.5 else found == float("inf")
    assert excerpts.gap(told, {"logits": LONG, "short": SHORT - 2}, at) == 2


def test_outputs_that_are_told_whole_take_the_shape_that_is_asked_for() -> None:
    flat = {"tokens": TOKENS.ravel().tolist()}
    assert np.array_equal(excerpts.filled(flat, {}, {"tokens": TOKENS.shape})["tokens"], TOKENS)
    assert excerpts.filled(flat, {}, {})["tokens"].shape == (TOKENS.size,)
