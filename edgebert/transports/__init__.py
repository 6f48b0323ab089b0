"""Transports: where a bundle is run to be validated, and how it gets there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from edgebert import members
from edgebert.artifact import Artifact
from edgebert.errors import InputError, SurroundingsError, nearest
from edgebert.jobs import TIME_LIMIT, Finished, Tell
from edgebert.manifest import Manifest, TargetFacts
from edgebert.proof import ASPECTS, Aspect, Instructions
from edgebert.target import Target
from edgebert.verdict import Evidence, Latency

FAILED, WRONG_INPUT, BUG, SURROUNDINGS = 1, 2, 3, 4  # exit statuses of a device job


@dataclass(frozen=True)
class Options:
    """What only some transports can use; each refuses what it cannot."""

    runner: Path | None = None
    ssh_config: Path | None = None
    install_runtime: bool = False
    clean: bool = False

    def given(self) -> list[str]:
        """Names of the command line's options that were given."""
        return [f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value]


@dataclass(frozen=True)
class Job:
    """What is to be run: a bundle whose files were checked, one of its model files, and with which rows.

    `rows` are ids of texts beside the golden ones, by input name; `reference` is the fp32 file that the shipped
    one is compared with in speed or instructions.
    """

    bundle: Path
    manifest: Manifest
    entry: dict[str, Any]
    golden: int
    rows: list[dict[str, list[int]]]
    reference: Artifact | None
    threads: int
    rounds: int
    sustained_s: float
    limit_s: float
    tell: Tell = field(repr=False)

    def request(self, bundle: str, reference: str | None, **changed: Any) -> dict[str, Any]:
        """The worker's request, with the paths as the device sees them."""
        given = None
        if self.reference is not None and reference is not None:
            entry = self.reference.entry("reference", self.entry["session"], self.entry["runtime"])
            given = {"folder": reference, "entry": entry}
        return {
            "bundle": bundle,
            "model": self.entry["id"],
            "golden": self.golden,
            "rows": self.rows,
            "reference": given,
            "threads": self.threads,
            "rounds": self.rounds,
            "sustained_s": self.sustained_s,
            **changed,
        }


@dataclass(frozen=True)
class Contest:
    """Files of one model that are to be timed side by side: by name, with how each is loaded.

    `rows` are ids of texts by input name; the rounds take about `seconds`.
    """

    target: TargetFacts
    files: dict[str, Artifact]
    entries: dict[str, dict[str, Any]]
    rows: list[dict[str, list[int]]]
    threads: int
    seconds: float
    limit_s: float
    tell: Tell = field(repr=False)

    def request(self, folders: Mapping[str, str]) -> dict[str, Any]:
        """The worker's request, with the folders as the device sees them."""
        return {
            "contenders": {name: {"folder": folders[name], "entry": self.entries[name]} for name in self.files},
            "rows": self.rows,
            "threads": self.threads,
            "seconds": self.seconds,
            "board": self.target.board,
        }


@dataclass(frozen=True)
class Observation:
    """What a transport brings back.

    `found` is the worker's result (`edgebert.device.job.run`), or the part of it that the transport could get:
    `outputs` and `further` are None where the device gave no outputs, and `at` is absent where it gave them whole
    (see `edgebert.device.excerpts`). `evidence` says, for each aspect, what the
    run is evidence of; an aspect that it tells nothing about is left out. `latency` holds the percentiles of a
    runner that keeps its samples to itself; raw samples are in `found`.
    """

    transport: str
    found: dict[str, Any]
    evidence: dict[Aspect, Evidence]
    instructions: Instructions | None = None
    not_measured: dict[str, str] = field(default_factory=dict)
    latency: list[Latency] = field(default_factory=list)


class Transport(Protocol):
    """What a module in this folder offers."""

    NAME: str
    USES: tuple[str, ...]  # fields of Options
    TIMED: bool  # whether it can tell milliseconds of the target
    SUSTAINED: bool  # whether a minute without a pause follows the short run

    def fault(self, address: str, target: TargetFacts) -> str | None:
        """What is wrong with an address (what follows NAME in --on) for a target, or None; nothing is started."""

    def run(self, address: str, job: Job, options: Options) -> Observation:
        """Run the job. Raises InputError, SurroundingsError."""

    @property
    def race(self) -> Callable[[str, Contest, Options], dict[str, Any]] | None:
        """Time files side by side in one process; None where it cannot.

        What comes back is the worker's result (`edgebert.device.job.race`). Raises InputError, SurroundingsError.
        """


def facts(target: Target) -> TargetFacts:
    """A target as a bundle and its device know it."""
    return TargetFacts(
        name=target.name,
        runtime=target.runtime.name,
        version=target.runtime.version,
        environment=target.runtime.environment,
        board=target.hardware.board,
        threads=target.hardware.threads,
        arch=target.hardware.arch,
        cpu=target.hardware.cpu,
        system=target.hardware.system,
        accelerator=target.hardware.accelerator,
    )


def place(option: str, where: str, target: TargetFacts) -> tuple[ModuleType, str]:
    """The transport that an option of the command line names, and the address that follows the name.

    Raises InputError for one that does not lead to a machine for this target.
    """
    name, separator, address = where.partition(":")
    known = members.names("transports")
    if name not in known:
        raise InputError(f"{option} {where}: no such transport; {nearest(name, known)}")
    transport = members.find("transports", name)
    if separator and not address:
        raise InputError(f"{option} {where}: nothing follows the colon")
    if (wrong := transport.fault(address, target)) is not None:
        raise InputError(f"{option} {where}: {wrong}")
    return transport, address


def check_options(options: Options, transport: ModuleType, option: str = "--on") -> None:
    """Raise InputError for options that a transport has no use for."""
    used = [f"--{name.replace('_', '-')}" for name in transport.USES]
    if unused := [name for name in options.given() if name not in used]:
        raise InputError(f"{unused[0]}: of no use with {option} {transport.NAME}")


def evidence_of(
    found: dict[str, Any], target: TargetFacts, where: str
) -> tuple[dict[Aspect, Evidence], dict[str, str]]:
    """What a run of the device code is evidence of, aspect by aspect, and why the level cannot rise by it.

    Its runtimes compute on the CPU of `where`: of a bundle for an accelerator they tell the accuracy by standing
    in, and neither placement nor latency.
    """
    if target.accelerator != "none":
        ran = f"ran in {found['runtime']['name']} on {where}'s CPU"
        return {"accuracy": "host"}, {"level": f"{ran}; {target.runtime} and the {target.accelerator} did not"}
    return dict.fromkeys(ASPECTS, found["evidence"]), {}


def result_of(finished: Finished, where: str, limit_s: float, missing: Callable[[str], str]) -> dict[str, Any]:
    """The worker's result, or the error that its end stands for; `missing` turns a runtime's absence into advice.

    Raises InputError, SurroundingsError, and RuntimeError for a bug of ours.
    """
    if finished.status == 0 and finished.result is not None:
        return finished.result
    last = finished.said.splitlines()[-1] if finished.said else "it said nothing"
    if finished.status == TIME_LIMIT:
        raise SurroundingsError(
            f"{where}: the run took longer than {limit_s:.0f} s and was stopped; raise --limit or lower --rows"
        )
    if finished.killed:
        raise SurroundingsError(
            f"{where}: the run was killed there ({last}); often memory ran out: close other programs and try again"
        )
    if finished.status == WRONG_INPUT:
        raise InputError(f"{where}: {last}")
    if finished.status == SURROUNDINGS:
        raise SurroundingsError(f"{where}: {missing(last)}")
    raise RuntimeError(f"{where}: the device job ended with status {finished.status}: {finished.said}")
