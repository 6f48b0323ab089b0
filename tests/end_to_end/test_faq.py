"""A bundle of vectors answers from a FAQ: by the command line and from Python, with what it ships alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import edgebert
from edgebert import pipeline, planning, recipe as recipes
from tests import toy
from tests.toys import feature_extraction as toys

pytestmark = pytest.mark.slow
Run = Callable[..., "subprocess.CompletedProcess[str]"]
RECIPE = """
name = "help"
task = "feature-extraction"
targets = ["raspberry-pi-5"]
[model]
source = "model"
[quantize]
race = false
[data]
train = "train.jsonl"
test = "test.jsonl"
[finetune]
epochs = 6
batch = 16
learning_rate = 5e-3
max_tokens = 32
[gates]
max_bytes_per_parameter = 1000
min_agreement = 0.8
max_drop = 6.0
"""
FAQ = [
    {"question": "how wet is the cloud", "answer": "rainy umbrella and puddle"},
    {"question": "is it warm", "answer": "sunny and bright light"},
    {"text": "piano and novel"},
]


@pytest.fixture(scope="module")
def helpful(tmp_path_factory: pytest.TempPathFactory, toy_model: Path) -> Path:
    """A bundle, and beside it a FAQ."""
    folder = tmp_path_factory.mktemp("help")
    toy.write_rows(folder / "train.jsonl", toys.rows(240, 1))
    toy.write_rows(folder / "test.jsonl", toys.rows(60, 2))
    (folder / "model").symlink_to(toy_model, target_is_directory=True)
    (folder / "help.toml").write_text(RECIPE, encoding="utf-8")
    plan = planning.plan(recipes.load(folder / "help.toml"), None, folder / ".store")
    found = pipeline.run(plan, folder / "out", pipeline.Unwatched())["raspberry-pi-5"]
    assert found.verdict.passed
    (found.folder.parent / "faq.jsonl").write_text("".join(json.dumps(row) + "\n" for row in FAQ))
    return found.folder


def test_the_entry_that_names_the_same_comes_first(helpful: Path, run_edgebert: Run, tmp_path: Path) -> None:
    faq = helpful.parent / "faq.jsonl"
    arguments = ("answer", helpful, faq, "a sunny light", "a novel piano", "--top", "2", "--json")
    done = run_edgebert(*arguments, EDGEBERT_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["bundle"] == "help"
    assert [one["question"] for one in found["answers"]] == ["a sunny light", "a novel piano"]
    first, second = (one["matches"] for one in found["answers"])
    assert [len(first), len(second)] == [2, 2]
    assert first[0]["index"] == 1 and first[0]["answer"] == FAQ[1]["answer"]
    assert second[0]["index"] == 2 and second[0]["text"] == FAQ[2]["text"]
    assert first[0]["score"] > first[1]["score"]
    assert len(list((tmp_path / "faq").iterdir())) == 1
    again = run_edgebert(*arguments, EDGEBERT_CACHE=str(tmp_path))
    assert json.loads(again.stdout) == found


def test_python_finds_the_same_and_tells_nothing_where_nothing_fits(
    helpful: Path, run_edgebert: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBERT_CACHE", str(tmp_path))
    bundle, heard = edgebert.open_bundle(helpful), []
    found = bundle.answer(FAQ, ["a sunny light"], tell=lambda done, total: heard.append((done, total)))
    assert found[0]["matches"][0]["index"] == 1
    assert heard == [(i, 5) for i in range(1, 6)]
    assert bundle.answer(FAQ, "a sunny light", min_score=1.0) == [
        {"question": "a sunny light", "matches": [], "truncated": False}
    ]
    faq = helpful.parent / "faq.jsonl"
    done = run_edgebert("answer", helpful, faq, "snowy", "--min-score", "1", EDGEBERT_CACHE=str(tmp_path))
    assert done.returncode == 0 and "nothing fits" in done.stdout


def test_a_faulty_question_is_told_before_the_faq_is_read(
    helpful: Path, run_edgebert: Run, tmp_path: Path
) -> None:
    faq = helpful.parent / "faq.jsonl"
    done = run_edgebert("answer", helpful, faq, "a day", " ", EDGEBERT_CACHE=str(tmp_path))
    assert done.returncode == 2 and "question 2: text is empty" in done.stderr
    assert not (tmp_path / "faq").exists()
