"""teach and distil: a student learns what its teacher answers, and how; several teachers, seeds, more text."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgebert import artifact, members, scoring
from edgebert.artifact import Artifact
from edgebert.data import Row, Split, Splits
from edgebert.distillation import Distil, Student, Weights
from edgebert.errors import InputError
from edgebert.learning import inner_states, students
from edgebert.learning.lessons import DevScore, Lesson, padded
from edgebert.learning.students import Blueprint
from edgebert.learning.syllabus import Syllabus
from edgebert.recipe import Finetune
from edgebert.stages import distil, finetune, load, teach
from edgebert.stages.distil import School
from edgebert.stages.teach import Wanted
from edgebert.tokenization import Encoder
from edgebert.training import loop
from edgebert.training.epochs import Epoch
from edgebert.training.taught import Taught
from tests import toy

TASK: Any = members.find("tasks", "text-classification")
BERT: Any = members.find("architectures", "bert")
TRAIN, DEV, NEW = toy.rows(240, 1), toy.rows(45, 2), toy.rows(90, 9)
QUICK = Distil(student=Student(layers=2), epochs=4, batch=16, learning_rate=3e-3)
WRONG = {"sun": "rain", "rain": "snow", "snow": "sun"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small is trained many times faster by one thread, the more so beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A toy of three layers that has learned its rows."""
    folder = tmp_path_factory.mktemp("teacher")
    for name in ("loaded", "trained"):
        (folder / name).mkdir()
    source = load.run(toy.write_model(folder / "model", layers=3), "bert", folder / "loaded")
    settings = Finetune(epochs=7, batch=16, learning_rate=5e-3, max_tokens=32)
    room, out = folder / "room", folder / "trained"
    return finetune.run(source, TASK, BERT, splits(), {}, settings, 1, room, out, lambda *_: None)


def split(rows: Sequence[Row]) -> Split:
    return Split(list(rows), hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest(), "rows")


def splits(train: Sequence[Row] = TRAIN) -> Splits:
    return Splits(split(train), split(DEV), split(toy.rows(9, 3)), {})


def syllabus(teacher: Artifact, train: Sequence[Row] = TRAIN, unlabelled: Sequence[Row] = ()) -> Syllabus:
    return Syllabus(Lesson(TASK, BERT, splits(train), teacher.labels, {}), unlabelled)


def drawn(teacher: Artifact, settings: Distil) -> tuple[Distil, Blueprint]:
    values = json.loads((teacher.folder / "config.json").read_text())
    blueprint = students.draw(settings.student, BERT, values)
    return students.settled(settings, blueprint, *students.sizes(BERT, values)), blueprint


def asked(teacher: Artifact, settings: Distil, rows: Syllabus, out: Path) -> Path:
    """What the teacher says of the rows."""
    out.mkdir(parents=True)
    layers = sorted({pair[1] for pair in settings.layer_map or ()})
    wanted = Wanted(hidden=layers, relations=layers if settings.loss.attention or settings.loss.relation else [])
    teach.run(teacher, rows, None, wanted, out, lambda *_: None)
    return out


def learn(
    teacher: Artifact,
    folder: Path,
    settings: Distil = QUICK,
    rows: Syllabus | None = None,
    others: Sequence[Path] = (),
    seed: int = 1,
) -> Artifact:
    settled, blueprint = drawn(teacher, settings)
    rows = rows or syllabus(teacher)
    said = folder / "said"
    taught = [said if said.is_dir() else asked(teacher, settled, rows, said), *others]
    (folder / "student").mkdir()
    school = School(teacher, None, taught, None)
    room, out = folder / "room", folder / "student"
    return distil.run(school, rows, blueprint, settled, seed, room, out, lambda *_: None)


def answers(one: Artifact, rows: Sequence[Row] = NEW) -> list[str]:
    model = TASK.model(one.folder, None, {}).eval()
    found = scoring.questions(TASK, Encoder(one.folder, one.max_tokens, BERT.INPUTS), rows, {})
    decode = scoring.decoder(TASK.NAME, one.labels, {})
    return [a["label"] for a in scoring.teacher_answers(model, TASK, BERT, found, decode, lambda: None)]


def agreement(one: Artifact, other: Artifact) -> float:
    return float(np.mean([a == b for a, b in zip(answers(one), answers(other), strict=True)]))


def test_a_student_cut_from_its_teacher_answers_as_it_does(teacher: Artifact, tmp_path: Path) -> None:
    student = learn(teacher, tmp_path)
    assert agreement(student, teacher) > 0.9
    config = json.loads((student.folder / "config.json").read_text())
    assert config["num_hidden_layers"] == 2
    assert student.parameters < teacher.parameters
    assert (student.labels, student.max_tokens, student.task) == (teacher.labels, 32, "text-classification")
    assert (student.folder / "tokenizer.json").read_bytes() == (teacher.folder / "tokenizer.json").read_bytes()
    assert artifact.read(student.folder) == student


def test_the_teacher_is_learned_from_and_not_the_labels(teacher: Artifact, tmp_path: Path) -> None:
    wrong = [{**row, "label": WRONG[row["label"]]} for row in TRAIN]
    taught = learn(teacher, tmp_path / "taught", rows=syllabus(teacher, wrong))
    assert agreement(taught, teacher) > 0.9


@pytest.mark.slow
def test_the_labels_are_learned_from_where_they_weigh(teacher: Artifact, tmp_path: Path) -> None:
    """On dev of wrong labels too, or an epoch that is least wrong would be kept."""
    wrong = [{**row, "label": WRONG[row["label"]]} for row in TRAIN]
    rows = syllabus(teacher, wrong)
    lesson = dataclasses.replace(
        rows.lesson,
        splits=dataclasses.replace(
            rows.lesson.splits, dev=split([{**row, "label": WRONG[row["label"]]} for row in DEV])
        ),
    )
    hard = QUICK.model_copy(update={"loss": Weights(soft=0, hard=1, hidden=0), "epochs": 8})
    student = learn(teacher, tmp_path, hard, Syllabus(lesson, ()))
    assert agreement(student, teacher) < 0.2


@pytest.fixture(scope="module")
def plain(teacher: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A student of the teacher's outputs alone."""
    settings = QUICK.model_copy(update={"loss": Weights(hidden=0), "epochs": 1})
    return learn(teacher, tmp_path_factory.mktemp("plain"), settings)


@pytest.mark.parametrize(
    "weights", [Weights(hidden=3), Weights(hidden=0, attention=1), Weights(hidden=0, relation=3)]
)
def test_what_weighs_comes_closer(teacher: Artifact, plain: Artifact, tmp_path: Path, weights: Weights) -> None:
    student = learn(teacher, tmp_path, QUICK.model_copy(update={"loss": weights, "epochs": 1}))
    assert distance(student, teacher, weights) < distance(plain, teacher, weights)


def distance(student: Artifact, teacher: Artifact, weights: Weights) -> float:
    """How far the last layers are apart, by what weighs."""
    encoder = Encoder(teacher.folder, 32, BERT.INPUTS)
    lesson = syllabus(teacher).lesson
    batch = padded(lesson.examples(NEW, encoder))
    mask = batch["attention_mask"].float()
    found = []
    for one in (student, teacher):
        model = TASK.model(one.folder, None, {}).eval()
        with torch.inference_mode(), inner_states.recorded(model, BERT, relations=True) as states:
            lesson.forward(model, batch)
        found.append({kind: layers[-1] for kind, layers in states.items()})
    ours, theirs = found
    if weights.hidden:
        return float(inner_states.hidden_distance(ours["hidden"], theirs["hidden"], mask))
    first, second = ("query", "key") if weights.attention else ("value", "value")
    pairs = (ours[first], ours[second]), (theirs[first], theirs[second])
    return float(inner_states.relation_distance(*pairs, mask, 2))


@pytest.mark.slow
def test_a_narrower_student_learns_from_relations(teacher: Artifact, tmp_path: Path) -> None:
    narrow = QUICK.model_copy(update={"student": Student(layers=2, hidden=16), "epochs": 12})
    settled, blueprint = drawn(teacher, narrow)
    assert (settled.loss.hidden, settled.loss.relation, settled.freeze_embeddings) == (0, 1, False)
    student = learn(teacher, tmp_path, narrow)
    assert (blueprint.width, json.loads((student.folder / "config.json").read_text())["hidden_size"]) == (16, 16)
    assert agreement(student, teacher) > 0.8


def test_embeddings_of_a_cut_student_stay_those_of_its_teacher(teacher: Artifact, tmp_path: Path) -> None:
    student = learn(teacher, tmp_path, QUICK.model_copy(update={"epochs": 1}))
    before, after = (load_file(one.folder / "model.safetensors") for one in (teacher, student))
    names = [name for name in after if ".embeddings." in name]
    assert names and all(torch.equal(before[name], after[name]) for name in names)
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])


def test_rows_without_truth_are_learned_from(teacher: Artifact, tmp_path: Path) -> None:
    few, more = TRAIN[:6], [{"text": row["text"]} for row in TRAIN]
    settings = QUICK.model_copy(update={"loss": Weights(hard=0.5)})
    student = learn(teacher, tmp_path, settings, syllabus(teacher, few, more))
    assert Taught(tmp_path / "said").lengths.__len__() == len(few) + len(more)
    assert agreement(student, teacher) > 0.9


def test_several_teachers_are_averaged(teacher: Artifact, tmp_path: Path) -> None:
    rows = syllabus(teacher)
    settled, _ = drawn(teacher, QUICK)
    one = asked(teacher, settled, rows, tmp_path / "one")
    other = tmp_path / "other"
    (other).mkdir()
    for path in one.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    logits = np.load(one / "logits.npy")
    np.save(other / "logits.npy", logits + np.float16(2) * np.arange(3, dtype=np.float16))
    examples = rows.examples(Encoder(teacher.folder, 32, BERT.INPUTS))
    batch = distil.Collate(rows.lesson, examples, [Taught(one), Taught(other)])([4, 0, 7])
    expected = logits[[4, 0, 7]].astype(np.float32) + np.arange(3)
    np.testing.assert_allclose(batch["taught"]["logits"], expected, atol=0.02)


def test_what_is_taught_is_what_the_teacher_computes(teacher: Artifact, tmp_path: Path) -> None:
    rows = syllabus(teacher, TRAIN[:20])
    settled, _ = drawn(teacher, QUICK.model_copy(update={"loss": Weights(attention=1)}))
    taught = Taught(asked(teacher, settled, rows, tmp_path / "said"))
    examples = [one.example for one in rows.examples(Encoder(teacher.folder, 32, BERT.INPUTS))]
    numbers = [3, 11, 0, 17]
    found, batch = taught.batch(numbers), padded([examples[i] for i in numbers])
    model = TASK.model(teacher.folder, None, {}).eval()
    with torch.inference_mode(), inner_states.recorded(model, BERT, relations=True) as states:
        outputs = rows.lesson.forward(model, batch)
    np.testing.assert_allclose(found["logits"], outputs["logits"], atol=5e-3)
    there = batch["attention_mask"].numpy()[..., None]
    for kind in ("hidden", "query", "key", "value"):
        for layer in (0, 2):
            np.testing.assert_allclose(found[f"{kind}-{layer}"], states[kind][layer].numpy() * there, atol=5e-3)
    assert taught.about["heads"] == 2


def test_the_best_of_several_seeds_is_written_and_all_are_told(
    teacher: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worths = {1: 0.7, 2: 0.9, 3: 0.8}
    seeds: list[int] = []

    def pretended(model: Any, material: Any, course: Any, *_: Any) -> list[Epoch]:
        seeds.append(course.seed)
        with torch.no_grad():
            model.classifier.bias.fill_(course.seed)
        return [Epoch(1, worths[course.seed], 0.1, 0.1)]

    monkeypatch.setattr(loop, "train", pretended)
    student = learn(teacher, tmp_path, QUICK.model_copy(update={"seeds": 3}))
    assert seeds == [1, 2, 3]
    assert student.training["chosen_seed"] == 2
    assert student.training["dev_quality"] == {"1": 0.7, "2": 0.9, "3": 0.8}
    assert (load_file(student.folder / "model.safetensors")["classifier.bias"] == 2).all()
    assert list(json.loads((student.folder / "history.json").read_text())) == ["1", "2", "3"]


@pytest.mark.slow
def test_an_interrupted_run_ends_where_one_run_ends(
    teacher: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = QUICK.model_copy(update={"seeds": 2, "epochs": 2, "dropout": 0.1})
    whole = learn(teacher, tmp_path / "whole", settings)
    score, count = DevScore.__call__, iter(range(100))

    class Stop(Exception):
        pass

    def stopped(self: Any, model: Any) -> tuple[float, float]:
        if next(count) == 3:  # the second epoch of the second seed
            raise Stop
        return score(self, model)

    monkeypatch.setattr(DevScore, "__call__", stopped)
    with pytest.raises(Stop):
        learn(teacher, tmp_path / "room", settings)
    (tmp_path / "room" / "student").rmdir()
    again = learn(teacher, tmp_path / "room", settings)
    assert next(count) == 5  # one epoch was left to score
    for name in ("model.safetensors", "history.json", "artifact.json"):
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_teachers_whose_tokenizers_cut_otherwise_are_refused(teacher: Artifact, tmp_path: Path) -> None:
    settled, _ = drawn(teacher, QUICK)
    shorter = asked(teacher.model_copy(update={"max_tokens": 8}), settled, syllabus(teacher), tmp_path / "shorter")
    with pytest.raises(InputError, match="tokenizers of the teachers do not cut the rows as the student's does"):
        learn(teacher, tmp_path, others=[shorter])
