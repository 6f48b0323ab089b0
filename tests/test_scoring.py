"""Outputs of rows, certainty and AUROC against scikit-learn's, the out-of-scope threshold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import roc_auc_score
from sklearn.utils.extmath import softmax

from edgebert import artifact, members, opening, scoring
from edgebert.device import runtimes
from edgebert.scoring import Question
from edgebert.tasks import Outputs, Window
from tests import toy
from tests.conftest import Built

LABELS = ["a", "b", "c"]
TASK = members.find("tasks", "text-classification")
BERT = members.find("architectures", "bert")


def answers_to(logits: np.ndarray, threshold: float | None = None) -> list[dict[str, Any]]:
    """The decoder's answers to rows of logits."""
    decode = scoring.decoder(TASK.NAME, LABELS, {"threshold": threshold})
    window = Window({})
    return [decode(Question({}, [window]), [{"logits": row}]) for row in logits]


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
    threshold = scoring.threshold(answers_to(logits))
    answers = answers_to(logits, threshold)
    assert sum(not answer["in_scope"] for answer in answers) <= 0.05 * len(logits)


@pytest.mark.parametrize("rows", [21, 100, 101, 1000])
def test_the_threshold_rejects_all_that_a_twentieth_allows(rows: int) -> None:
    logits = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
    answers = answers_to(logits)
    rejected = int((scoring.certainty(answers) < scoring.threshold(answers)).sum())
    assert rejected == (rows - 1) // 20


def test_certainty_is_the_winners_share_of_a_softmax() -> None:
    logits = np.array([[1.0, 2.0, 3.0], [-800.0, 0.0, 800.0], [0.0, 0.0, 0.0]], np.float32)
    found = scoring.certainty(answers_to(logits))
    assert found == pytest.approx(softmax(logits.astype(np.float64)).max(axis=1), abs=1e-12)


def test_rows_are_scored_in_their_order_and_alone(built: Built) -> None:
    bundle = opening.open_bundle(built.bundle("raspberry-pi-5"))
    rows = toy.rows(9, 5)
    asked = scoring.questions(TASK, bundle.encoder, rows, {})
    seen = []
    decode = scoring.decoder(TASK.NAME, bundle.manifest.labels, {})
    found = scoring.answers_of(bundle.folder, bundle.entry, asked, decode, lambda: seen.append(1))
    alone = runtimes.open_model(str(bundle.folder), bundle.entry)
    assert len(seen) == len(rows)
    for answer, question in zip(found, asked, strict=True):
        [window] = question.windows
        assert answer == decode(question, [{"logits": alone.run(window.feeds)["logits"][0]}])


def test_the_teacher_in_batches_answers_as_the_exported_file_does_alone(built: Built) -> None:
    bundle = opening.open_bundle(built.bundle("raspberry-pi-5"))
    reference = artifact.read(_step(built, "export"))
    model = TASK.model(_step(built, "finetune"), None, {}).eval()
    asked = scoring.questions(TASK, bundle.encoder, toy.rows(90, 6), {})
    feeds = [question.windows[0].feeds for question in asked]
    seen = []
    decode = scoring.decoder(TASK.NAME, bundle.manifest.labels, {})
    taught = dict(scoring.torch_outputs(model, TASK, BERT, feeds))
    exported = scoring.outputs_of(reference.folder, reference.entry("fp32"), feeds)
    assert len(taught) == len(asked)
    np.testing.assert_allclose(toy.logits_of([taught[i] for i in range(90)]), toy.logits_of(exported), atol=1e-4)
    answers = scoring.teacher_answers(model, TASK, BERT, asked, decode, lambda: seen.append(1))
    assert len(seen) == len(asked)
    for answer, question, outputs in zip(answers, asked, exported, strict=True):
        assert answer["label"] == decode(question, [outputs])["label"]


def test_the_answer_to_a_row_of_several_windows_is_made_of_all_of_them(built: Built) -> None:
    bundle = opening.open_bundle(built.bundle("raspberry-pi-5"))
    model = TASK.model(_step(built, "finetune"), None, {}).eval()
    single = scoring.questions(TASK, bundle.encoder, toy.rows(12, 6), {})
    groups = [single[0:1], single[1:4], single[4:6], single[6:12]]
    asked = [Question(one[0].row, [q.windows[0] for q in one]) for one in groups]

    def decode(question: Question, outputs: Sequence[Outputs]) -> dict[str, Any]:
        return {"logits": [one["logits"].tolist() for one in outputs]}

    found = scoring.teacher_answers(model, TASK, BERT, asked, decode, lambda: None)
    alone = scoring.teacher_answers(model, TASK, BERT, single, decode, lambda: None)
    flat = [row for answer in found for row in answer["logits"]]
    assert [len(answer["logits"]) for answer in found] == [1, 3, 2, 6]
    np.testing.assert_allclose(flat, [answer["logits"][0] for answer in alone], atol=1e-6)
