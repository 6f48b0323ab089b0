"""A bundle beside what other tools make of the same checkpoint: one run, interleaved, a process an engine.

    python benchmarks/peers/compare.py BUNDLE CHECKPOINT ROWS.jsonl -o OUT [--litert BUNDLE] [--engines NAME ...]
        [--threads 1 2] [--works natural 16 32 64 128 256]

BUNDLE is what `edgebert build` made of CHECKPOINT without training, for x86-64 and, with `--litert`, also for
x86-64-litert; ROWS has `text` and `label`, or no label
(`shapes.py`): then nothing is scored. Every engine answers the same ids. A work is the rows at their natural
lengths, or texts of one number of tokens. A round goes over all engines in a random order, each with the same
rows; a ratio is the median over rows of one engine's time over another's, by the least time of each row, and its
spread is that of the rounds' own medians. The int8 limit of the machine is measured before and after
(`limits.py`). OUT/samples.json has every sample; OUT/table.md and OUT/latency.svg are drawn from it
(`drawing.py`). On this machine: no figure of a board.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import drawing
import limits
import numpy as np

from edgebert import environments
from edgebert.device import bundle as bundles
from edgebert.tokenization import Encoder

HERE = Path(__file__).parent
NATURAL = "natural"
WORKS = (NATURAL, "16", "32", "64", "128", "256")
FIXED_ROWS, CALIBRATION = 20, 128
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
Texts = list[dict[str, Any]]


def main() -> None:
    """Make, time, answer, draw."""
    known = sorted(path.stem for path in (HERE / "engines").glob("*.py"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--litert", type=Path, help="a bundle for x86-64-litert, compared as well")
    parser.add_argument("--engines", nargs="+", choices=known, default=known)
    parser.add_argument("--works", nargs="+", type=work_named, default=list(WORKS), help="natural, or tokens")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=1000, help="rows to answer; every fifth of them is timed")
    given = parser.parse_args()
    if given.litert is None:
        given.engines = [name for name in given.engines if name != drawing.OURS_TOO]
    given.out.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in given.rows.read_text(encoding="utf-8").splitlines()]
    rows = lines[:: max(1, len(lines) // given.count)][: given.count]
    config = json.loads((given.checkpoint / "config.json").read_text(encoding="utf-8"))
    labels = [row["label"] for row in rows] if all("label" in row for row in rows) else []
    encoder = Encoder(given.checkpoint, longest(given.works), list(INPUTS))
    answered = rows if labels or NATURAL in given.works else []
    works, texts = worked(given.works, [row["text"] for row in answered], [row["text"] for row in lines], encoder)
    write(texts, given.out / "texts.npz")
    others = [row for row in lines if row not in rows] or rows  # what is scored is not calibrated on
    calibration = [encoder.encode(row["text"]).feeds for row in others[-CALIBRATION:]]
    made = made_by(given.engines, given, write(calibration, given.out / "calibration.npz"))
    found: dict[str, Any] = {"engines": {}, "works": {n: len(w) for n, w in works.items()}, "threads": {}}
    found |= {"multiply_adds": counted(made, works, texts, config), "limits": {}}
    for threads in given.threads:
        before = limits.gops(threads)
        found["threads"][threads] = measured(made, works, given, threads, bool(labels))
        found["limits"][threads] = max(before, limits.gops(threads))
    for name, place in made.items():
        found["engines"][name] = {"mb": megabytes(place, name), "made_s": seconds(place)}
        if labels:
            found["engines"][name] |= told(name, given.out, labels, config["id2label"])
    (given.out / "samples.json").write_text(json.dumps(found), encoding="utf-8")
    drawing.draw(given.out)
    sys.stdout.write((given.out / "table.md").read_text(encoding="utf-8"))


def work_named(text: str) -> str:
    """A work as the command line names it. Raises ArgumentTypeError for neither `natural` nor a length."""
    if text != NATURAL and not (text.isdecimal() and int(text) > 2):
        raise argparse.ArgumentTypeError(f"'{text}': must be '{NATURAL}' or a number of tokens above 2")
    return text


def longest(works: Sequence[str]) -> int:
    """Tokens of the longest text of these works."""
    fixed = [int(work) for work in works if work != NATURAL]
    return max([*fixed, int(WORKS[-1])] if NATURAL in works else fixed)


def worked(
    names: Sequence[str], rows: Sequence[str], lines: Sequence[str], encoder: Encoder
) -> tuple[dict[str, list[int]], Texts]:
    """The numbers of the texts of each work, and all texts: first the rows that are answered, then those cut."""
    texts = [encoder.encode(row).feeds for row in rows]
    works = {}
    for name in names:
        if name == NATURAL:
            works[name] = list(range(0, len(rows), 5))
        else:
            works[name] = list(range(len(texts), len(texts) + FIXED_ROWS))
            texts += filled(lines, encoder, int(name))
    return works, texts


def counted(
    made: dict[str, Path], works: dict[str, list[int]], texts: Texts, config: dict[str, Any]
) -> dict[str, dict[str, int]]:
    """Multiply-adds of a text of each fixed length: of the whole checkpoint, and those that our file executes."""
    ours = file_of(made[drawing.OURS]) if drawing.OURS in made else None
    found = {}
    for name, rows in works.items():
        if name != NATURAL:
            found[name] = {"whole": limits.whole(config, int(name))}
            if ours is not None and ours.suffix == ".onnx":
                found[name]["executed"] = limits.executed(ours, texts[rows[0]])
    return found


def filled(texts: Sequence[str], encoder: Encoder, tokens: int) -> Texts:
    """Texts of exactly so many tokens: rows after rows, cut by the tokenizer as a text that is too long is."""
    found = []
    drawn = random.Random(tokens)  # noqa: S311  # not a secret
    while len(found) < FIXED_ROWS:
        feeds = encoder.encode(" ".join(drawn.choices(texts, k=2 + tokens // 3))).feeds
        last = feeds["input_ids"][:, -1:]
        cut = {name: array[:, :tokens].copy() for name, array in feeds.items()}
        if cut["input_ids"].shape[1] == tokens:
            cut["input_ids"][:, -1:] = last
            found.append(cut)
    return found


def write(texts: Texts, path: Path) -> Path:
    """Keep texts for `serving.read`."""
    arrays = {name: np.concatenate([feeds[name][0] for feeds in texts]) for name in INPUTS}
    np.savez(path, lengths=np.asarray([feeds["input_ids"].shape[1] for feeds in texts]), **arrays)
    return path


def made_by(names: Sequence[str], given: argparse.Namespace, calibration: Path) -> dict[str, Path]:
    """Each engine's folder, its files made; what another engine needs is made first and not compared."""
    made: dict[str, Path] = {}
    bundles_of = {drawing.OURS: given.bundle, drawing.OURS_TOO: given.litert}

    def one(name: str) -> Path:
        place: Path = given.out / "made" / name
        for needed in constants(name)["NEEDS"]:
            one(needed)
        if not (place / ".complete").exists():
            place.mkdir(parents=True, exist_ok=True)
            if name in bundles_of:
                (place / "bundle").unlink(missing_ok=True)
                (place / "bundle").symlink_to(bundles_of[name].resolve(), target_is_directory=True)
            sys.stderr.write(f"make {name}\n")
            start = time.perf_counter()
            command = [*served(name), "make", str(given.checkpoint.resolve()), str(place), str(calibration)]
            subprocess.run(command, check=True, env=surroundings())
            (place / ".complete").write_text(f"{time.perf_counter() - start:.1f}", encoding="ascii")
        return place

    for name in names:
        made[name] = one(name)
    return made


def constants(name: str) -> dict[str, Any]:
    """An engine's constants: its module imports nothing of the tool before it is asked to."""
    module = importlib.import_module(f"engines.{name}")
    return {key: getattr(module, key) for key in ("ENVIRONMENT", "NEEDS", "FILES")}


def served(name: str) -> list[str]:
    """The command that runs an engine."""
    environment = constants(name)["ENVIRONMENT"]
    return [str(python_of(environment)) if environment else sys.executable, str(HERE / "serving.py"), name]


def surroundings() -> dict[str, str]:
    """What an engine's process sees: this environment, without what would change its threads."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}


def python_of(environment: str) -> Path:
    """The Python of a tool's environment, made at the first call: EdgeBERT's own, or one of `environments/`."""
    listed = HERE / "environments" / f"{environment}.txt"
    if not listed.exists():
        return environments.install(environment) / "bin" / "python"
    digest = hashlib.sha256(listed.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = environments.cache() / "benchmarks" / f"{environment}-{digest}"
    if not (place / "complete").exists():
        sys.stderr.write(f"install {environment} into {place}\n")
        python = str(place / "bin" / "python")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
        subprocess.run([*pip, "--no-deps", "-r", str(listed)], check=True)
        (place / "complete").touch()
    return place / "bin" / "python"


def measured(
    made: dict[str, Path], works: dict[str, list[int]], given: argparse.Namespace, threads: int, scored: bool
) -> dict[str, Any]:
    """Load time, memory and samples [round][row] by engine and work; the first call keeps the logits, too."""
    running = {}
    found: dict[str, Any] = {name: {} for name in made}
    for name, place in made.items():
        command = [*served(name), "serve", str(place), str(given.out / "texts.npz"), str(threads)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings()
        )
        running[name] = process
        found[name]["load_ms"] = asked(process, None)["load_ms"]
        if scored and threads == given.threads[0]:
            asked(process, {"answer": str(given.out / f"{name}.npy")})
    order = random.Random(0)  # noqa: S311  # not a secret
    for work, rows in works.items():
        for name in running:
            asked(running[name], {"time": rows[:3]})
            found[name][work] = []
        for _ in range(given.rounds):
            for name in order.sample(list(running), len(running)):
                found[name][work].append(asked(running[name], {"time": rows})["ns"])
        sys.stderr.write(f"timed {work}, {threads} threads\n")
    for name, process in running.items():
        found[name]["peak_memory_mb"] = asked(process, {"memory": None})["peak_memory_mb"]
        process.communicate()
    return found


def asked(process: subprocess.Popen[str], command: dict[str, Any] | None) -> dict[str, Any]:
    """The answer to a command; None: the first line."""
    assert process.stdin is not None
    assert process.stdout is not None
    if command is not None:
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args}: ended with {process.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def told(name: str, out: Path, labels: Sequence[str], names: dict[str, str]) -> dict[str, Any]:
    """Score and fidelity: accuracy, agreement with torch's answers, mean cosine of the logits with torch's."""
    ours, theirs = (np.load(out / f"{one}.npy")[: len(labels)] for one in (name, "torch_eager"))
    wanted = [names[str(number)] for number in ours.argmax(1)]
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return {
        "rows": len(labels),
        "accuracy": float(np.mean([one == other for one, other in zip(wanted, labels, strict=True)])),
        "agreement": float((ours.argmax(1) == theirs.argmax(1)).mean()),
        "cosine": float(((ours * theirs).sum(1) / norms).mean()),
    }


def seconds(place: Path) -> float:
    """How long an engine's files took to make."""
    return float((place / ".complete").read_text(encoding="ascii"))


def megabytes(place: Path, name: str) -> float:
    """Size of the files that an engine reads, in MB (10^6 bytes)."""
    if name in (drawing.OURS, drawing.OURS_TOO):
        files = [file_of(place)]
    elif name == "torch_eager":
        files = [place / "checkpoint" / "model.safetensors"]
    else:
        source = place if constants(name)["FILES"] else place.parent / constants(name)["NEEDS"][0]
        files = [source / one for one in constants(name)["FILES"] or constants(source.name)["FILES"]]
    return sum(path.stat().st_size for path in files) / 1e6


def file_of(place: Path) -> Path:
    """The file of the bundle that is compared."""
    folder = place / "bundle"
    file: str = bundles.model_entry(bundles.read(str(folder)), "")["file"]
    return folder / file


if __name__ == "__main__":
    main()
