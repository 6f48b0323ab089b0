"""A proof: what `validate` found of a bundle on one device, kept beside it, merged where the bundle is shown."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgebert.manifest import Manifest
from edgebert.verdict import EVIDENCE, Check, Evidence, Latency, Speedup, Value, weakest

SCHEMA = 1
Aspect = Literal["accuracy", "placement", "latency"]
ASPECTS: tuple[Aspect, ...] = ("accuracy", "placement", "latency")
ANSWERS = ("golden_max_abs_diff", "agreement")  # checks of what the device answered


class Instructions(BaseModel):
    """Executed instructions of one inference, the model alone, mean over some golden rows at their own lengths.

    `ratio`: all instructions of the shipped file over those of the reference. Counts are no time: they know no
    cache, no memory bandwidth and no clock. The plugin's error is .4 % (measured by repeating).
    """

    rows: int
    tokens: list[int]
    shipped: dict[str, float]
    reference: dict[str, float] | None = None
    ratio: float | None = None


class Comparison(BaseModel):
    """Row by row, the device's outputs against the host's of the same file.

    `compared`: rows whose host margin (best logit minus second) exceeds the tolerance; `same`: how many of those
    have the same answer. `largest` is the largest difference of any output of any row; None: one is not finite.
    """

    rows: int
    compared: int
    same: int
    largest: float | None
    tolerance: float
    against: Literal["a host run of the same file", "the outputs recorded in golden.jsonl"]


class Proof(BaseModel):
    """One validation. `evidence` has an entry for each aspect of which the run is evidence.

    `valid` is false where the board was throttled or its clock limited: nothing was judged and `slowed` says why.
    """

    model_config = ConfigDict(extra="ignore")

    schema_: int = Field(default=SCHEMA, alias="schema")
    bundle: str
    target: str
    digest: str
    model: str
    transport: str
    evidence: dict[Aspect, Evidence]
    passed: bool
    valid: bool
    slowed: list[str]
    data: str | None = Field(description="sha256 of the data file; None: the golden rows")
    rows: int
    score: Value | None
    host_score: Value | None
    comparison: Comparison | None
    checks: list[Check]
    latency: list[Latency]
    speedup: Speedup | None
    peak_memory_mb: float | None
    sustained: dict[str, Any] | None
    instructions: Instructions | None
    host: dict[str, Any]
    runtime: dict[str, str]
    conditions: dict[str, Any] | None
    samples: dict[str, list[float]]
    tokenizer: dict[str, int] | None = Field(
        default=None, description="golden rows that the bundle's own code tokenized there, and how many differ"
    )
    runner: dict[str, Any] | None = Field(
        default=None, description="what a benchmark binary printed, its own words"
    )
    not_measured: dict[str, str]
    seconds: float
    measured_at: str


def folder_of(bundle: Path, target: str) -> Path:
    """Where the proofs of a bundle lie: beside it, as the bundle itself never changes."""
    return bundle.resolve().parent / "proof" / target


def write(proof: Proof, bundle: Path) -> Path:
    """Keep a proof under its time and transport; earlier ones stay. The file appears whole or not at all."""
    folder = folder_of(bundle, proof.target)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{proof.measured_at.replace(':', '')}-{proof.transport.split(':')[0]}"
    handle, draft = tempfile.mkstemp(prefix=".draft-", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(handle, 0o644)  # a temporary file is its owner's alone
            file.write(proof.model_dump_json(indent=1, by_alias=True) + "\n")
        number = 0
        while True:
            path = folder / (f"{name}-{number}.json" if number else f"{name}.json")
            try:
                os.link(draft, path)  # unlike a rename it never replaces another proof of the same second
                return path
            except FileExistsError:
                number += 1
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):  # no hard links, as on a card's FAT
                    raise
                Path(draft).replace(path)
                return path
    finally:
        Path(draft).unlink(missing_ok=True)


def read(bundle: Path, target: str, digest: str) -> list[Proof]:
    """The proofs of the very bundle with this digest, oldest first; files that are no proofs are passed over."""
    found = []
    for path in folder_of(bundle, target).glob("*.json"):
        try:
            proof = Proof.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if proof.digest == digest:
            found.append((proof.measured_at, _number(path), path.name, proof))
    return [proof for *_, proof in sorted(found, key=lambda one: one[:3])]


def _number(path: Path) -> int:
    """The number in the name of one of several proofs of the same second, as `write` gives it."""
    last = path.stem.rpartition("-")[2]
    return int(last) if last.isdecimal() else 0


def merge(manifest: Manifest, proofs: Sequence[Proof]) -> Manifest:
    """The manifest with what its proofs add: a higher level, judged checks, latency and speed-up of the device.

    Of valid proofs by the same kind of evidence the newest counts, check by check and aspect by aspect: a check
    that failed on a device stays a failure until a newer run there judges it again, on as many rows as count.
    """
    counted = [proof for proof in proofs if proof.valid and proof.evidence]
    judged: dict[tuple[str, str, str], Check] = {}
    for proof in counted:
        for check in proof.checks:
            few = check.name in ANSWERS and "accuracy" not in proof.evidence
            key = (check.name, check.model, check.evidence)
            if check.status != "not_judged" and not (few and key in judged and check.status != "fail"):
                judged[key] = check
    settled = {(name, model) for name, model, _ in judged}
    latency = {(proof.model, proof.latency[0].evidence): proof.latency for proof in counted if proof.latency}
    speedup = {(one.model, one.evidence): one for proof in counted if (one := proof.speedup) is not None}
    return manifest.model_copy(
        update={
            "level": _level(manifest, counted),
            "checks": [
                *(c for c in manifest.checks if c.status != "not_judged" or (c.name, c.model) not in settled),
                *judged.values(),
            ],
            "latency": [*manifest.latency, *(one for several in latency.values() for one in several)],
            "speedup": [*manifest.speedup, *speedup.values()],
        }
    )


def _level(manifest: Manifest, proofs: Sequence[Proof]) -> Evidence:
    """The weakest of the aspects, each raised by the strongest evidence whose newest run of the default passed."""
    passed = {
        (aspect, evidence): proof.passed
        for proof in proofs
        if proof.model == manifest.default_model
        for aspect, evidence in proof.evidence.items()
    }
    return weakest(
        max([manifest.level, *(e for (a, e), good in passed.items() if good and a == aspect)], key=EVIDENCE.index)
        for aspect in ASPECTS
    )
