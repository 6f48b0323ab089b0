"""The sample data is large enough to measure on, holds no copies, and is not solved by counting words."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from edgebert import calibration, data, members, target
from tests.conftest import ROOT

DATA = ROOT / "recipes" / "data"
FOLDERS = sorted(path.name for path in DATA.iterdir() if path.is_dir())
FILES = sorted(str(path.relative_to(DATA).with_suffix("")) for path in DATA.glob("*/*.jsonl"))
THREE = ("train", "dev", "test")
OUTSIDE = ("out_of_scope_train", "out_of_scope_dev", "out_of_scope_test")
APART = {  # the files of a folder that share no text, and nearly none
    "faq": (*THREE, "faq"),
    "home-intents": (*THREE, *OUTSIDE),
    "moderation": (*THREE, "behaviour"),
    "sentiment": THREE,
}
KIND_OR_NOT = (
    "derogation_feeling",
    "derogation_negated",
    "negated_hostility",
    "identity_neutral",
    "identity_positive",
)
HARMS = {"insult", "threat", "hate", "sexual", "self_harm", "spam"}
PERSONAL = re.compile(r"\S@\S+\.\S|https?:|www\.|\.(com|net|org)\b", re.IGNORECASE)
BRANDS = re.compile(
    r"\b(airbnb|alexa|ebay|facebook|google|ikea|instagram|iphone|netflix|paypal|samsung|siri|spotify|tesla|tiktok"
    r"|twitter|uber|whatsapp|youtube)\b",
    re.IGNORECASE,
)


@cache
def rows(file: str) -> list[dict[str, Any]]:
    lines = (DATA / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def texts(file: str) -> list[str]:
    return [row["question"] if file == "faq/faq" else row["text"] for row in rows(file)]


def labels(file: str, column: str = "label") -> list[str]:
    return [row[column] for row in rows(file)]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


def letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def four_grams(text: str) -> list[str]:
    plain = letters(text)
    return [plain[i : i + 4] for i in range(max(1, len(plain) - 3))]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_what_it_holds(folder: str) -> None:
    told = (DATA / folder / "README.md").read_text(encoding="utf-8")
    assert "Apache-2.0" in told
    for path in sorted((DATA / folder).glob("*.jsonl")):
        count = len(rows(f"{folder}/{path.stem}"))
        assert re.search(rf"{re.escape(path.name)}\b.*\b{count}\b", told), f"{path.name} has {count} rows"


@pytest.mark.parametrize("file", FILES)
def test_every_string_is_clean(file: str) -> None:
    for text in strings(rows(file)):
        assert text == unicodedata.normalize("NFC", text)
        assert not any(unicodedata.category(one) in ("Cc", "Cn", "Co", "Cs") and one != "\n" for one in text), text
        assert not PERSONAL.search(text), text
        assert not BRANDS.search(text), text


@pytest.mark.parametrize("file", [f"{folder}/{split}" for folder, splits in APART.items() for split in splits])
def test_every_row_has_a_sound_text(file: str) -> None:
    fault = members.find("tasks", "text-classification").fault
    for text in texts(file):
        assert fault({"text": text, "label": "any"}) is None
        assert text == text.strip()
        assert len(letters(text)) >= 4
    assert len({frozenset(row) - {"target"} for row in rows(file)}) == 1


@pytest.mark.parametrize("folder", APART)
def test_no_text_occurs_twice(folder: str) -> None:
    found = Counter(letters(text) or text for split in APART[folder] for text in texts(f"{folder}/{split}"))
    assert [text for text, count in found.items() if count > 1] == []


@pytest.mark.parametrize("folder", APART)
def test_no_text_of_one_split_is_nearly_one_of_another(folder: str) -> None:
    held = {split: texts(f"{folder}/{split}") for split in APART[folder]}
    vectorizer = CountVectorizer(analyzer=four_grams, binary=True)
    vectorizer.fit(itertools.chain.from_iterable(held.values()))
    grams: dict[str, Any] = {split: vectorizer.transform(held[split]) for split in held}
    sizes = {split: matrix.sum(axis=1).A1 for split, matrix in grams.items()}
    near = []
    for first, second in itertools.combinations(held, 2):
        shared = (grams[first] @ grams[second].T).tocoo()
        together = sizes[first][shared.row] + sizes[second][shared.col] - shared.data
        for i in (shared.data >= 0.5 * together).nonzero()[0]:
            near.append((held[first][shared.row[i]], held[second][shared.col[i]]))
    assert near == []


@pytest.mark.parametrize("folder", ["moderation", "sentiment"])
def test_a_family_lies_in_one_split(folder: str) -> None:
    families = [set(labels(f"{folder}/{split}", "family")) for split in THREE]
    assert sum(map(len, families)) == len(set().union(*families)) >= 100


@pytest.mark.parametrize("folder", APART)
def test_the_recipe_reads_these_very_files(folder: str) -> None:
    table = tomllib.loads((ROOT / "recipes" / f"{folder}.toml").read_text(encoding="utf-8"))
    assert table["name"] == folder
    named = [table["data"][split] for split in THREE] + list(table["data"].get("out_of_scope", {}).values())
    splits = (*THREE, *OUTSIDE)[: len(named)]
    paths = [data.locate(value, ROOT / "recipes", None).resolve() for value in named]
    assert sorted(paths) == sorted((DATA / folder / f"{split}.jsonl").resolve() for split in splits)


def test_home_intents_are_enough_to_measure_on() -> None:
    found = [labels(f"home-intents/{split}", "intent") for split in THREE]
    counts = Counter(itertools.chain.from_iterable(found))
    assert len(counts) >= 20
    assert min(counts.values()) >= 100
    assert set(found[0]) == set(found[1]) == set(found[2])
    outside = [len(rows(f"home-intents/{split}")) for split in OUTSIDE]
    assert len(found[2]) >= 600
    assert sum(outside) >= 200
    assert min(outside) >= 50


def test_sentiments_are_balanced_and_hard_in_all_ways() -> None:
    assert sum(len(rows(f"sentiment/{split}")) for split in THREE) >= 1500
    for split in THREE:
        count = Counter(labels(f"sentiment/{split}"))
        assert set(count) == {"positive", "negative", "neutral"}
        assert max(count.values()) <= 1.5 * min(count.values())
        kinds = Counter(labels(f"sentiment/{split}", "kind"))
        assert set(kinds) == {"plain", "negation", "contrast", "sarcasm", "implied"}
        assert min(kinds.values()) >= 10
        assert all(4 <= len(text.split()) <= 40 for text in texts(f"sentiment/{split}"))


@pytest.mark.parametrize("split", [*THREE, "behaviour"])
def test_every_harm_is_met_and_half_of_the_messages_are_acceptable(split: str) -> None:
    found = [row["label"] for row in rows(f"moderation/{split}")]
    count = Counter(itertools.chain.from_iterable(found))
    assert set(count) == HARMS
    assert min(count.values()) >= 10
    assert 0.4 <= sum(not label for label in found) / len(found) <= 0.6
    assert len(found) >= {"train": 1200, "behaviour": 300}.get(split, 200)


def test_no_full_stop_tells_harm_from_what_is_acceptable() -> None:
    found = [row for split in THREE for row in rows(f"moderation/{split}")]
    ends = {
        kind: [row["text"].endswith(".") for row in found if bool(row["label"]) == kind] for kind in (True, False)
    }
    assert abs(np.mean(ends[True]) - np.mean(ends[False])) < 0.1


def test_each_functionality_asks_one_thing() -> None:
    by_name: dict[str, list[set[str]]] = {}
    for row in rows("moderation/behaviour"):
        by_name.setdefault(row["functionality"], []).append(set(row["label"]))
    assert len(by_name) >= 20
    assert min(map(len, by_name.values())) >= 4
    benign = {name for name, found in by_name.items() if not any(found)}
    assert len(benign) >= 10
    assert all(all(found) for name, found in by_name.items() if name not in benign)


def test_each_group_is_met_in_hostile_and_in_kind_sentences_alike() -> None:
    found = [row for row in rows("moderation/behaviour") if "target" in row]
    counts = {
        kind: Counter(row["target"] for row in found if row["functionality"] == kind) for kind in KIND_OR_NOT
    }
    assert len(counts["derogation_feeling"]) >= 8
    for count in counts.values():
        assert set(count) == set(counts["derogation_feeling"])
        assert len(set(count.values())) == 1


def test_each_answer_of_the_faq_is_asked_for_in_every_split() -> None:
    answers = [row["answer"] for row in rows("faq/faq")]
    assert 80 <= len(set(answers)) == len(answers) <= 120
    asked = [Counter(labels(f"faq/{split}", "text_pair")) for split in THREE]
    assert all(set(count) == set(answers) for count in asked)
    assert all(sum(count[answer] for count in asked) >= 10 for answer in answers)
    assert all({"direct", "indirect"} == set(labels(f"faq/{split}", "kind")) for split in THREE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder, column, lowest, highest", [("home-intents", "intent", 0.07, 0.75), ("sentiment", "label", 0.6, 0.8)]
)
def test_counting_words_does_not_solve_it(folder: str, column: str, lowest: float, highest: float) -> None:
    vectorizer = TfidfVectorizer()
    model = LogisticRegression(C=10, max_iter=1000)
    model.fit(vectorizer.fit_transform(texts(f"{folder}/train")), labels(f"{folder}/train", column))
    accuracy = model.score(vectorizer.transform(texts(f"{folder}/test")), labels(f"{folder}/test", column))
    assert lowest < accuracy < highest


@pytest.mark.slow
def test_counting_words_does_not_moderate() -> None:
    vectorizer = TfidfVectorizer()
    counted = vectorizer.fit_transform(texts("moderation/train"))
    for split in ("test", "behaviour"):
        asked = vectorizer.transform(texts(f"moderation/{split}"))
        truth, answer = [], []
        for harm in sorted(HARMS):
            model = LogisticRegression(C=10, max_iter=1000, class_weight="balanced")
            model.fit(counted, [harm in label for label in labels("moderation/train")])
            truth += [harm in label for label in labels(f"moderation/{split}")]
            answer += list(model.predict(asked))
        assert 0.3 < f1_score(truth, answer) < 0.75


def test_matching_words_does_not_find_the_answer() -> None:
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    answers = [row["answer"] for row in rows("faq/faq")]
    held = vectorizer.fit_transform(answers)
    nearest = (vectorizer.transform(texts("faq/test")) @ held.T).toarray().argmax(axis=1)
    found = np.mean(
        [answers[i] == wanted for i, wanted in zip(nearest, labels("faq/test", "text_pair"), strict=True)]
    )
    assert 0.1 < found < 0.5


def test_the_calibration_text_is_varied() -> None:
    lines = (target.data_folder("calibration") / "default.txt").read_text(encoding="utf-8").splitlines()
    sentences = {letters(line) for line in lines if line.strip()}
    assert len(sentences) >= 100
    spec, found = calibration.load("default", ROOT)
    assert len({letters(sentence) for sentence in found}) == len(found)
    assert len(found) >= spec.rows


def test_the_calibration_text_holds_nothing_that_is_scored() -> None:
    _, sentences = calibration.load("default", ROOT)
    scored = {letters(text) for folder in APART for split in APART[folder] for text in texts(f"{folder}/{split}")}
    assert not scored & {letters(sentence) for sentence in sentences}
