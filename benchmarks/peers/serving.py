"""One engine in a process of its own, in the Python that has it: it makes its files, or answers and is timed.

    python serving.py ENGINE make CHECKPOINT MADE TEXTS.npz
    python serving.py ENGINE serve MADE TEXTS.npz THREADS

Serving reads one JSON command a line and answers each with one: {"time": [rows]} with nanoseconds, {"answer":
FILE} after the logits of all texts are in FILE, {"memory": null} with the process's largest memory in MB.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.update(
    OMP_NUM_THREADS="1",
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    DO_NOT_TRACK="1",
    OLIVE_DISABLE_TELEMETRY="1",
    OPENVINO_TELEMETRY="0",
    NNCF_CI="1",
    CI="true",  # there Olive and OpenVINO send nothing; Olive's own switch lets one message out
)

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    """Make or serve."""
    name, verb, *given = sys.argv[1:]
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes where errors go
    engine = importlib.import_module(f"engines.{name}")
    if verb == "make":
        checkpoint, made, texts = (Path(one) for one in given)
        engine.make(checkpoint, made, read(texts))
        return
    os.environ["OMP_NUM_THREADS"] = given[2]
    serve(engine, Path(given[0]), read(Path(given[1])), int(given[2]), told)


def read(path: Path) -> list[dict[str, Any]]:
    """Texts as feeds: int64 [1, tokens] by input name."""
    with np.load(path) as file:
        ends, arrays = np.cumsum(file["lengths"]), {n: file[n] for n in file.files if n != "lengths"}
    starts = np.concatenate([[0], ends[:-1]])
    return [
        {name: array[None, start:end] for name, array in arrays.items()}
        for start, end in zip(starts, ends, strict=True)
    ]


def serve(engine: Any, made: Path, texts: list[dict[str, Any]], threads: int, told: Any) -> None:
    """Open the engine, say how long that took, then follow commands."""
    start = time.perf_counter_ns()
    run = engine.opened(made, threads)
    loaded = time.perf_counter_ns() - start
    tell(told, {"load_ms": loaded / 1e6})
    for line in sys.stdin:
        command = json.loads(line)
        if "time" in command:
            tell(told, {"ns": [timed(run, texts[row]) for row in command["time"]]})
        elif "answer" in command:
            np.save(command["answer"], np.concatenate([run(feeds) for feeds in texts]))
            tell(told, {"answered": len(texts)})
        else:
            tell(told, {"peak_memory_mb": peak_memory_mb()})


def timed(run: Any, feeds: dict[str, Any]) -> int:
    """Nanoseconds of one inference."""
    start = time.perf_counter_ns()
    run(feeds)
    return time.perf_counter_ns() - start


def peak_memory_mb() -> float:
    """The largest resident size of this process so far, in MB (10^6 bytes)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def tell(told: Any, answer: dict[str, Any]) -> None:
    """One line."""
    told.write(json.dumps(answer) + "\n")
    told.flush()


if __name__ == "__main__":
    main()
