"""Several processes of `accelerate launch` make the very steps that one process makes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.pretraining import prose

pytestmark = pytest.mark.slow
STILL = ", hidden_dropout_prob = 0.0, attention_probs_dropout_prob = 0.0"  # each process draws dropout of its own


def run(recipe: Path, out: Path, *options: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    launch = [
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        str(processes),
        "--num_machines",
        "1",
    ]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "-m"]
    command = [sys.executable, *(launch if processes > 1 else ["-m"]), "edgebert", "pretrain", str(recipe)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "-o", str(out), *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def figures(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "toy" / "pretraining.json").read_text())
    return found


@pytest.fixture(scope="module", params=["sop", "none"])
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The toy's recipe without dropout, and where one process trained it."""
    folder = tmp_path_factory.mktemp("alone")
    recipe = prose.project(folder / "project", 30, request.param, values=prose.BERT + STILL)
    done = run(recipe, folder / "out")
    assert done.returncode == 0, done.stderr
    return recipe, folder / "out"


@pytest.mark.parametrize("options", [["--json"], ["--json", "--set", "train.at_once=2"]])
def test_two_processes_make_the_steps_of_one(alone: tuple[Path, Path], options: list[str], tmp_path: Path) -> None:
    done = run(alone[0], tmp_path, *options, processes=2)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["processes"] == 2  # one of them speaks
    one, two = figures(alone[1]), figures(tmp_path)
    assert one["processes"] == 1
    for mine, theirs in zip(one["curve"], two["curve"], strict=True):
        assert mine["step"] == theirs["step"]
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-3)
    for mine, theirs in zip(one["held_out"], two["held_out"], strict=True):
        assert mine["perplexity"] == pytest.approx(theirs["perplexity"], rel=1e-3)
    weights, other = (load_file(folder / "toy" / "model.safetensors") for folder in (alone[1], tmp_path))
    assert all(torch.allclose(tensor, other[name], atol=1e-3) for name, tensor in weights.items())


def test_a_fault_is_told_once(tmp_path: Path) -> None:
    recipe = prose.project(tmp_path / "project")
    done = run(recipe, tmp_path / "out", "--set", "train.batch=7", processes=2)
    assert done.returncode != 0
    assert done.stderr.count("edgebert: train.batch = 7: cannot be shared by 2 processes alike") == 1
