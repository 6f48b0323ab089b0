"""In which order a TFLite file's signature takes its inputs and gives its outputs, read without a runtime.

benchmark_model binds files to inputs by their place in the signature's subgraph and writes outputs in that order;
runtimes list both by name. Field numbers are those of LiteRT's schema.fbs, the encoding is FlatBuffers'.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

_SUBGRAPHS, _SIGNATURES = 2, 7  # Model
_TENSORS, _INPUTS, _OUTPUTS = 0, 1, 2  # SubGraph
_SHAPE, _TYPE = 0, 1  # Tensor
_GIVEN, _GOT, _KEY, _SUBGRAPH = 0, 1, 2, 4  # SignatureDef
_NAME, _TENSOR = 0, 1  # TensorMap
FLOAT32 = 0  # TensorType


@dataclass(frozen=True)
class Layout:
    """Names of a signature's inputs in order, and of its outputs with their number of float32 values."""

    inputs: list[str]
    outputs: list[tuple[str, int]]


def read(path: Path, signature: str) -> Layout:
    """The layout of a signature. Raises ValueError where the file holds none, or outputs that are not float32."""
    try:
        data = path.read_bytes()
        model = _follow(data, 0)
        wanted = [one for one in _tables(data, model, _SIGNATURES) if _text(data, one, _KEY) == signature]
        if not wanted:
            raise ValueError(f"no signature '{signature}'")
        graphs = list(_tables(data, model, _SUBGRAPHS))
        graph = graphs[_scalar(data, wanted[0], _SUBGRAPH, "I")]
        tensors = list(_tables(data, graph, _TENSORS))
        given, got = (_names(data, wanted[0], field) for field in (_GIVEN, _GOT))
        outputs = _numbers(data, graph, _OUTPUTS)
        if any(_scalar(data, tensors[i], _TYPE, "b") != FLOAT32 for i in outputs):
            raise ValueError(f"signature '{signature}' gives outputs that are not float32")
        return Layout(
            inputs=[given[i] for i in _numbers(data, graph, _INPUTS)],
            outputs=[(got[i], prod(_numbers(data, tensors[i], _SHAPE))) for i in outputs],
        )
    except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"not a TFLite file that can be read ({error})") from None


def _follow(data: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def _field(data: bytes, table: int, number: int) -> int | None:
    """Where a field of a table lies; None where it has its default."""
    fields = table - int(struct.unpack_from("<i", data, table)[0])
    size = int(struct.unpack_from("<H", data, fields)[0])
    slot = 4 + 2 * number
    offset = int(struct.unpack_from("<H", data, fields + slot)[0]) if slot < size else 0
    return table + offset if offset else None


def _scalar(data: bytes, table: int, number: int, kind: str) -> int:
    at = _field(data, table, number)
    return 0 if at is None else int(struct.unpack_from("<" + kind, data, at)[0])


def _vector(data: bytes, table: int, number: int) -> tuple[int, int]:
    """Where a vector's elements begin, and how many there are."""
    at = _field(data, table, number)
    if at is None:
        return 0, 0
    start = _follow(data, at)
    return start + 4, int(struct.unpack_from("<I", data, start)[0])


def _tables(data: bytes, table: int, number: int) -> Iterator[int]:
    start, count = _vector(data, table, number)
    return (_follow(data, start + 4 * i) for i in range(count))


def _numbers(data: bytes, table: int, number: int) -> list[int]:
    start, count = _vector(data, table, number)
    return list(struct.unpack_from(f"<{count}i", data, start))


def _text(data: bytes, table: int, number: int) -> str:
    start, length = _vector(data, table, number)
    return data[start : start + length].decode()


def _names(data: bytes, signature: int, number: int) -> dict[int, str]:
    """Names of a signature's tensors by their numbers."""
    maps = _tables(data, signature, number)
    return {_scalar(data, one, _TENSOR, "I"): _text(data, one, _NAME) for one in maps}
