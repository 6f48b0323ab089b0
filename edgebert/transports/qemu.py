"""qemu: the target's own instruction set on this machine, in QEMU's user mode; it counts instructions, no time."""

from __future__ import annotations

import json
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edgebert import environments, jobs
from edgebert.device import bundle as bundles
from edgebert.emulation import cpus, userland
from edgebert.errors import nearest
from edgebert.manifest import TargetFacts
from edgebert.proof import ASPECTS, Aspect, Instructions
from edgebert.transports import Job, Observation, Options, result_of
from edgebert.verdict import Evidence

NAME = "qemu"
USES: tuple[str, ...] = ()
TIMED = False
SUSTAINED = False
race = None  # an emulator has no time
COUNTED_ROWS = 4


def fault(address: str, target: TargetFacts) -> str | None:
    """An address is a CPU that QEMU knows; without one it is the profile's."""
    cpu = address or target.cpu
    if target.accelerator != "none":
        return f"{NAME} emulates CPUs; the {target.accelerator} of {target.name} is none"
    if target.runtime not in userland.RUNTIMES:
        return f"{NAME} has no {target.runtime}; it runs {', '.join(userland.RUNTIMES)}"
    if target.arch not in ("aarch64", ""):
        return f"{NAME} emulates aarch64; {target.name} is {target.arch}"
    if not cpu:
        return f"{target.name} names no CPU; choose one: --on {NAME}:cortex-a72; known: {', '.join(cpus.KNOWN)}"
    if cpu not in cpus.KNOWN:
        return f"no CPU '{cpu}' here; {nearest(cpu, cpus.KNOWN)}"
    return None


def run(address: str, job: Job, options: Options) -> Observation:
    """Run the self-test and, beside it, count. Raises SurroundingsError where the userland is not set up."""
    place = environments.place_of(NAME)
    cpu = address or job.manifest.target.cpu
    runtime = job.manifest.target.runtime
    where = f"the emulated {cpu}"
    with tempfile.TemporaryDirectory(prefix="edgebert-") as folder:
        room = Path(folder)
        jobs.copy_code(room)
        tell = _Together(job)
        reference = str(job.reference.folder) if job.reference else None
        request = job.request(str(job.bundle), reference, rounds=0, sustained_s=0)
        stop = threading.Event()
        with ThreadPoolExecutor(1) as beside:
            counting = beside.submit(_counted, job, request, cpu, tell.counting, stop)
            try:
                command = [*userland.command(place, cpu, runtime, room), "-m", "device.job", "run"]
                answered = jobs.follow(command, {**request, "reference": None}, job.limit_s, tell.answering)
                found = result_of(answered, where, job.limit_s, str)
                instructions = counting.result()
            finally:
                stop.set()  # an interrupt or a failure does not wait for the counting
    own = cpu == job.manifest.target.cpu
    evidence: dict[Aspect, Evidence] = dict.fromkeys(ASPECTS, "emulator") if own else {}
    found["host"].update(board=None, cpu=f"{cpu} under {userland.QEMU}")  # no board ran it
    absent = (
        {} if own else {"level": f"{cpu} is not the CPU of {job.manifest.target.name}, {job.manifest.target.cpu}"}
    )
    if instructions is None:
        absent["instruction_ratio"] = f"this {userland.QEMU} loads no plugins; that of Debian 12 does"
        if evidence.pop("latency", None):
            absent["level"] = "without counted instructions nothing tells of the file's speed there"
    return Observation(f"{NAME}:{cpu}", found, evidence, instructions, absent)


def _counted(
    job: Job, request: dict[str, Any], cpu: str, tell: jobs.Tell, stop: threading.Event
) -> Instructions | None:
    """What the plugin counts on some golden rows; None where QEMU loads no plugins."""
    golden = bundles.golden(str(job.bundle))
    rows = [golden[number]["ids"] for number in counted_rows(job.bundle)]
    files = [("shipped", str(job.bundle), job.entry)]
    if (given := request["reference"]) is not None:
        files.append(("reference", given["folder"], given["entry"]))
    found = counted(files, rows, cpu, job.manifest.target.runtime, job.limit_s, tell, stop)
    return None if found is None else summary(found, [len(next(iter(row.values()))) for row in rows])


def counted(
    files: Sequence[tuple[str, str, dict[str, Any]]],
    rows: Sequence[dict[str, list[int]]],
    cpu: str,
    runtime: str,
    limit_s: float,
    tell: jobs.Tell,
    stop: threading.Event | None = None,
) -> dict[str, dict[str, float]] | None:
    """Instructions of one inference of each file on an emulated CPU, by class: see `means`.

    `files` are (name, folder, entry), `rows` token ids by input name. None where QEMU loads no plugins. Raises
    SurroundingsError.
    """
    place = environments.place_of(NAME)
    if not userland.counter(place).exists():
        return None
    with tempfile.TemporaryDirectory(prefix="edgebert-") as folder:
        room = Path(folder)
        jobs.copy_code(room)
        counts = room / "counts.jsonl"
        command = [*userland.command(place, cpu, runtime, room, counts), "-m", "device.job", "count"]
        request = {"files": [list(one) for one in files], "rows": list(rows)}
        finished = jobs.follow(command, request, limit_s, tell, stop=stop)
        order = result_of(finished, f"the emulated {cpu}", limit_s, str)["order"]
        return means(order, [json.loads(line) for line in counts.read_text(encoding="ascii").splitlines()])


def counted_rows(bundle: Path) -> list[int]:
    """Numbers of the golden rows to count: the middles of as many equal parts of all rows sorted by length."""
    rows = bundles.golden(str(bundle))
    order = sorted(range(len(rows)), key=lambda i: (len(next(iter(rows[i]["ids"].values()))), i))
    count = min(COUNTED_ROWS, len(order))
    return [order[(2 * i + 1) * len(order) // (2 * count)] for i in range(count)]


def means(order: Sequence[tuple[str, int]], lines: Sequence[dict[str, int]]) -> dict[str, dict[str, float]]:
    """Instructions by class, the mean over the rows of each row's cheaper run, of each file by name.

    `order` says of what file and row the run up to each mark was, from mark 1.
    """
    runs: dict[tuple[str, int], dict[str, int]] = {}
    for line in lines:
        which, row = order[line["mark"] - 1]
        classes = {name: value for name, value in line.items() if name != "mark"}
        before = runs.get((which, row))
        if before is None or sum(classes.values()) < sum(before.values()):
            runs[which, row] = classes
    found = {}
    for which in dict.fromkeys(name for name, _ in order):
        chosen = [classes for (name, _), classes in runs.items() if name == which]
        total: Counter[str] = Counter()
        for classes in chosen:
            total.update(classes)
        found[which] = {name: value / len(chosen) for name, value in total.items()}
    return found


def summary(found: dict[str, dict[str, float]], tokens: list[int]) -> Instructions:
    """What was counted of the shipped file and, where it ran beside it, of the fp32 one."""
    shipped, reference = found["shipped"], found.get("reference")
    ratio = round(sum(shipped.values()) / sum(reference.values()), 4) if reference else None
    return Instructions(rows=len(tokens), tokens=tokens, shipped=shipped, reference=reference, ratio=ratio)


class _Together:
    """Progress of two workers as one."""

    def __init__(self, job: Job) -> None:
        self._tell, self._lock = job.tell, threading.Lock()
        self._parts = {"answering": (0, 1), "counting": (0, 1)}

    def answering(self, done: int, total: int) -> None:
        """The worker that answers rows is so far."""
        self._heard("answering", done, total)

    def counting(self, done: int, total: int) -> None:
        """The worker under the plugin is so far."""
        self._heard("counting", done, total)

    def _heard(self, name: str, done: int, total: int) -> None:
        with self._lock:
            self._parts[name] = (done, total)
            share = sum(part / whole for part, whole in self._parts.values()) / len(self._parts)
            self._tell(int(1000 * share), 1000)
