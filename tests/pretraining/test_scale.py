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
def recipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy's recipe without dropout."""
    folder = tmp_path_factory.mktemp("project")
    return prose.project(folder, 30, request.param, values=prose.BERT + STILL)


def test_two_processes_make_the_steps_of_one(recipe: Path, tmp_path: Path) -> None:
    one = run(recipe, tmp_path / "one", "--json")
    assert one.returncode == 0, one.stderr
    two = run(recipe, tmp_path / "two", "--json", processes=2)
    assert two.returncode == 0, two.stderr
    told = json.loads(two.stdout)  # one process speaks
    assert told["processes"] == 2
    alone, shared = figures(tmp_path / "one"), figures(tmp_path / "two")
    for mine, theirs in zip(alone["curve"], shared["curve"], strict=True):
        assert mine["step"] == theirs["step"]
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-3)
    for mine, theirs in zip(alone["held_out"], shared["held_out"], strict=True):
        assert mine["perplexity"] == pytest.approx(theirs["perplexity"], rel=1e-3)
    weights, other = (load_file(tmp_path / name / "toy" / "model.safetensors") for name in ("one", "two"))
    assert all(torch.allclose(tensor, other[name], atol=1e-3) for name, tensor in weights.items())


def test_two_processes_in_parts_make_the_same_steps(recipe: Path, tmp_path: Path) -> None:
    one = run(recipe, tmp_path / "one")
    two = run(recipe, tmp_path / "two", "--set", "train.at_once=2", processes=2)
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    alone, shared = figures(tmp_path / "one"), figures(tmp_path / "two")
    assert (alone["processes"], shared["processes"]) == (1, 2)
    assert [a["loss"] for a in alone["curve"]] == pytest.approx([b["loss"] for b in shared["curve"]], abs=1e-3)


def test_a_fault_is_told_once(tmp_path: Path) -> None:
    recipe = prose.project(tmp_path / "project")
    done = run(recipe, tmp_path / "out", "--set", "train.batch=7", processes=2)
    assert done.returncode != 0
    assert done.stderr.count("edgebert: train.batch = 7: cannot be shared by 2 processes alike") == 1
