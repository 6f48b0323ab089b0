"""What a build consists of: steps, the plan that orders them, and what became of a target."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from edgebert import fingerprint
from edgebert.distillation import Distil
from edgebert.manifest import Manifest
from edgebert.recipe import Recipe
from edgebert.store import key_of
from edgebert.target import Target
from edgebert.verdict import Raced, Verdict


class Named(Protocol):
    """A piece of work that can be watched."""

    @property
    def key(self) -> str:
        """What tells it from all others."""

    @property
    def about(self) -> str:
        """What it is, for people."""


Tell = Callable[[int, int], None]  # how many units of the step's work are done, of how many
Work = Callable[[list[Path], Path, Tell], None]  # inputs' folders, the folder to fill, progress


@dataclass(frozen=True)
class Step:
    """One cell of a plan; its key is a hash of all that decides what it makes.

    `together`: where several processes build, all of them work on it.
    """

    stage: str
    about: str
    settings: dict[str, Any]
    inputs: tuple[Step, ...]
    modules: tuple[str, ...]
    needs: tuple[str, ...]
    work: Work = field(repr=False, compare=False)
    together: bool = False

    @functools.cached_property
    def key(self) -> str:
        """16 hex digits."""
        return key_of(
            [
                self.stage,
                self.settings,
                [step.key for step in self.inputs],
                fingerprint.of_modules([f"edgebert.stages.{self.stage}", *self.modules]),
                fingerprint.versions(self.needs),
            ]
        )

    def walk(self, seen: set[str]) -> Iterator[Step]:
        """All that it needs, inputs first, and itself; those whose key was `seen` are left out."""
        for one in self.inputs:
            yield from one.walk(seen)
        if self.key not in seen:
            seen.add(self.key)
            yield self


@dataclass(frozen=True)
class Race:
    """What settles a target's quantizer; `settle` gives the bundle's step by what the race found.

    `asked`: on a board that the user named, so it is run even where its like was run before.
    """

    step: Step
    settle: Callable[[Raced], Step] = field(repr=False, compare=False)
    asked: bool = False


@dataclass(frozen=True)
class Plan:
    """The steps of a build, by the bundle they end in, and how a student learns, with nothing left open.

    Where a target has a race, its bundle here is that of the profile's default, which a race may replace.
    `quantizers` says of each target how its quantizers were chosen; `warnings` are for people to read.
    """

    recipe: Recipe
    store: Path
    targets: dict[str, Target]
    bundles: dict[str, Step]
    distil: Distil | None = None
    races: dict[str, Race] = field(default_factory=dict)
    quantizers: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def steps(self) -> Iterator[Step]:
        """Every step once, inputs first."""
        seen: set[str] = set()
        for target, last in self.bundles.items():
            if target in self.races:
                yield from self.races[target].step.walk(seen)
            yield from last.walk(seen)


@dataclass(frozen=True)
class Outcome:
    """What became of one target."""

    verdict: Verdict
    manifest: Manifest
    folder: Path
    older_kept: bool = False
