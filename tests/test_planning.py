"""Keys depend on what decides a step's result and on nothing else; faults are told before a step runs."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from edgebert import environments, members, planning, recipe as recipes
from edgebert.errors import InputError, SurroundingsError
from edgebert.steps import Plan
from tests import toy

ALL = {"load", "finetune", "export", "quantize", "verify", "bundle"}


@pytest.fixture
def own(tmp_path: Path, toy_model: Path) -> Path:
    """A project that holds its model itself; the recipe's path."""
    recipe = toy.write_project(tmp_path / "project", toy_model, ["raspberry-pi-5", "android-cpu"])
    (recipe.parent / "model").unlink()
    shutil.copytree(toy_model, recipe.parent / "model")
    return recipe


def planned(recipe: Path, *overrides: str, names: list[str] | None = None, store: str = "store") -> Plan:
    return planning.plan(recipes.load(recipe, list(overrides)), names, recipe.parent / store)


def keys(plan: Plan) -> dict[str, set[str]]:
    """Step keys by stage."""
    found: dict[str, set[str]] = {}
    for step in plan.steps():
        found.setdefault(step.stage, set()).add(step.key)
    return found


def changed(before: Plan, after: Plan) -> set[str]:
    """The stages of which some key is another one."""
    first, second = keys(before), keys(after)
    return {stage for stage in first if first[stage] != second[stage]}


def test_no_key_depends_on_where_the_project_lies(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = planned(own)
    elsewhere = tmp_path / "some" / "other place" / "that is deeper"
    shutil.copytree(own.parent, elsewhere)
    assert keys(planned(elsewhere / "toy.toml", store="another-store")) == keys(here)
    monkeypatch.chdir(elsewhere)
    assert keys(planned(Path("toy.toml"))) == keys(here)
    absolute = [f'data.{split}="{elsewhere}/{split}.jsonl"' for split in ("train", "dev", "test")]
    assert keys(planned(own, *absolute, f'model.source="{elsewhere}/model"')) == keys(here)


def test_no_key_depends_on_when_a_file_was_written(own: Path) -> None:
    before = planned(own)
    for path in own.parent.rglob("*"):
        os.utime(path, (1, 1))
    assert changed(before, planned(own)) == set()


def test_planning_writes_nothing(own: Path) -> None:
    before = sorted(own.parent.rglob("*"))
    planned(own)
    assert sorted(own.parent.rglob("*")) == before


def _add_a_row(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"text": "a very wet day", "label": "rain"}) + "\n")

    return change


def _change_a_weight(folder: Path) -> None:
    tensors = load_file(folder / "model" / "model.safetensors")
    tensors["pooler.dense.bias"][0] += 1e-3
    save_file(tensors, folder / "model" / "model.safetensors", metadata={"format": "pt"})


def _change_the_tokenizer(folder: Path) -> None:
    path = folder / "model" / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (_add_a_row("train.jsonl"), ALL - {"load"}),
        (_add_a_row("dev.jsonl"), ALL - {"load"}),
        (_add_a_row("test.jsonl"), {"verify", "bundle"}),
        (_add_a_row("oos.jsonl"), {"verify", "bundle"}),
        (_change_a_weight, ALL),
        (_change_the_tokenizer, ALL),
        (lambda folder: (folder / "model" / "notes.txt").write_text("of no effect"), set()),
    ],
    ids=["train", "dev", "test", "out of scope", "weights", "tokenizer", "a note"],
)
def test_changed_contents_change_the_keys_of_what_reads_them(
    own: Path, change: Callable[[Path], None], stages: set[str]
) -> None:
    before = planned(own)
    change(own.parent)
    assert changed(before, planned(own)) == stages


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("finetune.epochs=7", ALL - {"load"}),
        ("seed=3", ALL - {"load"}),
        ('quantize.keep_float=["classifier"]', {"quantize", "verify", "bundle"}),
        ('bundle.golden="own"', {"verify", "bundle"}),
        ("gates.max_drop=4.0", {"quantize", "verify", "bundle"}),  # accuracy control holds it
        ("gates.max_bytes_per_parameter=9.0", {"quantize", "verify", "bundle"}),  # and this
        ("target.android-cpu.gates.max_size_mb=9", {"bundle"}),
        ('name="other"', {"bundle"}),
    ],
)
def test_a_changed_setting_changes_the_keys_from_its_stage_on(own: Path, override: str, stages: set[str]) -> None:
    assert changed(planned(own), planned(own, override)) == stages


def test_what_an_architecture_keeps_float_is_kept_beside_what_the_recipe_does(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members.find("architectures", "bert"), "KEEP_FLOAT", ("*pooler*",))
    plan = planned(own, 'quantize.keep_float=["*classifier*"]', names=["raspberry-pi-5"])
    [step] = [step for step in plan.steps() if step.stage == "quantize"]
    assert step.settings["settings"]["keep_float"] == ["*pooler*", "*classifier*"]


def test_the_cpu_targets_share_their_steps_up_to_the_quantized_file(own: Path) -> None:
    plan = planned(own, 'targets=["raspberry-pi-5", "raspberry-pi-4", "x86-64"]')
    count = {stage: len(found) for stage, found in keys(plan).items()}
    shared = ("load", "finetune", "export", "quantize")
    assert {stage: count[stage] for stage in shared} == dict.fromkeys(shared, 1)
    assert count["bundle"] == 3
    assert len(list(plan.steps())) == sum(count.values())


def test_inputs_are_listed_before_what_needs_them_and_no_step_twice(own: Path) -> None:
    plan = planned(own, 'targets=["raspberry-pi-5", "android-cpu", "jetson-orin-nano"]')
    listed = [step.key for step in plan.steps()]
    assert len(set(listed)) == len(listed)
    for step in plan.steps():
        assert all(listed.index(one.key) < listed.index(step.key) for one in step.inputs)
    assert {step.stage for step in plan.steps()} == ALL
    assert listed[-1] == plan.bundles["jetson-orin-nano"].key


def test_only_the_targets_asked_for_are_planned(own: Path) -> None:
    assert list(planned(own, names=["android-cpu"]).bundles) == ["android-cpu"]
    whole, part = planned(own), planned(own, names=["android-cpu"])
    assert part.bundles["android-cpu"].key == whole.bundles["android-cpu"].key
    with pytest.raises(
        InputError, match=r"-t android-cp: the recipe does not list it; did you mean 'android-cpu'\?"
    ):
        planned(own, names=["android-cp"])


def test_faults_of_model_and_data_are_told_in_one_report(own: Path) -> None:
    (own.parent / "model" / "model.safetensors").unlink()
    (own.parent / "dev.jsonl").write_text('{"text": "", "label": "sun"}\n{"text": "the day"}\n')
    (own.parent / "test.jsonl").unlink()
    with pytest.raises(InputError) as told:
        planned(own)
    assert len(told.value.faults) == 4
    for part in ("without weights", "dev.jsonl: line 1: text is empty", "line 2: no column 'label'", "test.jsonl"):
        assert part in str(told.value)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_labels_that_train_does_not_have_are_told(own: Path, split: str) -> None:
    _fog(own, split)
    with pytest.raises(InputError, match=rf"data\.{split}: .*labels that train does not have: fog"):
        planned(own)


def _fog(recipe: Path, split: str) -> None:
    with (recipe.parent / f"{split}.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "the day", "label": "fog"}\n')


def test_a_single_label_is_told(own: Path) -> None:
    toy.write_rows(own.parent / "train.jsonl", [{"text": "a warm day", "label": "sun"}])
    with pytest.raises(InputError, match="only one label, 'sun'; a classifier needs two"):
        planned(own)


def test_more_tokens_than_the_model_reads_are_told_before_any_step(own: Path) -> None:
    with pytest.raises(InputError, match=r"finetune\.max_tokens = 128.* 64 tokens"):
        planned(own, "finetune.max_tokens=128")


def test_the_length_of_a_source_that_is_trained_here_is_that_of_its_training(own: Path) -> None:
    with pytest.raises(InputError, match=r"model\.max_tokens .* with \[finetune\] set that table's"):
        planned(own, "model.max_tokens=32")


def test_a_column_that_the_task_does_not_have_is_told_with_the_nearest(own: Path) -> None:
    with pytest.raises(InputError, match=r"\[data\.columns\] unknown column 'lable'; did you mean 'label'\?"):
        planned(own, 'data.columns.lable="intent"')


def test_a_quantizer_of_another_format_is_told_with_those_that_fit(own: Path) -> None:
    with pytest.raises(InputError, match=r"'litert_dynamic' takes tflite, .* known for it: .*onnx_dynamic"):
        planned(own, 'quantize.quantizer="litert_dynamic"', names=["raspberry-pi-5"])


LEGACY = "tflite-runtime-2.14"


def test_ranges_are_asked_of_a_quantizer_that_takes_them_so(own: Path) -> None:
    static = planned(
        own, 'quantize.quantizer="onnx_static"', 'quantize.ranges="entropy"', names=["raspberry-pi-5"]
    )
    [step] = [step for step in static.steps() if step.stage == "quantize"]
    assert step.settings["settings"]["ranges"] == "entropy"
    for name, told in (("onnx_dynamic", "it measures none"), ("onnx_tensorrt", "known of it: minmax")):
        with pytest.raises(InputError, match=f"ranges = 'entropy': {name} cannot take ranges so; {told}"):
            planned(own, f'quantize.quantizer="{name}"', 'quantize.ranges="entropy"', names=["raspberry-pi-5"])


def test_a_refused_quantizer_is_told_with_the_reason_and_what_to_use(own: Path) -> None:
    with pytest.raises(InputError) as told:
        planned(own, f'targets=["android-cpu", "{LEGACY}"]', 'quantize.quantizer="litert_dynamic"')
    said = str(told.value)
    assert f"target '{LEGACY}': quantizer 'litert_dynamic' is refused: " in said
    assert "wrongly, and without an error" in said
    assert said.endswith("use instead: litert_weight_only, litert_fp16, litert_fp32")
    assert not (own.parent / "store").exists()


def test_a_missing_environment_is_told_before_any_step_with_what_makes_it(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBERT_CACHE", str(tmp_path / "empty"))
    with pytest.raises(SurroundingsError, match=r"edgebert doctor --install tflite-runtime-2\.14$"):
        planned(own, f'targets=["{LEGACY}"]')
    assert not (own.parent / "store").exists()


def test_another_list_of_the_environment_changes_the_key_of_what_is_measured_in_it(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "python_of", lambda name: Path(sys.executable))
    before = planned(own, f'targets=["{LEGACY}"]')
    (tmp_path / f"{LEGACY}.txt").write_text("numpy==1.26.4 --hash=sha256:00\n", encoding="utf-8")
    monkeypatch.setattr(environments, "LISTS", tmp_path)
    assert changed(before, planned(own, f'targets=["{LEGACY}"]')) == {"verify", "bundle"}


def test_the_tflite_targets_share_their_steps_up_to_the_exported_file(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "python_of", lambda name: Path(sys.executable))
    count = {
        stage: len(found) for stage, found in keys(planned(own, f'targets=["android-cpu", "{LEGACY}"]')).items()
    }
    assert count == {"load": 1, "finetune": 1, "export": 1, "quantize": 4, "verify": 2, "bundle": 2}


@pytest.mark.parametrize(
    ("quantizer", "told"),
    [
        ("onnx_tensorrt", r"held against \d+ dev rows"),
        ("onnx_qnn", r"held against \d+ dev rows"),
        ("onnx_fp16", "without accuracy control"),
    ],
)
def test_the_plan_tells_what_accuracy_control_holds(own: Path, quantizer: str, told: str) -> None:
    plan = planned(own, f'quantize.quantizer=["{quantizer}"]', names=["raspberry-pi-5"])
    [about] = [step.about for step in plan.steps() if step.stage == "quantize"]
    assert re.search(f", {told}$", about)


def test_texts_that_the_tokenizer_does_not_know_are_warned_of_where_ranges_are_taken(own: Path) -> None:
    for name, text in (("thai", "\u0e2a\u0e27\u0e31 \u0e14\u0e35"), ("known", "sun and rain")):
        (own.parent / f"{name}.txt").write_text("\n".join([text] * 20), encoding="utf-8")
        spec = f'name = "{name}"\nsource = "file"\nfile = "{name}.txt"\n'
        (own.parent / f"{name}.toml").write_text(spec, encoding="utf-8")
    static, strange = 'quantize.quantizer="onnx_static"', 'quantize.calibration="./thai.toml"'
    pi = ["raspberry-pi-5"]
    assert planned(own, static, 'quantize.calibration="./known.toml"', names=pi).warnings == []
    [warning] = planned(own, static, strange, names=pi).warnings
    assert "calibration './thai.toml': the tokenizer does not know 100% of the pieces of its 20 rows" in warning
    assert planned(own, strange, names=pi).warnings == [], "dynamic ranges need no texts"
