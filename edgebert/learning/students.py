"""What a student is made of: layers of its teacher, or a config of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert import architectures, members
from edgebert.architectures import Architecture
from edgebert.artifact import Artifact
from edgebert.distillation import Distil, Student
from edgebert.errors import InputError
from edgebert.sources import WEIGHTS

INHERITED = ("vocab_size", "type_vocab_size", "pad_token_id", "max_position_embeddings")


@dataclass(frozen=True)
class Blueprint:
    """A student to be: its architecture, its config's values, and which of the teacher's layers it is cut from."""

    architecture: str
    values: Mapping[str, Any]
    keep: Sequence[int] | None
    depth: int
    width: int

    def about(self) -> str:
        """In a few words."""
        if self.keep is not None:
            return f"layers {', '.join(map(str, self.keep))} of the teacher's"
        return f"{self.architecture}, {self.depth} layers of {self.width}"


def read_config(folder: Path) -> dict[str, Any]:
    """The values of a model folder's config."""
    found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found


def sizes(architecture: Architecture, values: Mapping[str, Any]) -> tuple[int, int]:
    """(layers, hidden size) of a config."""
    config, keys = architecture.config(values), architecture.KEYS
    return int(getattr(config, keys.layers)), int(getattr(config, keys.widths[0]))


def draw(
    student: Student, architecture: Architecture, values: Mapping[str, Any], given: Blueprint | None = None
) -> Blueprint:
    """The student that the recipe asks for, of a teacher with this architecture and these config values.

    `given` is the model that `student.source` leads to. Raises InputError for a shape that is not known, and for
    layers or widths that cannot be.
    """
    if given is not None:
        return given
    depth, width = sizes(architecture, values)
    if student.shape is not None:
        name, published = architectures.named(student.shape)
        config = {**published, **{key: values[key] for key in INHERITED if key in values}}
        return Blueprint(name, config, None, *sizes(members.find("architectures", name), config))
    if student.hidden is not None:
        config = architectures.sized(architecture, values, student.layers, student.hidden)
        return Blueprint(architecture.NAME, config, None, *sizes(architecture, config))
    if student.keep is not None:
        keep = architectures.checked(student.keep, depth)
    else:
        keep = spread(student.layers or depth, depth)
    return Blueprint(architecture.NAME, values, keep, len(keep), width)


def spread(layers: int, depth: int) -> list[int]:
    """`layers` numbers spread over `depth` layers, the first and the last among them (the last alone, if one).

    Raises InputError where there are not as many.
    """
    if layers > depth:
        raise InputError(f"student = {{layers = {layers}}}: the teacher has only {depth} layers to cut it from")
    if layers == 1:
        return [depth - 1]
    return [math.ceil(i * (depth - 1) / (layers - 1) - 0.5) for i in range(layers)]


def settled(settings: Distil, student: Blueprint, depth: int, width: int) -> Distil:
    """The settings with nothing left open, for a teacher of this depth and width. Raises InputError."""
    same = student.width == width
    if settings.loss.hidden and not same:
        raise InputError(
            f"distil.loss.hidden = {settings.loss.hidden:g}: the student is {student.width} wide and its teacher "
            f"{width}, so their hidden states cannot be compared; weigh attention and relation instead"
        )
    given = settings.loss
    loss = given.model_copy(
        update={
            "hidden": float(same) if given.hidden is None else given.hidden,
            "relation": float(not same) if given.relation is None else given.relation,
        }
    )
    frozen = student.keep is not None if settings.freeze_embeddings is None else settings.freeze_embeddings
    pairs = _layer_map(settings, student, depth)
    return settings.model_copy(update={"loss": loss, "layer_map": pairs, "freeze_embeddings": frozen})


def _layer_map(settings: Distil, student: Blueprint, depth: int) -> list[tuple[int, int]]:
    """(student's layer, teacher's layer) of those that are compared. Raises InputError for one out of range."""
    if settings.layer_map is None:
        ends = student.keep or [(i + 1) * depth // student.depth - 1 for i in range(student.depth)]
        return [(i, max(end, 0)) for i, end in enumerate(ends)]
    for pair in settings.layer_map:
        for number, of, layers in zip(pair, ("student", "teacher"), (student.depth, depth), strict=True):
            if not 0 <= number < layers:
                raise InputError(
                    f"layer_map = {[list(one) for one in settings.layer_map]}: the {of} has no layer {number}; "
                    f"its layers are 0 to {layers - 1}"
                )
    return list(settings.layer_map)


def make(student: Blueprint, teacher: Artifact, seed: int, out: Path) -> Artifact:
    """Write the untrained student to `out`: cut from the teacher with its head, or with random weights."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoModel

    out.mkdir(parents=True, exist_ok=True)
    member = members.find("architectures", student.architecture)
    if student.keep is not None:
        values, weights = member.cut(
            read_config(teacher.folder), load_file(teacher.folder / WEIGHTS), student.keep
        )
        (out / "config.json").write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")
        save_file(weights, out / WEIGHTS, metadata={"format": "pt"})
    else:
        torch.manual_seed(seed)
        AutoModel.from_config(member.config(student.values)).save_pretrained(out)
    teacher.copy_tokenizer(out)
    return teacher.model_copy(update={"architecture": student.architecture, "folder": out})
