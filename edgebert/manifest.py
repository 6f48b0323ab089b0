"""manifest.json, schema 1: what a bundle is, how it was scored and timed, and what it comes from."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from edgebert.artifact import Signature
from edgebert.verdict import Check, Evidence, Latency, Score, Speedup

SCHEMA = 1


class Part(BaseModel):
    """A table of the manifest; unknown keys of later versions are ignored."""

    model_config = ConfigDict(extra="ignore")


class TargetFacts(Part):
    """The target, as far as the device needs to know it, and doctor's name of the environment its files ran in."""

    name: str
    runtime: str
    version: str
    environment: str = ""
    board: str | None = None
    threads: int = 1
    arch: str = ""
    cpu: str = ""
    system: str = "linux"
    accelerator: str = "none"


class ModelFile(Part):
    """One model file of the bundle."""

    id: str
    file: str
    format: str
    precision: str
    bytes: int
    parameters: int
    opset: int | None
    ir_version: int | None
    ops: dict[str, int]
    int8_matmul_share: float
    kept_float: list[str]
    session: dict[str, str]
    runtime: str = ""
    signature: Signature
    buckets: list[int] = Field(default_factory=list)
    placement: dict[str, int | None]
    scores: list[Score]
    control: dict[str, Any] = Field(default_factory=dict, description="what accuracy control did, on dev")


class OutOfScopeFacts(Part):
    """How texts that no label fits are told apart: by the highest probability that the shipped file gives.

    `threshold` is None where every label has its own. `false_rejection` is the share of test rows that were
    rejected, `false_acceptance` that of the out-of-scope `rows` that were not.
    """

    auroc: float | None
    threshold: float | None
    rows: int
    false_rejection: float | None = None
    false_acceptance: float | None = None


class TokenizerFacts(Part):
    """The tokenizer's table that clients read, or why there is none: then they need `tokenizer.json`'s library."""

    table: str | None
    reason: str | None = None


class Provenance(Part):
    """Where everything comes from; no path, host or user name."""

    versions: dict[str, str]
    source: dict[str, str | None]
    data: dict[str, str]
    recipe: dict[str, Any]
    seed: int
    test_scored: int
    built_at: str
    steps: dict[str, str] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    pruning: dict[str, Any] = Field(default_factory=dict)
    race: dict[str, Any] | None = None


class Manifest(Part):
    """The whole manifest."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    name: str
    task: str
    architecture: str
    labels: list[str]
    level: Evidence
    default_model: str
    target: TargetFacts
    models: list[ModelFile]
    latency: list[Latency]
    speedup: list[Speedup]
    peak_memory_mb: float | None
    decoding: dict[str, Any]
    tokenizer: TokenizerFacts | None = None
    out_of_scope: OutOfScopeFacts | None
    checks: list[Check]
    provenance: Provenance

    def score(self, model: str | None = None) -> Score:
        """The gated score of a model file (the default one without a name)."""
        return self.file(model).scores[0]

    def file(self, model: str | None = None) -> ModelFile:
        """The entry of a model file (the default one without a name)."""
        wanted = model or self.default_model
        return next(entry for entry in self.models if entry.id == wanted)
