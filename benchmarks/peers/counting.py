"""Runs in the emulated Python of a board: one inference of a file between marks that the plugin counts by.

    python counting.py FILE TEXT.npz

The text is one row of feeds, int64 [1, tokens] by input name. The device code stands beside this file.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np
from device import job


def main() -> None:
    """Run the file a few times, each between two marks."""
    path, text = sys.argv[1:]
    with np.load(text) as file:
        feeds = {name: file[name] for name in file.files}
    run = (tflite if path.endswith(".tflite") else onnx)(path, feeds)
    mark = ctypes.CDLL(None).getpriority
    run()
    for number in range(job.COUNTED):
        mark(job.MARK, job.START)
        run()
        mark(job.MARK, number + 1)


def onnx(path: str, feeds: dict[str, Any]) -> Any:
    """An inference in ONNX Runtime, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    fed = {one.name: feeds[one.name] for one in session.get_inputs()}
    return lambda: session.run(None, fed)


def tflite(path: str, feeds: dict[str, Any]) -> Any:
    """An inference in LiteRT on XNNPACK, one thread, in the signature of the text's length."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    tokens = feeds["input_ids"].shape[1]
    runner = interpreter.get_signature_runner(f"tokens_{tokens}")
    names = sorted(runner.get_input_details())
    fed = {one: feeds[key].astype(np.int32) for one, key in zip(names, sorted(feeds), strict=True)}
    return lambda: runner(**fed)


if __name__ == "__main__":
    main()
