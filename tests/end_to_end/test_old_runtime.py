"""The shipped file in the oldest ONNX Runtime that the CPU profiles allow, by the bundle's own self-test."""

import json
import subprocess
from pathlib import Path

import pytest

from edgebert import environments, opening, target
from edgebert.device import bundle as bundles
from edgebert.errors import SurroundingsError
from tests.conftest import Built

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def oldest() -> Path:
    """Python with ONNX Runtime 1.17."""
    try:
        return environments.install("onnxruntime-oldest") / "bin" / "python"
    except SurroundingsError as error:
        pytest.skip(str(error))


def run(python: Path, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-I", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_oldest_runtime_is_the_one_the_profiles_name(oldest: Path, tmp_path: Path) -> None:
    version = run(oldest, "-c", "import onnxruntime; print(onnxruntime.__version__)", cwd=tmp_path).stdout
    assert version.startswith("1.17.")
    for name in ("raspberry-pi-4", "raspberry-pi-5", "x86-64"):
        assert target.load(name).runtime.version.startswith(">=1.17,")


def test_the_bundle_tests_itself_in_it(built: Built, oldest: Path, tmp_path: Path) -> None:
    bundle = built.bundle("raspberry-pi-5")
    done = run(oldest, bundle, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["passed"]
    assert verdict["digest"] == opening.digest(bundle)
    assert verdict["runtime"]["version"].startswith("1.17.")
    assert verdict["rows"] == len(bundles.golden(str(bundle))) >= 64
    [gap] = [check for check in verdict["checks"] if check["name"] == "golden_max_abs_diff"]
    assert 0 <= gap["measured"] <= gap["limit"]
    assert verdict["agreement"] == 1.0


def test_its_answers_are_within_the_recorded_tolerance_row_by_row(
    built: Built, oldest: Path, tmp_path: Path
) -> None:
    script = """
import json, sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1] + "/onnx/model_quantized.onnx")
for line in open(sys.argv[1] + "/golden.jsonl", encoding="utf-8"):
    row = json.loads(line)
    [logits] = session.run(["logits"], {name: numpy.array([ids]) for name, ids in row["ids"].items()})
    print(json.dumps([float(abs(logits[0] - row["outputs"]["logits"]).max()), row["tolerance"]]))
"""
    done = run(oldest, "-c", script, built.bundle("raspberry-pi-5"), cwd=tmp_path)
    gaps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(gaps) >= 64, done.stderr
    assert all(gap <= tolerance for gap, tolerance in gaps)
