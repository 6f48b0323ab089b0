"""The whole graph: integers in, the task's outputs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgebert.emission import Bottlenecks, Emission, Head, Parted
from edgebert.emission.bottlenecks import BottleneckEncoder
from edgebert.emission.builder import Builder, Dims
from edgebert.emission.embeddings import WORDS
from edgebert.emission.encoder import Encoder
from edgebert.emission.operators import activation, array, gemm, linear, norm


def emit(
    emission: Emission,
    inputs: Sequence[str],
    outputs: Sequence[str],
    batch: int | None,
    tokens: int | None,
    dtype: str,
    opset: int | None,
    ir_version: int | None,
) -> Any:
    """The ModelProto of a model in fp32; batch and tokens are free where they are None."""
    build = Builder()
    blueprint = emission.blueprint
    encoder: Encoder | BottleneckEncoder
    if isinstance(blueprint, Bottlenecks):
        encoder = BottleneckEncoder(build, blueprint, tokens)
    else:
        encoder = Encoder(build, blueprint, tokens)
    head = emission.head
    if head.reads == "masked":
        states = encoder.states(_masked(build, head, dtype))
    else:
        states = encoder.states("first" if head.reads == "first" else None)
    if head.reads in ("first", "masked"):
        states = build.node("Squeeze", [states, build.integers(1)], "head/row")
    if head.reads == "masked":  # what has no mask gives the head nothing, as in torch
        there = build.node("ReduceSum", ["masked/first", build.integers(1)], "masked/there", keepdims=1)
        states = build.node("Mul", [states, there], "head/masked")
    if head.reads == "mean":
        states = _unit_mean(build, states)
    x = _steps(build, states, emission)
    dims: Dims = ["batch" if batch is None else batch]
    length = "tokens" if tokens is None else tokens
    if head.columns:
        _columns(build, x, outputs)
        dims = [*dims, length]
    else:
        build.output(x, outputs[0])
        width = _width(emission)
        dims = [*dims, length, width] if head.reads == "tokens" else [*dims, width]
    fed = {name: (dtype, [dims[0], length]) for name in inputs}
    return build.model(fed, dict.fromkeys(outputs, dims), opset, ir_version)


def _width(emission: Emission) -> int:
    """Size of the last axis of the outputs."""
    if not emission.head.steps:
        return emission.blueprint.width
    last = emission.head.steps[-1]
    return int((last.table if isinstance(last, Parted) else last).out_features)


def _masked(build: Builder, head: Head, dtype: str) -> str:
    """The first masked token of each text: float32 [batch, 1, tokens], 1 there and 0 elsewhere; none: all 0."""
    wanted = build.constant("masked/number", np.asarray(head.mask_number, dtype))
    found = build.node("Equal", ["input_ids", wanted], "masked/found")
    ones = build.node("Cast", [found], "masked/ones", to=1)
    counted = build.node("CumSum", [ones, build.integers(1)], "masked/counted")
    early = build.node("Less", [counted, build.number(1.5)], "masked/early")
    first = build.node("Mul", [ones, build.node("Cast", [early], "masked/early.float", to=1)], "masked/first")
    return build.node("Unsqueeze", [first, build.integers(1)], "masked/row")


def _unit_mean(build: Builder, states: str) -> str:
    """The mean over a text's tokens, of length 1: [batch, hidden]."""
    ones = build.node("Unsqueeze", ["mask/float", build.integers(2)], "mean/mask")
    own = build.node("Mul", [states, ones], "mean/own")
    total = build.node("ReduceSum", [own, build.integers(1)], "mean/sum", keepdims=0)
    count = build.node("ReduceSum", ["mask/float", build.integers(1)], "mean/count", keepdims=1)
    count = build.node("Max", [count, build.number(1.0)], "mean/count.least")
    mean = build.node("Div", [total, count], "mean")
    square = build.node(
        "ReduceSum", [build.node("Mul", [mean, mean], "mean/square"), build.integers(1)], "mean/power"
    )
    length = build.node(
        "Sqrt", [build.node("Max", [square, build.number(1e-12)], "mean/power.least")], "mean/length"
    )
    return build.node("Div", [mean, length], "mean/unit")


def _steps(build: Builder, x: str, emission: Emission) -> str:
    head = emission.head
    last = len(head.steps) - 1
    for number, step in enumerate(head.steps):
        name = f"head/{number}" if number < last else "head/classifier"
        if isinstance(step, str):
            x = activation(build, x, step, name)
        elif isinstance(step, Parted):
            x = _parted(build, x, step, name)
        elif hasattr(step, "normalized_shape"):
            x = norm(build, x, step, name)
        elif head.reads == "tokens":
            x = linear(build, x, [step], name)
        else:
            shared = step.weight is emission.blueprint.words.weight  # of masked-language heads
            factors = (head.scale, head.shift) if number == last else (1.0, 0.0)
            x = gemm(build, x, step, name, WORDS if shared else None, *factors)
    return x


def _parted(build: Builder, x: str, step: Parted, name: str) -> str:
    """A masked-language head: the embeddings read its first inputs, a table of its own the others."""
    sizes = build.integers(step.table.in_features, step.others.shape[0])
    one, other = build.nodes("Split", [x, sizes], [f"{name}/one", f"{name}/other"], axis=1)
    known = gemm(build, one, step.table, f"{name}/known", WORDS)
    others = build.constant(f"{name}/others.weight", array(step.others))
    return build.node("Add", [known, build.node("MatMul", [other, others], f"{name}/others")], name)


def _columns(build: Builder, x: str, outputs: Sequence[str]) -> None:
    names = [f"head/column.{number}" for number in range(len(outputs))]
    if len(outputs) > 1:
        parts = build.integers(*[1] * len(outputs))
        build.nodes("Split", [x, parts], names, axis=2)
    else:
        names = [x]
    for column, output in zip(names, outputs, strict=True):
        build.node("Squeeze", [column, build.integers(2)], output)
