from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert import intervals, scoring
from edgebert.architectures import bert
from edgebert.data import Row
from edgebert.tasks import question_answering as task
from edgebert.tokenization import Encoder

CONTEXT = "We 🌧 see snow, and more snow here"

SETTINGS = task.Settings(doc_stride=8)
LONG = "the day is very warm and it is more sunny today " * 4


def row(*answers: tuple[str, int], context: str = CONTEXT) -> Row:
    found = {"text": [text for text, _ in answers], "answer_start": [start for _, start in answers]}
    return {"id": "1", "question": "what is it", "context": context, "answers": found}


@pytest.fixture(scope="module")
def encoder(toy_model: Path) -> Encoder:
    return Encoder(toy_model, 24, bert.INPUTS)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"answers": {"text": [], "answer_start": []}}, None),
        ({"id": None, "title": 3}, None),
        ({"question": " "}, "question is empty"),
        ({"context": None}, "context is missing"),
        ({"context": ["a"]}, "context is list, not text"),
        ({"answers": None}, "answers = None; must be an object {text: [...], answer_start: [...]}"),
        ({"answers": "snow"}, "answers = snow; must be an object"),
        ({"answers": {"text": "snow", "answer_start": 9}}, "must be an object"),
        ({"answers": {"text": ["snow"]}}, "must be an object"),
        ({"answers": {"text": ["snow"], "answer_start": []}}, "answers has 1 texts and 0 starts"),
        ({"answers": {"text": ["snow", ""], "answer_start": [9, 0]}}, "answers.text[1] is empty"),
        ({"answers": {"text": ["snow"], "answer_start": ["9"]}}, "answers.answer_start[0] = '9'; must be a whole"),
        ({"answers": {"text": ["snow"], "answer_start": [True]}}, "must be a whole number, in characters"),
        (
            {"answers": {"text": ["snow"], "answer_start": [12]}},
            "the context reads 'w, a' there, not 'snow'; it is at 9",
        ),
        ({"answers": {"text": ["snow"], "answer_start": [-25]}}, "answers.answer_start[0] = -25: "),
        (
            {"answers": {"text": ["snow"], "answer_start": [99]}},
            "the context ends at 33; it is at 9 (in characters)",
        ),
        (
            {"answers": {"text": ["Ice"], "answer_start": [9]}},
            "reads 'sno' there, not 'Ice', which is nowhere in it",
        ),
    ],
)
def test_a_faulty_row_is_told(change: Row, fault: str | None) -> None:
    found = task.fault({**row(("snow", 9), ("snow", 24)), **change})
    assert found is None if fault is None else fault in str(found)


@pytest.mark.parametrize("column", ["question", "context", "answers"])
def test_a_missing_column_is_told(column: str) -> None:
    given = {name: value for name, value in row(("snow", 9)).items() if name != column}
    assert f"no column '{column}'" in str(task.fault(given))
    assert task.question_fault(given) is None if column == "answers" else task.question_fault(given)


def test_a_text_alone_is_no_question_and_a_sentence_can_be_asked_about() -> None:
    assert task.question("what is it") is None
    assert task.question_fault(task.sample("it is cold")) is None


def test_answers_may_be_missing_only_where_train_says_so_and_the_recipe_may_set_when() -> None:
    answered, unanswered = row(("snow", 9)), row()
    assert task.decoding(SETTINGS, [answered])["null_threshold"] is None
    assert "null_threshold" not in task.decoding(SETTINGS, [answered, unanswered])
    assert task.tuned(task.decoding(SETTINGS, [answered])) == ()
    assert task.tuned(task.decoding(SETTINGS, [unanswered])) == ("null_threshold",)
    fixed = task.decoding(task.Settings(null_threshold=1.5), [unanswered])
    assert fixed["null_threshold"] == 1.5 and task.tuned(fixed) == ()


def test_windows_tell_where_in_the_context_their_tokens_are(encoder: Encoder) -> None:
    found = task.windows({"question": "what is it", "context": LONG}, encoder, SETTINGS.model_dump())
    assert len(found) > 2
    covered: set[int] = set()
    for window in found:
        ids = window.feeds["input_ids"][0]
        first, offsets = window.align["first"], window.align["offsets"]
        assert len(ids) == first + len(offsets) + 1 <= 24
        words = [LONG[start:end] for start, end in offsets]
        assert words == [encoder.encode(word).encoding.tokens[1] for word in words]
        assert not window.truncated
        covered |= {start for start, _ in offsets}
    assert len(covered) == len(LONG.split())


def test_the_target_is_the_answer_that_most_gave_or_cls_where_it_is_not_all_there(encoder: Encoder) -> None:
    decoding = SETTINGS.model_dump()
    [one] = task.examples(row(("snow", 24), ("and more snow", 15), ("snow", 24)), encoder, [], decoding)
    pieces = encoder.encode_windows(CONTEXT, 8, "what is it")[0].encoding
    assert [pieces.tokens[one["target"][0]], pieces.offsets[one["target"][0]]] == ["s", (24, 25)]
    assert pieces.offsets[one["target"][1]] == (27, 28)
    assert one["target"][2] == len(one["input_ids"]) == len(pieces)
    assert [example["target"][:2] for example in task.examples(row(), encoder, [], decoding)] == [(0, 0)]
    start = LONG.rindex("sunny")
    targets = [
        one["target"][:2] for one in task.examples(row(("sunny", start), context=LONG), encoder, [], decoding)
    ]
    assert targets[0] == (0, 0) and targets[-1] != (0, 0)


def test_an_answer_within_a_word_takes_the_whole_piece(encoder: Encoder) -> None:
    [one] = task.examples(row(("nn", 2), context="sunny day"), encoder, [], SETTINGS.model_dump())
    assert one["target"][0] == one["target"][1]


@pytest.mark.parametrize("word", ["day", "sunny", "today"])
def test_a_golden_row_is_one_window_around_its_answer(word: str, encoder: Encoder) -> None:
    decoding = SETTINGS.model_dump()
    start = LONG.rindex(word)
    cut = task.fitted(row((word, start), ("the", 0), context=LONG), encoder, decoding)
    [window] = task.windows(cut, encoder, decoding)
    assert task.fault(cut) is None
    assert cut["answers"]["text"][0] == word
    assert cut["context"] in LONG and len(cut["context"]) > 20
    assert window.feeds["input_ids"].shape[1] > 20
    assert task.fitted(cut, encoder, decoding) == cut


def test_a_golden_row_without_its_answer_has_no_truth(encoder: Encoder) -> None:
    decoding = SETTINGS.model_dump()
    cut = task.fitted(row((LONG.strip(), 0), context=LONG), encoder, decoding)
    assert task.truth(cut) is None
    assert task.question_fault(cut) is None
    unanswered = task.fitted(row(context=LONG), encoder, decoding)
    assert task.truth(unanswered) == {"text": [], "answer_start": []}


def test_padding_is_no_part_of_the_loss() -> None:
    import torch

    torch.manual_seed(0)
    start, end = torch.randn(2, 6), torch.randn(2, 6)
    targets = task.collate([(1, 2, 6), (0, 3, 4)], 6)
    found = float(task.loss({"start_logits": start, "end_logits": end}, targets))
    start[1, 4:], end[1, 4:] = 99, 99
    assert float(task.loss({"start_logits": start, "end_logits": end}, targets)) == pytest.approx(found)
    log = torch.log_softmax
    wanted = log(start[0], 0)[1] + log(end[0], 0)[2] + log(start[1, :4], 0)[0] + log(end[1, :4], 0)[3]
    assert found == pytest.approx(-float(wanted) / 4, rel=1e-5)


def told(text: str, null: float = 0.0) -> dict[str, Any]:
    listed = [
        {"answer": text, "start": 0, "score": 0.5},
        {"answer": "", "start": None, "score": 0.5 * np.exp(null)},
    ]
    return {"answer": text, "start": 0, "n_best": listed}


def test_scores_are_f1_and_exact_match_with_drop_and_agreement() -> None:
    rows = [row(("snow", 9))] * 20 + [row(("more snow", 19))] * 20
    teacher = [told("snow")] * 40
    shipped = [told("snow")] * 10 + [told("day")] * 10 + [told("Snow!")] * 20
    f1, em = task.scores(rows, "test", {"teacher": teacher, "reference": teacher, "shipped": shipped})
    assert (f1.metric, em.metric) == ("f1", "em")
    assert f1.teacher is not None and f1.shipped is not None and f1.drop is not None and f1.agreement is not None
    assert f1.teacher.value == pytest.approx((20 + 20 * 2 / 3) / 40)
    assert f1.shipped.value == pytest.approx((10 + 20 * 2 / 3) / 40)
    assert f1.drop.points == pytest.approx(25.0)
    assert 10 < f1.drop.ci95[0] < 25 < f1.drop.ci95[1] < 42
    assert f1.agreement.value == 0.25, "another text, though SQuAD calls it the same"
    assert em.teacher is not None and em.shipped is not None and em.drop is not None
    assert (em.teacher.value, em.shipped.value) == (0.5, 0.25)
    assert em.shipped.ci95 == intervals.wilson(10, 40)
    assert task.quality(rows, shipped) == pytest.approx(f1.shipped.value)


def test_the_threshold_is_tuned_to_the_highest_f1_of_dev() -> None:
    rows = [row(("snow", 9)), row(("snow", 9)), row(), row()]
    answers = [told("snow", -3.0), told("snow", 1.0), told("snow", 2.0), told("snow", 4.0)]
    assert task.tune(rows, answers, {}) == {"null_threshold": pytest.approx(1.5)}
    sure = [told("snow", -800.0)] * 4
    assert np.isfinite(task.tune(rows, sure, {})["null_threshold"])


def test_chance_is_the_f1_of_the_most_frequent_answer() -> None:
    rows = [row(("more snow", 19)), row(("snow", 9)), row(("more snow", 19)), row()]
    assert task.chance(rows) == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)
    assert task.chance([row(), row(), row(("snow", 9))]) == pytest.approx(2 / 3)


def test_a_held_out_split_has_its_share_of_questions_without_an_answer() -> None:
    assert task.group(row()) != task.group(row(("snow", 9)))


def test_a_model_gives_two_logits_for_each_token(toy_model: Path, encoder: Encoder) -> None:
    model = task.model(toy_model, [], {}).eval()
    feeds = [window.feeds for window in task.windows(row(("snow", 9)), encoder, SETTINGS.model_dump())]
    [(_, found)] = scoring.torch_outputs(model, task, bert, feeds)
    assert {name: array.shape for name, array in found.items()} == dict.fromkeys(
        task.OUTPUTS, feeds[0]["input_ids"][0].shape
    )
