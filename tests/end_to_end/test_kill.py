"""A build that is killed again and again, and run again, ends as one that was left alone."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgebert.store import digest_of_files
from tests import toy

pytestmark = pytest.mark.slow

BUILD = "from edgebert import cli, timing; timing.SECONDS = 0.2; cli.main()"
KILLS = 6
# What is the same in every build; manifest.json and README.md hold times.
ALIKE = ("onnx/", "config.json", "golden.jsonl", "tokenizer", "vocab.txt", "device/", "__main__.py")


def start(recipe: Path, out: Path) -> subprocess.Popen[bytes]:
    """A build in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", BUILD, "build", str(recipe), "-o", str(out)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def finish(recipe: Path, out: Path) -> Path:
    """Build to the end; the bundle."""
    process = start(recipe, out)
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 0, told.decode()
    return out / "toy" / "raspberry-pi-5"


def drafts(store: Path) -> set[Path]:
    """Drafts of steps under way, those of killed processes among them."""
    return set(store.glob(".*-*")) - unfinished(store)


def unfinished(store: Path) -> set[Path]:
    """What interrupted trainings go on from."""
    return set(store.glob(".unfinished-*"))


def finished(store: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every finished step."""
    entries = {path.parent.name: path.stat() for path in store.glob("[a-z]*-*/step.json")}
    return {name: (entry.st_ino, entry.st_mtime_ns) for name, entry in entries.items()}


def kill_after(delay_s: float, recipe: Path, out: Path) -> bool:
    """Run until a draft of its own appears, and kill after a while; whether it had not ended before."""
    stale = drafts(out / ".store")
    process = start(recipe, out)
    try:
        while process.poll() is None and drafts(out / ".store") <= stale:
            time.sleep(0.002)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay_s)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)  # alone, as the kernel does where memory is short
        return process.wait() == -signal.SIGKILL
    finally:
        assert process.stdout is not None
        process.stdout.close()


def working_time_s(recipe: Path, out: Path) -> float:
    """How long a whole build works, from its first draft to its end."""
    process = start(recipe, out)
    while process.poll() is None and not drafts(out / ".store"):
        time.sleep(0.002)
    begun = time.monotonic()
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 0, told.decode()
    return time.monotonic() - begun


def alike(bundle: Path) -> dict[str, str]:
    """sha256 of the files that every build makes the same."""
    return {name: sha for name, sha in digest_of_files(bundle).items() if name.startswith(ALIKE)}


def test_a_killed_build_goes_on_where_it_was_and_ends_the_same(toy_model: Path, tmp_path: Path) -> None:
    recipe = toy.write_project(tmp_path / "project", toy_model, ["raspberry-pi-5"])
    longest_s = working_time_s(recipe, tmp_path / "undisturbed")
    expected = tmp_path / "undisturbed" / "toy" / "raspberry-pi-5"
    seed = time.time_ns()
    print(f"seed {seed}, {longest_s:.1f} s")
    draw, kills, ends = random.Random(seed), 0, 0
    while kills < KILLS:
        out = tmp_path / f"killed-{ends}"
        before = finished(out / ".store")
        if kill_after(draw.uniform(0, 0.7 * longest_s), recipe, out):
            kills += 1
        else:
            ends += 1
        assert before.items() <= finished(out / ".store").items(), "a finished step was made again"
    out = tmp_path / f"killed-{ends}"
    before = finished(out / ".store")
    last = finish(recipe, out)
    assert before.items() <= finished(out / ".store").items()
    assert digest_of_files(last).keys() == digest_of_files(expected).keys()
    for number in range(ends + 1):
        assert alike(tmp_path / f"killed-{number}" / "toy" / "raspberry-pi-5") == alike(expected)


def test_nothing_is_left_over_of_killed_builds(toy_model: Path, tmp_path: Path) -> None:
    recipe = toy.write_project(tmp_path / "project", toy_model, ["raspberry-pi-5"])
    out = tmp_path / "out"
    assert kill_after(0.5, recipe, out)
    assert len(drafts(out / ".store")) == 1
    finish(recipe, out)
    assert drafts(out / ".store") == unfinished(out / ".store") == set()
    assert [path.name for path in (out / "toy").iterdir()] == ["raspberry-pi-5"]


def test_a_training_that_is_killed_goes_on_from_its_last_epoch(toy_model: Path, tmp_path: Path) -> None:
    recipe = toy.write_project(tmp_path / "project", toy_model, ["raspberry-pi-5"])
    recipe.write_text(recipe.read_text().replace("epochs = 6", "epochs = 12"))
    undisturbed, out = finish(recipe, tmp_path / "undisturbed"), tmp_path / "out"
    process = start(recipe, out)
    checkpoint = ".store/.unfinished-finetune-*/checkpoint-*/trainer_state.json"
    while process.poll() is None and not list(out.glob(checkpoint)):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (room,) = unfinished(out / ".store")
    first = json.loads((room / "history.json").read_text())
    assert 0 < len(first) < 12
    first[0]["dev_loss"] = -1.0  # a mark that only a run which goes on can keep
    first[0]["quality"] = 0.0
    (room / "history.json").write_text(json.dumps(first))
    bundle = finish(recipe, out)
    (history,) = (json.loads(path.read_text()) for path in out.glob(".store/finetune-*/history.json"))
    assert history["2"][0]["dev_loss"] == -1.0 and len(history["2"]) == 12
    assert alike(bundle) == alike(undisturbed)
