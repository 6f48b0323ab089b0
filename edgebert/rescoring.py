"""Score a finished bundle on a user's rows: the shipped file, and what it lost where a reference is at hand."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgebert import artifact, grouping, members, references, scoring, timing, tokenization
from edgebert.artifact import Artifact
from edgebert.data import Row
from edgebert.errors import InputError
from edgebert.interpreters import Python
from edgebert.manifest import Manifest
from edgebert.opening import Bundle, digest, open_bundle, read_rows
from edgebert.references import Shipped
from edgebert.tasks import Answer
from edgebert.timing import Contender, Request
from edgebert.tokenization import Encoder
from edgebert.verdict import Check, Score, holds, judge

Tell = Callable[[int, int], None]


def verify(
    folder: Path,
    path: Path,
    reference: Path | None = None,
    model: str = "",
    tell: Tell = lambda *_: None,
    by: str | None = None,
) -> dict[str, Any]:
    """Scores, latency and checks of a bundle on the rows of a data file.

    `by` names a column: how many rows are right is then told for each of its values, worst first.
    Drop, agreement and speed-up are None with their reason in `not_measured` where no reference can be run.
    Raises InputError for a faulty bundle, data file or reference, SurroundingsError where the environment in which
    the target's files run is absent.
    """
    bundle = open_bundle(folder, model)
    python = Python(bundle.manifest.target.environment)
    python.require()
    manifest, task = bundle.manifest, members.find("tasks", bundle.manifest.task)
    rows = read_rows(manifest, path).rows
    if by is not None and (wrong := grouping.fault(task, rows, by)) is not None:
        raise InputError(f"{path}: {wrong}")
    asked = scoring.questions(task, bundle.encoder, rows, manifest.decoding)
    decode = scoring.decoder(manifest.task, manifest.labels, manifest.decoding)
    with tempfile.TemporaryDirectory() as room:
        found = references.find(Shipped(folder, manifest, bundle.entry), reference, Path(room))
        passes = 1 + (found.file is not None) + (found.teacher is not None)
        count = iter(range(1, passes * len(rows) + 1))

        def tick() -> None:
            tell(next(count), passes * len(rows))

        def ask(where: Path, entry: dict[str, Any]) -> list[Answer]:
            return scoring.answers_of(where, entry, asked, decode, tick, python=python)

        answered = {"shipped": ask(folder, bundle.entry)}
        if found.file is not None:
            entry = _reference_entry(bundle, found.file)
            answered["reference"] = ask(found.file.folder, entry)
        if found.teacher is not None:
            model_of = task.model(found.teacher, None, manifest.decoding).eval()
            named = (found.teacher / artifact.FILE).is_file()
            architecture = members.find(
                "architectures", artifact.read(found.teacher).architecture if named else manifest.architecture
            )
            own = tokenization.difference(folder, found.teacher) is not None
            reading = Encoder(found.teacher if own else folder, bundle.encoder.max_tokens, architecture.INPUTS)
            seen = scoring.questions(task, reading, rows, manifest.decoding)
            answered["teacher"] = scoring.teacher_answers(model_of, task, architecture, seen, decode, tick)
        scores = task.scores(rows, "data", answered)
        timed = _time(bundle, found.file, rows, python)
    checks = _checks(manifest, scores[0], bundle.entry["id"], task.chance(rows))
    latency = timing.latencies(timed, bundle.entry["id"], {}, "host")
    ratio = timing.speedup(timed, bundle.entry["id"], "host")
    return {
        "bundle": manifest.name,
        "digest": digest(folder),
        "target": manifest.target.name,
        "model": bundle.entry["id"],
        "runtime": python.runtime(folder, bundle.entry),
        "rows": len(rows),
        "scores": [score.model_dump() for score in scores],
        "groups": grouping.right(task, rows, answered["shipped"], by) if by is not None else None,
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


def _reference_entry(bundle: Bundle, reference: Artifact) -> dict[str, Any]:
    return reference.entry("fp32", bundle.entry["session"], bundle.entry["runtime"])


def _time(bundle: Bundle, reference: Artifact | None, rows: list[Row], python: Python) -> timing.Timed:
    contenders = [Contender(which="shipped", folder=str(bundle.folder), entry=bundle.entry)]
    if reference is not None:
        entry = _reference_entry(bundle, reference)
        contenders.append(Contender(which="reference", folder=str(reference.folder), entry=entry))
    return timing.time_files(
        Request(
            contenders=contenders,
            task=bundle.manifest.task,
            labels=bundle.manifest.labels,
            decoding=bundle.manifest.decoding,
            tokenizer=str(bundle.folder),
            max_tokens=int(bundle.manifest.decoding["max_tokens"]),
            rows=rows,
            threads=1,
        ),
        python,
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
