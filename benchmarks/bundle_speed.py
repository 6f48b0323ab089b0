"""How much faster one bundle's file is than another's, in the same runs: of two bundles of one task.

    python benchmarks/bundle_speed.py BUNDLE OTHER ROWS.jsonl [--runs 5]

Each run is a process of its own, in which both files take turns on the same rows (the model alone, one thread,
natural lengths where the files take any). A run's speed-up is the median of the paired ratios. Prints one JSON
document: the speed-up of each run and their median. On this machine: no figure of a board.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgebert import data, members, opening
from edgebert.timing import Contender, Request, time_files


def main() -> None:
    """Time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    request = contenders(given.bundle, given.other, given.rows)
    ratios = [ratio(request.model_copy(update={"seed": seed})) for seed in range(given.runs)]
    found = {"speedup": round(statistics.median(ratios), 3), "runs": [round(one, 3) for one in ratios]}
    sys.stdout.write(json.dumps({**found, "scope": "model", "threads": 1, "evidence": "host"}, indent=1) + "\n")


def contenders(bundle: Path, other: Path, rows: Path) -> Request:
    """The default files of both bundles, on rows of the first one's task."""
    manifest, compared = opening.read_manifest(bundle), opening.read_manifest(other)
    task: Any = members.find("tasks", manifest.task)
    return Request(
        contenders=[
            Contender(which="shipped", folder=str(bundle), entry=manifest.file().model_dump()),
            Contender(which="reference", folder=str(other), entry=compared.file().model_dump()),
        ],
        task=manifest.task,
        labels=manifest.labels,
        decoding=manifest.decoding,
        tokenizer=str(bundle),
        max_tokens=manifest.decoding["max_tokens"],
        rows=data.read(rows, {}, task.fault).rows,
        threads=1,
    )


def ratio(request: Request) -> float:
    """Median of the other's time over the bundle's, row by row."""
    samples = time_files(request).samples
    return float(np.median(np.array(samples["reference"]["model"]) / np.array(samples["shipped"]["model"])))


if __name__ == "__main__":
    main()
