"""What is wrong with `[distil]` is told before a step runs: names, layers, labels, tokenizers, files."""

import json
import re
import shutil
from pathlib import Path

import pytest

from edgebert import planning, recipe as recipes
from edgebert.errors import InputError
from tests import toy


def faults(recipe: Path, *overrides: str) -> str:
    with pytest.raises(InputError) as told:
        planning.plan(recipes.load(recipe, list(overrides)), None, recipe.parent / "store")
    return str(told.value)


def test_a_sound_one_is_planned_with_nothing_left_open(project: Path) -> None:
    plan = planning.plan(recipes.load(project, ["distil.student.layers=1"]), None, project.parent / "store")
    stages = [step.stage for step in plan.steps()]
    assert stages == ["load", "finetune", "teach", "distil", "export", "quantize", "verify", "bundle"]
    assert plan.distil is not None
    open_ends = {"layer_map", "freeze_embeddings"} & {k for k, v in plan.distil.model_dump().items() if v is None}
    assert not open_ends and plan.distil.loss.hidden == 1


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("distil.epoch=3", "unknown key 'distil.epoch'; did you mean 'epochs'?"),
        ("distil.student.layer=3", "unknown key 'distil.student.layer'; did you mean 'layers'?"),
        ("distil.temperature=0", "distil.temperature = 0"),
        ("distil.student={layers=1, keep=[0]}", "must be one of {layers = 3}"),
        ("distil.student={keep=[0, 2]}", "no layer 2; its layers are 0 to 1"),
        ("distil.student={layers=3}", "the teacher has only 2 layers to cut it from"),
        ("distil.student={shape='bert-tinny'}", "unknown shape 'bert-tinny'; did you mean 'bert-tiny'?"),
        ("distil={student={layers=1}, layer_map=[[1, 0]]}", "the student has no layer 1; its layers are 0 to 0"),
        ("distil={student={layers=1}, teachers=['nowhere']}", "distil.teachers = 'nowhere': no folder at"),
        ("distil.student={source='nowhere'}", "distil.student.source = 'nowhere': no folder at"),
        ("distil={student={layers=1}, unlabelled='no.txt'}", "distil.unlabelled: "),
        (
            "distil={student={layers=1}, augment={model='nowhere'}}",
            "distil.augment.model = 'nowhere': no folder at",
        ),
        ("distil={student={layers=1}, augment={model='model'}}", "a BertModel, no masked-language model"),
    ],
)
def test_one_message_names_key_and_value(project: Path, override: str, told: str) -> None:
    assert told in faults(project, override)


def other_model(project: Path, name: str) -> Path:
    """A copy of the project's model, to be changed."""
    return shutil.copytree(project.parent / "model", project.parent / name)


def test_a_teacher_with_another_tokenizer_is_refused(project: Path) -> None:
    folder = other_model(project, "other")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["brandnew"] = len(tokenizer["model"]["vocab"])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    for override in ("distil.teachers=['other']", "distil.student={source='other'}"):
        told = faults(project, "distil.epochs=1", override)
        assert re.search(r"= 'other': its tokenizer is not that of model\.source: \d+ pieces instead of \d+", told)


def test_a_teacher_that_cuts_text_otherwise_is_refused(project: Path) -> None:
    folder = other_model(project, "other")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    told = faults(project, "distil.student={layers=1}", "distil.teachers='other'")
    assert "its tokenizer is not that of model.source: another normalizer" in told


def test_a_teacher_of_other_labels_is_refused(project: Path) -> None:
    folder = other_model(project, "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "id2label": {"0": "yes", "1": "no"}}))
    told = faults(project, "distil.student={layers=1}", "distil.teachers='other'")
    assert (
        "'other' was trained on the labels ['yes', 'no'], this recipe's model on ['rain', 'snow', 'sun']" in told
    )


def test_a_teacher_that_reads_less_is_refused(project: Path) -> None:
    folder = other_model(project, "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 16}))
    told = faults(project, "distil.student={layers=1}", "distil.teachers='other'")
    assert "'other' reads at most 16 tokens, this recipe's model 32; set finetune.max_tokens = 16" in told


def test_all_faults_are_told_at_once(project: Path) -> None:
    told = faults(project, "distil={student={keep=[7]}, teachers=['nowhere'], unlabelled='no.txt'}")
    assert all(part in told for part in ("no layer 7", "distil.teachers = 'nowhere'", "distil.unlabelled"))


def test_text_that_is_no_text_is_refused(project: Path) -> None:
    (project.parent / "more.txt").write_bytes(b"fine\n\xff\n")
    assert "not UTF-8 at byte 6" in faults(project, "distil={student={layers=1}, unlabelled='more.txt'}")
    (project.parent / "more.txt").write_text("\n \n")
    assert "has no lines" in faults(project, "distil={student={layers=1}, unlabelled='more.txt'}")
    toy.write_rows(project.parent / "more.jsonl", [{"txt": "it is cold"}])
    assert "no column 'text'" in faults(project, "distil={student={layers=1}, unlabelled='more.jsonl'}")


def test_a_text_alone_is_no_row_of_a_task_that_asks_about_texts(project: Path) -> None:
    row = {"question": "where?", "context": "it is here", "answers": {"text": ["here"], "answer_start": [6]}}
    for name in ("train", "dev", "test"):
        toy.write_rows(project.parent / f"{name}.jsonl", [row] * 3)
    recipe = project.read_text(encoding="utf-8")
    scope = recipe[recipe.index("[data.out_of_scope]") : recipe.index("[finetune]")]
    project.write_text(recipe.replace(scope, "").replace("text-classification", "question-answering"))
    (project.parent / "more.txt").write_text("it is cold\n")
    told = faults(project, "distil={student={layers=1}, unlabelled='more.txt'}")
    assert "a text alone is no row of the task 'question-answering'; give rows (.jsonl) with the columns" in told
