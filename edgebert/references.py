"""What a finished bundle is compared with: fp32 file and teacher, from the build's store or a named folder."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert import artifact, checkpoint, members, quiet, tokenization
from edgebert.artifact import Artifact
from edgebert.errors import InputError, MissingExtraError
from edgebert.formats import ExportShape
from edgebert.manifest import Manifest, ModelFile
from edgebert.tasks import forward_of


@dataclass(frozen=True)
class References:
    """What the shipped file is compared with, and why where there is nothing."""

    teacher: Path | None = None
    file: Artifact | None = None
    no_teacher: str | None = None
    no_file: str | None = None


@dataclass(frozen=True)
class Shipped:
    """A bundle and one of its files: what the reference must fit."""

    folder: Path
    manifest: Manifest
    entry: dict[str, Any]


def find(shipped: Shipped, given: Path | None, room: Path) -> References:
    """The fp32 file and the torch model to compare with: from a folder the user names, else the build's store.

    What has to be made for it (a checkpoint's export) is put in `room`. Raises InputError, MissingExtraError.
    """
    if given is not None:
        return _given(shipped, given, room)
    steps = shipped.manifest.provenance.steps
    store = Path(os.environ.get("EDGEBERT_STORE") or shipped.folder.resolve().parent.parent / ".store")
    exported = store / f"export-{steps.get('export')}"
    trained = store / f"finetune-{steps.get('finetune')}"
    absent = "no --reference given, and the build's store is not beside the bundle"
    file = artifact.read(exported) if (exported / artifact.FILE).is_file() else None
    teacher = trained if (trained / "config.json").is_file() and _can_build(shipped.entry) else None
    without_torch = (
        absent if not trained.is_dir() else "torch is not installed here: pip install 'edgebert[build]'"
    )
    return References(
        teacher=teacher,
        file=file,
        no_teacher=None if teacher is not None else without_torch,
        no_file=None if file is not None else absent,
    )


def _given(shipped: Shipped, given: Path, room: Path) -> References:
    """The folder that the user names: an fp32 file of the bundle's own format, or a trained checkpoint."""
    manifest = shipped.manifest
    if (given / artifact.FILE).is_file() and (known := artifact.read(given)).form != "torch":
        if (known.form, known.precision, known.labels) != (shipped.entry["format"], "fp32", manifest.labels):
            raise InputError(
                f"--reference {given}: a {known.precision} file in {known.form}; this bundle is compared with "
                f"the fp32 file in {shipped.entry['format']} of the same labels"
            )
        return References(file=known, no_teacher="--reference is a graph file, not a trained checkpoint")
    if not (given / "config.json").is_file():
        raise InputError(f"--reference {given}: neither a model folder (config.json) nor a step of the store")
    if not _can_build(shipped.entry):
        raise MissingExtraError("comparing with a checkpoint", "build")
    with quiet.into(room / "reference.log"):
        try:
            _, labels = checkpoint.read(given, members.find("tasks", manifest.task), manifest.decoding)
        except InputError as error:
            raise InputError(f"--reference {error}") from None
        if labels != manifest.labels:
            raise InputError(
                f"--reference {given}: its labels are {labels[:5]}, the bundle's {manifest.labels[:5]}"
            )
        if (other := tokenization.difference(shipped.folder, given)) is not None:
            return References(teacher=given, no_file=f"--reference cuts texts otherwise than the bundle: {other}")
        return References(teacher=given, file=_exported(shipped, given, room))


def _can_build(entry: dict[str, Any]) -> bool:
    form = members.find("formats", entry["format"])
    needs = ("torch", "transformers", *form.NEEDS)
    return all(importlib.util.find_spec(name) is not None for name in needs)


def _exported(shipped: Shipped, checkpoint: Path, room: Path) -> Artifact:
    """The checkpoint in the bundle's own format, fp32."""
    from edgebert.exportable import Exportable

    entry, manifest = shipped.entry, shipped.manifest
    form = members.find("formats", entry["format"])
    task = members.find("tasks", manifest.task)
    architecture = members.find("architectures", manifest.architecture)
    file: ModelFile = manifest.file(entry["id"])
    fixed = [size for size in file.signature.inputs[0].shape if size]
    buckets = file.buckets or (fixed[-1:] if len(fixed) == 2 else [])
    shape = ExportShape(
        opset=min(file.opset or 17, 17) if entry["format"] == "onnx" else None,
        ir_version=file.ir_version,
        batch=1 if buckets else None,
        buckets=buckets,
        dtype="int32" if buckets else "int64",
    )
    out = room / form.FILE
    model = task.model(checkpoint, None, manifest.decoding).eval()
    compute = forward_of(task, model, architecture)
    module = Exportable(model, compute, architecture.INPUTS, task.OUTPUTS, task.PER_TOKEN)
    signature = form.export(module, shape, out)
    return Artifact(
        form=form.NAME,
        architecture=manifest.architecture,
        labels=manifest.labels,
        file=form.FILE,
        buckets=buckets,
        signature=signature,
        folder=room,
    )
