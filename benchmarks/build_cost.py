"""What a build costs in CPU time and memory, without any step that was kept before.

    python benchmarks/build_cost.py RECIPE [TARGET ...]

Builds in a folder that goes afterwards. Prints one JSON document: CPU seconds of each step (this process and those
that it started), their sum without verification, and the largest resident size of this process up to the end of
each step in MB (10^6 bytes). Of one target, that of its `quantize` is the building's alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from edgebert import pipeline, planning, recipe as recipes
from edgebert.steps import Named

JUDGING = {"verify"}


class Meter(pipeline.Unwatched):
    """Takes the CPU time of each step."""

    def __init__(self) -> None:
        self.costs: list[dict[str, Any]] = []
        self._since = 0.0

    def begin(self, step: Named, cached: bool) -> None:
        """A step starts."""
        self._since = cpu_seconds()

    def end(self, step: Named) -> None:
        """A step is done."""
        spent = round(cpu_seconds() - self._since, 2)
        self.costs.append({"step": step.about, "cpu_s": spent, "peak_memory_mb": peak_mb()})


def cpu_seconds() -> float:
    """CPU time of this process and of those that it has started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_mb() -> int:
    """The largest resident size of this process so far, in 10^6 bytes."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("targets", nargs="*")
    given = parser.parse_args()
    meter = Meter()
    with tempfile.TemporaryDirectory(prefix="edgebert-") as folder:
        out = Path(folder)
        plan = planning.plan(recipes.load(given.recipe), given.targets or None, out / ".store")
        pipeline.run(plan, out, meter)
    building = sum(one["cpu_s"] for one in meter.costs if one["step"].split()[0] not in JUDGING)
    found = {"steps": meter.costs, "cpu_s": round(building, 1), "peak_memory_mb": peak_mb()}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
