"""The operators of a transformer in the form that ONNX Runtime runs fastest and every other runtime reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.emission.builder import Builder

Floats = NDArray[np.float32]


def array(tensor: Any) -> Floats:
    """A torch tensor as float32."""
    found: Floats = tensor.detach().to("cpu").float().numpy()
    return found


def linear(
    build: Builder,
    x: str,
    modules: Sequence[Any],
    name: str,
    stored: str | None = None,
    scales: Sequence[float] | None = None,
    fold: tuple[Floats, Floats] | None = None,
) -> str:
    """x [..., in] through Linear modules side by side: one product [..., sum of out] plus one bias.

    One product of merged weights quantizes its input once and is dispatched once. `stored` names the constants
    where runs share them; each module's result is multiplied by its scale, and all of it by `fold`'s first and
    added to its second, both [sum of out].
    """
    factors = list(scales or [1.0] * len(modules))
    weight = np.concatenate([array(m.weight).T * f for m, f in zip(modules, factors, strict=True)], axis=1)
    offset = np.concatenate([_bias(m) * f for m, f in zip(modules, factors, strict=True)])
    if fold is not None:
        weight, offset = weight * fold[0], offset * fold[0] + fold[1]
    kept = stored or name
    product = build.node("MatMul", [x, build.constant(f"{kept}.weight", weight.astype(np.float32))], name)
    bias = build.constant(f"{kept}.bias", offset.astype(np.float32))
    return build.node("Add", [product, bias], f"{name}.biased")


def gemm(
    build: Builder,
    x: str,
    module: Any,
    name: str,
    table: str | None = None,
    scale: float = 1.0,
    shift: float = 0.0,
) -> str:
    """x [rows, in] through a Linear module, times scale, plus shift; `table`: its weight that the graph has."""
    weight = table or build.constant(f"{name}.weight", array(module.weight) * np.float32(scale))
    bias = build.constant(f"{name}.bias", _bias(module) * np.float32(scale) + np.float32(shift))
    return build.node("Gemm", [x, weight, bias], name, transB=1)


def _bias(module: Any) -> Floats:
    return np.zeros(module.weight.shape[0], np.float32) if module.bias is None else array(module.bias)


def norm(build: Builder, x: str, module: Any, name: str, stored: str | None = None) -> str:
    """LayerNorm over the last axis."""
    kept = stored or name
    weight = build.constant(f"{kept}.weight", array(module.weight))
    bias = build.constant(f"{kept}.bias", array(module.bias))
    return build.node("LayerNormalization", [x, weight, bias], name, axis=-1, epsilon=float(module.eps))


def activation(build: Builder, x: str, kind: str, name: str) -> str:
    """An activation of `emission.ACTIVATIONS`, in the form that runtimes fuse into one kernel."""
    if kind in ("relu", "tanh"):
        return build.node({"relu": "Relu", "tanh": "Tanh"}[kind], [x], name)
    if kind == "gelu":
        scaled = build.node("Div", [x, build.number(math.sqrt(2))], f"{name}.ratio")
        erf = build.node("Erf", [scaled], f"{name}.erf")
        gate = build.node("Add", [erf, build.number(1.0)], f"{name}.above")
        whole = build.node("Mul", [x, gate], f"{name}.whole")
        return build.node("Mul", [whole, build.number(0.5)], name)
    cube = build.node("Pow", [x, build.number(3.0)], f"{name}.cube")
    bent = build.node("Mul", [cube, build.number(0.044715)], f"{name}.bent")
    total = build.node("Add", [x, bent], f"{name}.sum")
    scaled = build.node("Mul", [total, build.number(math.sqrt(2 / math.pi))], f"{name}.scaled")
    tanh = build.node("Tanh", [scaled], f"{name}.tanh")
    gate = build.node("Add", [tanh, build.number(1.0)], f"{name}.gate")
    half = build.node("Mul", [x, build.number(0.5)], f"{name}.half")
    return build.node("Mul", [half, gate], name)
