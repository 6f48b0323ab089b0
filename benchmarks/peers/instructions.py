"""Instructions that emulated Arm cores execute in one inference of each engine's file that `compare.py` has made.

    python benchmarks/peers/instructions.py OUT [--cpus cortex-a76 cortex-a72] [--tokens 32]

Needs `edgebert doctor --install qemu`. Writes OUT/instructions.json and prints a table. Evidence: emulator; counts
know no cache, no memory bandwidth and no clock, so they are no milliseconds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import compare
import numpy as np
from drawing import OURS, OURS_TOO
from serving import read

from edgebert import environments, jobs
from edgebert.emulation import cpus, userland

STOCK = "onnxruntime_int8"
HERE = Path(__file__).parent


def main() -> None:
    """Count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("--cpus", nargs="+", choices=sorted(cpus.KNOWN), default=["cortex-a76", "cortex-a72"])
    parser.add_argument("--tokens", type=int, default=32)
    given = parser.parse_args()
    text = next(one for one in read(given.out / "texts.npz") if one["input_ids"].shape[1] == given.tokens)
    files = {place.name: file_of(place) for place in sorted((given.out / "made").iterdir())}
    found: dict[str, Any] = {"tokens": given.tokens, "instructions": {}}
    for cpu in given.cpus:
        counted = {name: count(path, text, cpu) for name, path in files.items() if path is not None}
        found["instructions"][cpu] = counted
    (given.out / "instructions.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    sys.stdout.write(table(found))


def file_of(place: Path) -> Path | None:
    """The ONNX or TFLite file of an engine's folder, or None where it has none."""
    if place.name in (OURS, OURS_TOO):
        return compare.file_of(place)
    names = [one for one in compare.constants(place.name)["FILES"] if one.endswith((".onnx", ".tflite"))]
    return place / names[0] if names else None


def count(path: Path, text: dict[str, Any], cpu: str) -> dict[str, int]:
    """Executed instructions by class; the cheaper of a few inferences."""
    place = environments.place_of("qemu")
    runtime = "litert" if path.suffix == ".tflite" else "onnxruntime"
    with tempfile.TemporaryDirectory(prefix="edgebert-") as folder:
        room = Path(folder)
        jobs.copy_code(room)
        shutil.copy(HERE / "counting.py", room)
        np.savez(room / "text.npz", **{name: text[name] for name in compare.INPUTS})
        counts = room / "counts.jsonl"
        command = [*userland.command(place, cpu, runtime, room, counts), str(room / "counting.py")]
        subprocess.run([*command, str(path.resolve()), str(room / "text.npz")], check=True)
        lines = [json.loads(line) for line in counts.read_text(encoding="ascii").splitlines()]
    runs = [{name: value for name, value in line.items() if name != "mark"} for line in lines]
    return min(runs, key=lambda one: sum(one.values()))


def table(found: dict[str, Any]) -> str:
    """Markdown: millions by CPU, and their ratio to stock dynamic int8 in ONNX Runtime."""
    cores = list(found["instructions"])
    titles = " | ".join(f"{cpu}, 10^6 | of {STOCK}" for cpu in cores)
    lines = [
        f"One inference of {found['tokens']} tokens:",
        "",
        f"| | {titles} |",
        "|---" * (1 + 2 * len(cores)) + "|",
    ]
    for name in found["instructions"][cores[0]]:
        cells = []
        for cpu in cores:
            counted = {one: sum(classes.values()) for one, classes in found["instructions"][cpu].items()}
            ratio = f"{counted[name] / counted[STOCK]:.3f}" if STOCK in counted else ""
            cells.append(f"{counted[name] / 1e6:.2f} | {ratio}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
