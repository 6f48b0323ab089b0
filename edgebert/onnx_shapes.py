"""Reshape targets that a traced graph computes at run time become constants, where that is provably the same.

The tracer writes `x.view(batch, tokens, heads, size)` as Shape, Gather, Unsqueeze and Concat before the Reshape:
nodes that tell the runtime what it knows. The proof is ONNX's own shape inference, which names dimensions and
follows them through such arithmetic: where dimension i of the result has the name of dimension i of what is
reshaped, the target says 0 (copy it), and a number stands for itself. A -1 stays only where one was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgebert.onnx_graph import constants as constant_tensors, drop_identities, drop_unread

Dims = list[int | str | None]  # of one tensor: a size, the name of a size, or unknown

_OPSET = 15  # from here on Shape can read a single dimension


def normalise(model: Any, ir_version: int | None) -> None:
    """Take out of a traced graph what hides weights and shapes from quantizers and runtimes, and who traced it.

    `ir_version`: what the file is to be read by; the library writes its newest, which older runtimes refuse.
    """
    if ir_version is not None:
        model.ir_version = ir_version
    del model.graph.value_info[:]
    drop_identities(model)
    fold_shapes(model)
    model.producer_name, model.producer_version = "edgebert", ""


def fold_shapes(model: Any) -> bool:
    """Fold what `model` computes from shapes alone, drop what is then unread; whether anything changed.

    Graphs with nested graphs or of an opset before 15 are left as they are.
    """
    opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    nested = any(a.HasField("g") or a.graphs for node in model.graph.node for a in node.attribute)
    if opset < _OPSET or nested:
        return False
    changed = _read_single_dimensions(model)
    while _fold_targets(model):  # again: a folded target tells the next inference more
        changed = True
    return drop_unread(model) or changed


def _read_single_dimensions(model: Any) -> bool:
    """Rewrite Unsqueeze(Gather(Shape(x), i), 0) as Shape(x) from i to i + 1."""
    from onnx import helper

    made, constants = _makers(model), _constants(model)
    changed = False
    for node in model.graph.node:
        gather = made.get(node.input[0]) if node.op_type == "Unsqueeze" else None
        shape = made.get(gather.input[0]) if gather is not None and gather.op_type == "Gather" else None
        if gather is None or shape is None or shape.op_type != "Shape" or shape.attribute:
            continue
        number, axes = constants.get(gather.input[1]), constants.get(node.input[1])
        if number is None or number.ndim or number < 0 or axes is None or axes.tolist() != [0]:
            continue
        single = {"start": int(number), "end": int(number) + 1}
        node.CopyFrom(helper.make_node("Shape", [shape.input[0]], list(node.output), name=node.name, **single))
        changed = True
    return changed


def _fold_targets(model: Any) -> bool:
    """Give each Reshape the most exact constant target that can be proven; whether any changed."""
    import numpy as np
    from onnx import helper, numpy_helper

    known = _inferred(model, {})
    known = _inferred(model, dict(_sums_with_positions(model, known)))
    made, constants = _makers(model), _constants(model)
    changed = False
    for node in model.graph.node:
        if node.op_type != "Reshape" or any(a.name == "allowzero" and a.i for a in node.attribute):
            continue
        target = _target(known.get(node.input[0]), known.get(node.output[0]))
        open_dims = _open_dims(node.input[1], made, constants)
        better = node.input[1] not in constants or (target is not None and target.count(-1) < open_dims)
        if target is None or target.count(-1) > open_dims or not better:
            continue
        name = "reshape_to_" + "_".join(map(str, target))
        if name not in constants:
            constants[name] = np.asarray(target, np.int64)
            value = numpy_helper.from_array(constants[name])
            # no initializer: ONNX Runtime's quantizers move those to a file of their own, where inference is blind
            model.graph.node.insert(0, helper.make_node("Constant", [], [name], value=value))
        node.input[1] = name
        changed = True
    return changed


def _target(given: Dims | None, wanted: Dims | None) -> list[int] | None:
    """The constant target that reshapes `given` dimensions to `wanted` ones, or None where that is not proven."""
    if given is None or wanted is None or 0 in wanted:
        return None
    target = []
    for number, dim in enumerate(wanted):
        if isinstance(dim, int):
            target.append(dim)
        else:
            target.append(0 if dim is not None and given[number : number + 1] == [dim] else -1)
    return target


def _open_dims(name: str, made: dict[str, Any], constants: dict[str, Any]) -> int:
    """How many times the target `name`, a constant or a Concat with constant parts, says -1: once at most."""
    maker = made.get(name)
    parts = maker.input if maker is not None and maker.op_type == "Concat" else [name]
    return sum(constants[part].tolist().count(-1) for part in parts if part in constants and constants[part].ndim)


def _sums_with_positions(model: Any, known: dict[str, Dims]) -> Iterator[tuple[str, Dims]]:
    """Dimensions of x [batch, tokens, hidden] + table[positions[:, :tokens]], which inference does not see.

    The positions are as many as x has tokens or, in a table that is too short, fewer: then the sum fails, or there
    is one position for all. Whenever there is a sum it has the dimensions of x.
    """
    made, constants = _makers(model), _constants(model)
    for node in model.graph.node:
        if node.op_type != "Add":
            continue
        for x, other in (node.input, reversed(node.input)):
            gather, dims = made.get(other), known.get(x)
            if gather is None or gather.op_type != "Gather" or any(a.i for a in gather.attribute):
                continue
            table = known.get(gather.input[0])
            tokens = _length_of_prefix(made.get(gather.input[1]), made, constants, known)
            if tokens and dims and table and len(dims) == 3 and len(table) == 2 and dims[1:] == [tokens, table[1]]:
                yield node.output[0], dims


def _length_of_prefix(
    node: Any, made: dict[str, Any], constants: dict[str, Any], known: dict[str, Dims]
) -> int | str | None:
    """t, where `node` takes the first t columns of [1, n], t a single dimension of some tensor."""
    if node is None or node.op_type != "Slice" or len(known.get(node.input[0], [])) != 2:
        return None
    shape = made.get(node.input[2])
    rest = [constants[name].tolist() if name in constants else None for name in (node.input[1], *node.input[3:])]
    if shape is None or shape.op_type != "Shape" or rest not in ([[0], [1]], [[0], [1], [1]]):
        return None
    span = {a.name: a.i for a in shape.attribute}
    start = span.get("start", 0)
    if known[node.input[0]][0] != 1 or span.get("end") != start + 1 or start < 0:
        return None
    return (known.get(shape.input[0], [])[start : start + 1] or [None])[0]


def _inferred(model: Any, told: dict[str, Dims]) -> dict[str, Dims]:
    """Dimensions of every tensor that inference finds; those of `told` are taken for granted.

    What the graph declares of its outputs is the exporter's word, not a proof, and is left out.
    """
    from onnx import ModelProto, TensorProto, helper, shape_inference

    skeleton = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = skeleton.graph
    graph.name = "skeleton"
    graph.input.extend(model.graph.input)
    for tensor in model.graph.initializer:
        if len(tensor.dims) > 1:  # a weight: its size is enough, and its content may be more than a message holds
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        else:
            graph.initializer.append(tensor)
    graph.node.extend(node for node in model.graph.node if node.output[0] not in told)
    for name, dims in told.items():
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dims))
    for output in model.graph.output:
        if output.name not in told:
            graph.output.append(helper.make_empty_tensor_value_info(output.name))
    found = shape_inference.infer_shapes(skeleton, data_prop=True).graph
    return {
        value.name: [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in kind.shape.dim]
        for value in (*found.value_info, *found.input, *found.output)
        if (kind := value.type.tensor_type).HasField("shape")
    } | {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}


def _makers(model: Any) -> dict[str, Any]:
    """The node that makes each tensor."""
    return {name: node for node in model.graph.node for name in node.output}


def _constants(model: Any) -> dict[str, Any]:
    """Arrays of integer constants of at most one dimension, by name."""
    from onnx import TensorProto, numpy_helper

    return {
        name: numpy_helper.to_array(tensor)
        for name, tensor in constant_tensors(model).items()
        if tensor.data_type == TensorProto.INT64 and len(tensor.dims) <= 1
    }
