"""Static quantization of ONNX graphs: preprocessing, the feeding of calibration texts, and what is written."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.device.runtimes import pad
from edgebert.tokenization import Feeds

_FUSED = "/MatMulAddFusion"  # what ONNX Runtime puts behind the name of a MatMul that it makes a Gemm
Write = Callable[[Sequence[str], Path], None]  # products of higher precision, beside those to keep float; out


def preprocessed(model: Any) -> Any:
    """An ONNX model as static quantization wants it: shapes inferred, MatMul + Add as Gemm."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as room, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, ready = Path(room, "source.onnx"), Path(room, "ready.onnx")
        onnx.save(model, str(source))  # given a ModelProto, it loses constants of one number
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        prepared = onnx.load(str(ready))
    del prepared.metadata_props[:]  # the preprocessor's own note, which QNN's refuses to read
    _rename_shapes(prepared)
    for node in prepared.graph.node:
        node.name = node.name.removesuffix(_FUSED)
    return prepared


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """What ONNX Runtime's quantizers advise is not said."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def save(model: Any, ir_version: int, out: Path) -> None:
    """Write a quantized model to `out`, of the IR version that the target reads."""
    import onnx

    model.ir_version = ir_version
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(out))


def _rename_shapes(prepared: Any) -> None:
    """Name the shapes of fused products anew: ONNX Runtime 1.31 calls them alike each time it fuses some.

    What fuses only when the prepared file is loaded would meet them, and the file be refused.
    """
    new = {tensor.name: f"prepared/{tensor.name}" for tensor in prepared.graph.initializer}
    new = {name: other for name, other in new.items() if name.startswith(("gemm_input_", "gemm_output_"))}
    for tensor in prepared.graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)
    for node in prepared.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]


def activations(
    model: Any, names: Sequence[str], batches: Sequence[Feeds]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """What the named tensors of an ONNX model hold, tensor by tensor of one text after the other."""
    import onnx

    if not names:
        return
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    for name in names:
        watched.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    yield from _run(watched, names, batches)


def _run(model: Any, names: Sequence[str], batches: Sequence[Feeds]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    reader = Reader(model, batches)
    while (feeds := reader.get_next()) is not None:
        yield from zip(names, session.run(list(names), feeds), strict=True)


def outputs(model: Any, batches: Sequence[Feeds]) -> Iterator[NDArray[np.float32]]:
    """What an ONNX model puts out, output by output of one text after the other."""
    names = [output.name for output in model.graph.output]
    return (values for _, values in _run(model, names, batches))


class Reader:
    """Calibration texts as onnxruntime's CalibrationDataReader wants them, in the graph's own types and length."""

    def __init__(self, model: Any, batches: Sequence[Feeds]) -> None:
        import onnx

        self._inputs = {}
        for value in model.graph.input:
            kind = value.type.tensor_type
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            self._inputs[value.name] = (dtype, kind.shape.dim[1].dim_value)
        self._batches = batches
        self.rewind()

    def rewind(self) -> None:
        """Start again."""
        self._left: Iterator[Feeds] = iter(self._batches)

    def get_next(self) -> Feeds | None:
        """The next text's feeds, or None at the end."""
        feeds = next(self._left, None)
        if feeds is None:
            return None
        ready = {}
        for name, (dtype, tokens) in self._inputs.items():
            array = feeds[name][:, :tokens] if tokens else feeds[name]
            ready[name] = np.asarray(pad({name: array}, tokens)[name] if tokens else array, dtype=dtype)
        return ready
