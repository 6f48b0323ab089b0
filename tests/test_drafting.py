"""init: a data file is looked at and a recipe drafted that loads and can be planned."""

import csv
import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert import data, drafting, members, recipe
from edgebert.errors import InputError
from edgebert.recipe import Recipe
from tests import toy

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
    return path


def drafted(train: Path, name: str = "mine.toml") -> Recipe:
    """The recipe drafted for a file, written beside it and loaded."""
    path = train.parent / name
    path.write_text(drafting.draft(train, path), encoding="utf-8")
    return recipe.load(path)


def rows_of(found: Recipe, name: str) -> list[dict[str, Any]]:
    """A split's rows under the task's column names."""
    path = data.locate(getattr(found.data, name), found.folder, None)
    return data.read(path, found.data.columns, lambda _: None).rows


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_a_fifth_is_held_out_where_there_is_no_test_file(tmp_path: Path, suffix: str) -> None:
    rows = toy.rows(60, 1)
    found = drafted(write(tmp_path / f"weather{suffix}", rows))
    train, test = rows_of(found, "train"), rows_of(found, "test")
    key = sorted((row["text"], row["label"]) for row in rows)
    assert sorted((row["text"], row["label"]) for row in train + test) == key
    assert {label: [row["label"] for row in test].count(label) for label in toy.WORDS} == dict.fromkeys(
        toy.WORDS, 4
    )
    assert found.data.dev is None


@pytest.mark.parametrize(
    ("train", "test", "dev"),
    [
        ("train.jsonl", "test.jsonl", "dev.jsonl"),
        ("train.csv", "test.csv", "validation.csv"),
        ("weather_train.csv", "weather_test.csv", "weather_valid.csv"),
        ("weather.jsonl", "weather_test.jsonl", "weather_dev.jsonl"),
    ],
)
def test_files_of_the_other_splits_are_found_beside_it(tmp_path: Path, train: str, test: str, dev: str) -> None:
    for number, name in enumerate((train, test, dev)):
        write(tmp_path / name, toy.rows(30, number))
    before = sorted(path.name for path in tmp_path.iterdir())
    found = drafted(tmp_path / train)
    assert (found.data.train, found.data.test, found.data.dev) == (train, test, dev)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "mine.toml"])


def test_columns_of_other_names_are_recognized(tmp_path: Path) -> None:
    rows = [
        {"id": i, "utterance": row["text"], "intent": row["label"], "flag": True}
        for i, row in enumerate(toy.rows(30, 1))
    ]
    found = drafted(write(tmp_path / "said.jsonl", rows))
    assert found.data.columns == {"text": "utterance", "label": "intent"}
    assert {row["label"] for row in rows_of(found, "train")} == set(toy.WORDS)


def test_the_longest_texts_decide_how_many_tokens_are_read(tmp_path: Path) -> None:
    rows = [{"text": "word " * 60 + str(i), "label": "ab"[i % 2]} for i in range(20)]
    found = drafted(write(tmp_path / "long.jsonl", rows))
    assert found.finetune is not None
    assert found.finetune.max_tokens == 128


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"text": f"a text {i}", "id": i} for i in range(9)], r"looks like a label .* here are: text, id"),
        ([{"text": f"a text {i}", "label": "same"} for i in range(9)], r"no column that looks like a label"),
        ([{"number": i, "label": i % 2} for i in range(9)], r"no column of text; here are: number, label"),
    ],
)
def test_a_file_without_text_or_label_is_told(tmp_path: Path, rows: list[dict[str, Any]], told: str) -> None:
    train = write(tmp_path / "odd.jsonl", rows)
    with pytest.raises(InputError, match=told):
        drafting.draft(train, tmp_path / "mine.toml")
    assert list(tmp_path.iterdir()) == [train]


@pytest.mark.parametrize("contents", [b"", b"\n\n", b"{not json}\n", b"\xff\xfe\n"])
def test_a_file_without_sound_rows_is_told(tmp_path: Path, contents: bytes) -> None:
    train = tmp_path / "bad.jsonl"
    train.write_bytes(contents)
    with pytest.raises(InputError, match=r"bad\.jsonl: "):
        drafting.draft(train, tmp_path / "mine.toml")


def test_a_label_missing_far_down_the_file_is_told(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [*toy.rows(1200, 1), {"text": "no label here"}]
    train = write(tmp_path / "weather.jsonl", rows)
    with pytest.raises(InputError, match=r"line 1201.*label"):
        drafting.draft(train, tmp_path / "mine.toml")


@pytest.mark.parametrize("there", ["mine.test.jsonl", "mine.train.jsonl"])
def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path, there: str) -> None:
    train = write(tmp_path / "weather.jsonl", toy.rows(30, 1))
    (tmp_path / there).write_text("precious")
    with pytest.raises(InputError, match=f"{there}: is there already"):
        drafting.draft(train, tmp_path / "mine.toml")
    assert (tmp_path / there).read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([there, "weather.jsonl"])


def test_a_recipe_that_is_there_is_never_overwritten(tmp_path: Path, run_edgebert: Run) -> None:
    write(tmp_path / "weather.csv", toy.rows(30, 1))
    (tmp_path / "weather.toml").write_text("precious")
    done = run_edgebert("init", "weather.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert "weather.toml: is there already; choose another name with -o" in done.stderr
    assert (tmp_path / "weather.toml").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_recipe_for_a_folder_that_is_not_there_is_told(tmp_path: Path, run_edgebert: Run) -> None:
    write(tmp_path / "weather.csv", toy.rows(30, 1))
    done = run_edgebert("init", "weather.csv", "-o", "nowhere/mine.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_drafted_recipe_can_be_planned(tmp_path: Path, run_edgebert: Run) -> None:
    write(tmp_path / "weather.csv", toy.rows(60, 1))
    told = json.loads(run_edgebert("init", "weather.csv", "--json", cwd=tmp_path).stdout)
    assert told == {"recipe": "weather.toml"}
    done = run_edgebert("plan", "weather.toml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)["gates"]) == ["raspberry-pi-5", "android-cpu"]


def test_labels_with_few_rows_still_give_a_test_split(tmp_path: Path) -> None:
    found = drafted(write(tmp_path / "few.jsonl", toy.rows(12, 1)))
    assert rows_of(found, "test")
    assert {row["label"] for row in rows_of(found, "train")} == set(toy.WORDS)


@pytest.mark.parametrize("name", ["mine 2.toml", "_mine.toml", "-.toml", "été.toml", "😀.toml"])
def test_any_file_name_gives_a_recipe_that_loads(tmp_path: Path, name: str) -> None:
    found = drafted(write(tmp_path / "weather.jsonl", toy.rows(30, 1)), name)
    assert rows_of(found, "train")


def test_columns_and_labels_of_any_script_give_a_recipe_that_loads(tmp_path: Path) -> None:
    rows = [{"texte 😀": row["text"], "“étiquette”": f"{row['label']}\n2"} for row in toy.rows(30, 1)]
    found = drafted(write(tmp_path / "données.jsonl", rows))
    assert found.data.columns == {"text": "texte 😀", "label": "“étiquette”"}


def test_what_the_recipe_leaves_out_it_explains(tmp_path: Path) -> None:
    train = write(tmp_path / "weather.jsonl", toy.rows(30, 1))
    text = drafting.draft(train, tmp_path / "mine.toml")
    assert "30 rows of weather.jsonl looked at: 3 labels" in text
    assert "dev" not in tomllib.loads(text)["data"]
    assert "absent: a stratified tenth of train" in text


def pairs(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"premise": f"a text {i // 2}", "hypothesis": f"another {i}", **more} for i in range(count)]


TASKS: list[tuple[list[dict[str, Any]], str, dict[str, str]]] = [
    (
        [{"tokens": ["we", "see", "Rome"], "ner_tags": ["O", "O", "B-city"]}] * 9,
        "token-classification",
        {"tokens": "tokens", "tags": "ner_tags"},
    ),
    (
        [{"said": "to Rome", "label": "go", "spans": [{"start": 3, "end": 7, "slot": "city"}]}] * 9,
        "token-classification",
        {"text": "said", "spans": "spans"},
    ),
    (
        [
            {
                "id": i,
                "question": "who?",
                "context": f"it is I, {i}",
                "answers": {"text": ["I"], "answer_start": [6]},
            }
            for i in range(9)
        ],
        "question-answering",
        {"question": "question", "context": "context", "answers": "answers"},
    ),
    (
        [{"sentences": ["It rained.", "Then the sun came."], "summary": "rain, then sun"}] * 9,
        "extractive-summarization",
        {"sentences": "sentences", "summary": "summary"},
    ),
    (
        [{"article": "It rained. Then the sun came.", "summary": "rain, then sun"}] * 9,
        "extractive-summarization",
        {"text": "article", "summary": "summary"},
    ),
    (
        pairs(10, label="same"),
        "sentence-pairs",
        {"text": "premise", "text_pair": "hypothesis", "label": "label"},
    ),
    (
        pairs(10, similarity=2.0),
        "regression",
        {"text": "premise", "text_pair": "hypothesis", "label": "similarity"},
    ),
    (
        [{"id": i, "question": f"how {i}?", "answer": f"so {i}", "topic": "ab"[i % 2]} for i in range(9)],
        "feature-extraction",
        {"text": "question", "text_pair": "answer"},
    ),
    ([{"text": "a text", "score": i / 4} for i in range(9)], "regression", {"text": "text", "label": "score"}),
    (
        [{"text": "a text", "labels": ["a", "b"][: i % 3]} for i in range(9)],
        "text-classification",
        {"text": "text", "label": "labels"},
    ),
    (
        [{"text": "a [MASK] day", "masked": "sunny"}] * 9,
        "fill-mask",
        {"text": "text", "masked": "masked"},
    ),
    ([{"body": f"a text {i}"} for i in range(9)], "fill-mask", {"text": "body"}),
    (
        [{"text": "a text", "label": "ab"[i % 2], "confidence": 0.5} for i in range(9)],
        "text-classification",
        {"text": "text", "label": "label"},
    ),
]


@pytest.mark.parametrize(
    ("rows", "task", "columns"), TASKS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_columns_tell_the_task(
    tmp_path: Path, rows: list[dict[str, Any]], task: str, columns: dict[str, str]
) -> None:
    found = drafted(write(tmp_path / "rows.jsonl", rows))
    assert (found.task, found.data.columns) == (task, columns)
    fault = members.find("tasks", task).fault
    for split in ("train", "test"):
        path = data.locate(getattr(found.data, split), found.folder, None)
        assert data.read(path, found.data.columns, fault).rows


def test_numbers_of_a_csv_file_are_measured_where_they_have_a_point(tmp_path: Path) -> None:
    rows = [{"text": f"a text {i}", "label": value} for i, value in enumerate(["1", "2.5", "3", "4"] * 5)]
    assert drafted(write(tmp_path / "rows.csv", rows)).task == "regression"
    whole = [{**row, "label": str(i % 3)} for i, row in enumerate(rows)]
    assert drafted(write(tmp_path / "whole.csv", whole), "whole.toml").task == "text-classification"


def test_what_shares_a_text_stays_in_one_split(tmp_path: Path) -> None:
    found = drafted(write(tmp_path / "rows.jsonl", pairs(40, label="same")))
    train, test = ({row["text"] for row in rows_of(found, split)} for split in ("train", "test"))
    assert len(test) == 4 and not train & test
    assert len(rows_of(found, "test")) == 8


@pytest.mark.parametrize("count", [2, 3, 4])
def test_few_rows_still_give_both_splits(tmp_path: Path, count: int) -> None:
    found = drafted(write(tmp_path / "rows.jsonl", pairs(2 * count, label="same")))
    assert rows_of(found, "train") and rows_of(found, "test")


def test_a_comment_tells_what_else_could_be_learned(tmp_path: Path) -> None:
    train = write(tmp_path / "rows.jsonl", TASKS[1][0])
    text = drafting.draft(train, tmp_path / "mine.toml")
    assert "# 9 rows of rows.jsonl looked at: texts with spans of 1 kind." in text
    assert "# label can be learned too" in text
    assert "points of entity F1" in text


def test_a_sorted_file_is_looked_at_from_end_to_end(tmp_path: Path) -> None:
    rows = [{"text": f"a text {i}", "label": f"label {i // 500}"} for i in range(2500)]
    train = write(tmp_path / "rows.jsonl", rows)
    told = drafting.draft(train, tmp_path / "mine.toml").splitlines()[0]
    assert told == "# 2500 rows of rows.jsonl looked at: 5 labels, the most frequent 'label 0' (500 rows)."


@pytest.mark.parametrize(
    ("number", "odd", "fault"),
    [
        (0, {"tokens": ["we", "see"], "ner_tags": None}, "line 2500: tags"),
        (1, {"said": "to Rome", "label": "go", "spans": [3]}, "line 2500: spans"),
        (2, {"question": "who?", "context": "I", "answers": "I"}, "line 2500: answers"),
        (6, {"premise": "a", "hypothesis": "b", "similarity": "high"}, "line 2500: label = 'high'"),
        (9, {"text": "a text", "labels": [["a"]]}, "line 2500: label = "),
    ],
)
def test_a_faulty_row_far_down_the_file_is_told(tmp_path: Path, number: int, odd: Any, fault: str) -> None:
    rows = (TASKS[number][0] * 500)[:2499]
    train = write(tmp_path / "rows.jsonl", [*rows, odd])
    with pytest.raises(InputError, match=re.escape(fault)):
        drafting.draft(train, tmp_path / "mine.toml")
    assert list(tmp_path.iterdir()) == [train]
