"""Opening a bundle and asking it; what is not the bundle it claims to be is refused."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.utils.extmath import softmax

import edgebert
from edgebert import opening
from edgebert.device import bundle as bundles
from edgebert.errors import InputError, NotTrustedError
from tests import toy
from tests.conftest import Built

TARGETS = ["raspberry-pi-5", "android-cpu", "jetson-orin-nano"]
TEXTS = [row["text"] for row in toy.rows(30, 9)]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A copy of the toy's ONNX bundle that a test may change."""
    return shutil.copytree(bundle, tmp_path / "copy")


def rewrite_manifest(bundle: Path, **changes: Any) -> None:
    """Change keys of the manifest, and its hash with it: what a later or an earlier version would have written."""
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    sums = (bundle / "SHA256SUMS").read_text().splitlines()
    kept = [line for line in sums if not line.endswith("  manifest.json")]
    kept.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  manifest.json")
    (bundle / "SHA256SUMS").write_text("\n".join(kept) + "\n")


@pytest.mark.parametrize("target", TARGETS)
def test_answers_come_in_order_and_know_the_task(built: Built, target: str) -> None:
    rows = toy.rows(60, 9)
    answers = edgebert.open_bundle(built.bundle(target)).predict([row["text"] for row in rows])
    right = sum(answer["label"] == row["label"] for answer, row in zip(answers, rows, strict=True))
    assert right >= 54
    for answer in answers:
        assert sum(answer["scores"].values()) == pytest.approx(1.0)
        assert answer["score"] == answer["scores"][answer["label"]] == max(answer["scores"].values())


@pytest.mark.parametrize("target", TARGETS)
def test_answers_are_those_of_the_golden_rows(built: Built, target: str) -> None:
    bundle = edgebert.open_bundle(built.bundle(target))
    golden = bundles.golden(str(built.bundle(target)))
    found = bundle.predict([row["inputs"]["text"] for row in golden])
    expected = softmax(np.array([row["outputs"]["logits"] for row in golden]))
    scores = [[answer["scores"][label] for label in bundle.manifest.labels] for answer in found]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_text_is_in_scope_where_its_score_reaches_the_threshold(bundle: Path) -> None:
    opened = edgebert.open_bundle(bundle)
    facts = opened.manifest.out_of_scope
    assert facts is not None
    answers = opened.predict([*TEXTS, *(row["text"] for row in toy.outside(20, 9))])
    assert [answer["in_scope"] for answer in answers] == [answer["score"] >= facts.threshold for answer in answers]


def test_a_mapping_with_the_tasks_columns_is_a_row_too(bundle: Path) -> None:
    opened = edgebert.open_bundle(bundle)
    mapped = [{"text": text, "label": "of no account"} for text in TEXTS]
    assert opened.predict(mapped) == opened.predict(TEXTS)


def test_threads_do_not_change_an_answer(bundle: Path) -> None:
    one, two = (edgebert.open_bundle(bundle, threads=threads).predict(TEXTS) for threads in (1, 2))
    assert [a["label"] for a in one] == [a["label"] for a in two]
    np.testing.assert_allclose([a["score"] for a in one], [a["score"] for a in two], atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_a_long_text_is_cut_and_says_so(built: Built, target: str) -> None:
    long, fits = "the day is wet " * 20, ("the day is wet " * 8).rsplit(maxsplit=2)[0]
    cut, whole = edgebert.open_bundle(built.bundle(target)).predict([long, fits])
    assert (cut["truncated"], whole["truncated"]) == (True, False)
    assert cut["scores"] == whole["scores"]  # [CLS], 30 words, [SEP]


@pytest.mark.slow
def test_texts_longer_than_the_targets_longest_bucket_are_cut(toy_model: Path, tmp_path: Path) -> None:
    recipe = toy.write_project(tmp_path / "project", toy_model, ["./small.toml"])
    profile = 'name = "small"\nextends = "android-cpu"\n[shape]\ntokens = []\nmax_tokens = 8\n'
    (recipe.parent / "small.toml").write_text(profile.replace("tokens = []", "tokens = [8]"))
    arguments = ["finetune.epochs=1", "gates.max_drop=100", "gates.min_agreement=0"]
    verdict = edgebert.build(recipe, out=tmp_path / "out", overrides=arguments)["small"]
    [answer] = edgebert.open_bundle(str(verdict.bundle)).predict(["the day is wet " * 3])
    assert answer["truncated"]


@pytest.mark.parametrize("target", TARGETS[:2])
def test_every_row_that_is_not_a_text_is_named_and_nothing_is_answered(built: Built, target: str) -> None:
    rows: list[Any] = ["a warm day", "", "  \n", {"label": "sun"}, {"text": 5}, "fine", "\ud800 half a pair"]
    with pytest.raises(InputError) as told:
        edgebert.open_bundle(built.bundle(target)).predict(rows)
    assert [fault.partition(":")[0] for fault in told.value.faults] == [
        "row 2",
        "row 3",
        "row 4",
        "row 5",
        "row 7",
    ]
    assert "row 7: text is not well-formed Unicode" in str(told.value)


def test_odd_but_sound_texts_are_answered(bundle: Path) -> None:
    rows = ["🌧️", "e\u0301te\u0301", "\u200f\u0645\u0637\u0631", "a\x00b", "x" * 5000, "\ufeff wet"]
    answers = edgebert.open_bundle(bundle).predict(rows)
    assert len(answers) == len(rows)
    assert all(np.isfinite(answer["score"]) for answer in answers)


def test_no_rows_are_no_answers(bundle: Path) -> None:
    assert edgebert.open_bundle(bundle).predict([]) == []


def test_each_file_of_a_bundle_can_be_asked(built: Built) -> None:
    folder = built.bundle("jetson-orin-nano")
    files = [file.id for file in opening.read_manifest(folder).models]
    assert sorted(files) == ["fp16", "int8"]
    golden = bundles.golden(str(folder))
    for model in files:
        expected = [row["others"].get(model, row) for row in golden]
        found = edgebert.open_bundle(folder, model).predict([row["inputs"]["text"] for row in golden])
        scores = [[answer["scores"][label] for label in ("rain", "snow", "sun")] for answer in found]
        shares = softmax(np.array([row["outputs"]["logits"] for row in expected]))
        np.testing.assert_allclose(scores, shares, atol=1e-5)
    with pytest.raises(InputError, match="no model 'int4' in this bundle; known: "):
        edgebert.open_bundle(folder, "int4")


def test_a_bundle_is_not_changed_by_being_asked(copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    edgebert.open_bundle(copy).predict(TEXTS)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_a_bundle_answers_wherever_it_lies(copy: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = copy.rename(copy.parent / "été 🌞")
    monkeypatch.chdir(moved.parent)
    expected = edgebert.open_bundle(bundle).predict(TEXTS)
    assert edgebert.open_bundle("été 🌞").predict(TEXTS) == expected
    assert edgebert.open_bundle(f"{moved}/").predict(TEXTS) == expected


@pytest.mark.parametrize("name", ["onnx/model_quantized.onnx", "tokenizer.json", "manifest.json", "__main__.py"])
def test_a_changed_file_is_not_trusted(copy: Path, name: str) -> None:
    (copy / name).write_bytes((copy / name).read_bytes() + b"\n")
    with pytest.raises(NotTrustedError, match=f"'{name}' was changed after the bundle was made"):
        edgebert.open_bundle(copy)


def test_a_folder_that_is_no_bundle_is_told(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder; bundles are written to OUT/RECIPE/TARGET"):
        edgebert.open_bundle(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no bundle here"):
        edgebert.open_bundle(tmp_path)
    rewrite_manifest(copy, models="none")
    with pytest.raises(InputError, match=r"manifest\.json"):
        edgebert.open_bundle(copy)


def test_a_bundle_of_a_newer_schema_is_told_and_its_new_keys_are_not(copy: Path) -> None:
    rewrite_manifest(copy, carbon_grams=3, schema=1)
    assert edgebert.open_bundle(copy).predict(TEXTS[:1])
    rewrite_manifest(copy, schema=2)
    with pytest.raises(InputError, match="a bundle of schema 2, made by a newer EdgeBERT"):
        edgebert.open_bundle(copy)


def test_the_digest_is_that_of_the_list_of_hashes(bundle: Path, built: Built) -> None:
    expected = hashlib.sha256((bundle / "SHA256SUMS").read_bytes()).hexdigest()
    assert opening.digest(bundle) == expected == built.outcomes["raspberry-pi-5"].verdict.digest


def test_the_command_line_answers_as_python_does(bundle: Path, run_edgebert: Run) -> None:
    done = run_edgebert("predict", bundle, TEXTS[0], json.dumps({"text": TEXTS[1]}), "--json")
    told = json.loads(done.stdout)
    assert (told["bundle"], told["task"]) == ("toy", "text-classification")
    assert told["predictions"] == edgebert.open_bundle(bundle).predict(TEXTS[:2])
