"""What is wrong with a pre-training is told before anything is written: key, value, nearest known name."""

import json
from pathlib import Path

import pytest

from edgebert.errors import InputError
from edgebert.pretraining import project, recipe
from edgebert.pretraining.project import Project
from tests import toy as toys
from tests.pretraining import prose

SMALL = "num_hidden_layers=2, num_attention_heads=2, intermediate_size=64"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory, toy_model: Path) -> Path:
    """The toy's recipe, beside it a model folder `model` and `other`, one with a tokenizer of its own."""
    folder = tmp_path_factory.mktemp("project")
    path = prose.project(folder)
    (folder / "model").symlink_to(toy_model, target_is_directory=True)
    other = toys.write_model(folder / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    toys.write_model(folder / "wide", hidden=64)
    return path


def read(path: Path, *overrides: str, without: str = "") -> Project:
    """The project with overrides; `without` names a table of the toy's recipe that is left out."""
    text = path.read_text(encoding="utf-8")
    if without:
        begin = text.index(f"[{without}]")
        text = text[:begin] + text[text.index("\n[", begin) :]
    changed = path.with_name("changed.toml")
    changed.write_text(text, encoding="utf-8")
    return project.read(recipe.load(changed, list(overrides)))


def test_the_toys_recipe_is_fine(toy: Path) -> None:
    found = read(toy)
    assert found.architecture.NAME == "bert"
    assert found.train == (toy.parent / "train.txt",)
    assert (found.source, found.teacher, found.tokenizer) == (None, None, None)


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        (["train.stepps=3"], "unknown key 'train.stepps'; did you mean 'steps'?"),
        (["train.epochs=3"], "give either steps or epochs"),
        (["train.steps=1"], "train.steps = 1:"),
        (['objective.sentence="sopp"'], "objective.sentence = 'sopp'"),
        (['tokenizer.reuse="model"'], "give either train or reuse"),
        (["text.train=[]"], "text.train = []"),
        (["name=a/b"], "name = 'a/b'"),
        (['model.source="model"'], "give either source or architecture"),
        (['objective.distil.teacher="model"'], "the triple loss has no sentence objective"),
        (
            ['objective.sentence="none"', "objective.sentence_weight=5"],
            "sentence_weight weighs a sentence objective",
        ),
        (
            ['objective.sentence="none"', "objective.whole_pairs=true"],
            "whole_pairs is about a sentence objective",
        ),
    ],
)
def test_a_faulty_key_or_value_of_the_recipe_is_named(toy: Path, overrides: list[str], wanted: str) -> None:
    with pytest.raises(InputError) as told:
        recipe.load(toy, overrides)
    assert str(toy) in str(told.value)
    assert wanted in str(told.value)


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        (['text.train="trian.txt"'], ["text.train:", "trian.txt", "no such file"]),
        (['text.valid="."'], ["text.valid:", "is a directory"]),
        (['text.valid=["valid.txt", "train.txt"]'], ["text.valid:", "train.txt is training text, too"]),
        (["model.architecture=brt"], ["model: unknown architecture 'brt'", "did you mean 'bert'?"]),
        (["model.shape=bert-tinny"], ["model: unknown shape 'bert-tinny'", "did you mean 'bert-tiny'?"]),
        (["model.shape=albert-base-v2"], ["one of albert, and architecture says 'bert'"]),
        (["model.values.hiden_size=3"], ["unknown value 'hiden_size' of bert", "did you mean 'hidden_size'?"]),
        (["model.values.vocab_size=3"], ["unknown value 'vocab_size' of bert", "the tokenizer decides it"]),
        (["model.values.num_attention_heads=3"], ["model.values: no bert can be made of them", "multiple"]),
        (["train.freeze=1"], ["train.freeze = 1: only the layers of a model.source can stay as they are"]),
        (["train.tokens=500", "model.values.max_position_embeddings=64"], ["train.tokens = 500", "at most 64"]),
    ],
)
def test_what_does_not_fit_is_named(toy: Path, overrides: list[str], wanted: list[str]) -> None:
    with pytest.raises(InputError) as told:
        read(toy, *overrides)
    assert all(part in str(told.value) for part in wanted), str(told.value)
    assert len(told.value.faults) == 1, told.value.faults


@pytest.mark.parametrize(
    ("without", "overrides", "wanted"),
    [
        ("model", [], "model: says nothing of what to train; give architecture, shape or source"),
        ("tokenizer", [], "tokenizer: is missing; give train = {kind, vocabulary}, or reuse = a folder"),
        ("model", ["model.source=nowhere"], "model.source = 'nowhere': no folder at"),
        ("tokenizer", ["tokenizer.reuse=nowhere"], "tokenizer.reuse = 'nowhere': no folder at"),
        (
            "model",
            ["model.architecture=distilbert"],
            "distilbert has no head for pairs; known: albert, bert, mobile",
        ),
        ("model", ["model.source=model"], "tokenizer: is not the one of the source"),
    ],
)
def test_what_is_missing_or_does_not_go_together_is_told(
    toy: Path, without: str, overrides: list[str], wanted: str
) -> None:
    with pytest.raises(InputError) as told:
        read(toy, *overrides, without=without)
    assert wanted in str(told.value)


def test_a_source_without_a_layer_left_to_learn_is_refused(toy: Path) -> None:
    text = toy.read_text(encoding="utf-8")
    path = toy.with_name("frozen.toml")
    path.write_text(
        text[: text.index("[tokenizer]")]
        + '[model]\nsource = "model"\n\n'
        + text[text.index("[objective]") :]
        + "freeze = 9\n",
        encoding="utf-8",
    )
    with pytest.raises(
        InputError, match=r"train.freeze = 9: the source has \d different layers, and one at least"
    ):
        project.read(recipe.load(path))


def teach(toy: Path, *overrides: str) -> Project:
    """The project of a student of `model`."""
    text = toy.read_text(encoding="utf-8")
    start, end = text.index("[tokenizer]"), text.index("[train]")
    path = toy.with_name("student.toml")
    path.write_text(text[:start] + '[objective.distil]\nteacher = "model"\n' + text[end:], encoding="utf-8")
    return project.read(recipe.load(path, list(overrides)))


def test_a_student_of_a_bert_is_a_distilbert_unless_told_otherwise(toy: Path) -> None:
    assert teach(toy).architecture.NAME == "distilbert"
    assert teach(toy, "model.architecture=bert").architecture.NAME == "bert"
    assert teach(toy, "model.source=model").architecture.NAME == "bert"


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        (["objective.distil.teacher=nowhere"], "objective.distil.teacher = 'nowhere': no folder at"),
        (["model.source=other"], "model.source and objective.distil.teacher have different tokenizers"),
        (["tokenizer.reuse=other"], "tokenizer: is not the one of the teacher"),
        (["tokenizer.train={}"], "tokenizer: is not the one of the teacher"),
        (["model.source=wide"], "model.source: its hidden states have 64 numbers, the teacher's 32"),
        (["model.source=model", "objective.distil.keep=[0]"], "objective.distil.keep: the student begins at"),
        (["objective.distil.keep=[0, 7]"], "objective.distil.keep = [0, 7]: the model has no layer 7"),
        (["model.architecture=albert"], "model.architecture: 'albert' cannot begin with layers of a teacher"),
        (["model.architecture=alberto"], "unknown architecture 'alberto'; did you mean 'albert'?"),
        (["model.shape=bert-tiny"], "the student's sizes are its teacher's"),
        (["train.tokens=65"], "train.tokens = 65; this model reads at most 64"),
    ],
)
def test_a_student_that_does_not_fit_its_teacher_is_refused(toy: Path, overrides: list[str], wanted: str) -> None:
    with pytest.raises(InputError) as told:
        teach(toy, *overrides)
    assert wanted in str(told.value)


def test_several_faults_are_told_at_once(toy: Path) -> None:
    with pytest.raises(InputError) as told:
        read(toy, "text.train=nowhere.txt", "text.valid=neither.txt", "model.shape=bert-hughe")
    assert len(told.value.faults) == 3
