"""What a core can multiply in int8, and how many multiply-adds a text costs: the share that an engine reaches.

The limit is that of ONNX Runtime's own kernel on large matrices, u8 by s8, in the same run as the engines.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgebert import members, sizes

SIDES = (512, 1024, 2048)  # of the square matrices whose product is timed
SECONDS = 2.0  # on each
PRODUCTS = {"MatMul", "FusedMatMul", "Gemm", "FusedGemm", "MatMulInteger", "MatMulIntegerToFloat"}
PRODUCTS |= {"DynamicQuantizeMatMul", "QLinearMatMul", "QGemm"}


def gops(threads: int) -> float:
    """10^9 operations a second, two a multiply-add, of the fastest product of two large matrices, warm."""
    return max(2 * side**3 / fastest(side, threads) for side in SIDES)


def fastest(side: int, threads: int) -> int:
    """Nanoseconds of the fastest of many products of a u8 matrix with a constant s8 one."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(0)
    shape = (side, side)
    constant = numpy_helper.from_array(draw.integers(-127, 128, shape).astype(np.int8), "b")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "limit",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("c", TensorProto.INT32, shape)],
        [constant],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {"a": draw.integers(0, 256, shape).astype(np.uint8)}
    times = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter_ns()
        session.run(None, feeds)
        times.append(time.perf_counter_ns() - start)
    return min(times)


def whole(config: dict[str, Any], tokens: int) -> int:
    """Multiply-adds of all matrix products of the checkpoint's encoder and pooler for one text."""
    known = [members.find("architectures", name) for name in members.names("architectures")]
    architecture = next(one for one in known if config["model_type"] in one.MODEL_TYPES)
    return sizes.of(architecture, config, tokens).multiply_adds


def executed(path: Path, feeds: dict[str, Any]) -> int:
    """Multiply-adds of the matrix products that ONNX Runtime runs of a file for these feeds, by its profiler."""
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="edgebert-") as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        session.run(None, {one.name: feeds[one.name] for one in session.get_inputs()})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = [one["args"] for one in events if one.get("cat") == "Node" and one["name"].endswith("_kernel_time")]
    return sum(multiplied(node) for node in nodes)


def multiplied(node: dict[str, Any]) -> int:
    """Multiply-adds of one node as the profiler tells of it: operator, shapes of what it read and wrote."""
    if node["op_name"] not in PRODUCTS:
        return 0
    [[left], [result]] = (list(node[key][0].values()) for key in ("input_type_shape", "output_type_shape"))
    inner = left[-1] if left[-2:-1] == result[-2:-1] else left[-2]  # the left one may be read transposed
    return int(math.prod(result)) * int(inner)
