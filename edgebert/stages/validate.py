"""validate: run a finished bundle where it belongs, compare with the host row by row, judge what only it tells."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgebert import members, proof, references, scoring, timing
from edgebert.data import Row
from edgebert.device import bundle as bundles, decoding, excerpts, runtimes
from edgebert.errors import MissingExtraError, SurroundingsError
from edgebert.interpreters import Python
from edgebert.jobs import Tell
from edgebert.manifest import Manifest
from edgebert.proof import Comparison, Proof
from edgebert.references import Shipped
from edgebert.scoring import Question
from edgebert.tasks import Outputs, Task, Window
from edgebert.tokenization import Encoder, Feeds
from edgebert.transports import Job, Observation, Options
from edgebert.verdict import Check, CheckName, Evidence, Latency, Value, holds, judge

ROUNDS = 3  # of timing over the golden rows
FEWEST = 64  # rows that a device must answer before its answers are evidence of accuracy


@dataclass(frozen=True)
class Work:
    """What to validate: a checked bundle and one of its files, where, and with which rows.

    `golden` is how many golden rows are replayed (0: all); `rows` are the rows of a data file, with its sha256.
    """

    shipped: Shipped
    transport: ModuleType
    address: str
    options: Options
    golden: int
    rows: Sequence[Row]
    data: str | None
    reference: Path | None
    threads: int
    sustained_s: float
    limit_s: float


def run(work: Work, tell: Tell) -> Proof:
    """The proof; nothing is written. Raises InputError, SurroundingsError."""
    shipped = work.shipped
    task: Task = members.find("tasks", shipped.manifest.task)
    golden = bundles.golden(str(shipped.folder), work.golden)
    settings = shipped.manifest.decoding
    inputs = [tensor["name"] for tensor in shipped.entry["signature"]["inputs"]]
    encoder = Encoder(shipped.folder, int(settings["max_tokens"]), inputs)
    asked = [_golden_question(task, row) for row in golden]
    asked += scoring.questions(task, encoder, work.rows, settings)
    feeds = [window.feeds for question in asked for window in question.windows]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="edgebert-") as room:
        found = references.find(shipped, work.reference, Path(room))
        job = Job(
            bundle=shipped.folder,
            manifest=shipped.manifest,
            entry=shipped.entry,
            golden=work.golden,
            rows=[{name: array[0].tolist() for name, array in one.items()} for one in feeds[len(golden) :]],
            reference=found.file,
            threads=work.threads,
            rounds=ROUNDS if work.transport.TIMED else 0,
            sustained_s=work.sustained_s,
            limit_s=work.limit_s,
            tell=tell,
        )
        seen: Observation = work.transport.run(work.address, job, work.options)
    on_host, against = _on_host(shipped, golden, feeds)
    on_device = _arrays(seen.found, on_host)
    at = seen.found.get("at") or [row.get("at", {}) for row in golden] + [{}] * (len(feeds) - len(golden))
    tolerance = _tolerance(shipped.entry["id"], golden[0])
    comparison = None
    if on_device is not None:
        comparison = _compare(shipped.manifest, asked, on_host, on_device, at, tolerance, against)
    score, host_score = _scores(task, shipped.manifest, asked, on_device, on_host)
    valid = not seen.found.get("slowed")
    absent, proves = dict(seen.not_measured), dict(seen.evidence)
    if "accuracy" in proves and len(asked) < min(FEWEST, len(bundles.golden(str(shipped.folder)))):
        del proves["accuracy"]
        absent.setdefault("level", f"{len(asked)} rows are no evidence of accuracy; {FEWEST} are")
    if found.no_file is not None:
        absent.setdefault("speedup" if work.transport.TIMED else "instruction_ratio", found.no_file)
    timed = timing.Timed(threads=work.threads, samples=_by_scope(seen.found.get("samples", {})))
    evidence = seen.evidence.get("latency")
    latency = seen.latency
    if timed.samples:
        latency = timing.latencies(
            timed, shipped.entry["id"], _starts(seen), evidence or "host", seen.found["host"]
        )
    checks = _checks(work, seen, comparison, latency) if valid else []
    return Proof(
        schema=proof.SCHEMA,
        bundle=shipped.manifest.name,
        target=shipped.manifest.target.name,
        digest=bundles.digest(str(shipped.folder)),
        model=shipped.entry["id"],
        transport=seen.transport,
        evidence=proves,
        passed=valid and holds(checks) and not (seen.found.get("tokenizer") or {}).get("differ"),
        valid=valid,
        slowed=seen.found.get("slowed", []),
        data=work.data,
        rows=len(asked) if on_device is not None else 0,
        score=score,
        host_score=host_score,
        comparison=comparison,
        checks=checks,
        latency=latency,
        speedup=timing.speedup(timed, shipped.entry["id"], evidence or "host"),
        peak_memory_mb=seen.found.get("start_up", {}).get("peak_memory_mb") if work.transport.TIMED else None,
        sustained=seen.found.get("sustained"),
        instructions=seen.instructions,
        host=seen.found["host"],
        runtime=seen.found["runtime"],
        conditions=seen.found.get("conditions") if work.transport.TIMED else None,
        samples=seen.found.get("samples", {}),
        tokenizer=seen.found.get("tokenizer"),
        runner=seen.found.get("runner"),
        not_measured=absent,
        seconds=round(time.perf_counter() - started, 1),
        measured_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _golden_question(task: Task, line: dict[str, Any]) -> Question:
    """A golden row as it was asked: its columns, with the truth where it has one, and its one window."""
    row = dict(line["inputs"]) if line["label"] is None else {**line["inputs"], task.TRUTH: line["label"]}
    feeds = {name: np.asarray([ids]) for name, ids in line["ids"].items()}
    return Question(row, [Window(feeds, line.get("align", {}))])


def _on_host(
    shipped: Shipped, golden: Sequence[dict[str, Any]], feeds: Sequence[Feeds]
) -> tuple[list[Outputs], Any]:
    """The host's outputs of the same windows: run now, or golden.jsonl's without a runtime here."""
    python = Python(shipped.manifest.target.environment)
    try:
        outputs = scoring.outputs_of(shipped.folder, shipped.entry, feeds, python=python)
        return outputs, "a host run of the same file"
    except (runtimes.RuntimeMissing, SurroundingsError) as error:
        if len(feeds) > len(golden) and isinstance(error, SurroundingsError):
            raise
        if len(feeds) > len(golden):
            extra = "litert" if shipped.entry["format"] == "tflite" else "build"
            raise MissingExtraError("comparing rows of --data with this machine", extra) from None
    long = {name for row in golden for name in row.get("at", {})}
    shapes = {
        one["name"]: one["shape"][1:] for one in shipped.entry["signature"]["outputs"] if one["name"] in long
    }
    recorded = [(_recorded(shipped.entry["id"], row)["outputs"], row.get("at", {})) for row in golden]
    outputs = [excerpts.filled(told, at, shapes) for told, at in recorded]
    return outputs, "the outputs recorded in golden.jsonl"


def _recorded(model: str, row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = row.get("others", {}).get(model, row)
    return found


def _tolerance(model: str, row: dict[str, Any]) -> float:
    return float(_recorded(model, row)["tolerance"])


def _arrays(found: dict[str, Any], like: Sequence[Outputs]) -> list[Outputs] | None:
    """The device's outputs in the shapes of the host's; None where it gave none."""
    if found.get("outputs") is None:
        return None
    rows = [*found["outputs"], *found["further"]]
    at = found.get("at") or [{}] * len(rows)
    return [
        excerpts.filled(row, told, {name: array.shape for name, array in one.items()})
        for row, told, one in zip(rows, at, like, strict=True)
    ]


def _compare(
    manifest: Manifest,
    asked: Sequence[Question],
    on_host: Sequence[Outputs],
    on_device: Sequence[Outputs],
    at: Sequence[excerpts.At],
    tolerance: float,
    against: Any,
) -> Comparison:
    largest, compared, same = 0.0, 0, 0
    windows = [window for question in asked for window in question.windows]
    for window, host, device, told in zip(windows, on_host, on_device, at, strict=True):
        largest = max(largest, excerpts.gap(excerpts.cut(device, told), host, told))
        alike = decoding.same(manifest.task, host, device, window.align, manifest.decoding, tolerance)
        if alike is not None:
            compared += 1
            same += alike
    return Comparison(
        rows=len(asked),
        compared=compared,
        same=same,
        largest=largest if np.isfinite(largest) else None,
        tolerance=tolerance,
        against=against,
    )


def _scores(
    task: Task,
    manifest: Manifest,
    asked: Sequence[Question],
    on_device: Sequence[Outputs] | None,
    on_host: Sequence[Outputs],
) -> tuple[Value | None, Value | None]:
    """The task's metric on the rows whose truth is known, on the device and here."""
    known = [i for i, question in enumerate(asked) if task.truth(question.row) is not None]
    if not known or on_device is None:
        return None, None
    decode = scoring.decoder(manifest.task, manifest.labels, manifest.decoding)
    values = []
    for outputs in (on_device, on_host):
        rest = iter(outputs)
        answers = [decode(question, [next(rest) for _ in question.windows]) for question in asked]
        chosen = [answers[i] for i in known]
        values.append(task.scores([asked[i].row for i in known], "golden", {"shipped": chosen})[0].shipped)
    return values[0], values[1]


def _checks(
    work: Work, seen: Observation, comparison: Comparison | None, latency: Sequence[Latency]
) -> list[Check]:
    """What this run can judge, by the limits that the bundle was built with."""
    model = work.shipped.entry["id"]
    limits = {check.name: check.limit for check in work.shipped.manifest.checks if check.model == model}
    accuracy: Evidence = seen.evidence.get("accuracy", "host")
    found: list[Check | None] = []
    if comparison is not None:
        gap, most = comparison.largest, comparison.tolerance
        close = judge("golden_max_abs_diff", model, gap, most, "max", accuracy, "logits")
        if close is not None and gap is None:
            close.reason = "the device gave outputs that are not finite"
        found.append(close)
        share = comparison.same / comparison.compared if comparison.compared else 1.0
        found.append(judge("agreement", model, share, 1.0, "min", accuracy))
    if seen.instructions is not None:
        ratio = seen.instructions.ratio
        why = None if "latency" in seen.evidence else "counted on another CPU than the target's"
        if ratio is None:
            why = "no reference to count beside it; name one with --reference"
        limit = limits.get("instruction_ratio")
        found.append(judge("instruction_ratio", model, ratio, limit, "max", "emulator", not_judged=why))
    judged = [check for check in [*found, *_speed(work, seen, latency, limits)] if check is not None]
    return _with_recorded(judged, seen.found.get("checks", []), accuracy)


def _with_recorded(judged: list[Check], own: Sequence[dict[str, Any]], evidence: Evidence) -> list[Check]:
    """The checks, each replaced by the self-test's own where only that failed: against golden.jsonl's outputs."""
    passed = {check.name for check in judged if check.status != "fail"}
    reason = "against the outputs recorded in golden.jsonl"
    failed = {
        one["name"]: Check.model_validate({**one, "evidence": evidence, "reason": reason})
        for one in own
        if one["status"] == "fail" and one["name"] in passed
    }
    return [failed.get(check.name, check) for check in judged]


def _speed(
    work: Work, seen: Observation, latency: Sequence[Latency], limits: dict[CheckName, float | None]
) -> list[Check | None]:
    """Milliseconds and memory: judged on the target's board alone."""
    if not work.transport.TIMED:
        return []
    model, evidence = work.shipped.entry["id"], seen.evidence.get("latency", "host")
    why = None if evidence == "device" else "only a run on the board itself tells"
    timed = timing.Timed(threads=work.threads, samples=_by_scope(seen.found.get("samples", {})))
    ratio = timing.speedup(timed, model, evidence)
    p50 = next((one.p50_ms for one in latency if one.which == "shipped"), None)
    peak = seen.found.get("start_up", {}).get("peak_memory_mb")
    silent = seen.not_measured
    no_p50 = None if p50 is not None else silent.get("latency_p50_ms", "it was not timed")
    no_peak = None if peak is not None else silent.get("peak_memory_mb", "it was not measured")
    no_ratio = (
        None if ratio else silent.get("speedup", "no reference was run beside it; name one with --reference")
    )
    return [
        judge(
            "latency_p50_ms",
            model,
            p50,
            limits.get("latency_p50_ms"),
            "max",
            evidence,
            "ms",
            not_judged=no_p50 or why,
        ),
        judge(
            "speedup",
            model,
            ratio.value if ratio else None,
            limits.get("speedup"),
            "min",
            evidence,
            "x",
            ratio.p10 if ratio else None,
            not_judged=why or no_ratio,
        ),
        judge(
            "peak_memory_mb",
            model,
            peak,
            limits.get("peak_memory_mb"),
            "max",
            evidence,
            "MB",
            not_judged=no_peak or why,
        ),
    ]


def _by_scope(samples: dict[str, list[float]]) -> dict[str, dict[str, list[float]]]:
    return {which: {"model": values} for which, values in samples.items() if values}


def _starts(seen: Observation) -> dict[str, dict[str, float]]:
    return {"shipped": seen.found["start_up"]} if "start_up" in seen.found else {}
