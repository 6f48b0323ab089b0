"""Several processes train as one does, and the first alone does the rest."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgebert.training import processes
from tests import toy
from tests.conftest import ROOT


def test_a_process_that_nothing_launched_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert (processes.count(), processes.rank()) == (1, 0)
    processes.meet()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert (processes.count(), processes.rank()) == (2, 1)


def built(recipe: Path, out: Path, *launcher: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a build printed, and the epochs of its trainings by stage."""
    command = [sys.executable, *launcher, "-m", "edgebert", "build", str(recipe), "-o", str(out), "--json"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.stdout, done.stderr
    histories = {
        path.parent.name.split("-")[0]: json.loads(path.read_text())
        for path in (out / ".store").glob("*/history.json")
    }
    return json.loads(done.stdout), histories


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    """Without dropout, whose random numbers are other ones in each process."""
    model = toy.write_model(tmp_path / "model", layers=3)
    config = json.loads((model / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (model / "config.json").write_text(json.dumps(config))
    recipe = toy.write_project(tmp_path / "project", model, ["raspberry-pi-5"])
    distil = "[distil]\nstudent = {layers = 2}\nepochs = 2\nseeds = 2\nlearning_rate = 2e-3\n\n[gates]"
    recipe.write_text(recipe.read_text().replace("[gates]", distil))
    _, alone = built(recipe, tmp_path / "one")
    launcher = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    printed, together = built(recipe, tmp_path / "two", *launcher)
    assert printed["recipe"] == "toy"  # one document, of the first process alone
    manifest = json.loads(next((tmp_path / "two").glob("toy/*/manifest.json")).read_text())
    assert manifest["provenance"]["training"]["processes"] == 2
    assert set(alone) == set(together) == {"finetune", "distil"}
    for stage, seeds in alone.items():
        assert seeds.keys() == together[stage].keys()
        for seed, epochs in seeds.items():
            for one, other in zip(epochs, together[stage][seed], strict=True):
                assert one["step"] == other["step"]
                assert other["loss"] == pytest.approx(one["loss"], abs=1e-3)
                assert other["dev_loss"] == pytest.approx(one["dev_loss"], abs=1e-3)
