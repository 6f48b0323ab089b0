"""adb: an Android phone, through a benchmark binary that the user gives; LiteRT's also answers the golden rows."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgebert.android import bridge, elf, facts, runners
from edgebert.android.benches import Bench, Ids, Timed
from edgebert.android.bridge import Phone
from edgebert.android.facts import Facts
from edgebert.device import bundle as bundles
from edgebert.errors import InputError, SurroundingsError
from edgebert.manifest import Manifest, TargetFacts
from edgebert.proof import Aspect
from edgebert.transports import Job, Observation, Options
from edgebert.verdict import Evidence, Latency

NAME = "adb"
USES: tuple[str, ...] = ("runner", "clean")
TIMED = True
SUSTAINED = False
race = None  # a benchmark binary runs one file at a time
SYSTEM = "android"


def fault(address: str, target: TargetFacts) -> str | None:
    """An address is a serial number as `adb devices` lists it; without one it is the only phone's."""
    if target.system != SYSTEM:
        return (
            f"{NAME} reaches Android phones, and {target.name} runs {target.system}; use --on ssh://user@host, or "
            "--on local on the board itself"
        )
    if address and not bridge.SERIAL.fullmatch(address):
        return f"'{address}' is no serial number as `adb devices` lists them"
    return None


def run(address: str, job: Job, options: Options) -> Observation:
    """Push the model and the runner, time the model, and let the runner answer the rows where it can.

    Raises InputError for the runner, SurroundingsError for the phone.
    """
    runner = _runner(options.runner, job.entry["format"])
    phone = bridge.connect(address, job.limit_s)
    try:
        return _observe(phone, runner, job)
    finally:
        if options.clean:
            with contextlib.suppress(SurroundingsError):  # the run's own end is the news
                phone.remove()


def _runner(given: Path | None, form: str) -> Path:
    """The benchmark binary. Raises InputError where it is missing or cannot run on a phone."""
    source = runners.binary(form).source
    if given is None:
        raise InputError(
            f"--on {NAME} needs --runner PATH, a benchmark binary that is pushed to the phone and run there; for "
            f"this bundle: {source}"
        )
    if (wrong := elf.fault(given)) is not None:
        raise InputError(f"--runner {given}: {wrong}; it must be a program for Android on AArch64: {source}")
    return given


def _observe(phone: Phone, runner: Path, job: Job) -> Observation:
    what = facts.ask(phone)
    if what.abi != facts.ABI:
        raise SurroundingsError(
            f"phone {phone.serial} runs programs for {what.abi or 'an unknown instruction set'}, and "
            f"{job.manifest.target.name} is for {facts.ABI}; connect another phone"
        )
    path = job.bundle / job.entry["file"]
    model, binary = phone.put(path, path.suffix), phone.put(runner, mode="755")
    bench = Bench(phone, binary, model, path, job.entry, job.threads)
    golden = [row["ids"] for row in bundles.golden(str(job.bundle), job.golden)]
    typical = sorted(golden, key=lambda ids: len(next(iter(ids.values()))))[len(golden) // 2]
    before = facts.snapshot(phone)
    timed = bench.time(typical)
    sustained = bench.time(typical, job.sustained_s) if job.sustained_s else None
    record = {"before": before, "during": [], "after": facts.snapshot(phone)}
    rows: list[Ids] = [*golden, *job.rows]
    answers, silent = bench.answer(rows, lambda done: job.tell(done, len(rows)))
    bench.tidy()
    kind, stranger = _kind(what, job.manifest)
    on_target = kind == "device"
    found = {
        "host": what.host(),
        "runtime": _runtime(runner, job),
        "outputs": None if answers is None else answers[: len(golden)],
        "further": None if answers is None else answers[len(golden) :],
        "slowed": facts.faults(record) if on_target else [],
        "conditions": record,
        "sustained": _sustained(sustained, job.sustained_s) if on_target else None,
        "start_up": {"peak_memory_mb": timed.timing.peak_memory_mb} if on_target else {},
        "runner": _told(timed),
    }
    latency = _latency(timed, what, job) if on_target else []
    evidence: dict[Aspect, Evidence] = {}
    if kind is not None:
        evidence["placement"] = kind  # the runner is told to use the CPU, and such a target has nothing else
        if answers is not None:
            evidence["accuracy"] = kind
        if latency:
            evidence["latency"] = kind
    absent = _absent(stranger, silent, latency, found, job)
    return Observation(NAME, found, evidence, not_measured=absent, latency=latency)


def _kind(what: Facts, manifest: Manifest) -> tuple[Evidence | None, str | None]:
    """What a run there is evidence of, and the reason where it is none of the target's speed."""
    target = manifest.target
    if target.accelerator != "none":
        return None, f"the runner ran on the phone's CPU; the {target.accelerator} of {target.name} was not used"
    if what.emulated:
        return "emulator", "an Android emulator is no phone; its times are not the target's"
    if target.board and target.board not in what.board:
        return None, f"this is a {what.board}, and {target.name} is a {target.board}"
    return "device", None


def _latency(timed: Timed, what: Facts, job: Job) -> list[Latency]:
    """The runner's percentiles; none where it prints none."""
    timing, host = timed.timing, what.host()
    if timing.p50_ms is None:
        return []
    found = Latency(
        model=job.entry["id"],
        which="shipped",
        scope="model",
        lengths=timed.tokens,
        threads=job.threads,
        p50_ms=timing.p50_ms,
        p90_ms=timing.p90_ms,
        p99_ms=timing.p99_ms,
        load_ms=timing.load_ms,
        first_ms=timing.first_ms,
        runs=timing.runs,
        evidence="device",
        host=f"{host['board'] or host['cpu']}, {host['cores']} cores",
        measured_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return [found]


def _runtime(runner: Path, job: Job) -> dict[str, str]:
    """The runtime is inside the runner, which does not tell its version: the file's hash names it."""
    with runner.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    name = "litert" if job.entry["format"] == "tflite" else "onnxruntime"
    return {"name": name, "version": f"in the runner {sha256[:12]}", "runner_sha256": sha256}


def _told(timed: Timed) -> dict[str, Any]:
    """What the runner printed, in its own words, and at which length."""
    return {"tokens": timed.tokens, "inputs": timed.inputs, "runs": timed.timing.runs, **timed.timing.printed}


def _sustained(timed: Timed | None, seconds: float) -> dict[str, Any] | None:
    if timed is None or timed.timing.p50_ms is None:
        return None
    timing = timed.timing
    return {"seconds": seconds, "runs": timing.runs, "p50_ms": timing.p50_ms, "p90_ms": timing.p90_ms}


def _absent(
    stranger: str | None, silent: str | None, latency: list[Latency], found: dict[str, Any], job: Job
) -> dict[str, str]:
    """What this run does not tell, and why."""
    absent = {"speedup": "the runner times the shipped file alone"}
    if stranger is not None:
        absent["placement"] = stranger
    if not latency:
        absent["latency_p50_ms"] = stranger or "the runner prints no percentiles; a newer one does"
    if found["start_up"].get("peak_memory_mb") is None:
        absent["peak_memory_mb"] = stranger or "the runner does not print it"
    if job.sustained_s and found["sustained"] is None:
        absent["sustained"] = stranger or "the runner prints no percentiles"
    if silent is not None:
        absent["score"] = silent + ("; the rows of --data were not run" if job.rows else "")
    return absent
