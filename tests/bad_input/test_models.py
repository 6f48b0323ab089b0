"""A model source that cannot be used: nothing of it is run, and the message says what to mend."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.bad_input.test_recipes import Run, half_written, message, refused


@pytest.fixture
def model(project: Path, toy_model: Path) -> Path:
    """The project's model as a folder of its own, free to be damaged."""
    folder = project.parent / "model"
    folder.unlink()
    shutil.copytree(toy_model, folder)
    return folder


def stopped(run: Run, recipe: Path, *arguments: str) -> str:
    """The message of a build that one of its steps ends: neither a bundle nor a draft is left."""
    out = recipe.parent / "out"
    said = message(run("build", recipe, "-o", out, *arguments))
    assert not half_written(out)
    return said


def test_a_folder_without_weights_is_told(run_edgebert: Run, project: Path, model: Path) -> None:
    (model / "model.safetensors").unlink()
    said = refused(run_edgebert, project)
    assert all(part in said for part in (str(model), "without weights", "model.safetensors")), said


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "tf_model.h5"])
def test_pickled_weights_are_refused_unread(run_edgebert: Run, project: Path, model: Path, name: str) -> None:
    (model / "model.safetensors").rename(model / name)
    said = refused(run_edgebert, project)
    assert all(part in said for part in (str(model), name, "can run code", "safetensors")), said


def test_a_pickle_that_would_run_code_does_not(run_edgebert: Run, project: Path, model: Path) -> None:
    import pickle

    trap = project.parent / "trap"
    pickled = b"cos\nmkdir\n(V" + str(trap).encode() + b"\ntR."  # os.mkdir(trap)
    pickle.loads(pickled)
    trap.rmdir()
    for name in ("pytorch_model.bin", "model.safetensors"):
        (model / name).write_bytes(pickled)
    assert "not safetensors" in stopped(run_edgebert, project)
    assert not trap.exists()


def test_other_weights_than_the_pinned_are_refused(run_edgebert: Run, project: Path, model: Path) -> None:
    import hashlib

    weights = model / "model.safetensors"
    pin = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert run_edgebert("plan", project, "--set", f'model.sha256="{pin}"').returncode == 0
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    said = refused(run_edgebert, project, "--set", f'model.sha256="{pin}"')
    found = hashlib.sha256(damaged).hexdigest()
    assert all(part in said for part in (str(weights), pin, found, "model.sha256")), said


def test_an_unsupported_architecture_is_told_with_the_supported(
    run_edgebert: Run, project: Path, model: Path
) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    said = refused(run_edgebert, project)
    assert all(part in said for part in (str(model / "config.json"), "model_type = 'gpt2'", "bert")), said


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"{", "not JSON"),
        (b"\xff", "config.json"),
        (b"[]", "config.json"),
        (b"null", "config.json"),
        (None, "no "),
    ],
)
def test_a_faulty_config_is_told(
    run_edgebert: Run, project: Path, model: Path, content: bytes | None, wanted: str
) -> None:
    (model / "config.json").unlink()
    if content is not None:
        (model / "config.json").write_bytes(content)
    said = refused(run_edgebert, project)
    assert all(part in said for part in (str(model), "config.json", wanted)), said


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("no-model-here", ["no folder at", "Hub id"]),
        ("./no/model", ["no folder at", "no/model"]),
        ("toy.toml", ["no folder at", "toy.toml"]),
        ("package:no_such_package/model", ["'no_such_package' is installed", "pip install no-such-package"]),
        ("package:numpy/no-model", ["package 'numpy' has no folder 'no-model'"]),
        ("package:numpy/../pip", ["'../pip'"]),
        ("google/bert_uncased_L-2_H-128_A-2", ["Hub id", "model.revision"]),
    ],
)
def test_a_source_that_leads_nowhere_is_told(
    run_edgebert: Run, project: Path, source: str, wanted: list[str]
) -> None:
    said = refused(run_edgebert, project, "--set", f'model.source="{source}"')
    assert all(part in said for part in [f"model.source = '{source}'", *wanted]), said


def test_a_hub_that_cannot_be_reached_is_no_fault_of_the_recipe(run_edgebert: Run, project: Path) -> None:
    source, out = "google/bert_uncased_L-2_H-128_A-2", project.parent / "out"
    settings = ("--set", f'model.source="{source}"', "--set", 'model.revision="30b0a37"')
    cache = str(project.parent / "empty")
    done = run_edgebert("build", project, "-o", out, *settings, HF_HUB_OFFLINE="1", HF_HUB_CACHE=cache)
    said = message(done, status=4)
    assert all(part in said for part in (source, "the Hub could not be reached")), said
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"not safetensors"),
        ("model.safetensors", None),
        ("tokenizer.json", b"{"),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b"[]"),
        ("tokenizer.json", b"\xff"),
    ],
)
def test_weights_or_a_tokenizer_that_cannot_be_read_are_told(
    run_edgebert: Run, project: Path, model: Path, name: str, content: bytes | None
) -> None:
    whole = (model / name).read_bytes()
    (model / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert str(model / name) in stopped(run_edgebert, project)


def test_weights_that_are_not_numbers_are_told(run_edgebert: Run, project: Path, model: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(model / "model.safetensors")
    name = "encoder.layer.0.output.dense.weight"
    tensors[name][0, 0] = torch.nan
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    said = stopped(run_edgebert, project)
    assert all(part in said for part in (name, "NaN")), said


@pytest.mark.slow
def test_an_untrained_model_without_finetune_is_told(run_edgebert: Run, project: Path) -> None:
    text = project.read_text()
    start, end = text.index("[finetune]"), text.index("[gates]")
    project.write_text(text[:start] + text[end:])
    said = stopped(run_edgebert, project)
    assert all(part in said for part in ("no trained head", "'classifier.", "[finetune]")), said


def test_more_tokens_than_the_model_reads_are_told_before_it_is_trained(run_edgebert: Run, project: Path) -> None:
    settings = ("--set", "finetune.max_tokens=128", "--set", "finetune.epochs=1")
    said = refused(run_edgebert, project, *settings)
    assert all(part in said for part in ("finetune.max_tokens = 128", "64")), said


def test_faults_of_model_and_data_are_told_at_once(run_edgebert: Run, project: Path, model: Path) -> None:
    (model / "model.safetensors").unlink()
    (project.parent / "dev.jsonl").unlink()
    said = refused(run_edgebert, project)
    assert all(part in said for part in ("without weights", "data.dev", "dev.jsonl")), said
