"""Files run in our own Python or in another one, and what comes back is the same.

The other one is this Python too, started as an environment's is: isolated, with device code alone in sight.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert import environments, interpreters, opening, scoring, timing
from edgebert.device import runtimes
from edgebert.errors import SurroundingsError
from edgebert.interpreters import OURS, Python
from edgebert.timing import Contender, Request
from edgebert.tokenization import Feeds
from tests import toy
from tests.conftest import Built

TARGETS = ["raspberry-pi-5", "android-cpu"]
ENVIRONMENT = "tflite-runtime-2.14"


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Python:
    monkeypatch.setattr(environments, "python_of", lambda name: Path(sys.executable))
    return Python(ENVIRONMENT)


def opened(built: Built, target: str) -> tuple[Path, dict[str, Any], list[Feeds]]:
    bundle = opening.open_bundle(built.bundle(target))
    return bundle.folder, bundle.entry, [bundle.encoder.encode(row["text"]).feeds for row in toy.rows(12, 8)]


@pytest.mark.parametrize("target", TARGETS)
def test_the_outputs_of_another_python_are_ours(target: str, built: Built, other: Python) -> None:
    folder, entry, feeds = opened(built, target)
    expected = toy.logits_of(scoring.outputs_of(folder, entry, feeds))
    found = toy.logits_of(scoring.outputs_of(folder, entry, feeds, python=other))
    assert len(found) == len(feeds)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_its_runtime_is_the_one_that_it_tells(built: Built, other: Python) -> None:
    folder, entry, _ = opened(built, "android-cpu")
    assert entry["runtime"] == "litert"
    assert other.runtime(folder, entry) == OURS.runtime(folder, entry) == runtimes.versions(entry)


def test_an_environment_that_runs_another_runtime_than_the_target_names_is_refused(
    built: Built, other: Python
) -> None:
    folder, entry, _ = opened(built, "android-cpu")
    with pytest.raises(
        SurroundingsError, match=rf"runs litert .*, not tflite-runtime; .*--install {ENVIRONMENT}$"
    ):
        other.runtime(folder, {**entry, "runtime": "tflite-runtime"})


def test_both_files_are_timed_there_without_a_tokenizer(built: Built, other: Python) -> None:
    folder, entry, feeds = opened(built, "android-cpu")
    files = [Contender(which=which, folder=str(folder), entry=entry) for which in ("shipped", "reference")]
    request = Request(
        contenders=files,
        task="text-classification",
        labels=["rain", "snow", "sun"],
        decoding={},
        tokenizer=str(folder),
        max_tokens=32,
        rows=list(toy.rows(24, 7)),
        threads=1,
        seconds=0.1,
    )
    timed = timing.time_files(request, other)
    assert {which: set(scopes) for which, scopes in timed.samples.items()} == {
        "shipped": {"model"},
        "reference": {"model"},
    }
    assert len(timed.samples["shipped"]["model"]) == len(timed.samples["reference"]["model"]) >= 20
    assert timing.speedup(timed, "int8", "host") is not None
    start = timing.start_up(files[0], feeds[0], 1, other)
    assert start["load_ms"] > 0 and start["peak_memory_mb"] >= start["before_mb"] > 0


@pytest.mark.parametrize("ask", ["open", "replay"])
def test_a_worker_that_fails_is_told_with_what_it_said(
    ask: str, built: Built, other: Python, tmp_path: Path
) -> None:
    folder, entry, feeds = opened(built, "android-cpu")
    wrong = {**entry, "file": "no-such.tflite"}
    with pytest.raises(RuntimeError, match=r"(?s)edgebert\.device\.\w+ ended with status 1: .*no-such\.tflite"):
        if ask == "open":
            scoring.outputs_of(folder, wrong, feeds, python=other)
        else:
            other.ask("replay", {"folder": str(folder), "entry": wrong, "golden": str(folder / "golden.jsonl")})


def test_a_worker_ends_with_whoever_asked_it(built: Built, other: Python, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, entry, feeds = opened(built, "android-cpu")
    started: list[subprocess.Popen[str]] = []
    start = subprocess.Popen

    def noted(*arguments: Any, **more: Any) -> subprocess.Popen[str]:
        started.append(start(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    with pytest.raises(KeyboardInterrupt), other.open(folder, entry) as model:
        model.run(feeds[0])
        raise KeyboardInterrupt
    assert [one.poll() for one in started] == [0]


def test_an_environment_sees_no_module_of_ours_but_device_code(other: Python) -> None:
    command = other.command("answers")
    script = command[-3].replace("runpy.run_module", "print(sys.path, 'edgebert' in sys.modules) or exit")
    done = subprocess.run([*command[:-3], script, *command[-2:]], capture_output=True, text=True, check=False)
    paths, _, ours = done.stdout.strip().rpartition(" ")
    assert ours == "False", done.stderr
    assert str(Path(str(interpreters.__file__)).parent) not in paths
    assert "-I" in command


def test_an_absent_environment_names_what_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEBERT_CACHE", str(tmp_path))
    OURS.require()
    assert OURS.key == ""
    assert Python(ENVIRONMENT).key.startswith(ENVIRONMENT)
    with pytest.raises(SurroundingsError, match=rf"edgebert doctor --install {ENVIRONMENT}$"):
        Python(ENVIRONMENT).require()
