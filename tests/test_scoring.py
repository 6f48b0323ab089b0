"""Outputs of rows, certainty and AUROC against scikit-learn's, the out-of-scope threshold."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import roc_auc_score
from sklearn.utils.extmath import softmax

from edgebert import artifact, members, opening, scoring
from edgebert.device import decoding, runtimes
from tests import toy
from tests.conftest import Built

LABELS = ["a", "b", "c"]
TASK = members.find("tasks", "text-classification")


def _step(built: Built, stage: str) -> Path:
    keys = opening.read_manifest(built.bundle("raspberry-pi-5")).provenance.steps
    return built.out / ".store" / f"{stage}-{keys[stage]}"


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("inside", "outside"), [(1, 1), (7, 3), (40, 90), (200, 5)])
def test_auroc_is_the_one_of_scikit_learn(inside: int, outside: int, ties: bool) -> None:
    random = np.random.default_rng(inside)
    values = random.random(inside + outside)
    if ties:
        values = np.round(values, 1)
    truth = np.arange(inside + outside) < inside
    found = scoring.auroc(values[:inside], values[inside:])
    assert found == pytest.approx(roc_auc_score(truth, values), abs=1e-12)


def test_auroc_of_equal_certainties_is_a_half() -> None:
    assert scoring.auroc(np.full(5, 0.7), np.full(3, 0.7)) == 0.5


def test_auroc_is_one_where_every_text_in_scope_is_more_certain() -> None:
    assert scoring.auroc(np.array([0.9, 0.8]), np.array([0.1, 0.7])) == 1.0
    assert scoring.auroc(np.array([0.1, 0.7]), np.array([0.9, 0.8])) == 0.0


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 90), st.just(3)), elements=st.floats(-9, 9, width=32)))
@settings(deadline=None)
def test_the_threshold_rejects_at_most_a_twentieth_of_dev(logits: np.ndarray) -> None:
    threshold = scoring.threshold({"logits": logits})
    answers = decoding.text_classification({"logits": logits}, LABELS, threshold)
    assert sum(not answer["in_scope"] for answer in answers) <= 0.05 * len(logits)


@pytest.mark.parametrize("rows", [21, 100, 101, 1000])
def test_the_threshold_rejects_all_that_a_twentieth_allows(rows: int) -> None:
    logits = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
    certainty = scoring.certainty({"logits": logits})
    rejected = int((certainty < scoring.threshold({"logits": logits})).sum())
    assert rejected == (rows - 1) // 20


def test_certainty_is_the_winners_share_of_a_softmax() -> None:
    logits = np.array([[1.0, 2.0, 3.0], [-800.0, 0.0, 800.0], [0.0, 0.0, 0.0]], np.float32)
    found = scoring.certainty({"logits": logits})
    assert found == pytest.approx(softmax(logits.astype(np.float64)).max(axis=1), abs=1e-12)


def test_rows_are_scored_in_their_order_and_alone(built: Built) -> None:
    bundle = opening.open_bundle(built.bundle("raspberry-pi-5"))
    rows = toy.rows(9, 5)
    feeds = scoring.encode(bundle.encoder, TASK, rows)
    seen = []
    found = scoring.outputs_of(bundle.folder, bundle.entry, feeds, lambda: seen.append(1))["logits"]
    alone = runtimes.open_model(str(bundle.folder), bundle.entry)
    assert len(seen) == len(rows)
    assert found.shape == (9, 3)
    for row, one in zip(found, feeds, strict=True):
        np.testing.assert_array_equal(row, alone.run(one)["logits"][0])


def test_the_teacher_in_batches_answers_as_the_exported_file_does_alone(built: Built) -> None:
    bundle = opening.open_bundle(built.bundle("raspberry-pi-5"))
    reference = artifact.read(_step(built, "export"))
    model = TASK.model(_step(built, "finetune"), None).eval()
    rows = toy.rows(90, 6)
    feeds = scoring.encode(bundle.encoder, TASK, rows)
    seen = []
    taught = scoring.teacher_outputs(model, ("logits",), feeds, lambda: seen.append(1))["logits"]
    exported = scoring.outputs_of(reference.folder, reference.entry("fp32"), feeds, lambda: None)["logits"]
    assert len(seen) == len(rows)
    np.testing.assert_allclose(taught, exported, atol=1e-4)
