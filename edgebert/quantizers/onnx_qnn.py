"""A16W8 for Qualcomm's HTP: u16 activations, s8 weights per channel, u8 LayerNorm gamma.

HTP takes a LayerNorm only with a u8 gamma; with s8 every LayerNorm falls to the CPU unseen (14 contexts instead of
one, measured with Qualcomm's compiler).
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from edgebert.histograms import Method
from edgebert.onnx_graph import part_tables
from edgebert.quantizers import Settings
from edgebert.static_ranges import calibrated
from edgebert.tokenization import Feeds

TAKES = GIVES = "onnx"
NEEDS = ("onnx", "onnxruntime")
EXTRA = "build"
ID = "int8"
PRECISION = "a16w8"
FILE = "onnx/model_quantized.onnx"
NEEDS_BATCHES = True
RANGES: tuple[Method, ...] = ("minmax",)
tensors = None


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize every operator of the graph file `source`, which must be of fixed shape."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config, qnn_preprocess_model

    def run(ready: Path, reader: object, exclude: list[str], to: Path) -> None:
        fused = ready.with_name("fused.onnx")
        model = fused if qnn_preprocess_model(str(ready), str(fused)) else ready
        graph = onnx.load(str(model)).graph
        gammas = [node.input[1] for node in graph.node if node.op_type == "LayerNormalization"]
        config = get_qnn_qdq_config(
            str(model),
            reader,
            activation_type=QuantType.QUInt16,
            weight_type=QuantType.QInt8,
            per_channel=True,
            init_overrides={name: [{"quant_type": QuantType.QUInt8, "symmetric": False}] for name in gammas},
        )
        config.nodes_to_exclude = [n for n in exclude if any(fnmatch(n, p) for p in settings.keep_float)]
        quantize(str(model), str(to), config)

    model = onnx.load(str(source))
    part_tables(model)
    calibrated(model, settings.keep_float, batches, out, run)


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
