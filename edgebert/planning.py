"""A recipe and its targets become steps; everything that can be wrong is found before the first one runs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgebert import artifact, calibration, data, fingerprint, interpreters, members, sources, tokenization
from edgebert import target as targets
from edgebert.artifact import Artifact
from edgebert.data import Split, Splits
from edgebert.device import measure
from edgebert.errors import InputError, nearest
from edgebert.formats import ExportShape
from edgebert.interpreters import Python
from edgebert.quantizers import Settings
from edgebert.recipe import Recipe
from edgebert.stages import bundle, export, finetune, load, quantize, verify
from edgebert.steps import Plan, Step, Tell
from edgebert.store import key_of
from edgebert.target import Target
from edgebert.tokenization import ill_formed

SCORE_COUNTS = "test-scored.json"


@dataclass(frozen=True)
class Project:
    """What all steps of a recipe share: its members, data and the model it starts from."""

    recipe: Recipe
    task: Any
    architecture: Any
    source: Path
    splits: Splits
    max_tokens: int
    allow_code: bool
    store: Path


def plan(recipe: Recipe, names: Sequence[str] | None, store: Path, allow_code: bool = False) -> Plan:
    """The steps for a recipe's targets (`names` restricts them). Raises InputError, MissingExtraError."""
    chosen = _targets(recipe, names)
    project = _project(recipe, store, allow_code)
    for target in chosen.values():
        _check_members(project, target)
    load_step = _load(project)
    finetune_step = _finetune(project, load_step)
    return Plan(recipe, store, chosen, {name: _target(project, t, finetune_step) for name, t in chosen.items()})


def _targets(recipe: Recipe, names: Sequence[str] | None) -> dict[str, Target]:
    listed = {target.name: target for target in (targets.buildable(n, recipe.folder) for n in recipe.targets)}
    if not names:
        return listed
    if unknown := [name for name in names if name not in listed]:
        raise InputError(f"-t {unknown[0]}: the recipe does not list it; {nearest(unknown[0], listed)}")
    return {name: listed[name] for name in names}


def _project(recipe: Recipe, store: Path, allow_code: bool) -> Project:
    members.require(("torch", "transformers", "safetensors", "onnx"), "building bundles", "build")
    task = members.find("tasks", recipe.task, allow_code)
    known = {name: members.find("architectures", name).MODEL_TYPES for name in members.names("architectures")}
    faults: list[str] = []
    source = architecture = known_labels = positions = None
    try:
        source = sources.locate(recipe.model.source, recipe.model.revision, recipe.folder)
        architecture = sources.check(source, recipe.model.sha256, known)
        positions = sources.positions(source)
        if positions is not None and recipe.finetune is not None and recipe.finetune.max_tokens > positions:
            faults.append(
                f"finetune.max_tokens = {recipe.finetune.max_tokens}; this model reads at most {positions} tokens"
            )
        known_labels = sources.labels(source)
    except InputError as error:
        faults += error.faults
    splits = _splits(recipe, task, faults)
    if recipe.finetune is None and splits is not None and known_labels is not None:
        for name, split in (("dev", splits.dev), ("test", splits.test)):
            if strange := task.unknown(split.rows, known_labels):
                faults.append(
                    f"data.{name}: {split.where}: labels the source does not know: {', '.join(strange[:5])}"
                )
    if faults or source is None or architecture is None or splits is None:
        raise InputError(faults)
    return Project(
        recipe,
        task,
        members.find("architectures", architecture),
        source,
        splits,
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
    wanted = [(name, getattr(recipe.data, name), columns, task.fault) for name in ("train", "dev", "test")]
    if outside is not None:
        wanted += [(f"oos_{n}", getattr(outside, n), {}, _text_fault) for n in ("train", "dev", "test")]
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
    if not labels:
        faults.append("data.train: one row and no data.dev: the held-out row leaves none to train on")
    elif len(labels) < 2:
        faults.append(f"data.train: only one label, '{labels[0]}'; a classifier needs two")
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


def _text_fault(row: data.Row) -> str | None:
    wrong = ill_formed(row.get("text", ""))
    return None if wrong is None else f"text {wrong}"


def _check_members(project: Project, target: Target) -> None:
    form = members.find("formats", target.format)
    members.require(form.NEEDS, f"target '{target.name}'", form.EXTRA)
    for name in project.recipe.quantizers_for(target):
        if name in target.refuse:
            raise InputError(
                f"target '{target.name}': quantizer '{name}' is refused: {target.refuse[name]}; "
                f"use instead: {', '.join(target.quantizer)}"
            )
        quantizer = members.find("quantizers", name, project.allow_code)
        members.require(quantizer.NEEDS, f"quantizer '{name}'", quantizer.EXTRA)
        if target.format != quantizer.TAKES:
            fitting = [
                n for n in members.names("quantizers") if target.format == members.find("quantizers", n).TAKES
            ]
            raise InputError(
                f"target '{target.name}': quantizer '{name}' takes {quantizer.TAKES}, the target's format is "
                f"{target.format}; known for it: {', '.join(fitting)}"
            )
    Python(target.runtime.environment).require()


def _load(project: Project) -> Step:
    name = project.architecture.NAME

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        load.run(project.source, name, out)

    settings = {"architecture": name, "files": sources.fingerprint(project.source)}
    about = f"load {project.recipe.model.source}"
    return Step("load", about, settings, (), (), ("torch", "transformers", "safetensors"), work)


def _finetune(project: Project, loaded: Step) -> Step:
    recipe = project.recipe

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        source = artifact.read(inputs[0])
        finetune.run(
            source,
            project.task,
            project.architecture,
            project.splits,
            recipe.finetune,
            recipe.seed,
            out,
            tell,
        )

    splits = {name: sha for name, sha in project.splits.digests().items() if name in ("train", "dev", "oos_train")}
    settings = {
        "task": project.task.NAME,
        "finetune": recipe.finetune.model_dump() if recipe.finetune else None,
        "data": splits,
        "columns": recipe.data.columns,
        "dev": recipe.data.dev is not None,
        "seed": recipe.seed,
    }
    modules = (project.task.__name__, project.architecture.__name__)
    epochs = f", {recipe.finetune.epochs} epochs" if recipe.finetune else " (already trained)"
    about = f"finetune on {len(project.splits.train.rows)} rows{epochs}"
    return Step("finetune", about, settings, (loaded,), modules, ("torch", "transformers", "accelerate"), work)


def _target(project: Project, target: Target, trained: Step) -> Step:
    exported = _export(project, target, trained)
    files = {}
    for name in project.recipe.quantizers_for(target):
        quantizer = members.find("quantizers", name, project.allow_code)
        if quantizer.ID in files:
            raise InputError(f"target '{target.name}': two quantizers make the file '{quantizer.ID}'")
        files[quantizer.ID] = (_quantize(project, target, name, quantizer, trained, exported), quantizer)
    verified = _verify(project, target, trained, exported, files)
    return _bundle(project, target, trained, verified, files)


def _shape(project: Project, target: Target) -> ExportShape:
    buckets = target.shape.buckets(project.max_tokens)
    return ExportShape(
        opset=target.opset,
        ir_version=target.ir_version,
        batch=target.shape.batch,
        buckets=buckets,
        dtype="int32" if buckets else "int64",
    )


def _cut(trained: Artifact, target: Target) -> Artifact:
    """The trained model as the target has it: no text is longer than its longest bucket."""
    return trained.model_copy(update={"max_tokens": min(trained.max_tokens, target.shape.max_tokens)})


def _export(project: Project, target: Target, trained: Step) -> Step:
    form, shape = members.find("formats", target.format), _shape(project, target)

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        export.run(artifact.read(inputs[0]), project.task, project.architecture, form, shape, out)

    lengths = f"{', '.join(map(str, shape.buckets))} tokens" if shape.buckets else "any length"
    settings = {"format": target.format, "shape": shape.model_dump()}
    modules = (form.__name__, project.task.__name__, project.architecture.__name__)
    return Step("export", f"export to {target.format}, {lengths}", settings, (trained,), modules, form.NEEDS, work)


def _quantize(
    project: Project, target: Target, name: str, quantizer: ModuleType, trained: Step, exported: Step
) -> Step:
    spec, sentences = calibration.load(project.recipe.quantize.calibration, project.recipe.folder)
    texts: list[str] = []
    if quantizer.NEEDS_BATCHES:
        rows = [project.task.texts(row)[0] for row in project.splits.train.rows]
        texts = calibration.texts(spec, sentences, rows)
    keep = Settings(keep_float=project.recipe.quantize.keep_float)

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        source, model = artifact.read(inputs[0]), _cut(artifact.read(inputs[1]), target)
        encoder = tokenization.Encoder(model.folder, model.max_tokens, project.architecture.INPUTS)
        quantize.run(source, name, quantizer, keep, [encoder.encode(text).feeds for text in texts], out)

    settings = {
        "quantizer": name,
        "settings": keep.model_dump(),
        "texts": key_of(texts),
        "max_tokens": target.shape.max_tokens,
    }
    about = f"quantize with {name}" + (f", calibrated on {len(texts)} texts" if texts else "")
    modules = (quantizer.__name__,)
    return Step("quantize", about, settings, (exported, trained), modules, quantizer.NEEDS, work)


def _verify(
    project: Project,
    target: Target,
    trained: Step,
    exported: Step,
    files: dict[str, tuple[Step, ModuleType]],
) -> Step:
    recipe, host, python = project.recipe, measure.host(), Python(target.runtime.environment)
    form = members.find("formats", target.format)
    golden = recipe.bundle.golden
    texts = calibration.load("default", recipe.folder)[1] if golden == "own" else None
    # the CPU stands in for an accelerator: its threads would say nothing of the target
    most = target.hardware.threads if target.hardware.accelerator == "none" else 1
    threads = sorted({1, min(most, host["cores"])})

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        teacher, reference, *rest = [artifact.read(folder) for folder in inputs]
        job = verify.Work(
            teacher=_cut(teacher, target),
            reference=reference,
            shipped=dict(zip(files, rest, strict=True)),
            quantizers={name: quantizer for name, (_, quantizer) in files.items()},
            runtime=target.runtime.name,
            session=target.runtime.session,
            python=python,
            threads=threads,
            golden_texts=texts,
            seed=recipe.seed,
            test_scored=_count_scoring(project),
        )
        verify.run(job, project.task, project.architecture, form, project.splits, out, tell)

    settings = {
        "data": project.splits.digests(),
        "columns": recipe.data.columns,
        "golden": golden,
        "max_tokens": target.shape.max_tokens,
        "runtime": [target.runtime.name, python.key],
        "session": target.runtime.session,
        "threads": threads,
        "host": [host["cpu"], host["cores"], host["board"]],
    }
    workers = [f"edgebert.device.{name}" for name in interpreters.WORKERS]
    modules = ("edgebert.timing", *workers, form.__name__, project.task.__name__)
    steps = (trained, exported, *(step for step, _ in files.values()))
    rows = len(project.splits.test.rows)
    about = f"verify for {target.name} on {rows} test rows"
    needs = ("onnxruntime", "ai_edge_litert", "numpy", "tokenizers", "torch")
    return Step("verify", about, settings, steps, modules, needs, work)


def _count_scoring(project: Project) -> int:
    """How often this recipe's test split was scored, this time included."""
    path = project.store / SCORE_COUNTS
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        counts = {}
    key = f"{project.recipe.name} {project.splits.test.sha256}"
    counts[key] = counts.get(key, 0) + 1
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(counts, indent=1), encoding="utf-8")
    draft.replace(path)
    return int(counts[key])


def _bundle(
    project: Project, target: Target, trained: Step, verified: Step, files: dict[str, tuple[Step, ModuleType]]
) -> Step:
    recipe, gates = project.recipe, project.recipe.gates_for(target)
    provenance = _provenance(project, {"finetune": trained, "export": verified.inputs[1]})

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        results, model, *rest = inputs
        bundle.run(
            bundle.Contents(
                name=recipe.name,
                target=target,
                gates=gates,
                model=_cut(artifact.read(model), target),
                files={name: artifact.read(folder) for name, folder in zip(files, rest, strict=True)},
                verified=results,
                provenance=provenance,
            ),
            out,
        )

    settings = {
        "name": recipe.name,
        "target": target.model_dump(mode="json"),
        "gates": gates.model_dump(),
        "provenance": provenance,
    }
    modules = tuple(f"edgebert.device.{name}" for name in ("selftest", "bundle_main", "runtimes", "measure"))
    steps = (verified, trained, *(step for step, _ in files.values()))
    return Step("bundle", f"bundle for {target.name}", settings, steps, modules, ("jinja2",), work)


def _provenance(project: Project, steps: dict[str, Step]) -> dict[str, Any]:
    """Where a bundle comes from, without any path of this machine."""
    import platform

    recipe = project.recipe
    packages = (
        "torch",
        "transformers",
        "tokenizers",
        "onnx",
        "onnxruntime",
        "litert_torch",
        "ai_edge_quantizer",
    )
    written = recipe.model_dump(mode="json", exclude={"folder"}, exclude_none=True)
    return {
        "versions": {
            "edgebert": fingerprint.versions(["edgebert"]).get("edgebert", ""),
            "python": platform.python_version(),
            **fingerprint.versions((*packages, "ai_edge_litert", "numpy")),
        },
        "source": {
            "model": _portable(recipe.model.source),
            "sha256": sources.fingerprint(project.source).get(sources.WEIGHTS),
            "licence": sources.licence(project.source),
        },
        "data": project.splits.digests(),
        "recipe": _portable(written),
        "seed": recipe.seed,
        "steps": {name: step.key for name, step in steps.items()},
    }


def _portable(value: Any) -> Any:
    """Absolute paths in a recipe's values cut to their last part: they name this machine and its user."""
    if isinstance(value, dict):
        return {key: _portable(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_portable(one) for one in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return Path(value).name
    return value
