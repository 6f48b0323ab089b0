"""A trained checkpoint: a model of which every weight is there, and the labels it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgebert.errors import InputError
from edgebert.tasks import Decoding, Task


def read(folder: Path, task: Task, decoding: Decoding) -> tuple[Any, list[str]]:
    """(torch model, labels). Raises InputError where a weight, the trained head first of all, is missing."""
    try:
        model = task.model(folder, None, decoding)
        found = type(model).from_pretrained(folder, use_safetensors=True, output_loading_info=True)[1]
        missing = [name for name in found["missing_keys"] if name in model.state_dict()]
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: not a model that can be read: {error}") from None
    if missing:
        body = f"{model.base_model_prefix}."
        first = min(missing, key=lambda name: (name.startswith(body), name))
        raise InputError(f"{folder}: has no trained head ('{first}' is missing)")
    if not task.LABELLED:
        return model, []
    names = model.config.id2label
    return model, [str(names[i]) for i in range(len(names))]
