"""A recipe and its targets become steps; everything that can be wrong is found before the first one runs."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from edgebert import (
    accuracy_control,
    artifact,
    calibration,
    choosing,
    interpreters,
    members,
    project as projects,
    provenance,
    quantizing_steps,
    schooling,
    scoring,
    target as targets,
    tokenization,
    training_steps,
)
from edgebert.choosing import Asked, Choice
from edgebert.device import measure
from edgebert.errors import InputError, nearest
from edgebert.formats import ExportShape
from edgebert.interpreters import Python
from edgebert.project import Project
from edgebert.races import Ground
from edgebert.recipe import Recipe
from edgebert.stages import bundle, export, race, verify
from edgebert.stages.race import Place
from edgebert.steps import Plan, Race, Step, Tell
from edgebert.store import key_of
from edgebert.target import Target
from edgebert.transports import Options
from edgebert.verdict import Raced

SCORE_COUNTS = "test-scored.json"
ON_ITS_OWN = Options()


def plan(
    recipe: Recipe,
    names: Sequence[str] | None,
    store: Path,
    allow_code: bool = False,
    rerace: bool = False,
    race_on: str | None = None,
    options: Options = ON_ITS_OWN,
) -> Plan:
    """The steps for a recipe's targets (`names` restricts them). Raises InputError, MissingExtraError.

    `rerace`: what the recipe's lock pins is raced again. `race_on`: the board to race on, as `validate --on` has
    it, with the `options` that lead there; nothing is started here.
    """
    chosen = _targets(recipe, names)
    place = None if race_on is None else choosing.place(race_on, recipe, chosen, options)
    project = projects.read(recipe, store, allow_code)
    for target in chosen.values():
        projects.check_members(project, target)
    school = schooling.read(project)
    teacher = trained = training_steps.finetuned(project)
    if school is not None:
        trained = training_steps.distilled(project, school, teacher)
        project = dataclasses.replace(project, architecture=school.architecture)
    trained = training_steps.pruned(project, trained)
    lines = {name: _Line(project, target, teacher, trained) for name, target in chosen.items()}
    chosen_by = {name: line.quantizer(Asked(rerace, place)) for name, line in lines.items()}
    return Plan(
        recipe,
        store,
        chosen,
        bundles={
            name: line.bundle(chosen_by[name].quantizers, chosen_by[name].raced) for name, line in lines.items()
        },
        distil=school.settings if school else None,
        races={
            name: Race(one.race, lines[name].settle, place is not None)
            for name, one in chosen_by.items()
            if one.race
        },
        warnings=list(dict.fromkeys(one for line in lines.values() for one in line.warnings)),
        quantizers={name: f"{', '.join(one.quantizers)}: {one.why}" for name, one in chosen_by.items()},
    )


def _targets(recipe: Recipe, names: Sequence[str] | None) -> dict[str, Target]:
    listed = {target.name: target for target in (targets.buildable(n, recipe.folder) for n in recipe.targets)}
    if not names:
        return listed
    if unknown := [name for name in names if name not in listed]:
        raise InputError(f"-t {unknown[0]}: the recipe does not list it; {nearest(unknown[0], listed)}")
    return {name: listed[name] for name in names}


class _Line:
    """One target's steps after training; `teacher` and `trained`, which ships, are one without a student."""

    def __init__(self, project: Project, target: Target, teacher: Step, trained: Step) -> None:
        self._project, self._target, self._teacher, self._trained = project, target, teacher, trained
        self._exported = _export(project, target, trained)
        self._files: dict[str, Step] = {}
        self.warnings: list[str] = []

    def quantizer(self, asked: Asked) -> Choice:
        """Those of the recipe, of its lock, or of the profile. Raises InputError."""
        found = choosing.choose(self._project.recipe, self._target, asked, self._race)
        if found.warning is not None:
            self.warnings.append(found.warning)
        return found

    def settle(self, raced: Raced) -> Step:
        """The bundle of a race's winner."""
        return self.bundle([raced.quantizer], raced)

    def bundle(self, names: Sequence[str], raced: Raced | None) -> Step:
        """The bundle with a file of each quantizer."""
        project, target, exported = self._project, self._target, self._exported
        files = {}
        for name in names:
            quantizer = members.find("quantizers", name, project.allow_code)
            if quantizer.ID in files:
                raise InputError(f"target '{target.name}': two quantizers make the file '{quantizer.ID}'")
            files[quantizer.ID] = (self._quantized(name, quantizer), quantizer)
        verified = _verify(project, target, self._teacher, self._trained, exported, files)
        return _bundle(project, target, self._teacher, self._trained, verified, files, raced)

    def _quantized(self, name: str, quantizer: ModuleType) -> Step:
        if name not in self._files:
            project, rows = self._project, []
            if quantizer.NEEDS_BATCHES:
                rows = quantizing_steps.calibrating(project)
                if (warning := quantizing_steps.strange_texts(project, rows)) is not None:
                    self.warnings.append(warning)
            steps = (self._trained, self._exported)
            self._files[name] = quantizing_steps.quantized(project, self._target, name, quantizer, rows, *steps)
        return self._files[name]

    def _race(self, ground: Ground, place: Place | None) -> Step:
        project, target, exported, trained = self._project, self._target, self._exported, self._trained
        entrants = {}
        for name in target.candidates:
            quantizer = members.find("quantizers", name, project.allow_code)
            entrants[name] = self._quantized(name, quantizer)
        rows = accuracy_control.sampled(project.splits.dev.rows)

        def work(inputs: list[Path], out: Path, tell: Tell) -> None:
            reference, model, *made = [artifact.read(folder) for folder in inputs]
            model = quantizing_steps.cut(model, target)
            encoder = tokenization.Encoder(model.folder, model.max_tokens, project.architecture.INPUTS)
            asked = scoring.questions(project.task, encoder, rows, model.decoding)
            feeds = [window.feeds for question in asked for window in question.windows]
            race.run(dict(zip(entrants, made, strict=True)), reference, feeds, target, ground, out, tell, place)

        settings = {
            "entrants": list(entrants),
            "ground": ground.model_dump(),
            "rows": key_of(rows),
            "runtime": [target.runtime.name, Python(target.runtime.environment).key],
            "session": target.runtime.session,
        }
        on = {
            "device": f"timed on a {ground.on}",
            "emulator": f"by the instructions of an emulated {ground.on}",
            "host": "timed here",
        }[ground.evidence]
        about = f"race of {', '.join(entrants)} for {target.name}, {on}"
        modules = (
            "edgebert.transports.ssh" if ground.evidence == "device" else "edgebert.transports.qemu",
            "edgebert.device.job",
            "edgebert.device.measure",
            project.task.__name__,
        )
        needs = ("onnxruntime", "ai_edge_litert", "numpy", "tokenizers")
        return Step("race", about, settings, (exported, trained, *entrants.values()), modules, needs, work)


def _shape(project: Project, target: Target) -> ExportShape:
    buckets = target.shape.buckets(project.max_tokens)
    return ExportShape(
        opset=target.opset,
        ir_version=target.ir_version,
        batch=target.shape.batch,
        buckets=buckets,
        dtype="int32" if buckets else "int64",
    )


def _export(project: Project, target: Target, trained: Step) -> Step:
    name = project.recipe.format_for(target)
    form, shape = projects.format_of(project, target), _shape(project, target)

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        export.run(artifact.read(inputs[0]), project.task, project.architecture, form, shape, out)

    lengths = f"{', '.join(map(str, shape.buckets))} tokens" if shape.buckets else "any length"
    settings = {"format": name, "shape": shape.model_dump(), "environment": Python(form.ENVIRONMENT).key}
    modules = (form.__name__, project.task.__name__, project.architecture.__name__)
    about = f"export to {form.GIVES}, {lengths}, {form.way(project.architecture.TRACED)}"
    if name != form.GIVES:
        about += f", as the {'profile' if name == target.format else 'recipe'} asks"
    return Step("export", about, settings, (trained,), modules, form.NEEDS, work)


def _verify(
    project: Project,
    target: Target,
    teacher: Step,
    trained: Step,
    exported: Step,
    files: dict[str, tuple[Step, ModuleType]],
) -> Step:
    recipe, host, python = project.recipe, measure.host(), Python(target.runtime.environment)
    form = projects.format_of(project, target)
    golden = recipe.bundle.golden
    texts = calibration.load("default", recipe.folder)[1] if golden == "own" else None
    # the CPU stands in for an accelerator: its threads would say nothing of the target
    most = target.hardware.threads if target.hardware.accelerator == "none" else 1
    threads = sorted({1, min(most, host["cores"])})

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        teacher, model, reference, *rest = [artifact.read(folder) for folder in inputs]
        job = verify.Work(
            teacher=quantizing_steps.cut(teacher, target),
            model=quantizing_steps.cut(model, target),
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
    modules = ("edgebert.timing", *workers, form.__name__, project.task.__name__, training_steps.decoder(project))
    steps = (teacher, trained, exported, *(step for step, _ in files.values()))
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
    project: Project,
    target: Target,
    teacher: Step,
    trained: Step,
    verified: Step,
    files: dict[str, tuple[Step, ModuleType]],
    raced: Raced | None,
) -> Step:
    recipe, gates = project.recipe, project.recipe.gates_for(target)
    origin = provenance.of(project, {"finetune": teacher, "export": verified.inputs[2]})

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        results, model, *rest = inputs
        bundle.run(
            bundle.Contents(
                name=recipe.name,
                target=target,
                gates=gates,
                model=quantizing_steps.cut(artifact.read(model), target),
                files={name: artifact.read(folder) for name, folder in zip(files, rest, strict=True)},
                verified=results,
                provenance=origin,
                raced=raced,
            ),
            out,
        )

    settings = {
        "name": recipe.name,
        "target": target.model_dump(mode="json"),
        "gates": gates.model_dump(),
        "provenance": origin,
        "raced": raced.model_dump() if raced else None,
    }
    modules = tuple(f"edgebert.device.{name}" for name in ("selftest", "bundle_main", "runtimes", "measure"))
    steps = (verified, trained, *(step for step, _ in files.values()))
    return Step("bundle", f"bundle for {target.name}", settings, steps, modules, ("jinja2",), work)
