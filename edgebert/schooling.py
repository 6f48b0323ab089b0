"""A project's `[distil]`, checked against its model: who teaches, what the student will be, what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from edgebert import data, members, sources, tokenization
from edgebert.data import Split
from edgebert.distillation import Distil
from edgebert.errors import InputError
from edgebert.learning import students
from edgebert.learning.students import Blueprint
from edgebert.project import Project


@dataclass(frozen=True)
class Source:
    """A model beside the recipe's own: what the recipe calls it, its folder and its architecture's module."""

    name: str
    folder: Path
    architecture: ModuleType


@dataclass(frozen=True)
class Schooling:
    """The settings with nothing left open, the student to be, and the models and texts they name."""

    settings: Distil
    blueprint: Blueprint
    teachers: list[Source]
    start: Source | None
    masked: Source | None
    unlabelled: Split | None

    @property
    def architecture(self) -> ModuleType:
        """The student's."""
        return members.find("architectures", self.blueprint.architecture)


def read(project: Project) -> Schooling | None:
    """The checked `[distil]`, or None where there is none. Raises InputError with every fault."""
    asked = project.recipe.distil
    if asked is None:
        return None
    faults: list[str] = []
    teachers = [_source(project, name, None, "distil.teachers", faults) for name in asked.teachers]
    start = masked = unlabelled = drawn = None
    if asked.student.source is not None:
        start = _source(project, asked.student.source, asked.student.revision, "distil.student.source", faults)
    if asked.augment is not None:
        masked = _source(project, asked.augment.model, asked.augment.revision, "distil.augment.model", faults)
        faults += _masked_faults(masked)
    if asked.unlabelled is not None:
        unlabelled = _unlabelled(project, asked.unlabelled, faults)
    faults += [fault for teacher in teachers if teacher for fault in _teacher_faults(project, teacher)]
    try:
        if start is not None or asked.student.source is None:
            drawn = _draw(project, asked, start)
    except InputError as error:
        faults += error.faults
    if faults or drawn is None:
        raise InputError(faults)
    return Schooling(*drawn, [teacher for teacher in teachers if teacher], start, masked, unlabelled)


def _source(project: Project, name: str, revision: str | None, key: str, faults: list[str]) -> Source | None:
    """A model of the same tokenizer as the recipe's own; faults are added to the list."""
    known = {one: members.find("architectures", one).MODEL_TYPES for one in members.names("architectures")}
    try:
        folder = sources.locate(name, revision, project.recipe.folder, key)
        architecture = members.find("architectures", sources.check(folder, None, known))
    except InputError as error:
        faults += error.faults
        return None
    if (wrong := tokenization.difference(project.source, folder)) is not None:
        faults.append(
            f"{key} = '{name}': its tokenizer is not that of model.source: {wrong}; teachers and "
            "student must read the same pieces"
        )
    return Source(name, folder, architecture)


def _teacher_faults(project: Project, teacher: Source) -> list[str]:
    """What keeps a model from teaching beside the recipe's own."""
    faults, reads = [], sources.positions(teacher.folder)
    if reads is not None and reads < project.max_tokens:
        faults.append(
            f"distil.teachers: '{teacher.name}' reads at most {reads} tokens, this recipe's model "
            f"{project.max_tokens}; set finetune.max_tokens = {reads}"
        )
    if not project.task.LABELLED:
        return faults
    own = sources.labels(project.source) if project.recipe.finetune is None else None
    wanted = own or project.task.labels(project.splits.train.rows)
    if (theirs := sources.labels(teacher.folder) or []) != wanted:
        faults.append(
            f"distil.teachers: '{teacher.name}' was trained on the labels {theirs[:5]}, this recipe's model on "
            f"{wanted[:5]}; teachers must know the same labels in the same order"
        )
    return faults


def _masked_faults(masked: Source | None) -> list[str]:
    """What says that a model cannot fill in masked pieces; that its head is whole shows when it is loaded."""
    kinds = students.read_config(masked.folder).get("architectures") if masked else None
    if not isinstance(kinds, list) or any("MaskedLM" in kind or "PreTraining" in kind for kind in kinds):
        return []
    return [
        f"distil.augment.model = '{masked.name if masked else ''}': a {', '.join(kinds)}, no masked-language model"
    ]


def _unlabelled(project: Project, value: str, faults: list[str]) -> Split | None:
    """More rows to learn from: lines of a text file, or rows without truth; faults are added to the list."""
    task = project.task
    columns = {k: v for k, v in project.recipe.data.columns.items() if k in task.COLUMNS and k != task.TRUTH}
    try:
        path = data.locate(value, project.recipe.folder, project.recipe.data.revision)
        split = data.read_lines(path) if path.suffix == ".txt" else data.read(path, columns, task.question_fault)
    except InputError as error:
        faults += [f"distil.unlabelled: {fault}" for fault in error.faults]
        return None
    if path.suffix != ".txt":
        return split
    rows = [task.question(row["text"]) for row in split.rows]
    if None in rows:
        wanted = ", ".join(name for name in task.COLUMNS if name != task.TRUTH)
        faults.append(
            f"distil.unlabelled = '{value}': a text alone is no row of the task '{task.NAME}'; give rows "
            f"(.jsonl) with the columns {wanted}"
        )
    return Split([row for row in rows if row is not None], split.sha256, split.where)


def _draw(project: Project, asked: Distil, start: Source | None) -> tuple[Distil, Blueprint]:
    """The settings with nothing left open, and the student to be."""
    values = students.read_config(project.source)
    depth, width = students.sizes(project.architecture, values)
    given = None
    if start is not None:
        own = students.read_config(start.folder)
        given = Blueprint(start.architecture.NAME, own, None, *students.sizes(start.architecture, own))
    blueprint = students.draw(asked.student, project.architecture, values, given)
    return students.settled(asked, blueprint, depth, width), blueprint
