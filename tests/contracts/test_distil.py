"""Every task and every architecture: a teacher is trained, asked, and cut to a student that answers as it does."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from edgebert import members, scoring
from edgebert.artifact import Artifact
from edgebert.data import Row, Split, Splits
from edgebert.distillation import Distil, Student, Weights
from edgebert.learning import students
from edgebert.learning.lessons import Lesson
from edgebert.learning.students import Blueprint
from edgebert.learning.syllabus import Syllabus
from edgebert.recipe import Finetune
from edgebert.stages import distil, finetune, load, teach
from edgebert.stages.teach import Wanted
from edgebert.tokenization import Encoder
from tests import toy

pytestmark = pytest.mark.slow
FINETUNE = {"epochs": 6, "batch": 16, "learning_rate": 5e-3, "max_tokens": 32}
DISTIL = Distil(
    student=Student(layers=1),
    loss=Weights(soft=1, hard=0.2, hidden=1, attention=0.5, relation=0.5),
    epochs=6,
    batch=16,
    learning_rate=3e-3,
    freeze_embeddings=False,
)
LOST = 0.1  # of the teacher's quality on new rows: half of its layers are gone


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small is trained many times faster by one thread, the more so beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quality(one: Artifact, lesson: Lesson, rows: list[Row]) -> float:
    member: Any = members.find("architectures", one.architecture)
    model = lesson.task.model(one.folder, None, lesson.decoding).eval()
    asked = scoring.questions(lesson.task, Encoder(one.folder, 32, member.INPUTS), rows, lesson.decoding)
    decode = scoring.decoder(lesson.task.NAME, one.labels, lesson.decoding)
    return lesson.task.quality(
        rows, scoring.teacher_answers(model, lesson.task, member, asked, decode, lambda: None)
    )


def taken_through(task: Any, rows: ModuleType, architecture: str, folder: Path) -> tuple[float, float, Blueprint]:
    """Quality of teacher and student on new rows, and the student's blueprint."""
    member: Any = members.find("architectures", architecture)
    for name in ("loaded", "teacher", "said", "student"):
        (folder / name).mkdir()
    train, dev, new = (rows.rows(count, seed) for count, seed in ((240, 1), (60, 2), (90, 3)))
    splits = Splits(Split(train, "", "train"), Split(dev, "", "dev"), Split(new, "", "new"))
    decoding = task.decoding(task.Settings(), train)
    source = load.run(
        toy.write_model(folder / "model", architecture=architecture), architecture, folder / "loaded"
    )
    settings = Finetune.model_validate(FINETUNE | getattr(rows, "FINETUNE", {}))
    teacher = finetune.run(
        source, task, member, splits, decoding, settings, 1, folder / "room", folder / "teacher", lambda *_: None
    )
    values = students.read_config(teacher.folder)
    blueprint = students.draw(DISTIL.student, member, values)
    settled = students.settled(DISTIL, blueprint, *students.sizes(member, values))
    lesson = Lesson(task, member, splits, teacher.labels, decoding)
    unlabelled = [{name: value for name, value in row.items() if name not in ("label", task.TRUTH)} for row in new]
    askable = [row for row in unlabelled if task.question_fault(row) is None]
    syllabus = Syllabus(lesson, askable)
    teach.run(teacher, syllabus, None, Wanted(hidden=[1], relations=[1]), folder / "said", lambda *_: None)
    school = distil.School(teacher, None, [folder / "said"], None)
    student = distil.run(
        school, syllabus, blueprint, settled, 1, folder / "seeds", folder / "student", lambda *_: None
    )
    return quality(teacher, lesson, new), quality(student, lesson, new), blueprint


@pytest.mark.parametrize("name", members.names("tasks"))
def test_a_student_of_every_task_answers_as_its_teacher(name: str, tmp_path: Path) -> None:
    task = members.find("tasks", members.public("tasks", name))
    rows = importlib.import_module(f"tests.toys.{name}")
    teacher, student, blueprint = taken_through(task, rows, "bert", tmp_path)
    assert blueprint.depth == 1
    assert student > teacher - LOST


@pytest.mark.parametrize("name", members.names("architectures"))
def test_a_student_of_every_architecture_answers_as_its_teacher(name: str, tmp_path: Path) -> None:
    rows = importlib.import_module("tests.toys.text_classification")
    task = members.find("tasks", "text-classification")
    teacher, student, _ = taken_through(task, rows, name, tmp_path)
    assert teacher > 0.9
    assert student > teacher - LOST
