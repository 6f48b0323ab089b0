"""A recipe's project: its members, data and source model, with everything wrong in them told in one report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgebert import data, members, sources, tables
from edgebert.data import Split, Splits
from edgebert.errors import InputError, nearest
from edgebert.interpreters import Python
from edgebert.recipe import Recipe
from edgebert.target import Target


@dataclass(frozen=True)
class Project:
    """What all steps of a recipe share: its members, data and the model it starts from."""

    recipe: Recipe
    task: Any
    architecture: Any
    source: Path
    splits: Splits
    decoding: dict[str, Any]
    max_tokens: int
    allow_code: bool
    store: Path


def read(recipe: Recipe, store: Path, allow_code: bool) -> Project:
    """The checked project. Raises InputError with every fault, MissingExtraError."""
    members.require(("torch", "transformers", "safetensors", "onnx"), "building bundles", "build")
    task = members.find("tasks", recipe.task, allow_code)
    known = {name: members.find("architectures", name).MODEL_TYPES for name in members.names("architectures")}
    faults: list[str] = []
    if recipe.finetune is not None and recipe.model.max_tokens is not None:
        faults.append("model.max_tokens is of a source that is used as it is; with [finetune] set that table's")
    source = architecture = known_labels = positions = None
    try:
        source = sources.locate(recipe.model.source, recipe.model.revision, recipe.folder)
        architecture = sources.check(source, recipe.model.sha256, known)
        positions = sources.positions(source)
        asked = recipe.finetune or recipe.model
        if positions is not None and (asked.max_tokens or 0) > positions:
            key = "finetune" if recipe.finetune else "model"
            faults.append(f"{key}.max_tokens = {asked.max_tokens}; this model reads at most {positions} tokens")
        known_labels = sources.labels(source)
    except InputError as error:
        faults += error.faults
    splits = _splits(recipe, task, faults)
    settings = tables.attempt(task.Settings, recipe.decoding, "[decoding]")
    if isinstance(settings, list):
        faults += settings
    if recipe.finetune is None and splits is not None and known_labels is not None and task.LABELLED:
        for name, split in (("dev", splits.dev), ("test", splits.test)):
            if strange := task.unknown(split.rows, known_labels):
                faults.append(
                    f"data.{name}: {split.where}: labels the source does not know: {', '.join(strange[:5])}"
                )
    decoding: dict[str, Any] = {}
    if splits is not None and not isinstance(settings, list):
        decoding = task.decoding(settings, splits.train.rows)
        for name, split in (("train", splits.train), ("dev", splits.dev), ("test", splits.test)):
            if (wrong := task.misfit(split.rows, decoding)) is not None:
                faults.append(f"data.{name}: {split.where}: {wrong}")
    if faults or source is None or architecture is None or splits is None:
        raise InputError(faults)
    return Project(
        recipe,
        task,
        members.find("architectures", architecture),
        source,
        splits,
        decoding,
        min(positions or 512, recipe.max_tokens()),
        allow_code,
        store,
    )


def _splits(recipe: Recipe, task: Any, faults: list[str]) -> Splits | None:
    """All splits, read and checked; faults are added to the list."""
    found: dict[str, Split] = {}
    columns = {k: v for k, v in recipe.data.columns.items() if k in task.COLUMNS}
    for key in recipe.data.columns.keys() - set(task.COLUMNS):
        faults.append(f"[data.columns] unknown column '{key}'; {nearest(key, task.COLUMNS)}")
    outside = recipe.data.out_of_scope
    if outside is not None and not task.OUT_OF_SCOPE:
        faults.append(f"[data.out_of_scope] task '{recipe.task}' has no scope to be out of; remove it")
    wanted = [(name, getattr(recipe.data, name), columns, task.fault) for name in ("train", "dev", "test")]
    if outside is not None:
        wanted += [(f"oos_{n}", getattr(outside, n), {}, task.question_fault) for n in ("train", "dev", "test")]
    for name, value, renamed, fault in wanted:
        if value is not None:
            try:
                path = data.locate(value, recipe.folder, recipe.data.revision)
                found[name] = data.read(path, renamed, fault)
            except InputError as error:
                key = name.replace("oos_", "out_of_scope.")
                faults += [f"data.{key}: {one}" for one in error.faults]
    if faults:
        return None
    if "dev" not in found:
        found["train"], found["dev"] = data.hold_out(found["train"], task.group)
    labels = task.labels(found["train"].rows)
    if not found["train"].rows:
        faults.append("data.train: one row and no data.dev: the held-out row leaves none to train on")
    elif (wrong := task.labels_fault(labels)) is not None:
        faults.append(f"data.train: {wrong}")
    if recipe.finetune is not None:
        for name in ("dev", "test"):
            if strange := task.unknown(found[name].rows, labels):
                hint = nearest(strange[0], labels)
                listed = ", ".join(strange[:5])
                faults.append(
                    f"data.{name}: {found[name].where}: labels that train does not have: {listed}; {hint}"
                )
    outside_found = {n.removeprefix("oos_"): split for n, split in found.items() if n.startswith("oos_")}
    return Splits(found["train"], found["dev"], found["test"], outside_found)


def check_members(project: Project, target: Target) -> None:
    """Raise InputError or MissingExtraError unless format and quantizers of the target fit and are installed."""
    form = format_of(project, target)
    members.require(form.NEEDS, f"target '{target.name}'", form.EXTRA)
    named = project.recipe.quantizers_for(target)
    racing = target.candidates if named == target.quantizer and project.recipe.quantize.race else []
    for name in dict.fromkeys([*named, *racing]):
        if name in target.refuse:
            raise InputError(
                f"target '{target.name}': quantizer '{name}' is refused: {target.refuse[name]}; "
                f"use instead: {', '.join(target.quantizer)}"
            )
        quantizer = members.find("quantizers", name, project.allow_code)
        members.require(quantizer.NEEDS, f"quantizer '{name}'", quantizer.EXTRA)
        if quantizer.TAKES != form.GIVES:
            fitting = [n for n in members.names("quantizers") if members.find("quantizers", n).TAKES == form.GIVES]
            raise InputError(
                f"target '{target.name}': quantizer '{name}' takes {quantizer.TAKES}, the target's format is "
                f"{form.GIVES}; known for it: {', '.join(fitting)}"
            )
        if name in racing and quantizer.tensors is None:
            raise InputError(
                f"target '{target.name}': candidates: '{name}' cannot race: nothing holds its files to the gates "
                "on dev; quantizers with accuracy control can"
            )
    for environment in (form.ENVIRONMENT, target.runtime.environment):
        Python(environment).require()


def format_of(project: Project, target: Target) -> ModuleType:
    """The format of a target's files. Raises InputError where it does not fit the target or the task."""
    name = project.recipe.format_for(target)
    form, own = members.find("formats", name, project.allow_code), members.find("formats", target.format)
    if form.GIVES != own.GIVES:
        raise InputError(
            f"target '{target.name}': [export] format = '{name}' gives {form.GIVES}, this target takes "
            f"{own.GIVES}; for other targets alone, set it in [target.NAME.export]"
        )
    if (fault := form.fault(project.task.NAME)) is not None:
        raise InputError(f"target '{target.name}': format '{name}': {fault}")
    return form
