"""Formats: a torch artifact becomes a graph file at the target's shapes, and a file tells what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field

from edgebert.artifact import Form, Graph, Signature
from edgebert.tables import Table


class ExportShape(Table):
    """What decides an exported file, beside the model itself."""

    opset: int | None = None
    ir_version: int | None = None
    batch: int | None = None
    buckets: list[int] = Field(default_factory=list)
    dtype: Literal["int64", "int32"] = "int64"


class Format(Protocol):
    """What a module in this folder offers.

    `GIVES` is the form of its files, which quantizers take; the format of that name is the form's own, and others
    are chosen by a profile or a recipe. `ENVIRONMENT` is where it exports, as doctor knows it; empty: in our own.
    """

    NAME: str
    GIVES: Form

    @property
    def NEEDS(self) -> tuple[str, ...]:
        """Packages that must be importable."""

    EXTRA: str
    ENVIRONMENT: str
    FILE: str

    def fault(self, task: str) -> str | None:
        """Why a model of this task cannot be exported so, or None."""

    def way(self, traced: str | None) -> str:
        """How the graph is made, for a plan; `traced`: why the architecture's graphs are not emitted, or None."""

    def export(self, module: Any, shape: ExportShape, out: Path) -> Signature:
        """Write the fp32 graph of a torch module (`exportable.Exportable`) to `out` and tell its signature."""

    def inspect(self, path: Path) -> Graph:
        """What a graph file holds."""
