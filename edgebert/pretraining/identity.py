"""What makes a training the one it is: checkpoints are of use to the very same one alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgebert import provenance, sources
from edgebert.errors import InputError
from edgebert.pretraining.project import Project
from edgebert.store import digest_of

# What changes how a training is run, looked at or kept, and not where it leads.
_FREE = {"at_once", "workers", "log_every", "evaluate_every", "checkpoint_every"}


def of(project: Project) -> dict[str, Any]:
    """The recipe and the sha256 of all that it reads, without any path of this machine."""
    recipe = project.recipe.model_dump(mode="json", exclude={"folder": True, "train": _FREE}, exclude_none=True)
    files: dict[str, Any] = {name: [digest_of(p) for p in getattr(project, name)] for name in ("train", "valid")}
    for name, model in (("source", project.source), ("teacher", project.teacher)):
        if model is not None:
            files[name] = sources.fingerprint(model.folder)
    if project.tokenizer is not None:
        files["tokenizer"] = sources.fingerprint(project.tokenizer)
    found: dict[str, Any] = json.loads(json.dumps({"recipe": provenance.portable(recipe), "files": files}))
    return found


def check(mine: Mapping[str, Any], path: Path, place: Path) -> None:
    """Raise InputError where a file tells of another training than `mine`, naming what differs."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        theirs = {name: found[name] for name in ("recipe", "files")}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{place}: is there already, and was not made by pretrain; choose another -o or name"
        ) from None
    here, there = dict(_flat(mine)), dict(_flat(theirs))
    if different := sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key)):
        told = [f"{key} = {there.get(key)!r} there, {here.get(key)!r} here" for key in different[:5]]
        raise InputError(
            f"{place}: holds the training of another recipe ({'; '.join(told)}); choose another -o or name, "
            "or start over with --fresh"
        )


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, one in value.items():
        if isinstance(one, Mapping):
            yield from _flat(one, f"{above}{key}.")
        else:
            yield f"{above}{key}".removeprefix("recipe."), one
