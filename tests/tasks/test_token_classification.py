"""Token classification: windows and targets of rows, and scores held against counting by hand."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgebert import intervals
from edgebert.device import decoding as decoders
from edgebert.device.decoding.token_classification import text_of
from edgebert.tasks import token_classification as task
from edgebert.tokenization import Encoder
from edgebert.verdict import Score, Value
from tests.toys import token_classification as toys

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
STRIDE = {"doc_stride": 3}
LABELS = ["B-snow", "B-sun", "I-snow", "I-sun", "O"]
TEXT = "the day is sunny warm and it is very cold today"
ROW = {"text": TEXT, "spans": [{"start": 11, "end": 21, "slot": "sun"}, {"start": 37, "end": 41, "slot": "snow"}]}


def encoder(model: Path, max_tokens: int = 64) -> Encoder:
    return Encoder(model, max_tokens, INPUTS)


def test_the_pieces_of_a_word_after_the_first_are_no_part_of_the_loss(toy_model: Path) -> None:
    row = {"tokens": ["today", "zebra", "warm!"], "tags": ["O", "B-sun", "I-sun"]}
    [example] = task.examples(row, encoder(toy_model), LABELS, STRIDE)
    tokens = encoder(toy_model).encode("today zebra warm!").encoding.tokens
    assert tokens == ["[CLS]", "today", "z", "##e", "##b", "##r", "##a", "warm", "[UNK]", "[SEP]"]
    outside, first, inside, none = 4, 1, 3, task.IGNORED
    assert example["target"] == [none, outside, first, none, none, none, none, inside, inside, none]


def test_both_forms_of_a_row_are_read_and_trained_on_alike(toy_model: Path) -> None:
    tags = ["O", "O", "O", "B-sun", "I-sun", "O", "O", "O", "O", "I-snow", "O"]
    given = {"tokens": TEXT.split(), "tags": tags}
    assert task.truth(given) == task.truth(ROW) == ROW["spans"]
    assert task.examples(given, encoder(toy_model), LABELS, STRIDE) == task.examples(
        ROW, encoder(toy_model), LABELS, STRIDE
    )


def answered(
    row: dict[str, Any], windows: list[Any], labels: list[str], targets: list[list[int]]
) -> dict[str, Any]:
    """The answer of a model that is right about the first pieces of words, and takes all others for beginnings."""
    outputs = [np.eye(len(labels), dtype=np.float32)[np.maximum(target, 0)] for target in targets]
    pairs = [{"outputs": {"logits": one}, "align": w.align} for one, w in zip(outputs, windows, strict=True)]
    return decoders.answer(task.NAME, pairs, {"text": text_of(row)}, labels, STRIDE)


@pytest.mark.parametrize("max_tokens", [8, 10, 12, 64])
def test_what_is_trained_is_what_is_decoded_in_any_number_of_windows(toy_model: Path, max_tokens: int) -> None:
    rows = [*toys.rows(40, 5), ROW, {"text": "zebra zoo!", "spans": [{"start": 0, "end": 9, "slot": "sun"}]}]
    labels, several = task.labels(rows), 0
    for row in rows:
        windows = task.windows(row, encoder(toy_model, max_tokens), STRIDE)
        examples = task.examples(row, encoder(toy_model, max_tokens), labels, STRIDE)
        assert [one["input_ids"] for one in examples] == [w.feeds["input_ids"][0].tolist() for w in windows]
        assert all(len(one["input_ids"]) <= max_tokens for one in examples)
        found = answered(row, windows, labels, [one["target"] for one in examples])
        assert decoders.right(task.NAME, found, task.truth(row)) is True
        assert task.quality([row], [found]) == (1.0 if task.truth(row) else 0.0)
        several += len(windows) > 1
    assert (several > 0) is (max_tokens < 64)


@pytest.mark.parametrize("max_tokens", [8, 9, 10, 12, 16, 64])
def test_a_fitted_row_is_one_window_with_whole_entities(toy_model: Path, max_tokens: int) -> None:
    for row in [ROW, *toys.rows(30, 6), {"text": "zzzzzzzzzzzzzzzzzzzz"}, {"tokens": ["zzzzzzzzzzz", "a"]}]:
        found = task.fitted(row, encoder(toy_model, max_tokens), STRIDE)
        assert len(task.windows(found, encoder(toy_model, max_tokens), STRIDE)) == 1
        assert task.question_fault(found) is None
        assert text_of(row).startswith(found["text"])
        if "spans" in found:
            assert task.fault(found) is None
            cut = [span for span in task.truth(row) or [] if span["end"] <= len(found["text"])]
            assert task.truth(found) == cut
        assert task.fitted(found, encoder(toy_model, max_tokens), STRIDE) == found
    assert task.truth(task.fitted({"text": "the day"}, encoder(toy_model), STRIDE)) is None


def test_an_entity_that_does_not_fit_is_left_out_whole(toy_model: Path) -> None:
    found = task.fitted(ROW, encoder(toy_model, 8), STRIDE)  # "the day is sunny warm and" would fit
    assert found == {"text": "the day is sunny warm", "spans": [ROW["spans"][0]]}
    assert task.fitted(ROW, encoder(toy_model, 7), STRIDE) == {"text": "the day is", "spans": []}


def test_the_decoder_goes_by_the_settings() -> None:
    assert task.decoding(task.Settings(), []) == {"doc_stride": 32, "well_formed": True}
    assert task.decoding(task.Settings(doc_stride=8, well_formed=False), []) == {
        "doc_stride": 8,
        "well_formed": False,
    }


def test_labels_are_sorted_and_every_slot_can_begin_and_go_on() -> None:
    rows: list[dict[str, Any]] = [
        {"tokens": ["a"], "tags": ["S-x"]},
        {"text": "b", "spans": [{"start": 0, "end": 1, "slot": "creative-y"}]},
    ]
    assert task.labels(rows) == ["B-creative-y", "B-x", "I-creative-y", "I-x", "O"]
    assert task.labels_fault(task.labels(rows)) is None
    assert task.labels_fault(task.labels([{"tokens": ["a"], "tags": ["O"]}])) is not None
    assert task.unknown(rows, ["O", "I-x"]) == ["B-creative-y"]
    assert task.group(rows[1]) == "creative-y"


def test_the_loss_is_cross_entropy_over_words_and_none_without_them() -> None:
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    targets = task.collate([[task.IGNORED, 2], [task.IGNORED, 0, 3]], 3)
    assert targets.tolist() == [[-100, 2, -100], [-100, 0, 3]]
    shares = torch.log_softmax(logits, -1)
    wanted = -(shares[0, 1, 2] + shares[1, 1, 0] + shares[1, 2, 3]) / 3
    assert float(task.loss({"logits": logits}, targets)) == pytest.approx(float(wanted))
    assert float(task.loss({"logits": logits}, task.collate([[], []], 3))) == 0


def answer(*found: tuple[int, int, str]) -> dict[str, Any]:
    return {"entities": [{"start": start, "end": end, "label": slot} for start, end, slot in found]}


def test_f1_is_over_entities_and_wants_both_ends_and_the_slot() -> None:
    tags = [["B-x", "I-x", "O", "B-y"], ["O", "B-x", "O", "O"], ["B-y", "O", "O", "O"], ["O"] * 4]
    rows = [{"tokens": ["a", "b", "c", "d"], "tags": one} for one in tags]
    answers = [answer((0, 3, "x"), (6, 7, "x")), answer((2, 5, "x")), answer((0, 1, "y"), (4, 5, "y")), answer()]
    f1, precision, recall, worst = task.scores(rows, "test", {"shipped": answers})
    assert [one.metric for one in (f1, precision, recall, worst)] == [
        "entity_f1",
        "precision",
        "recall",
        "worst_slot_f1",
    ]
    assert value(precision) == pytest.approx(2 / 5)  # of five answers the first x and the first y are true
    assert value(recall) == pytest.approx(2 / 4)
    assert value(f1) == task.quality(rows, answers) == pytest.approx(2 * 2 / (5 + 4))
    assert value(worst) == pytest.approx(2 * 1 / (3 + 2))  # x: one of three answers, two true; y has 2 / 3


def value(score: Score, which: str = "shipped") -> float:
    found: Value | None = getattr(score, which)
    assert found is not None and found.ci95[0] <= found.value <= found.ci95[1]
    return found.value


def guesses(rows: list[dict[str, Any]], share: float, seed: int) -> list[dict[str, Any]]:
    """Answers of which a share of the entities is true, and some are made up."""
    draw = random.Random(seed)
    found = []
    for row in rows:
        true = [(one["start"], one["end"], one["slot"]) for one in task.truth(row) or [] if draw.random() < share]
        found.append(answer(*true, *([(0, 1, "sun")] if draw.random() < 1 - share else [])))
    return found


def test_drop_is_paired_and_agreement_is_of_whole_rows() -> None:
    rows = toys.rows(150, 7)
    given = {
        which: guesses(rows, share, 1) for which, share in (("teacher", 0.9), ("reference", 0.9), ("shipped", 0.8))
    }
    f1, *_ = task.scores(rows, "test", given)
    assert f1.drop is not None and f1.agreement is not None
    assert value(f1, "teacher") == task.quality(rows, given["teacher"])
    assert f1.drop.points == pytest.approx(100 * (value(f1, "teacher") - value(f1)))
    assert f1.drop.ci95[0] < f1.drop.points < f1.drop.ci95[1]
    same = [one == other for one, other in zip(given["reference"], given["shipped"], strict=True)]
    assert f1.agreement == intervals.proportion(np.asarray(same))
    alike, *_ = task.scores(rows, "test", {"teacher": given["shipped"], "shipped": given["shipped"]})
    assert alike.drop is not None and alike.drop.points == 0 and alike.drop.ci95 == (0, 0)


def test_intervals_are_those_of_drawing_whole_rows() -> None:
    rows = toys.rows(60, 8)
    answers = guesses(rows, 0.7, 2)
    [f1, *_] = task.scores(rows, "test", {"shipped": answers})
    wanted = intervals.bootstrap(
        lambda pick: task.quality([rows[i] for i in pick], [answers[i] for i in pick]), len(rows), 1000
    )
    assert f1.shipped is not None
    assert f1.shipped.ci95 == pytest.approx(wanted, abs=0.02)


def test_without_a_single_entity_the_score_is_nought_and_no_slot_is_worst() -> None:
    rows = [{"tokens": ["a"], "tags": ["O"]}] * 3
    scores = task.scores(rows, "test", {"shipped": [answer()] * 3})
    assert [value(one) for one in scores] == [0, 0, 0]


def test_chance_takes_every_word_for_the_most_frequent_slot() -> None:
    rows: list[dict[str, Any]] = [
        {"tokens": ["a", "b", "!"], "tags": ["B-x", "O", "O"]},
        {"tokens": ["c", "d"], "tags": ["B-y", "I-y"]},
        {"tokens": ["e"], "tags": ["B-x"]},
    ]
    assert task.chance(rows) == pytest.approx(2 * 2 / (6 + 3))
    guess = [[(i, i + 1, "x") for i in range(0, 2 * len(row["tokens"]), 2)] for row in rows]
    assert task.quality(rows, [answer(*one) for one in guess]) == pytest.approx(task.chance(rows))
    assert task.chance([{"text": "🙂 ", "spans": []}]) == 0


def test_a_new_head_has_the_labels_and_a_trained_one_keeps_its_own(toy_model: Path, tmp_path: Path) -> None:
    model = task.model(toy_model, LABELS, STRIDE)
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.classifier.out_features == len(LABELS)
    model.save_pretrained(tmp_path)
    again = task.model(tmp_path, None, STRIDE)
    assert again.config.id2label == model.config.id2label
    assert torch.equal(again.classifier.weight, model.classifier.weight)
