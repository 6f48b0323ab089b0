"""Score a finished bundle on a user's rows: the shipped file, and what it lost where a reference is at hand."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert import artifact, checkpoint, data, members, quiet, scoring, timing
from edgebert.artifact import Artifact
from edgebert.errors import InputError, MissingExtraError
from edgebert.formats import ExportShape
from edgebert.manifest import Manifest, ModelFile
from edgebert.opening import Bundle, digest, open_bundle
from edgebert.tasks import Outputs
from edgebert.timing import Contender, Request
from edgebert.verdict import Check, Score, holds, judge

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class References:
    """What the shipped file is compared with, and why where there is nothing."""

    teacher: Path | None = None
    file: Artifact | None = None
    no_teacher: str | None = None
    no_file: str | None = None


def verify(
    folder: Path, path: Path, reference: Path | None = None, model: str = "", tell: Tell = lambda *_: None
) -> dict[str, Any]:
    """Scores, latency and checks of a bundle on the rows of a data file.

    Drop, agreement and speed-up are None with their reason in `not_measured` where no reference can be run.
    Raises InputError for a faulty bundle, data file or reference.
    """
    bundle = open_bundle(folder, model)
    manifest, task = bundle.manifest, members.find("tasks", bundle.manifest.task)
    columns = manifest.provenance.recipe.get("data", {}).get("columns", {})
    rows = data.read(path, columns, task.fault).rows
    if strange := task.unknown(rows, manifest.labels):
        raise InputError(f"{path}: labels this bundle does not know: {', '.join(strange[:5])}")
    feeds = scoring.encode(bundle.encoder, task, rows)
    with tempfile.TemporaryDirectory() as room:
        found = _references(bundle, reference, Path(room))
        passes = 1 + (found.file is not None) + (found.teacher is not None)
        count = iter(range(1, passes * len(rows) + 1))

        def tick() -> None:
            tell(next(count), passes * len(rows))

        answered: dict[str, Outputs] = {"shipped": scoring.outputs_of(folder, bundle.entry, feeds, tick)}
        if found.file is not None:
            entry = found.file.entry("fp32", bundle.entry["session"])
            answered["reference"] = scoring.outputs_of(found.file.folder, entry, feeds, tick)
        if found.teacher is not None:
            torch_model = task.model(found.teacher, None).eval()
            answered["teacher"] = scoring.teacher_outputs(torch_model, task.OUTPUTS, feeds, tick)
        scores = task.scores(rows, manifest.labels, "data", answered)
        timed = _time(bundle, found.file, [task.texts(row) for row in rows])
    checks = _checks(manifest, scores[0], bundle.entry["id"], task.chance(rows))
    latency = timing.latencies(timed, bundle.entry["id"], {}, "host")
    ratio = timing.speedup(timed, bundle.entry["id"], "host")
    return {
        "bundle": manifest.name,
        "digest": digest(folder),
        "target": manifest.target.name,
        "model": bundle.entry["id"],
        "rows": len(rows),
        "scores": [score.model_dump() for score in scores],
        "latency": [one.model_dump() for one in latency],
        "speedup": ratio.model_dump() if ratio else None,
        "checks": [check.model_dump() for check in checks],
        "passed": holds(checks),
        "evidence": "host",
        "not_measured": {
            name: reason
            for name, reason in {
                "drop": found.no_teacher,
                "agreement": found.no_file,
                "speedup": found.no_file,
            }.items()
            if reason is not None
        },
    }


def _references(bundle: Bundle, given: Path | None, room: Path) -> References:
    """The fp32 file and the torch model to compare with: from a folder the user names, else the build's store."""
    if given is not None:
        return _given(bundle, given, room)
    steps = bundle.manifest.provenance.steps
    store = Path(os.environ.get("EDGEBERT_STORE") or bundle.folder.resolve().parents[1] / ".store")
    exported = store / f"export-{steps.get('export')}"
    trained = store / f"finetune-{steps.get('finetune')}"
    absent = "no --reference given, and the build's store is not beside the bundle"
    file = artifact.read(exported) if (exported / artifact.FILE).is_file() else None
    teacher = trained if (trained / "config.json").is_file() and _can_build(bundle) else None
    without_torch = (
        absent if not trained.is_dir() else "torch is not installed here: pip install 'edgebert[build]'"
    )
    return References(
        teacher=teacher,
        file=file,
        no_teacher=None if teacher is not None else without_torch,
        no_file=None if file is not None else absent,
    )


def _given(bundle: Bundle, given: Path, room: Path) -> References:
    """The folder that the user names: an fp32 file of the bundle's own format, or a trained checkpoint."""
    manifest = bundle.manifest
    if (given / artifact.FILE).is_file() and (known := artifact.read(given)).form != "torch":
        if (known.form, known.precision, known.labels) != (bundle.entry["format"], "fp32", manifest.labels):
            raise InputError(
                f"--reference {given}: a {known.precision} file in {known.form}; this bundle is compared with "
                f"the fp32 file in {bundle.entry['format']} of the same labels"
            )
        return References(file=known, no_teacher="--reference is a graph file, not a trained checkpoint")
    if not (given / "config.json").is_file():
        raise InputError(f"--reference {given}: neither a model folder (config.json) nor a step of the store")
    if not _can_build(bundle):
        raise MissingExtraError("comparing with a checkpoint", "build")
    with quiet.into(room / "reference.log"):
        try:
            _, labels = checkpoint.read(given, members.find("tasks", manifest.task))
        except InputError as error:
            raise InputError(f"--reference {error}") from None
        if labels != manifest.labels:
            raise InputError(
                f"--reference {given}: its labels are {labels[:5]}, the bundle's {manifest.labels[:5]}"
            )
        return References(teacher=given, file=_exported(bundle, given, room))


def _can_build(bundle: Bundle) -> bool:
    form = members.find("formats", bundle.entry["format"])
    needs = ("torch", "transformers", *form.NEEDS)
    return all(importlib.util.find_spec(name) is not None for name in needs)


def _exported(bundle: Bundle, checkpoint: Path, room: Path) -> Artifact:
    """The checkpoint in the bundle's own format, fp32."""
    entry, manifest = bundle.entry, bundle.manifest
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
    signature = form.export(task.model(checkpoint, None).eval(), architecture.INPUTS, task.OUTPUTS, shape, out)
    return Artifact(
        form=form.NAME,
        architecture=manifest.architecture,
        labels=manifest.labels,
        file=form.FILE,
        buckets=buckets,
        signature=signature,
        folder=room,
    )


def _time(bundle: Bundle, reference: Artifact | None, texts: list[tuple[str, str | None]]) -> timing.Timed:
    contenders = [Contender(which="shipped", folder=str(bundle.folder), entry=bundle.entry)]
    if reference is not None:
        entry = reference.entry("fp32", bundle.entry["session"])
        contenders.append(Contender(which="reference", folder=str(reference.folder), entry=entry))
    return timing.time_files(
        Request(
            contenders=contenders,
            tokenizer=str(bundle.folder),
            max_tokens=int(bundle.manifest.decoding["max_tokens"]),
            texts=texts,
            threads=1,
        )
    )


def _checks(manifest: Manifest, score: Score, model: str, chance: float) -> list[Check]:
    """The bundle's own limits, held against what was found on these rows."""
    limits = {check.name: check.limit for check in manifest.checks if check.model == model}
    found: list[Check | None] = []
    if score.drop is not None:
        limit, worst = limits.get("drop_points"), score.drop.ci95[1]
        found.append(judge("drop_points", model, score.drop.points, limit, "max", "host", "points", worst))
    if score.agreement is not None:
        limit, worst = limits.get("agreement"), score.agreement.ci95[0]
        found.append(judge("agreement", model, score.agreement.value, limit, "min", "host", "", worst))
    if score.shipped is not None:
        worst = score.shipped.ci95[0]
        found.append(judge("above_chance", model, score.shipped.value, chance, "min", "host", "", worst))
    return [check for check in found if check is not None]
