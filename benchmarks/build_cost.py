"""What a build costs in CPU time and memory, without any step that was kept before.

    python benchmarks/build_cost.py RECIPE [TARGET ...]

Builds in a folder that goes afterwards. Prints one JSON document: CPU seconds of each step (this process and those
that it started), their sum without verification, and the largest resident size of this process in MB (10^6 bytes).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from pathlib import Path

from edgebert import pipeline, planning, recipe as recipes
from edgebert.steps import Named

JUDGING = {"verify"}


class Meter(pipeline.Unwatched):
    """Takes the CPU time of each step."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []
        self._since = 0.0

    def begin(self, step: Named, cached: bool) -> None:
        """A step starts."""
        self._since = cpu_seconds()

    def end(self, step: Named) -> None:
        """A step is done."""
        self.seconds.append((step.about, round(cpu_seconds() - self._since, 2)))


def cpu_seconds() -> float:
    """CPU time of this process and of those that it has started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    building = sum(one for name, one in meter.seconds if name.split()[0] not in JUDGING)
    found = {
        "steps": [{"step": name, "cpu_s": one} for name, one in meter.seconds],
        "cpu_s": round(building, 1),
        "peak_memory_mb": round(peak),
    }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
