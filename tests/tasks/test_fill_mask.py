from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert import checkpoint, intervals, scoring
from edgebert.architectures import bert
from edgebert.data import Row
from edgebert.errors import InputError
from edgebert.masking import MASK, NOT_ASKED
from edgebert.tasks import fill_mask as task
from edgebert.tokenization import Encoder
from tests import toy

DECODING = task.Settings().model_dump()
MASK_ID = 4


@pytest.fixture(scope="module")
def encoder(toy_model: Path) -> Encoder:
    return Encoder(toy_model, 16, bert.INPUTS)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"text": "it is cold"}, None),
        ({"text": "it is cold", "masked": ""}, None),
        ({"text": "it is [MASK]", "masked": "cold"}, None),
        ({"words": "it"}, "no column 'text'; here are: words; name it: [data.columns] text ="),
        ({"text": " "}, "text is empty"),
        ({"text": "it [MASK] [MASK]", "masked": "is"}, "text holds 2 [MASK]; one is scored at a time"),
        ({"text": "it is [MASK]"}, "text holds a [MASK], and masked is missing (null): name the word"),
        ({"text": "it is [MASK]", "masked": 3}, "masked is int, not text"),
        ({"text": "it is cold", "masked": "cold"}, "masked = 'cold', and text holds no [MASK]"),
    ],
)
def test_a_faulty_row_is_told(row: Row, fault: str | None) -> None:
    found = task.fault(row)
    assert found is None if fault is None else fault in str(found)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("it is [MASK]", None),
        ("it is cold", "text holds no [MASK]; write one, where a word is to be found"),
        ("[MASK] is [MASK]", "text holds 2 [MASK]; write one"),
        ("it is [mask]", "text holds no [MASK]"),
        ("", "text is empty"),
    ],
)
def test_a_question_has_one_mask(text: str, fault: str | None) -> None:
    row = task.question(text)
    assert row is not None
    found = task.question_fault(row)
    assert found is None if fault is None else fault in str(found)


def test_the_text_chooses_the_word_that_is_masked(encoder: Encoder) -> None:
    texts = [f"{one['text']} and more" for one in toy.rows(60, 1)]
    places = set()
    for text in texts:
        row = task.fitted({"text": text}, encoder, DECODING)
        assert row == task.fitted({"text": text}, encoder, DECODING)
        before, behind = row["text"].split(MASK)
        assert before + row["masked"]["token"] + behind == text
        assert encoder.pieces[row["masked"]["id"]] == row["masked"]["token"]
        assert task.fault({**row, "masked": row["masked"]["token"]}) is None
        places.add(len(before.split()))
    assert len(places) > 5
    assert task.fitted(row, encoder, DECODING) is row


def test_a_window_holds_one_mask_and_tells_what_the_row_does_not(encoder: Encoder) -> None:
    raw: Row = {"text": "it is very cold"}
    [window] = task.windows(raw, encoder, DECODING)
    cut = task.fitted(raw, encoder, DECODING)
    assert window.align == {"masked": cut["masked"]}
    assert (window.feeds["input_ids"] == MASK_ID).sum() == 1
    [again] = task.windows(cut, encoder, DECODING)
    [asked] = task.windows({"text": cut["text"]}, encoder, DECODING)
    assert again.align == asked.align == {}
    for other in (again, asked):
        assert np.array_equal(other.feeds["input_ids"], window.feeds["input_ids"])
    [given] = task.windows({"text": "it is [MASK]", "masked": "cold"}, encoder, DECODING)
    assert given.align == {"masked": {"token": "cold", "id": encoder.number("cold")}}
    [several] = task.windows({"text": "it is [MASK]", "masked": "colder"}, encoder, DECODING)
    assert several.align == {"masked": {"token": "colder", "id": None}}


def test_a_long_text_is_read_around_its_mask(encoder: Encoder) -> None:
    [window] = task.windows({"text": "the " * 40 + "cold [MASK] day" + " is" * 40}, encoder, DECODING)
    tokens = [encoder.pieces[i] for i in window.feeds["input_ids"][0]]
    assert window.truncated and len(tokens) == 16
    place = tokens.index("[MASK]")
    assert tokens[place - 1 : place + 2] == ["cold", "[MASK]", "day"]
    assert 3 < place < 12
    [short] = task.windows({"text": "a [MASK] day"}, encoder, DECODING)
    assert not short.truncated


def test_of_a_text_without_a_word_nothing_is_masked_that_is_known(encoder: Encoder) -> None:
    row = task.fitted({"text": "🌧 ?!"}, encoder, DECODING)
    assert row == {"text": "🌧 ?! [MASK]"}
    assert task.truth(row) is None
    [window] = task.windows({"text": "🌧 ?!"}, encoder, DECODING)
    assert window.align == {}


def test_a_row_to_score_has_a_truth_and_a_question_none() -> None:
    assert task.truth({"text": "it is cold"}) is not None
    assert task.truth({"text": "it is [MASK]", "masked": "cold"}) == "cold"
    assert task.truth({"text": "it is [MASK]"}) is None


def test_all_of_a_text_is_trained_on_and_always_the_same_pieces_of_it(encoder: Encoder) -> None:
    row: Row = {"text": "the very [MASK] sunny day and more " + "snow is white " * 10, "masked": "warm"}
    found = task.examples(row, encoder, [], DECODING)
    assert found == task.examples(row, encoder, [], DECODING)
    assert len(found) > 2
    whole = []
    for one in found:
        ids, target = np.asarray(one["input_ids"]), np.asarray(one["target"])
        asked = np.not_equal(target, NOT_ASKED)
        assert asked.sum() == max(1, round(0.15 * (len(ids) - 2)))
        assert not asked[0] and not asked[-1], "[CLS] and [SEP]"
        whole += np.where(asked, target, ids)[1:-1].tolist()
    text = encoder.encode_windows(row["text"].replace("[MASK]", "warm"), 0)
    assert whole == [i for one in text for i in one.encoding.ids[1:-1]]


def test_the_loss_is_that_of_the_chosen_pieces_alone() -> None:
    import torch

    torch.manual_seed(0)
    hidden, matrix = torch.randn(2, 5, 3), torch.randn(3, 7)
    seen = []

    def head(states: Any) -> Any:
        seen.append(states.shape)
        return states @ matrix

    targets = task.collate([[-100, 4, -100], [-100, -100, 2, -100, 6]], 5)
    assert targets.shape == (2, 5)
    found = float(task.loss({"hidden": hidden, "head": head}, targets))
    logs = torch.log_softmax(hidden @ matrix, -1)
    wanted = -(logs[0, 1, 4] + logs[1, 2, 2] + logs[1, 4, 6]) / 3
    assert found == pytest.approx(float(wanted), rel=1e-5)
    assert seen == [(3, 3)]
    assert float(task.loss({"hidden": hidden, "head": head}, torch.full((2, 5), -100))) == 0


def test_the_logits_are_those_of_the_library_at_the_mask(toy_model: Path, encoder: Encoder) -> None:
    import torch

    model = task.model(toy_model, [], DECODING).eval()
    feeds = [
        window.feeds
        for text in ("it is [MASK] and cold", "[MASK]", "a wet wet [MASK]")
        for window in task.windows({"text": text}, encoder, DECODING)
    ]
    for number, found in scoring.torch_outputs(model, task, bert, feeds):
        given = {name: torch.from_numpy(ids) for name, ids in feeds[number].items()}
        with torch.inference_mode():
            logits = model(**given).logits[0]
        place = feeds[number]["input_ids"][0].tolist().index(MASK_ID)
        np.testing.assert_allclose(found["logits"], logits[place].numpy(), rtol=0, atol=1e-5)


def test_a_source_without_a_head_gets_one_tied_to_its_embeddings_and_must_be_trained(
    toy_model: Path, tmp_path: Path
) -> None:
    model = task.model(toy_model, [], DECODING)
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    with pytest.raises(InputError, match="has no trained head"):
        checkpoint.read(toy_model, task, DECODING)
    model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((toy_model / "tokenizer.json").read_bytes())
    again, labels = checkpoint.read(tmp_path, task, DECODING)
    assert labels == []
    assert again.cls.predictions.decoder.weight is again.bert.embeddings.word_embeddings.weight


def test_a_tokenizer_without_a_mask_is_told(toy_model: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(toy_model, tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    path.write_text(path.read_text().replace("[MASK]", "[MISS]"))
    with pytest.raises(InputError, match=r"its tokenizer reads \[MASK\] as \d pieces"):
        task.model(tmp_path / "model", [], DECODING)


def told(rank: int | None, nll: float | None, first: int = 0) -> dict[str, Any]:
    return {"tokens": [{"id": first}], "masked": {"token": "a", "rank": rank, "nll": nll}}


def test_scores_are_accuracy_among_the_first_and_the_five_first_and_perplexity() -> None:
    rows: list[Row] = [{"text": "a b"}] * 50
    teacher = [told(0, 1.0)] * 40 + [told(3, 2.0)] * 8 + [told(None, None)] + [{"tokens": [{"id": 0}]}]
    shipped = [told(0, 1.0)] * 30 + [told(4, 2.0, 1)] * 10 + [told(5, 3.0)] * 8 + teacher[-2:]
    found = task.scores(rows, "test", {"teacher": teacher, "reference": teacher, "shipped": shipped})
    accuracy, top, perplexity = found
    assert [one.metric for one in found] == ["accuracy", "top5_accuracy", "perplexity"]
    assert accuracy.teacher is not None and accuracy.shipped is not None and accuracy.drop is not None
    assert (accuracy.teacher.value, accuracy.shipped.value) == (40 / 49, 30 / 49)
    assert accuracy.teacher.ci95 == intervals.wilson(40, 49), "a text of which nothing is masked does not count"
    assert accuracy.drop.points == pytest.approx(100 * 10 / 49)
    assert accuracy.agreement is not None and accuracy.agreement.value == 40 / 50
    assert top.teacher is not None and top.shipped is not None
    assert (top.teacher.value, top.shipped.value) == (48 / 49, 40 / 49)
    assert perplexity.teacher is not None and perplexity.shipped is not None and perplexity.drop is None
    assert perplexity.teacher.value == pytest.approx(np.exp((40 + 16) / 48))
    assert perplexity.shipped.value == pytest.approx(np.exp((30 + 20 + 24) / 48))
    low, high = perplexity.shipped.ci95
    assert 1 < low < perplexity.shipped.value < high
    assert task.quality(rows, shipped) == accuracy.shipped.value


def test_a_split_of_which_nothing_can_be_masked_is_told() -> None:
    with pytest.raises(InputError, match="nothing is masked"):
        task.quality([{"text": "?"}], [{"tokens": [{"id": 0}]}])


def test_chance_is_the_share_of_the_most_frequent_word() -> None:
    rows: list[Row] = [{"text": "The day, the sun"}, {"text": "rain"}, {"text": "a [MASK]", "masked": "the"}]
    assert task.chance(rows) == pytest.approx((2 / 4 + 1) / 3)
