"""Every shipped target is sound, and the toy builds and passes for each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edgebert import environments, members, pipeline, planning, recipe as recipes, target
from edgebert.errors import SurroundingsError
from edgebert.interpreters import Python
from edgebert.steps import Outcome
from tests import toy
from tests.conftest import ROOT

FILES = sorted((ROOT / "targets").glob("*.toml"))
NAMES = [path.stem for path in FILES]
BUILDABLE = target.names()
RUNTIME_OF = {
    "onnxruntime": "onnx",
    "tensorrt": "onnx",
    "onnxruntime-qnn": "onnx",
    "litert": "tflite",
    "tflite-runtime": "tflite",
}


def test_the_profiles_of_this_checkout_are_the_ones_in_use() -> None:
    assert target.folder() == ROOT / "targets"
    assert set(BUILDABLE) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_loads_under_the_name_of_its_file(name: str) -> None:
    assert target.load(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_its_quantizers_take_its_format_and_make_files_of_different_names(name: str) -> None:
    profile = target.load(name)
    quantizers = [members.find("quantizers", one) for one in profile.quantizer]
    assert {one.TAKES for one in quantizers} == {profile.format}
    assert len({one.ID for one in quantizers}) == len({one.FILE for one in quantizers}) == len(quantizers)


@pytest.mark.parametrize("name", NAMES)
def test_its_runtime_reads_its_format(name: str) -> None:
    from packaging.specifiers import SpecifierSet

    profile = target.load(name)
    assert RUNTIME_OF[profile.runtime.name] == profile.format
    assert len(SpecifierSet(profile.runtime.version)) > 0


@pytest.mark.parametrize("name", [name for name in NAMES if target.load(name).runtime.environment])
def test_its_environment_holds_its_runtime_in_a_version_of_its_range(name: str) -> None:
    from packaging.specifiers import SpecifierSet

    runtime = target.load(name).runtime
    pins = (environments.LISTS / f"{runtime.environment}.txt").read_text(encoding="utf-8")
    [version] = re.findall(rf"^{runtime.name}==(\S+)", pins, flags=re.MULTILINE)
    assert version in SpecifierSet(runtime.version)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_refuses_has_a_reason_and_is_of_its_format(name: str) -> None:
    profile = target.load(name)
    for quantizer, reason in profile.refuse.items():
        assert members.find("quantizers", quantizer).TAKES == profile.format
        assert len(reason) > 20 and not reason.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_an_onnx_profile_pins_what_older_runtimes_refuse_and_a_tflite_one_its_lengths(name: str) -> None:
    profile = target.load(name)
    if profile.format == "onnx":
        assert profile.opset is not None
        assert profile.ir_version is not None
    else:
        assert profile.shape.batch == 1
        assert profile.shape.tokens
    assert profile.shape.tokens == sorted(set(profile.shape.tokens))
    assert all(tokens <= profile.shape.max_tokens for tokens in profile.shape.tokens)


@pytest.mark.parametrize("name", NAMES)
def test_a_source_is_given_for_a_key_that_exists(name: str) -> None:
    profile = target.load(name)
    for key, source in profile.sources.items():
        value: Any = profile.model_dump()
        for part in key.split("."):
            value = value[part]
        assert value not in (None, "", [])
        assert len(source) > 10


@pytest.mark.parametrize("name", BUILDABLE)
def test_a_board_says_where_its_facts_are_from(name: str) -> None:
    profile = target.load(name)
    if profile.hardware.board is not None:
        assert {"hardware.cpu", "hardware.memory_mb"} <= set(profile.sources)


@pytest.mark.parametrize("name", BUILDABLE)
def test_a_target_says_in_words_what_it_is(name: str) -> None:
    description = target.load(name).description
    assert len(description) > 10
    assert not description.endswith("(base)")


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(BUILDABLE)))
def test_a_base_is_not_built_for(name: str) -> None:
    from edgebert.errors import InputError

    with pytest.raises(InputError, match=re.escape(f"'{name}' is a base")):
        target.buildable(name)


def absent(name: str) -> str | None:
    """Why a target cannot be built for here, or None."""
    try:
        Python(target.load(name).runtime.environment).require()
    except SurroundingsError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def built_for_all(toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("all")
    names = [name for name in BUILDABLE if absent(name) is None]
    recipe = toy.write_project(folder / "project", toy_model, names)
    plan = planning.plan(recipes.load(recipe), None, folder / "out" / ".store")
    return pipeline.run(plan, folder / "out", pipeline.Unwatched())


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDABLE)
def test_the_toy_builds_and_passes(name: str, built_for_all: dict[str, Outcome]) -> None:
    if (reason := absent(name)) is not None:
        pytest.skip(reason)
    outcome, profile = built_for_all[name], target.load(name)
    assert outcome.verdict.passed
    assert outcome.folder.name == name
    assert [check for check in outcome.manifest.checks if check.status == "fail"] == []
    quantizers = [members.find("quantizers", one) for one in profile.quantizer]
    assert [file.id for file in outcome.manifest.models] == [one.ID for one in quantizers]
    for file, quantizer in zip(outcome.manifest.models, quantizers, strict=True):
        assert (outcome.folder / file.file).is_file()
        assert file.file == quantizer.FILE
        assert file.ir_version is None or file.ir_version == profile.ir_version
    score = outcome.manifest.score()
    assert score.shipped is not None
    assert score.shipped.value > 0.8
