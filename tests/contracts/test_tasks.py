"""Every task takes its toy through the same life: built for two formats, asked, scored, self-tested."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgebert import (
    artifact,
    members,
    opening,
    pipeline,
    planning,
    recipe as recipes,
    rescoring,
    scoring,
    validation,
)
from edgebert.device import bundle as bundles
from edgebert.scoring import Question, decoder
from edgebert.steps import Outcome
from edgebert.tasks import Task
from tests import toy
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
TARGETS = ["raspberry-pi-5", "android-cpu"]
TOYS = sorted(path.stem for path in (ROOT / "tests" / "toys").glob("*.py") if path.stem != "__init__")
SAME = 1e-3  # of fp32 figures in both formats
RECIPE = """
name = "toy"
task = "{task}"
targets = {targets}
seed = 1

[model]
source = "model"

[quantize]
race = false

[data]
train = "train.jsonl"
dev = "dev.jsonl"
test = "test.jsonl"

[finetune]
{finetune}

[gates]
max_bytes_per_parameter = 1000
min_agreement = 0.8
max_drop = 6.0
{more}
"""
# Runs a bundle where the libraries of a build machine are not to be had.
BARE = """
import runpy, site, sys
site.main()
for name in ("tokenizers", "transformers", "torch", "edgebert", "pydantic"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
FINETUNE = {"epochs": 6, "batch": 16, "learning_rate": 5e-3, "max_tokens": 32}


@dataclass(frozen=True)
class Life:
    """A task, its toy, and what was built of it."""

    task: Task
    toy: ModuleType
    folder: Path
    outcomes: dict[str, Outcome]


@pytest.fixture(scope="module", params=TOYS)
def life(request: pytest.FixtureRequest, toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    name: str = request.param
    module = importlib.import_module(f"tests.toys.{name}")
    kind = task_of(name)
    folder = tmp_path_factory.mktemp(name)
    for part, count, seed in (("train", 240, 1), ("dev", 81, 2), ("test", 120, 3)):
        toy.write_rows(folder / f"{part}.jsonl", module.rows(count, seed))
    (folder / "model").symlink_to(toy_model, target_is_directory=True)
    finetune = FINETUNE | getattr(module, "FINETUNE", {})
    recipe = folder / "toy.toml"
    recipe.write_text(
        RECIPE.format(
            task=kind,
            targets=json.dumps(TARGETS),
            finetune="\n".join(f"{key} = {value}" for key, value in finetune.items()),
            more=getattr(module, "RECIPE", ""),
        ),
        encoding="utf-8",
    )
    out = folder / "out"
    plan = planning.plan(recipes.load(recipe), None, out / ".store")
    task: Any = members.find("tasks", kind)
    return Life(task, module, folder, pipeline.run(plan, out, pipeline.Unwatched()))


def task_of(name: str) -> str:
    """The task of a toy: the one it is called like, or another that it names."""
    found: str = getattr(importlib.import_module(f"tests.toys.{name}"), "TASK", members.public("tasks", name))
    return found


def bundles_of(life: Life) -> list[opening.Bundle]:
    return [opening.open_bundle(life.outcomes[target].folder) for target in TARGETS]


def test_every_task_has_a_toy() -> None:
    assert {task_of(name) for name in TOYS} == {members.public("tasks", name) for name in members.names("tasks")}


def test_every_bundle_passes_and_the_shipped_file_has_learned_the_task(life: Life) -> None:
    for outcome in life.outcomes.values():
        failed = [check.describe() for check in outcome.verdict.checks if check.status == "fail"]
        assert not failed and outcome.verdict.passed
        score = outcome.manifest.score()
        assert score.metric == getattr(life.toy, "METRIC", life.task.METRIC)
        assert score.shipped is not None and score.teacher is not None and score.agreement is not None
        assert score.shipped.value >= life.toy.FLOOR
        low, high = score.shipped.ci95
        assert low <= score.shipped.value <= high
        assert score.drop is not None
        assert score.drop.points == pytest.approx(100 * (score.teacher.value - score.shipped.value), abs=1e-6)


def test_the_fp32_file_of_both_formats_scores_as_torch_does(life: Life) -> None:
    for outcome in life.outcomes.values():
        score = outcome.manifest.score()
        assert score.reference is not None and score.teacher is not None
        assert score.reference.value == pytest.approx(score.teacher.value, abs=SAME)


def test_questions_are_answered_with_the_keys_of_the_task_whatever_the_format(life: Life) -> None:
    for bundle in bundles_of(life):
        answers = bundle.predict(life.toy.QUESTIONS)
        assert len(answers) == len(life.toy.QUESTIONS)
        assert all(set(answer) == life.toy.KEYS for answer in answers)
        assert not any(answer["truncated"] for answer in answers)
        assert json.loads(json.dumps(answers)) == answers


def test_both_formats_answer_alike(life: Life) -> None:
    rows = life.toy.rows(60, 9)
    qualities = [life.task.quality(rows, bundle.predict(rows)) for bundle in bundles_of(life)]
    assert abs(qualities[0] - qualities[1]) <= 0.08


def test_golden_rows_are_what_the_encoder_and_the_decoder_make_of_their_inputs(life: Life) -> None:
    for bundle in bundles_of(life):
        golden = bundles.golden(str(bundle.folder))
        assert len(golden) >= 64
        for line in golden[:10]:
            [window, *more] = life.task.windows(line["inputs"], bundle.encoder, bundle.manifest.decoding)
            assert not more
            assert {name: ids[0].tolist() for name, ids in window.feeds.items()} == line["ids"]
            assert json.loads(json.dumps(window.align)) == line["align"]


def test_a_bundle_tests_itself_with_what_travels_in_it(life: Life) -> None:
    for target in TARGETS:
        command = [sys.executable, str(life.outcomes[target].folder), "--runs", "1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["agreement"] == 1.0
        assert found["tokenizer"] == {"rows": len(bundles.golden(command[1])), "differ": 0}
        assert found["score"] is None or found["score"] >= life.toy.FLOOR - 0.2


def test_a_board_without_libraries_answers_as_this_machine_does(life: Life) -> None:
    for bundle in bundles_of(life):
        rows = [{"text": one} if isinstance(one, str) else dict(one) for one in life.toy.QUESTIONS]
        rows += [{k: v for k, v in row.items() if k != life.task.TRUTH} for row in life.toy.rows(12, 7)]
        rows = [life.task.fitted(row, bundle.encoder, bundle.manifest.decoding) for row in rows]
        asked = "\n".join(json.dumps(row) for row in rows)
        command = [sys.executable, "-S", "-c", BARE, str(bundle.folder), "-"]
        done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["predictions"] == bundle.predict(rows)


def test_the_readme_names_files_of_the_bundle(life: Life) -> None:
    for outcome in life.outcomes.values():
        page = (outcome.folder / "README.md").read_text(encoding="utf-8")
        named = re.findall(r"`([\w/]+\.(?:py|json|onnx|txt|tflite))`", page)
        assert "tokenizer.json" in named
        assert [name for name in named if not (outcome.folder / name).is_file()] == []


@pytest.mark.parametrize("target", TARGETS)
def test_verify_scores_the_shipped_file_on_rows_of_the_user(target: str, life: Life) -> None:
    outcome = life.outcomes[target]
    found = rescoring.verify(outcome.folder, life.folder / "test.jsonl")
    score, built = found["scores"][0], outcome.manifest.score()
    assert built.shipped is not None and built.drop is not None
    assert score["shipped"]["value"] == pytest.approx(built.shipped.value, abs=1e-9)
    assert score["drop"]["points"] == pytest.approx(built.drop.points, abs=1e-4)
    assert found["passed"]


@pytest.mark.parametrize("target", TARGETS)
def test_validate_compares_every_row_with_the_host(target: str, life: Life) -> None:
    request = validation.Request(
        folder=life.outcomes[target].folder, on="local", data=life.folder / "test.jsonl", rows=20, sustained_s=0
    )
    found, _ = validation.run(request)
    assert found.passed and found.comparison is not None
    assert found.comparison.largest == 0
    assert found.comparison.same == found.comparison.compared
    assert found.score == found.host_score


def test_an_overlong_row_is_answered_and_said_to_be_cut_or_read_in_several_windows(life: Life) -> None:
    long = life.toy.overlong()
    for bundle in bundles_of(life):
        windows = life.task.windows(long, bundle.encoder, bundle.manifest.decoding)
        [answer] = bundle.predict([long])
        assert len(windows) > 1 or answer["truncated"]


def test_what_is_decided_does_not_depend_on_padding(life: Life) -> None:
    """A TFLite file pads to its bucket: the decoder must see what it sees of ONNX's natural lengths."""
    onnx, tflite = bundles_of(life)
    [row] = life.toy.rows(1, 11)
    [window, *_] = life.task.windows(row, onnx.encoder, onnx.manifest.decoding)
    store = life.folder / "out" / ".store"
    outputs = []
    for bundle in (onnx, tflite):
        reference = artifact.read(store / f"export-{bundle.manifest.provenance.steps['export']}")
        outputs += scoring.outputs_of(reference.folder, reference.entry("fp32"), [window.feeds])
    for name in life.task.OUTPUTS:
        assert outputs[0][name].shape == outputs[1][name].shape
        np.testing.assert_allclose(outputs[0][name], outputs[1][name], atol=1e-3)
    decode = decoder(life.task.NAME, onnx.manifest.labels, onnx.manifest.decoding)
    question = Question(row, [window])
    assert set(decode(question, outputs[:1])) == set(decode(question, outputs[1:]))
