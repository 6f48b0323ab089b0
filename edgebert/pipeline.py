"""From a recipe to bundles: plan the steps, run those that are not in the store, publish what passed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgebert import planning, proof, quiet, races, recipe
from edgebert.device import bundle as bundles
from edgebert.errors import DiskFullError, EdgeBertError, InputError, is_disk_full
from edgebert.manifest import Manifest
from edgebert.stages import race
from edgebert.steps import Named, Outcome, Plan, Step
from edgebert.store import ENTRY, Store, replace_folder
from edgebert.training import processes
from edgebert.verdict import Verdict, holds

WAIT_SECONDS = 0.5  # between looks for a step that another process makes


class Watch(Protocol):
    """Who wants to see a build go on."""

    def begin(self, step: Named, cached: bool) -> None:
        """A step starts, or is found finished in the store."""

    def tell(self, done: int, total: int) -> None:
        """How far the running step is."""

    def end(self, step: Named) -> None:
        """A step is finished."""


class Unwatched:
    """Nobody looks."""

    def begin(self, step: Named, cached: bool) -> None:
        """Nothing."""

    def tell(self, done: int, total: int) -> None:
        """Nothing."""

    def end(self, step: Named) -> None:
        """Nothing."""


@dataclass
class Run:
    """One build under way."""

    store: Store
    watch: Watch
    made: dict[str, Path] = field(default_factory=dict)

    def make(self, step: Step) -> Path:
        """The step's finished folder: from the store, or made now with all it needs."""
        if step.key in self.made:
            return self.made[step.key]
        folder = self.store.find(step.stage, step.key)
        self.watch.begin(step, folder is not None)
        if folder is None:
            inputs = [self.make(one) for one in step.inputs]
            self.watch.begin(step, False)
            folder = self._work(step, inputs)
        self.made[step.key] = folder
        self.watch.end(step)
        return folder

    def _work(self, step: Step, inputs: list[Path]) -> Path:
        log = self.store.root / "logs" / f"{step.stage}-{step.key}.log"
        about = {"stage": step.stage, "about": step.about, "settings": step.settings}
        about["inputs"] = [one.key for one in step.inputs]
        with self.store.draft(step.stage, step.key, about) as draft, quiet.into(log):
            try:
                step.work(inputs, draft, self.watch.tell)
            except EdgeBertError:
                raise
            except Exception as error:
                if is_disk_full(error):
                    raise DiskFullError(str(self.store.root)) from error
                error.add_note(f"in the step '{step.about}'; what its libraries printed is in {log}")
                raise
        return self.store.place(step.stage, step.key)


def build(
    source: str | Path,
    targets: Sequence[str] | None = None,
    out: str | Path = "build",
    *,
    overrides: Sequence[str] = (),
    fresh: bool = False,
    strict: bool = False,
    allow_code: bool = False,
    rerace: bool = False,
    race_on: str | None = None,
) -> dict[str, Verdict]:
    """Build a recipe's bundles; the verdict of each target by name.

    `targets` restricts the recipe's own list; `race_on` is a board as `validate --on` has it, for the race of the
    one target that is built. Raises InputError before any step for whatever is wrong with the
    recipe, its data or its model.
    """
    loaded = recipe.load(Path(source), list(overrides), allow_code)
    plan = planning.plan(loaded, targets, store_root(Path(out)), allow_code, rerace, race_on)
    outcomes = run(plan, Path(out), Unwatched(), fresh=fresh, strict=strict, rerace=rerace)
    return {name: outcome.verdict for name, outcome in outcomes.items()}


def store_root(out: Path) -> Path:
    """Where finished steps are kept."""
    named = os.environ.get("EDGEBERT_STORE")
    return Path(named) if named else out / ".store"


def run(
    plan: Plan,
    out: Path,
    watch: Watch,
    *,
    fresh: bool = False,
    strict: bool = False,
    rerace: bool = False,
    finished: Callable[[Outcome], None] = lambda _: None,
) -> dict[str, Outcome]:
    """Run a plan and publish each target's bundle as soon as it is judged.

    Where several processes were launched, those after the first help to train, and return nothing.
    """
    quiet.prepare()
    check_writable(out, f"-o {out}")
    check_writable(plan.store, f"EDGEBERT_STORE={plan.store}")
    store = Store(plan.store)
    store.sweep()
    if processes.rank() == 0:
        for step in plan.steps() if fresh else [one.step for one in plan.races.values() if rerace or one.asked]:
            store.remove(step.stage, step.key)
    processes.meet()
    if processes.rank() > 0:
        _help(plan, store)
        return {}
    under_way = Run(store, watch)
    outcomes = {}
    for target, step in plan.bundles.items():
        if target in plan.races:
            step = _raced(plan, target, under_way, fresh)
        outcomes[target] = _publish(under_way.make(step), out / plan.recipe.name, target, strict)
        finished(outcomes[target])
    return outcomes


def _raced(plan: Plan, target: str, under_way: Run, fresh: bool) -> Step:
    """Run a target's race, pin the winner, and find the step of its bundle."""
    settled = plan.races[target]
    found = race.read(under_way.make(settled.step))
    races.pin(plan.recipe, {target: races.Pin(**found.model_dump(), key=settled.step.key)})
    step = settled.settle(found)
    for one in step.walk(set(under_way.made)) if fresh else ():
        under_way.store.remove(one.stage, one.key)
    return step


def _help(plan: Plan, store: Store) -> None:
    """Take part in what all processes do together; the first one makes the rest and keeps the results."""
    for step in plan.steps():
        if not step.together or store.find(step.stage, step.key) is not None:
            continue
        inputs = [_await(store, one) for one in step.inputs]
        log = store.root / "logs" / f"{step.stage}-{step.key}-{processes.rank()}.log"
        with tempfile.TemporaryDirectory() as room, quiet.into(log):
            step.work(inputs, Path(room), lambda *_: None)


def _await(store: Store, step: Step) -> Path:
    """The folder of a step that the first process makes; the launcher ends us where that one fails."""
    while (folder := store.find(step.stage, step.key)) is None:
        time.sleep(WAIT_SECONDS)
    return folder


def _publish(made: Path, folder: Path, target: str, strict: bool) -> Outcome:
    """Copy a bundle out of the store: to its place where it passed, else beside it as TARGET.failed."""
    manifest = Manifest.model_validate_json((made / "manifest.json").read_text(encoding="utf-8"))
    passed = holds(manifest.checks, strict)
    place, failed = folder / target, folder / f"{target}.failed"
    goal = place if passed else failed
    digest = bundles.digest(str(made))
    if not _is_there(goal, digest):
        folder.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{target}-", dir=folder))
        try:
            shutil.copytree(made, room / "new", ignore=shutil.ignore_patterns(ENTRY))
            replace_folder(room / "new", goal, room / "old")
        except Exception as error:
            if is_disk_full(error):
                raise DiskFullError(str(goal)) from error
            raise
        finally:
            shutil.rmtree(room, ignore_errors=True)
    if passed:
        shutil.rmtree(failed, ignore_errors=True)
    merged = proof.merge(manifest, proof.read(goal, target, digest))
    verdict = Verdict(
        target=target,
        passed=holds(merged.checks, strict),
        level=merged.level,
        checks=merged.checks,
        bundle=str(goal),
        digest=digest,
    )
    return Outcome(verdict, merged, goal, older_kept=not passed and place.is_dir())


def _is_there(place: Path, digest: str) -> bool:
    try:
        bundles.check_files(str(place))
        return bundles.digest(str(place)) == digest
    except (bundles.BundleError, OSError):
        return False


def check_writable(out: Path, said: str) -> None:
    """Make a folder to write to. Raises InputError, naming it as the user `said` it, where that cannot be done."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{said}: cannot be written to: it is a file, not a folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        if is_disk_full(error):
            raise
        raise InputError(f"{said}: cannot be written to: {error.strerror}") from None
