"""Every architecture can be asked by every task: files compute what torch does, and pieces find their words."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgebert import members, opening, pipeline, planning, quiet, recipe as recipes, scoring
from edgebert.artifact import Artifact
from edgebert.formats import ExportShape
from edgebert.quantizers import Settings, onnx_dynamic
from edgebert.stages import export, load
from edgebert.tokenization import Encoder
from tests import toy
from tests.contracts.test_tasks import FINETUNE, RECIPE, TOYS, task_of

pytestmark = pytest.mark.slow
ARCHITECTURES = members.names("architectures")
LONGEST = 32


@pytest.fixture(scope="module", params=ARCHITECTURES)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The loaded toy of an architecture, with random weights."""
    room = tmp_path_factory.mktemp(request.param)
    model = toy.write_model(room / "model", architecture=request.param)
    (room / "loaded").mkdir()
    return load.run(model, request.param, room / "loaded")


def asked(name: str) -> tuple[Any, ModuleType]:
    return members.find("tasks", task_of(name)), importlib.import_module(f"tests.toys.{name}")


def with_head(source: Artifact, task: Any, rows: list[dict[str, Any]], out: Path) -> Artifact:
    """The model with a new head for the task, as fine-tuning writes it."""
    labels, decoding = task.labels(rows), task.decoding(task.Settings(), rows)
    model = task.model(source.folder, labels, decoding)
    model.save_pretrained(out)
    source.copy_tokenizer(out)
    count = sum(parameter.numel() for parameter in model.parameters())
    known = {"task": task.NAME, "labels": labels, "decoding": decoding, "max_tokens": LONGEST, "parameters": count}
    return source.model_copy(update={**known, "folder": out}).write()


@pytest.mark.parametrize("name", TOYS)
def test_the_files_of_a_pair_answer_and_all_their_products_are_int8(
    name: str, source: Artifact, tmp_path: Path
) -> None:
    task, module = asked(name)
    member, form = members.find("architectures", source.architecture), members.find("formats", "onnx")
    rows = module.rows(24, 1)
    model = with_head(source, task, rows, tmp_path / "model")
    with quiet.into(tmp_path / "log"):  # raises where the file's outputs are not torch's
        exported = export.run(model, task, member, form, ExportShape(opset=17, ir_version=8), tmp_path / "onnx")
        onnx_dynamic.apply(exported.path, Settings(), [], tmp_path / onnx_dynamic.FILE)
    graph = form.inspect(tmp_path / onnx_dynamic.FILE)
    assert (graph.int8_matmul_share, graph.kept_float) == (1.0, [])
    shipped = exported.model_copy(update={"file": onnx_dynamic.FILE, "precision": "int8", "folder": tmp_path})
    encoder = Encoder(model.folder, LONGEST, member.INPUTS)
    questions = scoring.questions(task, encoder, rows, model.decoding)
    decode = scoring.decoder(task.NAME, model.labels, model.decoding)
    answers = scoring.answers_of(shipped.folder, shipped.entry("int8"), questions, decode, lambda: None)
    assert len(answers) == len(rows)
    assert -1 <= task.quality(rows, answers) <= 1


@pytest.mark.parametrize("name", ["token_classification", "question_answering"])
def test_words_are_found_by_the_offsets_of_unigram_pieces(name: str, tmp_path: Path) -> None:
    """What is trained is where the words are; a shifted offset would spoil both training and answers."""
    _, module = asked(name)
    for part, count, seed in (("train", 240, 1), ("dev", 81, 2), ("test", 120, 3)):
        toy.write_rows(tmp_path / f"{part}.jsonl", module.rows(count, seed))
    toy.write_model(tmp_path / "model", architecture="albert")
    longer = {"epochs": 16, "head_learning_rate": 5e-3}
    settings = "\n".join(f"{key} = {value}" for key, value in {**FINETUNE, **longer}.items())
    targets = json.dumps(["raspberry-pi-5"])
    recipe = tmp_path / "toy.toml"
    recipe.write_text(
        RECIPE.format(task=task_of(name), targets=targets, finetune=settings, more=getattr(module, "RECIPE", "")),
        encoding="utf-8",
    )
    plan = planning.plan(recipes.load(recipe), None, tmp_path / ".store")
    [outcome] = pipeline.run(plan, tmp_path / "out", pipeline.Unwatched()).values()
    assert outcome.verdict.passed
    [file] = opening.read_manifest(outcome.folder).models
    assert file.scores[0].shipped is not None and file.scores[0].shipped.value >= module.FLOOR
