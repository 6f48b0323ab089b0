"""The model at step 0: drawn at random, taken from a checkpoint, or begun with layers of a teacher."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from edgebert.errors import InputError
from edgebert.pretraining import students
from edgebert.pretraining.project import Project
from edgebert.pretraining.vocabulary import Pieces

SOURCE, TEACHER = "source", "teacher"  # folders of the working folder


def teacher(project: Project, work: Path) -> Any | None:
    """The teacher with its masked-language head, or None. Raises InputError where that head was not trained."""
    if project.teacher is None:
        return None
    from transformers import AutoModelForMaskedLM

    model, missing = _loaded(AutoModelForMaskedLM, work / TEACHER)
    if missing:
        raise InputError(
            f"objective.distil.teacher: {project.teacher.folder}: has no masked-language head ('{missing[0]}' is "
            "missing), whose answers the student is to learn; take a teacher that was pre-trained with one"
        )
    return model


def first(project: Project, work: Path, pieces: Pieces, taught_by: Any | None) -> tuple[Any, list[str]]:
    """(model with the heads of its objective, names of the weights that nothing before has trained).

    A model drawn at random is all new, which an empty list says. Raises InputError.
    """
    from transformers import AutoModelForMaskedLM, AutoModelForPreTraining

    kind = AutoModelForMaskedLM if project.recipe.objective.sentence == "none" else AutoModelForPreTraining
    if project.source is not None:
        return _loaded(kind, work / SOURCE)
    if taught_by is not None:
        assert project.teacher is not None
        assert project.recipe.objective.distil is not None
        keep = project.recipe.objective.distil.keep
        return students.begin(taught_by, project.teacher.architecture, project.architecture, keep), []
    values = {**project.values, "vocab_size": pieces.count, "pad_token_id": pieces.pad}
    return kind.from_config(project.architecture.config(values)), []


def freeze(model: Any, architecture: ModuleType, count: int) -> None:
    """Keep the embeddings and the first `count` layers from learning; 0: nothing, the embeddings neither."""
    if count:
        for part in (architecture.embeddings(model), *architecture.layers(model)[:count]):
            part.requires_grad_(False)


def _loaded(kind: Any, folder: Path) -> tuple[Any, list[str]]:
    try:
        model, report = kind.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: not a model that can be read: {error}") from None
    return model.float(), sorted(report["missing_keys"])
