"""A FAQ searched by a bundle: faulty entries, matches, the cache, the verb."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgebert import faq
from edgebert.data import Row
from edgebert.errors import InputError

ENTRIES: list[Row] = [
    {"question": "How do I pay?", "answer": "By card."},
    {"question": "Where are you?", "answer": "In the old town."},
    {"text": "We are closed on Sundays.", "more": 1},
]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
EAST, NORTH, BETWEEN = [1.0, 0.0], [0.0, 1.0], [0.6, 0.8]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEBERT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def refused() -> Iterator[list[float]]:
    raise AssertionError("the vectors were there already")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"question": "q", "answer": "a"}, None),
        ({"answer": "a"}, None),
        ({"text": "t"}, None),
        ({"q": "x", "a": "y"}, "no column 'question', 'answer' or 'text'; here are: q, a"),
        ({"question": "q", "answer": " "}, "answer is empty"),
        ({"question": 3}, "question is int, not text"),
    ],
)
def test_a_faulty_entry_is_told(row: Row, fault: str | None) -> None:
    assert faq.fault(row) == fault


def test_every_fault_of_a_file_or_of_rows_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "faq.csv"
    path.write_text("question,answer\nHow?,So.\n,Then.\nWhy?,\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 3: question is empty\n.*line 4: answer is empty"):
        faq.entries(path)
    with pytest.raises(InputError, match=r"entry 2: no column 'question'"):
        faq.entries([{"question": "q"}, {"x": 1}])
    with pytest.raises(InputError, match="the FAQ has no entries"):
        faq.entries([])


def test_questions_are_read_as_texts_and_what_answers_as_passages() -> None:
    assert faq.texts(ENTRIES) == [
        (0, {"text": "How do I pay?"}),
        (0, {"text_pair": "By card."}),
        (1, {"text": "Where are you?"}),
        (1, {"text_pair": "In the old town."}),
        (2, {"text_pair": "We are closed on Sundays."}),
    ]


def test_an_entry_is_found_by_its_question_or_its_answer_and_told_with_its_texts() -> None:
    owners, vectors = [0, 0, 1, 1, 2], np.asarray([NORTH, BETWEEN, NORTH, EAST, BETWEEN], np.float32)
    found = faq.matches(ENTRIES, owners, vectors, EAST, 3, None)
    assert [(one["index"], one["score"]) for one in found] == [
        (1, pytest.approx(1.0)),
        (0, pytest.approx(0.6)),
        (2, pytest.approx(0.6)),
    ]
    assert found[0] | {"score": 1.0} == {"index": 1, **ENTRIES[1], "score": 1.0}
    assert set(found[2]) == {"index", "text", "score"}
    assert [one["index"] for one in faq.matches(ENTRIES, owners, vectors, EAST, 3, 0.7)] == [1]
    assert faq.matches(ENTRIES, owners, vectors, [-1.0, 0.0], 3, 0.7) == []


def test_vectors_are_made_once_for_a_bundle_and_the_same_texts(cache: Path) -> None:
    read = [row for _, row in faq.texts(ENTRIES)]
    first = faq.kept("bundle", read, lambda: iter([EAST] * 5))
    np.testing.assert_array_equal(faq.kept("bundle", read, refused), first)
    assert (faq.kept("another", read, lambda: iter([NORTH] * 5)) != first).any()
    changed = [*read[:4], {"text_pair": "We are open on Sundays."}]
    assert (faq.kept("bundle", changed, lambda: iter([NORTH] * 5)) != first).any()
    assert len(list((cache / "faq").iterdir())) == 3


@pytest.mark.parametrize("contents", [b"", b"not numpy", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', "])
def test_a_damaged_file_of_the_cache_is_made_again(cache: Path, contents: bytes) -> None:
    read: list[Row] = [{"text": "x"}]
    faq.kept("bundle", read, lambda: iter([EAST]))
    [path] = (cache / "faq").iterdir()
    path.write_bytes(contents)
    assert faq.kept("bundle", read, lambda: iter([EAST])).tolist() == [EAST]
    assert faq.kept("bundle", read, refused).tolist() == [EAST]


def test_a_cache_that_cannot_be_written_is_done_without(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert faq.kept("bundle", [{"text": "x"}], lambda: iter([EAST])).tolist() == [EAST]


def test_a_bundle_of_another_task_is_refused(bundle: Path, run_edgebert: Run, tmp_path: Path) -> None:
    path = tmp_path / "faq.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ENTRIES))
    done = run_edgebert("answer", bundle, path, "How do I pay?")
    assert done.returncode == 2
    assert "its task is text-classification; a FAQ needs feature-extraction" in done.stderr
    assert not done.stdout
