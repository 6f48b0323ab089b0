"""Optimum's exporter: chosen by recipe or profile, refused in time, and its graphs are as good as torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from edgebert import artifact, environments, members, planning, quiet, recipe as recipes, target as targets
from edgebert.artifact import Artifact
from edgebert.device import runtimes
from edgebert.errors import EdgeBertError, InputError, SurroundingsError
from edgebert.formats import ExportShape, optimum
from edgebert.onnx_graph import constants, products
from edgebert.quantizers import Settings, onnx_dynamic
from edgebert.stages import export, load
from edgebert.steps import Plan
from tests import toy
from tests.conftest import ROOT, skip_without

NATURAL = ExportShape(opset=17, ir_version=8)
FIXED = ExportShape(opset=17, ir_version=8, batch=1, buckets=[32], dtype="int32")
CHOSEN = 'export.format="optimum"'
TAKERS = [one for one in members.names("quantizers") if members.find("quantizers", one).TAKES == optimum.GIVES]


def planned(recipe: Path, *overrides: str) -> Plan:
    return planning.plan(recipes.load(recipe, list(overrides)), None, recipe.parent / "store")


def told(plan: Plan) -> list[str]:
    return [step.about for step in plan.steps() if step.stage == "export"]


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the environment were installed: planning only looks for it."""
    monkeypatch.setattr(environments, "python_of", lambda name: Path("python"))


@pytest.mark.usefixtures("ready")
def test_the_plan_tells_who_makes_the_graph_and_who_asked(project: Path) -> None:
    assert told(planned(project)) == ["export to onnx, any length, emitted from the weights"]
    assert told(planned(project, CHOSEN)) == ["export to onnx, any length, through Optimum, as the recipe asks"]


@pytest.mark.usefixtures("ready")
def test_a_profile_may_ask_for_it_and_a_recipe_for_something_else(project: Path) -> None:
    text = (targets.folder() / "raspberry-pi-5.toml").read_text(encoding="utf-8")
    path = project.parent / "own.toml"
    path.write_text(f'format = "optimum"\n{text.replace("raspberry-pi-5", "own")}', encoding="utf-8")
    mine = 'targets=["./own.toml"]'
    assert told(planned(project, mine)) == ["export to onnx, any length, through Optimum, as the profile asks"]
    back = planned(project, mine, 'target.own.export.format="onnx"')
    assert told(back) == ["export to onnx, any length, emitted from the weights"]


@pytest.mark.usefixtures("ready")
def test_one_target_of_several_may_have_it(project: Path) -> None:
    both = 'targets=["raspberry-pi-5", "android-cpu"]'
    found = told(planned(project, both, 'target.raspberry-pi-5.export.format="optimum"'))
    assert found[0].endswith("through Optimum, as the recipe asks")
    assert found[1].endswith("converted by litert-torch")
    with pytest.raises(InputError, match=r"'android-cpu': \[export\] format = 'optimum' gives onnx.*takes tflite"):
        planned(project, both, CHOSEN)


@pytest.mark.usefixtures("ready")
def test_only_what_is_made_of_the_graph_is_made_anew(project: Path) -> None:
    keys = [{step.stage: step.key for step in planned(project, *more).steps()} for more in ((), (CHOSEN,))]
    same = {stage for stage in keys[0] if keys[0][stage] == keys[1][stage]}
    assert same == {"load", "finetune"}


def test_an_unknown_format_is_told_with_the_nearest(project: Path) -> None:
    with pytest.raises(InputError, match="unknown format 'optimun'; did you mean 'optimum'"):
        recipes.load(project, ['export.format="optimun"'])
    with pytest.raises(InputError, match="unknown format 'onxx'; did you mean 'onnx'"):
        recipes.load(project, ['target.raspberry-pi-5.export.format="onxx"'])


def test_a_missing_environment_is_told_before_any_step_with_what_makes_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBERT_CACHE", str(tmp_path / "empty"))
    with pytest.raises(SurroundingsError, match=r"edgebert doctor --install optimum$"):
        planned(project, CHOSEN)
    assert not (project.parent / "store").exists()


def test_tasks_that_its_graphs_do_not_answer_are_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {name for name in map(_public, members.names("tasks")) if optimum.fault(name) is not None}
    assert refused == {"extractive-summarization", "feature-extraction", "fill-mask", "regression"}
    monkeypatch.setattr(optimum, "TASKS", {"question-answering": "question-answering"})
    with pytest.raises(
        InputError, match=r"'raspberry-pi-5': format 'optimum'.*task 'text-classification'; it exports"
    ):
        planned(project, CHOSEN)


def _public(name: str) -> str:
    return members.public("tasks", name)


def test_a_graph_with_other_outputs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Identity", ["input_ids"], ["pooled"])
    ends = [value(name, onnx.TensorProto.INT64, [1, 8]) for name in ("input_ids", "pooled")]
    graph = onnx.helper.make_model(onnx.helper.make_graph([node], "other", ends[:1], ends[1:]))
    monkeypatch.setattr(optimum, "_exported", lambda *_: graph)
    module = type("Module", (), {"inputs": ("input_ids",), "outputs": ("logits",), "per_token": False})()
    with pytest.raises(EdgeBertError, match="pooled; asked for: logits"):
        optimum.export(module, NATURAL, tmp_path / "any.onnx")


@pytest.fixture(scope="module")
def installed() -> None:
    try:
        environments.python_of("optimum")
    except SurroundingsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Artifact]:
    """A checkpoint of a task and an architecture with random weights, as fine-tuning writes it."""

    def make(architecture: str, name: str) -> Artifact:
        room, task = tmp_path_factory.mktemp("any"), members.find("tasks", name)
        source = toy.write_model(room / "source", architecture=architecture)
        (room / "loaded").mkdir()
        loaded = load.run(source, architecture, room / "loaded")
        labels = ["a", "b", "c"] if task.LABELLED else []
        model = task.model(loaded.folder, labels, {})
        for tensor, parameter in model.named_parameters():
            if any(part in tensor for part in members.find("architectures", architecture).HEAD):
                parameter.data.normal_(std=0.5)  # a new head answers nearly alike to everything
            elif parameter.ndim == 1:
                parameter.data += torch.randn_like(parameter) / 10  # equal biases would be stored once
            elif "query" in tensor:
                parameter.data *= 10  # so that it matters where a token looks
        model.save_pretrained(room / "model")
        loaded.copy_tokenizer(room / "model")
        return loaded.model_copy(update={"task": name, "labels": labels, "folder": room / "model"}).write()

    return make


def exported(source: Artifact, shape: ExportShape, out: Path) -> Artifact:
    """Exported through Optimum by the stage, which holds it against torch."""
    task = members.find("tasks", str(source.task))
    return export.run(source, task, members.find("architectures", source.architecture), optimum, shape, out)


def feeds(one: Artifact, tokens: int) -> Any:
    assert one.signature is not None
    ids = np.random.default_rng(tokens).integers(5, 60, (1, tokens))
    fill = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return {tensor.name: fill[tensor.name] for tensor in one.signature.inputs}


def answers(one: Artifact, given: Any) -> dict[str, Any]:
    return dict(runtimes.open_model(str(one.folder), one.entry("any")).run(given))


CASES = [
    ("bert", "text-classification", NATURAL),
    ("bert", "token-classification", FIXED),
    ("albert", "question-answering", NATURAL),
    ("albert", "sentence-pairs", FIXED),
    ("distilbert", "text-classification", FIXED),
    ("electra", "token-classification", NATURAL),
    ("mobilebert", "question-answering", FIXED),
]


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("architecture", "name", "shape"), CASES)
def test_its_file_is_like_our_own_and_so_is_what_is_quantized_of_it(
    architecture: str,
    name: str,
    shape: ExportShape,
    trained: Callable[[str, str], Artifact],
    tmp_path: Path,
) -> None:
    source = trained(architecture, name)
    task, member = members.find("tasks", name), members.find("architectures", architecture)
    own = export.run(source, task, member, members.find("formats", "onnx"), shape, tmp_path / "own")
    found = exported(source, shape, tmp_path / "optimum")
    assert (found.form, found.signature, found.buckets) == (own.form, own.signature, own.buckets)
    told = optimum.inspect(found.path)
    assert (told.opset, told.ir_version) == (17, 8)
    for tokens in (4, 17, 32):
        given = feeds(found, tokens)
        expected = answers(own, given)
        for output, values in answers(found, given).items():
            np.testing.assert_allclose(values, expected[output], rtol=0, atol=1e-4)
    graph = onnx.load(str(found.path))
    floats = [
        numpy_helper.to_array(one) for one in constants(graph).values() if one.data_type == TensorProto.FLOAT
    ]
    assert min(one.min() for one in floats if one.size) > -1000  # no mask of the type's lowest number
    onnx_dynamic.apply(found.path, Settings(), [], tmp_path / "int8.onnx")
    int8 = optimum.inspect(tmp_path / "int8.onnx")
    assert (int8.int8_matmul_share, int8.kept_float) == (1.0, [])
    assert int8.ops["MatMulInteger"] == len(products(graph)[0])
    for file, most in ((found.path, 1.02), (tmp_path / "int8.onnx", 1.1)):  # scales of rows beside the rows
        kept = [tensor.dims for tensor in onnx.load(str(file)).graph.initializer if len(tensor.dims) == 2]
        assert sum(map(np.prod, kept)) <= most * source.parameters  # what layers share is there once


@pytest.fixture(scope="module", params=["bert", "albert"])
def fixed(
    request: pytest.FixtureRequest,
    installed: None,
    trained: Callable[[str, str], Artifact],
    tmp_path_factory: pytest.TempPathFactory,
) -> Artifact:
    """Optimum's file of a classifier, of fixed length."""
    return exported(trained(request.param, "text-classification"), FIXED, tmp_path_factory.mktemp("fixed"))


@pytest.mark.slow
@pytest.mark.parametrize("name", TAKERS)
def test_every_quantizer_takes_its_file(name: str, fixed: Artifact, tmp_path: Path) -> None:
    member = members.find("quantizers", name)
    skip_without(member)
    given = [feeds(fixed, tokens) for tokens in range(4, 33)]
    expected = np.concatenate([answers(fixed, one)["logits"] for one in given])
    with quiet.into(tmp_path / "log"):
        member.apply(fixed.path, Settings(), given, tmp_path / "quantized.onnx")
    quantized = fixed.model_copy(update={"file": "quantized.onnx", "folder": tmp_path})
    logits = np.concatenate([answers(quantized, one)["logits"] for one in given])
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.98
    assert member.violations(quantized.path) == []


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_what_is_masked_changes_nothing(trained: Callable[[str, str], Artifact], tmp_path: Path) -> None:
    found = exported(trained("bert", "text-classification"), NATURAL, tmp_path)
    given = feeds(found, 9)
    padded = runtimes.pad(given, 32)
    padded["input_ids"] = np.where(padded["attention_mask"] == 0, 7, padded["input_ids"])
    np.testing.assert_allclose(
        answers(found, padded)["logits"], answers(found, given)["logits"], rtol=0, atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_a_bundle_is_built_through_it_under_the_same_gates(
    project: Path, run_edgebert: Callable[..., Any]
) -> None:
    done = run_edgebert("build", project, "-o", project.parent / "out", "--set", CHOSEN, "--json", cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    [folder] = (project.parent / "out" / ".store").glob("export-*")
    names = {tensor.name for tensor in onnx.load(str(artifact.read(folder).path)).graph.initializer}
    assert "bert.embeddings.word_embeddings.weight" in names  # as transformers calls it; ours are other names
