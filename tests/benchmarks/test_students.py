"""What is told of students of several seeds."""

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT


@pytest.fixture
def students() -> ModuleType:
    spec = importlib.util.spec_from_file_location("students", ROOT / "benchmarks" / "students.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def manifest(seed: int, dev: float, test: float, points: float) -> dict[str, Any]:
    score = {
        "metric": "accuracy",
        "teacher": {"value": 0.9},
        "shipped": {"value": test},
        "drop": {"points": points},
        "agreement": {"value": 1.0},
    }
    training = {"dev_quality": {str(seed): dev}}
    return {"provenance": {"training": training}, "models": [{"scores": [score]}]}


def test_the_best_on_dev_is_chosen_whatever_the_test_says(students: ModuleType) -> None:
    found = students.summary({1: manifest(1, 0.8, 0.7, 20.0), 2: manifest(2, 0.7, 0.9, 0.0)})
    assert found["chosen"]["seed"] == 1
    assert found["test"] == {"mean": 0.8, "min": 0.7, "max": 0.9}
    assert found["drop_points"] == {"mean": 10.0, "min": 0.0, "max": 20.0}
    assert found["seeds"][2] == {"dev": 0.7, "test": 0.9, "drop_points": 0.0}
