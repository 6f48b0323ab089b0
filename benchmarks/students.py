"""How far students are below their teacher, as shipped: one recipe with `[distil]`, several seeds.

    python benchmarks/students.py benchmarks/recipes/clinc150.toml -o OUT [--seeds 13 14 15]

The teacher is trained once, with the recipe's seed. Each seed trains a student of it and scores the int8 file that
would ship; the student that is best on dev is the one to ship. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import edgebert


def main() -> None:
    """Build for each seed, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 14, 15])
    given = parser.parse_args()
    os.environ.setdefault("EDGEBERT_STORE", str(given.out / ".store"))
    found = {seed: built(given.recipe, seed, given.out / str(seed)) for seed in given.seeds}
    sys.stdout.write(json.dumps(summary(found), indent=1) + "\n")


def built(recipe: Path, seed: int, out: Path) -> dict[str, Any]:
    """The manifest of the first target's bundle, whether it passed or not."""
    sys.stderr.write(f"seed {seed}\n")
    edgebert.build(recipe, out=out, overrides=[f"distil.seed={seed}", "distil.seeds=1"])
    manifest = max(out.glob("*/*/manifest.json"), key=lambda path: path.stat().st_mtime)
    read: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    return read


def summary(manifests: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Test figures of each seed's shipped file, their mean and range, and the seed that is best on dev."""
    dev = {seed: float(one["provenance"]["training"]["dev_quality"][str(seed)]) for seed, one in manifests.items()}
    scores = {seed: one["models"][0]["scores"][0] for seed, one in manifests.items()}
    chosen = max(dev, key=dev.__getitem__)
    return {
        "metric": scores[chosen]["metric"],
        "teacher": scores[chosen]["teacher"],
        "seeds": {
            seed: {"dev": dev[seed], "test": score["shipped"]["value"], "drop_points": score["drop"]["points"]}
            for seed, score in scores.items()
        },
        "test": spread([score["shipped"]["value"] for score in scores.values()]),
        "drop_points": spread([score["drop"]["points"] for score in scores.values()]),
        "chosen": {"seed": chosen, **{name: scores[chosen][name] for name in ("shipped", "drop", "agreement")}},
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, least and most."""
    return {"mean": round(statistics.mean(values), 4), "min": min(values), "max": max(values)}


if __name__ == "__main__":
    main()
