"""Extractive summarization: how sentences share windows, what is learned of them, and how choices score."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgebert import intervals
from edgebert.device import decoding as decoders
from edgebert.device.decoding.extractive_summarization import sentences_of
from edgebert.metrics import rouge
from edgebert.tasks import extractive_summarization as task
from edgebert.tokenization import Encoder
from edgebert.verdict import Score, Value
from tests.toys import extractive_summarization as toys

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TWO = {"sentences": 2}
SENTENCES = ["the day is warm", "it is a wet day", "ice", "today we see a lot of puddle and more ice here"]


def encoder(model: Path, max_tokens: int = 64, inputs: tuple[str, ...] = INPUTS) -> Encoder:
    return Encoder(model, max_tokens, inputs)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"sentences": ["a", "b"], "summary": "a"}, None),
        ({"text": "A. B.", "summary": "a"}, None),
        ({"sentences": ["a"], "text": 3, "summary": "a"}, None),
        ({"sentences": ["a"]}, "no column 'summary'; here are: sentences; name it: [data.columns] summary ="),
        ({"document": "a", "summary": "a"}, "no column 'sentences' or 'text'; here are: document, summary"),
        ({"sentences": ["a"], "summary": " "}, "summary is empty"),
        ({"sentences": ["a"], "summary": "..."}, "summary has no word in it"),
        ({"sentences": ["a"], "summary": None}, "summary is missing (null)"),
        ({"sentences": [], "summary": "a"}, "sentences = []; must be a list of texts"),
        (
            {"sentences": "A. B.", "summary": "a"},
            "sentences = 'A. B.'; must be a list of texts; call a plain text",
        ),
        ({"sentences": ["a", " "], "summary": "a"}, "sentences[1] is empty"),
        ({"sentences": ["a", 5], "summary": "a"}, "sentences[1] is int, not text"),
        ({"sentences": ["\ud800"], "summary": "a"}, "sentences[0] is not well-formed Unicode"),
        ({"text": "\n", "summary": "a"}, "text is empty"),
    ],
)
def test_a_faulty_row_is_told(row: dict[str, Any], fault: str | None) -> None:
    found = task.fault(row)
    assert found is None if fault is None else fault in str(found)
    if fault is None:
        assert task.question_fault({k: v for k, v in row.items() if k != task.TRUTH}) is None


def test_each_sentence_begins_with_its_own_cls_and_segments_alternate(toy_model: Path) -> None:
    [window] = task.windows({"sentences": SENTENCES[:3]}, encoder(toy_model), TWO)
    alone = [encoder(toy_model).encode(one).feeds["input_ids"][0].tolist() for one in SENTENCES[:3]]
    assert window.feeds["input_ids"][0].tolist() == [piece for one in alone for piece in one]
    assert window.feeds["token_type_ids"][0].tolist() == [0] * 6 + [1] * 7 + [0] * len(alone[2])
    assert window.feeds["attention_mask"].all()
    assert window.align == {"sentences": [[0, 6, 0], [6, 13, 1], [13, 13 + len(alone[2]), 2]]}
    assert not window.truncated
    begins = [window.feeds["input_ids"][0, place] for place, *_ in window.align["sentences"]]
    assert set(begins) == {alone[0][0]}


def test_a_model_without_segments_gets_none(toy_model: Path) -> None:
    [window] = task.windows({"sentences": SENTENCES[:2]}, encoder(toy_model, inputs=INPUTS[:2]), TWO)
    assert set(window.feeds) == set(INPUTS[:2])


@pytest.mark.parametrize("max_tokens", [8, 13, 14, 24, 64])
def test_windows_hold_whole_sentences_and_every_one_is_in_one(toy_model: Path, max_tokens: int) -> None:
    windows = task.windows({"sentences": SENTENCES}, encoder(toy_model, max_tokens), TWO)
    assert [number for window in windows for *_, number in window.align["sentences"]] == [0, 1, 2, 3]
    for window in windows:
        size = window.feeds["input_ids"].shape[1]
        assert size <= max_tokens
        assert window.feeds["token_type_ids"][0, 0] == 0
        longest = max(len(SENTENCES[number].split()) + 2 for *_, number in window.align["sentences"])
        assert window.truncated is (longest > max_tokens)
    for one, after in itertools.pairwise(windows):
        [*_, number] = after.align["sentences"][0]
        following = len(encoder(toy_model, max_tokens).encode(SENTENCES[number]).encoding.ids)
        assert one.feeds["input_ids"].shape[1] + following > max_tokens, "it would have fit into the window before"


def test_a_fitted_row_has_the_sentences_of_one_window(toy_model: Path) -> None:
    row = {"sentences": SENTENCES, "summary": "ice"}
    found = task.fitted(row, encoder(toy_model, 14), TWO)
    assert found == {"sentences": SENTENCES[:2], "summary": "ice"}
    assert task.fitted({"text": "It is warm. Ice!"}, encoder(toy_model), TWO) == {
        "sentences": ["It is warm.", "Ice!"]
    }
    cut = task.fitted({"sentences": SENTENCES[3:]}, encoder(toy_model, 8), TWO)
    [window] = task.windows(cut, encoder(toy_model, 8), TWO)
    assert window.truncated


def test_the_target_says_of_each_token_its_sentence_and_whether_it_is_chosen(toy_model: Path) -> None:
    row = {"sentences": SENTENCES, "summary": "Ice and a wet day."}
    assert rouge.oracle(SENTENCES, "Ice and a wet day.", 2) == [1, 2]
    examples = task.examples(row, encoder(toy_model, 14), [], TWO)
    windows = task.windows(row, encoder(toy_model, 14), TWO)
    told: dict[int, bool] = {}
    for example, window in zip(examples, windows, strict=True):
        assert example["input_ids"] == window.feeds["input_ids"][0].tolist()
        assert len(example["target"]) == len(example["input_ids"])
        for i, (begin, end, number) in enumerate(window.align["sentences"], 1):
            [target] = set(example["target"][begin:end])
            assert abs(target) == i
            told[number] = target > 0
    assert told == {0: False, 1: True, 2: True, 3: False}


def test_what_is_learned_is_what_is_chosen(toy_model: Path) -> None:
    """Of a model whose tokens give the oracle's choice, in any number of windows."""
    rows = toys.rows(20, 4)
    for max_tokens in (10, 24, 64):
        answers = []
        for row in rows:
            read = encoder(toy_model, max_tokens)
            windows, examples = task.windows(row, read, TWO), task.examples(row, read, [], TWO)
            outputs = [np.sign(np.asarray(one["target"], np.float32)) for one in examples]
            pairs = [
                {"outputs": {"logits": one}, "align": w.align} for one, w in zip(outputs, windows, strict=True)
            ]
            answers.append(decoders.answer(task.NAME, pairs, row, [], TWO))
        assert task.quality(rows, answers) == pytest.approx(1)


def test_the_loss_is_binary_cross_entropy_of_the_means_over_sentences() -> None:
    logits = torch.tensor([[2.0, 4.0, -1.0, 0.0], [0.5, -1.5, 9.0, 9.0]])
    targets = task.collate([[1, 1, -2, 3], [1, 1]], 4)
    assert targets.tolist() == [[1, 1, -2, 3], [1, 1, 0, 0]]
    wanted = -(torch.tensor([3.0, 1.0, 0.0, -0.5]).sigmoid().log()).mean()
    assert float(task.loss({"logits": logits}, targets)) == pytest.approx(float(wanted))


def test_as_many_sentences_are_chosen_as_summaries_are_long() -> None:
    rows: list[dict[str, Any]] = [
        {"sentences": ["a b c d", "e f"], "summary": "x y z"},  # three words, of sentences of three
        {"sentences": ["a b", "c d"], "summary": "one two three four five"},  # 2.5 sentences
        {"text": "A b. C d.", "summary": "one two three four five six"},
    ]
    assert task.decoding(task.Settings(), rows) == {"sentences": 2}
    assert task.decoding(task.Settings(sentences=5), rows) == {"sentences": 5}
    assert task.decoding(task.Settings(), rows[:1]) == {"sentences": 1}


def test_texts_of_which_all_would_be_chosen_are_told() -> None:
    rows: list[dict[str, Any]] = [{"sentences": ["a", "b"], "summary": "a"}, {"text": "One. Two.", "summary": "a"}]
    assert task.misfit(rows, {"sentences": 1}) is None
    assert "no text has more than 2 sentences, and 2 are chosen" in str(task.misfit(rows, TWO))


def answer(row: dict[str, Any], *chosen: int) -> dict[str, Any]:
    texts = sentences_of(row)
    return {"sentences": [{"index": i, "text": texts[i], "score": 0.5} for i in chosen]}


def value(score: Score, which: str = "shipped") -> float:
    found: Value | None = getattr(score, which)
    assert found is not None and found.ci95[0] <= found.value <= found.ci95[1]
    return found.value


def test_scores_are_means_over_texts() -> None:
    rows: list[dict[str, Any]] = [
        {"sentences": ["the cat sat", "on the mat", "it rained"], "summary": "the cat sat on a mat"},
        {"sentences": ["a b", "c d", "e f"], "summary": "c d"},
    ]
    teacher = [answer(rows[0], 0, 1), answer(rows[1], 1)]
    shipped = [answer(rows[0], 0, 2), answer(rows[1], 1)]
    given = {"teacher": teacher, "reference": teacher, "shipped": shipped}
    rouge_l, rouge_1, rouge_2 = task.scores(rows, "test", given)
    assert [one.metric for one in (rouge_l, rouge_1, rouge_2)] == ["rougeL", "rouge1", "rouge2"]
    assert value(rouge_l, "teacher") == task.quality(rows, teacher) == pytest.approx((2 * 5 / (6 + 6) + 1) / 2)
    assert value(rouge_l) == task.quality(rows, shipped) == pytest.approx((2 * 3 / (5 + 6) + 1) / 2)
    assert value(rouge_1) == pytest.approx((2 * 3 / (5 + 6) + 1) / 2)
    assert value(rouge_2, "teacher") == pytest.approx((2 * 3 / (5 + 5) + 1) / 2)
    assert rouge_l.drop is not None and rouge_l.agreement is not None
    assert rouge_l.drop.points == pytest.approx(100 * (value(rouge_l, "teacher") - value(rouge_l)))
    assert rouge_l.drop.ci95[0] == pytest.approx(0) and rouge_l.drop.ci95[1] > rouge_l.drop.points
    assert rouge_l.agreement == intervals.proportion(np.asarray([False, True]))


def test_chance_is_what_random_sentences_score() -> None:
    rows = toys.rows(40, 2)
    draw = np.random.default_rng(5)
    guesses = [answer(row, *sorted(draw.permutation(len(row["sentences"]))[:2].tolist())) for row in rows]
    assert task.chance(rows) == pytest.approx(task.quality(rows, guesses), abs=0.07)
    best = [answer(row, *rouge.oracle(row["sentences"], row["summary"], 2)) for row in rows]
    assert task.chance(rows) < task.quality(rows, best) - 0.3
    assert task.chance([{"sentences": ["a b"], "summary": "a b"}]) == 1


def test_the_head_is_one_logit_for_each_token(toy_model: Path, tmp_path: Path) -> None:
    model = task.model(toy_model, [], TWO)
    assert model.classifier.out_features == 1
    model.save_pretrained(tmp_path)
    again = task.model(tmp_path, None, TWO).eval()
    assert torch.equal(again.classifier.weight, model.classifier.weight)
    feeds = {"input_ids": torch.ones((2, 5), dtype=torch.int64)}
    from edgebert.architectures import bert

    outputs = task.forward(again, feeds, None, bert)
    assert outputs["logits"].shape == (2, 5)


def test_rows_have_no_labels() -> None:
    rows = toys.rows(3, 1)
    assert task.labels(rows) == [] and task.labels_fault([]) is None and task.unknown(rows, []) == []
    assert task.truth(rows[0]) == rows[0]["summary"] and task.truth({"text": "a"}) is None
