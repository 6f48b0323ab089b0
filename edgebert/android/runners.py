"""The benchmark binaries of LiteRT and ONNX Runtime: their options, and what they print.

Options and formats are those of benchmark_model (LiteRT's tflite/tools/benchmark, before that TensorFlow's),
benchmark_litert_model (LiteRT's litert/tools) and onnxruntime_perf_test (onnxruntime/test/perftest).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

RUNS = 100
WARM_UP = 5
_SHARED = ("CANNOT LINK EXECUTABLE", "cannot locate symbol")


@dataclass(frozen=True)
class Timing:
    """What a runner prints of its timed runs, in ms and 10^6 bytes; None: it does not print it.

    `printed` holds all its figures in its own words and units.
    """

    runs: int
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    peak_memory_mb: float | None = None
    printed: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Binary:
    """A runner: its name, and what to get from where."""

    name: str
    source: str


BENCHMARK_MODEL = Binary(
    "benchmark_model",
    "LiteRT's benchmark_model for android_aarch64, the Interpreter API's, which also writes outputs "
    "(https://ai.google.dev/edge/litert/models/measurement)",
)
PERF_TEST = Binary(
    "onnxruntime_perf_test",
    "ONNX Runtime's onnxruntime_perf_test, built for Android's arm64-v8a and linked statically "
    "(https://onnxruntime.ai/docs/build/android.html, without --build_shared_lib)",
)


def binary(form: str) -> Binary:
    """The runner of a model format."""
    return BENCHMARK_MODEL if form == "tflite" else PERF_TEST


def tflite_words(
    model: str, tokens: int, threads: int, inputs: Mapping[str, str], seconds: float, runs: int = RUNS
) -> list[str]:
    """Options that time one signature; `inputs`: files of raw int32 [1, tokens] by name, in the model's order."""
    warm_up = [f"--warmup_runs={WARM_UP}"] if runs > 1 else ["--warmup_runs=0", "--warmup_min_secs=-1"]
    least = seconds if runs > 1 else -1  # never less than this, which one inference alone does not want
    return [
        f"--graph={model}",
        f"--signature_to_run_for=tokens_{tokens}",
        f"--num_threads={threads}",
        f"--num_runs={runs}",
        f"--min_secs={least:g}",
        f"--max_secs={max(seconds, 150):g}",
        *warm_up,
        "--use_xnnpack=true",
        f"--input_layer={','.join(inputs)}",
        f"--input_layer_shape={':'.join(f'1,{tokens}' for _ in inputs)}",
        f"--input_layer_value_files={','.join(f'{name}:{path}' for name, path in inputs.items())}",
    ]


def onnx_words(
    model: str, free: Mapping[str, int], threads: int, session: Mapping[str, str], seconds: float = 0
) -> list[str]:
    """Options that time one length; `free` maps free dimensions to sizes, `session` is the manifest's.

    The tool fills its inputs with zeros. It runs RUNS times, or for `seconds`.
    """
    entries = ["-C", " ".join(f"{key}|{value}" for key, value in session.items())] if session else []
    dimensions = [word for name, size in free.items() for word in ("-f", f"{name}:{size}")]
    times = ["-m", "duration", "-t", f"{seconds:.0f}"] if seconds else ["-m", "times", "-r", str(RUNS)]
    return ["-e", "cpu", "-x", str(threads), "-y", "1", *times, "-s", "-I", *dimensions, *entries, model]


def parse(form: str, text: str) -> Timing:
    """The figures in what a runner printed. Raises ValueError where there are none."""
    return _tflite(text) if form == "tflite" else _onnx(text)


def ignored(text: str) -> set[str]:
    """Names of options that a benchmark_model says it does not know; it goes on without them."""
    said = re.findall(r"Unconsumed cmdline flags: (.*)", text)
    return {word.removeprefix("--").partition("=")[0] for line in said for word in line.split()}


def why(output: str, last: str) -> str:
    """Why a runner failed, in its own words, with what mends it where that is known."""
    if any(words in output for words in _SHARED):
        missing = next(line.strip() for line in output.splitlines() if any(words in line for words in _SHARED))
        return f"{missing}; give a runner that is linked statically to its runtime"
    errors = [line.strip() for line in output.splitlines() if re.search(r"\b(error|fatal)\b", line, re.IGNORECASE)]
    return errors[0] if errors else last  # later ones only say that it failed


def _tflite(text: str) -> Timing:
    """The last line of statistics is that of the timed runs, an earlier one the warm-up's; microseconds.

    Newer builds print p5, median and p95, older ones no percentile; p90 and p99 are printed by none.
    benchmark_litert_model adds a table of milliseconds, which is read where the line is not there.
    """
    lines = [line for line in text.splitlines() if re.search(r"\bcount=\d+", line)]
    printed = {name: float(value) for name, value in re.findall(r"(\w+)=([-+.\de]+)", lines[-1])} if lines else {}
    if printed.get("count") == 1 or "(all same)" in "".join(lines[-1:]):
        printed |= dict.fromkeys(("avg", "min", "max"), printed["curr"])
    said = re.search(r"Init: ([-+.\de]+), First inference: ([-+.\de]+)", text)
    table = re.findall(r"Inference \((avg|min|max)\):\s+([\d.]+) ms(?: \((\d+) runs\))?", text)
    if not printed and table:
        printed = {name: float(value) * 1e3 for name, value, _ in table}
        printed["count"] = float(next((runs for _, _, runs in table if runs), 0))
    if not printed.get("count") or not ("avg" in printed or "median" in printed):
        raise ValueError("it prints no line of 'count=', 'avg=' or 'median='")
    first = {"init": float(said[1]), "first_inference": float(said[2])} if said else {}
    median = printed.get("median")
    return Timing(
        runs=int(printed["count"]),
        p50_ms=None if median is None else median / 1e3,
        load_ms=first["init"] / 1e3 if first else None,
        first_ms=first["first_inference"] / 1e3 if first else None,
        printed={f"{name}_us": value for name, value in (printed | first).items() if name != "count"},
    )


def _onnx(text: str) -> Timing:
    """Lines as `P50 Latency: 0.0123 s`, or `P50 Latency is 0.0123 sec` in older builds."""
    latency = {
        name.lower(): float(value) * 1e3
        for name, value in re.findall(r"(Min|Max|P\d+) Latency(?: is|:) *([-+.\de]+) *s", text)
    }
    average = re.search(r"Average (?:inference )?time cost: *([-+.\de]+) *ms", text)
    if average is None and "p50" not in latency:
        raise ValueError("it prints neither 'P50 Latency' nor 'Average inference time cost'")
    if average is not None:
        latency["avg"] = float(average[1])
    runs = re.search(r"Total (?:inference requests|iterations): *(\d+)", text)
    created = re.search(r"Session creation time cost: *([-+.\de]+) *s", text)
    first = re.search(r"First inference time cost: *([-+.\de]+) *ms", text)
    peak = re.search(r"Peak working set size: *(\d+)", text)
    return Timing(
        runs=int(runs[1]) if runs else RUNS,
        p50_ms=latency.get("p50"),
        p90_ms=latency.get("p90"),
        p99_ms=latency.get("p99"),
        load_ms=float(created[1]) * 1e3 if created else None,
        first_ms=float(first[1]) if first else None,
        peak_memory_mb=round(int(peak[1]) / 1e6, 1) if peak else None,
        printed={f"{name}_ms": round(value, 6) for name, value in latency.items()},
    )
