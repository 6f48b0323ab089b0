"""Texts that cannot be answered, texts that only look so, and rows that cannot be scored."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.test_recipes import Run, message


def ask_by_pipe(bundle: Path, given: bytes, *options: str) -> subprocess.CompletedProcess[str]:
    """`edgebert predict BUNDLE -` with these bytes on standard input."""
    command = [sys.executable, "-m", "edgebert", "predict", str(bundle), "-", *options]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def answers(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The answers of a `predict --json`, which prints one JSON document and nothing else."""
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert set(found) == {"bundle", "task", "predictions"}
    return list(found["predictions"])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "empty"),
        (" \t\n\u3000", "empty"),
        ("cold \udcff ice", "lone surrogate at character 5"),  # byte ff among the arguments
        ('{"text": ""}', "empty"),
        ('{"text": "  "}', "empty"),
        ('{"text": "cold \\ud800"}', "lone surrogate at character 5"),
        ('{"text": null}', "text"),
        ('{"text": 3}', "not text"),
        ('{"text": ["cold"]}', "not text"),
    ],
)
@pytest.mark.parametrize("position", [1, 3])
def test_a_text_that_cannot_be_answered_is_told_with_its_row(
    run_edgebert: Run, bundle: Path, text: str, wanted: str, position: int
) -> None:
    texts = ["a sunny day", "rain"]
    texts.insert(position - 1, text)
    said = message(run_edgebert("predict", bundle, "--json", *texts))
    assert all(part in said for part in (f"row {position}", wanted)), said


def test_every_faulty_text_is_told_at_once(run_edgebert: Run, bundle: Path) -> None:
    said = message(run_edgebert("predict", bundle, "", "a sunny day", " ", '{"text": 1}'))
    assert [line.split(":")[1].strip() for line in said.splitlines()] == ["row 1", "row 3", "row 4"]


def test_an_object_without_the_column_is_told_with_the_columns_it_has(run_edgebert: Run, bundle: Path) -> None:
    said = message(run_edgebert("predict", bundle, "a sunny day", '{"txt": "rain"}'))
    assert all(part in said for part in ("row 2", "no column 'text'", "txt")), said


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (b"", "no text"),
        (b"a sunny day\n\nrain\n", "row 2"),
        (b"a sunny day\nrain \xff\n", "row 2"),
        (b"a sunny day\n\xed\xa0\x80 rain\n", "row 2"),  # a surrogate as UTF-8 would write it
        (b'a sunny day\n{"text": "\\udfff"}\n', "row 2"),
        (b'{"text":' + b"[" * 100_000, "row 1"),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else None,
)
def test_ill_formed_standard_input_is_told_with_its_row(bundle: Path, given: bytes, wanted: str) -> None:
    said = message(ask_by_pipe(bundle, given, "--json"))
    assert wanted in said, said[:2000]


def test_lines_and_objects_are_rows_in_their_order(bundle: Path, run_edgebert: Run) -> None:
    given = 'bright sunny summer\n{"text": "wet rainy puddle", "id": 7}\r\n{"snowy"} white ice\n'
    found = answers(ask_by_pipe(bundle, given.encode(), "--json"))
    assert [answer["label"] for answer in found] == ["sun", "rain", "snow"]
    texts = ("bright sunny summer", "wet rainy puddle", '{"snowy"} white ice')
    assert found == answers(run_edgebert("predict", bundle, "--json", *texts))


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\u000b", "\u000c", "\u001c"])
def test_only_a_line_feed_ends_a_row(bundle: Path, separator: str) -> None:
    text = f"bright sunny{separator}summer"
    [plain] = answers(ask_by_pipe(bundle, f"{text}\n".encode(), "--json"))
    [row] = answers(ask_by_pipe(bundle, json.dumps({"text": text}).encode(), "--json"))
    assert plain == row


def test_an_object_may_hold_a_line_separator_as_json_allows(bundle: Path) -> None:
    given = json.dumps({"text": "bright sunny\u2028summer"}, ensure_ascii=False)
    [answer] = answers(ask_by_pipe(bundle, given.encode(), "--json"))
    assert answer["label"] == "sun"


def test_a_nul_is_text_that_the_tokenizer_leaves_out(bundle: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(bundle / "tokenizer.json"))
    with_nul, without = "sno\0wy white\0 ice", "snowy white ice"
    assert tokenizer(with_nul)["input_ids"] == tokenizer(without)["input_ids"]
    given = f"{with_nul}\n{json.dumps({'text': with_nul})}\n{without}\n"
    plain, row, expected = answers(ask_by_pipe(bundle, given.encode(), "--json"))
    assert plain == row == expected
    assert expected["label"] == "snow"


def test_a_long_text_is_answered_and_told_to_be_cut(run_edgebert: Run, bundle: Path) -> None:
    long = "snowy ice " * 10_000
    [answer] = answers(run_edgebert("predict", bundle, "--json", long))
    assert answer["truncated"] is True
    assert answer["label"] == "snow"
    shown = run_edgebert("predict", bundle, long)
    assert shown.returncode == 0
    assert "text was cut" in shown.stdout


@pytest.mark.parametrize(("words", "truncated"), [(30, False), (31, True)])
def test_a_text_is_cut_beyond_the_tokens_the_model_was_made_for(
    run_edgebert: Run, bundle: Path, words: int, truncated: bool
) -> None:
    [answer] = answers(run_edgebert("predict", bundle, "--json", " ".join(["snowy"] * words)))
    assert answer["truncated"] is truncated  # 32 tokens, [CLS] and [SEP] among them


@pytest.mark.parametrize(
    "text",
    ["\U0001f600", "e" + "\u0301" * 500, "\u200b", "\u202eyad ynnus", "雪", "[CLS] [SEP] [MASK]", "a" * 100_000],
)
def test_odd_text_is_text(run_edgebert: Run, bundle: Path, text: str) -> None:
    [answer] = answers(run_edgebert("predict", bundle, "--json", text))
    assert answer["label"] in ("rain", "snow", "sun")
    assert sum(answer["scores"].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (None, ["no such file"]),
        ('{"text": "a sunny day", "label": "sunn"}\n', ["does not know", "sunn"]),
        ('{"text": "a sunny day", "lable": "sun"}\n', ["line 1", "no column 'label'", "text, lable"]),
        ('{"text": "rain", "label": "rain"}\n{"text": " ", "label": "sun"}\n', ["line 2", "text is empty"]),
        ("\n", ["no rows"]),
    ],
)
def test_rows_that_cannot_be_scored_are_told(
    run_edgebert: Run, bundle: Path, tmp_path: Path, rows: str | None, wanted: list[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    if rows is not None:
        path.write_text(rows)
    said = message(run_edgebert("verify", bundle, "--data", path, "--json"))
    assert all(part in said for part in [str(path), *wanted]), said


def test_a_reference_that_is_no_model_is_told(run_edgebert: Run, bundle: Path, project: Path) -> None:
    done = run_edgebert("verify", bundle, "--data", project.parent / "test.jsonl", "--reference", project.parent)
    said = message(done)
    assert all(part in said for part in (f"--reference {project.parent}", "config.json")), said
