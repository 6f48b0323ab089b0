"""A bundle beside other tools' files: each engine answers and is timed in a process of its own."""

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import edgebert
from edgebert.device import bundle as bundles
from edgebert.tokenization import Encoder
from tests.conftest import ROOT, Built

PEERS = ROOT / "benchmarks" / "peers"
ENGINES = ("edgebert", "onnxruntime_fp32", "onnxruntime_int8", "torch_eager")


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of the comparison, whose modules import each other by their bare names."""
    monkeypatch.syspath_prepend(str(PEERS))
    return importlib.import_module


@pytest.fixture
def drawing(peers: Callable[[str], ModuleType]) -> ModuleType:
    """The module that makes tables of samples."""
    return peers("drawing")


def test_a_ratio_is_that_of_the_least_times_and_its_spread_that_of_the_rounds(drawing: ModuleType) -> None:
    ours = [[10, 20, 30], [12, 18, 30]]
    theirs = [[20, 60, 60], [36, 36, 90]]
    assert drawing.ratio(theirs, ours) == (2.0, 2.0, 3.0)  # of 20/10, 36/18, 60/30; of 2 3 2, and 3 2 3
    assert drawing.ratio(ours, ours) == (1.0, 1.0, 1.0)


def measured(**times: list[list[int]]) -> dict[str, Any]:
    """Samples of one work of 16 tokens on one thread, as `compare.py` keeps them; ns [round][row] by engine."""
    return {
        "works": {"16": 2},
        "multiply_adds": {"16": {"whole": 1000, "executed": 800}},
        "limits": {"1": 2.0},
        "threads": {"1": {n: {"16": t, "load_ms": 5.0, "peak_memory_mb": 7.0} for n, t in times.items()}},
        "engines": {name: {"mb": 1.5, "made_s": 3.0} for name in times},
    }


def test_a_share_of_the_limit_counts_what_an_engine_executes(drawing: ModuleType) -> None:
    found = measured(edgebert=[[1000, 2000], [1600, 1600]], olive=[[4000, 4000]] * 2, torch_eager=[[9, 9]] * 2)
    shares = drawing.shares(found, "1", "16")
    ours = 2 / 1300 / 2.0  # two operations a multiply-add; median of 1000 and 1600; 2 GOP/s are 2 a nanosecond
    assert shares["edgebert"] == pytest.approx({"executed": 800 * ours, "whole": 1000 * ours})
    assert shares["olive"] == pytest.approx({"executed": 2 * 1000 / 4000 / 2.0})
    assert set(shares) == {"edgebert", "olive"}  # no share of an int8 limit for a float engine


def test_a_share_is_told_of_texts_of_one_length_alone(drawing: ModuleType) -> None:
    found = measured(edgebert=[[1000, 1000]], olive=[[4000, 4000]])
    assert "| edgebert, all multiply-adds of the checkpoint counted | 1.00 |" in drawing.table(found)
    del found["multiply_adds"]["16"]["executed"]  # a TFLite bundle, whose executed products nothing tells
    assert "| edgebert, all multiply-adds of the checkpoint counted | 1.00 |" in drawing.table(found)
    assert "| edgebert | 0.80 |" not in drawing.table(found)
    found["multiply_adds"] = {}  # natural lengths alone
    assert "limit" not in drawing.table(found)


def test_what_was_not_scored_is_an_empty_cell(drawing: ModuleType) -> None:
    found = measured(edgebert=[[1000, 1000]], olive=[[4000, 4000]])
    table = drawing.table(found)
    assert "| olive | 1.5 | 5 | 7 |  |  |  | 3 |" in table
    assert "nothing is scored" in table
    found["engines"]["olive"] |= {"rows": 9, "agreement": 0.5, "cosine": 0.25, "accuracy": 0.125}
    table = drawing.table(found)
    assert "| olive | 1.5 | 5 | 7 | 0.5000 | 0.2500 | 0.1250 | 3 |" in table
    assert "9 rows answered" in table


@pytest.mark.parametrize(
    ("operator", "left", "result", "multiply_adds"),
    [
        ("DynamicQuantizeMatMul", [1, 32, 384], [1, 32, 1152], 32 * 384 * 1152),
        ("FusedMatMul", [1, 12, 32, 64], [1, 12, 32, 32], 12 * 32 * 64 * 32),
        ("FusedMatMul", [1, 12, 64, 32], [1, 12, 32, 48], 12 * 32 * 64 * 48),  # the left one transposed
        ("Add", [1, 32, 384], [1, 32, 384], 0),
    ],
)
def test_a_node_s_multiply_adds_are_those_of_its_shapes(
    peers: Callable[[str], ModuleType], operator: str, left: list[int], result: list[int], multiply_adds: int
) -> None:
    told = {"op_name": operator, "input_type_shape": [{"float": left}], "output_type_shape": [{"float": result}]}
    assert peers("limits").multiplied(told) == multiply_adds


def test_all_products_of_a_file_are_counted_for_the_length_at_hand(
    peers: Callable[[str], ModuleType], built: Built
) -> None:
    """The bundle computes the last layer for one token: fewer than the checkpoint's, by less than a layer."""
    limits, folder = peers("limits"), built.bundle("raspberry-pi-5")
    config = json.loads((folder / "config.json").read_text())
    file = folder / bundles.model_entry(bundles.read(str(folder)), "")["file"]
    layers = config["num_hidden_layers"]
    for tokens in (16, 48):
        ones = np.ones((1, tokens), np.int64)
        feeds = {"input_ids": ones, "attention_mask": ones, "token_type_ids": ones * 0}
        whole, executed = limits.whole(config, tokens), limits.executed(file, feeds)
        assert whole * (layers - 1) / layers * 0.9 < executed < whole


def test_works_are_natural_lengths_or_numbers_of_tokens(peers: Callable[[str], ModuleType], built: Built) -> None:
    compare = peers("compare")
    assert compare.longest(["natural", "16"]) == 256
    assert compare.longest(["16", "64"]) == 64
    with pytest.raises(
        argparse.ArgumentTypeError, match="'short': must be 'natural' or a number of tokens above 2"
    ):
        compare.work_named("short")
    encoder = Encoder(built.bundle("raspberry-pi-5"), 32, list(compare.INPUTS))
    rows = ["turn on the lights"] * 12
    works, texts = compare.worked(["natural", "16", "32"], rows, rows, encoder)
    assert works["natural"] == [0, 5, 10]
    for work in ("16", "32"):
        assert {texts[row]["input_ids"].shape for row in works[work]} == {(1, int(work))}
        assert len(works[work]) == compare.FIXED_ROWS


def test_pins_are_exact() -> None:
    for path in (PEERS / "environments").glob("*.txt"):
        lines = path.read_text().splitlines()
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), path


@pytest.mark.slow
def test_a_checkpoint_with_random_weights_is_built_and_timed_without_scores(built: Built, tmp_path: Path) -> None:
    tokenizer, rows = built.bundle("raspberry-pi-5"), built.recipe.parent / "train.jsonl"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        str(PEERS / "shapes.py"),
        "bert-tiny",
        str(tokenizer),
        str(rows),
        "-o",
        str(tmp_path),
    ]
    subprocess.run(command, env=environment, check=True)
    labels = [json.loads(line)["label"] for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert 0.25 < labels.count("yes") / len(labels) < 0.75
    small = ["gates.max_bytes_per_parameter=10"]  # of few parameters, the graph is the most
    verdict = edgebert.build(tmp_path / "recipe.toml", out=tmp_path, overrides=small)["x86-64"]
    assert verdict.passed, verdict
    command = [sys.executable, str(PEERS / "compare.py"), str(tmp_path / "bert-tiny" / "x86-64")]
    command += [str(tmp_path / "checkpoint"), str(tmp_path / "texts.jsonl"), "-o", str(tmp_path / "compared")]
    command += ["--rounds", "1", "--threads", "1", "--works", "16", "--engines", "edgebert", "onnxruntime_fp32"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "compared" / "samples.json").read_text())
    assert set(found["works"]) == {"16"}
    assert "accuracy" not in found["engines"]["edgebert"]
    assert 0 < found["multiply_adds"]["16"]["executed"] < found["multiply_adds"]["16"]["whole"]
    assert "Random weights: nothing is scored" in done.stdout


@pytest.mark.parametrize("path", sorted((PEERS / "engines").glob("*.py")), ids=lambda path: path.stem)
def test_an_engine_says_what_it_needs_before_its_tool_is_there(path: Path) -> None:
    """The driver reads an engine's constants in our environment, where its tool may not be."""
    command = [sys.executable, "-c", f"import engines.{path.stem} as e; print(e.ENVIRONMENT, e.NEEDS, e.FILES)"]
    environment = {**os.environ, "PYTHONPATH": str(PEERS)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name = done.stdout.split()[0]
    assert name in ("None", "optimum") or (PEERS / "environments" / f"{name}.txt").is_file()


@pytest.mark.slow
def test_engines_answer_the_same_rows_in_one_run(built: Built, tmp_path: Path) -> None:
    [checkpoint] = (built.out / ".store").glob("finetune-*/")
    rows = built.recipe.parent / "test.jsonl"
    command = [sys.executable, str(PEERS / "compare.py"), str(built.bundle("raspberry-pi-5")), str(checkpoint)]
    command += [
        str(rows),
        "-o",
        str(tmp_path),
        "--rounds",
        "2",
        "--threads",
        "1",
        "--works",
        "natural",
        "16",
        "64",
    ]
    command += ["--engines", *ENGINES]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "samples.json").read_text())
    assert tuple(sorted(found["engines"])) == ENGINES
    count = len(rows.read_text().splitlines())
    for name, one in found["engines"].items():
        assert one["rows"] == count
        assert one["cosine"] > (0.9999 if name in ("torch_eager", "onnxruntime_fp32") else 0.99)
        assert one["mb"] > 0
        assert one["accuracy"] > 0.5
        measured = found["threads"]["1"][name]
        assert all(len(measured[work]) == 2 for work in found["works"])
        assert all(len(times) == size for work, size in found["works"].items() for times in measured[work])
        assert measured["load_ms"] > 0
        assert f"| {name} |" in done.stdout
    assert found["limits"]["1"] > 0
    assert "Share of the int8 limit of 1 thread(s)" in done.stdout
    assert "</svg>" in (tmp_path / "latency.svg").read_text()
