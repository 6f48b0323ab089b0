"""verify: every file that ships is scored, timed and inspected as it is; the test split is read here alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebert import members, scoring, timing, tokenization
from edgebert.architectures import Architecture
from edgebert.artifact import Artifact
from edgebert.data import Splits
from edgebert.device import excerpts
from edgebert.interpreters import Python
from edgebert.manifest import ModelFile, OutOfScopeFacts
from edgebert.measured import FILE, GOLDEN, SAMPLES, Measured
from edgebert.scoring import Question
from edgebert.tasks import Answer, Decoding, Outputs, Task
from edgebert.timing import Contender, Request
from edgebert.tokenization import Encoder
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
    """What verify reads: the teacher, the model that ships, its fp32 file, its files with their quantizers.

    `runtime` and `session` are those of the target's profile, `python` is where its files run.
    """

    teacher: Artifact
    model: Artifact
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
    encoder = Encoder(work.model.folder, work.model.max_tokens, architecture.INPUTS)
    decoding = dict(work.teacher.decoding)
    test = scoring.questions(task, encoder, splits.test.rows, decoding)
    dev = scoring.questions(task, encoder, splits.dev.rows, decoding)
    outside = _outside(splits, "test", task, encoder, decoding)
    golden = _golden(work.golden_texts, splits, task, encoder, decoding)
    first = len(dev) * bool(outside or task.tuned(decoding)) + len(outside)
    total = first + len(test) * (2 + len(work.shipped)) + len(golden) * (1 + len(work.shipped))
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        tell(done, int(total * 1.3))  # what follows the scoring is about a third of its work

    def through(artifact: Artifact, model: str, asked: Sequence[Question]) -> list[Answer]:
        decode = scoring.decoder(task.NAME, labels, decoding)
        entry = work.entry(artifact, model)
        return scoring.answers_of(artifact.folder, entry, asked, decode, tick, python=work.python)

    def golden_outputs(artifact: Artifact, model: str) -> list[Outputs]:
        feeds = [question.windows[0].feeds for question in golden]
        found = scoring.outputs_of(artifact.folder, work.entry(artifact, model), feeds, python=work.python)
        for _ in golden:
            tick()
        return found

    model, artifact = next(iter(work.shipped.items()))
    if task.tuned(decoding):
        decoding |= task.tune(splits.dev.rows, through(artifact, model, dev), decoding)
    elif outside:
        decoding["threshold"] = scoring.threshold(through(artifact, model, dev))
    torch_model = task.model(work.teacher.folder, None, decoding).eval()
    decode = scoring.decoder(task.NAME, labels, decoding)
    taught_by = members.find("architectures", work.teacher.architecture)
    asked, otherwise = test, 0
    other = tokenization.difference(work.model.folder, work.teacher.folder) is not None
    if other or taught_by.INPUTS != architecture.INPUTS:
        reading = Encoder(work.teacher.folder, work.teacher.max_tokens, taught_by.INPUTS)
        asked = scoring.questions(task, reading, splits.test.rows, decoding)
        otherwise = _cut_otherwise(asked, reading, test, encoder)
    answered = {
        "teacher": scoring.teacher_answers(torch_model, task, taught_by, asked, decode, tick),
        "reference": through(work.reference, "reference", test),
    }
    files, violations, facts = [], {}, None
    for number, (model, artifact) in enumerate(work.shipped.items()):
        shipped = through(artifact, model, test)
        scores = task.scores(splits.test.rows, "test", {**answered, "shipped": shipped})
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
                control=artifact.control,
            )
        )
        if number == 0 and outside:
            inside = [one for row, one in zip(splits.test.rows, shipped, strict=True) if task.truth(row) != []]
            facts = _out_of_scope(decoding.get("threshold"), inside, through(artifact, model, outside))
    made = {model: golden_outputs(artifact, model) for model, artifact in work.shipped.items()}
    _write_golden(out / GOLDEN, task, golden, made, golden_outputs(work.reference, "reference"), work)
    samples, latency, speedups, peaks = _time(work, task, test, decoding)
    measured = Measured(
        files=files,
        latency=latency,
        speedup=speedups,
        peak_memory_mb=peaks,
        golden_diff={model: _replayed(work, model, out / GOLDEN) for model in work.shipped},
        violations=violations,
        decoding=decoding,
        out_of_scope=facts,
        chance=task.chance(splits.test.rows),
        cut_otherwise=otherwise,
        ran_in=ran_in,
        test_scored=work.test_scored,
    )
    (out / FILE).write_text(measured.model_dump_json(indent=1), encoding="utf-8")
    (out / SAMPLES).write_text(json.dumps(samples), encoding="utf-8")


def _cut_otherwise(one: Sequence[Question], reading: Encoder, other: Sequence[Question], encoder: Encoder) -> int:
    """How many rows two tokenizers cut into other pieces."""

    def pieces(question: Question, names: list[str]) -> list[list[str]]:
        return [[names[number] for number in window.feeds["input_ids"][0]] for window in question.windows]

    pairs = zip(one, other, strict=True)
    return sum(pieces(a, reading.pieces) != pieces(b, encoder.pieces) for a, b in pairs)


def _outside(splits: Splits, split: str, task: Task, encoder: Encoder, decoding: Decoding) -> list[Question]:
    rows = splits.outside[split].rows if split in splits.outside else []
    return scoring.questions(task, encoder, rows, decoding)


def _out_of_scope(
    threshold: float | None, inside: Sequence[Answer], outside: Sequence[Answer]
) -> OutOfScopeFacts | None:
    """How well texts with a label and texts without one are told apart."""
    if not inside:
        return None
    return OutOfScopeFacts(
        auroc=round(scoring.auroc(scoring.certainty(inside), scoring.certainty(outside)), 6),
        threshold=threshold,
        rows=len(outside),
        false_rejection=round(float(np.mean([scoring.rejected(one) for one in inside])), 6),
        false_acceptance=round(float(np.mean([not scoring.rejected(one) for one in outside])), 6),
    )


def _golden(
    texts: Sequence[str] | None, splits: Splits, task: Task, encoder: Encoder, decoding: Decoding
) -> list[Question]:
    """At least 64 rows: of dev, spread over it, filled up from train; or unlabelled sentences of our own."""
    if texts is not None:
        rows = [task.sample(text) for text in texts[:GOLDEN_ROWS]]
    else:
        known = [*splits.dev.rows, *splits.train.rows]
        pool = len(splits.dev.rows) if len(splits.dev.rows) >= GOLDEN_ROWS else min(len(known), GOLDEN_ROWS)
        count = min(GOLDEN_ROWS, pool)
        rows = [known[i * pool // count] for i in range(count)]
    fitted = [task.fitted(row, encoder, decoding) for row in rows]
    return [Question(row, task.windows(row, encoder, decoding)[:1]) for row in fitted]


def _write_golden(
    path: Path,
    task: Task,
    golden: Sequence[Question],
    outputs: dict[str, list[Outputs]],
    reference: Sequence[Outputs],
    work: Work,
) -> None:
    default, *others = outputs
    tolerances = {
        model: TOLERANCE[work.shipped[model].precision] * max(_largest(one) for one in found)
        for model, found in outputs.items()
    }
    lines = []
    for i, question in enumerate(golden):
        [window] = question.windows
        at = excerpts.places(reference[i])
        inputs = {name: question.row[name] for name in task.COLUMNS if name in question.row and name != task.TRUTH}
        line = {
            "inputs": inputs,
            "ids": {name: array[0].tolist() for name, array in window.feeds.items()},
            "align": window.align,
            "outputs": _listed(outputs[default][i], at),
            "reference": _listed(reference[i], at),
            "label": task.truth(question.row),
            "tolerance": tolerances[default],
        }
        if at:
            line["at"] = at
        if others:
            line["others"] = {
                model: {"outputs": _listed(outputs[model][i], at), "tolerance": tolerances[model]}
                for model in others
            }
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def _largest(outputs: Outputs) -> float:
    return max(float(np.abs(array).max()) for array in outputs.values())


def _listed(outputs: Outputs, at: excerpts.At) -> dict[str, Any]:
    return {name: array.tolist() for name, array in excerpts.cut(outputs, at).items()}


def _replayed(work: Work, model: str, golden: Path) -> float:
    """Largest difference between the golden outputs and those of the same file in a fresh process."""
    artifact = work.shipped[model]
    request = {"folder": str(artifact.folder), "entry": work.entry(artifact, model), "golden": str(golden)}
    return float(work.python.ask("replay", request)["max_abs_diff"])


def _time(
    work: Work, task: Task, asked: Sequence[Question], decoding: Decoding
) -> tuple[dict[str, Any], list[Latency], list[Speedup], dict[str, float]]:
    """Raw samples, their statistics, the speed-up over the reference and peak memory, by model."""
    chosen = np.random.default_rng(work.seed).permutation(len(asked))[: timing.MOST_ROWS]
    first = asked[chosen[0]].windows[0].feeds
    raw: dict[str, Any] = {}
    latency: list[Latency] = []
    speedups: list[Speedup] = []
    peaks: dict[str, float] = {}
    reference = work.entry(work.reference, "fp32")
    against = Contender(which="reference", folder=str(work.reference.folder), entry=reference)
    for model, artifact in work.shipped.items():
        shipped = Contender(which="shipped", folder=str(artifact.folder), entry=work.entry(artifact, model))
        contenders = [shipped, against]
        starts = {str(c.which): timing.start_up(c, first, 1, work.python) for c in contenders}
        peaks[model] = starts["shipped"]["peak_memory_mb"]
        for threads in work.threads:
            request = Request(
                contenders=contenders,
                task=task.NAME,
                labels=work.teacher.labels,
                decoding=decoding,
                tokenizer=str(work.model.folder),
                max_tokens=work.teacher.max_tokens,
                rows=[asked[i].row for i in chosen],
                threads=threads,
                seed=work.seed,
            )
            timed = timing.time_files(request, work.python)
            raw[f"{model} {threads}"] = timed.samples
            latency += timing.latencies(timed, model, starts if threads == 1 else {}, "host")
            if threads == 1 and (ratio := timing.speedup(timed, model, "host")) is not None:
                speedups.append(ratio)
    return raw, latency, speedups, peaks
