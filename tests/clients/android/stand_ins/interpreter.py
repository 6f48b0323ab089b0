"""What the Java stand-in of LiteRT's Interpreter is asked, done by the real LiteRT: a line in, a line out."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

given: dict[str, Any] = {}
results: dict[str, Any] = {}
interpreter: Any = None


def told(details: Any) -> str:
    return "\t".join([np.dtype(details["dtype"]).name, *map(str, details["shape"])])


def answer(verb: str, *more: str) -> str:
    global interpreter, results
    if verb == "open":
        interpreter = Interpreter(model_path=more[0], num_threads=int(more[1]))
        interpreter.allocate_tensors()
        return ""
    if verb == "set":
        given[more[0]] = np.asarray([list(map(int, more[1:]))])
        return ""
    if verb == "get":
        return "\t".join(map(repr, results[more[0]].ravel().tolist()))
    runner = interpreter.get_signature_runner(more[0])
    if verb == "inputs":
        return "\t".join(runner.get_input_details())
    if verb == "input":
        return told(runner.get_input_details()[more[1]])
    if verb == "output":
        return told(runner.get_output_details()[more[1]])
    details = runner.get_input_details()
    results = runner(**{name: array.astype(details[name]["dtype"]) for name, array in given.items()})
    return ""


for line in sys.stdin:
    try:
        print(answer(*line.rstrip("\n").split("\t")), flush=True)
    except Exception as error:
        print("error", " ".join(str(error).split()), sep="\t", flush=True)
