"""Time and memory of models on this machine: raw samples first, statistics derived from them."""

import json
import os
import platform
import random
import sys
import time
from typing import Any, Callable, Dict, List, Sequence

import numpy as np

from . import runtimes

WARM_UP = 5


def interleaved(
    runs: Dict[str, Callable[[Any], Any]], rows: Sequence[Any], rounds: int, seed: int
) -> Dict[str, Any]:
    """Milliseconds of each contender on each row, [contender][sample], rows in random order.

    The contenders take turns on the same row and which goes first changes, so that what the machine does beside
    this hits all of them alike. No rounds: nothing is run, and there are no samples.
    """
    if not rounds:
        return {name: [] for name in runs}
    order = random.Random(seed)
    names = sorted(runs)
    for name in names:
        for row in rows[:WARM_UP]:
            runs[name](row)
    samples: Dict[str, List[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for row in order.sample(list(rows), len(rows)):
            for name in order.sample(names, len(names)):
                start = time.perf_counter()
                runs[name](row)
                samples[name].append((time.perf_counter() - start) * 1e3)
    return samples


def within(
    runs: Dict[str, Callable[[Any], Any]], rows: Sequence[Any], seconds: float, seed: int
) -> Dict[str, Any]:
    """`interleaved`, with as many rows, and rounds of them, as about `seconds` allow: 20 rows at least, 5 rounds
    at most."""
    trial = interleaved(runs, rows[:10], 1, seed)
    each = sum(float(np.median(samples)) for samples in trial.values()) / 1e3
    affordable = max(20, int(seconds / each))
    rounds = min(5, max(1, affordable // len(rows)))
    return interleaved(runs, rows[:affordable], rounds, seed)


def take_turns(contenders: Dict[str, Any], rows: Sequence[Any], threads: int, seconds: float, seed: int) -> Any:
    """Milliseconds of each file on each row, as `within` takes them; for a process of its own.

    `contenders` maps a name to folder and entry; `rows` are feeds, integers [1, tokens] by input name.
    """
    opened = {name: runtimes.open_model(c["folder"], c["entry"], threads) for name, c in contenders.items()}
    return within({name: model.run for name, model in opened.items()}, rows, seconds, seed)


def percentiles(samples: Sequence[float]) -> Dict[str, float]:
    """p50, p90 and p99 of samples in milliseconds."""
    p50, p90, p99 = np.percentile(np.asarray(samples), [50, 90, 99])
    return {"p50_ms": round(float(p50), 4), "p90_ms": round(float(p90), 4), "p99_ms": round(float(p99), 4)}


def start_up(folder: str, entry: Dict[str, Any], feeds: Any, threads: int) -> Dict[str, float]:
    """Load time, time of the first answer and the process's peak memory; for a process of its own.

    Peak memory is VmHWM, the highest resident set (interpreter, numpy and runtime included), in 10^6 bytes;
    `before_mb` is what the process held before the model was loaded.
    """
    runtimes.versions(entry)  # imports the runtime, so that its import is not counted as loading
    before = peak_memory_mb()
    start = time.perf_counter()
    model = runtimes.open_model(folder, entry, threads)
    loaded = time.perf_counter()
    model.run(feeds)
    first = time.perf_counter()
    return {
        "load_ms": round((loaded - start) * 1e3, 3),
        "first_ms": round((first - loaded) * 1e3, 3),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "before_mb": round(before, 1),
    }


def peak_memory_mb() -> float:
    """Highest resident set of this process so far, in 10^6 bytes."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def host() -> Dict[str, Any]:
    """What machine this is, without its name or its user's."""
    return {
        "board": _text("/proc/device-tree/model"),
        "cpu": _cpu(),
        "arch": platform.machine(),
        "cores": os.cpu_count() or 1,
        "kernel": platform.release(),
        "system": platform.system(),
        "python": platform.python_version(),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    }


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.lower().startswith(("model name", "hardware")):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _text(path: str) -> Any:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ") or None
    except OSError:
        return None


def _main() -> None:
    """Worker: a JSON request on standard input; on standard output its `start_up`, or samples of several files."""
    request = json.load(sys.stdin)
    threads = request["threads"]
    if "contenders" in request:
        rows = [_feeds(row) for row in request["rows"]]
        found = take_turns(request["contenders"], rows, threads, request["seconds"], request["seed"])
    else:
        found = start_up(request["folder"], request["entry"], _feeds(request["feeds"]), threads)
    print(json.dumps(found))


def _feeds(row: Dict[str, Any]) -> Dict[str, Any]:
    return {name: np.asarray(ids) for name, ids in row.items()}


if __name__ == "__main__":
    _main()
