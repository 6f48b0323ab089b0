"""Every shipped recipe, ready ones and those of the benchmarks, can be read."""

import tomllib
from pathlib import Path

import pytest

from edgebert import races, recipe, target as targets
from edgebert.pretraining import recipe as pretraining
from tests.conftest import ROOT

LOCKS = sorted((ROOT / "recipes").glob("*.lock.toml"))
READY = sorted(set((ROOT / "recipes").glob("*.toml")) - set(LOCKS))
MEASURED = sorted((ROOT / "benchmarks" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", [*READY, *MEASURED], ids=lambda path: path.stem)
def test_it_can_be_read(path: Path) -> None:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    loaded = pretraining.load(path) if "text" in table else recipe.load(path)
    assert loaded.name == table["name"]
    assert path.read_text(encoding="utf-8").startswith("# ")  # what it is, in a line


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_pins_candidates_of_its_recipes_targets(path: Path) -> None:
    loaded = recipe.load(path.with_name(path.name.replace(".lock.toml", ".toml")))
    assert races.lock_of(loaded) == path
    for name in tomllib.loads(path.read_text(encoding="utf-8"))["target"]:
        assert name in loaded.targets
        assert races.pinned(loaded, targets.load(name)) is not None
