"""Worker on the device that is validated: the self-test and what else was asked for, under a watchdog.

The request is one line of JSON on standard input, which then stays open: when it ends, whoever asked is gone, and
the job ends too. Standard output carries lines of JSON: progress, and last the result.
"""

import ctypes
import json
import os
import sys
import threading
import time
import traceback
from typing import Any, Callable, Dict, List, Sequence

import numpy as np

from . import bundle, conditions, excerpts, measure, runtimes, selftest

ABANDONED = 120  # exit status of a job that nobody waits for any more
MARK, START = 0xEB, 0  # getpriority(MARK, n) has no effect; the instruction counter takes it as a mark
COUNTED = 2  # inferences of each row between marks; the cheaper one is taken
TIMED_S, FEWEST = 60.0, 8  # seconds that timing may take where rows are slow, and rows it takes at least


def run(request: Dict[str, Any], tell: Callable[[int, int], None]) -> Dict[str, Any]:
    """Everything the request asks for; of long outputs what `at` says, row by row, golden ones first.

    `bundle` (a folder), `model` (an id), `golden` (rows to replay, 0: all), `rows` (ids of further rows, by input
    name), `reference` (None, or folder and entry of the fp32 file), `threads`, `rounds` of timing (0: none),
    `sustained_s` seconds of running without a pause. Raises BundleError, RuntimeMissing, ModelUnreadable.
    """
    opened, start = _start_up(request)
    rows = [{name: np.asarray([ids]) for name, ids in row.items()} for row in request["rows"]]
    total = len(opened.feeds) + len(rows)
    answers, further, at = [], [], [row.get("at", {}) for row in opened.golden]
    with conditions.Watch() as watch:
        for number, one in enumerate(opened.feeds):
            answers.append(opened.model.run(one))
            tell(number + 1, total)
        for number, one in enumerate(rows):
            found = {name: array[0] for name, array in opened.model.run(one).items()}
            at.append(excerpts.places(found))
            further.append(_listed(found, at[-1]))
            tell(len(opened.feeds) + number + 1, total)
        peak = measure.peak_memory_mb()  # before the reference is loaded beside it
        runs = {"shipped": opened.model.run}
        if request["reference"] and request["rounds"]:
            given = request["reference"]
            runs["reference"] = runtimes.open_model(given["folder"], given["entry"], request["threads"]).run
        samples = measure.interleaved(
            runs, _affordable(runs, opened.feeds, request["rounds"]), request["rounds"], 0
        )
        sustained = _sustained(opened, request["sustained_s"], tell)
    found = selftest.verdict(opened, answers, samples["shipped"], watch.record())
    return dict(
        found,
        outputs=[_listed({n: array[0] for n, array in one.items()}, told) for one, told in zip(answers, at)],
        further=further,
        at=at,
        samples=samples,
        sustained=sustained,
        start_up=dict(start, peak_memory_mb=round(peak, 1)),
    )


def count(request: Dict[str, Any], tell: Callable[[int, int], None]) -> Dict[str, Any]:
    """Run rows between marks: for each file and row, `COUNTED` inferences.

    `files` are [name, folder, entry], `rows` ids by input name. The emulator's plugin writes what was executed
    between two marks; its lines are in the order of the runs here, each told as [name, number of the row].
    """
    files = request["files"]
    feeds = [{name: np.asarray([ids]) for name, ids in row.items()} for row in request["rows"]]
    mark = ctypes.CDLL(None).getpriority
    order = []  # type: List[Any]
    done = 0
    for which, folder, one in files:
        model = runtimes.open_model(folder, one, 1)
        for number, row in enumerate(feeds):
            model.run(row)
            for _ in range(COUNTED):
                mark(MARK, START)
                model.run(row)
                mark(MARK, len(order) + 1)
                order.append([which, number])
            done += 1
            tell(done, len(files) * len(feeds))
        del model
    return {"order": order}


def race(request: Dict[str, Any], tell: Callable[[int, int], None]) -> Dict[str, Any]:
    """Time files side by side: milliseconds of each on each row, taking turns.

    `contenders` maps a name to folder and entry; `rows` are ids by input name, `seconds` what the rounds may take
    (`measure.within`), `board` what this machine's board must be called for its time to be evidence of the target.
    """
    files = request["contenders"]
    rows = [{name: np.asarray([ids]) for name, ids in row.items()} for row in request["rows"]]
    ran_in = runtimes.versions(next(iter(files.values()))["entry"])
    opened = {
        name: runtimes.open_model(one["folder"], one["entry"], request["threads"]) for name, one in files.items()
    }
    tell(0, 1)
    with conditions.Watch() as watch:
        samples = measure.within({name: one.run for name, one in opened.items()}, rows, request["seconds"], 0)
    record, host = watch.record(), measure.host()
    on_board = selftest.on_board(request["board"], host)
    return {
        "samples": samples,
        "slowed": conditions.faults(record) if on_board else [],
        "conditions": record,
        "host": host,
        "runtime": ran_in,
        "evidence": "device" if on_board else "host",
    }


def _start_up(request: Dict[str, Any]) -> Any:
    """The opened bundle, and milliseconds to load it and to its first answer, the runtime's import apart."""
    entry = bundle.model_entry(bundle.read(request["bundle"]), request["model"])
    runtimes.versions(entry)
    before = measure.peak_memory_mb()
    start = time.perf_counter()
    opened = selftest.open_bundle(request["bundle"], request["golden"], request["threads"], request["model"])
    loaded = time.perf_counter()
    opened.model.run(opened.feeds[0])
    first = time.perf_counter()
    return opened, {
        "load_ms": round((loaded - start) * 1e3, 3),
        "first_ms": round((first - loaded) * 1e3, 3),
        "before_mb": round(before, 1),
    }


def _affordable(runs: Dict[str, Any], feeds: List[Any], rounds: int) -> List[Any]:
    """The rows to time: all, or evenly chosen ones where all would take longer than `TIMED_S` seconds."""
    start = time.perf_counter()
    for model in runs.values() if rounds else ():
        model(feeds[len(feeds) // 2])
    each = time.perf_counter() - start
    count = max(FEWEST, int(TIMED_S / max(each * max(rounds, 1), 1e-6)))
    return feeds if count >= len(feeds) else [feeds[i * len(feeds) // count] for i in range(count)]


def _sustained(opened: Any, seconds: float, tell: Callable[[int, int], None]) -> Any:
    """Milliseconds of one inference after another for `seconds`, percentiles of the whole and of its two ends."""
    if not seconds:
        return None
    samples = []  # type: List[float]
    start = now = time.perf_counter()
    while now - start < seconds:
        opened.model.run(opened.feeds[len(samples) % len(opened.feeds)])
        samples.append((time.perf_counter() - now) * 1e3)
        now = time.perf_counter()
        if len(samples) % 16 == 0:
            tell(int(now - start), int(seconds) or 1)
    quarter = max(1, len(samples) // 4)
    return dict(
        measure.percentiles(samples),
        seconds=round(now - start, 1),
        runs=len(samples),
        first_quarter_p50_ms=measure.percentiles(samples[:quarter])["p50_ms"],
        last_quarter_p50_ms=measure.percentiles(samples[-quarter:])["p50_ms"],
    )


def _listed(outputs: Dict[str, Any], at: excerpts.At) -> Dict[str, List[float]]:
    told = excerpts.cut(outputs, at)
    return {name: [float(value) for value in array.ravel()] for name, array in told.items()}


def _watch_input() -> None:
    """End the process when standard input does: a lost connection or a killed parent leaves no orphan."""
    while sys.stdin.buffer.read(1 << 16):
        continue
    os._exit(ABANDONED)


def _tell(done: int, total: int) -> None:
    print(json.dumps({"done": done, "total": total}), flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run one request; the exit statuses are those of the self-test, a failed check apart: the result tells it."""
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return ABANDONED
    request = json.loads(line)
    threading.Thread(target=_watch_input, daemon=True).start()
    work = {"run": run, "count": count, "race": race}[arguments[0]]
    try:
        result = work(request, _tell)
    except (bundle.BundleError, runtimes.ModelUnreadable) as error:
        print(error, file=sys.stderr)
        return selftest.WRONG_INPUT
    except runtimes.RuntimeMissing as error:
        print(error, file=sys.stderr)
        return selftest.SURROUNDINGS
    except Exception:
        traceback.print_exc()
        return selftest.BUG
    print(json.dumps({"result": result}), flush=True)
    return selftest.PASSED


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)  # the watchdog's thread still reads
