"""Faulty data: the split, the file, the line and what is wrong there, before any step runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bad_input.test_recipes import Run, refused

GOOD = '{"text": "a sunny day", "label": "sun"}\n'


def replace_line(path: Path, number: int, line: bytes) -> None:
    """Put `line` in the place of the line of that number, counted from 1."""
    lines = path.read_bytes().splitlines()
    lines[number - 1] = line
    path.write_bytes(b"\n".join(lines) + b"\n")


def test_a_missing_file_is_named_with_its_key(run_edgebert: Run, project: Path) -> None:
    said = refused(run_edgebert, project, "--set", 'data.dev="dev.json"', "--set", 'data.test="tset.jsonl"')
    assert all(part in said for part in ("data.dev", "dev.json", "data.test", "tset.jsonl", "no such file")), said


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (".", "is a folder"),
        ("toy.toml", ".jsonl"),
        ("train.jsonl/train.jsonl", "ot a directory"),
        ("loop.jsonl", "symbolic link"),
        ("a" * 300 + ".jsonl", "too long"),
        ("hub:owner/name", "hub:OWNER/NAME/FILE"),
    ],
)
def test_a_path_that_is_no_data_file_is_told(run_edgebert: Run, project: Path, value: str, wanted: str) -> None:
    (project.parent / "loop.jsonl").symlink_to("loop.jsonl")
    said = refused(run_edgebert, project, "--set", f'data.train="{value}"')
    assert all(part in said for part in ("data.train", value, wanted)), said


@pytest.mark.parametrize(
    ("task", "line", "wanted"),
    [
        (
            "token-classification",
            b'{"tokens": ["in", "Rome"], "tags": ["O"]}',
            "2 tokens and 1 tags; every token needs its tag",
        ),
        (
            "token-classification",
            b'{"text": "in Rome", "spans": [{"start": 3, "end": 9, "slot": "city"}]}',
            "spans[0] (3-9 city) is outside its text, which has 7 characters",
        ),
        ("extractive-summarization", b'{"sentences": "One. Two.", "summary": "one"}', "must be a list of texts"),
    ],
)
def test_a_row_that_is_none_of_its_task_is_told_with_its_line(
    run_edgebert: Run, project: Path, task: str, line: bytes, wanted: str
) -> None:
    good = {
        "token-classification": '{"text": "in Rome", "spans": []}\n',
        "extractive-summarization": '{"text": "One. Two.", "summary": "two"}\n',
    }
    for name in ("train", "dev", "test"):
        (project.parent / f"{name}.jsonl").write_text(good[task] * 9)
    replace_line(project.parent / "dev.jsonl", 4, line)
    recipe = project.read_text().replace("text-classification", task)
    project.write_text(re.sub(r"\[data.out_of_scope\]\n.*\n.*\n", "", recipe))
    said = refused(run_edgebert, project)
    assert all(part in said for part in ("data.dev", "line 4", wanted)), said


def test_a_missing_column_is_told_with_those_there_are(run_edgebert: Run, project: Path) -> None:
    train = project.parent / "train.jsonl"
    train.write_text(train.read_text().replace('"label"', '"intent"'))
    said = refused(run_edgebert, project)
    wanted = ("data.train", str(train), "line 1", "no column 'label'", "text, intent", "[data.columns] label")
    assert all(part in said for part in wanted), said
    assert len(said.splitlines()) < 20  # 240 rows share the fault


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ('data.columns.labl="intent"', ["[data.columns]", "'labl'", "did you mean 'label'?"]),
        ('data.columns.label="intent"', ["no column 'intent'", "[data.columns]", "text, label"]),
    ],
)
def test_a_faulty_renaming_of_columns_is_told(
    run_edgebert: Run, project: Path, override: str, wanted: list[str]
) -> None:
    said = refused(run_edgebert, project, "--set", override)
    assert all(part in said for part in wanted), said


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b'{"text": "", "label": "sun"}', "text is empty"),
        (b'{"text": " \\t\\u3000", "label": "sun"}', "text is empty"),
        (b'{"text": 3, "label": "sun"}', "text is int, not text"),
        (b'{"text": "a \\ud800", "label": "sun"}', "lone surrogate at character 2"),
        (b'{"text": "a day", "label": " "}', "label is empty"),
        (b'{"text": "a day", "label": null}', "label = None"),
        (b'{"text": "a day", "label": 0.5}', "label = 0.5"),
        (b'{"text": "a day", "label": ["sun", 0.5]}', "label = ['sun', 0.5]"),
        (b'{"text": "a day"', "not JSON"),
        (b'["a day", "sun"]', "not a JSON object"),
        (b'{"text": "a d\xffy", "label": "sun"}', "not UTF-8 at byte 14"),
        (b"[" * 100_000, "not JSON"),
        (b'{"text": "a day", "label": ' + b"7" * 5000 + b"}", "not JSON"),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else None,
)
def test_a_faulty_row_is_told_with_its_line(run_edgebert: Run, project: Path, line: bytes, wanted: str) -> None:
    test = project.parent / "test.jsonl"
    replace_line(test, 7, line)
    said = refused(run_edgebert, project)
    assert len(said.splitlines()) == 1
    assert all(part in said for part in ("data.test", str(test), "line 7", wanted)), said[:2000]


def test_faults_of_all_splits_are_told_at_once(run_edgebert: Run, project: Path) -> None:
    folder = project.parent
    replace_line(folder / "train.jsonl", 2, b"{")
    replace_line(folder / "dev.jsonl", 3, b'{"text": "", "label": "sun"}')
    replace_line(folder / "dev.jsonl", 4, b"\xff")
    (folder / "test.jsonl").unlink()
    said = refused(run_edgebert, project)
    wanted = ("train.jsonl: line 2", "dev.jsonl: line 3", "dev.jsonl: line 4", "test.jsonl: no such file")
    assert all(part in said for part in wanted), said
    assert len(said.splitlines()) == len(wanted)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_label_that_train_does_not_have_is_told(run_edgebert: Run, project: Path, split: str) -> None:
    with (project.parent / f"{split}.jsonl").open("a") as file:
        file.write('{"text": "small balls of ice", "label": "hail"}\n')
    said = refused(run_edgebert, project)
    assert all(part in said for part in (f"data.{split}", "hail", "train")), said


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_list_of_labels_among_rows_of_one_label_is_told(run_edgebert: Run, project: Path, split: str) -> None:
    with (project.parent / f"{split}.jsonl").open("a") as file:
        file.write('{"text": "a sunny day", "label": ["sun"]}\n')
    said = refused(run_edgebert, project)
    assert all(part in said for part in (f"data.{split}", "row", "['sun']", "one label a row")), said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_an_empty_split_is_told(run_edgebert: Run, project: Path, split: str) -> None:
    path = project.parent / f"{split}.jsonl"
    path.write_text("\n\n")
    said = refused(run_edgebert, project)
    assert all(part in said for part in (f"data.{split}", str(path), "no rows")), said


def test_an_empty_out_of_scope_split_is_told_by_the_key_it_has_in_the_recipe(
    run_edgebert: Run, project: Path
) -> None:
    (project.parent / "oos.jsonl").write_text("")
    said = refused(run_edgebert, project)
    assert all(part in said for part in ("data.out_of_scope.dev", "data.out_of_scope.test", "no rows")), said


def test_a_single_label_is_nothing_to_learn(run_edgebert: Run, project: Path) -> None:
    for split in ("train", "dev", "test"):
        (project.parent / f"{split}.jsonl").write_text(GOOD * 12)
    said = refused(run_edgebert, project)
    assert all(part in said for part in ("data.train", "only one label", "'sun'")), said


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"text,label\na sunny day,sun\nrain, and more rain,rain\n", ["line 3", "fields", "2"]),
        (b"text,label\na sunny day,sun\nrain\n", ["line 3", "fields"]),
        (b'text,label\n"a sunny day,sun\nrain,rain\nsnow,snow\n', ["line 2"]),  # where the quote opens
        (b"text,label\n\xe9t\xe9,sun\n", ["line 2", "not UTF-8"]),
        (b"text;label\na sunny day;sun\n", ["no column 'text'", "text;label"]),
        (b"text,label\n", ["no rows"]),
        (b"", ["no rows"]),
        (b"text,label\na sunny\rday,sun\nrain,rain\n", ["line 2"]),
    ],
)
def test_a_faulty_csv_is_told(run_edgebert: Run, project: Path, content: bytes, wanted: list[str]) -> None:
    (project.parent / "t.csv").write_bytes(content)
    said = refused(run_edgebert, project, "--set", 'data.train="t.csv"')
    assert all(part in said for part in ["data.train", "t.csv", *wanted]), said


def test_a_csv_with_lone_carriage_returns_meets_no_traceback(run_edgebert: Run, project: Path) -> None:
    (project.parent / "t.csv").write_bytes(b"text,label\ra sunny day,sun\rrain,rain\r")
    assert "data." in refused(run_edgebert, project, "--set", 'data.train="t.csv"')  # read, it lacks a label


@pytest.mark.parametrize("damage", ["cut", "footer", "pages", "not parquet"])
def test_a_damaged_parquet_file_is_told(run_edgebert: Run, project: Path, damage: str) -> None:
    import pyarrow
    import pyarrow.parquet

    path = project.parent / "train.parquet"
    columns = {"text": ["a sunny day", "rain again"] * 100, "label": ["sun", "rain"] * 100}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    whole = path.read_bytes()
    turned = bytes(255 - byte for byte in whole)
    damaged = {
        "cut": whole[: len(whole) // 2],
        "footer": whole[:-60] + turned[-60:-20] + whole[-20:],
        "pages": whole[:20] + turned[20:60] + whole[60:],
        "not parquet": b"text,label\n",
    }
    path.write_bytes(damaged[damage])
    said = refused(run_edgebert, project, "--set", 'data.train="train.parquet"')
    assert all(part in said for part in ("data.train", str(path), "Parquet")), said
