"""Which quantizers a build takes: the recipe's, what its lock pins, a race's winner, the profile's default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgebert import members, races, transports
from edgebert.errors import InputError
from edgebert.races import Ground, Pin
from edgebert.recipe import Recipe
from edgebert.stages.race import Place
from edgebert.steps import Step
from edgebert.target import Target
from edgebert.transports import Options
from edgebert.verdict import Raced


@dataclass(frozen=True)
class Choice:
    """A target's quantizers and why they are these; `race` is the step that may yet replace them."""

    quantizers: list[str]
    why: str
    raced: Raced | None = None
    race: Step | None = None
    warning: str | None = None


@dataclass(frozen=True)
class Asked:
    """What the command line asks of races: to run pinned ones again, and on what board."""

    again: bool = False
    place: Place | None = None


def place(race_on: str, recipe: Recipe, chosen: Mapping[str, Target], options: Options) -> Place:
    """The board that `--race-on` names; nothing is started. Raises InputError where no race can be run there."""
    if len(chosen) > 1:
        raise InputError(f"--race-on {race_on}: a board is one target's; name it: -t {next(iter(chosen))}")
    [target] = chosen.values()
    races.board(target, recipe)
    transport, address = transports.place("--race-on", race_on, transports.facts(target))
    if transport.race is None:
        able = [name for name in members.names("transports") if members.find("transports", name).race is not None]
        raise InputError(f"--race-on {race_on}: {transport.NAME} cannot race files; these can: {', '.join(able)}")
    transports.check_options(options, transport, "--race-on")
    return Place(transport, address, options)


def choose(recipe: Recipe, target: Target, asked: Asked, step: Callable[[Ground, Place | None], Step]) -> Choice:
    """The quantizers of a target; `step` makes the step of a race. Raises InputError for a spoiled lock.

    A pin stays unless it is to be raced again, or a board is named that says more; where a race here would say
    less of the same files, or cannot be run, it stays all the same, with a warning.
    """
    default = target.quantizer
    if recipe.quantize.quantizer:
        return Choice(recipe.quantize.quantizer, "named by the recipe")
    if len(target.candidates) < 2 or not recipe.quantize.race:
        return Choice(default, "the profile's")
    lock, warning = races.lock_of(recipe).name, None
    pin = _pinned(recipe, target, asked.again)
    if pin is not None:
        same = step(Ground(evidence=pin.evidence, on=_kind(pin, target)), None).key == pin.key
        raced = Raced(**pin.model_dump(exclude={"key"})) if same else None
        about = f"pinned in {lock} ({pin.evidence}: {pin.on})" + ("" if same else ", raced with other files")
        kept = Choice([pin.quantizer], about, raced)
        if not asked.again and (asked.place is None or (pin.evidence == "device" and same)):
            return kept
    ground = races.ground(target) if asked.place is None else races.board(target, recipe)
    if pin is not None and (why := _stays(recipe, pin, same, ground)) is not None:
        told = f"{target.name}: what {lock} pins stays: {why}"
        return Choice(kept.quantizers, kept.why, kept.raced, warning=told)
    if isinstance(ground, str):
        return Choice(default, f"the profile's default, not raced: {ground}")
    if not races.writable(recipe):
        return Choice(default, f"the profile's default, not raced: {lock} could not be written")
    if pin is not None and races.weaker(ground, pin):
        warning = f"{target.name}: the pinned race ({pin.evidence}: {pin.on}) was of other files; "
        warning += f"one here ({ground.evidence}: {ground.on}) replaces it"
    about = f"to be raced ({ground.evidence}: {ground.on})"
    return Choice(default, about, race=step(ground, asked.place), warning=warning)


def _pinned(recipe: Recipe, target: Target, again: bool) -> Pin | None:
    """What the lock says; a pin that is none of the profile's is no pin where it is raced again."""
    try:
        return races.pinned(recipe, target)
    except InputError:
        if not again:
            raise
        return None


def _kind(pin: Pin, target: Target) -> str:
    """What a pin's step was told of its ground: of a board its kind, not the model that was found."""
    return target.hardware.board or pin.on if pin.evidence == "device" else pin.on


def _stays(recipe: Recipe, pin: Pin, same: bool, ground: Ground | str) -> str | None:
    """Why a pin is not raced again where that was asked for, or None; `same`: it was of the files built now."""
    if isinstance(ground, str):
        return f"it cannot be raced again: {ground}"
    if not races.writable(recipe):
        return "it could not be written"
    if same and races.weaker(ground, pin):
        here, there = (f"{one.evidence}: {one.on}" for one in (ground, pin))
        return f"a race here ({here}) says less than that one ({there}); race there again: --race-on"
    return None
