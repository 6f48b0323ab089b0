"""Tables for people; figures are those of the manifest, and each says how it was obtained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgebert.device.bundle import golden
from edgebert.distillation import Distil
from edgebert.judgement import FLOAT_PRODUCTS, speed_not_judged
from edgebert.lines import example
from edgebert.manifest import Manifest, ModelFile
from edgebert.proof import Proof
from edgebert.report import answers as answers_of, cells, proofs as proofs_of
from edgebert.steps import Outcome, Plan
from edgebert.store import Store
from edgebert.target import Target
from edgebert.verdict import Check, Score, Value


def verdicts(outcomes: Sequence[Outcome], targets: dict[str, Target], program: str) -> RenderableType:
    """The table a build ends with, and below it what failed, where the bundles are and what to do next.

    `program` is how the user called EdgeBERT, so that the commands can be copied.
    """
    first = outcomes[0].manifest.score()
    table = Table(title=outcomes[0].manifest.name, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("target", "file", "MB", "teacher", "shipped (95 %)", "agrees", "speed-up", "level", "verdict"):
        numeric = name in ("MB", "teacher", "shipped (95 %)", "agrees", "speed-up")
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for outcome in outcomes:
        for i, file in enumerate(outcome.manifest.models):
            table.add_row(*_row(outcome, file, targets[outcome.verdict.target], first=i == 0))
    rows = first.shipped.rows if first.shipped else 0
    legend = (
        f"{first.metric} on {rows} test rows, of the file that ships. teacher: the fp32 model. agrees: same "
        "answer as the fp32 model. level: the weakest evidence behind the verdict. MB: 10^6 bytes."
    )
    return Group(table, Text(legend, style="dim"), *_notes(outcomes, targets), *_places(outcomes, program))


def _row(outcome: Outcome, file: ModelFile, target: Target, first: bool) -> list[RenderableType]:
    score = file.scores[0]
    ratios = [s for s in outcome.manifest.speedup if s.model == file.id and s.against == "reference"]
    proven = [ratio for ratio in ratios if ratio.evidence == "device"]
    ratio = next(reversed(proven or ratios), None)
    judged = bool(proven) or (ratio is not None and speed_not_judged(target) is None)
    speed = f"{ratio.value:.1f}x ({ratio.p10:.1f}-{ratio.p90:.1f})" if ratio and judged else "not judged"
    failed = any(check.status == "fail" for check in outcome.manifest.checks if check.model == file.id)
    return [
        outcome.verdict.target if first else "",
        file.id,
        f"{file.bytes / 1e6:.1f}",
        cells.number(score.teacher),
        cells.with_interval(score.shipped),
        cells.number(score.agreement),
        Text(speed, "" if judged else "dim"),
        outcome.manifest.level if first else "",
        Text("failed", "bold red") if failed else Text("passed", "green"),
    ]


def _notes(outcomes: Sequence[Outcome], targets: dict[str, Target]) -> list[RenderableType]:
    """What the figures do not say by themselves, and every check that failed."""
    lines: list[RenderableType] = []
    facts = outcomes[0].manifest.out_of_scope
    if facts is not None and facts.auroc is not None:
        limit = "one for each label" if facts.threshold is None else f"{facts.threshold:.2f}"
        lines.append(f"Out of scope: AUROC {facts.auroc:.3f} on {facts.rows} texts, threshold {limit}.")
    unjudged = [
        o.verdict.target for o in outcomes if speed_not_judged(targets[o.verdict.target]) and not _timed(o)
    ]
    if unjudged:
        lines.append(Text(f"Speed of {', '.join(unjudged)} cannot be judged on this machine.", style="dim"))
    for outcome in outcomes:
        target = targets[outcome.verdict.target]
        if target.hardware.accelerator != "none":
            said = (
                f"{target.name}: scored in ONNX Runtime on this machine's CPU; {target.runtime.name} did not run."
            )
            lines.append(Text(said, style="dim"))
        failed = [check for check in outcome.verdict.checks if check.status == "fail"]
        lines += [Text(f"{target.name}: {check.describe()}", style="red") for check in failed]
        if outcome.older_kept:
            older = outcome.folder.with_suffix("")
            lines.append(Text(f"{target.name}: an older bundle that passed stays in {older}.", style="yellow"))
    return lines


def _timed(outcome: Outcome) -> bool:
    """Whether a board has told its speed."""
    return any(one.evidence == "device" for one in outcome.manifest.latency)


def _places(outcomes: Sequence[Outcome], program: str) -> list[RenderableType]:
    """Where each bundle is, and the next commands to try."""
    lines: list[RenderableType] = [""]
    for outcome in outcomes:
        files = ", ".join(file.file for file in outcome.manifest.models)
        state = "" if outcome.verdict.passed else "  failed: do not ship"
        lines.append(Text.assemble(f"  {outcome.folder}", (f"  {files}{state}", "dim"), overflow="fold"))
    passed = [outcome for outcome in outcomes if outcome.verdict.passed]
    shown = (passed or list(outcomes))[0].folder
    if passed:
        asked = json.dumps(example(golden(str(shown), 1)[0]["inputs"]))
        said = asked if asked.startswith('"') else f"'{asked}'"
        lines += ["", Text(f"Next: {program} predict {shown} {said}", overflow="fold")]
    return [*lines, Text(f"{'      ' if passed else 'Next: '}{program} show {shown}")]


def bundle(manifest: Manifest, digest: str, folder: Path, proofs: Sequence[Proof]) -> RenderableType:
    """What `show BUNDLE` prints: scores, checks, latency, proofs; of a manifest with its proofs merged."""
    labels = [f"{len(manifest.labels)} labels"] if manifest.labels else []
    lines: list[RenderableType] = [
        Text.assemble((f"{manifest.name} for {manifest.target.name}", "bold"), f"  {folder}"),
        f"{', '.join([manifest.task, manifest.architecture, *labels])}; level: {manifest.level}",
        Text(f"digest {digest}", style="dim"),
    ]
    scores = Table(
        "file", "metric", "teacher", "reference", "shipped", "drop (points)", "agrees", header_style="bold"
    )
    for file in manifest.models:
        for score in file.scores:
            agrees, drop = cells.number(score.agreement), cells.drop(score.drop)
            scores.add_row(
                file.id,
                score.metric,
                *(cells.with_interval(v) for v in (score.teacher, score.reference, score.shipped)),
                drop,
                agrees,
            )
    lines.append(scores)
    lines.append(cells.checks(manifest.checks))
    times = Table(
        "file",
        "which",
        "scope",
        "threads",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "runs",
        "evidence",
        header_style="bold",
    )
    for one in manifest.latency:
        figures = (
            f"{one.p50_ms:.2f}",
            cells.milliseconds(one.p90_ms),
            cells.milliseconds(one.p99_ms),
            str(one.runs),
            one.evidence,
        )
        times.add_row(one.model, one.which, one.scope, str(one.threads), *figures)
    lines.append(times)
    if manifest.latency:
        lines.append(Text(f"timed on {manifest.latency[0].host}, {manifest.latency[0].measured_at}", style="dim"))
    for file in manifest.models:
        kept = f"; of higher precision: {', '.join(file.kept_float)}" if file.kept_float else ""
        products = f"int8 share of matrix products {file.int8_matmul_share:.3f}{kept}"
        if file.precision in FLOAT_PRODUCTS:
            products = f"{file.precision}, all matrix products in floating point"
        lines.append(f"{file.id}: {file.file}, {file.bytes / 1e6:.1f} MB, {products}")
        if file.control:
            lines.append(f"{file.id}: {_controlled(file.control, file.precision)}")
    lines += [proofs_of.said(one) for one in proofs]
    made = manifest.provenance
    if pieces := made.pruning.get("vocabulary"):
        lines.append(
            f"vocabulary: {pieces['pieces']} of {pieces['of']} pieces; "
            f"{pieces['test_rows_cut_otherwise']} test rows are cut into others"
        )
    lines.append(
        f"from {made.source['model']} (sha256 {str(made.source['sha256'])[:16]}), built {made.built_at}; "
        f"the test split was scored {made.test_scored} times"
    )
    return Group(*lines)


def _controlled(control: Mapping[str, Any], precision: str) -> str:
    """What accuracy control did to a file, in a sentence."""
    done = ["evened out ranges"] * control["equalized"]
    if given := control["given_back"]:
        wider = "with 16-bit weights (HTP v73 or newer)" if precision == "a16w8" else "in float"
        done.append(f"gave {len(given)} products back {wider}")
    figures = [
        f"{name} {control['dev']['before'][key]:.{digits}f} to {control['dev']['after'][key]:.{digits}f}"
        for key, name, digits in (("agreement", "agreement", 3), ("drop_points", "points of drop", 2))
        if control["dev"]["before"][key] is not None
    ]
    held = "" if control["holds"] else "; the gates do not hold there"
    told = " and ".join(done) or "found nothing that helps"
    return f"accuracy control {told}: {', '.join(figures)}, on {control['rows']} dev rows{held}"


def plan(found: Plan, store: Store) -> RenderableType:
    """The steps, whether each is there already, and the gates in force."""
    steps = Table("step", "what", "state", header_style="bold", box=box.SIMPLE_HEAD)
    for step in found.steps():
        cached = store.find(step.stage, step.key) is not None
        steps.add_row(step.stage, step.about, Text("cached", "green") if cached else "to run")
    gates = Table("target", "quantizers", "gates", header_style="bold", box=box.SIMPLE_HEAD)
    for name, target in found.targets.items():
        limits = found.recipe.gates_for(target).model_dump(exclude_none=True)
        listed = ", ".join(f"{key} = {value:g}" for key, value in limits.items())
        gates.add_row(name, found.quantizers[name], listed)
    warnings = [Text(f"warning: {one}", style="yellow") for one in found.warnings]
    return Group(steps, gates, *_student(found.distil), *warnings)


def _student(settings: Distil | None) -> list[RenderableType]:
    """How the student learns, with nothing left open."""
    if settings is None:
        return []
    table = Table(r"\[distil]", "", header_style="bold", box=box.SIMPLE_HEAD)
    for key, value in settings.model_dump(mode="json", exclude_none=True).items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, one in parts:
            table.add_row(f"{key}.{part}" if part else key, Text(json.dumps(one)))
    return [table]


def predictions(answers: Sequence[dict[str, Any]]) -> RenderableType:
    """One line a text, or a line for each thing found in it."""
    if (special := answers_of.table(answers)) is not None:
        return special
    table = Table("label", "score", "", header_style="bold", box=box.SIMPLE_HEAD)
    for answer in answers:
        notes = []
        if answer.get("in_scope") is False:
            notes.append("below the out-of-scope threshold")
        if answer["truncated"]:
            notes.append("text was cut")
        found = answer.get("labels", [answer])
        names = ", ".join(one["label"] for one in found) or "none"
        table.add_row(names, ", ".join(f"{one['score']:.3f}" for one in found), "; ".join(notes))
    return table


def rescored(found: dict[str, Any]) -> RenderableType:
    """What `verify` found on the user's rows."""
    table = Table(
        "metric",
        "teacher",
        "reference",
        "shipped",
        "drop (points)",
        "agrees",
        header_style="bold",
        box=box.SIMPLE_HEAD,
    )
    scores = [Score.model_validate(score) for score in found["scores"]]
    for score in scores:
        values = (score.teacher, score.reference, score.shipped)
        table.add_row(
            score.metric, *map(cells.with_interval, values), cells.drop(score.drop), cells.number(score.agreement)
        )
    lines: list[RenderableType] = [table, cells.checks([Check.model_validate(check) for check in found["checks"]])]
    if found["groups"] is not None:
        lines.append(_groups(found["groups"]))
    one = next(x for x in found["latency"] if x["which"] == "shipped" and x["scope"] == "model")
    ratio = found["speedup"]
    faster = (
        f"; {ratio['value']:.2f}x the reference's speed ({ratio['p10']:.2f}-{ratio['p90']:.2f})" if ratio else ""
    )
    lines.append(f"p50 {one['p50_ms']:.2f} ms, p99 {one['p99_ms']:.2f} ms on {one['host']}, one thread{faster}")
    lines += [
        Text(f"{name} not measured: {reason}", style="dim") for name, reason in found["not_measured"].items()
    ]
    return Group(*lines)


def _groups(groups: dict[str, Any]) -> RenderableType:
    """Rows that are right for each value of a column."""
    if not groups:
        return "answers of this task are not right or wrong, so no column tells them apart"
    table = Table("rows that are", "number", "right (95 %)", header_style="bold", box=box.SIMPLE_HEAD)
    for name, share in groups.items():
        value = Value.model_validate(share)
        table.add_row(Text(name), str(value.rows), cells.with_interval(value))
    return table
