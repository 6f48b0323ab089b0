"""What an ONNX file holds: its signature, its operators, and how much of its work is done in int8."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from edgebert.artifact import Graph, Signature, Tensor

_INTEGER_MATMULS = {
    "MatMulInteger",
    "QLinearMatMul",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "QGemm",
}
_FLOAT_MATMULS = {"MatMul", "Gemm", "FusedMatMul"}
_COUNTED_LENGTH = 128  # tokens a text is taken to have when multiply-adds are counted


def signature(model: Any, per_token: bool = False) -> Signature:
    """Inputs and outputs of a loaded ONNX model; `per_token`: axis 1 of the outputs is that of the tokens."""
    return Signature(
        inputs=[_tensor(value) for value in model.graph.input],
        outputs=[_tensor(value, per_token) for value in model.graph.output],
    )


def _tensor(value: Any, per_token: bool = False) -> Tensor:
    import onnx

    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    shape = [d.dim_value or None for d in kind.shape.dim]
    return Tensor(name=value.name, dtype=dtype, shape=shape, per_token=per_token)


def inspect(path: Path) -> Graph:
    """Operators, int8 share by multiply-adds, and constants of matrix products that are not int8."""
    import onnx

    model = onnx.load(str(path))
    nodes = model.graph.node
    integer = _integer_constants(model)
    rows = _rows(model)
    int8_work = all_work = 0.0
    kept_float = []
    for node in nodes:
        found = _constant_operand(node, integer)
        if found is None:
            continue
        name, size, is_int8 = found
        work = size * rows.get(node.output[0], _COUNTED_LENGTH)
        all_work += work
        if is_int8:
            int8_work += work
        else:
            kept_float.append(name)
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    return Graph(
        ops=dict(sorted(Counter(node.op_type for node in nodes).items())),
        int8_matmul_share=round(int8_work / all_work, 6) if all_work else 0.0,
        kept_float=sorted(kept_float),
        opset=opset,
        ir_version=model.ir_version,
    )


def multiply_adds(path: Path) -> dict[str, int]:
    """Multiply-adds of each matrix product with a constant operand, by node, as `inspect` counts them."""
    import onnx

    model = onnx.load(str(path))
    integer, rows = _integer_constants(model), _rows(model)
    found = {}
    for node in model.graph.node:
        if (operand := _constant_operand(node, integer)) is not None:
            found[node.name] = operand[1] * rows.get(node.output[0], _COUNTED_LENGTH)
    return found


def _integer_constants(model: Any) -> dict[str, tuple[int, bool]]:
    """Of each 2-D constant, directly or through DequantizeLinear and Cast: (elements, whether 8-bit integers)."""
    import onnx

    int8 = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    found = {t.name: (_size(t), t.data_type in int8) for t in model.graph.initializer if len(t.dims) == 2}
    known = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            known |= set(node.output)
            for tensor in (attribute.t for attribute in node.attribute if len(attribute.t.dims) == 2):
                found[node.output[0]] = (_size(tensor), tensor.data_type in int8)
        elif node.input and all(name in known for name in node.input if name):
            known |= set(node.output)
            size, is_int8 = max((found[name] for name in node.input if name in found), default=(0, False))
            if size:
                same = node.op_type in ("DequantizeLinear", "Cast", "Transpose", "Identity")
                found[node.output[0]] = (size, is_int8 and same)
    return found


def _constant_operand(node: Any, constants: dict[str, tuple[int, bool]]) -> tuple[str, int, bool] | None:
    if node.op_type not in _INTEGER_MATMULS | _FLOAT_MATMULS:
        return None
    for name in node.input:
        if name in constants:
            size, is_int8 = constants[name]
            return name, size, is_int8
    return None


def _size(tensor: Any) -> int:
    size = 1
    for dim in tensor.dims:
        size *= dim
    return size


def _rows(model: Any) -> dict[str, int]:
    """How many rows each matrix product has for one text of the counted length, where shapes tell."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for value in copy.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, (1, _COUNTED_LENGTH), strict=False):
            if not dim.dim_value:
                dim.dim_value = size
    inferred = onnx.shape_inference.infer_shapes(copy, data_prop=True)
    rows = {}
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if len(dims) >= 2 and all(dims[:-1]):
            rows[value.name] = dims[-2]
    return rows
