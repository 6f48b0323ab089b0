"""Nodes and constants of an ONNX graph, each named after the part of the model that it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Dims = Sequence[int | str | None]


class Builder:
    """A graph in the making. What a method returns is the name of a tensor."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, array: Any) -> str:
        """A constant of the graph; one of a name that is there already is the same one."""
        from onnx import numpy_helper

        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(
                np.ascontiguousarray(array).reshape(np.shape(array)), name
            )
        return name

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """A node of one output, which has the node's name."""
        return self.nodes(op, inputs, [name], **attributes)[0]

    def nodes(self, op: str, inputs: Sequence[str], names: Sequence[str], **attributes: Any) -> Sequence[str]:
        """A node of several outputs, named after the first of them."""
        from onnx import helper

        self._nodes.append(helper.make_node(op, list(inputs), list(names), name=names[0], **attributes))
        return names

    def output(self, tensor: str, name: str) -> None:
        """Call a tensor by the name of an output of the graph."""
        for node in self._nodes:
            node.output[:] = [name if one == tensor else one for one in node.output]
            node.input[:] = [name if one == tensor else one for one in node.input]

    def integers(self, *values: int) -> str:
        """An int64 [values] constant."""
        return self.constant(f"integers/{'_'.join(map(str, values))}", np.asarray(values, np.int64))

    def number(self, value: float) -> str:
        """A float32 constant without dimensions."""
        return self.constant(f"number/{value!r}", np.asarray(value, np.float32))

    def model(
        self,
        inputs: Mapping[str, tuple[str, Dims]],
        outputs: Mapping[str, Dims],
        opset: int | None,
        ir_version: int | None,
    ) -> Any:
        """The finished ModelProto; inputs are (dtype, dims) by name, outputs float32 tensors of dims by name."""
        import onnx
        from onnx import TensorProto, helper

        types = {"int64": TensorProto.INT64, "int32": TensorProto.INT32}
        graph = helper.make_graph(
            self._nodes,
            "edgebert",
            [
                helper.make_tensor_value_info(name, types[kind], list(dims))
                for name, (kind, dims) in inputs.items()
            ],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(dims)) for n, dims in outputs.items()],
            list(self._constants.values()),
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset or 17)], producer_name="edgebert"
        )
        if ir_version is not None:
            model.ir_version = ir_version
        onnx.checker.check_model(model)
        return model
