"""Formats: a torch artifact becomes a graph file at the target's shapes, and a file tells what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field

from edgebert.artifact import Signature
from edgebert.tables import Table


class ExportShape(Table):
    """What decides an exported file, beside the model itself."""

    opset: int | None = None
    ir_version: int | None = None
    batch: int | None = None
    buckets: list[int] = Field(default_factory=list)
    dtype: Literal["int64", "int32"] = "int64"


class Graph(Table):
    """What a graph file holds.

    `int8_matmul_share` is, of the multiply-adds of matrix products with a constant operand, the share whose
    constant is an 8-bit integer; products of two activations (Q.K and attention.V) do not count. `kept_float`
    names the constants of such products that are not.
    """

    ops: dict[str, int]
    int8_matmul_share: float
    kept_float: list[str]
    opset: int | None
    ir_version: int | None
    flex_ops: int = 0


class Format(Protocol):
    """What a module in this folder offers."""

    NAME: str

    @property
    def NEEDS(self) -> tuple[str, ...]:
        """Packages that must be importable."""

    EXTRA: str
    FILE: str

    def export(self, module: Any, shape: ExportShape, out: Path) -> Signature:
        """Write the fp32 graph of a torch module (`exportable.Exportable`) to `out` and tell its signature."""

    def inspect(self, path: Path) -> Graph:
        """What a graph file holds."""
