"""The bundle folder as it is in Optimum, and in plain ONNX Runtime with tokenizers: the same answers."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.utils.extmath import softmax

import edgebert
from edgebert import environments
from edgebert.errors import SurroundingsError
from edgebert.store import digest_of_files
from tests import toy
from tests.conftest import Built

pytestmark = pytest.mark.slow

TEXTS = [row["text"] for row in toy.rows(19, 9)] + ["the day is wet " * 20]

WITH_OPTIMUM = """
import json, sys
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer
folder = sys.argv[1]
model = {call}
tokenizer = AutoTokenizer.from_pretrained(folder)
for text in json.load(sys.stdin):
    logits = model(**tokenizer(text, truncation=True, return_tensors="pt")).logits[0]
    print(json.dumps([model.config.id2label[int(logits.argmax())], logits.tolist()]))
"""

PLAIN = """
import json, sys
import numpy, onnxruntime
from tokenizers import Tokenizer
folder = sys.argv[1]
labels = json.load(open(folder + "/config.json"))["id2label"]
tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
tokenizer.enable_truncation(json.load(open(folder + "/tokenizer_config.json"))["model_max_length"])
session = onnxruntime.InferenceSession(folder + "/onnx/model_quantized.onnx")
for text in json.load(sys.stdin):
    encoded = tokenizer.encode(text)
    known = {"input_ids": encoded.ids, "attention_mask": encoded.attention_mask}
    known["token_type_ids"] = encoded.type_ids
    feeds = {one.name: numpy.array([known[one.name]], numpy.int64) for one in session.get_inputs()}
    logits = session.run(["logits"], feeds)[0][0]
    print(json.dumps([labels[str(int(logits.argmax()))], logits.tolist()]))
"""


@pytest.fixture(scope="module")
def optimum() -> Path:
    """Python with Optimum."""
    try:
        return environments.install("optimum") / "bin" / "python"
    except SurroundingsError as error:
        pytest.skip(str(error))


def answers(python: Path, script: str, bundle: Path, cwd: Path) -> list[Any]:
    """[label, logits] of each text, by a script in another environment."""
    done = subprocess.run(
        [str(python), "-I", "-c", script, str(bundle)],
        input=json.dumps(TEXTS),
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd)},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_like_the_bundle(found: list[Any], bundle: Path) -> None:
    """Labels and probabilities are the bundle's own."""
    opened = edgebert.open_bundle(bundle)
    expected = opened.predict(TEXTS)
    assert [label for label, _ in found] == [answer["label"] for answer in expected]
    shares = softmax(np.array([logits for _, logits in found]))
    own = [[answer["scores"][label] for label in opened.manifest.labels] for answer in expected]
    np.testing.assert_allclose(shares, own, atol=1e-4)


@pytest.mark.parametrize("call", ["named in full", "as the README says"])
def test_the_folder_opens_unchanged_in_optimum(built: Built, optimum: Path, tmp_path: Path, call: str) -> None:
    bundle = built.bundle("raspberry-pi-5")
    before = digest_of_files(bundle)
    loading = (
        "ORTModelForSequenceClassification.from_pretrained("
        'folder, subfolder="onnx", file_name="model_quantized.onnx")'
    )
    if call == "as the README says":
        readme = (bundle / "README.md").read_text(encoding="utf-8")
        [loading] = re.findall(r"`(ORTModelForSequenceClassification\.from_pretrained\([^`]*\))`", readme)
    found = answers(optimum, WITH_OPTIMUM.replace("{call}", loading), bundle, tmp_path)
    assert_like_the_bundle(found, bundle)
    assert digest_of_files(bundle) == before


def test_plain_onnx_runtime_with_tokenizers_gives_the_same(built: Built, optimum: Path, tmp_path: Path) -> None:
    bundle = built.bundle("raspberry-pi-5")
    assert_like_the_bundle(answers(optimum, PLAIN, bundle, tmp_path), bundle)
