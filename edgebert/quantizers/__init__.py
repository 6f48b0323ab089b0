"""Quantizers: an fp32 graph file becomes one of lower precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import Field

from edgebert.histograms import Method
from edgebert.static_ranges import Write as Write
from edgebert.tables import Table
from edgebert.tokenization import Feeds


class Settings(Table):
    """What a quantizer is told beside the graph itself."""

    keep_float: list[str] = Field(default_factory=list)
    ranges: Method = Field(default="minmax", description="how static ranges are taken of calibration texts")

    def keeping(self, names: Sequence[str]) -> Settings:
        """These settings with more to keep float."""
        return self.model_copy(update={"keep_float": [*self.keep_float, *names]})


class Quantizer(Protocol):
    """What a module in this folder offers.

    `ID` names the file in the manifest (int8, fp16), `PRECISION` what it holds, `FILE` where it is in the bundle.
    `NEEDS_BATCHES`: static ranges, measured on calibration texts. `EQUALIZE`: accuracy control may move ranges of
    activations into the weights of the graph before (`edgebert.equalization`).
    """

    TAKES: str
    GIVES: str

    @property
    def NEEDS(self) -> tuple[str, ...]:
        """Packages that must be importable."""

    EXTRA: str
    ID: str
    PRECISION: str
    FILE: str
    NEEDS_BATCHES: bool

    @property
    def tensors(self) -> Callable[[Path], dict[str, int]] | None:
        """What accuracy control may give precision back to in a file: multiply-adds by name; None: no control."""

    EQUALIZE: bool

    @property
    def prepare(self) -> Callable[[Path, Settings, Sequence[Feeds]], Write] | None:
        """What measures ranges once for all files that accuracy control tries; None: `apply` measures none.

        What it returns writes the file of `apply`, but for products named, which are of higher precision.
        """

    @property
    def RANGES(self) -> tuple[Method, ...]:
        """How it can take static ranges of calibration texts; the first is what it does unless told otherwise."""

    def apply(self, source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
        """Write the quantized form of the graph file `source` to `out`.

        Each batch is a text's token ids, int64 [1, tokens] by input name.
        """

    def violations(self, path: Path) -> list[str]:
        """What in the file the target's compiler is known to refuse, found without running it."""
