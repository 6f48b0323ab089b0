"""The file for MediaPipe's TextClassifier in a browser: opened by @mediapipe/tasks-text in headless Chromium."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgebert import environments, exporting
from edgebert.errors import SurroundingsError
from edgebert.opening import open_bundle
from tests import toy
from tests.chromium import chromium, served
from tests.conftest import ROOT, Built

ENOUGH = 0.95  # of the bundle's answers
CLOSE = 0.05  # of probabilities: WebAssembly's int8 kernels round activations in their own way
ASK = """
const { FilesetResolver, TextClassifier } = await import("./tasks-text/text_bundle.mjs");
const files = await FilesetResolver.forTextTasks(new URL("./tasks-text/wasm", location.href).href);
const classifier = await TextClassifier.createFromModelPath(files, "./toy.tflite");
const scored = (text) => classifier.classify(text).classifications[0].categories;
return args[0].map((text) => Object.fromEntries(scored(text).map((one) => [one.categoryName, one.score])));
"""


@pytest.mark.slow
def test_a_browser_answers_as_the_bundle_does(built: Built, tmp_path: Path) -> None:
    try:
        package = environments.place_of("mediapipe-web") / "node_modules" / "@mediapipe" / "tasks-text"
    except SurroundingsError as error:
        pytest.skip(str(error))
    site, bundle = tmp_path / "site", built.bundle("android-cpu")
    exporting.export([bundle], "mediapipe", site)
    shutil.copytree(package, site / "tasks-text")
    (site / "index.html").write_text("<!doctype html><title>MediaPipe</title>", encoding="utf-8")
    lines = (ROOT / "recipes/data/home-intents/test.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[:100]] + [row["text"] for row in toy.rows(100, 22)]
    expected = open_bundle(bundle).predict(texts)
    with chromium() as browser, served(site) as url:
        browser.open(url)
        found = browser.run(ASK, texts)
        assert browser.elsewhere == []
    same = [max(one, key=one.get) == other["label"] for one, other in zip(found, expected, strict=True)]
    assert sum(same) >= ENOUGH * len(texts)
    far = [
        abs(one[label] - other["scores"][label])
        for one, other in zip(found, expected, strict=True)
        for label in other["scores"]
    ]
    assert max(far) <= CLOSE
