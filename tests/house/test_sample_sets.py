"""The sample data for entities, questions, summaries and pairs is sound, counted right and parted well."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections import Counter
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from edgebert import calibration, members, recipe
from tests.conftest import ROOT
from tests.house.test_sample_data import THREE as SPLITS, four_grams, letters, rows, strings

Row = dict[str, Any]

COLUMNS = {
    "ner": {"text", "spans"},
    "qa": {"id", "question", "context", "answers"},
    "summaries": {"sentences", "summary"},
    "pairs": {"text", "text_pair", "label"},
}
RECIPES = {
    "ner": "token-classification",
    "qa": "question-answering",
    "summarization": "extractive-summarization",
    "pairs": "sentence-pairs",
}
FOLDER = dict(zip(RECIPES, COLUMNS, strict=True))
SLOTS = {"person", "place", "organisation", "time", "amount"}


def everything(folder: str) -> list[Row]:
    return [row for split in SPLITS for row in rows(f"{folder}/{split}")]


def units(folder: str, split: str) -> list[str]:
    """What must not be in two splits: the text, passage, document or sentence of a pair."""
    found = rows(f"{folder}/{split}")
    if folder == "ner":
        return [row["text"] for row in found]
    if folder == "qa":
        return list(dict.fromkeys(row["context"] for row in found))
    if folder == "summaries":
        return [" ".join(row["sentences"]) for row in found]
    return list(dict.fromkeys(row[column] for row in found for column in ("text", "text_pair")))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def cut(text: str, at: int) -> bool:
    """Whether a place is inside a word."""
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()


@pytest.mark.parametrize("folder", COLUMNS)
def test_every_row_has_the_columns_and_trimmed_text(folder: str) -> None:
    for row in everything(folder):
        assert set(row) == COLUMNS[folder]
        assert all(text == text.strip() != "" for text in strings(row))


@pytest.mark.parametrize("folder", COLUMNS)
def test_nothing_of_one_split_is_nearly_in_another(folder: str) -> None:
    vectorizer = CountVectorizer(analyzer=four_grams, binary=True)
    vectorizer.fit([text for split in SPLITS for text in units(folder, split)])
    grams: dict[str, Any] = {split: vectorizer.transform(units(folder, split)) for split in SPLITS}
    sizes = {split: matrix.sum(axis=1).A1 for split, matrix in grams.items()}
    for first, second in itertools.combinations(SPLITS, 2):
        shared = (grams[first] @ grams[second].T).tocoo()
        together = sizes[first][shared.row] + sizes[second][shared.col] - shared.data
        near = (shared.data >= 0.5 * together).nonzero()[0]
        assert [(units(folder, first)[shared.row[i]], units(folder, second)[shared.col[i]]) for i in near] == []


def test_the_calibration_text_holds_nothing_that_is_scored() -> None:
    _, sentences = calibration.load("default", ROOT)
    used = {letters(sentence) for sentence in sentences}
    scored = {letters(text) for folder in COLUMNS for row in everything(folder) for text in strings(row)}
    assert not used & scored


@pytest.mark.parametrize(("name", "task"), RECIPES.items())
def test_the_recipe_names_these_files_and_the_pinned_model(name: str, task: str) -> None:
    written = tomllib.loads((ROOT / "recipes" / f"{name}.toml").read_text(encoding="utf-8"))
    pinned = tomllib.loads((ROOT / "recipes" / "home-intents.toml").read_text(encoding="utf-8"))
    assert (written["name"], written["task"]) == (name, task)
    assert written["model"] == pinned["model"]
    assert written["data"] == {split: f"data/{FOLDER[name]}/{split}.jsonl" for split in SPLITS}


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_is_sound_and_its_task_takes_every_row(name: str) -> None:
    task = members.find("tasks", recipe.load(ROOT / "recipes" / f"{name}.toml").task)
    assert [fault for row in everything(FOLDER[name]) if (fault := task.fault(row)) is not None] == []


def test_entities_are_whole_words_of_five_kinds() -> None:
    for row in everything("ner"):
        text, end = row["text"], 0
        for span in row["spans"]:
            assert end <= span["start"] < span["end"] <= len(text)
            assert set(span) == {"start", "end", "slot"}
            assert span["slot"] in SLOTS
            inside, end = text[span["start"] : span["end"]], span["end"]
            assert inside == inside.strip(" ,.;:!?")
            assert not cut(text, span["start"]) and not cut(text, span["end"])


def test_texts_without_entities_and_unseen_names_are_common() -> None:
    assert len(everything("ner")) >= 1500
    for split in SPLITS:
        empty = sum(not row["spans"] for row in rows(f"ner/{split}"))
        assert 0.10 <= empty / len(rows(f"ner/{split}")) <= 0.20
    seen, asked = names("train"), names("test")
    assert sum(name not in seen for name in asked) >= 0.8 * len(asked)


def names(split: str) -> set[str]:
    found = [(row["text"], span) for row in rows(f"ner/{split}") for span in row["spans"]]
    kinds = ("person", "place", "organisation")
    return {letters(text[span["start"] : span["end"]]) for text, span in found if span["slot"] in kinds}


def test_offsets_in_utf16_or_bytes_would_be_wrong_in_some_rows() -> None:
    before = [row["text"][: span["start"]] for row in rows("ner/test") for span in row["spans"]]
    assert sum(len(text.encode("utf-16-le")) > 2 * len(text) for text in before) >= 20
    assert sum(len(text.encode()) > len(text) for text in before) >= 60


def test_answers_stand_where_they_are_said_to_stand() -> None:
    for row in everything("qa"):
        context, answers = row["context"], row["answers"]
        assert len(answers["text"]) == len(answers["answer_start"])
        for text, start in zip(answers["text"], answers["answer_start"], strict=True):
            assert context[start : start + len(text)] == text
            assert not cut(context, start) and not cut(context, start + len(text))


def test_questions_are_enough_and_a_fifth_has_no_answer() -> None:
    found = everything("qa")
    assert len(found) >= 1000
    assert len({row["context"] for row in found}) >= 120
    assert len({row["id"] for row in found}) == len(found)
    assert len({(row["context"], letters(row["question"])) for row in found}) == len(found)
    for split in SPLITS:
        unanswered = sum(not row["answers"]["text"] for row in rows(f"qa/{split}"))
        assert 0.17 <= unanswered / len(rows(f"qa/{split}")) <= 0.23
    assert all(60 <= len(row["context"].split()) <= 180 for row in found)


def test_summaries_are_short_and_not_copied() -> None:
    found = everything("summaries")
    assert len(found) >= 150
    for row in found:
        assert 8 <= len(row["sentences"]) <= 16
        assert len(words(row["summary"])) < len(words(" ".join(row["sentences"]))) / 2
        whole = letters(" ".join(row["sentences"]))
        parts = [part for part in re.split(r"(?<=[.!?])\s+(?=[A-Z])", row["summary"]) if part]
        assert 1 <= len(parts) <= 3
        assert not any(letters(part) in whole for part in parts)


def test_what_matters_is_not_always_said_first() -> None:
    places: Counter[int] = Counter()
    for row in everything("summaries"):
        told = set(words(row["summary"]))
        shares = [len(told & set(words(sentence))) for sentence in row["sentences"]]
        places[5 * shares.index(max(shares)) // len(shares)] += 1
    assert max(places.values()) < 0.5 * places.total()
    assert min(places[fifth] for fifth in range(5)) > 0.05 * places.total()


def test_pairs_are_balanced_and_no_pair_occurs_twice() -> None:
    found = everything("pairs")
    assert len(found) >= 1200
    for split in SPLITS:
        labels = Counter(row["label"] for row in rows(f"pairs/{split}"))
        assert set(labels) == {"same", "different"}
        assert max(labels.values()) <= 0.52 * labels.total()
    pairs = [frozenset((letters(row["text"]), letters(row["text_pair"]))) for row in found]
    assert all(len(pair) == 2 for pair in pairs)
    assert len(set(pairs)) == len(pairs)


def test_shared_words_do_not_tell_which_pairs_mean_the_same() -> None:
    overlaps = []
    for row in everything("pairs"):
        one, other = set(words(row["text"])), set(words(row["text_pair"]))
        overlaps.append((len(one & other) / len(one | other), row["label"] == "same"))
    for limit in (number / 20 for number in range(21)):
        right = sum((overlap >= limit) == same for overlap, same in overlaps) / len(overlaps)
        assert max(right, 1 - right) < 0.65


@pytest.mark.slow
def test_counting_words_does_not_solve_pairs() -> None:
    vectorizer = CountVectorizer(binary=True)
    vectorizer.fit(units("pairs", "train"))

    def features(split: str) -> Any:
        one = vectorizer.transform([row["text"] for row in rows(f"pairs/{split}")]).toarray()
        other = vectorizer.transform([row["text_pair"] for row in rows(f"pairs/{split}")]).toarray()
        return np.hstack([one != other, one & other])

    model = LogisticRegression(max_iter=1000)
    model.fit(features("train"), [row["label"] for row in rows("pairs/train")])
    assert model.score(features("test"), [row["label"] for row in rows("pairs/test")]) < 0.65
