from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert import recipe as recipes, target as targets
from edgebert.errors import InputError
from edgebert.recipe import Recipe
from edgebert.verdict import BUILT_IN

BASE = """
name = "toy"
task = "text-classification"
targets = ["raspberry-pi-5", "android-cpu"]
seed = 1
[model]
source = "model"
[data]
train = "train.jsonl"
test = "test.jsonl"
"""
PROFILE = """
name = "board"
extends = "arm-cpu"
[gates]
max_drop = 2.0
"""


def load(folder: Path, text: str, *overrides: str, allow_code: bool = False) -> Recipe:
    path = folder / "toy.toml"
    path.write_text(text, encoding="utf-8")
    return recipes.load(path, list(overrides), allow_code)


def faults(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        load(folder, text, *overrides)
    return caught.value.faults


def test_a_short_recipe_gets_the_defaults(tmp_path: Path) -> None:
    recipe = load(tmp_path, BASE)
    assert (recipe.name, recipe.seed, recipe.max_tokens()) == ("toy", 1, 128)
    assert recipe.finetune is None and recipe.data.dev is None
    assert recipe.quantizers_for(targets.load("raspberry-pi-5")) == ["onnx_dynamic"]
    assert recipe.path("train.jsonl") == tmp_path / "train.jsonl"
    assert recipe.path(str(tmp_path / "elsewhere")) == tmp_path / "elsewhere"


def test_a_source_that_is_used_as_it_is_reads_as_many_tokens_as_the_recipe_says(tmp_path: Path) -> None:
    assert load(tmp_path, BASE, "model.max_tokens=256").max_tokens() == 256


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    text = BASE.replace("seed = 1", "seed = -1\ncolour = 3").replace("android-cpu", "android-gpu")
    text = text.replace("text-classification", "text-clasification").replace('test = "test.jsonl"\n', "")
    text += '[quantize]\nquantizer = "onnx_dynamc"\ncalibration = "defalt"\n'
    text += "[finetune]\nepoch = 3\n[target.raspberry-pi-4.gates]\nmax_drop = 2\n[gates]\nmx_drop = 4\n"
    found = faults(tmp_path, text)
    wanted = [
        "seed = -1: ",
        "unknown key 'colour'; known: ",
        "'data.test' is missing",
        "unknown key 'finetune.epoch'; did you mean 'epochs'?",
        "unknown key 'gates.mx_drop'; did you mean 'max_drop'?",
        "unknown task 'text-clasification'; did you mean 'text-classification'?",
        "unknown quantizer 'onnx_dynamc'; did you mean 'onnx_dynamic'?",
        "unknown calibration 'defalt'; did you mean 'default'?",
        "unknown target 'android-gpu'; did you mean 'android-cpu'?",
        "[target.raspberry-pi-4] changes a target that `targets` does not list",
    ]
    for part in wanted:
        assert sum(part in fault for fault in found) == 1, part
    assert len(found) == len(wanted)
    assert all(fault.startswith(f"{tmp_path / 'toy.toml'}: ") for fault in found)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"raspberry-pi-5", "android-cpu"', "", "targets = []: "),
        ('"android-cpu"', '"arm-cpu"', "target 'arm-cpu' is a base for others and cannot be built"),
        ('"android-cpu"', '"./absent.toml"', "no target profile at"),
        ('"android-cpu"', "3", "targets.1 = 3: "),
        ('["raspberry-pi-5", "android-cpu"]', "5", "targets = 5: "),
        ('["raspberry-pi-5", "android-cpu"]', "true", "targets = True: "),
        ('["raspberry-pi-5", "android-cpu"]', '"raspberry-pi-5"', "targets = 'raspberry-pi-5': "),
        ("seed = 1", 'seed = "one"', "seed = 'one': "),
        ('name = "toy"', 'name = "../toy"', "name = '../toy': "),
        ('source = "model"', 'source = "model"\nsha256 = "12"', "model.sha256 = '12': "),
        ("seed = 1", 'folder = "/"', "unknown key 'folder'"),
        ("seed = 1", "finetune = 3", "finetune = 3: "),
        ("seed = 1", "quantize = {quantizer = 5}", "quantize.quantizer = 5: "),
        ("seed = 1", "quantize = {quantizer = [5]}", "quantize.quantizer.0 = 5: "),
        ("seed = 1", "quantize = {calibration = 5}", "quantize.calibration = 5: "),
        ("seed = 1", 'quantize = {calibration = "./absent.toml"}', "unknown calibration './absent.toml'"),
        (
            "seed = 1",
            'quantize = {quantizer = "own.module"}',
            "'own.module' is code of your own; add --allow-code",
        ),
        ("seed = 1", "gates = {max_drop = nan}", "gates.max_drop = nan: "),
        ("seed = 1", "finetune = {epochs = 0}", "finetune.epochs = 0: "),
        ('test = "test.jsonl"', 'test = "t"\nout_of_scope = {tst = "o"}', "'data.out_of_scope.tst'; did you mean"),
        ('test = "test.jsonl"', 'test = "t"\ncolumns = {text = 1}', "data.columns.text = 1: "),
    ],
)
def test_a_fault_names_its_key_and_value(tmp_path: Path, old: str, new: str, fault: str) -> None:
    found = faults(tmp_path, BASE.replace(old, new))
    assert len(found) == 1
    assert fault in found[0]


def test_targets_that_are_no_list_give_no_second_fault_about_overrides(tmp_path: Path) -> None:
    text = BASE.replace('["raspberry-pi-5", "android-cpu"]', '"raspberry-pi-5"')
    found = faults(tmp_path, text + "[target.raspberry-pi-5.gates]\nmax_drop = 2\n")
    assert len(found) == 1 and "targets = 'raspberry-pi-5'" in found[0]


def test_code_of_the_users_own_is_accepted_with_a_word(tmp_path: Path) -> None:
    text = BASE + '[quantize]\nquantizer = "own.module"\n'
    assert load(tmp_path, text, allow_code=True).quantize.quantizer == ["own.module"]


@pytest.mark.parametrize(
    ("override", "look", "wanted"),
    [
        ("seed=7", lambda recipe: recipe.seed, 7),
        (" seed = 7 ", lambda recipe: recipe.seed, 7),
        ("name=other", lambda recipe: recipe.name, "other"),
        ('name="other"', lambda recipe: recipe.name, "other"),
        ("finetune.epochs=3", lambda recipe: recipe.finetune.epochs, 3),
        ("model.source=./a=b", lambda recipe: recipe.model.source, "./a=b"),
        ('targets=["raspberry-pi-4"]', lambda recipe: recipe.targets, ["raspberry-pi-4"]),
        ("quantize.quantizer=onnx_fp16", lambda recipe: recipe.quantize.quantizer, ["onnx_fp16"]),
        ("target.android-cpu.gates.max_drop=2", lambda recipe: recipe.target["android-cpu"].gates.max_drop, 2.0),
        ("data.columns={label='intent'}", lambda recipe: recipe.data.columns, {"label": "intent"}),
    ],
)
def test_set_overrides_a_key(tmp_path: Path, override: str, look: Callable[[Recipe], Any], wanted: object) -> None:
    assert look(load(tmp_path, BASE, override)) == wanted


def test_set_keeps_the_neighbours_and_the_last_one_wins(tmp_path: Path) -> None:
    text = BASE + "[finetune]\nepochs = 2\nbatch = 8\n"
    recipe = load(tmp_path, text, "finetune.epochs=3", "finetune.epochs=4", "finetune.max_tokens=64")
    assert recipe.finetune is not None
    assert (recipe.finetune.epochs, recipe.finetune.batch, recipe.max_tokens()) == (4, 8, 64)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set seed: write it as key=value, such as seed=7"),
        ("=3", "--set =3: write it as key=value"),
        ("a b=3", "--set a b=3: write it as key=value"),
        ('name="open', "--set name=\"open: '\"open' is not a TOML value"),
        ("finetune.epoch=3", "unknown key 'finetune.epoch'; did you mean 'epochs'?"),
        ("seed=many", "seed = 'many': "),
        ("folder=/", "unknown key 'folder'"),
        ("task=text-clasification", "did you mean 'text-classification'?"),
    ],
)
def test_a_faulty_set_is_told(tmp_path: Path, override: str, message: str) -> None:
    assert message in "\n".join(faults(tmp_path, BASE, override))


@pytest.mark.parametrize(
    ("gates", "max_drop"),
    [
        ("", 2.0),
        ("[gates]\nmax_drop = 3.0\n", 3.0),
        ("[target.board.gates]\nmax_drop = 4.0\n", 4.0),
        ("[gates]\nmax_drop = 3.0\n[target.board.gates]\nmax_drop = 0\n", 0.0),
        ("[gates]\nmax_drop = 3.0\n[target.raspberry-pi-5.gates]\nmax_drop = 4.0\n", 3.0),
    ],
)
def test_the_nearer_gate_wins(tmp_path: Path, gates: str, max_drop: float) -> None:
    (tmp_path / "board.toml").write_text(PROFILE)
    recipe = load(tmp_path, BASE.replace("android-cpu", "./board.toml") + gates)
    resolved = recipe.gates_for(targets.load("./board.toml", tmp_path))
    assert resolved.max_drop == max_drop
    assert resolved.min_agreement == BUILT_IN.min_agreement, "built-in"
    assert resolved.max_bytes_per_parameter == 1.1, "the profile's base"
    assert resolved.max_latency_p50_ms is None, "nobody asked"


def test_without_a_word_from_profile_or_recipe_the_built_in_gates_hold(tmp_path: Path) -> None:
    resolved = load(tmp_path, BASE).gates_for(targets.load("raspberry-pi-5"))
    assert (resolved.max_drop, resolved.min_agreement) == (1.0, 0.97)
