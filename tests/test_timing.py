"""Raw samples of two files that take turns, and the statistics made of them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert import artifact, opening, timing
from edgebert.device import measure
from edgebert.timing import Contender, Request, Timed
from tests import toy
from tests.conftest import Built

ROWS: list[dict[str, Any]] = list(toy.rows(24, 7))


def _contenders(built: Built) -> list[Contender]:
    bundle = opening.open_bundle(built.bundle("raspberry-pi-5"))
    key = bundle.manifest.provenance.steps["export"]
    reference = artifact.read(built.out / ".store" / f"export-{key}")
    return [
        Contender(which="shipped", folder=str(bundle.folder), entry=bundle.entry),
        Contender(which="reference", folder=str(reference.folder), entry=reference.entry("fp32")),
    ]


def _request(contenders: list[Contender], tokenizer: Path) -> Request:
    return Request(
        contenders=contenders,
        task="text-classification",
        labels=["rain", "snow", "sun"],
        decoding={},
        tokenizer=str(tokenizer),
        max_tokens=32,
        rows=ROWS,
        threads=1,
        seconds=0.1,
    )


def test_both_files_are_timed_on_the_same_texts_alone_and_with_the_tokenizer(built: Built) -> None:
    timed = timing.time_files(_request(_contenders(built), built.bundle("raspberry-pi-5")))
    assert timed.threads == 1
    assert {which: set(scopes) for which, scopes in timed.samples.items()} == {
        "shipped": {"model", "end_to_end"},
        "reference": {"model", "end_to_end"},
    }
    counts = {len(samples) for scopes in timed.samples.values() for samples in scopes.values()}
    assert len(counts) == 1
    assert counts.pop() >= 20
    assert all(
        sample > 0 for scopes in timed.samples.values() for samples in scopes.values() for sample in samples
    )


def test_a_tflite_file_is_timed_too(built: Built) -> None:
    bundle = opening.open_bundle(built.bundle("android-cpu"))
    alone = [Contender(which="shipped", folder=str(bundle.folder), entry=bundle.entry)]
    timed = timing.time_files(_request(alone, bundle.folder))
    assert list(timed.samples) == ["shipped"]
    assert timing.speedup(timed, "int8", "host") is None


def test_starting_up_is_measured_in_processes_of_their_own(built: Built) -> None:
    shipped = _contenders(built)[0]
    feeds = opening.open_bundle(built.bundle("raspberry-pi-5")).encoder.encode("a warm day").feeds
    before = measure.peak_memory_mb()
    found = timing.start_up(shipped, feeds, 1)
    assert set(found) == {"load_ms", "first_ms", "peak_memory_mb", "before_mb"}
    assert 0 < found["before_mb"] <= found["peak_memory_mb"]
    assert found["peak_memory_mb"] < before  # this process holds torch, the child the runtime alone
    assert found["load_ms"] > 0
    assert found["first_ms"] > 0


def test_a_file_that_cannot_be_opened_is_not_passed_over(built: Built, tmp_path: Path) -> None:
    shipped = _contenders(built)[0].model_copy(update={"folder": str(tmp_path)})
    with pytest.raises(RuntimeError, match=r"edgebert\.timing ended with status"):
        timing.time_files(_request([shipped], built.bundle("raspberry-pi-5")))


def test_percentiles_are_those_of_numpy() -> None:
    samples = np.random.default_rng(0).lognormal(size=501).tolist()
    timed = Timed(threads=2, samples={"shipped": {"model": samples, "end_to_end": [s + 1 for s in samples]}})
    start = {"load_ms": 12.5, "first_ms": 3.25, "peak_memory_mb": 50.0, "before_mb": 40.0}
    alone, whole = timing.latencies(timed, "int8", {"shipped": start}, "host")
    assert [alone.p50_ms, alone.p90_ms, alone.p99_ms] == pytest.approx(
        np.percentile(samples, [50, 90, 99]), abs=1e-4
    )
    assert (alone.scope, alone.load_ms, alone.first_ms) == ("model", 12.5, 3.25)
    assert (whole.scope, whole.load_ms, whole.first_ms) == ("end_to_end", None, None)
    assert whole.p50_ms == pytest.approx(alone.p50_ms + 1, abs=1e-3)
    assert (alone.threads, alone.runs, alone.evidence) == (2, 501, "host")


def test_what_describes_the_machine_names_neither_it_nor_its_user() -> None:
    timed = Timed(threads=1, samples={"shipped": {"model": [1.0]}})
    host = timing.latencies(timed, "int8", {}, "host")[0].host
    assert os.uname().nodename not in host
    assert "cores" in host


def test_the_speedup_pairs_the_files_text_by_text() -> None:
    shipped = [1.0, 10.0, 2.0, 4.0, 100.0]
    reference = [2.0, 20.0, 4.0, 8.0, 300.0]
    timed = Timed(threads=1, samples={"shipped": {"model": shipped}, "reference": {"model": reference}})
    found = timing.speedup(timed, "int8", "host")
    assert found is not None
    assert (found.value, found.p10) == (2.0, 2.0)
    assert found.p90 == pytest.approx(2.6)


def test_contenders_take_turns_and_who_goes_first_changes() -> None:
    calls: list[tuple[str, int]] = []

    def calling(name: str) -> Callable[[int], None]:
        return lambda row: calls.append((name, row))

    runs: dict[str, Callable[[Any], Any]] = {name: calling(name) for name in ("a", "b")}
    samples = measure.interleaved(runs, list(range(30)), 2, seed=0)
    timed = calls[2 * measure.WARM_UP :]
    pairs = [timed[i : i + 2] for i in range(0, len(timed), 2)]
    assert {name: len(values) for name, values in samples.items()} == {"a": 60, "b": 60}
    assert all(first[1] == second[1] and first[0] != second[0] for first, second in pairs)
    assert {first[0] for first, _ in pairs} == {"a", "b"}
    assert [first[1] for first, _ in pairs[:30]] != list(range(30))
