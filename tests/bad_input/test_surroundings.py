"""Surroundings that fail: what cannot be read or written, a full disk, a user who interrupts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bad_input.test_recipes import Run, half_written, message
from tests.conftest import Built
from tests.disks import Disk

SHORT = ("finetune.epochs=2", "gates.max_drop=90", "gates.min_agreement=0.1")  # a build that soon ends, and passes
SETTINGS = tuple(part for setting in SHORT for part in ("--set", setting))


@pytest.fixture
def run_unprivileged() -> Run:
    """Run the command line so that file permissions bind it, as they bind anyone but root."""
    prefix = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root reads everything, and setpriv is not here to take that from it")
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [*prefix, sys.executable, "-m", "edgebert", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/below", "/proc/self/status/below"])
def test_an_output_folder_that_cannot_be_written_is_told(run_edgebert: Run, project: Path, out: str) -> None:
    (project.parent / "file").write_text("mine")
    said = message(run_edgebert("build", project.name, "-o", out, cwd=project.parent))
    assert f"-o {out}: cannot be written" in said
    assert (project.parent / "file").read_text() == "mine"
    assert len(said.splitlines()) == 1


def test_an_output_folder_without_permission_is_told(run_unprivileged: Run, project: Path) -> None:
    closed = project.parent / "closed"
    closed.mkdir(mode=0o555)
    said = message(run_unprivileged("build", project, "-o", closed / "out"))
    assert all(part in said for part in (str(closed), "Permission denied")), said


@pytest.mark.parametrize("store", ["file", "file/below", "/proc/below"])
def test_a_store_that_cannot_be_written_is_told(run_edgebert: Run, project: Path, store: str) -> None:
    (project.parent / "file").write_text("mine")
    done = run_edgebert("build", project.name, "-o", "out", cwd=project.parent, EDGEBERT_STORE=store)
    said = message(done)
    assert all(part in said for part in ("EDGEBERT_STORE", store)), said
    assert not (project.parent / "out" / "toy").exists()


@pytest.mark.parametrize("out", ["nowhere/toy.toml", "/proc/toy.toml", "train.jsonl/toy.toml"])
def test_a_drafted_recipe_that_cannot_be_written_is_told(run_edgebert: Run, project: Path, out: str) -> None:
    said = message(run_edgebert("init", "train.jsonl", "-o", out, cwd=project.parent))
    assert out in said


@pytest.mark.parametrize(
    "name", ["toy.toml", "dev.jsonl", "model/config.json", "model/model.safetensors", "model"]
)
def test_what_may_not_be_read_is_named(run_unprivileged: Run, project: Path, toy_model: Path, name: str) -> None:
    refusal = "not readable" if name == "toy.toml" else "ermission denied"
    (project.parent / "model").unlink()
    shutil.copytree(toy_model, project.parent / "model")
    (project.parent / name).chmod(0)
    done = run_unprivileged("build", project, "-o", project.parent / "out")
    (project.parent / name).chmod(0o700)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert all(part in done.stderr for part in (name, refusal)), done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.parent / "out").exists()


@pytest.mark.slow
def test_a_build_on_a_full_disk_goes_on_once_there_is_space(
    run_edgebert: Run, project: Path, small_disk: Disk
) -> None:
    out = small_disk("300k") / "out"  # the model fits once or twice, what is made of it does not
    said = message(run_edgebert("build", project, "-o", out, *SETTINGS), status=4)
    wanted = ("no space left", "free some space", "-o", "EDGEBERT_STORE", "the same command again")
    assert all(part in said for part in wanted), said
    assert not half_written(out)
    finished = {path.name for path in (out / ".store").iterdir() if (path / "step.json").is_file()}
    assert finished
    small_disk("64m")
    again = run_edgebert("build", project, "-o", out, *SETTINGS)
    assert again.returncode == 0, again.stderr
    assert "cached" in again.stderr
    assert finished < {path.name for path in (out / ".store").iterdir()}
    assert run_edgebert("show", out / "toy" / "raspberry-pi-5").returncode == 0


@pytest.mark.slow
def test_a_bundle_that_does_not_fit_is_not_half_published(
    run_edgebert: Run, built: Built, tmp_path: Path, small_disk: Disk
) -> None:
    store = shutil.copytree(built.out / ".store", tmp_path / "store")
    command = ("build", built.recipe, "-t", "raspberry-pi-5", "-o")
    disk = small_disk("100k")
    said = message(run_edgebert(*command, disk, EDGEBERT_STORE=str(store)), status=4)
    assert "no space left" in said
    assert not half_written(disk)
    elsewhere = run_edgebert(*command, tmp_path / "elsewhere", EDGEBERT_STORE=str(store))
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert run_edgebert("show", tmp_path / "elsewhere" / "toy" / "raspberry-pi-5").returncode == 0


@pytest.mark.slow
def test_a_full_store_is_mended_by_another_one(
    run_edgebert: Run, built: Built, tmp_path: Path, small_disk: Disk
) -> None:
    command = ("build", built.recipe, "-t", "raspberry-pi-5", "-o", tmp_path / "out")
    full, roomy = small_disk("50k"), shutil.copytree(built.out / ".store", tmp_path / "store")
    said = message(run_edgebert(*command, EDGEBERT_STORE=str(full)), status=4)
    assert "no space left" in said
    assert not half_written(tmp_path / "out")
    assert not list(full.glob(".*"))
    done = run_edgebert(*command, EDGEBERT_STORE=str(roomy))
    assert done.returncode == 0, done.stderr
    assert str(full) in said  # which of the user's disks it is


@pytest.mark.slow
def test_an_interrupted_build_says_so_and_goes_on_when_run_again(run_edgebert: Run, project: Path) -> None:
    out = project.parent / "out"
    command = ["build", str(project), "-o", str(out), *SETTINGS]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgebert", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(out.glob(".store/load-*")) and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, "ended before it could be interrupted"
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C: the terminal tells every process in front of it
    answered, told = process.communicate()
    done = subprocess.CompletedProcess(command, process.returncode, answered, told)
    assert process.returncode == 130
    assert not half_written(out)
    again = run_edgebert(*command)
    assert again.returncode == 0, again.stderr
    assert "cached load" in again.stderr
    assert run_edgebert("show", out / "toy" / "raspberry-pi-5").returncode == 0
    said = message(done, status=130)
    assert all(part in said for part in ("interrupted", "the same command again")), said
