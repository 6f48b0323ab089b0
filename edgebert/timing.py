"""Latency of model files, measured in a process of its own: `python -m edgebert.timing < request > samples`.

The contenders are the files, each alone (`model`: one window of ids to its outputs) and from row to answer
(`end_to_end`: tokenizer, every window, decoding); they take turns on the same rows. Where a target's files run in
another Python there is no tokenizer, and each is timed alone.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from edgebert import members, scoring
from edgebert.device import measure, runtimes
from edgebert.interpreters import OURS, Python, finish
from edgebert.scoring import Question
from edgebert.tasks import Task
from edgebert.tokenization import Encoder
from edgebert.verdict import Evidence, Latency, Speedup

Which = Literal["shipped", "reference"]
SECONDS = 5.0  # the time one measurement may take, contenders together; rows and rounds follow from it
MOST_ROWS = 200
START_UPS = 3


class Contender(BaseModel):
    """A model file: the folder it is in and what the device code needs to open it."""

    which: Which
    folder: str
    entry: dict[str, Any]


class Request(BaseModel):
    """What to time: files of a task, rows and threads."""

    contenders: list[Contender]
    task: str
    labels: list[str]
    decoding: dict[str, Any]
    tokenizer: str
    max_tokens: int
    rows: list[dict[str, Any]]
    threads: int
    seed: int = 0
    seconds: float = Field(default_factory=lambda: SECONDS)


class Timed(BaseModel):
    """Raw samples in milliseconds, [which][scope], all in the same order of texts."""

    threads: int
    samples: dict[str, dict[str, list[float]]]


def time_files(request: Request, python: Python = OURS) -> Timed:
    """Time the request in a process of its own, where nothing else runs."""
    if not python.is_ours:
        return _time_alone(request, python)
    command = [sys.executable, "-m", "edgebert.timing"]
    return Timed.model_validate_json(finish(command, "edgebert.timing", request.model_dump_json()))


def _time_alone(request: Request, python: Python) -> Timed:
    rows = [window.feeds for one in _questions(request) for window in one.windows[:1]]
    found = python.ask(
        "measure",
        {
            "contenders": {c.which: {"folder": c.folder, "entry": c.entry} for c in request.contenders},
            "rows": [{name: array.tolist() for name, array in row.items()} for row in rows],
            "threads": request.threads,
            "seconds": request.seconds,
            "seed": request.seed,
        },
    )
    return Timed(threads=request.threads, samples={which: {"model": samples} for which, samples in found.items()})


def _encoder(request: Request) -> Encoder:
    inputs = [tensor["name"] for tensor in request.contenders[0].entry["signature"]["inputs"]]
    return Encoder(Path(request.tokenizer), request.max_tokens, inputs)


def _task(request: Request) -> Task:
    task: Task = members.find("tasks", request.task, allow_code=True)  # allowed, or the request were not here
    return task


def _questions(request: Request) -> list[Question]:
    return scoring.questions(_task(request), _encoder(request), request.rows[:MOST_ROWS], request.decoding)


def start_up(contender: Contender, feeds: dict[str, Any], threads: int, python: Python = OURS) -> dict[str, float]:
    """Medians of load time, first answer and peak memory over several processes."""
    request = {
        "folder": contender.folder,
        "entry": contender.entry,
        "threads": threads,
        "feeds": {name: array.tolist() for name, array in feeds.items()},
    }
    found = [python.ask("measure", request) for _ in range(START_UPS)]
    return {name: float(np.median([one[name] for one in found])) for name in found[0]}


def _measure(request: Request) -> Timed:
    """The work of the child process."""
    encoder, task = _encoder(request), _task(request)
    decode = scoring.decoder(request.task, request.labels, request.decoding)
    opened = {c.which: runtimes.open_model(c.folder, c.entry, request.threads) for c in request.contenders}

    def ask(one: Question, model: Any) -> None:
        fresh = Question(one.row, task.windows(one.row, encoder, request.decoding))
        decode(fresh, [scoring.run_window(model, window.feeds) for window in fresh.windows])

    runs: dict[str, Any] = {}
    for which, model in opened.items():
        runs[f"{which} model"] = lambda one, model=model: model.run(one.windows[0].feeds)
        runs[f"{which} end_to_end"] = lambda one, model=model: ask(one, model)
    samples = measure.within(runs, _questions(request), request.seconds, request.seed)
    nested: dict[str, dict[str, list[float]]] = {}
    for name, values in samples.items():
        contender, scope = name.split(" ")
        nested.setdefault(contender, {})[scope] = values
    return Timed(threads=request.threads, samples=nested)


def latencies(
    timed: Timed,
    model: str,
    starts: dict[str, dict[str, float]],
    evidence: Evidence,
    host: dict[str, Any] | None = None,
) -> list[Latency]:
    """Statistics of raw samples; `starts` maps shipped and reference to their `start_up`, `host` ran them."""
    host = host or measure.host()
    described = f"{host['board'] or host['cpu']}, {host['cores']} cores"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = []
    for which, scopes in timed.samples.items():
        for scope, samples in scopes.items():
            start = starts.get(which, {}) if scope == "model" else {}
            found.append(
                Latency.model_validate(
                    {
                        "model": model,
                        "which": which,
                        "scope": scope,
                        "lengths": "natural",
                        "threads": timed.threads,
                        **measure.percentiles(samples),
                        "load_ms": start.get("load_ms"),
                        "first_ms": start.get("first_ms"),
                        "runs": len(samples),
                        "evidence": evidence,
                        "host": described,
                        "measured_at": now,
                    }
                )
            )
    return found


def speedup(timed: Timed, model: str, evidence: Evidence) -> Speedup | None:
    """How many times the reference's time is the shipped file's: median, p10 and p90 of the paired ratios."""
    if "reference" not in timed.samples or "shipped" not in timed.samples:
        return None
    ratios = np.divide(timed.samples["reference"]["model"], timed.samples["shipped"]["model"])
    p10, value, p90 = np.percentile(ratios, [10, 50, 90])
    return Speedup(
        model=model,
        against="reference",
        lengths="natural",
        value=round(float(value), 3),
        p10=round(float(p10), 3),
        p90=round(float(p90), 3),
        evidence=evidence,
    )


if __name__ == "__main__":
    print(_measure(Request.model_validate_json(sys.stdin.read())).model_dump_json())  # noqa: T201
