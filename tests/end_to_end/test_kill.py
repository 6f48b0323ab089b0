"""A build that is killed again and again, and run again, ends as one that was left alone."""

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
# After its draft appeared, a step is killed within this time; each is about what the step takes.
STAGES = {"load": 0.02, "finetune": 4.0, "export": 1.0, "quantize": 0.2, "verify": 3.0, "bundle": 0.02}
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


def drafts(store: Path, stage: str = "") -> set[Path]:
    """Drafts of steps under way, those of killed processes among them."""
    return set(store.glob(f".*{stage}-*"))


def finished(store: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every finished step."""
    entries = [path.stat() for path in sorted(store.glob("[a-z]*-*/step.json"))]
    names = [path.parent.name for path in sorted(store.glob("[a-z]*-*/step.json"))]
    return {name: (entry.st_ino, entry.st_mtime_ns) for name, entry in zip(names, entries, strict=True)}


def kill_in(stage: str, delay_s: float, recipe: Path, out: Path) -> bool:
    """Run until a draft of the stage appears, then kill after a while; whether it was killed."""
    stale = drafts(out / ".store")
    process = start(recipe, out)
    try:
        while process.poll() is None and drafts(out / ".store", stage) <= stale:
            time.sleep(0.002)
        time.sleep(delay_s)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)  # alone, as the kernel does where memory is short
        return process.wait() == -signal.SIGKILL
    finally:
        if process.stdout is not None:
            process.stdout.close()


def test_a_killed_build_goes_on_where_it_was_and_ends_the_same(toy_model: Path, tmp_path: Path) -> None:
    recipe = toy.write_project(tmp_path / "project", toy_model, ["raspberry-pi-5"])
    expected = digest_of_files(finish(recipe, tmp_path / "undisturbed"))
    seed = time.time_ns()
    draw, out = random.Random(seed), tmp_path / "killed"
    delays = {stage: draw.uniform(0, longest) for stage, longest in STAGES.items()}
    print(f"seed {seed}, delays {delays}")
    kept: dict[str, tuple[int, int]] = {}
    kills = 0
    for stage, delay_s in delays.items():
        kills += kill_in(stage, delay_s, recipe, out)
        now = finished(out / ".store")
        assert kept.items() <= now.items(), "a finished step was made again"
        kept = now
    assert kills >= 5  # the last steps may end before their kill comes
    found = digest_of_files(finish(recipe, out))
    assert kept.items() <= finished(out / ".store").items()
    assert found.keys() == expected.keys()
    alike = [name for name in expected if name.startswith(ALIKE)]
    assert {name: found[name] for name in alike} == {name: expected[name] for name in alike}
    assert {name for name in expected if name not in alike} == {"manifest.json", "README.md"} | {
        name for name in expected if name == "SHA256SUMS"
    }


def test_nothing_is_left_over_of_killed_builds(toy_model: Path, tmp_path: Path) -> None:
    recipe = toy.write_project(tmp_path / "project", toy_model, ["raspberry-pi-5"])
    out = tmp_path / "out"
    assert kill_in("finetune", 0.5, recipe, out)
    assert len(drafts(out / ".store")) == 1
    finish(recipe, out)
    assert drafts(out / ".store") == set()
    assert [path.name for path in (out / "toy").iterdir()] == ["raspberry-pi-5"]
