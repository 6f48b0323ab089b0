"""kill -9 in the middle of a training, run again: every loss from there on is that of an undisturbed training."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.pretraining import prose

pytestmark = pytest.mark.slow


def start(recipe: Path, out: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "edgebert", "pretrain", str(recipe), "-o", str(out), "--json"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(recipe: Path, out: Path) -> str:
    process = start(recipe, out)
    told, complaints = process.communicate(timeout=600)
    assert process.returncode == 0, complaints
    return told


def kill_after(sight: str, recipe: Path, out: Path) -> None:
    """Run until a path matching `sight` appears below `out`, then kill -9."""
    process = start(recipe, out)
    while process.poll() is None and not list(out.glob(sight)):
        time.sleep(0.002)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


def test_a_killed_training_goes_on_along_the_same_curve(tmp_path: Path) -> None:
    recipe = prose.project(tmp_path / "project", steps=60)
    told = finish(recipe, tmp_path / "whole")
    out = tmp_path / "killed"
    for sight in (
        ".toy/train",
        ".toy/checkpoints/checkpoint-*/model.safetensors",
        ".toy/checkpoints/checkpoint-30",
    ):
        kill_after(sight, recipe, out)
        assert not (out / "toy").exists()
    again = finish(recipe, out)
    whole, found = (
        json.loads((folder / "toy" / "pretraining.json").read_text()) for folder in (tmp_path / "whole", out)
    )
    assert len(whole["curve"]) == 60
    assert found == whole
    assert json.loads(again)["perplexity"] == json.loads(told)["perplexity"]
    one, other = (load_file(folder / "toy" / "model.safetensors") for folder in (tmp_path / "whole", out))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert [path.name for path in out.iterdir()] == ["toy"]


def test_standard_output_holds_one_document_and_nothing_else(tmp_path: Path) -> None:
    told = json.loads(finish(prose.project(tmp_path / "project"), tmp_path))
    assert set(told["perplexity"]) == {"first", "last"}
    assert set(told["sop_accuracy"]) == {"value", "rows", "ci95"}
    assert told["model"] == str(tmp_path / "toy")
    assert Path(told["log"]).is_file()
