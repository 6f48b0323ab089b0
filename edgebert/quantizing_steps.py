"""The step that quantizes: its settings, the texts that ranges are taken of, what holds its file to the gates."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from edgebert import (
    accuracy_control,
    artifact,
    calibration,
    data,
    scoring,
    tokenization,
    training_steps,
)
from edgebert.accuracy_control import Guard
from edgebert.artifact import Artifact
from edgebert.data import Row
from edgebert.errors import InputError
from edgebert.histograms import Method
from edgebert.project import Project
from edgebert.quantizers import Settings
from edgebert.stages import quantize
from edgebert.steps import Step, Tell
from edgebert.store import key_of
from edgebert.target import Target

UNKNOWN_SHARE = 0.1  # of pieces; English in an English vocabulary has some in a thousand


def cut(trained: Artifact, target: Target) -> Artifact:
    """The trained model as the target has it: no text is longer than its longest bucket."""
    return trained.model_copy(update={"max_tokens": min(trained.max_tokens, target.shape.max_tokens)})


def calibrating(project: Project) -> list[Row]:
    """The rows that ranges are taken of. Raises InputError where there are too few."""
    spec, sentences = calibration.load(project.recipe.quantize.calibration, project.recipe.folder)
    return calibration.rows(spec, [project.task.sample(text) for text in sentences], project.splits.train.rows)


def quantized(
    project: Project,
    target: Target,
    name: str,
    quantizer: ModuleType,
    rows: Sequence[Row],
    trained: Step,
    exported: Step,
) -> Step:
    """The file that a quantizer makes of an exported graph, with ranges of `rows` where it takes any.

    Raises InputError for settings it does not know.
    """
    keep_float = [*project.architecture.KEEP_FLOAT, *project.recipe.quantize.keep_float]
    keep = Settings(keep_float=keep_float, ranges=_ranges(project, name, quantizer))
    limits = accuracy_control.limits(project.recipe.gates_for(target), quantizer)
    dev = accuracy_control.sampled(project.splits.dev.rows) if limits is not None else []

    def work(inputs: list[Path], out: Path, tell: Tell) -> None:
        source, model = artifact.read(inputs[0]), cut(artifact.read(inputs[1]), target)
        encoder = tokenization.Encoder(model.folder, model.max_tokens, project.architecture.INPUTS)
        asked = scoring.questions(project.task, encoder, rows, model.decoding)
        batches = [window.feeds for question in asked for window in question.windows]
        guard = None
        if limits is not None:
            held = scoring.questions(project.task, encoder, dev, model.decoding)
            guard = Guard(project.task, model.labels, model.decoding, held, limits)
        quantize.run(source, name, quantizer, keep, batches, guard, out, tell)

    settings = {
        "quantizer": name,
        "settings": keep.model_dump(),
        "rows": key_of(rows),
        "max_tokens": target.shape.max_tokens,
    }
    about = f"quantize with {name}" + (f", calibrated on {len(rows)} rows" if rows else "")
    modules = (quantizer.__name__, project.task.__name__, training_steps.decoder(project))
    if limits is not None:
        settings |= {"limits": dataclasses.asdict(limits), "dev": key_of(dev)}
        about += f", held against {len(dev)} dev rows"
    elif quantizer.tensors is None:
        about += ", without accuracy control"
    return Step("quantize", about, settings, (exported, trained), modules, quantizer.NEEDS, work)


def strange_texts(project: Project, rows: Sequence[Row]) -> str | None:
    """What is told where the tokenizer does not know much of the rows that ranges are taken of, or None."""
    name = project.recipe.quantize.calibration
    texts = data.texts(rows)
    share = tokenization.Encoder(project.source, project.max_tokens, ()).unknown_share(texts)
    if share <= UNKNOWN_SHARE:
        return None
    return (
        f"calibration '{name}': the tokenizer does not know {share:.0%} of the pieces of its {len(rows)} rows, so "
        "ranges are those of unknown text; is it another language? name texts of yours: [quantize] calibration"
    )


def _ranges(project: Project, name: str, quantizer: ModuleType) -> Method:
    """How static ranges are taken. Raises InputError where the quantizer cannot take them so."""
    asked: Method | None = project.recipe.quantize.ranges
    if asked is None:
        return quantizer.RANGES[0] if quantizer.RANGES else "minmax"
    if asked not in quantizer.RANGES:
        told = f"known of it: {', '.join(quantizer.RANGES)}" if quantizer.RANGES else "it measures none"
        raise InputError(f"[quantize] ranges = '{asked}': {name} cannot take ranges so; {told}")
    return asked
