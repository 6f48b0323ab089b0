"""ONNX through Hugging Face Optimum's exporter, which reads the checkpoint in an environment of its own."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from edgebert import environments, interpreters
from edgebert.artifact import Form, Signature
from edgebert.emission.attention import MASKED
from edgebert.errors import EdgeBertError
from edgebert.formats import ExportShape
from edgebert.onnx_graph import constants
from edgebert.onnx_inspection import inspect as inspect, signature
from edgebert.onnx_shapes import normalise
from edgebert.workers import export_with_optimum

NAME = "optimum"
GIVES: Form = "onnx"
NEEDS = ("torch", "onnx", "onnxruntime")
EXTRA = "build"
ENVIRONMENT = "optimum"
FILE = "onnx/model.onnx"
TASKS = {  # ours -> the one of Optimum's whose outputs have the same names, shapes and meaning
    "question-answering": "question-answering",
    "sentence-pairs": "text-classification",
    "text-classification": "text-classification",
    "token-classification": "token-classification",
}


def fault(task: str) -> str | None:
    """A task whose outputs are not those of Optimum's graphs."""
    if task in TASKS:
        return None
    return f"Optimum's graphs do not have the outputs of task '{task}'; it exports {', '.join(TASKS)}"


def way(traced: str | None) -> str:
    """Always by Optimum."""
    return "through Optimum"


def export(module: Any, shape: ExportShape, out: Path) -> Signature:
    """Write Optimum's graph of the checkpoint, normalised, in the pinned versions and the target's integers.

    Raises EdgeBertError where its inputs or outputs are not ours, RuntimeError where Optimum fails.
    """
    import onnx

    out.parent.mkdir(parents=True, exist_ok=True)
    graph = _exported(module, shape, out.parent)
    normalise(graph, shape.ir_version)
    _soften_mask(graph)
    _bind(graph, module, shape)
    onnx.checker.check_model(graph, full_check=True)  # every operator takes the integers that inputs now are
    onnx.save(graph, str(out))
    return signature(graph, module.per_token)


def _exported(module: Any, shape: ExportShape, beside: Path) -> Any:
    import onnx

    python = environments.python_of(ENVIRONMENT)
    fixed = {} if shape.batch is None else {"batch_size": shape.batch, "sequence_length": shape.buckets[-1]}
    with tempfile.TemporaryDirectory(dir=beside) as room:
        request = {
            "folder": str(module.checkpoint.folder),
            "task": TASKS[module.checkpoint.task],
            "out": room,
            "opset": shape.opset,
            "shapes": fixed,
        }
        command = [str(python), "-I", "-B", str(export_with_optimum.__file__)]
        interpreters.finish(command, "Optimum's exporter", json.dumps(request))
        return onnx.load(str(Path(room, "model.onnx")))


def _soften_mask(graph: Any) -> None:
    """Mask by our number where Optimum's graph has the type's lowest: see `edgebert.exportable`."""
    import numpy as np
    from onnx import TensorProto, numpy_helper

    for tensor in constants(graph).values():
        array = numpy_helper.to_array(tensor)
        if tensor.data_type == TensorProto.FLOAT and array.size == 1 and array.item() == np.finfo(np.float32).min:
            tensor.CopyFrom(numpy_helper.from_array(np.full_like(array, MASKED), tensor.name))


def _bind(graph: Any, module: Any, shape: ExportShape) -> None:
    """Inputs in our order and of the asked-for integers, outputs in our order."""
    from onnx import TensorProto

    found = graph.graph
    for values, wanted in ((found.input, module.inputs), (found.output, module.outputs)):
        by_name = {value.name: value for value in values}
        if set(by_name) != set(wanted):
            told = f"{', '.join(sorted(by_name))}; asked for: {', '.join(sorted(wanted))}"
            raise EdgeBertError(f"Optimum's graph has the inputs or outputs {told}")
        ordered = [by_name[name] for name in wanted]
        del values[:]
        values.extend(ordered)
    for value in found.input:
        value.type.tensor_type.elem_type = TensorProto.INT32 if shape.dtype == "int32" else TensorProto.INT64
