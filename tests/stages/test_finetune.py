"""finetune: a source learns the task, or is taken as it is where it was trained already."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import edgebert
from edgebert import artifact, data, members, scoring
from edgebert.artifact import Artifact
from edgebert.data import Split, Splits
from edgebert.errors import InputError
from edgebert.recipe import Finetune
from edgebert.stages import finetune, load
from edgebert.tokenization import Encoder
from tests import toy

TASK = members.find("tasks", "text-classification")
BERT = members.find("architectures", "bert")
QUICK = Finetune(epochs=2, batch=16, learning_rate=5e-3, max_tokens=32)
LEARNS = QUICK.model_copy(update={"epochs": 20, "learning_rate": 2e-3})


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small is trained many times faster by one thread, the more so beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, toy_model: Path) -> Artifact:
    """The toy model as load gives it."""
    return load.run(toy_model, "bert", tmp_path_factory.mktemp("loaded"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, source: Artifact) -> Artifact:
    """The toy model after training."""
    return train(source, tmp_path_factory.mktemp("trained"), LEARNS)


def split(rows: list[Any]) -> Split:
    return Split(rows, hashlib.sha256(json.dumps(rows).encode()).hexdigest(), "rows")


def splits(
    train: list[Any] | None = None, dev: list[Any] | None = None, outside: list[Any] | None = None
) -> Splits:
    named = {"train": split(outside)} if outside else {}
    return Splits(split(train or toy.rows(240, 1)), split(dev or toy.rows(60, 2)), split(toy.rows(60, 3)), named)


def train(
    source: Artifact, out: Path, settings: Finetune | None, over: Splits | None = None, seed: int = 1
) -> Artifact:
    out.mkdir(exist_ok=True)
    room = out.with_name(f"{out.name}.room")
    return finetune.run(source, TASK, BERT, over or splits(), {}, settings, seed, room, out, lambda *_: None, 64)


def answers(trained: Artifact, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    model = TASK.model(trained.folder, None, {}).eval()
    encoder = Encoder(trained.folder, trained.max_tokens, BERT.INPUTS)
    asked = scoring.questions(TASK, encoder, rows, {})
    decode = scoring.decoder(TASK.NAME, trained.labels, {})
    return scoring.teacher_answers(model, TASK, BERT, asked, decode, lambda: None)


def accuracy(trained: Artifact, rows: list[dict[str, str]]) -> float:
    return float(TASK.quality(rows, answers(trained, rows)))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_task_is_learned_and_its_labels_are_kept(trained: Artifact) -> None:
    rows = toy.rows(90, 9)
    assert accuracy(trained, rows) > 0.9
    assert trained.labels == ["rain", "snow", "sun"]
    config = json.loads((trained.folder / "config.json").read_text())
    assert config["id2label"] == {"0": "rain", "1": "snow", "2": "sun"}
    assert (trained.task, trained.max_tokens) == ("text-classification", 32)
    assert artifact.read(trained.folder) == trained


def test_transformers_cuts_where_the_model_was_trained_to(trained: Artifact) -> None:
    config = json.loads((trained.folder / "tokenizer_config.json").read_text())
    assert config["model_max_length"] == 32


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(source: Artifact, tmp_path: Path) -> None:
    first, same, other = (
        files(train(source, tmp_path / str(i), QUICK, seed=seed).folder) for i, seed in enumerate((1, 1, 2))
    )
    assert same == first
    assert other["model.safetensors"] != first["model.safetensors"]


@pytest.mark.slow
def test_the_best_epoch_on_dev_is_kept(source: Artifact, tmp_path: Path) -> None:
    """Training that goes wrong after its first steps must not end with its last weights."""
    wrong = [
        {**row, "label": {"sun": "rain", "rain": "snow", "snow": "sun"}[row["label"]]} for row in toy.rows(60, 2)
    ]
    many = train(source, tmp_path / "many", LEARNS, splits(dev=wrong))
    last = train(source, tmp_path / "last", LEARNS)
    assert accuracy(last, wrong) < 0.1
    assert accuracy(many, wrong) > accuracy(last, wrong)


def test_rows_that_no_label_fits_lower_certainty(source: Artifact, trained: Artifact, tmp_path: Path) -> None:
    exposed = train(source, tmp_path / "exposed", LEARNS, splits(outside=toy.outside(60, 5)))
    strange, known = toy.outside(40, 6), toy.rows(90, 9)
    before, after = (scoring.certainty(answers(one, strange)) for one in (trained, exposed))
    assert after.mean() < before.mean() - 0.1
    inside = scoring.certainty(answers(exposed, known))
    assert scoring.auroc(inside, after) > 0.95
    assert accuracy(exposed, known) > 0.9


def test_frozen_embeddings_do_not_move(source: Artifact, tmp_path: Path) -> None:
    frozen = train(source, tmp_path / "frozen", QUICK.model_copy(update={"freeze_embeddings": True}))
    before, after = (load_file(one.folder / "model.safetensors") for one in (source, frozen))
    moved = {name: not torch.equal(tensor, after[f"bert.{name}"]) for name, tensor in before.items()}
    assert not any(change for name, change in moved.items() if name.startswith("embeddings."))
    assert any(change for name, change in moved.items() if name.startswith("encoder."))


def test_a_source_already_trained_is_taken_as_it_is(trained: Artifact, tmp_path: Path) -> None:
    (tmp_path / "loaded").mkdir()
    again = load.run(trained.folder, "bert", tmp_path / "loaded")
    taken = train(again, tmp_path / "taken", None)
    before, after = (load_file(one.folder / "model.safetensors") for one in (trained, taken))
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert (taken.labels, taken.max_tokens) == (trained.labels, 64)  # all the toy has positions for


def test_a_source_without_a_trained_head_is_refused(source: Artifact, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no trained head \('classifier\.\w+' is missing\).*\[finetune\]; add one"
    ):
        train(source, tmp_path / "out", None)


def test_a_trained_source_with_names_of_older_releases_is_taken(trained: Artifact, tmp_path: Path) -> None:
    """The models of Google and of transformers before 2020 call a norm's weight gamma and its bias beta."""
    tensors = load_file(trained.folder / "model.safetensors")
    older = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, old in older.items():
        tensors = {name.replace(new, old): tensor for name, tensor in tensors.items()}
    folder = shutil.copytree(trained.folder, tmp_path / "older")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    taken = train(trained.model_copy(update={"folder": folder}), tmp_path / "taken", None)
    rows = toy.rows(30, 9)
    assert answers(taken, rows) == answers(trained, rows)


def test_a_trained_source_that_does_not_know_the_datas_labels_is_refused(
    trained: Artifact, tmp_path: Path
) -> None:
    strange = [*toy.rows(30, 2), {"text": "the day", "label": "fog"}]
    with pytest.raises(InputError, match=r"does not know the data's labels \['fog'\]; it knows .*'rain'"):
        train(trained, tmp_path / "out", None, splits(dev=strange))


def test_training_that_diverges_is_told_with_the_rate_that_did_it(source: Artifact, tmp_path: Path) -> None:
    wild = QUICK.model_copy(update={"learning_rate": 0.99, "head_learning_rate": 1e30})
    told = r"training diverged: the loss is \w+ at step \d+ of 30, in the batch of row \d+ \('"
    with pytest.raises(InputError, match=told):
        train(source, tmp_path / "out", wild)


def test_progress_is_told_to_the_last_step(source: Artifact, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    room, out = tmp_path / "room", tmp_path / "out"
    out.mkdir()
    finetune.run(source, TASK, BERT, splits(), {}, QUICK, 1, room, out, lambda *step: told.append(step))
    assert told == [(i, 30) for i in range(1, 31)]  # 240 rows in batches of 16, twice


def test_dev_held_out_of_train_leaves_every_label_in_both() -> None:
    kept, dev = data.hold_out(split(toy.rows(60, 1)), TASK.group)
    assert (len(kept.rows), len(dev.rows)) == (54, 6)
    assert {row["label"] for row in dev.rows} == {row["label"] for row in kept.rows} == set(toy.WORDS)


def trained_project(folder: Path, trained: Artifact, target: str) -> Path:
    """A project whose source is trained, so that its recipe has no [finetune]; the recipe's path."""
    recipe = toy.write_project(folder / "project", trained.folder, [target])
    before, _, after = recipe.read_text(encoding="utf-8").partition("[finetune]")
    recipe.write_text(f"{before}[gates]{after.partition('[gates]')[2]}", encoding="utf-8")
    return recipe


@pytest.mark.slow
@pytest.mark.parametrize("target", ["raspberry-pi-5", "android-cpu"])
def test_a_recipe_without_finetune_builds_a_trained_source(trained: Artifact, tmp_path: Path, target: str) -> None:
    recipe = trained_project(tmp_path, trained, target)
    verdict = edgebert.build(recipe, out=tmp_path / "out")[target]
    assert verdict.passed, [check.describe() for check in verdict.checks]
    answers = edgebert.open_bundle(str(verdict.bundle)).predict(["cold ice and it is very snowy here now " * 20])
    assert (answers[0]["label"], answers[0]["truncated"]) == ("snow", True)


@pytest.mark.slow
def test_test_labels_a_trained_source_does_not_know_are_told_in_a_second_build_too(
    trained: Artifact, tmp_path: Path
) -> None:
    recipe = trained_project(tmp_path, trained, "raspberry-pi-5")
    edgebert.build(recipe, out=tmp_path / "out")
    with (recipe.parent / "test.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "the day", "label": "fog"}\n')
    with pytest.raises(InputError, match="fog"):
        edgebert.build(recipe, out=tmp_path / "out")
