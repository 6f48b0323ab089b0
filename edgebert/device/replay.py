"""Worker: run golden rows through a file and tell the largest difference from the recorded outputs."""

import json
import sys
from typing import Any, Dict

import numpy as np

from . import excerpts, runtimes


def largest_difference(folder: str, entry: Dict[str, Any], golden: str) -> float:
    """Largest absolute difference over all golden rows and outputs; one row at a time, one thread."""
    model = runtimes.open_model(folder, entry, 1)
    worst = 0.0
    with open(golden, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            expected = row.get("others", {}).get(entry["id"], row)["outputs"]
            found = model.run({name: np.asarray([ids]) for name, ids in row["ids"].items()})
            outputs = {name: array[0] for name, array in found.items()}
            worst = max(worst, excerpts.gap(expected, outputs, row.get("at", {})))
    return worst


if __name__ == "__main__":
    request = json.load(sys.stdin)
    print(json.dumps({"max_abs_diff": largest_difference(request["folder"], request["entry"], request["golden"])}))
