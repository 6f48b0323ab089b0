from __future__ import annotations

import pytest

from edgebert.android import runners
from edgebert.android.runners import Timing

NEW = """INFO: STARTING!
INFO: Num threads: [4]
INFO: Using signature: tokens_32
INFO: The input model file size (MB): 23.7
INFO: Initialized session in 48.21ms.
INFO: Running benchmark for at least 5 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=41 first=14012 curr=12011 min=11874 max=14012 avg=12120.3 std=402 p5=11893 median=12040 p95=12811

INFO: Running benchmark for at least 100 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=100 first=12031 curr=11987 min=11801 max=13390 avg=12049.7 std=211 p5=11840 median=12012 p95=12410

INFO: Inference timings in us: Init: 48210, First inference: 14012, Warmup (avg): 12120.3, Inference (avg): 12049.7
INFO: Memory footprint delta from the start of the tool (MB): init=31.2 overall=44.9
"""
OLD = """STARTING!
Min num runs: [100]
Initialized session in 16.242ms.
count=2 first=360262 curr=250100 min=250100 max=360262 avg=305181 std=55081

count=100 first=249042 curr=2.50889e+05 min=247067 max=254474 avg=2.49684e+05 std=1442

Inference timings in us: Init: 16242, First inference: 360262, Warmup (avg): 305181, Inference (avg): 2.49684e+05
Peak memory footprint (MB): init=4.92969 overall=138.809
"""
SAME = "count=1 curr=812\n\ncount=3 curr=800(all same) p5=800 median=800 p95=800\n"
COMPILED = """I/litert: [benchmark_litert_model.h:61]
========== BENCHMARK RESULTS ==========
Model initialization: 48.21 ms
Warmup (avg):         12.12 ms (41 runs)
Inference (avg):      12.05 ms (100 runs)
Inference (min):      11.80 ms
Inference (max):      13.39 ms
Inference (std):      0.21
"""
PERF = """Setting intra_op_num_threads to 4
Session creation time cost: 0.127918 s
First inference time cost: 16 ms
Total inference time cost: 1.44871 s
Total inference requests: 100
Average inference time cost: 14.4871 ms
Total inference run time: 1.44916 s
Number of inferences per second: 69.0055
Avg CPU usage: 68 %
Peak working set size: 158171136 bytes
Avg CPU usage:68
Peak working set size:158171136
Runs:100
Min Latency: 0.0139777 s
Max Latency: 0.0173472 s
P50 Latency: 0.0143087 s
P90 Latency: 0.0149845 s
P95 Latency: 0.0155676 s
P99 Latency: 0.0169517 s
P999 Latency: 0.0173472 s
"""
OLD_PERF = """Total time cost: 5.88053
Total iterations: 100
Average time cost: 58.8053 ms
Min Latency is 0.0559777 sec
Max Latency is 0.0623472 sec
P50 Latency is 0.0587108 sec
P90 Latency is 0.0599845 sec
P95 Latency is 0.0605676 sec
P99 Latency is 0.0619517 sec
"""


def figures(timing: Timing) -> tuple[float | None, ...]:
    return timing.runs, timing.p50_ms, timing.p90_ms, timing.p99_ms, timing.load_ms, timing.first_ms


def test_the_timed_runs_of_benchmark_model_are_read_and_not_its_warm_up() -> None:
    timing = runners.parse("tflite", NEW)
    assert figures(timing) == (100, 12.012, None, None, 48.21, 14.012)
    assert timing.printed["p95_us"] == 12410
    assert timing.printed["avg_us"] == 12049.7
    assert timing.peak_memory_mb is None


def test_an_older_benchmark_model_prints_no_percentile() -> None:
    timing = runners.parse("tflite", OLD)
    assert figures(timing) == (100, None, None, None, 16.242, 360.262)
    assert timing.printed["avg_us"] == 249684
    assert timing.printed["min_us"] == 247067


def test_runs_that_all_took_the_same_time_are_read() -> None:
    timing = runners.parse("tflite", SAME)
    assert figures(timing)[:2] == (3, 0.8)
    assert timing.printed["avg_us"] == 800


def test_the_compiled_model_tool_prints_a_table() -> None:
    timing = runners.parse("tflite", COMPILED)
    assert figures(timing) == (100, None, None, None, None, None)
    assert timing.printed == {"avg_us": 12050, "min_us": 11800, "max_us": 13390}


def test_perf_test_prints_percentiles_and_its_peak_memory() -> None:
    timing = runners.parse("onnx", PERF)
    assert figures(timing) == pytest.approx((100, 14.3087, 14.9845, 16.9517, 127.918, 16))
    assert timing.peak_memory_mb == 158.2
    assert timing.printed["avg_ms"] == 14.4871


def test_an_older_perf_test_words_them_otherwise() -> None:
    timing = runners.parse("onnx", OLD_PERF)
    assert figures(timing) == pytest.approx((100, 58.7108, 59.9845, 61.9517, None, None))


def test_a_perf_test_without_statistics_has_an_average_alone() -> None:
    timing = runners.parse("onnx", PERF[: PERF.index("Min Latency")])
    assert (timing.p50_ms, timing.printed) == (None, {"avg_ms": 14.4871})


@pytest.mark.parametrize("form", ["tflite", "onnx"])
@pytest.mark.parametrize("text", ["", "Hello", "count=0\n", "usage: ./tool <flags>\n", "count=seven avg=1"])
def test_what_is_no_result_is_refused(form: str, text: str) -> None:
    with pytest.raises(ValueError, match="it prints"):
        runners.parse(form, text)


def test_each_refuses_the_others_output() -> None:
    for form, text in (("onnx", NEW), ("tflite", PERF)):
        with pytest.raises(ValueError, match="it prints"):
            runners.parse(form, text)


def test_options_that_were_not_understood_are_listed() -> None:
    said = "WARN: Unconsumed cmdline flags: --output_filepath=/a/b --signature_to_run_for=tokens_16\n"
    assert runners.ignored(said) == {"output_filepath", "signature_to_run_for"}
    assert runners.ignored(NEW) == set()


def test_one_inference_is_asked_for_without_warm_up() -> None:
    words = runners.tflite_words("/m.tflite", 32, 2, {"ids": "/a", "mask": "/b"}, 0, runs=1)
    assert {"--num_runs=1", "--min_secs=-1", "--warmup_runs=0", "--warmup_min_secs=-1"} <= set(words)
    assert "--input_layer_value_files=ids:/a,mask:/b" in words
    assert "--input_layer_shape=1,32:1,32" in words
    assert "--signature_to_run_for=tokens_32" in words


def test_free_dimensions_threads_and_session_entries_reach_perf_test() -> None:
    words = runners.onnx_words("/m.onnx", {"batch": 1, "tokens": 12}, 4, {"a.b": "1", "c": "d"})
    assert words[-1] == "/m.onnx"
    assert words[words.index("-C") + 1] == "a.b|1 c|d"
    assert [words[i + 1] for i, word in enumerate(words) if word == "-f"] == ["batch:1", "tokens:12"]
    assert words[words.index("-x") + 1] == "4"
    assert "-C" not in runners.onnx_words("/m.onnx", {}, 1, {})
    assert runners.onnx_words("/m.onnx", {}, 1, {}, 60)[6:10] == ["-m", "duration", "-t", "60"]


def test_a_library_that_is_missing_there_is_the_reason() -> None:
    said = 'CANNOT LINK EXECUTABLE "/x": library "libonnxruntime.so" not found: needed by main executable\nlast\n'
    assert "libonnxruntime.so" in runners.why(said, "last")
    assert "linked statically" in runners.why(said, "last")
    assert runners.why("one\nERROR: Failed to load model /m\nusage\n", "usage") == "ERROR: Failed to load model /m"
    assert runners.why("one\nlast\n", "last") == "last"
