"""Races: which of a profile's quantizers makes the faster file, on what evidence, and the lock that pins it.

A race is run where its outcome says something of the target: on the target's board where the user names one, on
this machine where that is of the target's own kind, else by instructions that the target's emulated CPU executes.
The winner is pinned in NAME.lock.toml beside
the recipe, so that a build elsewhere, or without an emulator, ships the same file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from edgebert import environments, judgement, tables, target as targets
from edgebert.device import measure
from edgebert.emulation import cpus, userland
from edgebert.errors import InputError, SurroundingsError
from edgebert.recipe import Recipe
from edgebert.tables import Table
from edgebert.target import Target
from edgebert.verdict import EVIDENCE, Raced

EMULATOR = "qemu"
MARGIN = 0.02  # of the ratio: what wins by less has not won; counts vary by 0.4 %, times by more
ABOUT = (
    "# Quantizers that were measured beside each other for '{name}', and the one that ships.\n"
    "# `edgebert build --rerace` measures them again.\n"
)


class Ground(Table):
    """Where a race is run: on a board of the kind that `on` names, on this machine, or on an emulated CPU."""

    evidence: Literal["device", "emulator", "host"]
    on: str


class Pin(Raced):
    """A race in the lock; `key` is that of its step, which tells of what files."""

    key: str


def ground(target: Target) -> Ground | str:
    """Where a race for a target can be run here, or why it cannot."""
    if (why := judgement.speed_not_judged(target)) is None:
        return Ground(evidence="host", on=measure.host()["cpu"])
    hardware, runtime = target.hardware, target.runtime.name
    if hardware.accelerator != "none" or hardware.arch != "aarch64" or runtime not in userland.RUNTIMES:
        return why
    if hardware.cpu not in cpus.KNOWN:
        return f"{why}, and {target.name} names no CPU that can be emulated"
    try:
        place = environments.place_of(EMULATOR)
    except SurroundingsError as error:
        return str(error)
    if not userland.counter(place).exists():
        return f"this {userland.QEMU} loads no plugins, so it counts nothing"
    return Ground(evidence="emulator", on=hardware.cpu)


def board(target: Target, recipe: Recipe) -> Ground:
    """A race on the target's own board. Raises InputError where none can be run, or its winner not be pinned."""
    name, quantize = target.name, recipe.quantize
    wrong = None
    if quantize.quantizer:
        wrong = f"the recipe names its quantizer: [quantize] quantizer = {quantize.quantizer}"
    elif len(target.candidates) < 2:
        having = ", ".join(one for one in targets.names() if targets.load(one).candidates)
        wrong = f"{name} has no candidates to race; profiles that have some: {having}"
    elif not quantize.race:
        wrong = "the recipe turns races off: [quantize] race = false"
    elif target.hardware.accelerator != "none" or not target.hardware.board:
        wrong = f"{name} names no board whose CPU runs its files, so no machine's time is evidence of it"
    elif not writable(recipe):
        wrong = f"the winner could not be pinned: {recipe.folder} cannot be written to"
    if wrong is not None:
        raise InputError(f"--race-on: {wrong}")
    assert target.hardware.board is not None
    return Ground(evidence="device", on=target.hardware.board)


def weaker(ground: Ground, pin: Pin) -> bool:
    """Whether a race there says less of the target than the pinned one."""
    return EVIDENCE.index(ground.evidence) < EVIDENCE.index(pin.evidence)


def winner(ratios: dict[str, float], failed: list[str]) -> str:
    """The quantizer of the least ratio among those that hold; the first unless one is better by `MARGIN`."""
    first = next(iter(ratios))
    holding = [name for name in ratios if name not in failed] or list(ratios)
    best = min(holding, key=ratios.__getitem__)
    return first if first in holding and ratios[best] > ratios[first] - MARGIN else best


def lock_of(recipe: Recipe) -> Path:
    """The lock of a recipe."""
    return recipe.folder / f"{recipe.name}.lock.toml"


def pinned(recipe: Recipe, target: Target) -> Pin | None:
    """What the lock says of a target. Raises InputError for a lock that is not one of ours or of this profile."""
    path = lock_of(recipe)
    if not path.exists():
        return None
    table = tables.read(path).get("target", {}).get(target.name)
    if table is None:
        return None
    pin = tables.parse(Pin, table, f"{path} [target.{target.name}]")
    if pin.quantizer not in target.candidates:
        known = ", ".join(target.candidates) or "none"
        raise InputError(
            f"{path}: [target.{target.name}] quantizer = '{pin.quantizer}': no candidate of the profile (these "
            f"are: {known}); measure again: edgebert build --rerace"
        )
    return pin


def pin(recipe: Recipe, found: dict[str, Pin]) -> None:
    """Write results to the lock, by target; what it says of other targets stays."""
    path = lock_of(recipe)
    known = tables.read(path).get("target", {}) if path.exists() else {}
    pins = {name: tables.parse(Pin, table, f"{path} [target.{name}]") for name, table in known.items()} | found
    text = ABOUT.format(name=recipe.name) + "".join(_written(name, pins[name]) for name in sorted(pins))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _written(name: str, pin: Pin) -> str:
    table = json.dumps(name) if "." in name else name
    lines = [f"\n[target.{table}]"]
    for key in ("quantizer", "evidence", "on", "key"):
        lines.append(f"{key} = {json.dumps(getattr(pin, key))}")
    if pin.failed:
        lines.append(f"failed = {json.dumps(pin.failed)}  # gates on dev")
    ratios = ", ".join(f"{json.dumps(one)} = {value}" for one, value in pin.ratios.items())
    what = "instructions" if pin.evidence == "emulator" else "time"
    lines.append(f"ratios = {{{ratios}}}  # {what}, of the fp32 file's")
    return "\n".join(lines) + "\n"


def writable(recipe: Recipe) -> bool:
    """Whether a winner could be pinned."""
    return os.access(recipe.folder, os.W_OK)
