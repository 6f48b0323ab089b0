"""A bundle beside other tools' files: each engine answers and is timed in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT, Built

PEERS = ROOT / "benchmarks" / "peers"
ENGINES = ("edgebert", "onnxruntime_fp32", "onnxruntime_int8", "torch_eager")


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    """The module that makes tables of samples."""
    spec = importlib.util.spec_from_file_location("drawing", PEERS / "drawing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_ratio_is_that_of_the_least_times_and_its_spread_that_of_the_rounds(drawing: ModuleType) -> None:
    ours = [[10, 20, 30], [12, 18, 30]]
    theirs = [[20, 60, 60], [36, 36, 90]]
    assert drawing.ratio(theirs, ours) == (2.0, 2.0, 3.0)  # of 20/10, 36/18, 60/30; of 2 3 2, and 3 2 3
    assert drawing.ratio(ours, ours) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("path", sorted((PEERS / "engines").glob("*.py")), ids=lambda path: path.stem)
def test_an_engine_says_what_it_needs_before_its_tool_is_there(path: Path) -> None:
    """The driver reads an engine's constants in our environment, where its tool may not be."""
    command = [sys.executable, "-c", f"import engines.{path.stem} as e; print(e.ENVIRONMENT, e.NEEDS, e.FILES)"]
    environment = {**os.environ, "PYTHONPATH": str(PEERS)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name = done.stdout.split()[0]
    assert name in ("None", "optimum") or (PEERS / "environments" / f"{name}.txt").is_file()


@pytest.mark.slow
def test_engines_answer_the_same_rows_in_one_run(built: Built, tmp_path: Path) -> None:
    [checkpoint] = (built.out / ".store").glob("finetune-*/")
    rows = built.recipe.parent / "test.jsonl"
    command = [sys.executable, str(PEERS / "compare.py"), str(built.bundle("raspberry-pi-5")), str(checkpoint)]
    command += [str(rows), "-o", str(tmp_path), "--rounds", "2", "--threads", "1", "--engines", *ENGINES]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "samples.json").read_text())
    assert tuple(sorted(found["engines"])) == ENGINES
    count = len(rows.read_text().splitlines())
    for name, one in found["engines"].items():
        assert one["rows"] == count
        assert one["cosine"] > (0.9999 if name in ("torch_eager", "onnxruntime_fp32") else 0.99)
        assert one["mb"] > 0
        assert one["accuracy"] > 0.5
        measured = found["threads"]["1"][name]
        assert all(len(measured[work]) == 2 for work in found["works"])
        assert all(len(times) == size for work, size in found["works"].items() for times in measured[work])
        assert measured["load_ms"] > 0
        assert f"| {name} |" in done.stdout
    assert "</svg>" in (tmp_path / "latency.svg").read_text()
