"""The speed of one bundle beside another, as the command tells it."""

import json
import os
import subprocess
import sys

from tests.conftest import ROOT, Built


def test_a_bundle_beside_itself_has_a_ratio_for_each_run(built: Built) -> None:
    bundle, rows = built.bundle("raspberry-pi-5"), built.recipe.parent / "test.jsonl"
    command = [sys.executable, str(ROOT / "benchmarks" / "bundle_speed.py"), str(bundle), str(bundle), str(rows)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "--runs", "2"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["runs"]) == 2
    assert min(found["runs"]) <= found["speedup"] <= max(found["runs"])
    assert found["evidence"] == "host"
