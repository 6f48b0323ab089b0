"""The graph of one length, with softmax behind it and the inputs in the order in which MediaPipe tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgebert.errors import InputError

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def classifier(source: Path, tokens: int) -> Any:
    """A LiteRT file with the signature of `tokens` tokens alone: int32 [1, tokens] each to float32 [1, labels].

    MediaPipe wants three inputs: one that the model lacks is there and nothing reads it. Weights are inside the
    flatbuffer, as its readers of older versions ask for. Raises InputError.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(source))
    signature = next(one for one in model.signatureDefs if one.signatureKey.decode() == f"tokens_{tokens}")
    graph = model.subgraphs[signature.subgraphIndex]
    given = {tensor.name.decode(): tensor.tensorIndex for tensor in signature.inputs}
    graph.inputs = [given.get(name, -1) for name in INPUTS]
    for place, name in enumerate(INPUTS):
        if graph.inputs[place] < 0:
            graph.inputs[place] = _add(graph, name, [1, tokens], "INT32")
        _check(graph.tensors[graph.inputs[place]], [1, tokens], "INT32", source)
    _add_softmax(model, graph, source)
    model.subgraphs, model.signatureDefs = [graph], []
    _drop_unread(model, graph)
    return model


def _check(tensor: Any, shape: list[int], kind: str, source: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    if list(tensor.shape) != shape or tensor.type != getattr(schema.TensorType, kind):
        raise InputError(f"{source}: its tensor {tensor.name.decode()} is not {kind.lower()} {shape}")


def _add(graph: Any, name: str, shape: list[int], kind: str) -> int:
    """Add a tensor that holds nothing; its number."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name.encode(), shape, getattr(schema.TensorType, kind)
    tensor.buffer = 0  # the one that is empty in every file
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _add_softmax(model: Any, graph: Any, source: Path) -> None:
    """Probabilities in place of logits."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    [logits] = graph.outputs
    labels = list(graph.tensors[logits].shape)
    _check(graph.tensors[logits], [1, labels[-1]], "FLOAT32", source)
    kind = schema.BuiltinOperator.SOFTMAX
    codes = [flatbuffer_utils.get_builtin_code_from_operator_code(code) for code in model.operatorCodes]
    if kind not in codes:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = 1
        model.operatorCodes.append(code)
        codes.append(kind)
    softmax = schema.OperatorT()
    softmax.opcodeIndex = codes.index(kind)
    softmax.inputs, softmax.outputs = [logits], [_add(graph, "probabilities", labels, "FLOAT32")]
    softmax.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    softmax.builtinOptions = schema.SoftmaxOptionsT()
    softmax.builtinOptions.beta = 1.0
    graph.operators.append(softmax)
    graph.outputs = softmax.outputs


def _drop_unread(model: Any, graph: Any) -> None:
    """Empty the buffers that only graphs of other lengths read."""
    read = {tensor.buffer for tensor in graph.tensors} | {one.buffer for one in model.metadata or []}
    for number, buffer in enumerate(model.buffers):
        if number not in read:
            buffer.data = None
