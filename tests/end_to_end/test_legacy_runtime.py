"""TensorFlow Lite Runtime 2.14 itself: what it gets wrong without a word, and what the target ships instead."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgebert import (
    artifact,
    environments,
    members,
    opening,
    pipeline,
    planning,
    quiet,
    recipe as recipes,
    rescoring,
    scoring,
    target,
    validation,
)
from edgebert.artifact import Artifact
from edgebert.device import bundle as bundles
from edgebert.errors import SurroundingsError
from edgebert.formats import ExportShape
from edgebert.interpreters import OURS, Python
from edgebert.quantizers import Settings
from edgebert.steps import Outcome
from edgebert.tokenization import Encoder, Feeds
from tests import toy
from tests.conftest import Built

pytestmark = pytest.mark.slow
NAME = "tflite-runtime-2.14"
RIGHT = ["litert_fp32", "litert_fp16", "litert_weight_only"]
Logits = NDArray[np.float32]


@pytest.fixture(scope="module")
def legacy() -> Path:
    """Python with tflite-runtime 2.14."""
    try:
        return environments.python_of(NAME)
    except SurroundingsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def rows(built: Built) -> list[Feeds]:
    trained = artifact.read(next((built.out / ".store").glob("finetune-*")))
    encoder = Encoder(trained.folder, trained.max_tokens, members.find("architectures", "bert").INPUTS)
    return [encoder.encode(row["text"]).feeds for row in toy.rows(60, 9)]


@pytest.fixture(scope="module")
def trained(built: Built) -> Artifact:
    """The trained toy, fp32, as exported for android-cpu."""
    found = [artifact.read(folder) for folder in (built.out / ".store").glob("export-*")]
    [one] = [one for one in found if one.form == "tflite"]
    return one


@pytest.fixture(scope="module")
def wider(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A BERT of random weights with layers of a real model's width, and a head that tells its rows apart."""
    import torch
    from transformers import BertForSequenceClassification

    folder = tmp_path_factory.mktemp("wider")
    toy.write_model(folder / "model", hidden=256)
    torch.manual_seed(1)
    model = BertForSequenceClassification.from_pretrained(folder / "model", num_labels=8).eval()
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    shape = ExportShape(opset=None, ir_version=None, batch=1, buckets=[16], dtype="int32")
    form = members.find("formats", "tflite")
    with quiet.into(folder / "log"):
        signature = form.export(toy.exportable(model), shape, folder / form.FILE)
    return Artifact(
        form="tflite", architecture="bert", file=form.FILE, buckets=[16], signature=signature, folder=folder
    )


def logits(source: Artifact, quantizer: str, python: Python, rows: list[Feeds], room: Path) -> Logits:
    """What a quantizer's file of `source` answers in one Python or the other."""
    member = members.find("quantizers", quantizer)
    with quiet.into(room / "log"):
        member.apply(source.path, Settings(), [], room / member.FILE)
    entry = source.model_copy(update={"file": member.FILE}).entry("any", {}, "tflite-runtime")
    found: Logits = toy.logits_of(scoring.outputs_of(room, entry, rows, python=python))
    return found


def fp32(source: Artifact, rows: list[Feeds]) -> Logits:
    """What the fp32 file answers in LiteRT."""
    found: Logits = toy.logits_of(scoring.outputs_of(source.folder, source.entry("fp32"), rows))
    return found


def distance(found: Logits, expected: Logits) -> float:
    """The difference's norm over that of the expected logits: 0 equal, 1 as far off as answering nothing."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def agreement(found: Logits, expected: Logits) -> float:
    return float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())


@pytest.mark.parametrize("model", ["trained", "wider"])
def test_dynamic_int8_is_grossly_wrong_there_and_no_error_tells_so(
    model: str, legacy: Path, rows: list[Feeds], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source: Artifact = request.getfixturevalue(model)
    expected = fp32(source, rows)
    here = logits(source, "litert_dynamic", OURS, rows, tmp_path)
    there = logits(source, "litert_dynamic", Python(NAME), rows, tmp_path)
    assert distance(here, expected) < 0.1
    assert agreement(here, expected) >= 0.9
    assert distance(there, expected) > 0.5
    assert agreement(there, expected) < 0.7


@pytest.mark.parametrize("quantizer", RIGHT)
@pytest.mark.parametrize("model", ["trained", "wider"])
def test_the_files_that_ship_are_right_there(
    model: str, quantizer: str, legacy: Path, rows: list[Feeds], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source: Artifact = request.getfixturevalue(model)
    expected, found = fp32(source, rows), logits(source, quantizer, Python(NAME), rows, tmp_path)
    most = {"litert_fp32": 1e-4, "litert_fp16": 5e-3, "litert_weight_only": 0.05}[quantizer]
    assert distance(found, expected) < most
    assert agreement(found, expected) >= 0.95


def test_a_file_whose_weights_outweigh_its_graph_has_the_size_of_its_type(
    wider: Artifact, rows: list[Feeds], tmp_path: Path
) -> None:
    for name, share in (("litert_weight_only", 0.30), ("litert_fp16", 0.55), ("litert_fp32", 1.0)):
        logits(wider, name, OURS, rows[:1], tmp_path)
        size = (tmp_path / members.find("quantizers", name).FILE).stat().st_size
        assert size <= share * wider.path.stat().st_size


@pytest.fixture(scope="module")
def outcome(legacy: Path, toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("legacy")
    recipe = toy.write_project(folder / "project", toy_model, [NAME])
    plan = planning.plan(recipes.load(recipe), None, folder / "out" / ".store")
    return pipeline.run(plan, folder / "out", pipeline.Unwatched())[NAME]


def test_the_target_names_files_that_are_right_and_refuses_the_one_that_is_not() -> None:
    profile = target.load(NAME)
    assert sorted(profile.quantizer) == sorted(RIGHT)
    assert set(profile.refuse) == {"litert_dynamic"}


def test_every_figure_of_the_bundle_was_taken_in_that_runtime(outcome: Outcome) -> None:
    manifest = outcome.manifest
    assert outcome.verdict.passed
    assert manifest.provenance.versions["tflite-runtime"] == "2.14.0"
    assert [file.id for file in manifest.models] == ["int8_weights", "fp16", "fp32"]
    assert {file.runtime for file in manifest.models} == {"tflite-runtime"}
    assert {one.scope for one in manifest.latency} == {"model"}  # no tokenizer runs beside it
    assert {(one.model, one.which) for one in manifest.latency} == {
        (file.id, which) for file in manifest.models for which in ("shipped", "reference")
    }
    assert len(manifest.speedup) == len(manifest.models)
    assert manifest.peak_memory_mb
    assert not [check for check in manifest.checks if check.name == "int8_matmul_share"]
    replayed = [check for check in manifest.checks if check.name == "golden_max_abs_diff"]
    assert len(replayed) == 3 and all(check.status == "pass" for check in replayed)


@pytest.mark.parametrize("model", ["int8_weights", "fp16", "fp32"])
def test_the_bundle_tests_itself_there(model: str, legacy: Path, outcome: Outcome, tmp_path: Path) -> None:
    command = [str(legacy), "-I", str(outcome.folder), "--model", model]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["passed"]
    assert verdict["runtime"] == {"name": "tflite-runtime", "version": "2.14.0"}
    assert verdict["digest"] == opening.digest(outcome.folder)
    assert verdict["rows"] == len(bundles.golden(str(outcome.folder))) >= 64
    assert verdict["agreement"] == 1.0


def test_where_that_runtime_is_not_it_answers_in_litert_and_says_so(outcome: Outcome, tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(outcome.folder)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runtime"]["name"] == "litert"
    [answer] = opening.open_bundle(outcome.folder).predict(["a very wet day"])
    assert answer["label"] == "rain"


def test_verify_scores_it_there_on_rows_of_the_users_own(
    outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy.write_rows(tmp_path / "own.jsonl", toy.rows(30, 12))
    found = rescoring.verify(outcome.folder, data)
    assert found["runtime"] == {"name": "tflite-runtime", "version": "2.14.0"}
    assert found["scores"][0]["shipped"]["value"] > 0.8
    assert found["speedup"] is not None
    assert found["not_measured"] == {}
    monkeypatch.setenv("EDGEBERT_CACHE", str(tmp_path))
    with pytest.raises(SurroundingsError, match=rf"edgebert doctor --install {NAME}$"):
        rescoring.verify(outcome.folder, data)


def test_validate_runs_it_there_beside_its_reference(outcome: Outcome) -> None:
    found, _ = validation.run(validation.Request(outcome.folder, "local", sustained_s=0))
    assert found.passed
    assert found.runtime == {"name": "tflite-runtime", "version": "2.14.0"}
    assert found.speedup is not None


def test_its_readme_installs_that_runtime(outcome: Outcome) -> None:
    page = (outcome.folder / "README.md").read_text(encoding="utf-8")
    assert "pip install 'numpy<2' 'tflite-runtime>=2.14,<2.15'" in page
