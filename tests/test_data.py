from __future__ import annotations

import csv
import datetime
import hashlib
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from edgebert import data, planning, recipe as recipes
from edgebert.data import Row, Split
from edgebert.errors import InputError, SurroundingsError
from edgebert.tasks import text_classification as task
from tests import toy

ROWS: list[Row] = [
    {"text": 'hello, "you"', "label": "a"},
    {"text": "zwei\nZeilen", "label": "b"},
    {"text": "tab\tund ü 🌧", "label": "a"},
]
BOM = b"\xef\xbb\xbf"


def as_json_lines(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_separated(rows: list[Row], delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[Row]) -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


def read(path: Path, content: bytes, columns: dict[str, str] | None = None) -> Split:
    path.write_bytes(content)
    return data.read(path, columns or {}, task.fault)


def faults(path: Path, content: bytes) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(path, content)
    return caught.value.faults


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", as_json_lines(ROWS)),
        ("a.ndjson", as_json_lines(ROWS).replace(b"\n", b"\r\n")),
        ("a.json", b"\n" + as_json_lines(ROWS).replace(b"\n", b"\n\n  \n").rstrip()),
        ("a.jsonl", BOM + as_json_lines(ROWS)),
        ("a.csv", as_separated(ROWS, ",")),
        ("a.csv", as_separated(ROWS, ",").rstrip()),
        ("a.csv", BOM + as_separated(ROWS, ",")),
        ("a.CSV", as_separated(ROWS, ",") + b"\n\n,\n"),
        ("a.tsv", as_separated(ROWS, "\t")),
        ("a.tsv", BOM + as_separated(ROWS, "\t")),
        ("a.parquet", as_parquet(ROWS)),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, content: bytes) -> None:
    split = read(tmp_path / name, content)
    assert split.rows == ROWS
    assert split.sha256 == hashlib.sha256(content).hexdigest()


def test_a_csv_from_windows_loses_nothing(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", b'text,label\r\n"one\r\ntwo",a\r\nthree,b\r\n').rows
    assert rows == [{"text": "one\r\ntwo", "label": "a"}, {"text": "three", "label": "b"}]


def test_columns_are_renamed_and_may_be_swapped(tmp_path: Path) -> None:
    content = as_json_lines([{"utterance": "hello", "intent": "a", "label": "old"}])
    assert read(tmp_path / "a.jsonl", content, {"text": "utterance", "label": "intent"}).rows[0]["label"] == "a"
    swapped = read(tmp_path / "a.jsonl", as_json_lines(ROWS[:1]), {"text": "label", "label": "text"})
    assert swapped.rows == [{"text": "a", "label": 'hello, "you"'}]


def test_a_column_that_the_recipe_names_and_the_file_lacks_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"line 1: no column 'intent', which .* names as label; here are: text, label"
    ):
        read(tmp_path / "a.jsonl", as_json_lines(ROWS[:1]), {"label": "intent"})


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.jsonl", b'{"text": "x", "label": "a"}\n{"text": "x",\n', "line 2: not JSON: "),
        (
            "a.jsonl",
            b'{"text": "x", "label": "a"}\n\n{"text": "\xff"}\n',
            "line 3: not UTF-8 at byte 11 of the line",
        ),
        ("a.jsonl", b'["x", "a"]\n', "line 1: not a JSON object"),
        ("a.jsonl", b'{"text": "x"}\n', "line 1: no column 'label'; here are: text; name it: [data.columns]"),
        ("a.jsonl", b'{"text": "", "label": "a"}\n', "line 1: text is empty"),
        ("a.jsonl", b'{"text": " \\n", "label": "a"}\n', "line 1: text is empty"),
        ("a.jsonl", b'{"text": 3, "label": "a"}\n', "line 1: text is int, not text"),
        ("a.jsonl", b"[" * 100_000 + b"\n", "line 1: not JSON"),
        ("a.jsonl", b'{"text": "x", "label": ' + b"1" * 5000 + b"}\n", "line 1: not JSON"),
        ("a.csv", b"text;label\nx;a\n", "line 2: no column 'text'; here are: text;label"),
        ("a.csv", b"text,label\nx,a\ny,b,c\n", "line 3: not as many fields as the header has (2)"),
        ("a.csv", b"text,label\nx,a\ny\n", "line 3: not as many fields as the header has (2)"),
        ("a.csv", b'text,label\n"one\ntwo",a\ny, \n', "line 4: label is empty"),
        ("a.csv", b"text,label\nx,a\n\xff,b\n", "line 3: not UTF-8 at byte 1 of the line"),
        ("a.csv", b"text,label\nx\ry,a\n", "line 2: "),
        ("a.csv", b'text,label\nx,"a\ny,b\nz,a\n', "line 2: "),
        ("a.parquet", as_parquet([{"text": "x", "label": "a"}, {"text": None, "label": "b"}]), "row 2: text is "),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    path = tmp_path / name
    found = faults(path, content)
    assert len(found) == 1
    assert found[0].startswith(f"{path}: {fault}")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv"])
@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str, content: bytes) -> None:
    assert faults(tmp_path / name, content) == [f"{tmp_path / name}: has no rows"]


def test_a_csv_with_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    assert faults(tmp_path / "a.csv", b"text,label\n") == [f"{tmp_path / 'a.csv'}: has no rows"]


def test_a_csv_whose_lines_end_as_on_an_old_mac_is_no_bug_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert faults(path, b"text,label\rx,a\ry,b\r")[0].startswith(f"{path}: line 1: ")


@pytest.mark.parametrize("cut", ["empty", "end", "page"])
def test_a_damaged_parquet_file_is_told(tmp_path: Path, cut: str) -> None:
    whole = as_parquet(ROWS * 20)
    damaged = {"empty": b"", "end": whole[:-20], "page": whole[:4] + b"\xff" * 40 + whole[44:]}[cut]
    (fault,) = faults(tmp_path / "a.parquet", damaged)
    assert fault.startswith(f"{tmp_path / 'a.parquet'}: not Parquet")


def test_at_most_ten_faults_of_a_file_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    found = faults(path, as_json_lines([*ROWS, *({"text": "", "label": "a"} for _ in range(25))]))
    assert len(found) == 11
    assert found[9] == f"{path}: line 13: text is empty"
    assert "more" in found[10]
    assert len(faults(path, as_json_lines([{"text": "", "label": "a"}] * 3))) == 3


@pytest.mark.parametrize(
    ("name", "reason"), [("absent.csv", "no such file"), ("", "is a folder"), ("a.csv/b.csv", "a.csv/b.csv: ")]
)
def test_a_path_that_is_no_file_is_told(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "a.csv").touch()
    with pytest.raises(InputError, match=reason):
        data.read(tmp_path / name, {}, task.fault)


def test_an_unknown_kind_of_file_is_told_with_the_known_ones(tmp_path: Path) -> None:
    assert ".xlsx'; known: .jsonl, .csv, .tsv, .parquet" in faults(tmp_path / "a.xlsx", b"PK")[0]


def some_rows(count: int) -> Split:
    labels = random.Random(0).choices(["often", "seldom", "rare"], [80, 15, 5], k=count)
    return Split([{"text": f"row {i}", "label": label} for i, label in enumerate(labels)], "0" * 64, "train.jsonl")


def held_out(split: Split) -> set[str]:
    return {row["text"] for row in data.hold_out(split, task.group)[1].rows}


def test_the_held_out_tenth_has_a_tenth_of_every_label() -> None:
    split = some_rows(1000)
    rest, dev = data.hold_out(split, task.group)
    assert len(rest.rows) + len(dev.rows) == 1000
    assert sorted(row["text"] for row in rest.rows + dev.rows) == sorted(row["text"] for row in split.rows)
    for label in ("often", "seldom", "rare"):
        all_of, taken = (sum(row["label"] == label for row in rows) for rows in (split.rows, dev.rows))
        assert abs(taken - all_of / 10) <= 0.5


def test_what_is_held_out_does_not_depend_on_the_order_of_the_file() -> None:
    split = some_rows(500)
    shuffled = random.Random(1).sample(split.rows, len(split.rows))
    assert held_out(Split(shuffled, split.sha256, split.where)) == held_out(split)


def test_a_row_more_moves_few_others_in_or_out() -> None:
    split = some_rows(500)
    more = Split([{"text": "one more", "label": "often"}, *split.rows], split.sha256, split.where)
    assert len(held_out(split) ^ held_out(more)) <= 2


def test_rows_with_a_date_can_be_held_out(tmp_path: Path) -> None:
    when = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    rows: list[dict[str, Any]] = [{"text": f"row {i}", "label": "a", "when": when} for i in range(20)]
    rest, dev = data.hold_out(read(tmp_path / "a.parquet", as_parquet(rows)), task.group)
    assert (len(rest.rows), len(dev.rows)) == (18, 2)


def test_a_train_file_of_one_row_is_the_users_mistake(project: Path, tmp_path: Path) -> None:
    project.write_text(project.read_text().replace('dev = "dev.jsonl"\n', "", 1))
    toy.write_rows(project.parent / "train.jsonl", toy.rows(1, 1))
    with pytest.raises(InputError, match=r"data\.train"):
        planning.plan(recipes.load(project), None, tmp_path / "store")


@pytest.mark.parametrize("value", ["hub:owner", "hub:owner/name", "hub:owner/na me/file.csv", "hub:///", "hub:"])
def test_an_ill_formed_hub_name_is_told(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError) as caught:
        data.locate(value, tmp_path, None)
    assert value in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_no_fault_of_the_input(tmp_path: Path) -> None:
    with pytest.raises(SurroundingsError, match=r"hub:owner/name/file\.csv: the Hub could not be reached"):
        data.locate("hub:owner/name/file.csv", tmp_path, None)


def test_a_path_is_relative_to_the_recipe(tmp_path: Path) -> None:
    assert data.locate("rows/a.csv", tmp_path, None) == tmp_path / "rows" / "a.csv"
    assert data.locate(str(tmp_path / "b.csv"), Path("elsewhere"), None) == tmp_path / "b.csv"
