"""A checked pre-training: recipe, texts, architecture, and what the model begins with; nothing is trained yet."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgebert import architectures, data, members, quiet, sources
from edgebert.errors import InputError, nearest
from edgebert.pretraining import students
from edgebert.pretraining.recipe import PretrainRecipe

OURS = ("vocab_size", "pad_token_id")  # config values that the tokenizer decides


@dataclass(frozen=True)
class Model:
    """A model folder and its architecture."""

    folder: Path
    architecture: ModuleType

    def config(self) -> Any:
        """Its transformers config."""
        return self.architecture.config(json.loads((self.folder / "config.json").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Project:
    """What a pre-training needs. Without `source` and `teacher` the model has `values` and random weights."""

    recipe: PretrainRecipe
    train: tuple[Path, ...]
    valid: tuple[Path, ...]
    architecture: ModuleType
    values: Mapping[str, Any]
    source: Model | None
    teacher: Model | None
    tokenizer: Path | None


def read(recipe: PretrainRecipe) -> Project:
    """The checked project. Raises InputError with every fault, MissingExtraError."""
    quiet.prepare()
    members.require(("torch", "transformers", "accelerate", "safetensors"), "pre-training", "build")
    faults: list[str] = []
    train, valid = (_texts(recipe, name, faults) for name in ("train", "valid"))
    for path in set(train) & set(valid):
        faults.append(f"text.valid: {path} is training text, too; held-out text must not be learned from")
    model, distil = recipe.model, recipe.objective.distil
    source = _model("model.source", model.source, model.revision, model.sha256, recipe, faults)
    teacher = None
    if distil is not None:
        named = "objective.distil.teacher"
        teacher = _model(named, distil.teacher, distil.revision, distil.sha256, recipe, faults)
    architecture, values = _architecture(recipe, source, teacher, faults)
    if faults or architecture is None:  # what follows would only repeat them
        raise InputError(faults)
    _check_fit(recipe, architecture, values, source or teacher, faults)
    if recipe.train.freeze:
        _check_freeze(recipe.train.freeze, source, faults)
    if teacher is not None:
        _check_lesson(recipe, source, teacher, faults)
    tokenizer = _tokenizer(recipe, source, teacher, faults)
    if faults:
        raise InputError(faults)
    return Project(recipe, tuple(train), tuple(valid), architecture, values, source, teacher, tokenizer)


def _texts(recipe: PretrainRecipe, name: str, faults: list[str]) -> list[Path]:
    found = []
    for value in getattr(recipe.text, name):
        try:
            path = data.locate(value, recipe.folder, recipe.text.revision)
            with path.open("rb"):
                found.append(path)
        except InputError as error:
            faults += [f"text.{name}: {one}" for one in error.faults]
        except OSError as error:
            faults.append(f"text.{name}: {path}: {(error.strerror or 'cannot be read').lower()}")
    return found


def _model(
    key: str,
    value: str | None,
    revision: str | None,
    sha256: str | None,
    recipe: PretrainRecipe,
    faults: list[str],
) -> Model | None:
    if value is None:
        return None
    known = {name: members.find("architectures", name).MODEL_TYPES for name in members.names("architectures")}
    try:
        folder = sources.locate(value, revision, recipe.folder)
        return Model(folder, members.find("architectures", sources.check(folder, sha256, known)))
    except InputError as error:
        faults += [_keyed(key, one) for one in error.faults]
        return None


def _keyed(key: str, fault: str) -> str:
    """A fault of `sources`, which knows one key only, under the key that it is about."""
    return fault.replace("model.source", key, 1) if fault.startswith("model.source") else f"{key}: {fault}"


def _architecture(
    recipe: PretrainRecipe, source: Model | None, teacher: Model | None, faults: list[str]
) -> tuple[ModuleType | None, Mapping[str, Any]]:
    """The architecture of the model to train and, where nothing brings them, its config values."""
    model = recipe.model
    if source is not None or model.source is not None:
        if model.values:
            faults.append("model.values: the source has its sizes; leave one of the two out")
        return (source.architecture if source else None), {}
    if recipe.objective.distil is not None:
        if model.shape or model.values:
            faults.append("model: the student's sizes are its teacher's; give its architecture alone, or a source")
        return _students(model.architecture, teacher, faults), {}
    if model.architecture is None and model.shape is None:
        faults.append("model: says nothing of what to train; give architecture, shape or source")
        return None, {}
    name, values = model.architecture, dict(model.values)
    try:
        if model.shape is not None:
            shaped, published = architectures.named(model.shape)
            values = {**published, **values}
            if name not in (None, shaped):
                faults.append(f"model: shape '{model.shape}' is one of {shaped}, and architecture says '{name}'")
            name = shaped
        assert name is not None
        return members.find("architectures", name), values
    except InputError as error:
        faults += [f"model: {one}" for one in error.faults]
        return None, {}


def _students(name: str | None, teacher: Model | None, faults: list[str]) -> ModuleType | None:
    if teacher is None:
        return None
    own = teacher.architecture.NAME
    name = name or ("distilbert" if own == "bert" else own)
    fault = members.check("architectures", name) or students.fault(own, name)
    if fault is not None:
        faults.append(f"model.architecture: {fault}")
        return None
    return members.find("architectures", name)


def _check_fit(
    recipe: PretrainRecipe,
    architecture: ModuleType,
    values: Mapping[str, Any],
    brought: Model | None,
    faults: list[str],
) -> None:
    """Config values that are none, segments too long for the model, an objective it has no head for."""
    if recipe.objective.sentence != "none" and architecture.PAIR_HEAD is None:
        pairing = [n for n in members.names("architectures") if members.find("architectures", n).PAIR_HEAD]
        faults.append(
            f"objective.sentence = '{recipe.objective.sentence}': {architecture.NAME} has no head for pairs; "
            f"known: {', '.join(pairing)}"
        )
    config = _config(architecture, values, faults)
    positions = sources.positions(brought.folder) if brought else getattr(config, "max_position_embeddings", None)
    if positions is not None and recipe.train.tokens > positions:
        faults.append(f"train.tokens = {recipe.train.tokens}; this model reads at most {positions}")


def _check_freeze(count: int, source: Model | None, faults: list[str]) -> None:
    """No layers that could stay as they are, or none that would learn."""
    if source is None:
        faults.append(
            f"train.freeze = {count}: only the layers of a model.source can stay as they are; leave it out"
        )
        return
    with quiet.into(Path(os.devnull)):
        import torch
        from transformers import AutoModel

        with torch.device("meta"):
            depth = len(source.architecture.layers(AutoModel.from_config(source.config())))
    if count >= depth:
        faults.append(
            f"train.freeze = {count}: the source has {depth} different layers, and one at least must learn"
        )


def _check_lesson(recipe: PretrainRecipe, source: Model | None, teacher: Model, faults: list[str]) -> None:
    """Layers that the teacher does not have; hidden states whose angle cannot be taken."""
    theirs = teacher.config()
    assert recipe.objective.distil is not None
    keep = recipe.objective.distil.keep
    if source is not None:
        ours = source.config()
        if keep is not None:
            faults.append("objective.distil.keep: the student begins at its source; leave one of the two out")
        if ours.hidden_size != theirs.hidden_size:
            faults.append(
                f"model.source: its hidden states have {ours.hidden_size} numbers, the teacher's "
                f"{theirs.hidden_size}; their angle is part of the loss, so they must be as many"
            )
    elif keep is not None:
        try:
            architectures.checked(keep, getattr(theirs, teacher.architecture.KEYS.layers))
        except InputError as error:
            faults += [f"objective.distil.{one}" for one in error.faults]


def _config(architecture: ModuleType, values: Mapping[str, Any], faults: list[str]) -> Any:
    """The config of given values, after a model of it was drawn without memory for its weights; None: a fault."""
    with quiet.into(Path(os.devnull)):  # transformers' own imports complain of what they do not find
        import torch
        from transformers import AutoModel

        default = architecture.config({})
        known = {*default.to_dict(), *default.attribute_map} - set(OURS)
        for key in values.keys() - known:
            reason = "the tokenizer decides it" if key in OURS else nearest(key, known)
            faults.append(f"model.values: unknown value '{key}' of {architecture.NAME}; {reason}")
        try:
            config = architecture.config(values)
            with torch.device("meta"):
                AutoModel.from_config(config)
        except Exception as error:  # each config class has errors of its own for values that do not go together
            reason = " ".join(str(error).split())
            faults.append(f"model.values: no {architecture.NAME} can be made of them: {reason}")
            return None
        return config


def _tokenizer(
    recipe: PretrainRecipe, source: Model | None, teacher: Model | None, faults: list[str]
) -> Path | None:
    """The folder of a tokenizer to reuse; weights of a source or teacher fit none but their own."""
    choice, brought = recipe.tokenizer, source or teacher
    reused = None
    if choice is not None and choice.reuse is not None:
        try:
            reused = sources.locate(choice.reuse, choice.revision, recipe.folder)
            sources.check_tokenizer(reused)
        except InputError as error:
            faults += [_keyed("tokenizer.reuse", one) for one in error.faults]
            return None
    if brought is None and choice is None:
        faults.append("tokenizer: is missing; give train = {kind, vocabulary}, or reuse = a folder")
    if brought is not None and choice is not None and (reused is None or differ(reused, brought.folder)):
        owner = "source" if source is not None else "teacher"
        faults.append(f"tokenizer: is not the one of the {owner}, whose weights know only their own; leave it out")
    if source is not None and teacher is not None and differ(source.folder, teacher.folder):
        faults.append(
            f"model.source and objective.distil.teacher have different tokenizers ({source.folder}, "
            f"{teacher.folder}); the teacher's answers are about its own pieces"
        )
    return reused


def differ(one: Path, other: Path) -> bool:
    """Whether two model folders cut text differently, as far as a tokenizer.json in both of them tells."""
    from edgebert.pretraining import vocabulary

    if not all((folder / "tokenizer.json").is_file() for folder in (one, other)):
        return False
    return not vocabulary.same(one, other)
