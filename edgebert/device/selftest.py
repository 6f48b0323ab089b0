"""A bundle's self-test: its files, its golden rows, its speed, on the machine that runs it."""

import argparse
import datetime
import json
import os
import sys
import traceback
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from . import ask, bundle, conditions, decoding, excerpts, measure, reading, runtimes

PASSED, FAILED, WRONG_INPUT, BUG, SURROUNDINGS = 0, 1, 2, 3, 4
MIN_AGREEMENT = 1.0  # of the rows whose margin exceeds the tolerance: those must not change


def main(arguments: Sequence[str], folder: Optional[str] = None) -> int:
    """Test the bundle, or answer texts with it; print the verdict, or the answers, as JSON.

    Exit status: 0: passed; 1: a check failed; 2: not a sound bundle, or a wrong argument or text; 3: a bug of
    ours; 4: the runtime is missing.
    """
    options = _options(folder is None).parse_args(list(arguments))
    where = folder or options.bundle
    try:
        if options.texts:
            answered = ask.answers(where, options.texts, options.model, options.threads)
            print(json.dumps(answered, indent=1))
            return PASSED
        verdict = run(where, options.rows, options.runs, options.threads, options.model)
    except (bundle.BundleError, runtimes.ModelUnreadable, ask.Refused) as error:
        print("edgebert: %s" % error, file=sys.stderr)
        return WRONG_INPUT
    except runtimes.RuntimeMissing as error:
        print("edgebert: %s" % error, file=sys.stderr)
        return SURROUNDINGS
    except Exception:
        traceback.print_exc()
        return BUG
    text = json.dumps(verdict, indent=1)
    if options.json_out:
        try:
            with open(options.json_out, "w", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError as error:
            print("edgebert: --json-out %s: %s" % (options.json_out, error.strerror), file=sys.stderr)
            return WRONG_INPUT
    print(text)
    return PASSED if verdict["passed"] else FAILED


class Opened(NamedTuple):
    """A bundle ready to answer its golden rows; `feeds` are their ids, int64 [1, tokens] by input name."""

    folder: str
    manifest: Dict[str, Any]
    entry: Dict[str, Any]
    golden: List[Dict[str, Any]]
    feeds: List[Dict[str, Any]]
    model: Any
    threads: int


def run(folder: str, rows: int = 0, runs: int = 3, threads: int = 1, model_id: str = "") -> Dict[str, Any]:
    """Replay golden rows (0: all), time `runs` rounds of them, and judge. Raises BundleError, RuntimeMissing."""
    opened = open_bundle(folder, rows, threads, model_id)
    with conditions.Watch() as watch:
        answers = [opened.model.run(one) for one in opened.feeds]
        samples = measure.interleaved({"shipped": opened.model.run}, opened.feeds, runs, seed=0)["shipped"]
    return verdict(opened, answers, samples, watch.record())


def open_bundle(folder: str, rows: int = 0, threads: int = 1, model_id: str = "") -> Opened:
    """Check a bundle's files, read its golden rows, load its model. Raises BundleError, RuntimeMissing."""
    manifest = bundle.read(folder)
    entry = bundle.model_entry(manifest, model_id)
    golden = bundle.golden(folder, rows)
    feeds = [{name: np.asarray([ids]) for name, ids in row["ids"].items()} for row in golden]
    return Opened(folder, manifest, entry, golden, feeds, runtimes.open_model(folder, entry, threads), threads)


def verdict(opened: Opened, answers: List[Any], samples: List[float], record: Dict[str, Any]) -> Dict[str, Any]:
    """What the self-test prints, from outputs of all golden rows, samples in milliseconds, and the conditions."""
    manifest, entry, golden = opened.manifest, opened.entry, opened.golden
    outputs = [{name: array[0] for name, array in one.items()} for one in answers]
    checks = _judge(opened, outputs)
    known = [found for found in _right(opened, outputs) if found is not None]
    host = measure.host()
    there = on_board(manifest["target"].get("board"), host)
    stands_in = manifest["target"].get("accelerator", "none") != "none"  # these runtimes compute on the CPU
    slowed = conditions.faults(record) if there else []
    tokenizer = _tokenized(opened)
    return {
        "schema": bundle.SCHEMA,
        "bundle": manifest["name"],
        "digest": bundle.digest(opened.folder),
        "target": manifest["target"]["name"],
        "passed": all(check["status"] != "fail" for check in checks) and not (tokenizer or {}).get("differ"),
        "checks": checks,
        "latency": _latency(opened, samples),
        "slowed": slowed,
        "conditions": record,
        "host": host,
        "runtime": runtimes.versions(entry),
        "rows": len(golden),
        "score": round(sum(known) / len(known), 6) if known else None,
        "agreement": _agreement(opened, outputs),
        "tokenizer": tokenizer,
        "evidence": "device" if there and not stands_in else "host",
        "measured_at": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def on_board(board: Optional[str], host: Dict[str, Any]) -> bool:
    """Whether this machine says that it is the board of that name."""
    return bool(board and host["board"] and board in host["board"])


def _latency(opened: Opened, samples: List[float]) -> Optional[Dict[str, Any]]:
    """Percentiles of the samples; None where nothing was timed."""
    if not samples:
        return None
    return dict(measure.percentiles(samples), model=opened.entry["id"], threads=opened.threads, runs=len(samples))


def _expected(row: Dict[str, Any], entry: Dict[str, Any]) -> Dict[str, Any]:
    """Outputs and tolerance of a golden row for one of the bundle's files."""
    other = row.get("others", {}).get(entry["id"])
    return other or {"outputs": row["outputs"], "tolerance": row["tolerance"]}


def _right(opened: Opened, outputs: List[Any]) -> List[Optional[bool]]:
    """Whether each golden row that has a label was answered with it; None where the task cannot tell."""
    manifest = opened.manifest
    found = []
    for row, one in zip(opened.golden, outputs):
        if row["label"] is not None:
            windows = [{"outputs": one, "align": row.get("align", {})}]
            answer = decoding.answer(
                manifest["task"], windows, row["inputs"], manifest["labels"], manifest["decoding"]
            )
            found.append(decoding.right(manifest["task"], answer, row["label"]))
    return found


def _judge(opened: Opened, outputs: List[Any]) -> List[Dict[str, Any]]:
    worst, limit = 0.0, 0.0
    for row, found in zip(opened.golden, outputs):
        expected = _expected(row, opened.entry)
        gap = excerpts.gap(expected["outputs"], found, row.get("at", {}))
        if not limit or gap / expected["tolerance"] > worst / limit:
            worst, limit = gap, expected["tolerance"]
    agreement = _agreement(opened, outputs)
    return [
        _check("golden_max_abs_diff", opened.entry, worst, limit, "max", worst <= limit),
        _check("agreement", opened.entry, agreement, MIN_AGREEMENT, "min", agreement >= MIN_AGREEMENT),
    ]


def _tokenized(opened: Opened) -> Optional[Dict[str, int]]:
    """How many golden rows were tokenized, and how many not as the library did; None: there is no table."""
    manifest = opened.manifest
    if not (manifest.get("tokenizer") or {}).get("table"):
        return None
    tokenizer = ask.opened(opened.folder, manifest, opened.entry)
    differ = 0
    for row, feeds in zip(opened.golden, opened.feeds):
        read = reading.windows(manifest["task"], row["inputs"], tokenizer, manifest["decoding"])[0]
        differ += any(not np.array_equal(read.feeds[name], ids) for name, ids in feeds.items())
    return {"rows": len(opened.golden), "differ": differ}


def _check(
    name: str, entry: Dict[str, Any], measured: float, limit: float, bound: str, good: bool
) -> Dict[str, Any]:
    return {
        "name": name,
        "model": entry["id"],
        "measured": measured if np.isfinite(measured) else None,
        "limit": limit,
        "bound": bound,
        "unit": "",
        "status": "pass" if good else "fail",
        "reason": None,
    }


def _agreement(opened: Opened, outputs: List[Any]) -> float:
    """Share of rows that are decided as expected, of those that decide anything by more than the tolerance."""
    task, settings = opened.manifest["task"], opened.manifest["decoding"]
    same = []
    for row, found in zip(opened.golden, outputs):
        expected = _expected(row, opened.entry)
        shapes = {name: array.shape for name, array in found.items()}
        recorded = excerpts.filled(expected["outputs"], row.get("at", {}), shapes)
        same.append(decoding.same(task, recorded, found, row.get("align", {}), settings, expected["tolerance"]))
    firm = [one for one in same if one is not None]
    return round(sum(firm) / len(firm), 6) if firm else 1.0


def _options(takes_bundle: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 BUNDLE", description=main.__doc__.splitlines()[0])  # type: ignore[union-attr]
    if takes_bundle:
        parser.add_argument("bundle", type=_folder)
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts to answer, or - for lines (default: test)")
    parser.add_argument("--rows", type=_natural, default=0, help="golden rows to replay (default: all)")
    parser.add_argument("--runs", type=_natural, default=3, help="timed rounds over them (default: 3; 0: none)")
    parser.add_argument("--threads", type=_positive, default=1, help="threads of the runtime (default: 1)")
    parser.add_argument("--model", default="", help="id of a model file (default: the bundle's default)")
    parser.add_argument("--json-out", metavar="FILE", help="write the verdict here too")
    return parser


def _folder(text: str) -> str:
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError("'%s' is not a folder" % text)
    return text


def _natural(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError("'%s' is not a whole number" % text) from None
    if value < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError("'%s' is not a whole number" % text) from None
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value
