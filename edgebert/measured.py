"""What verify found of a target's files, before any gate is held against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from edgebert.manifest import ModelFile, OutOfScopeFacts
from edgebert.verdict import Latency, Speedup

FILE, GOLDEN, SAMPLES = "measured.json", "golden.jsonl", "samples.json"


class Measured(BaseModel):
    """Figures alone: a changed gate is judged on them without measuring again."""

    files: list[ModelFile]
    latency: list[Latency]
    speedup: list[Speedup]
    peak_memory_mb: dict[str, float]
    golden_diff: dict[str, float]
    violations: dict[str, list[str]]
    decoding: dict[str, Any]
    out_of_scope: OutOfScopeFacts | None
    chance: float
    cut_otherwise: int = 0  # test rows whose pieces are others than the teacher's
    ran_in: dict[str, str] = Field(default_factory=dict)  # name and version of the runtime
    test_scored: int


def read(folder: Path) -> Measured:
    """What verify wrote to a folder."""
    return Measured.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
