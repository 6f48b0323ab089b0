"""The main job itself: the demo's recipe with real weights and data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from edgebert import open_bundle
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
RECIPE = ROOT / "recipes" / "home-intents.toml"
DATA = ROOT / "recipes" / "data" / "home-intents"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, run_from_root: Callable[..., str]) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    verdict = json.loads(run_from_root("build", str(RECIPE), "-o", str(folder), "--json"))
    assert verdict["passed"], verdict
    return folder / "home-intents"


def rows(split: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_shipped_files_stay_clearly_above_a_bag_of_words(out: Path) -> None:
    train, test = rows("train"), rows("test")
    words = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10, max_iter=2000))
    words.fit([row["text"] for row in train], [row["intent"] for row in train])
    floor = words.score([row["text"] for row in test], [row["intent"] for row in test])
    for folder in out.iterdir():
        manifest = json.loads((folder / "manifest.json").read_text())
        for model in manifest["models"]:
            shipped = model["scores"][0]["shipped"]
            assert shipped["rows"] == len(test) >= 600
            assert shipped["ci95"][0] > floor + 0.08
        assert manifest["out_of_scope"]["auroc"] > 0.85


def test_a_bundle_answers_plain_requests(out: Path) -> None:
    asked = {"turn on the kitchen light please": "lights_on", "set a timer for ten minutes": "timer_set"}
    for target in ("raspberry-pi-5", "android-cpu", "jetson-orin-nano"):
        answers = open_bundle(out / target).predict(list(asked))
        assert [answer["label"] for answer in answers] == list(asked.values())
        assert all(answer["in_scope"] for answer in answers)


def test_a_second_build_runs_no_step(out: Path, run_from_root: Callable[..., str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    steps = json.loads(run_from_root("plan", str(RECIPE), "-o", str(out.parent), "--json"))["steps"]
    assert all(step["cached"] for step in steps)
    run_from_root("build", str(RECIPE), "-o", str(out.parent), "--json")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
