"""Every shipped recipe, ready ones and those of the benchmarks, can be read."""

import tomllib
from pathlib import Path

import pytest

from edgebert import recipe
from edgebert.pretraining import recipe as pretraining
from tests.conftest import ROOT

READY = sorted((ROOT / "recipes").glob("*.toml"))
MEASURED = sorted((ROOT / "benchmarks" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", [*READY, *MEASURED], ids=lambda path: path.stem)
def test_it_can_be_read(path: Path) -> None:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    loaded = pretraining.load(path) if "text" in table else recipe.load(path)
    assert loaded.name == table["name"]
    assert path.read_text(encoding="utf-8").startswith("# ")  # what it is, in a line
