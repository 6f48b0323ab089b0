"""How much longer a bundle's page takes than ONNX Runtime as a native library, in the same run.

    python benchmarks/web_speed.py BUNDLE [--tokens 16] [--rounds 15] [--isolated]

The page of `edgebert export-client BUNDLE web` answers in headless Chromium, one text at a time: tokenizer, model
on one WebAssembly thread and decoding. In turns with it the native library runs the same file on as many threads:
`model` alone, and the whole `answer` as `edgebert predict` gives it. A round is twenty of each; its ratio is that
of medians. `--isolated` serves the page with the headers that let it use up to four threads. Prints one JSON
document: the median of the rounds' ratios, and their tenth and ninetieth percentile. After `edgebert doctor
--install web`; needs Chromium and its driver.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from edgebert import exporting, opening
from edgebert.device import runtimes
from tests.chromium import ISOLATED, Chromium, chromium, served

TIMES, WARM = 20, 40
ASK = """
const [text, times] = args, took = [];
globalThis.asked ??= await new Promise((done, fail) => {
  const worker = new Worker("page/worker.js", { type: "module" });
  worker.onmessage = ({ data }) => data.ready ? done(worker) : data.failed && fail(data.failed.message);
});
for (let i = 0; i < times; i++) {
  took.push(await new Promise((done) => {
    asked.onmessage = ({ data }) => done([data.took, data.size.tokens, data.size.threads]);
    asked.postMessage({ row: { text } });
  }));
}
return took;
"""


def main() -> None:
    """Time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--isolated", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        page = Path(room) / "page"
        exporting.export([given.bundle], "web", page)
        with served(page, ISOLATED if given.isolated else {}) as url, chromium() as browser:
            browser.open(url)
            found = compared(browser, given.bundle, given.tokens, given.rounds)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def compared(browser: Chromium, folder: Path, tokens: int, rounds: int) -> dict[str, Any]:
    """Ratios of the page's time to the native library's."""
    text = " ".join(["a"] * (tokens - 2))
    [[_, read, threads], *_] = browser.run(ASK, text, WARM)
    if read != tokens:
        raise SystemExit(f"'{text}' has {read} tokens in this bundle, not {tokens}")
    bundle = opening.open_bundle(folder)
    model = runtimes.open_model(str(folder), bundle.entry, threads)
    feeds = bundle.encoder.encode(text).feeds
    timed(lambda: model.run(feeds), WARM)
    ratios: dict[str, list[float]] = {"model": [], "answer": []}
    for _ in range(rounds):
        page = statistics.median(took for took, *_ in browser.run(ASK, text, TIMES))
        ratios["model"].append(page / timed(lambda: model.run(feeds), TIMES))
        ratios["answer"].append(page / timed(lambda: bundle.predict([text]), TIMES))
    told = {name: spread(found) for name, found in ratios.items()}
    return {"tokens": tokens, "threads": threads, "page_to_native": told, "rounds": rounds}


def timed(act: Callable[[], object], times: int) -> float:
    """The median of some runs in milliseconds."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        found.append(1000 * (time.perf_counter() - started))
    return statistics.median(found)


def spread(found: list[float]) -> dict[str, float]:
    """Median and percentiles."""
    points = np.percentile(found, [50, 10, 90])
    return {name: round(float(point), 2) for name, point in zip(("median", "p10", "p90"), points, strict=True)}


if __name__ == "__main__":
    main()
