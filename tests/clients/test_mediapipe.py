"""The file for MediaPipe's TextClassifier: opened by MediaPipe itself, its answers beside the bundle's."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebert import environments, exporting
from edgebert.clients import mediapipe
from edgebert.errors import InputError, SurroundingsError
from edgebert.opening import open_bundle
from tests import stress, toy
from tests.conftest import ROOT, Built
from tests.device.test_bundle import change_manifest, reseal

PROBE = Path(__file__).with_name("mediapipe_probe.py")
SAME = 1e-4  # of probabilities
ENOUGH = 0.95  # of the bundle's answers
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@pytest.fixture
def tflite(built: Built, tmp_path: Path) -> Path:
    """A copy of the toy's bundle for LiteRT."""
    return Path(shutil.copytree(built.bundle("android-cpu"), tmp_path / "bundle"))


@pytest.fixture(scope="module")
def classifier(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the toy's bundle for LiteRT."""
    out = tmp_path_factory.mktemp("mediapipe") / "out"
    exporting.export([built.bundle("android-cpu")], "mediapipe", out)
    return out / "toy.tflite"


def asked(file: Path, texts: Sequence[str]) -> list[dict[str, float]]:
    """MediaPipe's scores of all labels."""
    try:
        python = environments.python_of("mediapipe")
    except SurroundingsError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [python, PROBE, file], input=json.dumps(texts), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, float]] = json.loads(done.stdout)
    return found


def compared(built: Built, file: Path, texts: Sequence[str]) -> list[tuple[bool, float]]:
    """Whether the best label is the bundle's, and the largest difference of a score, of each text."""
    expected = open_bundle(built.bundle("android-cpu")).predict(texts)
    pairs = zip(expected, asked(file, texts), strict=True)
    return [
        (max(scores, key=lambda label: scores[label]) == one["label"], apart(one["scores"], scores))
        for one, scores in pairs
    ]


def apart(expected: dict[str, float], found: dict[str, float]) -> float:
    assert expected.keys() == found.keys()
    return max(abs(expected[label] - found[label]) for label in expected)


@pytest.mark.slow
def test_mediapipe_answers_as_the_bundle_does(built: Built, classifier: Path) -> None:
    lines = (ROOT / "recipes/data/home-intents/test.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[:100]] + [row["text"] for row in toy.rows(100, 22)]
    found = compared(built, classifier, texts)
    assert sum(same for same, _ in found) >= ENOUGH * len(texts)
    plain = [difference for text, (_, difference) in zip(texts, found, strict=True) if text.isascii()]
    assert len(plain) > 150 and max(plain) <= SAME


@pytest.mark.slow
def test_what_differs_is_the_cut_of_texts_that_are_not_plain(built: Built, classifier: Path) -> None:
    texts = [text for text in stress.stress() if text.strip()]
    found = compared(built, classifier, texts)
    plain = [text.isascii() and text.replace("\n", "").replace("\t", "").isprintable() for text in texts]
    plain = [one and not any(token in text for token in SPECIAL) for one, text in zip(plain, texts, strict=True)]
    assert sum(plain) >= 50
    wrong = [text for text, one, (_, far) in zip(texts, plain, found, strict=True) if one and far > SAME]
    assert wrong == []


def test_the_file_holds_one_graph_with_softmax_its_vocabulary_and_its_labels(
    built: Built, classifier: Path
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    bundle = built.bundle("android-cpu")
    with zipfile.ZipFile(classifier) as archive:
        assert archive.read("vocab.txt") == (bundle / "vocab.txt").read_bytes()
        labels = archive.read("labels.txt").decode().splitlines()
    assert labels == open_bundle(bundle).manifest.labels
    interpreter = Interpreter(model_path=str(classifier))
    interpreter.allocate_tensors()
    assert interpreter.get_signature_list() == {}
    shapes = [(list(one["shape"]), one["dtype"].__name__) for one in interpreter.get_input_details()]
    assert shapes == [([1, 32], "int32")] * 3
    for one in interpreter.get_input_details():
        interpreter.set_tensor(one["index"], np.ones((1, 32), np.int32))
    interpreter.invoke()
    [output] = interpreter.get_output_details()
    assert interpreter.get_tensor(output["index"]).sum() == pytest.approx(1, abs=1e-5)


def test_two_exports_are_the_same_file(built: Built, classifier: Path, tmp_path: Path) -> None:
    told = exporting.export([built.bundle("android-cpu")], "mediapipe", tmp_path / "out")
    assert (tmp_path / "out" / "toy.tflite").read_bytes() == classifier.read_bytes()
    assert "toy.tflite" in told["next"][0] and told["files"] == 2
    page = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert 'setModelAssetPath("toy.tflite")' in page and str(tmp_path) not in page


def change_tokenizer(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    whole = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    change(whole)
    (folder / "tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    reseal(folder)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda one: change_manifest(one, lambda m: m["decoding"].update(multi_label=True)),
            "several of its labels",
        ),
        (lambda one: change_manifest(one, lambda m: m["labels"].__setitem__(0, "a\nb")), r"'a\\nb' is no line"),
        (lambda one: change_tokenizer(one, lambda t: t["normalizer"].update(lowercase=False)), "capital letters"),
        (lambda one: change_tokenizer(one, lambda t: t["model"].update(type="Unigram")), "tokenizer is Unigram"),
        (lambda one: change_tokenizer(one, lambda t: t["model"]["vocab"].pop("[SEP]")), r"has no \[SEP\]"),
        (lambda one: change_manifest(one, lambda m: m.update(task="regression")), "its task is regression"),
    ],
)
def test_what_mediapipe_cannot_serve_is_told_before_anything_is_written(
    spoil: Callable[[Path], None], said: str, tflite: Path, tmp_path: Path
) -> None:
    spoil(tflite)
    with pytest.raises(InputError, match=said):
        exporting.export([tflite], "mediapipe", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bundle_of_another_format_is_refused(built: Built, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its file is onnx; the mediapipe client opens tflite"):
        exporting.export([built.bundle("raspberry-pi-5")], "mediapipe", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "file"), [("home intents / 2", "home-intents-2"), ("été", "t"), ("中", "classifier")]
)
def test_a_bundle_s_name_becomes_a_file_s(name: str, file: str) -> None:
    assert mediapipe.asset(name) == file
