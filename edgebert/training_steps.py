"""The steps from a source to the model that ships: load, finetune, distil where there is a student, and prune."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from edgebert import artifact, data, members, sources
from edgebert.artifact import Artifact
from edgebert.learning.lessons import Lesson
from edgebert.learning.syllabus import Syllabus
from edgebert.project import Project
from edgebert.schooling import Schooling
from edgebert.stages import augment, distil, finetune, load, prune, teach
from edgebert.stages.teach import Wanted
from edgebert.steps import Step, Tell
from edgebert.store import Store

NEEDS = ("torch", "transformers", "accelerate")


def finetuned(project: Project) -> Step:
    """The source, trained on the task or taken as it is."""
    recipe, loaded = project.recipe, _load(project.recipe.model.source, project.source, project.architecture)

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        with _room(project, step) as room:
            finetune.run(
                artifact.read(inputs[0]),
                project.task,
                project.architecture,
                project.splits,
                project.decoding,
                recipe.finetune,
                recipe.seed,
                room,
                out,
                tell,
                project.max_tokens,
            )

    settings = {
        **_rows(project),
        "finetune": recipe.finetune.model_dump() if recipe.finetune else None,
        "max_tokens": project.max_tokens,
        "seed": recipe.seed,
    }
    epochs = f", {recipe.finetune.epochs} epochs" if recipe.finetune else " (already trained)"
    about = f"finetune on {len(project.splits.train.rows)} rows{epochs}"
    together = recipe.finetune is not None
    step = Step("finetune", about, settings, (loaded,), _modules(project), NEEDS, work, together)
    return step


def distilled(project: Project, schooling: Schooling, teacher: Step) -> Step:
    """The student of a teacher that is trained."""
    settings = schooling.settings
    seed = project.recipe.seed if settings.seed is None else settings.seed
    own = replace(project, architecture=schooling.architecture)
    changed = _augment(project, schooling, teacher)
    extra = (changed,) if changed else ()
    taught = [_teach(project, schooling, teacher, extra, first=True)]
    for source in schooling.teachers:
        theirs = replace(
            project,
            recipe=project.recipe.model_copy(update={"finetune": None}),
            architecture=source.architecture,
            source=source.folder,
        )
        taught.append(_teach(theirs, schooling, finetuned(theirs), extra, first=False))
    begin = schooling.start
    start = [_load(begin.name, begin.folder, begin.architecture)] if begin else []

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        first, *rest = inputs
        beginning = artifact.read(rest.pop(0)) if start else None
        copies = rest.pop(0) if changed else None
        taught_by = artifact.read(first)
        school = distil.School(taught_by, beginning, rest, copies)
        rows = _syllabus(own, schooling, taught_by)
        with _room(project, step) as room:
            distil.run(school, rows, schooling.blueprint, settings, seed, room, out, tell)

    told = {**_rows(own), **_texts(schooling), "distil": settings.model_dump(), "seed": seed}
    told["student"] = [
        schooling.blueprint.architecture,
        schooling.blueprint.keep,
        dict(schooling.blueprint.values),
    ]
    seeds = f", best of {settings.seeds} seeds" if settings.seeds > 1 else ""
    about = f"distil {schooling.blueprint.about()}, {settings.epochs} epochs{seeds}"
    step = Step("distil", about, told, (teacher, *start, *extra, *taught), _modules(own), NEEDS, work, True)
    return step


def pruned(project: Project, trained: Step) -> Step:
    """The trained model without what each pruner takes; as it is where the recipe names none."""
    texts = data.texts([*project.splits.train.rows, *project.splits.dev.rows])
    texts += data.texts([row for name in ("train", "dev") for row in _outside(project, name)])
    for name in type(project.recipe.prune).model_fields:
        settings = getattr(project.recipe.prune, name)
        if settings is not None:
            trained = _pruned(project, members.find("pruners", name), settings, texts, trained)
    return trained


def _pruned(project: Project, pruner: ModuleType, settings: Any, texts: list[str], trained: Step) -> Step:
    files = [data.read_lines(project.recipe.path(name)) for name in getattr(settings, "corpus", [])]
    known = [*texts, *data.texts([row for file in files for row in file.rows])]

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        prune.run(artifact.read(inputs[0]), pruner, settings, known, out)

    told = {**_rows(project), "settings": settings.model_dump(), "corpus": [file.sha256 for file in files]}
    about = f"prune the {pruner.NAME}: {pruner.about(settings)}"
    return Step("prune", about, told, (trained,), (pruner.__name__,), NEEDS, work)


def _outside(project: Project, name: str) -> list[data.Row]:
    splits = project.splits.outside
    return splits[name].rows if name in splits else []


def _load(name: str, folder: Path, architecture: ModuleType) -> Step:
    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        load.run(folder, architecture.NAME, out)

    settings = {"architecture": architecture.NAME, "files": sources.fingerprint(folder)}
    needs = ("torch", "transformers", "safetensors")
    return Step("load", f"load {name}", settings, (), (architecture.__name__,), needs, work)


def _teach(project: Project, schooling: Schooling, teacher: Step, changed: tuple[Step, ...], first: bool) -> Step:
    """What a teacher says to every row; of the first one also how it comes to it."""
    loss, layers = schooling.settings.loss, sorted({pair[1] for pair in schooling.settings.layer_map or ()})
    wanted = Wanted(
        hidden=layers if first and loss.hidden else [],
        relations=layers if first and (loss.attention or loss.relation) else [],
    )

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        copies, known = inputs[1] if changed else None, artifact.read(inputs[0])
        known = known.model_copy(update={"max_tokens": project.max_tokens})
        teach.run(known, _syllabus(project, schooling, known), copies, wanted, out, tell)

    settings = {**_rows(project), **_texts(schooling), "hidden": wanted.hidden, "relations": wanted.relations}
    settings["max_tokens"] = project.max_tokens
    rows = len(project.splits.train.rows) + (len(schooling.unlabelled.rows) if schooling.unlabelled else 0)
    about = f"ask the teacher about {rows} rows" + (" and their copies" if changed else "")
    return Step("teach", about, settings, (teacher, *changed), _modules(project), NEEDS, work)


def _augment(project: Project, schooling: Schooling, teacher: Step) -> Step | None:
    settings, source = schooling.settings.augment, schooling.masked
    if settings is None or source is None:
        return None

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        masked, rows = artifact.read(inputs[0]), _syllabus(project, schooling, artifact.read(inputs[1]))
        augment.run(masked, rows, project.max_tokens, settings, project.recipe.seed, out, tell)

    told = {**_rows(project), **_texts(schooling), "augment": settings.model_dump(), "seed": project.recipe.seed}
    about = f"change words of the rows, {settings.copies} copies each"
    masked = _load(source.name, source.folder, source.architecture)
    return Step("augment", about, told, (masked, teacher), _modules(project), NEEDS, work)


def _syllabus(project: Project, schooling: Schooling, teacher: Artifact) -> Syllabus:
    lesson = Lesson(project.task, project.architecture, project.splits, teacher.labels, project.decoding)
    return Syllabus(lesson, schooling.unlabelled.rows if schooling.unlabelled else [])


def _rows(project: Project) -> dict[str, Any]:
    """What decides the rows that are trained on and scored for the choice of an epoch."""
    return {
        "task": project.task.NAME,
        "decoding": project.decoding,
        "data": {k: v for k, v in project.splits.digests().items() if k in ("train", "dev", "oos_train")},
        "columns": project.recipe.data.columns,
        "dev": project.recipe.data.dev is not None,
    }


def _texts(schooling: Schooling) -> dict[str, Any]:
    return {"unlabelled": schooling.unlabelled.sha256 if schooling.unlabelled else None}


def _modules(project: Project) -> tuple[str, ...]:
    return project.task.__name__, project.architecture.__name__, decoder(project)


def decoder(project: Project) -> str:
    """The device's module that decodes the task: found by name at run time, so no import tells of it."""
    return f"edgebert.device.decoding.{project.task.NAME.replace('-', '_')}"


def _room(project: Project, step: Step) -> AbstractContextManager[Path]:
    return Store(project.store).room(step.stage, step.key)
