"""Which file wins, where a race can be run, and what the lock keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebert import environments, judgement, races, recipe as recipes, target as targets
from edgebert.emulation import userland
from edgebert.errors import InputError, SurroundingsError
from edgebert.races import Ground, Pin
from edgebert.recipe import Recipe
from edgebert.target import Target

PI, X86 = "raspberry-pi-5", "x86-64"
ON = 'Some CPU @ 2.10GHz "x"'


@pytest.fixture
def recipe(project: Path) -> Recipe:
    return recipes.load(project)


def a_pin(quantizer: str, **changed: object) -> Pin:
    ratios = {"onnx_dynamic": 0.5, "onnx_static": 0.4321}
    made = {"quantizer": quantizer, "evidence": "host", "on": ON, "ratios": ratios, "key": "ab12", **changed}
    return Pin.model_validate(made)


@pytest.mark.parametrize(
    ("ratios", "failed", "first"),
    [
        ({"a": 0.5, "b": 0.4, "c": 0.45}, [], "b"),
        ({"a": 0.5, "b": 0.49}, [], "a"),  # within what measuring can tell
        ({"a": 0.5, "b": 0.4, "c": 0.45}, ["b"], "c"),
        ({"a": 0.4, "b": 0.5}, ["a"], "b"),
        ({"a": 0.5, "b": 0.4}, ["a", "b"], "b"),  # none holds: verify tells
        ({"a": 1.3, "b": 1.2}, [], "b"),
    ],
)
def test_the_least_ratio_wins_among_those_that_hold(
    ratios: dict[str, float], failed: list[str], first: str
) -> None:
    assert races.winner(ratios, failed) == first


def test_the_lock_keeps_what_was_found_of_every_target(recipe: Recipe) -> None:
    one, other = a_pin("onnx_static"), a_pin("onnx_dynamic", evidence="emulator", failed=["onnx_static"])
    races.pin(recipe, {PI: one})
    races.pin(recipe, {X86: other})
    path = races.lock_of(recipe)
    assert path == recipe.folder / "toy.lock.toml"
    assert races.pinned(recipe, targets.load(PI)) == one
    assert races.pinned(recipe, targets.load(X86)) == other
    assert races.pinned(recipe, targets.load("raspberry-pi-4")) is None
    races.pin(recipe, {PI: other})
    assert races.pinned(recipe, targets.load(PI)) == other
    assert sorted(entry.name for entry in path.parent.iterdir() if "lock" in entry.name) == [path.name]


def test_without_a_lock_nothing_is_pinned(recipe: Recipe) -> None:
    assert races.pinned(recipe, targets.load(PI)) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[target.raspberry-pi-5]\n", "[target.raspberry-pi-5]: 'quantizer' is missing"),
        ("[target.raspberry-pi-5\n", "toy.lock.toml: not TOML"),
        (
            "[target.raspberry-pi-5]\nquantizer = 'onnx_qnn'\nevidence = 'host'\non = ''\nkey = ''\n"
            "ratios = {onnx_qnn = 1.0}\n",
            "quantizer = 'onnx_qnn': no candidate of the profile (these are: onnx_dynamic, onnx_static); "
            "measure again: edgebert build --rerace",
        ),
    ],
)
def test_a_spoiled_lock_is_told(recipe: Recipe, text: str, told: str) -> None:
    races.lock_of(recipe).write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        races.pinned(recipe, targets.load(PI))
    assert told in str(raised.value)


def test_the_host_is_the_ground_of_its_own_kind_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgement, "speed_not_judged", lambda target: None if target.name == X86 else "not here")
    found = races.ground(targets.load(X86))
    assert isinstance(found, Ground)
    assert found.evidence == "host"
    assert races.ground(targets.load("jetson-orin-nano")) == "not here"


def test_the_emulator_is_the_ground_of_cpus_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgement, "speed_not_judged", lambda _: "not here")
    monkeypatch.setattr(environments, "place_of", lambda _: tmp_path)
    pi = targets.load(PI)
    assert "loads no plugins" in str(races.ground(pi))
    userland.counter(tmp_path).touch()
    assert races.ground(pi) == Ground(evidence="emulator", on="cortex-a76")
    unknown = pi.model_copy(update={"hardware": pi.hardware.model_copy(update={"cpu": "z80"})})
    assert "names no CPU that can be emulated" in str(races.ground(unknown))

    def absent(_: str) -> Path:
        raise SurroundingsError("make it: edgebert doctor --install qemu")

    monkeypatch.setattr(environments, "place_of", absent)
    assert "doctor --install qemu" in str(races.ground(pi))


@pytest.mark.parametrize("name", targets.names())
def test_every_shipped_candidate_can_race(name: str) -> None:
    target: Target = targets.load(name)
    assert not target.candidates or target.candidates[0] == target.quantizer[0]
    assert len(target.candidates) != 1


def with_(recipe: Recipe, **quantize: object) -> Recipe:
    return recipe.model_copy(update={"quantize": recipe.quantize.model_copy(update=quantize)})


def test_a_board_that_is_named_is_the_ground_of_a_profile_with_candidates(recipe: Recipe) -> None:
    found = races.board(targets.load(PI), with_(recipe, race=True))
    assert found == Ground(evidence="device", on="Raspberry Pi 5")


@pytest.mark.parametrize(
    ("target", "quantize", "told"),
    [
        (
            PI,
            {"quantizer": ["onnx_static"]},
            "the recipe names its quantizer: [quantize] quantizer = ['onnx_static']",
        ),
        (PI, {"race": False}, "the recipe turns races off: [quantize] race = false"),
        ("android-cpu", {}, "android-cpu has no candidates to race; profiles that have some: raspberry-pi-4"),
        (X86, {}, "x86-64 names no board"),
    ],
)
def test_what_cannot_be_raced_on_a_board_is_told(
    recipe: Recipe, target: str, quantize: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError) as raised:
        races.board(targets.load(target), with_(recipe, **{"race": True, **quantize}))
    assert str(raised.value).startswith("--race-on: ")
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("here", "there", "weaker"),
    [
        ("emulator", "device", True),
        ("host", "device", True),
        ("device", "device", False),
        ("device", "emulator", False),
        ("emulator", "emulator", False),
    ],
)
def test_what_says_less_than_a_pin_is_known(here: str, there: str, weaker: bool) -> None:
    ground = Ground.model_validate({"evidence": here, "on": ""})
    assert races.weaker(ground, a_pin("onnx_static", evidence=there)) == weaker


@pytest.mark.parametrize(
    ("evidence", "what"), [("device", "time"), ("host", "time"), ("emulator", "instructions")]
)
def test_the_lock_tells_what_the_ratios_are_of(recipe: Recipe, evidence: str, what: str) -> None:
    races.pin(recipe, {PI: a_pin("onnx_static", evidence=evidence)})
    assert f"}}  # {what}, of the fp32 file's" in races.lock_of(recipe).read_text(encoding="utf-8")
