"""Samples are raw and paired, statistics follow from them, and the host is told without its name."""

from __future__ import annotations

import getpass
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert.device import bundle as bundles, measure
from tests.conftest import ROOT, Built


class Calls(list[tuple[str, int]]):
    """Who was called with which row."""

    def of(self, name: str) -> Callable[[int], None]:
        return lambda row: self.append((name, row))


def timed(names: list[str], rows: int, rounds: int, seed: int) -> tuple[dict[str, list[float]], Calls]:
    """Samples of contenders that note their calls, and those calls after the warm-up."""
    calls = Calls()
    samples = measure.interleaved({name: calls.of(name) for name in names}, list(range(rows)), rounds, seed)
    warm_up = len(names) * min(rows, measure.WARM_UP)
    return samples, Calls(calls[warm_up:])


def test_every_contender_is_timed_on_every_row_as_often_as_asked() -> None:
    samples, calls = timed(["shipped", "reference"], rows=7, rounds=3, seed=0)
    assert {name: len(values) for name, values in samples.items()} == {"shipped": 21, "reference": 21}
    assert all(value >= 0 for values in samples.values() for value in values)
    assert sorted(calls) == sorted((name, row) for name in samples for row in range(7) for _ in range(3))


def test_contenders_take_turns_on_the_same_row_and_who_is_first_changes() -> None:
    _, calls = timed(["a", "b", "c"], rows=20, rounds=2, seed=1)
    turns = [calls[i : i + 3] for i in range(0, len(calls), 3)]
    assert all({name for name, _ in turn} == {"a", "b", "c"} for turn in turns)
    assert all(len({row for _, row in turn}) == 1 for turn in turns)
    assert {turn[0][0] for turn in turns} == {"a", "b", "c"}


def test_rows_come_in_a_random_order_that_the_seed_fixes() -> None:
    first, again, other = (timed(["a", "b"], rows=30, rounds=1, seed=seed)[1] for seed in (5, 5, 6))
    rows = [row for name, row in first if name == "a"]
    assert first == again
    assert first != other
    assert rows != sorted(rows)


def test_milliseconds_are_milliseconds() -> None:
    import time

    samples = measure.interleaved({"sleeper": lambda _: time.sleep(0.02)}, [0, 1], 2, seed=0)["sleeper"]
    assert all(20 <= value < 20_000 for value in samples)


def test_percentiles_of_a_hundred_numbers_are_the_known_ones() -> None:
    shuffled = np.random.default_rng(0).permutation(np.arange(1.0, 102.0)).tolist()
    assert measure.percentiles(shuffled) == {"p50_ms": 51.0, "p90_ms": 91.0, "p99_ms": 100.0}
    assert measure.percentiles([2.5]) == {"p50_ms": 2.5, "p90_ms": 2.5, "p99_ms": 2.5}


@pytest.mark.parametrize("target", ["raspberry-pi-5", "android-cpu"])
def test_start_up_is_told_by_a_process_of_its_own(target: str, built: Built) -> None:
    folder = built.bundle(target)
    ids = bundles.golden(str(folder), 1)[0]["ids"]
    request = {
        "folder": str(folder),
        "entry": bundles.model_entry(bundles.read(str(folder))),
        "feeds": {name: [values] for name, values in ids.items()},
        "threads": 1,
    }
    done = subprocess.run(
        [sys.executable, "-m", "edgebert.device.measure"],
        input=json.dumps(request),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert set(found) == {"load_ms", "first_ms", "peak_memory_mb", "before_mb"}
    assert 0 < found["load_ms"] < 60_000
    assert 0 < found["first_ms"] < 60_000
    assert 5 < found["before_mb"] <= found["peak_memory_mb"] < 2000


def test_peak_memory_rises_by_what_is_held_and_stays_up() -> None:
    code = (
        "import numpy as np\nfrom edgebert.device.measure import peak_memory_mb\n"
        "before = peak_memory_mb()\nheld = np.ones(25_000_000)\nduring = peak_memory_mb()\ndel held\n"
        "print(before, during, peak_memory_mb())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    before, during, after = map(float, done.stdout.split())
    assert 190 <= during - before <= 260  # 25 million numbers of 8 bytes are 200 MB
    assert after >= during - 1  # the kernel counts in batches


def test_the_host_is_told_without_its_name_or_its_users() -> None:
    found = measure.host()
    assert {"board", "cpu", "arch", "cores", "kernel", "system", "python", "governor"} == set(found)
    assert found["arch"] == platform.machine()
    assert found["cores"] >= 1
    assert found["cpu"]
    told: list[Any] = list(found.values())
    assert platform.node() not in told
    assert getpass.getuser() not in told
    assert str(Path.home()) not in json.dumps(found)
    assert json.loads(json.dumps(found)) == found
