"""Fixtures: a toy project that is built once for all tests that look at its bundles."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from edgebert import members, pipeline, planning, quiet, recipe as recipes, timing
from edgebert.errors import MissingExtraError
from edgebert.steps import Outcome
from tests import toy
from tests.disks import small_disk as small_disk

quiet.prepare()
signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # children would inherit it ignored, as jobs of a shell have it
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # before torch is read: its threads cost more than they give a toy
timing.SECONDS = 0.2  # enough samples to test with; no test asserts a time
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Built:
    """A built toy project."""

    recipe: Path
    out: Path
    outcomes: dict[str, Outcome]

    def bundle(self, target: str) -> Path:
        return self.outcomes[target].folder


def skip_without(member: ModuleType) -> None:
    """Skip the test where a part of the install that a quantizer or format needs is absent."""
    try:
        members.require(member.NEEDS, member.__name__, member.EXTRA)
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights, as a model folder."""
    return toy.write_model(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture
def project(tmp_path: Path, toy_model: Path) -> Path:
    """A fresh toy project for raspberry-pi-5; the recipe's path."""
    return toy.write_project(tmp_path / "project", toy_model, ["raspberry-pi-5"])


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, toy_model: Path) -> Built:
    """The toy project built for an ONNX CPU, a TFLite and a GPU target."""
    folder = tmp_path_factory.mktemp("built")
    recipe = toy.write_project(
        folder / "project", toy_model, ["raspberry-pi-5", "android-cpu", "jetson-orin-nano"]
    )
    out = folder / "out"
    plan = planning.plan(recipes.load(recipe), None, out / ".store")
    return Built(recipe, out, pipeline.run(plan, out, pipeline.Unwatched()))


@pytest.fixture(scope="session")
def bundle(built: Built) -> Path:
    """The toy's ONNX bundle; read only."""
    return built.bundle("raspberry-pi-5")


@pytest.fixture(scope="session")
def run_edgebert() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a user does: a process of its own, its output as text."""

    def run(*arguments: str | Path, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **more}
        command = [sys.executable, "-m", "edgebert", *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def run_from_root() -> Callable[..., str]:
    """Run the command line in the checkout, where it must succeed; what it prints."""

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "edgebert", *arguments]
        threads = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        done = subprocess.run(command, cwd=ROOT, env=threads, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    return run


@pytest.fixture(autouse=True)
def _no_store_from_outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("EDGEBERT_STORE", raising=False)
    yield
