"""verify: every file that ships is scored, timed and inspected as it is; the test split is read here alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebert import scoring, timing
from edgebert.architectures import Architecture
from edgebert.artifact import Artifact
from edgebert.data import Row, Splits
from edgebert.interpreters import Python
from edgebert.manifest import ModelFile, OutOfScopeFacts
from edgebert.measured import FILE, GOLDEN, SAMPLES, Measured
from edgebert.tasks import Outputs, Task
from edgebert.timing import Contender, Request
from edgebert.tokenization import Encoder, Feeds
from edgebert.verdict import Latency, Speedup

if TYPE_CHECKING:
    from edgebert.steps import Tell

GOLDEN_ROWS = 64
# Largest difference of logits, relative to the largest golden logit, that another CPU's rounding may cause. int8:
# outputs of the same file on ARM correlate .9995 or better with x86's, which is 3 % in norm. int8_weights: its
# products are fp32's.
TOLERANCE = {"int8": 0.05, "a16w8": 0.05, "fp16": 0.01, "fp32": 1e-3, "int8_weights": 1e-3}


@dataclass(frozen=True)
class Work:
    """What verify reads: the trained model, the fp32 file, the files that ship with their quantizers.

    `runtime` and `session` are those of the target's profile, `python` is where its files run.
    """

    teacher: Artifact
    reference: Artifact
    shipped: dict[str, Artifact]
    quantizers: dict[str, ModuleType]
    runtime: str
    session: dict[str, str]
    python: Python
    threads: Sequence[int]
    golden_texts: Sequence[str] | None
    seed: int
    test_scored: int

    def entry(self, artifact: Artifact, model: str) -> dict[str, Any]:
        """What the device code needs to know of one of the files."""
        return artifact.entry(model, self.session, self.runtime)


def run(
    work: Work,
    task: Task,
    architecture: Architecture,
    form: ModuleType,
    splits: Splits,
    out: Path,
    tell: Tell,
) -> None:
    """Write measurements, golden rows and raw latency samples to `out`."""
    labels = work.teacher.labels
    ran_in = work.python.runtime(work.reference.folder, work.entry(work.reference, "reference"))
    encoder = Encoder(work.teacher.folder, work.teacher.max_tokens, architecture.INPUTS)
    test = scoring.encode(encoder, task, splits.test.rows)
    dev = scoring.encode(encoder, task, splits.dev.rows)
    outside = _outside(splits, "test", encoder)
    golden_rows = _golden_rows(work.golden_texts, splits, task)
    golden = scoring.encode(encoder, task, golden_rows)
    total = len(test) * (2 + len(work.shipped)) + len(work.shipped) * (len(dev) + len(outside) + len(golden))
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        tell(done, int(total * 1.3))  # what follows the scoring is about a third of its work

    def through(artifact: Artifact, model: str, feeds: Sequence[Feeds]) -> Outputs:
        entry = work.entry(artifact, model)
        return scoring.outputs_of(artifact.folder, entry, feeds, tick, python=work.python)

    teacher = scoring.teacher_outputs(task.model(work.teacher.folder, None).eval(), task.OUTPUTS, test, tick)
    reference = through(work.reference, "reference", test)
    reference_golden = through(work.reference, "reference", golden)
    files, violations, golden_outputs = [], {}, {}
    threshold, facts = None, None
    for number, (model, artifact) in enumerate(work.shipped.items()):
        shipped = through(artifact, model, test)
        answered = {"teacher": teacher, "reference": reference, "shipped": shipped}
        scores = task.scores(splits.test.rows, labels, "test", answered)
        golden_outputs[model] = through(artifact, model, golden)
        violations[model] = work.quantizers[model].violations(artifact.path)
        graph = form.inspect(artifact.path)
        placement = {"npu": None, "gpu": None, "cpu": sum(graph.ops.values())}
        files.append(
            ModelFile(
                **work.entry(artifact, model),
                bytes=artifact.path.stat().st_size,
                parameters=artifact.parameters,
                **graph.model_dump(exclude={"flex_ops"}),
                placement=placement,
                scores=scores,
            )
        )
        if number == 0 and outside:
            threshold = scoring.threshold(through(artifact, model, dev))
            facts = _out_of_scope(threshold, shipped, through(artifact, model, outside))
    _write_golden(out / GOLDEN, golden_rows, golden, golden_outputs, reference_golden, work)
    samples, latency, speedups, peaks = _time(work, task, splits.test.rows, test)
    measured = Measured(
        files=files,
        latency=latency,
        speedup=speedups,
        peak_memory_mb=peaks,
        golden_diff={model: _replayed(work, model, out / GOLDEN) for model in work.shipped},
        violations=violations,
        threshold=threshold,
        out_of_scope=facts,
        chance=task.chance(splits.test.rows),
        ran_in=ran_in,
        test_scored=work.test_scored,
    )
    (out / FILE).write_text(measured.model_dump_json(indent=1), encoding="utf-8")
    (out / SAMPLES).write_text(json.dumps(samples), encoding="utf-8")


def _outside(splits: Splits, split: str, encoder: Encoder) -> list[Feeds]:
    rows = splits.outside[split].rows if split in splits.outside else []
    return [encoder.encode(row["text"]).feeds for row in rows]


def _out_of_scope(threshold: float, inside: Outputs, outside: Outputs) -> OutOfScopeFacts:
    certain_inside, certain_outside = scoring.certainty(inside), scoring.certainty(outside)
    return OutOfScopeFacts(
        auroc=round(scoring.auroc(certain_inside, certain_outside), 6),
        threshold=threshold,
        rows=len(certain_outside),
        false_rejection=round(float((certain_inside < threshold).mean()), 6),
    )


def _golden_rows(texts: Sequence[str] | None, splits: Splits, task: Task) -> list[Row]:
    """At least 64 rows: of dev, spread over it, filled up from train; or unlabelled sentences of our own."""
    if texts is not None:
        return [{"text": text, "label": None} for text in texts[:GOLDEN_ROWS]]
    rows = [*splits.dev.rows, *splits.train.rows]
    pool = len(splits.dev.rows) if len(splits.dev.rows) >= GOLDEN_ROWS else min(len(rows), GOLDEN_ROWS)
    count = min(GOLDEN_ROWS, pool)
    return [rows[i * pool // count] for i in range(count)]


def _write_golden(
    path: Path,
    rows: Sequence[Row],
    feeds: Sequence[Feeds],
    outputs: dict[str, Outputs],
    reference: Outputs,
    work: Work,
) -> None:
    default, *others = outputs
    tolerances = {
        model: TOLERANCE[work.shipped[model].precision] * max(float(np.abs(a).max()) for a in found.values())
        for model, found in outputs.items()
    }
    lines = []
    for i, (row, ids) in enumerate(zip(rows, feeds, strict=True)):
        line = {
            "inputs": {"text": row["text"]},
            "ids": {name: array[0].tolist() for name, array in ids.items()},
            "outputs": _listed(outputs[default], i),
            "reference": _listed(reference, i),
            "label": None if row["label"] is None else str(row["label"]),
            "tolerance": tolerances[default],
        }
        if others:
            line["others"] = {
                model: {"outputs": _listed(outputs[model], i), "tolerance": tolerances[model]} for model in others
            }
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def _listed(outputs: Outputs, row: int) -> dict[str, list[float]]:
    return {name: [float(value) for value in array[row]] for name, array in outputs.items()}


def _replayed(work: Work, model: str, golden: Path) -> float:
    """Largest difference between the golden outputs and those of the same file in a fresh process."""
    artifact = work.shipped[model]
    request = {"folder": str(artifact.folder), "entry": work.entry(artifact, model), "golden": str(golden)}
    return float(work.python.ask("replay", request)["max_abs_diff"])


def _time(
    work: Work, task: Task, rows: Sequence[Row], feeds: Sequence[Feeds]
) -> tuple[dict[str, Any], list[Latency], list[Speedup], dict[str, float]]:
    """Raw samples, their statistics, the speed-up over the reference and peak memory, by model."""
    chosen = np.random.default_rng(work.seed).permutation(len(rows))[: timing.MOST_ROWS]
    texts = [task.texts(rows[i]) for i in chosen]
    raw: dict[str, Any] = {}
    latency: list[Latency] = []
    speedups: list[Speedup] = []
    peaks: dict[str, float] = {}
    reference = work.entry(work.reference, "fp32")
    against = Contender(which="reference", folder=str(work.reference.folder), entry=reference)
    for model, artifact in work.shipped.items():
        shipped = Contender(which="shipped", folder=str(artifact.folder), entry=work.entry(artifact, model))
        contenders = [shipped, against]
        starts = {str(c.which): timing.start_up(c, feeds[chosen[0]], 1, work.python) for c in contenders}
        peaks[model] = starts["shipped"]["peak_memory_mb"]
        for threads in work.threads:
            request = Request(
                contenders=contenders,
                tokenizer=str(work.teacher.folder),
                max_tokens=work.teacher.max_tokens,
                texts=texts,
                threads=threads,
                seed=work.seed,
            )
            timed = timing.time_files(request, work.python)
            raw[f"{model} {threads}"] = timed.samples
            latency += timing.latencies(timed, model, starts if threads == 1 else {}, "host")
            if threads == 1 and (ratio := timing.speedup(timed, model, "host")) is not None:
                speedups.append(ratio)
    return raw, latency, speedups, peaks
