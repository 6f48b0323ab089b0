"""The sample data is large enough to measure on, holds no copies, and is not solved by counting words."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from functools import cache
from typing import Any

import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from edgebert import calibration, data, members, target
from tests.conftest import ROOT

FOLDER = ROOT / "recipes" / "data" / "home-intents"
IN_SCOPE = ("train", "dev", "test")
OUTSIDE = ("out_of_scope_train", "out_of_scope_dev", "out_of_scope_test")
SPLITS = (*IN_SCOPE, *OUTSIDE)


@cache
def rows(split: str) -> list[dict[str, str]]:
    lines = (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def texts(split: str) -> list[str]:
    return [row["text"] for row in rows(split)]


def labels(split: str) -> list[str]:
    return [row["intent"] for row in rows(split)]


def letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def four_grams(text: str) -> list[str]:
    plain = letters(text)
    return [plain[i : i + 4] for i in range(max(1, len(plain) - 3))]


def test_there_are_enough_intents_with_enough_utterances() -> None:
    counts = Counter(label for split in IN_SCOPE for label in labels(split))
    assert len(counts) >= 20
    assert min(counts.values()) >= 100


def test_every_split_has_every_intent() -> None:
    assert set(labels("train")) == set(labels("dev")) == set(labels("test"))


def test_test_rows_and_out_of_scope_texts_are_enough_to_measure_on() -> None:
    assert len(rows("test")) >= 600
    assert sum(len(rows(split)) for split in OUTSIDE) >= 200
    assert all(len(rows(split)) >= 50 for split in OUTSIDE)


@pytest.mark.parametrize("split", SPLITS)
def test_every_row_is_sound_text(split: str) -> None:
    fault = members.find("tasks", "text-classification").fault
    keys = {"text", "intent"} if split in IN_SCOPE else {"text"}
    for row in rows(split):
        assert set(row) == keys
        assert fault({"text": row["text"], "label": row.get("intent", "none")}) is None
        assert row["text"] == row["text"].strip()
        assert len(letters(row["text"])) >= 4


def test_the_recipe_reads_these_very_files() -> None:
    from edgebert import recipe

    found = recipe.load(ROOT / "recipes" / "home-intents.toml")
    outside = found.data.out_of_scope
    assert outside is not None
    named = [found.data.train, found.data.dev, found.data.test, outside.train, outside.dev, outside.test]
    paths = [data.locate(str(value), found.folder, None).resolve() for value in named]
    assert paths == [(FOLDER / f"{split}.jsonl").resolve() for split in SPLITS]


def test_no_text_occurs_twice() -> None:
    counts = Counter(letters(text) for split in SPLITS for text in texts(split))
    assert [text for text, count in counts.items() if count > 1] == []


def test_no_text_of_one_split_is_nearly_one_of_another() -> None:
    vectorizer = CountVectorizer(analyzer=four_grams, binary=True)
    vectorizer.fit([text for split in SPLITS for text in texts(split)])
    grams: dict[str, Any] = {split: vectorizer.transform(texts(split)) for split in SPLITS}
    sizes = {split: matrix.sum(axis=1).A1 for split, matrix in grams.items()}
    near = []
    for first, second in itertools.combinations(SPLITS, 2):
        shared = (grams[first] @ grams[second].T).tocoo()
        together = sizes[first][shared.row] + sizes[second][shared.col] - shared.data
        for i in (shared.data >= 0.5 * together).nonzero()[0]:
            near.append((texts(first)[shared.row[i]], texts(second)[shared.col[i]]))
    assert near == []


@pytest.mark.slow
def test_counting_words_does_not_solve_it() -> None:
    vectorizer = TfidfVectorizer()
    model = LogisticRegression(C=10, max_iter=1000)
    model.fit(vectorizer.fit_transform(texts("train")), labels("train"))
    accuracy = model.score(vectorizer.transform(texts("test")), labels("test"))
    assert 2 / len(set(labels("train"))) < accuracy < 0.75


def test_the_calibration_text_is_varied() -> None:
    lines = (target.data_folder("calibration") / "default.txt").read_text(encoding="utf-8").splitlines()
    sentences = {letters(line) for line in lines if line.strip()}
    assert len(sentences) >= 100
    spec, found = calibration.load("default", ROOT)
    assert len({letters(sentence) for sentence in found}) == len(found)
    assert len(found) >= spec.rows


def test_the_calibration_text_holds_nothing_that_is_scored() -> None:
    _, sentences = calibration.load("default", ROOT)
    scored = {letters(text) for split in SPLITS for text in texts(split)}
    assert not scored & {letters(sentence) for sentence in sentences}
