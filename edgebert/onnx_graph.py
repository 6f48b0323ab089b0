"""What quantizers need to know of an ONNX graph, and the small rewrites they need of it."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Any

from edgebert.errors import InputError

_PLAIN = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}  # a Gemm's attributes where it names none
_PARTS = ("x", "x_scale", "x_zero", "columns", "whole", "float", "scale", "scales", "product")  # of a product


def select(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Names that match one of the patterns (shell style); InputError for a pattern that matches nothing."""
    missing = [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in names)]
    if missing:
        raise InputError(f"[quantize] keep_float = {missing}: nothing of that name; known: {', '.join(names)}")
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]


def products(model: Any) -> tuple[list[str], list[str]]:
    """Names of MatMul and Gemm nodes with a constant operand, and of those without."""
    constants = {tensor.name for tensor in model.graph.initializer}
    found = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")]
    with_constant = [node.name for node in found if any(name in constants for name in node.input)]
    taken = set(with_constant)
    return with_constant, [node.name for node in found if node.name not in taken]


def embedding_tables(model: Any) -> list[str]:
    """Names of Gather nodes that look rows up in a constant matrix."""
    tables = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    return [n.name for n in model.graph.node if n.op_type == "Gather" and n.input[0] in tables]


def quantize_tables(model: Any, kept_float: Sequence[str]) -> None:
    """Turn each constant matrix that Gather looks rows up in to s8 with one scale a row.

    ONNX Runtime's own quantizer gives a table one scale in all, which costs agreement with fp32 where rows differ
    in size; a row of its own scale costs 4 bytes. Rows are dequantized after the look-up, so only those used are.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    tables = {tensor.name: tensor for tensor in model.graph.initializer if len(tensor.dims) == 2}
    nodes, done = [], set()
    for node in model.graph.node:
        if node.op_type != "Gather" or node.input[0] not in tables or node.name in kept_float:
            nodes.append(node)
            continue
        name, ids, result = node.input[0], node.input[1], node.output[0]
        if name not in done:
            done.add(name)
            table = numpy_helper.to_array(tables[name])
            scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127, np.finfo(np.float32).tiny)
            rounded = np.rint(table / scale).astype(np.int8)
            model.graph.initializer.append(numpy_helper.from_array(rounded, f"{name}.s8"))
            model.graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
        nodes.append(helper.make_node("Gather", [f"{name}.s8", ids], [f"{result}.s8"], name=node.name))
        nodes.append(helper.make_node("Cast", [f"{result}.s8"], [f"{result}.whole"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Gather", [f"{name}.scale", ids], [f"{result}.scale"]))
        nodes.append(helper.make_node("Mul", [f"{result}.whole", f"{result}.scale"], [result]))
    replace_nodes(model, nodes)


def share_tables(model: Any, kept_float: Sequence[str]) -> bool:
    """Let each Gemm(x, table^T) + b read the rows that `quantize_tables` makes of the table; whether there is one.

    The last matrix of a masked-LM head is the embedding table: quantized by itself it would be stored a second
    time, a third of the file. A scale a row of the table is one a column of the product, as ONNX Runtime's own
    quantizer has it. Runtimes turn the constant rows when they load the file.
    """
    from onnx import TensorProto, helper

    gathers = [n for n in model.graph.node if n.op_type == "Gather" and n.name not in kept_float]
    tables = {node.input[0] for node in gathers} & {tensor.name for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        attributes = {**_PLAIN, **{a.name: helper.get_attribute_value(a) for a in node.attribute}}
        linear = node.op_type == "Gemm" and attributes == {**_PLAIN, "transB": 1} and len(node.input) == 3
        if not linear or node.input[1] not in tables or node.name in kept_float:
            nodes.append(node)
            continue
        x, table, bias = node.input
        made = {part: f"{node.output[0]}.{part}" for part in _PARTS}
        axis = f"{node.output[0]}.axis"
        model.graph.initializer.append(helper.make_tensor(axis, TensorProto.INT64, [1], [1]))
        nodes += [
            helper.make_node("DynamicQuantizeLinear", [x], [made["x"], made["x_scale"], made["x_zero"]]),
            helper.make_node("Transpose", [f"{table}.s8"], [made["columns"]], perm=[1, 0]),
            helper.make_node(
                "MatMulInteger", [made["x"], made["columns"], made["x_zero"]], [made["whole"]], name=node.name
            ),
            helper.make_node("Cast", [made["whole"]], [made["float"]], to=TensorProto.FLOAT),
            helper.make_node("Squeeze", [f"{table}.scale", axis], [made["scale"]]),
            helper.make_node("Mul", [made["x_scale"], made["scale"]], [made["scales"]]),
            helper.make_node("Mul", [made["float"], made["scales"]], [made["product"]]),
            helper.make_node("Add", [made["product"], bias], list(node.output), name=f"{node.name}.bias"),
        ]
    if len(nodes) == len(model.graph.node):
        return False
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return True


def part_tables(model: Any) -> bool:
    """Give products that read an embedding table a copy of it; whether there was one.

    Static quantizers scale a constant by the axis of its product, which look-ups cannot read.
    """
    looked_up = {node.input[0] for node in model.graph.node if node.op_type == "Gather"}
    tables = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in looked_up}
    copies = {}
    for node in model.graph.node:
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in tables:
            copies[node.input[1]] = f"{node.input[1]}.product"
            node.input[1] = copies[node.input[1]]
    for name, copy in copies.items():
        model.graph.initializer.append(tables[name])
        model.graph.initializer[-1].name = copy
    return bool(copies)


def gemm_to_matmul(model: Any) -> None:
    """Rewrite Gemm(x, W^T) + b as MatMul and Add: ONNX Runtime's dynamic quantizer passes Gemm over in silence."""
    from onnx import helper, numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        plain = attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0 and not attributes.get("transA")
        if node.op_type != "Gemm" or not plain or node.input[1] not in constants or len(node.input) < 3:
            nodes.append(node)
            continue
        weight = constants[node.input[1]]
        if attributes.get("transB"):
            turned = numpy_helper.to_array(weight).T.copy()
            weight = numpy_helper.from_array(turned, f"{weight.name}.T")
            model.graph.initializer.append(weight)
        product = f"{node.output[0]}.product"
        nodes.append(helper.make_node("MatMul", [node.input[0], weight.name], [product], name=node.name))
        nodes.append(
            helper.make_node("Add", [product, node.input[2]], list(node.output), name=f"{node.name}.bias")
        )
    replace_nodes(model, nodes)


def drop_zero_points(model: Any) -> bool:
    """Leave out what MatMulInteger is told of its weights where that is 0, its default; whether there was any.

    ONNX Runtime's kernels go through a vector of zero points column by column even where all are 0.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    changed = False
    for node in model.graph.node:
        told = node.op_type == "MatMulInteger" and len(node.input) == 4
        zeros = constants.get(node.input[3]) if told else None
        if zeros is not None and not numpy_helper.to_array(zeros).any():
            del node.input[3]
            changed = True
    if changed:
        replace_nodes(model, list(model.graph.node))
    return changed


def drop_identities(model: Any) -> bool:
    """Let who reads an Identity read its input; whether there was one. One that makes an output stays.

    The tracer writes them where parameters are equal or shared, and quantizers look for weights no further.
    """
    outputs = {output.name for output in model.graph.output}
    source: dict[str, str] = {}
    nodes = []
    for node in model.graph.node:  # in order: what an Identity reads is already resolved
        node.input[:] = [source.get(name, name) for name in node.input]
        if node.op_type == "Identity" and node.output[0] not in outputs:
            source[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    if source:
        replace_nodes(model, nodes)
    return bool(source)


def drop_unread(model: Any) -> bool:
    """Drop nodes and constants that no output of the graph depends on; whether there were such nodes."""
    read = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if not read.isdisjoint(node.output):
            kept.append(node)
            read.update(node.input)
    if len(kept) == len(model.graph.node):
        return False
    replace_nodes(model, kept[::-1])
    return True


def constants(model: Any) -> dict[str, Any]:
    """Tensors of the graph whose values are known, by name: initializers, and the values of Constant nodes."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return tensors


def replace_nodes(model: Any, nodes: Sequence[Any]) -> None:
    """Give the graph new nodes, and drop constants that none of them reads."""
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
