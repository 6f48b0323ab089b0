"""A16W8 for Qualcomm's HTP: u16 activations, s8 weights per channel, u8 LayerNorm gamma.

HTP takes a LayerNorm only with a u8 gamma; with s8 every LayerNorm falls to the CPU unseen (14 contexts instead of
one, measured with Qualcomm's compiler).

What accuracy control gives back has s16 weights, one scale each: floats would leave the NPU. Qualcomm's compiler
takes them from HTP v73 on (v73, v75, v79 and v81: every node placed); v68 and v69 refuse such a file whole, where
they take the plain one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebert.histograms import Method
from edgebert.onnx_graph import part_tables, products, replace_nodes, select
from edgebert.onnx_inspection import multiply_adds
from edgebert.quantizers import Settings
from edgebert.static_ranges import Reader, Write, preprocessed, save, unheard
from edgebert.tokenization import Feeds

TAKES = GIVES = "onnx"
NEEDS = ("onnx", "onnxruntime")
EXTRA = "build"
ID = "int8"
PRECISION = "a16w8"
FILE = "onnx/model_quantized.onnx"
NEEDS_BATCHES = True
RANGES: tuple[Method, ...] = ("minmax",)
tensors = multiply_adds
EQUALIZE = False  # 16 bits hold the range of activations as it is


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize every operator of the graph file `source`, which must be of fixed shape."""
    prepare(source, settings, batches)([], out)


def prepare(source: Path, settings: Settings, batches: Sequence[Feeds]) -> Write:
    """Measure ranges once for many files, each with more products of 16-bit weights.

    What `settings` keeps float leaves the NPU; what accuracy control gives back stays on it.
    """
    import onnx
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    model = onnx.load(str(source))
    part_tables(model)
    ready = _preprocessed(model)
    kept = select(products(ready)[0], settings.keep_float)
    reader = Reader(ready, batches)
    ranges = _ranges(ready, reader)

    def write(more: Sequence[str], out: Path) -> None:
        copy = onnx.ModelProto()
        copy.CopyFrom(ready)
        gammas = [node.input[1] for node in copy.graph.node if node.op_type == "LayerNormalization"]
        overrides = {name: [{"quant_type": QuantType.QUInt8, "symmetric": False}] for name in gammas}
        overrides |= {name: [{"quant_type": QuantType.QInt16, "symmetric": True}] for name in _weights(copy, more)}
        config = get_qnn_qdq_config(
            copy,
            reader,
            activation_type=QuantType.QUInt16,
            weight_type=QuantType.QInt8,
            per_channel=True,
            init_overrides=overrides,
        )
        tool = QDQQuantizer(
            copy,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt16,
            tensors_range=ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=kept,
            op_types_to_quantize=config.op_types_to_quantize,
            extra_options=config.extra_options,
        )
        with unheard():
            tool.quantize_model()
        tool.model.topological_sort()
        save(tool.model.model, model.ir_version, out)

    return write


def _preprocessed(model: Any) -> Any:
    """The graph as the NPU's quantizer wants it: fused, of the first opset that has 16-bit Q/DQ nodes."""
    import onnx
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.execution_providers.qnn import qnn_preprocess_model
    from onnxruntime.quantization.quant_utils import update_opset_version

    with tempfile.TemporaryDirectory() as room, unheard():
        ready, fused = Path(room, "ready.onnx"), Path(room, "fused.onnx")
        onnx.save(preprocessed(model), str(ready))
        taken = fused if qnn_preprocess_model(str(ready), str(fused)) else ready
        inferred = onnx.shape_inference.infer_shapes(onnx.load(str(taken)))
        return update_opset_version(inferred, QuantType.QInt8, QuantType.QUInt16)


def _ranges(ready: Any, reader: Reader) -> Any:
    """Least and largest value of each tensor over the texts, as ONNX Runtime's quantizer takes them."""
    import onnx
    from onnxruntime.quantization.calibrate import create_calibrator

    with tempfile.TemporaryDirectory() as room:
        source = Path(room, "ready.onnx")
        onnx.save(ready, str(source))
        calibrator = create_calibrator(source, augmented_model_path=str(Path(room, "augmented.onnx")))
        calibrator.collect_data(reader)
        return calibrator.compute_data()


def _weights(model: Any, names: Sequence[str]) -> list[str]:
    """The constants of products, by name of their nodes, each made one of its own where others read it, too."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        if node.name in names and node.op_type in ("MatMul", "Gemm"):
            place = next(i for i, name in enumerate(node.input) if name in constants)
            own = f"{node.name}.s16"
            model.graph.initializer.append(constants[node.input[place]])
            model.graph.initializer[-1].name = node.input[place] = own
            found.append(own)
    if len(found) < len(names):
        raise ValueError(f"of the products {', '.join(names)} not all are in the graph")
    replace_nodes(model, list(model.graph.node))
    return found


def violations(path: Path) -> list[str]:
    """Inputs of open shape, operators that quantize at run time, and LayerNorms whose gamma is not u8."""
    import onnx

    model = onnx.load(str(path))
    open_inputs = [
        value.name for value in model.graph.input if not all(d.dim_value for d in value.type.tensor_type.shape.dim)
    ]
    dynamic = {"DynamicQuantizeLinear", "MatMulInteger"}
    found = [f"input '{name}' has an open shape" for name in open_inputs]
    found += [f"{node.op_type} '{node.name}'" for node in model.graph.node if node.op_type in dynamic]
    constants = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    made_by = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type == "LayerNormalization":
            gamma = made_by.get(node.input[1])
            kind = constants.get(gamma.input[0]) if gamma is not None else None
            if kind != onnx.TensorProto.UINT8:
                found.append(f"LayerNormalization '{node.name}' has a gamma that is not u8")
    return found
