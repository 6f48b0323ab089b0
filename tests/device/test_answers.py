"""The worker that answers row by row: what it says first, its outputs, and when it ends."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from edgebert.device import answers, bundle as bundles, runtimes
from tests.conftest import Built

TARGETS = ["raspberry-pi-5", "android-cpu"]


def request(built: Built, target: str) -> dict[str, Any]:
    folder = str(built.bundle(target))
    return {"folder": folder, "entry": bundles.model_entry(bundles.read(folder)), "threads": 1}


def lines(*told: dict[str, Any]) -> io.StringIO:
    return io.StringIO("".join(json.dumps(line) + "\n" for line in told))


@pytest.mark.parametrize("target", TARGETS)
def test_it_names_the_runtime_and_answers_each_row_exactly(target: str, built: Built) -> None:
    asked = request(built, target)
    rows = [{k: [ids] for k, ids in row["ids"].items()} for row in bundles.golden(asked["folder"], 5)]
    versions, *found = answers.run(lines(asked, *rows))
    assert versions == runtimes.versions(asked["entry"])
    model = runtimes.open_model(asked["folder"], asked["entry"])
    for row, answer in zip(rows, found, strict=True):
        expected = model.run({name: np.asarray(ids) for name, ids in row.items()})["logits"]
        told = np.asarray(json.loads(json.dumps(answer))["logits"], np.float32)
        np.testing.assert_array_equal(told, expected)


def test_it_ends_with_its_input(built: Built) -> None:
    assert len(list(answers.run(lines(request(built, "raspberry-pi-5"))))) == 1
