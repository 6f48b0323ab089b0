"""Vectors of texts: rows, windows, the graph's mean, the loss with the negatives of a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert import checkpoint, members
from edgebert.architectures import bert
from edgebert.data import Row, Split, Splits
from edgebert.device import decoding
from edgebert.learning.lessons import Lesson
from edgebert.tasks import feature_extraction as task
from edgebert.tokenization import Encoder

PLAIN = {"query_prefix": "", "passage_prefix": ""}


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"text": "x", "text_pair": "y"}, None),
        ({"text": "x"}, "no column 'text_pair'; here are: text; name it: [data.columns] text_pair ="),
        ({"text": "x", "text_pair": ""}, "text_pair is empty"),
        ({"text": ["x"], "text_pair": "y"}, "text is list, not text"),
    ],
)
def test_a_faulty_row_is_told(row: Row, fault: str | None) -> None:
    found = task.fault(row)
    assert found is None if fault is None else fault in str(found)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"text": "x"}, None),
        ({"text_pair": "y"}, None),
        ({"text": "x", "text_pair": "y"}, None),
        ({"body": "x"}, "no column 'text'; here are: body"),
        ({"text": "x", "text_pair": " "}, "text_pair is empty"),
    ],
)
def test_a_text_a_passage_or_both_can_be_asked_for(row: Row, fault: str | None) -> None:
    assert task.question_fault(row) == fault


def test_text_and_passage_are_windows_of_their_own_with_their_prefixes(toy_model: Path) -> None:
    encoder = Encoder(toy_model, 32, bert.INPUTS)
    row = {"text": "sunny", "text_pair": "warm light"}
    lengths = [window.feeds["input_ids"].shape[1] for window in task.windows(row, encoder, PLAIN)]
    assert lengths == [3, 4]
    prefixed = task.windows(row, encoder, {"query_prefix": "the day ", "passage_prefix": "here "})
    assert [window.feeds["input_ids"].shape[1] for window in prefixed] == [5, 5]
    assert [window.align["column"] for window in prefixed] == ["text", "text_pair"]
    assert len(task.windows({"text_pair": "warm"}, encoder, PLAIN)) == 1
    assert task.fitted(row, encoder, PLAIN) == {"text": "sunny"}
    assert task.fitted({"text_pair": "warm"}, encoder, PLAIN) == {"text_pair": "warm"}


def test_an_answer_has_a_vector_for_each_text_of_the_row() -> None:
    windows: list[dict[str, Any]] = [
        {"outputs": {"sentence_embedding": np.asarray([0.6, 0.8], np.float32)}, "align": {"column": column}}
        for column in ("text", "text_pair")
    ]
    assert list(decoding.answer(task.NAME, windows, {}, [], PLAIN)) == ["vector", "pair_vector"]
    assert decoding.answer(task.NAME, windows[1:], {}, [], PLAIN)["pair_vector"] == pytest.approx([0.6, 0.8])


def test_the_vector_is_the_mean_of_the_states_of_what_is_no_padding(toy_model: Path) -> None:
    import torch

    model = task.model(toy_model, None, PLAIN).eval()
    assert not any("pooler" in name for name in model.state_dict())
    ids = torch.tensor([[2, 60, 61, 3, 0, 0], [2, 62, 63, 64, 65, 3]])
    mask = (ids > 0).long()
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    with torch.inference_mode():
        found = task.forward(model, feeds, mask.float(), bert)["sentence_embedding"].numpy()
        alone = {name: tensor[:1, :4] for name, tensor in feeds.items()}
        states = model(**alone).last_hidden_state[0].numpy().mean(axis=0)
    assert np.linalg.norm(found, axis=1) == pytest.approx([1, 1], abs=1e-6)
    np.testing.assert_allclose(found[0], states / np.linalg.norm(states), atol=1e-5)


def test_each_text_must_find_its_passage_and_each_passage_its_text() -> None:
    import torch

    random = np.random.default_rng(0)
    vectors = torch.nn.functional.normalize(torch.from_numpy(random.normal(size=(6, 4))).float(), dim=-1)
    found = 20 * (vectors[:3] @ vectors[3:].T).numpy().astype(np.float64)
    shares = [np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in (found, found.T)]
    wanted = -np.mean([np.log(np.diag(one)).mean() for one in shares])
    targets = task.collate([1, 2, 3], 9)
    assert float(task.loss({"sentence_embedding": vectors}, targets)) == pytest.approx(wanted, abs=1e-5)


def test_the_same_passage_of_another_row_is_no_negative() -> None:
    import torch

    vectors = torch.eye(4)[[0, 1, 2, 2]]
    apart = task.loss({"sentence_embedding": vectors}, task.collate([1, 2], 9))
    equal = task.loss({"sentence_embedding": vectors}, task.collate([7, 7], 9))
    assert float(apart) == pytest.approx(np.log(2), abs=1e-6)
    assert float(equal) == pytest.approx(0, abs=1e-6)


def test_an_example_has_its_passage_beside_it_and_equal_passages_share_a_number(toy_model: Path) -> None:
    encoder = Encoder(toy_model, 32, bert.INPUTS)
    texts = [("sunny", "warm light"), ("bright day", "warm light"), ("sunny", "wet")]
    found = [task.examples({"text": a, "text_pair": b}, encoder, [], PLAIN)[0] for a, b in texts]
    assert [len(one["beside"][0]["input_ids"]) for one in found] == [4, 4, 3]
    assert found[0]["target"] == found[1]["target"] != found[2]["target"]
    assert task.collate([one["target"] for one in found], 9).shape == (3,)


def test_passages_follow_the_texts_of_a_batch_in_their_order(toy_model: Path) -> None:
    encoder = Encoder(toy_model, 32, bert.INPUTS)
    rows: list[Row] = [
        {"text": "sunny", "text_pair": "warm light day"},
        {"text": "bright day", "text_pair": "wet"},
    ]
    nothing = Split([], "", "")
    lesson = Lesson(members.find("tasks", task.NAME), bert, Splits(nothing, nothing, nothing), [], PLAIN)
    batch = lesson.collate(lesson.examples(rows, encoder))
    assert batch["attention_mask"].sum(1).tolist() == [3, 4, 5, 3]
    assert batch["target"].shape == (2,)
    assert set(batch) == {*bert.INPUTS, "target"}


def test_an_encoder_without_a_pooler_is_whole(toy_model: Path, tmp_path: Path) -> None:
    members_task = members.find("tasks", task.NAME)
    task.model(toy_model, None, PLAIN).save_pretrained(tmp_path)
    _, labels = checkpoint.read(tmp_path, members_task, PLAIN)
    assert labels == []


def test_scores_are_of_the_distinct_passages() -> None:
    rows: list[Row] = [{"text": f"q{i}", "text_pair": passage} for i, passage in enumerate("aba")]
    near, far = [1.0, 0.0], [0.0, 1.0]
    answers = [
        {"vector": near, "pair_vector": near},
        {"vector": near, "pair_vector": far},
        {"vector": near, "pair_vector": near},
    ]
    mean, recall = task.scores(rows, "test", {"shipped": answers})
    assert mean.metric == task.METRIC == "mrr@10"
    assert mean.shipped is not None and mean.shipped.value == pytest.approx((1 + 0.5 + 1) / 3)
    assert recall.shipped is not None and recall.shipped.value == pytest.approx(2 / 3)
    assert task.quality(rows, answers) == mean.shipped.value
    assert task.chance(rows) == 0.75
